package reconcile_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
)

// covers writes what a plan makes of the slots: r run, m missed, [n] a range of n.
func covers(ranges []dayfly.Range, runs []dayfly.Run) string {
	var b strings.Builder
	for _, r := range ranges {
		fmt.Fprintf(&b, "[%d]", r.Count)
	}
	for _, r := range runs {
		if r.State == dayfly.Due {
			b.WriteByte('r')
		} else {
			b.WriteByte('m')
		}
	}
	return b.String()
}

func TestPlan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		policy dayfly.CatchUpPolicy
		within time.Duration
		expr   string
		down   time.Duration // how long nothing looked, up to monday + 30 s
		room   int
		want   string
	}{
		{"on time", dayfly.CatchUpNone, 0, "* * * * *", time.Minute, 100, "r"},
		{"59 s late is on time", dayfly.CatchUpNone, 0, "59 23 * * *", 2 * time.Minute, 100, "m"},
		{"none forgets what is late", dayfly.CatchUpNone, 0, "* * * * *", 5 * time.Minute, 100, "mmmmr"},
		{"last runs the last one", dayfly.CatchUpLast, 24 * time.Hour, "0 * * * *", 5*time.Hour - time.Minute, 100, "mmmmr"},
		{"last runs the last late one", dayfly.CatchUpLast, 24 * time.Hour, "30 * * * *", 5 * time.Hour, 100, "mmmmr"},
		{"last within its window only", dayfly.CatchUpLast, 10 * time.Minute, "30 * * * *", 5 * time.Hour, 100, "mmmmm"},
		{"all runs all", dayfly.CatchUpAll, 24 * time.Hour, "30 * * * *", 5 * time.Hour, 100, "rrrrr"},
		{"all within its window only", dayfly.CatchUpAll, 2 * time.Hour, "30 * * * *", 5 * time.Hour, 100, "mmmrr"},
		{"all waits for room", dayfly.CatchUpAll, 24 * time.Hour, "30 * * * *", 5 * time.Hour, 3, "rrr"},
		{"sixteen are missed one by one", dayfly.CatchUpLast, time.Hour, "30 * * * *", 17 * time.Hour, 100, "mmmmmmmmmmmmmmmmr"},
		{"more are one range", dayfly.CatchUpLast, time.Hour, "30 * * * *", 18 * time.Hour, 100, "[17]r"},
		{"a year of minutes", dayfly.CatchUpLast, time.Hour, "* * * * *", 365 * 24 * time.Hour, 100, "[525599]r"},
		{"nothing due", dayfly.CatchUpAll, time.Hour, "0 12 * * *", time.Hour, 100, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			now := monday.Add(30 * time.Second)
			ranges, runs, upTo, full := reconcile.Plan(job("j", at(c.expr), catchUp(c.policy, c.within)), now.Add(-c.down), now, nil, c.room, false)
			want(t, "slots", covers(ranges, runs), c.want)
			want(t, "full", full, c.room == 3)
			if full {
				want(t, "cursor before the first slot without room", upTo, monday.Add(-90*time.Minute-time.Nanosecond))
			} else {
				want(t, "cursor", upTo, now)
			}
		})
	}
	t.Run("a range leaves out slots that have a run", func(t *testing.T) {
		t.Parallel()
		now := monday.Add(30 * time.Second)
		taken := []reconcile.Taken{{Slot: monday.Add(-30 * time.Minute), Whole: true}, {Slot: monday.Add(-10 * time.Minute), Whole: true}}
		ranges, runs, _, _ := reconcile.Plan(job("j", at("* * * * *")), now.Add(-time.Hour), now, taken, 100, false)
		want(t, "slots", covers(ranges, runs), "[29][19]mmmmmmmmmr")
		want(t, "end of the first", ranges[0].To, monday.Add(-31*time.Minute))
		want(t, "begin of the second", ranges[1].From, monday.Add(-29*time.Minute))
	})
	t.Run("more runs than sixteen are one range, though the slots are few", func(t *testing.T) {
		t.Parallel()
		now := monday.Add(30 * time.Second)
		for size, want := range map[int]string{8: strings.Repeat("m", 16) + strings.Repeat("r", 8), 9: "[2]" + strings.Repeat("r", 9)} {
			j := job("j", at("30 * * * *"), catchUp(dayfly.CatchUpLast, time.Hour), func(j *dayfly.Job) { j.Array = &dayfly.Array{Size: size} })
			ranges, runs, _, _ := reconcile.Plan(j, now.Add(-3*time.Hour), now, nil, 100, false)
			if got := covers(ranges, runs); got != want {
				t.Errorf("of %d shards: %s, want %s", size, got, want)
			}
		}
	})
	t.Run("every shard has its run", func(t *testing.T) {
		t.Parallel()
		j := job("j", at("* * * * *"), func(j *dayfly.Job) { j.Array = &dayfly.Array{Size: 3} })
		_, runs, _, _ := reconcile.Plan(j, monday.Add(-time.Second), monday, nil, 100, false)
		want(t, "slots", covers(nil, runs), "rrr")
		want(t, "id", runs[2].ID, "j-20261123T000000Z.i2")
	})
}

