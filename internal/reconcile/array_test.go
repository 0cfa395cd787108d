package reconcile_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/fake"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

func array(size, atOnce int) func(*dayfly.Job) {
	return func(j *dayfly.Job) { j.Array = &dayfly.Array{Size: size, AtOnce: atOnce} }
}

// settleAll passes until no run of the job is active, and gives the most machines that there were at once
// and the order of launches.
func (w *world) settleAll(name dayfly.JobName) (atOnce int, order []string) {
	w.t.Helper()
	seen := map[dayfly.RunID]bool{}
	for range 100_000 {
		w.pass()
		alive := w.provider.Alive()
		atOnce = max(atOnce, len(alive))
		slices.SortFunc(alive, func(a, b dayfly.Machine) int { return w.run(a.Tags.Run).Shard.Compare(w.run(b.Tags.Run).Shard) })
		for _, m := range alive {
			if !seen[m.Tags.Run] {
				seen[m.Tags.Run] = true
				order = append(order, string(w.run(m.Tags.Run).Shard))
			}
		}
		active, err := w.store.ActiveRuns(w.t.Context(), store.Scope{Job: name})
		if err != nil {
			w.t.Fatal(err)
		}
		if len(active) == 0 {
			return atOnce, order
		}
		w.now = w.now.Add(time.Second)
	}
	w.t.Fatal("the job's runs do not end")
	return 0, nil
}

func TestArray(t *testing.T) {
	t.Parallel()
	t.Run("runs once for every shard, so many at once, in the order of their indexes", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(job("a", at("0 1 * * *"), array(12, 3)))
		w.now = monday.Add(time.Hour)
		atOnce, order := w.settleAll("a")
		want(t, "machines at once", atOnce, 3)
		want(t, "order", strings.Join(order, " "), "0 1 2 3 4 5 6 7 8 9 10 11")
		want(t, "machines", w.provider.Launched(), 12)
		for _, r := range w.history("a") {
			want(t, "outcome of "+string(r.ID), r.Outcome, dayfly.Succeeded)
			want(t, "shard of its task", r.Attempt().Request.Task.Shard, r.Shard)
			want(t, "shards of its task", r.Attempt().Request.Task.Shards, 12)
		}
	})
	t.Run("a request counts for itself, and so do retries", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.exit = func(s machine.Spec) int { return s.Task.Attempt }
		j := job("a", array(4, 2), func(j *dayfly.Job) { j.Overlap = dayfly.OverlapAllow })
		w.request(j)
		w.now = w.now.Add(time.Second)
		w.request(j)
		atOnce, _ := w.settleAll("a")
		want(t, "machines at once of two requests", atOnce, 4)
		for _, r := range w.history("a")[:4] {
			if _, err := reconcile.Again(t.Context(), w.store, r.ID, w.now); err != nil {
				t.Fatal(err)
			}
		}
		atOnce, _ = w.settleAll("a")
		want(t, "machines at once of the retries", atOnce, 2)
	})
	t.Run("a shard in backoff leaves its place to others and waits for one again", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.exit = func(s machine.Spec) int { return 2 - s.Task.Attempt }
		w.request(job("a", array(6, 2), retries(2, dayfly.Failed)))
		atOnce, _ := w.settleAll("a")
		want(t, "machines at once", atOnce, 2)
		want(t, "machines", w.provider.Launched(), 12)
	})
	t.Run("other limits hold too", func(t *testing.T) {
		t.Parallel()
		w := setup(t, func(_ *world, c *reconcile.Config) { c.Machines = 2 })
		w.request(job("a", array(6, 4)))
		atOnce, _ := w.settleAll("a")
		want(t, "machines at once", atOnce, 2)
	})
	t.Run("a waiting shard is not stored anew", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.live = immortal
		w.apply(job("a", at("0 1 * * *"), array(50, 1)))
		w.request(job("b", array(50, 1)))
		w.now = monday.Add(time.Hour)
		for range 3 {
			w.pass()
			w.now = w.now.Add(time.Second)
		}
		for _, r := range append(w.history("a")[1:], w.history("b")[1:]...) {
			want(t, "revision of "+string(r.ID), r.Rev, 1)
			want(t, "reason", r.Reason, "its shards run one after another")
		}
	})
	t.Run("many that wait cost a pass neither many writes nor the turn to launch", func(t *testing.T) {
		t.Parallel()
		turns := &crowded{}
		w := setup(t, func(w *world, c *reconcile.Config) {
			turns.Store = w.store
			c.Store, c.Machines = turns, 3
		})
		w.live = immortal
		w.request(job("a", array(350, 0)))
		told := func() (n int) {
			for _, r := range w.history("a") {
				if r.Reason == "the limit of 3 machines in all" {
					n++
				}
			}
			return n
		}
		for _, want := range []int{100, 200, 300, 347} {
			w.pass()
			if got := told(); got != want {
				t.Errorf("%d runs were told what they wait for, want %d", got, want)
			}
		}
		before := turns.asked
		w.pass()
		want(t, "turns to launch while nothing changes", turns.asked-before, 0)
		w.provider.Kill(w.run("a-20261123T000000Z.i0.n1").Attempt().Token)
		w.pass()
		w.pass()
		want(t, "machines when one has gone", len(w.provider.Alive()), 3)
	})
	t.Run("an overlap is one of the same shard", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.live = func(s machine.Spec) fake.Life {
			return fake.Life{Run: time.Second, Immortal: s.Task.Shard == "1"}
		}
		w.apply(job("a", at("0 * * * *"), array(3, 0)))
		w.now = monday.Add(time.Hour)
		w.until("a-20261123T010000Z.i0", dayfly.Ended)
		w.now = monday.Add(2 * time.Hour)
		w.pass()
		var states []string
		for _, r := range w.history("a")[3:] {
			states = append(states, string(r.State)+" "+string(r.Outcome))
		}
		want(t, "the second slot", strings.Join(states, ", "), "running , ended skipped, running ")
	})
}

