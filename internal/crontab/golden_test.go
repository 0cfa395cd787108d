package crontab_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dayfly-io/dayfly/internal/crontab"
	"github.com/dayfly-io/dayfly/internal/spec"
)

var update = flag.Bool("update", false, "write the golden files anew")

// corpus are the crontabs below a directory: NAME.user.crontab is alice's own, NAME.system.crontab has a column
// with the user and is imported by root.
func corpus(t *testing.T, dir string, each func(t *testing.T, o crontab.Options, f crontab.File, golden string)) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.crontab"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no crontabs: %v", err)
	}
	for _, path := range paths {
		base := strings.TrimSuffix(filepath.Base(path), ".crontab")
		t.Run(base, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, kind, _ := strings.Cut(base, ".")
			if i := strings.LastIndexByte(base, '.'); i >= 0 {
				name, kind = base[:i], base[i+1:]
			}
			o := crontab.Options{As: "alice", Zone: "Europe/Tallinn", Home: homes, Now: theNow}
			f := crontab.File{Name: name, Data: data, User: "alice"}
			if kind == "system" {
				o.As, f.User, f.System = "root", "", true
			}
			each(t, o, f, filepath.Join("testdata", dir, base+".golden"))
		})
	}
}

func golden(t *testing.T, path, have string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), have); d != "" {
		t.Errorf("%s: -update writes it anew\n%s", path, d)
	}
}

// TestCorpus imports crontabs as they are found in the world.
func TestCorpus(t *testing.T) {
	t.Parallel()
	corpus(t, "corpus", func(t *testing.T, o crontab.Options, f crontab.File, path string) {
		res, err := crontab.Import(o, f)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		for _, j := range res.Jobs {
			checkJob(t, j)
			fmt.Fprintf(&b, "==> %s.yaml <==\n%s\n", j.Name, j.Text)
		}
		b.WriteString("==> notes <==\n")
		if err := spec.Render(&b, "text", res.Notes); err != nil {
			t.Fatal(err)
		}
		golden(t, path, b.String())
	})
}

// checkJob checks that a job file is one that apply takes, and says what the job says.
func checkJob(t testing.TB, j crontab.Job) {
	t.Helper()
	f, err := spec.Load(string(j.Name)+".yaml", j.Text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, j.Text)
	}
	if un := f.Unserved(); len(un) > 0 {
		t.Errorf("%s: %v", j.Name, un[0])
	}
	at := ""
	if len(f.Job.Schedules) > 0 {
		at = f.Job.Schedules[0].At
	}
	if f.Job.Name != j.Name || at != j.Schedule || at != "" && f.Job.Timezone != j.Timezone {
		t.Errorf("the file says %s, %q, %s; the job %s, %q, %s", f.Job.Name, at, f.Job.Timezone, j.Name, j.Schedule, j.Timezone)
	}
	if f.Job.Machine.Isolation != "none" || f.Job.Overlap == "" {
		t.Errorf("%s: isolation %s, overlap %s", j.Name, f.Job.Machine.Isolation, f.Job.Overlap)
	}
}

// TestErrors shows what is wrong with crontabs, all at once, with its place.
func TestErrors(t *testing.T) {
	t.Parallel()
	corpus(t, "errors", func(t *testing.T, o crontab.Options, f crontab.File, path string) {
		res, err := crontab.Import(o, f)
		list, ok := errors.AsType[*spec.Errors](err)
		if !ok {
			t.Fatalf("got %v", err)
		}
		if len(res.Jobs)+len(res.Notes) > 0 {
			t.Errorf("there are errors, and %d jobs", len(res.Jobs))
		}
		var b bytes.Buffer
		if err := spec.Render(&b, "text", list.List); err != nil {
			t.Fatal(err)
		}
		wrong := map[int]bool{}
		for _, e := range list.List {
			wrong[e.Line] = true
		}
		for i, line := range strings.Split(strings.TrimSuffix(string(f.Data), "\n"), "\n") {
			if !strings.HasPrefix(line, "#") && !wrong[i+1] {
				t.Errorf("line %d is taken for right: %s", i+1, line)
			}
		}
		golden(t, path, b.String())
	})
}

// TestPageShowsTheTruth compares the job file on the page with what comes out.
func TestPageShowsTheTruth(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/import.md")
	if err != nil {
		t.Fatal(err)
	}
	part := func(lang string) string {
		_, rest, _ := strings.Cut(string(page), "```"+lang+"\n")
		text, _, found := strings.Cut(rest, "```\n")
		if !found {
			t.Fatalf("the page has no %s", lang)
		}
		return text
	}
	res, err := crontab.Import(
		crontab.Options{As: "alice", Zone: "Europe/Tallinn", Home: homes, Now: theNow},
		crontab.File{Name: "crontab", User: "alice", Data: []byte(part("crontab"))},
	)
	if err != nil || len(res.Jobs) != 1 {
		t.Fatalf("%d jobs, %v", len(res.Jobs), err)
	}
	if d := cmp.Diff(part("yaml"), string(res.Jobs[0].Text)); d != "" {
		t.Error(d)
	}
}