// The reason of slots that were found late is true of each of them.
func TestPlanSaysWhyMissed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy dayfly.CatchUpPolicy
		within time.Duration
		expr   string
		down   time.Duration
		want   string
	}{
		{dayfly.CatchUpNone, 0, "* * * * *", 5 * time.Minute, "found at 2026-11-23T00:00:30Z, too late; catch_up is none"},
		{dayfly.CatchUpLast, time.Hour, "* * * * *", 5 * time.Minute, "found at 2026-11-23T00:00:30Z, too late; catch_up is last, and the last is that of 2026-11-23T00:00:00Z"},
		{dayfly.CatchUpLast, time.Hour, "30 * * * *", 5 * time.Hour, "found at 2026-11-23T00:00:30Z, too late; catch_up is last, and the last is that of 2026-11-22T23:30:00Z"},
		{dayfly.CatchUpLast, 10 * time.Minute, "30 * * * *", 5 * time.Hour, "found at 2026-11-23T00:00:30Z, more than 10m late"},
		{dayfly.CatchUpAll, 2 * time.Hour, "30 * * * *", 30 * time.Hour, "found at 2026-11-23T00:00:30Z, more than 2h late"},
	} {
		now := monday.Add(30 * time.Second)
		ranges, runs, _, _ := reconcile.Plan(job("j", at(c.expr), catchUp(c.policy, c.within)), now.Add(-c.down), now, nil, 100, false)
		missed := 0
		for _, r := range ranges {
			want(t, "reason of a range", r.Reason, c.want)
			missed++
		}
		for _, r := range runs {
			if r.Outcome == dayfly.Missed {
				want(t, "reason", r.Reason, c.want)
				missed++
			}
		}
		want(t, "some are missed", missed > 0, true)
	}
}