// TestArrayIsNeverMissedForItsTurn: what has begun in time goes on to its last shard, and what has not is missed whole.
func TestArrayIsNeverMissedForItsTurn(t *testing.T) {
	t.Parallel()
	t.Run("though it takes longer than its window", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.live = func(machine.Spec) fake.Life { return fake.Life{Run: 40 * time.Second} }
		w.apply(job("a", at("0 1 * * MON"), array(6, 1), catchUp(dayfly.CatchUpNone, 0)))
		w.now = monday.Add(time.Hour)
		w.settleAll("a")
		for _, r := range w.history("a") {
			want(t, "outcome of "+string(r.ID), r.Outcome, dayfly.Succeeded)
		}
	})
	t.Run("nor where a pass was killed after one ended and before the next began", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(job("a", at("0 1 * * MON"), array(3, 1), catchUp(dayfly.CatchUpNone, 0)))
		w.now = monday.Add(time.Hour)
		w.pass()
		w.now = w.now.Add(3 * time.Hour)
		if _, err := w.Pass(t.Context(), reconcile.Scope{Glance: true}); err != nil { // sees ends, and launches nothing
			t.Fatal(err)
		}
		want(t, "the first", w.run("a-20261123T010000Z.i0").State, dayfly.Ended)
		want(t, "the second", w.run("a-20261123T010000Z.i1").State, dayfly.Due)
		if n, _ := w.settleAll("a"); n != 1 {
			t.Errorf("%d machines at once", n)
		}
		for _, r := range w.history("a") {
			want(t, "outcome of "+string(r.ID), r.Outcome, dayfly.Succeeded)
		}
	})
	t.Run("nothing of it runs where nothing was launched in time", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(job("a", at("0 1 * * MON"), array(3, 1)))
		w.now = monday.Add(time.Hour)
		launches := errors.New("killed before it launched")
		w.store.Fail(func(op string) error {
			if op == "UpdateRun" {
				return launches
			}
			return nil
		}, nil)
		if err := w.tryPass(); !errors.Is(err, launches) {
			t.Fatal(err)
		}
		w.store.Fail(nil, nil)
		w.now = w.now.Add(2 * time.Hour)
		w.pass()
		for _, r := range w.history("a") {
			want(t, "outcome of "+string(r.ID), r.Outcome, dayfly.Missed)
		}
		want(t, "runs", len(w.history("a")), 3)
	})
}

