package crontab_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/crontab"
	"github.com/dayfly-io/dayfly/internal/fuzztest"
	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/spec"
)

// TestSettings shows which lines are settings, with what value; the rest cron takes for entries.
func TestSettings(t *testing.T) {
	t.Parallel()
	const none = "(an entry)"
	for line, want := range map[string]string{
		"X=1":               "1",
		"X = 1":             "1",
		"  X\t=\t1  ":       "1",
		"X=":                "",
		"X = ":              "",
		`X=""`:              "",
		"X=a b  c ":         "a b  c",
		`X="a b "`:          "a b ",
		`X='a "b" '`:        `a "b" `,
		`X=a"b"`:            `a"b"`,
		`X="a"  `:           "a",
		`"X"=1`:             "1",
		`'X' = '1'`:         "1",
		"X=a=b":             "a=b",
		"X=$HOME/bin":       "$HOME/bin",
		"X=a # b":           "a # b",
		"X=5 * * * * true":  "5 * * * * true",
		`X=a\%b`:            `a\%b`,
		"X=käse":            "käse",
		`X="a" b`:           none,
		`X="a`:              none,
		`"X=1`:              none,
		`"X=1"`:             none,
		"X 1":               none,
		"X Y=1":             none,
		"=1":                none,
		"export X=1":        none,
		"* * * * * X=1 env": none,
	} {
		table := line + "\n0 5 * * * /bin/backup\n"
		res, err := crontab.Import(
			crontab.Options{As: "alice", Zone: "UTC", Home: homes, Now: theNow},
			crontab.File{Name: "crontab", Data: []byte(table), User: "alice"},
		)
		if want == none {
			if err == nil && len(res.Jobs) != 2 {
				t.Errorf("%q is taken for a setting", line)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		f, err := spec.Load("x.yaml", res.Jobs[0].Text)
		if err != nil {
			t.Fatal(err)
		}
		if have, ok := f.Job.Env["X"]; !ok || have != want {
			t.Errorf("%q makes X %q (%v), want %q", line, have, ok, want)
		}
	}
}

// TestSettingsHoldBelow changes settings between entries.
func TestSettingsHoldBelow(t *testing.T) {
	t.Parallel()
	res, err := crontab.Import(
		crontab.Options{As: "alice", Zone: "UTC", Home: homes, Now: theNow},
		crontab.File{Name: "crontab", User: "alice", Data: []byte("0 1 * * * a\nX=1\n0 2 * * * b\nX=2\n0 3 * * * c\nX=\n0 4 * * * d\n")},
	)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, j := range res.Jobs {
		f, err := spec.Load("x.yaml", j.Text)
		if err != nil {
			t.Fatal(err)
		}
		x, ok := f.Job.Env["X"]
		got = append(got, fmt.Sprintf("%s %q %v", j.Name, x, ok))
	}
	if want := `a "" false|b "1" true|c "2" true|d "" true`; strings.Join(got, "|") != want {
		t.Errorf("got %s, want %s", strings.Join(got, "|"), want)
	}
}

// TestWhoRunsIt imports for several users.
func TestWhoRunsIt(t *testing.T) {
	t.Parallel()
	const system = "0 1 * * * root a\n0 2 * * * alice b\n0 3 * * * bob c\n"
	for _, c := range []struct {
		as   string
		file crontab.File
		want string
	}{
		{"root", crontab.File{Data: []byte(system), System: true}, "a:/root: b:/home/alice:alice c:/home/bob:bob"},
		{"alice", crontab.File{Data: []byte(system), System: true}, "a:/root:root b:/home/alice: c:/home/bob:bob"},
		{"bob", crontab.File{Data: []byte(system), System: true, User: "bob"}, "c:/home/bob:"},
		{"alice", crontab.File{Data: []byte("0 1 * * * a\n"), User: "alice"}, "a:/home/alice:"},
		{"root", crontab.File{Data: []byte("0 1 * * * a\n"), User: "alice"}, "a:/home/alice:alice"},
		{"root", crontab.File{Data: []byte("0 1 * * * a\n"), User: "nobody-knows"}, "a::nobody-knows"},
	} {
		res, err := crontab.Import(crontab.Options{As: c.as, Zone: "UTC", Home: homes, Now: theNow}, c.file)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, j := range res.Jobs {
			f, err := spec.Load("x.yaml", j.Text)
			if err != nil {
				t.Fatal(err)
			}
			_, after, _ := strings.Cut(f.Job.Run, "runuser -u ")
			as, _, _ := strings.Cut(after, " ")
			got = append(got, fmt.Sprintf("%s:%s:%s", j.Name, f.Job.Env["HOME"], as))
			if f.Job.Env["LOGNAME"] != j.User || f.Job.Env["USER"] != j.User {
				t.Errorf("%s: LOGNAME %s, USER %s, want %s", j.Name, f.Job.Env["LOGNAME"], f.Job.Env["USER"], j.User)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("as %s: got %s, want %s", c.as, strings.Join(got, " "), c.want)
		}
	}
}

// TestSeveralFiles imports two files: names are unique among both, and errors of both come at once.
func TestSeveralFiles(t *testing.T) {
	t.Parallel()
	o := crontab.Options{As: "root", Zone: "UTC", Home: homes, Now: theNow}
	line := []byte("0 1 * * * root backup\n")
	res, err := crontab.Import(o, crontab.File{Name: "a", Data: line, System: true}, crontab.File{Name: "b", Data: line, System: true})
	if err != nil || len(res.Jobs) != 2 || res.Jobs[0].Name != "backup" || res.Jobs[1].Name != "backup-2" || res.Jobs[1].File != "b" {
		t.Errorf("got %v, %v", res.Jobs, err)
	}
	bad := []byte("0 25 * * * root backup\n")
	_, err = crontab.Import(o, crontab.File{Name: "a", Data: bad, System: true}, crontab.File{Name: "b", Data: bad, System: true})
	if text := fmt.Sprint(err); !strings.Contains(text, "a:1:3") || !strings.Contains(text, "b:1:3") {
		t.Errorf("got %v", err)
	}
	if _, err := crontab.Import(crontab.Options{Zone: "Moon/Base", Home: homes}); err == nil {
		t.Error("a zone that does not exist is taken")
	} else if _, ok := errors.AsType[*schedule.Error](err); !ok {
		t.Errorf("got %v", err)
	}
}

// TestWhatIsTooMuch gives commands and files of any size.
func TestWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	o := crontab.Options{As: "alice", Zone: "UTC", Home: homes, Now: theNow}
	from := func(text string) (crontab.Result, error) {
		return crontab.Import(o, crontab.File{Name: "crontab", Data: []byte(text), User: "alice"})
	}
	notes := func(r crontab.Result) string {
		var b strings.Builder
		for _, n := range r.Notes {
			b.WriteString(n.Problem + "\n")
		}
		return b.String()
	}
	for length, want := range map[int]string{998: "", 999: "Debian's cron refuses", 60_000: "Debian's cron refuses"} {
		r, err := from("0 1 * * * " + strings.Repeat("x", length) + "\n")
		if err != nil || len(r.Jobs) != 1 || strings.Contains(notes(r), "Debian") != (want != "") {
			t.Errorf("a command of %d: %d jobs, %v, %s", length, len(r.Jobs), err, notes(r))
		}
	}
	r, err := from("0 1 * * * " + strings.Repeat("x", 70_000) + "\n0 2 * * * true\n")
	if err != nil || len(r.Jobs) != 1 || !strings.Contains(notes(r), "no job file: this cannot be a job file: run has") {
		t.Errorf("a command that no job file holds: %d jobs, %v, %s", len(r.Jobs), err, notes(r))
	}
	r, err = from("0 1 * * * caf\xe9\n0 2 * * * true\nX=\xe9\n# \xe9t\xe9\n0 3 * * * false\n")
	if err != nil || len(r.Jobs) != 2 || strings.Count(notes(r), "not UTF-8") != 2 {
		t.Errorf("Latin-1: %d jobs, %v, %s", len(r.Jobs), err, notes(r))
	}
	if _, err := from(strings.Repeat("#\n", crontab.MaxSize/2+1)); err == nil {
		t.Error("a file of more than 1 MiB is read")
	}
	if _, err := from(strings.Repeat("x\n", 1000)); err == nil {
		t.Error("nonsense is taken")
	} else if list, ok := errors.AsType[*spec.Errors](err); !ok || len(list.List) != spec.MaxErrors || list.More != 900 {
		t.Errorf("got %v", err)
	}
	if r, err := from("\ufeff# comment\n0 1 * * * true\n"); err != nil || len(r.Jobs) != 1 {
		t.Errorf("a byte order mark: %v", err)
	}
	if r, err := from(""); err != nil || len(r.Jobs) != 0 || len(r.Notes) != 0 {
		t.Errorf("an empty file: %v, %s", err, notes(r))
	}
}

// TestAnyTextSurvives puts any text into a command, its input and a setting, and finds it in the job file.
func TestAnyTextSurvives(t *testing.T) {
	t.Parallel()
	text := rapid.StringMatching(`([ -~]|[\t é☃日"'\\:#{}&*!|>%@` + "`" + `]|\x{202e}|\x{7}|\x{85}|\x{2028}|\x{feff}){1,60}`)
	rapid.Check(t, func(t *rapid.T) {
		command := "x" + text.Draw(t, "command")
		for strings.Contains(command, `\%`) { // \\% is a backslash and the end of the command
			command = strings.ReplaceAll(command, `\%`, "%")
		}
		value := text.Draw(t, "value")
		description := text.Draw(t, "comment")
		value = strings.Trim(strings.NewReplacer("'", "", `"`, "", "\t", " ").Replace(value), " \t")
		table := fmt.Sprintf("X=%s\n\n# %s\n0 5 * * * %s\n", value, description, strings.ReplaceAll(command, "%", `\%`))
		j, _ := importOne(t, "UTC", table)
		f, err := spec.Load("x.yaml", j.Text)
		if err != nil {
			t.Fatal(err)
		}
		if f.Job.Env["X"] != value {
			t.Fatalf("X is %q, want %q", f.Job.Env["X"], value)
		}
		if !strings.HasSuffix(f.Job.Run, "\n"+command) && !strings.HasSuffix(f.Job.Run, "/bin/sh -c "+shellWord(command)) {
			t.Fatalf("the script is %q, the command %q", f.Job.Run, command)
		}
	})
}

// shellWord is a word of the shell, as another hand writes it.
func shellWord(text string) string { return "'" + strings.Join(strings.Split(text, "'"), `'\''`) + "'" }

// TestNamesAreUnique imports many commands that are named alike.
func TestNamesAreUnique(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		n := rapid.IntRange(1, 30).Draw(t, "entries")
		for range n {
			b.WriteString("0 5 * * * " + rapid.SampledFrom([]string{
				"backup", "backup-2", "backup 2", "/bin/backup.sh", "日本", "-", "--", "x" + strings.Repeat("-y", 60), "x" + strings.Repeat("-y", 61),
				"echo", "sh -c ''", "sh -c 'sh -c \"sh -c x\"'", "'", "$(", "((((", "sudo", "nice -n", "timeout 5", "cd /x", "2>&1", "job",
			}).Draw(t, "command") + "\n")
		}
		text := strings.ReplaceAll(b.String(), "* -", "* x-")
		res, err := crontab.Import(
			crontab.Options{As: "alice", Zone: "UTC", Home: homes, Now: theNow},
			crontab.File{Name: "crontab", Data: []byte(text), User: "alice"},
		)
		if err != nil || len(res.Jobs) != n {
			t.Fatalf("%d jobs of %d entries: %v", len(res.Jobs), n, err)
		}
		seen := map[dayfly.JobName]bool{}
		for _, j := range res.Jobs {
			if !j.Name.Valid() || seen[j.Name] {
				t.Fatalf("%q is not valid, or there twice", j.Name)
			}
			seen[j.Name] = true
		}
	})
}