// TestPlanCoversOnce: whatever has runs already, of all shards or of some, however little room there is, and
// whether the job changes or not, each slot of each shard up to the plan's cursor is covered once, and what
// is on time runs.
func TestPlanCoversOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := monday.Add(time.Duration(rapid.IntRange(0, 119).Draw(t, "seconds")) * time.Second)
		size := rapid.SampledFrom([]int{0, 0, 0, 1, 3, 20, 600}).Draw(t, "size")
		down := rapid.IntRange(1, 300).Draw(t, "minutes down")
		if size > 3 {
			down = down%20 + 1
		}
		cursor := now.Add(-time.Duration(down) * time.Minute)
		policy := rapid.SampledFrom([]dayfly.CatchUpPolicy{dayfly.CatchUpNone, dayfly.CatchUpLast, dayfly.CatchUpAll}).Draw(t, "policy")
		j := job("j", at("* * * * *"), catchUp(policy, time.Duration(rapid.IntRange(0, 300).Draw(t, "within"))*time.Minute))
		j.Jitter = dayfly.Seconds(time.Duration(rapid.SampledFrom([]int{0, 0, 30, 600}).Draw(t, "jitter")) * time.Second)
		if size > 0 {
			j.Array = &dayfly.Array{Size: size, AtOnce: rapid.IntRange(0, size).Draw(t, "at once")}
		}
		shards := j.Shards()
		var had []reconcile.Taken
		seen := map[dayfly.RunID]int{}
		for m := range down {
			slot := cursor.Truncate(time.Minute).Add(time.Duration(m+1) * time.Minute)
			if slot.After(now) || rapid.IntRange(0, 3).Draw(t, "has runs") > 0 {
				continue
			}
			n := rapid.SampledFrom([]int{1, len(shards), len(shards)}).Draw(t, "how many")
			had = append(had, reconcile.Taken{Slot: slot, Whole: n == len(shards)})
			for _, shard := range shards[:n] {
				seen[dayfly.NewRunID("j", slot, shard, 0)]++
			}
		}
		closing := rapid.Bool().Draw(t, "closing")
		ranges, runs, upTo, full := reconcile.Plan(j, cursor, now, had, rapid.IntRange(0, 20).Draw(t, "room"), closing)
		if full && closing || !full && !upTo.Equal(now) && len(runs) < 1000 {
			t.Fatalf("full %v, closing %v, cursor %s, %d runs", full, closing, upTo, len(runs))
		}
		planned := map[dayfly.RunID]bool{}
		for _, r := range runs {
			if planned[r.ID] = true; seen[r.ID] == 0 { // the insert leaves what is there
				seen[r.ID]++
			}
			if late := now.Sub(r.Slot); late <= dayfly.OnTime && r.State != dayfly.Due {
				t.Errorf("slot %s is on time and %s", r.Slot, r.Outcome)
			}
			if r.Slot.After(upTo) {
				t.Errorf("%s lies after the cursor", r.ID)
			}
		}
		if len(planned) != len(runs) {
			t.Errorf("%d runs, and %d of them different", len(runs), len(planned))
		}
		for _, r := range ranges {
			if max(r.Shards, 1) != len(shards) || r.To.After(upTo) {
				t.Errorf("a range of %d shards up to %s", r.Shards, r.To)
			}
			for slot := r.From; !slot.After(r.To); slot = slot.Add(time.Minute) {
				for _, shard := range shards {
					seen[dayfly.NewRunID("j", slot, shard, 0)]++
				}
			}
		}
		for slot := cursor.Truncate(time.Minute).Add(time.Minute); !slot.After(upTo); slot = slot.Add(time.Minute) {
			for _, shard := range shards {
				if id := dayfly.NewRunID("j", slot, shard, 0); seen[id] != 1 {
					t.Fatalf("%s has %d records", id, seen[id])
				}
			}
		}
	})
}

