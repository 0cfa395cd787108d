package agent_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/agent"
	"github.com/dayfly-io/dayfly/internal/fuzztest"
)

// stored is everything in the bucket.
func (a *attempt) stored() (all [][]byte) {
	a.t.Helper()
	for info, err := range a.bucket.List(a.ctx(), "", "") {
		must(a.t, err)
		all = append(all, []byte(info.Key), a.get(info.Key))
	}
	return all
}

// TestEscape lets a job leave every attack in its results: the job succeeds, the file that is beside the attack
// is saved, nothing outside is read, and nothing is waited for.
func TestEscape(t *testing.T) { // not parallel: it measures
	fuzztest.EachAttack(t, saveWhile)
}

func saveWhile(t *testing.T, attack fuzztest.Attack) {
	t.Helper()
	o, a := fuzztest.NewOutside(t), setup(t, "")
	results := filepath.Join(a.cfg.Dir, "results")
	must(t, os.MkdirAll(results, 0o755))
	arena := fuzztest.NewArena(t, results, o)
	a.cfg.Sandbox = &scripted{runs: time.Millisecond}
	arena.Run(attack, func(meanwhile func()) {
		var once sync.Once
		a.watch(func(op, key string) error {
			if op == "Put" && strings.HasPrefix(key, prefix+dayfly.KeyResults) {
				once.Do(meanwhile)
			}
			return nil
		}, nil)
		fuzztest.Bounded(t, func() { must(t, agent.Run(t.Context(), a.cfg)) })
	})
	r := a.verified()
	wantOutcome(t, r, dayfly.Succeeded, 0, "")
	o.Untouched(a.stored()...)
	if got := a.results(r)["plain"]; got != fuzztest.Plain {
		t.Errorf("plain is saved as %q; notes %q", got, r.Notes)
	}
}

// FuzzResults makes any bytes the results of a job: each regular file that is there is saved as it is or named in a
// note, nothing outside is read, and the bounds hold.
func FuzzResults(f *testing.F) {
	for _, p := range fuzztest.TreePrograms() {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		o, a := fuzztest.NewOutside(t), setup(t, "")
		a.cfg.Task.Results = dayfly.ResultLimits{MaxBytes: 1 << 20, MaxFiles: 200}
		a.cfg.Sandbox = &scripted{runs: time.Nanosecond}
		results := filepath.Join(a.cfg.Dir, "results")
		must(t, os.MkdirAll(results, 0o755))
		fuzztest.Tree(t, results, program, o)
		fuzztest.Bounded(t, func() { must(t, agent.Run(t.Context(), a.cfg)) })
		r := a.verified()
		wantOutcome(t, r, dayfly.Succeeded, 0, "")
		o.Untouched(a.stored()...)
		wantAll(t, r, results, a.results(r))
	})
}

// wantAll checks that every regular file of a directory is stored as it is, or named in a note.
func wantAll(t *testing.T, r dayfly.Report, dir string, stored map[string]string) {
	t.Helper()
	notes, files := strings.Join(r.Notes, "\n"), 0
	must(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		name := strings.TrimPrefix(p, dir+"/")
		content, is := stored[name]
		if !is && !strings.Contains(notes, fmt.Sprintf("%q", name)) && !strings.Contains(notes, "more like these") && !strings.Contains(notes, "too many") {
			t.Errorf("%q is neither stored nor in a note: %q", name, r.Notes)
		}
		if !is {
			return nil
		}
		if text, err := os.ReadFile(p); err != nil || string(text) != content {
			t.Errorf("%q is stored as %q and is %q, %v", name, content, text, err)
		}
		return nil
	}))
	if len(stored) > files {
		t.Errorf("%d are stored of %d files", len(stored), files)
	}
}
