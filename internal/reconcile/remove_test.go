package reconcile_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/fake"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

const day = 24 * time.Hour

func keep(results, logs, history time.Duration) func(*dayfly.Job) {
	return func(j *dayfly.Job) {
		j.Keep = dayfly.Keep{Results: dayfly.Seconds(results), Logs: dayfly.Seconds(logs), History: dayfly.Seconds(history)}
	}
}

// goOn lets time pass, with a pass whenever one is due.
func (w *world) goOn(d time.Duration) {
	w.t.Helper()
	for end := w.now.Add(d); w.now.Before(end); {
		next := w.pass().Next
		if next.IsZero() || next.After(end) {
			next = end
		}
		if at := w.provider.NextEnd(); !at.IsZero() && at.Before(next) {
			next = at
		}
		w.now = later(next, w.now.Add(time.Second))
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// results makes every run leave a file.
func (w *world) results(n int) {
	w.leaves = func(s machine.Spec, r *dayfly.Report) {
		for i := range n {
			o := dayfly.Object{Key: fmt.Sprintf("%s%s%06d", s.Task.Prefix, dayfly.KeyResults, i+1), Size: 1, SHA256: sumOfX}
			w.put(o.Key, []byte("x"))
			r.Results = append(r.Results, dayfly.Result{Object: o, Name: fmt.Sprint(i)})
		}
	}
}

const sumOfX = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"

// keys are what lies in the bucket below a prefix.
func (w *world) keys(prefix string) (keys []string) {
	w.t.Helper()
	for o, err := range w.bucket.List(w.t.Context(), prefix, "") {
		if err != nil {
			w.t.Fatal(err)
		}
		keys = append(keys, strings.TrimPrefix(o.Key, prefix))
	}
	return keys
}

// remains says what is left of each day's run of a job: R of results, L of the log, and . of the record.
func (w *world) remains(name dayfly.JobName) string {
	w.t.Helper()
	var days []string
	for _, r := range w.history(name) {
		word := fmt.Sprint(r.Slot.Day())
		keys := w.keys(dayfly.RunPrefix(name, r.ID))
		has := func(part string) bool {
			return slices.ContainsFunc(keys, func(k string) bool { return strings.Contains(k, "/"+part) })
		}
		if has(dayfly.KeyResults) && !r.ResultsRemoved.At.IsZero() || has(dayfly.KeyLog) != r.LogsRemoved.At.IsZero() {
			w.t.Errorf("the record of %s says %+v, %+v; there are %q", r.ID, r.ResultsRemoved, r.LogsRemoved, keys)
		}
		if has(dayfly.KeyResults) {
			word += "R"
		}
		if has(dayfly.KeyLog) {
			word += "L"
		}
		days = append(days, word)
	}
	return strings.Join(days, " ")
}

func TestRemove(t *testing.T) {
	t.Parallel()
	daily := at("0 6 * * *")
	t.Run("what is old goes, the log first, the record last", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.results(2)
		w.apply(job("pi", daily, keep(4*day, 2*day, 8*day)))
		w.goOn(10*day + 23*time.Hour) // to the evening of December 3
		want(t, "remains", w.remains("pi"), "26 27 28 29 30R 1R 2RL 3RL")
		r := w.run("pi-20261129T060000Z")
		want(t, "rule", r.LogsRemoved.Rule, "keep.logs: 2d")
		want(t, "rule", w.run("pi-20261128T060000Z").ResultsRemoved.Rule, "keep.results: 4d")
		if late := r.LogsRemoved.At.Sub(r.EndedAt.Add(2 * day)); late < 0 || late > 12*time.Hour {
			t.Errorf("the log was removed %s after its time", late)
		}
		want(t, "objects of removed records", len(w.keys("runs/pi/pi-20261124T060000Z/")), 0)
		g, ok, err := reconcile.GoneOf(t.Context(), w.store, "pi", w.now)
		if !ok || err != nil || !g.Through.Equal(monday.Add(2*day+6*time.Hour)) || g.Rule != "keep.history: 8d" {
			t.Errorf("it is remembered that %+v is gone (%v)", g, err)
		}
	})
	t.Run("nothing goes where nobody asked", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.results(1)
		w.apply(job("pi", daily))
		w.goOn(400 * day)
		want(t, "runs", len(w.history("pi")), 400)
		want(t, "objects", len(w.keys("runs/")), 400*4) // job.json, log, report, a result
	})
	t.Run("the installation says what jobs leave open", func(t *testing.T) {
		t.Parallel()
		w := setup(t, func(_ *world, c *reconcile.Config) {
			c.Keep = dayfly.Keep{Logs: dayfly.Seconds(day), Results: dayfly.Seconds(day)}
		})
		w.results(1)
		w.apply(job("pi", daily, func(j *dayfly.Job) { j.Keep.Results = dayfly.Forever }))
		w.goOn(4 * day)
		want(t, "remains", w.remains("pi"), "23R 24R 25R 26RL")
		want(t, "rule", w.run("pi-20261123T060000Z").LogsRemoved.Rule, "keep.logs: 1d in the settings")
	})
	t.Run("the last success stays, whatever its age", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.results(1)
		w.exit = func(s machine.Spec) int {
			if s.Task.Slot.Day() == 25 {
				return 0
			}
			return 1
		}
		w.apply(job("pi", daily, keep(day, day, 3*day)))
		w.goOn(20*day + 23*time.Hour)
		want(t, "remains", w.remains("pi"), "25RL 11 12 13RL")
		last := w.history("pi")
		want(t, "the previous success", last[len(last)-1].Attempt().Request.Task.PreviousSuccess, monday.Add(2*day+6*time.Hour))
		w.exit = func(machine.Spec) int { return 0 }
		w.goOn(5 * day)
		want(t, "when it is no more the last", w.remains("pi"), "16 17 18RL")
	})
	t.Run("a run that is repeated stays until that has ended", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.results(1)
		w.exit = func(machine.Spec) int { return 1 }
		j := job("pi", keep(2*time.Hour, 2*time.Hour, 2*time.Hour), func(j *dayfly.Job) { j.Deadline = dayfly.Seconds(9 * time.Hour) })
		w.apply(j)
		id := w.request(j)
		w.until(id, dayfly.Ended)
		w.live = func(machine.Spec) fake.Life { return fake.Life{Run: 5 * time.Hour} }
		again, err := reconcile.Again(t.Context(), w.store, id, w.now)
		if err != nil {
			t.Fatal(err)
		}
		for hour := 0; w.run(again.ID).State != dayfly.Ended; hour++ {
			want(t, fmt.Sprintf("its objects after %d hours", hour), len(w.keys(dayfly.RunPrefix("pi", id))), 4)
			w.goOn(time.Hour)
		}
		w.goOn(20 * time.Hour)
		want(t, "runs after it", len(w.history("pi")), 0)
		want(t, "objects after it", len(w.keys("")), 0)
	})
	t.Run("a slot of long ago is as old as its run", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(job("pi", daily, keep(0, 0, 2*day)))
		w.goOn(time.Hour)
		v := job("pi", daily, keep(0, 0, 2*day)).Version()
		slot := monday.Add(-400 * day)
		old := dayfly.Run{ID: dayfly.NewRunID("pi", slot, "", 1), Job: "pi", Version: v, Slot: slot, N: 1, Trigger: dayfly.TriggerBackfill,
			State: dayfly.Due, CreatedAt: w.now, StartDeadline: w.now.Add(time.Hour), NextAt: w.now}
		if _, err := w.store.InsertRuns(t.Context(), []dayfly.Run{old}); err != nil {
			t.Fatal(err)
		}
		w.until(old.ID, dayfly.Ended)
		w.goOn(day)
		w.run(old.ID)
		w.goOn(3 * day)
		if _, err := w.store.Run(t.Context(), old.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("four days after its end it is still there (%v)", err)
		}
	})
	t.Run("a removed job's runs are kept as it said last", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(job("pi", daily))
		w.goOn(3 * day)
		w.apply(job("pi", daily, keep(0, 0, 2*day)))
		if err := w.Remove(t.Context(), "pi"); err != nil {
			t.Fatal(err)
		}
		w.goOn(day)
		want(t, "runs after a day", w.remains("pi"), "25L")
		w.goOn(4 * day)
		want(t, "runs in the end", len(w.history("pi")), 0)
		want(t, "objects in the end", len(w.keys("")), 0)
		for _, prefix := range []string{"success/", "keep-removed/"} {
			if notes, err := w.store.Notes(t.Context(), prefix, w.now); err != nil || len(notes) > 0 {
				t.Errorf("it is still remembered: %v (%v)", notes, err)
			}
		}
	})
	t.Run("a record stays while the token of its machine is remembered", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.exit = func(machine.Spec) int { return 1 }
		long := func(j *dayfly.Job) { j.Deadline = dayfly.Seconds(30 * time.Hour) }
		w.apply(job("pi", keep(2*time.Hour, 2*time.Hour, 2*time.Hour), long))
		w.until(w.request(job("pi", keep(2*time.Hour, 2*time.Hour, 2*time.Hour), long)), dayfly.Ended)
		w.goOn(29 * time.Hour)
		want(t, "remains before the deadline", w.remains("pi"), "23")
		w.goOn(2 * time.Hour)
		want(t, "remains after it", w.remains("pi"), "")
	})
	t.Run("a slot that nothing else covers keeps its record", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.exit = func(machine.Spec) int { return 1 }
		w.apply(job("pi", daily, keep(0, 0, 2*day)))
		w.goOn(2 * day)
		rec, err := w.store.Job(t.Context(), "pi")
		if err != nil {
			t.Fatal(err)
		}
		rec.Cursor, rec.NextDue = monday.Add(day), monday.AddDate(1, 0, 0) // as a process that was killed leaves it
		if _, err := w.store.PutJob(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		w.until(w.request(job("pi", daily, keep(0, 0, 2*day))), dayfly.Ended)
		w.goOn(5 * day)
		want(t, "remains", w.remains("pi"), "24L")
	})
	t.Run("a range of slots goes with the records", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(job("pi", at("*/10 * * * *"), keep(0, 0, 2*day)))
		w.now = w.now.Add(9 * time.Hour) // nobody was there
		w.goOn(day)
		ranges := func() int {
			all, err := w.store.Ranges(t.Context(), "pi", time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			return len(all)
		}
		want(t, "range records", ranges(), 1)
		w.goOn(2 * day)
		want(t, "range records when they are old", ranges(), 0)
	})
	t.Run("a job that keeps for a shorter time is looked at at once", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(job("pi", daily))
		w.goOn(9 * day)
		w.pass()
		w.apply(job("pi", daily, keep(0, day, 0)))
		w.pass()
		want(t, "remains", w.remains("pi"), "23 24 25 26 27 28 29 30 1L")
	})
}