func TestDowntime(t *testing.T) {
	t.Parallel()
	t.Run("a year away costs milliseconds", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(job("j", at("* * * * *")))
		w.now = w.now.Add(365*24*time.Hour + 30*time.Second)
		began := time.Now()
		s := w.pass()
		if took := time.Since(began); took > time.Second {
			t.Errorf("the pass took %s", took)
		}
		want(t, "missed", s.Missed, 365*24*60-1)
		ranges, err := w.store.Ranges(t.Context(), "j", time.Time{})
		if err != nil || len(ranges) != 1 {
			t.Fatalf("ranges %v, %v", ranges, err)
		}
		want(t, "runs", len(w.history("j")), 1)
	})
	t.Run("caught-up runs come one after another, in slot order", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		for _, o := range []dayfly.Overlap{dayfly.OverlapSkip, dayfly.OverlapQueue, dayfly.OverlapReplace, dayfly.OverlapAllow} {
			j := job(dayfly.JobName("j-"+string(o)), at("0 * * * *"), catchUp(dayfly.CatchUpAll, 24*time.Hour))
			j.Overlap = o
			w.apply(j)
		}
		w.now = w.now.Add(5*time.Hour + 30*time.Minute)
		w.pass()
		want(t, "machines at once", len(w.provider.Alive()), 4)
		for _, o := range []dayfly.Overlap{dayfly.OverlapSkip, dayfly.OverlapQueue, dayfly.OverlapReplace, dayfly.OverlapAllow} {
			var last time.Time
			for _, r := range w.history(dayfly.JobName("j-" + string(o))) {
				r = w.until(r.ID, dayfly.Ended)
				want(t, string(r.ID), r.Outcome, dayfly.Succeeded)
				if r.Attempts[0].LaunchedAt.Before(last) {
					t.Errorf("%s was launched before the one before it was gone", r.ID)
				}
				last = r.EndedAt
			}
		}
	})
	t.Run("a backlog larger than the queue drains", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("j", at("* * * * *"), catchUp(dayfly.CatchUpAll, 24*time.Hour))
		j.Overlap = dayfly.OverlapQueue
		w.apply(j)
		w.now = w.now.Add(2 * time.Hour)
		for w.now.Before(monday.Add(2*time.Hour + 40*time.Minute)) {
			w.pass()
			w.now = w.now.Add(10 * time.Second)
		}
		runs := w.history("j")
		for i, r := range runs {
			want(t, "slot", r.Slot, monday.Add(time.Duration(i+1)*time.Minute))
			if r.State == dayfly.Ended && r.Outcome != dayfly.Succeeded {
				t.Errorf("%s %s: %s", r.ID, r.Outcome, r.Reason)
			}
		}
		if len(runs) != 159 {
			t.Errorf("%d runs", len(runs))
		}
	})
	t.Run("a pass that dies between a range and the cursor doubles nothing", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(job("j", at("* * * * *")))
		w.now = w.now.Add(time.Hour)
		dead := errors.New("killed")
		w.store.Fail(func(op string) error {
			if op == "PutJob" {
				return dead
			}
			return nil
		}, nil)
		for _, step := range []time.Duration{20 * time.Minute, 20 * time.Minute, -95 * time.Minute} {
			if err := w.tryPass(); !errors.Is(err, dead) {
				t.Fatalf("pass: %v", err)
			}
			w.now = w.now.Add(step)
		}
		w.store.Fail(nil, nil)
		w.pass()
		w.now = w.now.Add(2 * time.Hour)
		w.pass()
		w.exactlyOnce("j", monday, w.now)
	})
}