// TestArrayInBatches: a slot of many shards is stored in several steps, and wherever a pass is killed, the
// next one makes it whole.
func TestArrayInBatches(t *testing.T) {
	t.Parallel()
	const size = 450
	slot := monday.Add(time.Hour)
	for _, c := range []struct {
		name string
		late time.Duration // until the next pass
		want dayfly.State
	}{
		{"a moment later", time.Second, dayfly.Due},
		{"within the window", 50 * time.Minute, dayfly.Due},
		{"too late", 5 * time.Hour, dayfly.Ended},
	} {
		for kill := range 5 {
			t.Run(fmt.Sprintf("%s, killed at %d", c.name, kill), func(t *testing.T) {
				t.Parallel()
				w := setup(t)
				w.live = immortal
				w.apply(job("a", at("0 1 * * *"), array(size, 1)))
				dead := errors.New("killed")
				left := kill
				w.store.Fail(nil, func(op string) error { // it happened, and nobody learns of it
					if op == "InsertRuns" || op == "PutJob" {
						left--
					}
					if left < 0 {
						return dead
					}
					return nil
				})
				w.now = slot
				_ = w.tryPass()
				w.store.Fail(nil, nil)
				w.now = slot.Add(c.late)
				w.pass()
				w.pass()
				waiting, begun := 0, false
				records := map[dayfly.Shard]int{}
				for _, r := range w.history("a") {
					if r.Slot.Equal(slot) {
						records[r.Shard]++
					}
					if r.State == c.want {
						waiting++
					}
					begun = begun || len(r.Attempts) > 0
				}
				ranges, err := w.store.Ranges(t.Context(), "a", time.Time{})
				if err != nil {
					t.Fatal(err)
				}
				if len(ranges) > 0 && len(records) > 0 {
					t.Fatalf("%d shards have runs, and there are ranges %+v", len(records), ranges)
				}
				if len(ranges) > 0 {
					want(t, "shards of the range", ranges[0].Shards, size)
					return
				}
				for i := range size {
					want(t, "records of shard "+strconv.Itoa(i), records[dayfly.Shard(strconv.Itoa(i))], 1)
				}
				if waiting < size-1 && !(c.want == dayfly.Ended && begun) { // what has begun goes on
					t.Errorf("%d runs are %s", waiting, c.want)
				}
			})
		}
	}
	t.Run("ten thousand in one pass, and no other job waits for more", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.live = immortal
		w.apply(job("a", at("0 1 * * *"), array(10_000, 5)))
		for i := range 210 {
			w.apply(job(dayfly.JobName(fmt.Sprintf("b%d", i)), at("0 1 * * *"), array(2, 0)))
		}
		w.now = slot
		s := w.pass()
		want(t, "inserted", s.Inserted, 10_420)
		want(t, "machines", len(w.provider.Alive()), 425)
	})
	t.Run("a backlog counts slots, and is stored a part at a time", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.live = immortal
		w.apply(job("a", at("* * * * *"), array(60, 1), catchUp(dayfly.CatchUpAll, 24*time.Hour)))
		w.now = monday.Add(2 * time.Hour)
		for range 8 {
			if s := w.pass(); s.Inserted > 1100 {
				t.Errorf("%d runs in one pass", s.Inserted)
			}
		}
		want(t, "runs", len(w.history("a")), 100*60)
	})
	t.Run("a kill between a range and the runs before it loses none", func(t *testing.T) {
		t.Parallel()
		for _, op := range []string{"InsertRuns", "PutRange", "PutJob"} {
			w := setup(t)
			w.apply(job("a", at("* * * * *")))
			third := dayfly.Run{
				Job: "a", Slot: monday.Add(3 * time.Minute), Trigger: dayfly.TriggerSchedule, State: dayfly.Ended, Outcome: dayfly.Missed,
			}
			third.ID = dayfly.NewRunID(third.Job, third.Slot, "", 0)
			if _, err := w.store.InsertRuns(t.Context(), []dayfly.Run{third}); err != nil { // of a pass that came no further
				t.Fatal(err)
			}
			w.now = monday.Add(3 * time.Hour) // two are missed before it, and many behind
			dead := false
			w.store.Fail(nil, func(o string) error {
				if dead = dead || o == op; dead {
					return errors.New("killed")
				}
				return nil
			})
			_ = w.tryPass()
			w.store.Fail(nil, nil)
			w.now = w.now.Add(time.Hour)
			w.pass()
			w.exactlyOnce("a", monday, w.now)
		}
	})
}

