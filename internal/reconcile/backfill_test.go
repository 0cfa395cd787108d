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
)

// nights gives the midnights before monday, the first one n days before it.
func nights(n int) []time.Time {
	var all []time.Time
	for i := range n {
		all = append(all, monday.AddDate(0, 0, i-n))
	}
	return all
}

// fill records a backfill of these slots.
func (w *world) fill(j dayfly.Job, atOnce int, slots []time.Time) dayfly.BackfillID {
	w.t.Helper()
	if err := w.store.PutVersion(w.t.Context(), j); err != nil {
		w.t.Fatal(err)
	}
	id := dayfly.BackfillID(string(j.Name) + "@ABC234")
	b := reconcile.Backfill{ID: id, Job: j.Name, Version: j.Version(), AtOnce: atOnce, Slots: reconcile.StepsOf(slots), By: "ana", CreatedAt: w.now}
	if err := reconcile.Fill(w.t.Context(), w.store, b); err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) filling(id dayfly.BackfillID) reconcile.Filling {
	w.t.Helper()
	all, err := reconcile.Fillings(w.t.Context(), w.store, id.Job(), w.now)
	if err != nil || len(all) != 1 || all[0].ID != id {
		w.t.Fatalf("backfills: %+v, %v", all, err)
	}
	return all[0]
}

// filled passes until the backfill is over, and gives the most machines there were at once.
func (w *world) filled(id dayfly.BackfillID, scope reconcile.Scope) (atOnce int) {
	w.t.Helper()
	for range 10_000 {
		if _, err := w.Pass(w.t.Context(), scope); err != nil {
			w.t.Fatal(err)
		}
		atOnce = max(atOnce, len(w.provider.Alive()))
		if !w.filling(id).EndedAt.IsZero() {
			return atOnce
		}
		w.now = w.now.Add(time.Second)
	}
	w.t.Fatalf("backfill %s never ends: %+v", id, w.filling(id))
	return 0
}

// launches gives the slots in the order of their launches.
func (w *world) launches(name dayfly.JobName) string {
	runs := w.history(name)
	runs = slices.DeleteFunc(runs, func(r dayfly.Run) bool { return r.Attempt() == nil })
	slices.SortStableFunc(runs, func(a, b dayfly.Run) int { return a.Attempt().LaunchedAt.Compare(b.Attempt().LaunchedAt) })
	var days []string
	for _, r := range runs {
		days = append(days, r.Slot.Format("02"))
	}
	return strings.Join(days, " ")
}

func allow(j *dayfly.Job) { j.Overlap = dayfly.OverlapAllow }

