package reconcile_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// damaged is a store in which the records of one job cannot be read, nor those of some runs.
type damaged struct {
	store.Store
	job  dayfly.JobName
	runs map[dayfly.RunID]bool
}

// part leaves out what is damaged and names it, as a store does.
func part[T any](list []T, err error, hurt func(T) bool, damage func(T) store.Damage) ([]T, error) {
	var sound []T
	var broken []store.Damage
	for _, v := range list {
		if hurt(v) {
			broken = append(broken, damage(v))
		} else {
			sound = append(sound, v)
		}
	}
	return sound, errors.Join(err, store.OrDamaged(broken))
}

var errCut = errors.New("unexpected end of JSON input")

func damageOf(r dayfly.Run) store.Damage {
	return store.Damage{Kind: "run", ID: string(r.ID), Job: r.Job, Err: errCut}
}

func (s *damaged) hurts(r dayfly.Run) bool { return r.Job == s.job || s.runs[r.ID] }

func (s *damaged) ActiveRuns(ctx context.Context, scope store.Scope) ([]dayfly.Run, error) {
	all, err := s.Store.ActiveRuns(ctx, scope)
	return part(all, err, s.hurts, damageOf)
}

func (s *damaged) DueJobs(ctx context.Context, scope store.Scope, now time.Time, limit int) ([]store.Job, error) {
	all, err := s.Store.DueJobs(ctx, scope, now, limit)
	return part(all, err, func(j store.Job) bool { return j.Name == s.job }, func(j store.Job) store.Damage {
		return store.Damage{Kind: "job", ID: string(j.Name), Job: j.Name, Err: errCut}
	})
}