// exactlyOnce checks that every minute in (from, to] is covered by one run or one range.
func (w *world) exactlyOnce(name dayfly.JobName, from, to time.Time) {
	w.t.Helper()
	seen := map[time.Time]int{}
	for _, r := range w.history(name) {
		if r.N == 0 {
			seen[r.Slot]++
		}
	}
	ranges, err := w.store.Ranges(w.t.Context(), name, time.Time{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range ranges {
		n := 0
		for s := r.From; !s.After(r.To); s = s.Add(time.Minute) {
			seen[s]++
			n++
		}
		want(w.t, "count of the range from "+r.From.String(), r.Count, n)
	}
	for s := from.Add(time.Minute); !s.After(to); s = s.Add(time.Minute) {
		if seen[s] != 1 {
			w.t.Errorf("slot %s has %d records", s, seen[s])
		}
		delete(seen, s)
	}
	for s := range seen {
		w.t.Errorf("slot %s was never due", s)
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	t.Run("says what changed", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("j", at("0 1 * * *"))
		want(t, "first", w.apply(j), reconcile.Added)
		want(t, "again", w.apply(j), reconcile.Unchanged)
		j.Run = "false"
		want(t, "edited", w.apply(j), reconcile.Changed)
		c, err := w.Vanish(t.Context(), "j", "because its file is gone")
		if err != nil {
			t.Fatal(err)
		}
		want(t, "paused", c, reconcile.Paused)
		want(t, "back", w.apply(j), reconcile.Resumed)
	})
	t.Run("slots before the first apply were never due", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(job("j", at("* * * * *"), catchUp(dayfly.CatchUpAll, 24*time.Hour)))
		w.pass()
		want(t, "runs", len(w.history("j")), 0)
	})
	t.Run("slots before an edit are covered under the old version", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(job("j", at("30 * * * *"), catchUp(dayfly.CatchUpAll, 24*time.Hour)))
		w.now = w.now.Add(3 * time.Hour)
		w.apply(job("j", at("45 * * * *"), catchUp(dayfly.CatchUpAll, 24*time.Hour)))
		w.now = w.now.Add(time.Hour)
		w.pass()
		var slots []string
		for _, r := range w.history("j") {
			slots = append(slots, r.Slot.Format("15:04"))
		}
		want(t, "slots", strings.Join(slots, " "), "00:30 01:30 02:30 03:45")
	})
	t.Run("a removed job is gone, its waiting runs are cancelled, its machines go on", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("j", at("0 * * * *"), func(j *dayfly.Job) { j.Overlap = dayfly.OverlapQueue })
		w.apply(j)
		running, waiting := w.request(j), w.request(j)
		w.pass()
		if err := w.Remove(t.Context(), "j"); err != nil {
			t.Fatal(err)
		}
		want(t, "running", w.until(running, dayfly.Ended).Outcome, dayfly.Succeeded)
		want(t, "waiting", w.until(waiting, dayfly.Ended).Outcome, dayfly.Canceled)
		w.now = w.now.Add(5 * time.Hour)
		w.pass()
		want(t, "runs", len(w.history("j")), 2)
		if err := w.Remove(t.Context(), "j"); dayfly.ErrorCode(err) != dayfly.CodeNotFound {
			t.Errorf("second removal: %v", err)
		}
	})
	t.Run("an edit or a pause while slots wait to be caught up loses none", func(t *testing.T) {
		t.Parallel()
		for _, pause := range []bool{false, true} {
			w := setup(t)
			w.live = immortal
			j := job("j", at("* * * * *"), catchUp(dayfly.CatchUpAll, 24*time.Hour))
			w.apply(j)
			w.now = w.now.Add(5 * time.Hour)
			w.pass() // the backlog is full now, and the job put off
			w.now = w.now.Add(time.Second)
			if pause {
				if _, err := w.Vanish(t.Context(), "j", "because its file is gone"); err != nil {
					t.Fatal(err)
				}
			}
			edited := j
			edited.Run = "false"
			w.apply(edited)
			w.exactlyOnce("j", monday, w.now)
		}
	})
	t.Run("a clock that steps back repeats nothing", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(job("j", at("* * * * *")))
		for _, step := range []time.Duration{61 * time.Second, -30 * time.Minute, 31 * time.Minute, time.Minute} {
			w.now = w.now.Add(step)
			w.pass()
		}
		w.exactlyOnce("j", monday, w.now)
	})
}

// TestSchedulesOfAJob: what a job file says of a schedule beside its text counts.
func TestSchedulesOfAJob(t *testing.T) {
	t.Parallel()
	next := func(zone string, s dayfly.Schedule) string {
		j := job("j")
		j.Timezone, j.Schedules = zone, []dayfly.Schedule{s}
		set, err := reconcile.Slots(j)
		if err != nil {
			t.Fatal(err)
		}
		slot, ok := set.Next(monday)
		if !ok {
			return "never"
		}
		return slot.UTC().Format("2 Jan 15:04")
	}
	want(t, "the job's zone", next("Asia/Tokyo", dayfly.Schedule{At: "0 12 * * *"}), "23 Nov 03:00")
	want(t, "a zone of its own", next("Asia/Tokyo", dayfly.Schedule{At: "0 12 * * *", Timezone: "Europe/Tallinn"}), "23 Nov 10:00")
	want(t, "no anchor", next("UTC", dayfly.Schedule{At: "@every 7h"}), "23 Nov 02:00") // from 1970 on
	want(t, "an anchor", next("UTC", dayfly.Schedule{At: "@every 7h", Anchor: monday.Add(-time.Hour)}), "23 Nov 06:00")
	want(t, "from", next("UTC", dayfly.Schedule{At: "0 12 * * *", From: monday.AddDate(0, 0, 2)}), "25 Nov 12:00")
	want(t, "until", next("UTC", dayfly.Schedule{At: "0 12 * * *", Until: monday.Add(12 * time.Hour)}), "never")
}