// A clock that is set years ahead by mistake, and back, removes nothing.
func TestRemoveByAWrongClock(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.apply(job("pi", keep(day, day, day)))
	id := w.request(job("pi", keep(day, day, day), func(j *dayfly.Job) { j.Run = "another" }))
	w.exit = func(machine.Spec) int { return 1 }
	w.until(id, dayfly.Ended)
	w.goOn(time.Hour)
	for range 5 {
		right := w.now
		w.now = w.now.AddDate(9, 0, 0)
		w.pass()
		w.pass()
		w.now = right
		w.goOn(time.Hour)
	}
	want(t, "the log", len(w.keys(dayfly.RunPrefix("pi", id))), 3)
	w.goOn(2 * day)
	want(t, "records when they are old", len(w.history("pi")), 0)
}

// However much there is to remove, a pass removes little, and the next ones go on from there.
func TestRemoveInPieces(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.exit = func(machine.Spec) int { return 1 }
	w.results(1700)
	w.apply(job("pi", keep(day, 0, 0)))
	for range 2 {
		w.until(w.request(job("pi", keep(day, 0, 0))), dayfly.Ended)
	}
	deleted, most, passes := 0, 0, 0
	w.bucket.Fail(func(op, _ string) error {
		if op == "Delete" {
			deleted++
		}
		return nil
	}, nil)
	for end := w.now.Add(3 * day); w.now.Before(end); passes++ {
		before := deleted
		next := w.pass().Next
		most = max(most, deleted-before)
		w.now = later(w.now.Add(time.Second), next)
	}
	want(t, "objects removed", deleted, 2*1700)
	if most > 1000 {
		t.Errorf("one pass removed %d objects", most)
	}
	for _, r := range w.history("pi") {
		want(t, "log of "+string(r.ID), w.keys(dayfly.RunPrefix("pi", r.ID))[1], "1/out/log")
	}
}

