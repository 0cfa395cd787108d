package reconcile_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// TestPreviewIsWhatApplyingDoes compares what a preview says with what is done then, over any files and records:
// jobs that move between files, broken files, pauses of people, jobs that were never applied.
func TestPreviewIsWhatApplyingDoes(t *testing.T) {
	t.Parallel()
	seen := map[reconcile.Change]int{}
	rapid.Check(t, func(rt *rapid.T) {
		w := setup(t)
		for range rapid.IntRange(1, 6).Draw(rt, "turns") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 90).Draw(rt, "minutes")) * time.Minute)
			disturb(rt, w)
			files := someFiles(rt)
			prune := rapid.Bool().Draw(rt, "prune")
			for _, e := range reconcile.Preview(w.all(), files, prune, w.now) {
				if got := w.carryOut(e); got != e.Change {
					rt.Fatalf("%s: %s, and %s was said", e.Name, got, e.Change)
				}
				seen[e.Change]++
			}
			for _, e := range reconcile.Preview(w.all(), files, prune, w.now) {
				if e.Change != reconcile.Unchanged {
					rt.Fatalf("once more %s: %s", e.Name, e.Change)
				}
			}
		}
	})
	for _, c := range []reconcile.Change{reconcile.Added, reconcile.Changed, reconcile.Resumed, reconcile.Unchanged, reconcile.Paused, reconcile.Removed} {
		if seen[c] == 0 {
			t.Errorf("nothing was %s", c)
		}
	}
}

// someFiles are job files in one directory, some of them named one by one, and what became of them.
func someFiles(t *rapid.T) reconcile.Files {
	f := reconcile.Files{Says: map[string]dayfly.JobName{}, Missing: func(string) bool { return true }}
	names := []dayfly.JobName{"a", "b", "c"}
	if rapid.Bool().Draw(t, "whole directory") {
		f.Dirs = []string{"/jobs"}
	}
	for i := range 4 {
		path := fmt.Sprintf("/jobs/%d.yaml", i)
		switch rapid.IntRange(0, 4).Draw(t, path) {
		case 0: // not there, or not named
		case 1:
			f.Says[path] = ""
		default:
			if len(names) == 0 {
				continue
			}
			at := rapid.IntRange(0, len(names)-1).Draw(t, "name")
			f.Says[path] = names[at]
			f.Jobs = append(f.Jobs, reconcile.Wanted{Source: path, Job: job(names[at], func(j *dayfly.Job) {
				j.Run = rapid.SampledFrom([]string{"one", "two"}).Draw(t, "version")
				j.Schedules = []dayfly.Schedule{{At: "*/20 * * * *"}}
			})})
			names = slices.Delete(names, at, at+1)
		}
	}
	return f
}

// disturb lets people do something in between.
func disturb(t *rapid.T, w *world) {
	name := rapid.SampledFrom([]dayfly.JobName{"a", "b", "c"}).Draw(t, "of")
	rec, err := w.store.Job(w.t.Context(), name)
	switch there := err == nil; rapid.IntRange(0, 5).Draw(t, "deed") {
	case 0:
		if there && rec.Scheduled {
			if _, err := w.Pause(w.t.Context(), name, "by ana", time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
	case 1:
		if there && rec.Scheduled {
			if _, err := w.Pause(w.t.Context(), name, "by ana", w.now.Add(30*time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
	case 2:
		if there && rec.Scheduled {
			if _, err := w.Resume(w.t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	case 3: // run FILE
		if !there {
			if _, err := w.store.PutJob(w.t.Context(), store.Job{Name: name, Version: "x", Source: "/jobs/0.yaml"}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// all are the records of all jobs.
func (w *world) all() []store.Job {
	w.t.Helper()
	jobs, err := w.store.Jobs(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return jobs
}

// carryOut does what apply does about one job.
func (w *world) carryOut(e reconcile.Effect) reconcile.Change {
	w.t.Helper()
	var err error
	done := reconcile.Removed
	switch e.Change {
	case reconcile.Removed:
		err = w.Remove(w.t.Context(), e.Name)
	case reconcile.Paused:
		done, err = w.Vanish(w.t.Context(), e.Name, "because "+e.Why)
	default:
		done, err = w.Apply(w.t.Context(), e.Job, e.Source)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return done
}
