package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dayfly-io/dayfly/internal/spec"
)

// TestInitText: whatever the answers, the file means them, and what it has commented out is right.
func TestInitText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := answers{
			File: "job.yaml", Name: rapid.SampledFrom([]string{"a", "true", "null", "no", "1e9", "0x1f", "nightly-backup", "12"}).Draw(t, "name"),
			Run:     rapid.OneOf(rapid.StringMatching("[ -~\n\t]{1,40}"), rapid.String()).Draw(t, "run"),
			Timeout: rapid.SampledFrom([]string{"1h", "90m", "1h30m", "2d"}).Draw(t, "timeout"),
			Files:   rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"./a.sh", "./with blank", "./b/c.py", "./ü"}), 0, 3, rapid.ID[string]).Draw(t, "files"),
		}
		if rapid.Bool().Draw(t, "by schedule") {
			in.Schedule, in.Timezone = rapid.SampledFrom([]string{"0 23 * * *", "@daily", "rate(2 days)", "@every 90m"}).Draw(t, "schedule"), "America/Argentina/Buenos_Aires"
		}
		f, err := spec.Load(in.File, []byte(in.text()))
		if err != nil {
			if strings.TrimSpace(in.Run) == "" || strings.ContainsFunc(in.Run, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r > '~' }) {
				t.Skip("the loader refuses such a command in any form")
			}
			t.Fatalf("%v\n%s", err, in.text())
		}
		if got := strings.TrimRight(f.Job.Run, "\n"); got != strings.TrimRight(in.Run, "\n") {
			t.Errorf("the command %q became %q in\n%s", in.Run, got, in.text())
		}
		if string(f.Job.Name) != in.Name || len(f.Job.Files) != len(in.Files) || len(f.Job.Schedules) > 0 != (in.Schedule != "") {
			t.Errorf("%+v became %+v", in, f.Job)
		}
	})
	for _, in := range []answers{{File: "j.yaml", Name: "j", Run: "x", Timeout: "1h"}, {File: "j.yaml", Name: "j", Run: "x", Timeout: "1h", Schedule: "@daily", Timezone: "UTC"}} {
		text := in.text()
		commented := 0
		for line := range strings.Lines(text) {
			key, rest, found := strings.Cut(strings.TrimPrefix(line, "# "), ": ")
			if !strings.HasPrefix(line, "# ") || !found || strings.Contains(key, " ") || rest == "" {
				continue
			}
			commented++
			one := strings.Replace(text, line, strings.TrimPrefix(line, "# "), 1)
			if f, err := spec.Load("j.yaml", []byte(one)); err != nil || len(f.Unserved()) > 0 {
				t.Errorf("with %q: %v", line, err)
			}
		}
		if commented < 6 {
			t.Errorf("only %d keys are commented out", commented)
		}
	}
}

func TestNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"a.sh", "b.py", "dir/c", "with blank"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for run, want := range map[string]string{
		"./a.sh": "./a.sh", "a.sh": "./a.sh", "python3 b.py --in dir/c": "./b.py ./dir/c", "sh a.sh; sh ./a.sh": "./a.sh", "ls dir": "", "cat /etc/passwd ../a.sh $HOME/a.sh *.sh": "",
		"(./a.sh|sort)>b.py": "./a.sh ./b.py", "nothing": "",
	} {
		if got := strings.Join(named(run, dir), " "); got != want {
			t.Errorf("%s names %s, want %s", run, got, want)
		}
	}
}

func TestInitAsks(t *testing.T) {
	t.Parallel()
	t.Run("five questions, each again until its answer is one", func(t *testing.T) {
		t.Parallel()
		c, _ := withClock(t)
		dir := filepath.Join(t.TempDir(), "My Reports!")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "report.sh"), []byte("echo the report"), 0o700); err != nil {
			t.Fatal(err)
		}
		s := sitIn(t, c, dir, "init")
		s.sees(`Name of the job \[my-reports\]: `)
		s.types("Not This\r")
		s.sees(`error: "Not This" cannot be the name of a job`)
		s.sees(`Name of the job \[my-reports\]: `)
		s.types("\r")
		s.sees(`What does it run: `)
		s.types("\r")
		s.sees(`error: a job needs something to run`)
		s.types("sh report.sh\r")
		s.sees(`When \(empty: only by hand\): `)
		s.types("0 25 * * *\r")
		s.sees(`error: .*25`)
		s.types("0 23 * * *\r")
		s.sees(`In which time zone \[[A-Za-z/_]+\]: `)
		s.types("Europe/Talin\r")
		s.sees(`Europe/Tallinn`)
		s.types("Europe/Tallinn\r")
		s.sees(`How long may it take at most \[1h\]: `)
		s.types("1h\r")
		s.sees(`It is due at 23:00 every day, Europe/Tallinn; next on `)
		s.sees(`the report`)
		s.sees(`succeeded in `)
		s.sees(`Next: dayfly apply my-reports.yaml makes its schedule known`)
		s.ends(0)
		text, err := os.ReadFile(filepath.Join(dir, "my-reports.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		f, err := spec.Load("my-reports.yaml", text)
		if err != nil || f.Job.Run != "sh report.sh" || f.Job.Timezone != "Europe/Tallinn" || len(f.Job.Files) != 1 {
			t.Errorf("%v in\n%s", err, text)
		}
	})
	t.Run("the end of the input, or Ctrl-C, leaves no file", func(t *testing.T) {
		t.Parallel()
		for keys, code := range map[string]int{"\x04": 130, "\x03": 130} {
			c, _ := withClock(t)
			dir := t.TempDir()
			s := sitIn(t, c, dir, "init", "--name", "j")
			s.sees(`What does it run: `)
			s.types(keys)
			s.ends(code)
			if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
				t.Errorf("it left %v, %v", entries, err)
			}
		}
	})
}