// FuzzImport gives any bytes: they are an error, or each entry is a job file that is right or a note that says why
// it is none.
func FuzzImport(f *testing.F) {
	f.Add([]byte("SHELL=/bin/bash\n# comment\n*/5 0-23/2 1,15 jan-mar mon echo a%b\n@daily root x\n-~ 1~2 * * * x\n"), false)
	f.Add([]byte("0 5 * * * root a\r\nMAILTO=x\r\n@reboot root b"), true)
	f.Add([]byte("X='a\n\xff * * * * x\n0 0 */2,3 * 1 \x00"), false)
	f.Fuzz(func(t *testing.T, data []byte, system bool) {
		file := crontab.File{Name: "crontab", Data: data, System: system, User: "alice"}
		if system {
			file.User = ""
		}
		var res crontab.Result
		var err error
		fuzztest.Bounded(t, func() {
			res, err = crontab.Import(crontab.Options{As: "alice", Zone: "Europe/Tallinn", Home: homes, Now: theNow}, file)
		})
		var shown bytes.Buffer
		if err != nil {
			list, ok := errors.AsType[*spec.Errors](err)
			if !ok {
				t.Fatalf("%T: %v", err, err)
			}
			if err := spec.Render(&shown, "text", list.List); err != nil {
				t.Fatal(err)
			}
			return
		}
		if err := spec.Render(&shown, "text", res.Notes); err != nil {
			t.Fatal(err)
		}
		for _, j := range res.Jobs {
			checkJob(t, j)
		}
	})
}

// TestRandomDelay imports cronie's random delay, which is jitter here.
func TestRandomDelay(t *testing.T) {
	t.Parallel()
	for delay, want := range map[string]time.Duration{"15": 15 * time.Minute, "1440": 24 * time.Hour, "0": 0, "": 0, "-1": 0, "1441": 0, "soon": 0} {
		j, res := importOne(t, "UTC", "RANDOM_DELAY="+delay+"\n0 5 * * * true\n")
		checkJob(t, j)
		f, err := spec.Load("x.yaml", j.Text)
		if err != nil {
			t.Fatal(err)
		}
		if f.Job.Jitter.Duration() != want {
			t.Errorf("RANDOM_DELAY=%s makes jitter %s", delay, f.Job.Jitter)
		}
		noted := strings.Contains(fmt.Sprint(res.Notes), "RANDOM_DELAY")
		if bad := want == 0 && delay != "0" && delay != ""; noted != bad {
			t.Errorf("RANDOM_DELAY=%s, noted: %v", delay, noted)
		}
	}
}
