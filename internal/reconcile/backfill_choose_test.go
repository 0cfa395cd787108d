package reconcile_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/fake"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// choose gives what a backfill of the days before monday would do, such as "20: 21:failed 22:", by the day.
func (w *world) choose(j dayfly.Job, days int, again reconcile.Rerun) string {
	w.t.Helper()
	all, err := reconcile.Choose(w.t.Context(), w.store, j, w.record(j.Name), monday.AddDate(0, 0, -days), w.now, again, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	var text []string
	for _, c := range all {
		text = append(text, fmt.Sprintf("%s:%s", c.Slot.Format("02"), c.Left))
	}
	return strings.Join(text, " ")
}

// record is that of a job; an empty one where it was never applied.
func (w *world) record(name dayfly.JobName) store.Job {
	w.t.Helper()
	rec, err := w.store.Job(w.t.Context(), name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		w.t.Fatal(err)
	}
	return rec
}

func TestChoose(t *testing.T) {
	t.Parallel()
	midnight := at("0 0 * * *")
	t.Run("slots that ran are left alone, unless they shall run again", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("j", midnight)
		w.exit = func(s machine.Spec) int { return s.Task.Slot.Day() % 2 }
		w.filled(w.fill(j, 1, nights(2)), reconcile.Scope{Slots: true}) // 21 fails, 22 succeeds
		w.now = monday.Add(time.Hour)
		want(t, "none", w.choose(j, 4, reconcile.RerunNone), "19: 20: 21:failed 22:succeeded 23:")
		want(t, "failed", w.choose(j, 4, reconcile.RerunFailed), "19: 20: 21: 22:succeeded 23:")
		want(t, "all", w.choose(j, 4, reconcile.RerunAll), "19: 20: 21: 22: 23:")
	})
	t.Run("one that has a run under way never runs, and what another backfill has does not", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.live = immortal
		j := job("j", midnight)
		w.now = monday.Add(-time.Minute)
		id := w.fill(j, 1, nights(2))
		w.pass()
		want(t, "all", w.choose(j, 3, reconcile.RerunAll), "20: 21:active 22:backfill")
		if err := reconcile.CancelFill(t.Context(), w.store, id, "enough", w.now); err != nil {
			t.Fatal(err)
		}
		want(t, "after it was cancelled", w.choose(j, 3, reconcile.RerunAll), "20: 21:active 22:")
	})
	t.Run("what was missed, skipped or refused did not run", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("j", midnight, catchUp(dayfly.CatchUpNone, 0))
		w.now = monday.AddDate(0, 0, -4).Add(time.Hour)
		w.apply(j)
		w.now = monday.AddDate(0, 0, -2).Add(time.Hour) // 20, 21: missed
		w.pass()
		if _, err := w.Pause(t.Context(), "j", "by ana", time.Time{}); err != nil {
			t.Fatal(err)
		}
		w.now = monday.Add(time.Hour) // 22, 23: skipped
		w.pass()
		want(t, "slots", w.choose(j, 3, reconcile.RerunNone), "20: 21: 22: 23:")
	})
	t.Run("what a scheduler is still to run is its own", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("j", midnight, catchUp(dayfly.CatchUpAll, 36*time.Hour))
		w.now = monday.AddDate(0, 0, -4).Add(time.Hour)
		w.apply(j)
		w.now = monday.Add(time.Hour) // and nobody was there
		want(t, "all within 36h", w.choose(j, 3, reconcile.RerunAll), "20: 21: 22:schedule 23:schedule")
		j = job("j", midnight, catchUp(dayfly.CatchUpLast, 36*time.Hour))
		want(t, "the last", w.choose(j, 3, reconcile.RerunAll), "20: 21: 22: 23:schedule")
	})
	t.Run("a job that was never applied has all slots of its schedule", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.now = monday.Add(time.Second)
		want(t, "slots", w.choose(job("j", midnight), 2, reconcile.RerunNone), "21: 22: 23:")
	})
	t.Run("an array's slot has run when every shard has, and each of them counts", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("j", midnight, array(3, 0))
		w.exit = func(s machine.Spec) int {
			if s.Task.Slot.Day() == 21 && s.Task.Shard == "1" {
				return 1
			}
			return 0
		}
		w.now = monday.Add(-time.Hour)
		w.filled(w.fill(j, 1, nights(2)), reconcile.Scope{Slots: true})
		want(t, "failed", w.choose(j, 3, reconcile.RerunFailed), "20: 21: 22:succeeded")
		want(t, "none", w.choose(j, 3, reconcile.RerunNone), "20: 21:failed 22:succeeded")
		j.Array.Size = 4
		want(t, "one shard more", w.choose(j, 3, reconcile.RerunFailed), "20: 21: 22:")
	})
	t.Run("more than one backfill holds is refused", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		_, err := reconcile.Choose(t.Context(), w.store, job("j", at("* * * * *")), w.record("j"), monday.AddDate(0, 0, -40), monday, reconcile.RerunNone, monday)
		if dayfly.ErrorCode(err) != dayfly.CodeInvalid || !strings.Contains(dayfly.ErrorHint(err), "up to 2026-11-") {
			t.Errorf("%v; %s", err, dayfly.ErrorHint(err))
		}
	})
}