func TestJitter(t *testing.T) {
	t.Parallel()
	jitter := func(d time.Duration) func(*dayfly.Job) {
		return func(j *dayfly.Job) { j.Jitter = dayfly.Seconds(d) }
	}
	slot := monday.Add(time.Hour)
	t.Run("delays the launch, never the slot, and everybody knows by how much", func(t *testing.T) {
		t.Parallel()
		seen := map[time.Duration]bool{}
		for i := range 20 {
			w := setup(t)
			j := job(dayfly.JobName(fmt.Sprintf("j%d", i)), at("0 1 * * *"), jitter(5*time.Minute), catchUp(dayfly.CatchUpNone, 0))
			w.apply(j)
			w.now = slot
			_, planned, _, _ := reconcile.Plan(j, slot.Add(-time.Second), slot.Add(3*time.Second), nil, 100, false)
			sum := w.pass()
			r := w.history(j.Name)[0]
			delay := j.Delay(installation, slot, "")
			seen[delay] = true
			want(t, "slot", r.Slot, slot)
			want(t, "start", r.NotBefore, slot.Add(delay))
			if delay > 3*time.Second {
				want(t, "start, by another pass", planned[0].NotBefore, r.NotBefore)
			}
			want(t, "start deadline", r.StartDeadline, slot.Add(6*time.Minute))
			want(t, "next", sum.Next, slot.Add(delay))
			want(t, "machines before", len(w.provider.Alive()), 0)
			w.now = slot.Add(delay - time.Millisecond)
			w.pass()
			want(t, "machines a moment before", len(w.provider.Alive()), 0)
			w.now = slot.Add(delay)
			w.pass()
			want(t, "machines", len(w.provider.Alive()), 1)
		}
		if len(seen) < 15 {
			t.Errorf("of 20 jobs only %d begin at instants of their own", len(seen))
		}
	})
	t.Run("spreads over all of its length, in every way of naming a run", func(t *testing.T) {
		t.Parallel()
		j := job("j", jitter(10*time.Second))
		var low, high int
		for i := range 1000 {
			d := j.Delay("here", slot, dayfly.Shard(strconv.Itoa(i)))
			if d < 0 || d >= 10*time.Second || d%time.Millisecond != 0 {
				t.Errorf("delay %s", d)
			}
			if d < time.Second {
				low++
			} else if d >= 9*time.Second {
				high++
			}
		}
		if low < 50 || high < 50 {
			t.Errorf("of 1000 begin %d in the first second and %d in the last", low, high)
		}
		one := j.Delay("here", slot, "")
		want(t, "again", j.Delay("here", slot.In(time.FixedZone("x", 3600)), ""), one)
		if j.Delay("there", slot, "") == one && j.Delay("here", slot.Add(time.Hour), "") == one {
			t.Error("neither the installation nor the slot makes a difference")
		}
		want(t, "none", job("j").Delay("here", slot, ""), 0)
	})
	t.Run("a slot found while it may still begin is on time", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(job("j", at("0 1 * * *"), jitter(5*time.Minute), catchUp(dayfly.CatchUpNone, 0)))
		w.now = slot.Add(5*time.Minute + 59*time.Second)
		want(t, "outcome", w.until("j-20261123T010000Z", dayfly.Ended).Outcome, dayfly.Succeeded)
	})
	t.Run("nor is it late when its machine comes late by the limit", func(t *testing.T) {
		t.Parallel()
		w := setup(t, func(_ *world, c *reconcile.Config) { c.Machines = 1 })
		w.live = func(machine.Spec) fake.Life { return fake.Life{Run: 4 * time.Minute} }
		for i := range 3 {
			w.apply(job(dayfly.JobName(fmt.Sprintf("j%d", i)), at("0 1 * * *"), jitter(10*time.Minute), catchUp(dayfly.CatchUpNone, 0)))
		}
		w.now = slot
		for i := range 3 {
			r := w.until(dayfly.RunID(fmt.Sprintf("j%d-20261123T010000Z", i)), dayfly.Ended)
			switch late := r.EndedAt.Sub(slot) > 11*time.Minute; {
			case r.Outcome == dayfly.Missed && !late:
				t.Errorf("%s is missed %s after its slot: %s", r.ID, r.EndedAt.Sub(slot), r.Reason)
			case r.Outcome != dayfly.Missed && r.Outcome != dayfly.Succeeded:
				t.Errorf("%s %s", r.ID, r.Outcome)
			}
		}
	})
	t.Run("a run that was asked for begins at once", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("j", at("0 1 * * *"), jitter(12*time.Hour))
		w.apply(j)
		first := w.request(j)
		w.pass()
		want(t, "by hand", w.run(first).State, dayfly.Running)
		again, err := reconcile.Again(t.Context(), w.store, w.until(first, dayfly.Ended).ID, w.now)
		if err != nil {
			t.Fatal(err)
		}
		w.pass()
		want(t, "retry", w.run(again.ID).State, dayfly.Running)
	})
}