// Whatever operation is the last of a process, what the records say of what is left is true or will be,
// and the next process goes on.
func TestRemoveKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	killed := errors.New("killed")
	for n := 0; ; n++ {
		w := setup(t)
		w.results(2)
		w.exit = func(machine.Spec) int { return 1 }
		w.apply(job("pi", at("0 6 * * *")))
		w.goOn(2*day + 7*time.Hour)
		w.apply(job("pi", at("0 6 * * *"), keep(36*time.Hour, 20*time.Hour, 42*time.Hour)))
		left := n
		fail := func() error {
			if left--; left < 0 {
				return killed
			}
			return nil
		}
		w.store.Fail(func(string) error { return fail() }, func(string) error { return fail() })
		w.bucket.Fail(func(_, _ string) error { return fail() }, func(_, _ string) error { return fail() })
		err := w.tryPass()
		w.store.Fail(nil, nil)
		w.bucket.Fail(nil, nil)
		known := map[string]bool{}
		for _, r := range w.history("pi") {
			known[string(r.ID)] = true
			keys := strings.Join(w.keys(dayfly.RunPrefix("pi", r.ID)), " ")
			if !r.ResultsRemoved.At.IsZero() && strings.Contains(keys, dayfly.KeyResults) || !r.LogsRemoved.At.IsZero() && strings.Contains(keys, dayfly.KeyLog) {
				t.Fatalf("killed at operation %d: the record of %s says that more is removed than is: %s", n+1, r.ID, keys)
			}
		}
		for _, k := range w.keys("runs/pi/") {
			if id, _, _ := strings.Cut(k, "/"); !known[id] {
				t.Fatalf("killed at operation %d: %s is there, and no record of it", n+1, k)
			}
		}
		w.goOn(9 * time.Hour)
		want(t, fmt.Sprintf("remains after a kill at operation %d", n+1), w.remains("pi"), "24R 25RL")
		if err == nil {
			if n < 40 {
				t.Errorf("a pass with something to remove took %d operations", n)
			}
			return
		}
	}
}