// TestChooseAgain: whatever became of a backfill, the next one of the same time makes good what is missing, and
// then there is nothing more to do.
func TestChooseAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := setup(t)
		j := job("j", at("0 0 * * *"), allow)
		bad := rapid.SliceOfN(rapid.Bool(), 10, 10).Draw(rt, "fails at first")
		tries := map[int]int{}
		w.live = func(machine.Spec) fake.Life { return fake.Life{Run: 5 * time.Second} }
		w.exit = func(s machine.Spec) int {
			day := s.Task.Slot.Day()
			if tries[day]++; bad[day%10] && tries[day] == 1 {
				return 1
			}
			return 0
		}
		w.now = monday.Add(-time.Minute)
		begin := func() (n int) {
			all, err := reconcile.Choose(t.Context(), w.store, j, w.record("j"), monday.AddDate(0, 0, -8), monday.Add(-time.Second), reconcile.RerunFailed, w.now)
			if err != nil {
				t.Fatal(err)
			}
			var slots []time.Time
			for _, c := range all {
				if c.Left == "" {
					slots = append(slots, c.Slot)
				}
			}
			if len(slots) > 0 {
				if err := w.store.PutVersion(t.Context(), j); err != nil {
					t.Fatal(err)
				}
				b := reconcile.Backfill{
					ID: dayfly.BackfillID(fmt.Sprintf("j@FILL%d", w.now.UnixNano())), Job: "j", Version: j.Version(), AtOnce: 2, Slots: reconcile.StepsOf(slots), CreatedAt: w.now,
				}
				if err := reconcile.Fill(t.Context(), w.store, b); err != nil {
					t.Fatal(err)
				}
			}
			return len(slots)
		}
		for range rapid.IntRange(1, 6).Draw(rt, "times") {
			begin()
			for range rapid.IntRange(0, 8).Draw(rt, "passes") {
				w.pass()
				w.now = w.now.Add(4 * time.Second)
			}
		}
		idle := func() {
			for range 1000 {
				w.pass()
				if all, err := reconcile.Fillings(t.Context(), w.store, "j", w.now); err != nil {
					t.Fatal(err)
				} else if !slices.ContainsFunc(all, func(f reconcile.Filling) bool { return f.EndedAt.IsZero() }) {
					return
				}
				w.now = w.now.Add(time.Second)
			}
			rt.Fatal("it never ends")
		}
		idle()
		begin() // those that failed
		idle()
		if n := begin(); n != 0 {
			rt.Errorf("%d slots are left to run", n)
		}
		for day := 15; day < 23; day++ {
			most := 1
			if bad[day%10] {
				most = 2
			}
			if tries[day] != most {
				rt.Errorf("slot %d ran %d times, want %d", day, tries[day], most)
			}
		}
	})
}