func TestParams(t *testing.T) {
	t.Parallel()
	params := func(j *dayfly.Job) {
		j.Env = map[string]string{"A": "b"}
		j.Params = map[string]dayfly.Param{
			"digits": {Type: "int", Default: []byte("1000"), Max: "5000"}, "to-year": {Type: "string", Default: []byte(`"$(now)"`)}, "dry": {Type: "bool", Required: new(bool)},
		}
	}
	env := func(r dayfly.Run) string { return fmt.Sprint(r.Attempt().Request.Task.Env) }
	t.Run("reach the job, stay with the record, and come again with a retry", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("pi", params)
		runs, err := reconcile.Request(t.Context(), w.store, j, reconcile.Wish{Params: map[string]string{"digits": "5", "dry": "true"}}, w.now)
		if err != nil {
			t.Fatal(err)
		}
		r := w.until(runs[0].ID, dayfly.Ended)
		want(t, "environment", env(r), "map[A:b DIGITS:5 DRY:true TO_YEAR:$(now)]")
		want(t, "record", fmt.Sprint(r.Params), "map[digits:5 dry:true to-year:$(now)]")
		want(t, "the job's own", fmt.Sprint(j.Env), "map[A:b]")
		again, err := reconcile.Again(t.Context(), w.store, r.ID, w.now)
		if err != nil {
			t.Fatal(err)
		}
		want(t, "environment of the retry", env(w.until(again.ID, dayfly.Ended)), env(r))
	})
	t.Run("the values of one run are not those of the next", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("pi", params, func(j *dayfly.Job) { j.Overlap = dayfly.OverlapAllow })
		var ids []dayfly.RunID
		for _, given := range []map[string]string{{"dry": "true"}, nil} {
			runs, err := reconcile.Request(t.Context(), w.store, j, reconcile.Wish{Params: given}, w.now)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, runs[0].ID)
		}
		w.pass()
		want(t, "environment of the second", env(w.run(ids[1])), "map[A:b DIGITS:1000 TO_YEAR:$(now)]")
	})
	t.Run("a run by schedule has the defaults", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(job("pi", params, at("0 1 * * *")))
		w.now = monday.Add(time.Hour)
		r := w.until("pi-20261123T010000Z", dayfly.Ended)
		want(t, "environment", env(r), "map[A:b DIGITS:1000 TO_YEAR:$(now)]")
	})
	t.Run("what the job does not allow is refused, and nothing is recorded", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		for _, given := range []map[string]string{{"digits": "5001"}, {"digits": "many"}, {"digit": "5"}, {"dry": "yes"}} {
			_, err := reconcile.Request(t.Context(), w.store, job("pi", params), reconcile.Wish{Params: given}, w.now)
			if dayfly.ErrorCode(err) != dayfly.CodeInvalid {
				t.Errorf("%v: %v", given, err)
			}
		}
		want(t, "runs", len(w.history("pi")), 0)
	})
}

func TestRequestsOfAnArray(t *testing.T) {
	t.Parallel()
	w := setup(t)
	j := job("a", array(450, 2))
	ask := func(shards ...dayfly.Shard) []dayfly.Run {
		t.Helper()
		runs, err := reconcile.Request(t.Context(), w.store, j, reconcile.Wish{Shards: shards}, w.now)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runs {
			want(t, "stored under the id that it is given", w.run(r.ID).Shard, r.Shard)
		}
		return runs
	}
	one, all, again := ask("3"), ask(), ask("3") // within one millisecond
	want(t, "one", len(one), 1)
	want(t, "all", len(all), 450)
	ids := map[dayfly.RunID]bool{}
	for _, r := range slices.Concat(one, all, again) {
		ids[r.ID] = true
	}
	want(t, "different runs", len(ids), 452)
	want(t, "records", len(w.history("a")), 452)
	want(t, "the shard that was there", all[3].ID, "a-20261123T000000Z.i3.n2")
}