// What nothing refers to any more goes after a day: versions of jobs, and archives of files.
func TestRemoveWhatIsUnused(t *testing.T) {
	t.Parallel()
	w := setup(t)
	files := func(sum string) func(*dayfly.Job) { return func(j *dayfly.Job) { j.FilesSHA256 = sum } }
	archives := func(what, sums string) {
		t.Helper()
		want(t, "archives "+what, strings.Join(w.keys("files/"), " "), sums)
	}
	w.exit = func(machine.Spec) int { return 1 }
	kept := keep(0, 0, 3*day)
	w.put(dayfly.FilesKey("aa"), []byte("aa"))
	w.put(dayfly.FilesKey("cc"), []byte("cc")) // whoever put it there came no further
	w.apply(job("pi", at("0 6 * * *"), kept, files("aa")))
	leave, err := w.store.Refer(t.Context()) // somebody is about to refer to one, slowly
	if err != nil {
		t.Fatal(err)
	}
	w.goOn(2 * day)
	archives("while somebody refers", "aa cc")
	leave()
	w.put(dayfly.FilesKey("bb"), []byte("bb"))
	w.apply(job("pi", at("0 6 * * *"), kept, files("bb")))
	w.goOn(23 * time.Hour)
	archives("of runs and of the job", "aa bb")
	v := job("pi", at("0 6 * * *"), kept, files("aa")).Version()
	if _, err := w.store.Version(t.Context(), v); err != nil {
		t.Errorf("a version of runs that are kept: %v", err)
	}
	w.goOn(5 * day)
	archives("when those runs are gone", "bb")
	if _, err := w.store.Version(t.Context(), v); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the version when those are gone: %v", err)
	}
}