func (s *damaged) History(ctx context.Context, f store.Filter) iter.Seq2[dayfly.Run, error] {
	return func(yield func(dayfly.Run, error) bool) {
		for r, err := range s.Store.History(ctx, f) {
			if err == nil && s.hurts(r) {
				r, err = dayfly.Run{}, damageOf(r)
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// TestDamagedRecords: what cannot be read is said in every pass; it stops nothing else, and what it may stand for
// is counted.
func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	hurt := func(t *testing.T, machines int) (*world, *damaged) {
		t.Helper()
		s := &damaged{}
		w := setup(t, func(w *world, c *reconcile.Config) {
			s.Store = w.store
			c.Store, c.Machines = s, machines
		})
		return w, s
	}
	t.Run("beside others that are due", func(t *testing.T) {
		t.Parallel()
		w, s := hurt(t, 0)
		w.apply(job("bad", at("0 1 * * *")))
		w.apply(job("good", at("0 1 * * *")))
		running := w.request(job("bad"))
		w.pass()
		want(t, "the one whose record will be damaged", w.run(running).State, dayfly.Running)
		s.job, w.now = "bad", monday.Add(time.Hour)
		err := w.tryPass()
		for _, named := range []string{"run " + string(running), "job bad"} {
			if err == nil || !strings.Contains(err.Error(), named+": its record is damaged: ") {
				t.Errorf("the pass does not name %s: %v", named, err)
			}
		}
		runs := w.history("good")
		if len(runs) != 1 || runs[0].State == dayfly.Due {
			t.Fatalf("the job beside it has the runs %+v", runs)
		}
		for range 30 {
			w.now = w.now.Add(time.Second)
			_ = w.tryPass()
		}
		want(t, "the run beside it", w.run(runs[0].ID).Outcome, dayfly.Succeeded)
		want(t, "the damaged one", w.run(running).State, dayfly.Running)
		s.job = "" // mended
		want(t, "when it is mended", w.until(running, dayfly.Ended).Outcome, dayfly.Succeeded)
	})
	t.Run("its machine counts", func(t *testing.T) {
		t.Parallel()
		w, s := hurt(t, 2)
		w.request(job("bad"))
		w.pass()
		s.job = "bad"
		first, second := w.request(job("one")), w.request(job("two"))
		_ = w.tryPass()
		want(t, "machines", len(w.provider.Alive()), 2)
		want(t, "the first beside it", w.run(first).State, dayfly.Running)
		want(t, "the second", w.run(second).Reason, "the limit of 2 machines in all")
	})
	t.Run("what is old goes all the same", func(t *testing.T) {
		t.Parallel()
		w, s := hurt(t, 0)
		for _, name := range []dayfly.JobName{"bad", "good", "last"} {
			w.apply(job(name, at("0 6 * * *"), keep(0, 0, 7*day)))
		}
		w.apply(job("hourly", at("0 * * * *"), keep(0, 0, 5*day)))
		w.goOn(4*day + 23*time.Hour)
		underway := w.request(job("bad"))
		w.pass()
		s.runs = map[dayfly.RunID]bool{underway: true}
		hourly := slices.Clip(w.history("hourly"))
		for _, r := range hourly[:110] { // more than are read at a time
			s.runs[r.ID] = true
		}
		for end := w.now.Add(7 * day); w.now.Before(end); w.now = w.now.Add(30 * time.Minute) {
			_ = w.tryPass()
			if runs := w.history("last"); runs[len(runs)-1].State == dayfly.Ended {
				s.runs[runs[len(runs)-1].ID] = true
			}
		}
		want(t, "beside them", w.remains("good"), "28L 29L 30L 1L 2L 3L 4L")
		want(t, "of a job whose last successes are damaged", w.remains("last"), "26L 27L 28L 29L 30L 1L 2L 3L 4L") // 26 is the last that can be read
		hourly = w.history("hourly")
		if oldest := w.now.Add(-(5*day + 13*time.Hour)); !s.runs[hourly[109].ID] || hourly[110].Slot.Before(oldest) {
			t.Errorf("more than a page of damaged records stay, and so do those after them: %s", hourly[110].ID)
		}
		first := w.history("bad")[0]
		want(t, "the first of a job that may be at work with what it left", string(first.ID), "bad-20261123T060000Z")
		want(t, "its log's removal", first.LogsRemoved, dayfly.Removal{})
	})
	t.Run("its job is removed", func(t *testing.T) {
		t.Parallel()
		w, s := hurt(t, 1)
		bad := w.request(job("bad"))
		w.pass()
		w.now = w.now.Add(time.Second)
		waits := w.request(job("bad")) // no machine is free
		w.apply(job("bad", at("0 1 * * *")))
		s.runs = map[dayfly.RunID]bool{bad: true}
		if err := w.Remove(t.Context(), "bad"); err == nil || !strings.Contains(err.Error(), string(bad)) {
			t.Errorf("removing says %v", err)
		}
		if r := w.run(waits); r.CancelAt.IsZero() {
			t.Errorf("a run that has no machine yet is not cancelled: %+v", r)
		}
	})
	t.Run("another run of its job waits", func(t *testing.T) {
		t.Parallel()
		w, s := hurt(t, 0)
		bad := w.request(job("bad"))
		w.pass()
		w.now = w.now.Add(time.Second)
		next := w.request(job("bad"))
		s.runs = map[dayfly.RunID]bool{bad: true}
		if err := w.tryPass(); err == nil || !strings.Contains(err.Error(), string(bad)) {
			t.Errorf("the pass says %v", err)
		}
		alone := reconcile.Scope{Scope: store.Scope{Run: next}, Own: true}
		if _, err := w.Pass(t.Context(), alone); err == nil || !strings.Contains(err.Error(), string(bad)) {
			t.Errorf("a pass for the other run alone says %v", err)
		}
		want(t, "it", w.run(next).State, dayfly.Due)
		want(t, "machines", len(w.provider.Alive()), 1)
	})
	t.Run("the other shards of an array that has begun", func(t *testing.T) {
		t.Parallel()
		w, s := hurt(t, 0)
		w.apply(job("a", at("0 1 * * MON"), array(3, 1), catchUp(dayfly.CatchUpNone, 0)))
		w.now = monday.Add(time.Hour)
		w.pass()
		w.now = w.now.Add(3 * time.Hour)
		if _, err := w.Pass(t.Context(), reconcile.Scope{Glance: true}); err != nil { // sees the end of the first
			t.Fatal(err)
		}
		s.runs = map[dayfly.RunID]bool{"a-20261123T010000Z.i0": true}
		for range 60 {
			_ = w.tryPass()
			w.now = w.now.Add(time.Second)
		}
		for _, r := range w.history("a") {
			want(t, "outcome of "+string(r.ID), r.Outcome, dayfly.Succeeded)
		}
	})
	t.Run("a backfill beside another", func(t *testing.T) {
		t.Parallel()
		w, _ := hurt(t, 0)
		w.fill(job("good"), 1, nights(2))
		if err := w.store.PutNote(t.Context(), store.Note{Key: "backfill/open/bad@ABC234", Value: "{"}); err != nil {
			t.Fatal(err)
		}
		for range 60 {
			if err := w.tryPass(); err == nil || !strings.Contains(err.Error(), "backfill bad@ABC234: its record is damaged: ") {
				t.Fatalf("the pass says %v", err)
			}
			w.now = w.now.Add(time.Second)
		}
		runs := w.history("good")
		want(t, "runs of the one that can be read", len(runs), 2)
		for _, r := range runs {
			want(t, "outcome of "+string(r.ID), r.Outcome, dayfly.Succeeded)
		}
	})
}