func TestBackfill(t *testing.T) {
	t.Parallel()
	everything := reconcile.Scope{Slots: true}
	t.Run("runs each slot as the next n, one after another in the order given", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("j")
		slots := nights(5)
		slices.Reverse(slots)
		id := w.fill(j, 1, slots)
		want(t, "machines at once", w.filled(id, everything), 1)
		want(t, "order", w.launches("j"), "22 21 20 19 18")
		for _, r := range w.history("j") {
			want(t, "outcome of "+string(r.ID), r.Outcome, dayfly.Succeeded)
			want(t, "trigger", r.Trigger, dayfly.TriggerBackfill)
			want(t, "n", r.N, 1)
			want(t, "backfill", r.Backfill, id)
			want(t, "slot that the job sees", r.Attempt().Request.Task.Slot, r.Slot)
		}
		want(t, "done", w.filling(id).Done, 5)
	})
	t.Run("so many slots at once, where runs may overlap", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.live = func(s machine.Spec) fake.Life {
			return fake.Life{Run: time.Duration(5+s.Task.Slot.Day()%3*10) * time.Second}
		}
		want(t, "machines at once", w.filled(w.fill(job("j", allow), 3, nights(9)), everything), 3)
		want(t, "runs", len(w.history("j")), 9)
	})
	t.Run("one after another where they may not, and none is skipped for it", func(t *testing.T) {
		t.Parallel()
		for _, o := range []dayfly.Overlap{dayfly.OverlapSkip, dayfly.OverlapQueue, dayfly.OverlapReplace} {
			w := setup(t)
			j := job("j", func(j *dayfly.Job) { j.Overlap = o })
			w.live = func(machine.Spec) fake.Life { return fake.Life{Run: time.Minute} }
			byHand := w.request(j)
			want(t, "machines at once", w.filled(w.fill(j, 3, nights(6)), everything), 1)
			want(t, "by hand", w.run(byHand).Outcome, dayfly.Succeeded)
			for _, r := range w.history("j") {
				want(t, fmt.Sprintf("%s: %s", o, r.ID), r.Outcome, dayfly.Succeeded)
			}
		}
	})
	t.Run("what waits for its turn stands in no slot's way", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("j", at("0 1 * * *"))
		w.apply(j)
		w.now = monday.Add(time.Hour - time.Minute)
		byHand := w.request(j)
		w.fill(j, 5, nights(5))
		for range 2 {
			w.pass()
		}
		want(t, "by hand", w.run(byHand).State, dayfly.Running)
		want(t, "of the backfill", w.run("j-20261118T000000Z.n1").State, dayfly.Due)
		w.now = monday.Add(time.Hour) // the run by hand has ended, and nobody has looked
		for range 3 {
			w.pass()
		}
		got := w.run("j-20261123T010000Z")
		if got.State != dayfly.Running {
			t.Errorf("the slot is %s %s: %s", got.State, got.Outcome, got.Reason)
		}
	})
	t.Run("of a slot that has runs it takes the next n, and every shard runs", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("j", array(3, 0), at("0 0 * * *"))
		w.apply(j)
		w.now = monday.AddDate(0, 0, 1)
		w.until("j-20261124T000000Z.i2", dayfly.Ended)
		slot := []time.Time{monday.AddDate(0, 0, 1)}
		w.filled(w.fill(j, 1, slot), everything)
		for _, shard := range []string{"0", "1", "2"} {
			r := w.run(dayfly.RunID("j-20261124T000000Z.i" + shard + ".n1"))
			want(t, "outcome of "+string(r.ID), r.Outcome, dayfly.Succeeded)
		}
		want(t, "runs", len(w.history("j")), 6)
	})
	t.Run("a pass over one backfill goes on with that alone", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("j", allow)
		other := w.request(j)
		id := w.fill(j, 1, nights(3))
		scope := reconcile.Scope{Fill: id, Own: true}
		scope.Job = "j"
		w.filled(id, scope)
		want(t, "another run of the job", w.run(other).State, dayfly.Due)
		want(t, "order", w.launches("j"), "20 21 22")
		scope.Fill = "j@OTHER2"
		w.fill(j, 1, nights(3))
		w.now = w.now.Add(time.Hour)
		if _, err := w.Pass(t.Context(), scope); err != nil {
			t.Fatal(err)
		}
		want(t, "runs", len(w.history("j")), 4)
	})
	t.Run("cancelled it makes no more runs, and ends those it has", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.live = immortal
		id := w.fill(job("j", allow), 2, nights(6))
		w.pass()
		for range 2 {
			if err := reconcile.CancelFill(t.Context(), w.store, id, "by ana", w.now); err != nil {
				t.Fatal(err)
			}
		}
		w.filled(id, everything)
		runs := w.history("j")
		want(t, "runs", len(runs), 2)
		for _, r := range runs {
			want(t, "outcome", r.Outcome, dayfly.Canceled)
			want(t, "reason", r.Reason, "by ana")
		}
		want(t, "machines", len(w.provider.Alive()), 0)
		if err := reconcile.CancelFill(t.Context(), w.store, id, "again", w.now); dayfly.ErrorCode(err) != dayfly.CodeRefused {
			t.Errorf("cancelling one that has ended: %v", err)
		}
		w.now = w.now.Add(time.Hour)
		w.pass()
		want(t, "runs an hour later", len(w.history("j")), 2)
	})
	t.Run("it goes when its job is removed", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("j")
		w.apply(j)
		id := w.fill(j, 1, nights(6))
		w.pass()
		if err := w.Remove(t.Context(), "j"); err != nil {
			t.Fatal(err)
		}
		w.filled(id, everything)
		want(t, "runs", len(w.history("j")), 1)
	})
	t.Run("one that failed keeps none from running", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.exit = func(s machine.Spec) int { return s.Task.Slot.Day() % 2 }
		w.filled(w.fill(job("j"), 1, nights(4)), everything)
		want(t, "order", w.launches("j"), "19 20 21 22")
	})
	t.Run("a job without its version stops no other", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		bad := reconcile.Backfill{ID: "a@BAD234", Job: "a", Version: "none", AtOnce: 1, Slots: reconcile.StepsOf(nights(1))}
		if err := reconcile.Fill(t.Context(), w.store, bad); err != nil {
			t.Fatal(err)
		}
		id := w.fill(job("j"), 1, nights(2))
		for range 100 {
			if err := w.tryPass(); err == nil {
				t.Fatal("nobody speaks of the bad one")
			}
			w.now = w.now.Add(time.Second)
		}
		want(t, "done", w.filling(id).Done, 2)
	})
}

// TestBackfillCoversOnce: wherever a pass dies, whoever passes beside it, each slot's shard has one run.
func TestBackfillCoversOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := setup(t)
		w.live = func(machine.Spec) fake.Life { return fake.Life{Run: 5 * time.Second} }
		j := job("j", allow)
		if rapid.Bool().Draw(rt, "array") {
			j.Array = &dayfly.Array{Size: 3, AtOnce: rapid.IntRange(1, 3).Draw(rt, "shards at once")}
		}
		atOnce := rapid.IntRange(1, 4).Draw(rt, "at once")
		slots := nights(rapid.IntRange(1, 12).Draw(rt, "slots"))
		id := w.fill(j, atOnce, slots)
		dead := errors.New("killed")
		nested := false
		for range rapid.IntRange(0, 40).Draw(rt, "steps") {
			left := rapid.IntRange(0, 40).Draw(rt, "calls until it dies")
			beside := rapid.IntRange(0, 40).Draw(rt, "calls until another passes")
			w.store.Fail(nil, func(string) error {
				if nested {
					return nil
				}
				if beside--; beside == 0 {
					nested = true
					w.pass()
					nested = false
				}
				if left--; left < 0 {
					return dead
				}
				return nil
			})
			_ = w.tryPass() // it may have died
			w.store.Fail(nil, nil)
			busy := map[time.Time]bool{}
			for _, m := range w.provider.Alive() {
				busy[w.run(m.Tags.Run).Slot] = true
			}
			if len(busy) > atOnce {
				rt.Errorf("%d slots at once, want %d", len(busy), atOnce)
			}
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 4000).Draw(rt, "milliseconds")) * time.Millisecond)
		}
		w.filled(id, reconcile.Scope{Slots: true})
		seen := map[string]int{}
		for _, r := range w.history("j") {
			seen[r.Slot.String()+string(r.Shard)]++
			if r.Outcome != dayfly.Succeeded {
				rt.Errorf("%s %s: %s", r.ID, r.Outcome, r.Reason)
			}
		}
		for _, slot := range slots {
			for _, shard := range j.Shards() {
				if n := seen[slot.String()+string(shard)]; n != 1 {
					rt.Errorf("slot %s shard %q has %d runs", slot, shard, n)
				}
			}
		}
		if len(seen) != len(slots)*len(j.Shards()) {
			rt.Errorf("%d runs", len(seen))
		}
	})
}

func TestSteps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		slots := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 50), func(n int) time.Time { return monday.Add(time.Duration(n) * time.Hour) }), 1, 30).Draw(t, "slots")
		b := reconcile.Backfill{Slots: reconcile.StepsOf(slots)}
		if b.Count() != len(slots) {
			t.Fatalf("%d slots, want %d", b.Count(), len(slots))
		}
		for i, s := range slots {
			if !b.Slot(i).Equal(s) {
				t.Errorf("slot %d is %s, want %s", i, b.Slot(i), s)
			}
		}
	})
	year := reconcile.StepsOf(nights(365))
	if len(year) != 1 {
		t.Errorf("a year of nights takes %d steps", len(year))
	}
}
