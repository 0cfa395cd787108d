package reconcile_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
)

func (w *world) pause(until time.Time) reconcile.Change {
	w.t.Helper()
	c, err := w.Pause(w.t.Context(), "j", "by ana: on holiday", until)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) resume() reconcile.Change {
	w.t.Helper()
	c, err := w.Resume(w.t.Context(), "j")
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// minutes moves the clock on minute by minute, with a pass at each.
func (w *world) minutes(n int) {
	w.t.Helper()
	for range n {
		w.now = w.now.Add(time.Minute)
		w.pass()
	}
}

// skipped counts the slots that are recorded as skipped in the name of the pause, by runs and by ranges.
func (w *world) skipped() (runs, slots, ranges int) {
	w.t.Helper()
	for _, r := range w.history("j") {
		if r.Outcome == dayfly.Skipped && r.Reason == "paused by ana: on holiday" && len(r.Attempts) == 0 {
			runs++
		}
	}
	all, err := w.store.Ranges(w.t.Context(), "j", time.Time{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range all {
		if r.Outcome == dayfly.Skipped && r.Reason == "paused by ana: on holiday" {
			slots, ranges = slots+r.Count, ranges+1
		}
	}
	return runs, slots, ranges
}

func TestPause(t *testing.T) {
	t.Parallel()
	minutely := job("j", at("* * * * *"), catchUp(dayfly.CatchUpAll, 24*time.Hour))
	t.Run("every slot of a pause is skipped when it is due: the first by a run each, the others in one range", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(minutely)
		want(t, "pause", w.pause(time.Time{}), reconcile.Paused)
		want(t, "again", w.pause(time.Time{}), reconcile.Unchanged)
		for n := 1; n <= 40; n++ {
			w.minutes(1)
			runs, slots, ranges := w.skipped()
			if runs != min(n, dayfly.RangeOver) || slots != max(0, n-dayfly.RangeOver) || ranges != min(1, slots) {
				t.Fatalf("after %d slots: %d runs, and %d slots in %d ranges", n, runs, slots, ranges)
			}
		}
		want(t, "resume", w.resume(), reconcile.Resumed)
		want(t, "again", w.resume(), reconcile.Unchanged)
		w.minutes(3)
		want(t, "machines", len(w.provider.Alive()), 1)
		runs, slots, _ := w.skipped()
		want(t, "skipped in the end", runs+slots, 40)
		w.exactlyOnce("j", monday, w.now)
	})
	t.Run("a pause that nobody saw is one range, and is not made up for", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(minutely)
		w.pause(time.Time{})
		w.now = w.now.Add(9 * time.Hour)
		w.resume()
		runs, slots, ranges := w.skipped()
		if runs != 0 || slots != 540 || ranges != 1 {
			t.Errorf("%d runs, and %d slots in %d ranges", runs, slots, ranges)
		}
		w.pass()
		want(t, "runs", len(w.history("j")), 0)
		w.exactlyOnce("j", monday, w.now)
	})
	t.Run("a pause with an end skips the slots before it, whoever comes when", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(minutely)
		w.pause(monday.Add(30 * time.Minute))
		w.now = w.now.Add(32 * time.Minute)
		w.pass()
		_, slots, _ := w.skipped()
		want(t, "skipped", slots, 29)
		runs := w.history("j")
		want(t, "runs", len(runs), 3) // of :30, :31 and :32
		want(t, "the first", runs[0].ID, "j-20261123T003000Z")
		want(t, "resuming what is not paused", w.resume(), reconcile.Unchanged)
		w.exactlyOnce("j", monday, w.now)
	})
	t.Run("what was there before goes on, and a run by hand is no slot", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := minutely
		j.Overlap = dayfly.OverlapQueue
		w.apply(j)
		w.minutes(1)
		waits := w.request(j)
		w.pause(time.Time{})
		byHand := w.request(j)
		for _, id := range []dayfly.RunID{"j-20261123T000100Z", waits, byHand} {
			want(t, string(id), w.until(id, dayfly.Ended).Outcome, dayfly.Succeeded)
		}
	})
	t.Run("an edit leaves it, and so does the file's absence", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(minutely)
		w.pause(time.Time{})
		edited := minutely
		edited.Run = "false"
		want(t, "an edit", w.apply(edited), reconcile.Changed)
		if _, err := w.Vanish(t.Context(), "j", "because its file is gone"); err != nil {
			t.Fatal(err)
		}
		w.minutes(2)
		want(t, "back again", w.apply(edited), reconcile.Changed)
		w.minutes(1)
		runs, _, _ := w.skipped()
		want(t, "skipped", runs, 3)
		w.resume()
		w.minutes(1)
		want(t, "machines", len(w.provider.Alive()), 1)
	})
	t.Run("a job whose file is gone stays paused when a person resumes it", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(minutely)
		if _, err := w.Vanish(t.Context(), "j", "because its file is gone"); err != nil {
			t.Fatal(err)
		}
		want(t, "nobody paused it", w.resume(), reconcile.Unchanged)
		w.pause(time.Time{})
		want(t, "resumed", w.resume(), reconcile.Resumed)
		w.minutes(1)
		runs := w.history("j")
		want(t, "runs", len(runs), 1)
		want(t, "reason", runs[0].Reason, "paused because its file is gone")
		want(t, "the file is back", w.apply(minutely), reconcile.Resumed)
		w.minutes(1)
		want(t, "machines", len(w.provider.Alive()), 1)
	})
	t.Run("a pass that read the job before it was resumed skips none of the slots that come after", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(minutely)
		w.pause(time.Time{})
		w.now = w.now.Add(time.Minute)
		w.store.Fail(nil, func(op string) error {
			if op == "DueJobs" {
				w.store.Fail(nil, nil)
				w.resume()
				w.now = w.now.Add(time.Minute)
			}
			return nil
		})
		w.pass()
		w.pass()
		runs := w.history("j")
		want(t, "runs", len(runs), 2)
		want(t, "during the pause", runs[0].Outcome, dayfly.Skipped)
		want(t, "after it", runs[1].State, dayfly.Running)
		w.exactlyOnce("j", monday, w.now)
	})
	t.Run("a job that is not there, or has no schedule, cannot be paused", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		if _, err := w.Pause(t.Context(), "j", "by ana", time.Time{}); dayfly.ErrorCode(err) != dayfly.CodeNotFound {
			t.Errorf("pause: %v", err)
		}
		if _, err := w.Resume(t.Context(), "j"); dayfly.ErrorCode(err) != dayfly.CodeNotFound {
			t.Errorf("resume: %v", err)
		}
	})
}

// TestPauseCoversOnce: whenever somebody pauses, resumes, edits and passes, and wherever a process dies
// over it, each slot has one record, and a slot of a pause is skipped.
func TestPauseCoversOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := setup(t)
		w.t = t
		j := job("j", at("* * * * *"), catchUp(rapid.SampledFrom([]dayfly.CatchUpPolicy{dayfly.CatchUpNone, dayfly.CatchUpLast, dayfly.CatchUpAll}).Draw(rt, "policy"), 2*time.Hour))
		if rapid.Bool().Draw(rt, "array") {
			j.Array = &dayfly.Array{Size: 2}
		}
		j.Overlap = dayfly.OverlapAllow
		w.apply(j)
		type held struct{ from, until time.Time }
		var pauses []held
		dead := errors.New("killed")
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0:
				until := time.Time{}
				if rapid.Bool().Draw(rt, "ends") {
					until = w.now.Add(time.Duration(rapid.IntRange(1, 7200).Draw(rt, "seconds paused")) * time.Second)
				}
				if n := len(pauses); n > 0 && pauses[n-1].until.After(w.now) {
					pauses[n-1].until = w.now.Add(time.Nanosecond) // another one takes its place
				}
				w.pause(until)
				if pauses = append(pauses, held{w.now, until}); until.IsZero() {
					pauses[len(pauses)-1].until = w.now.AddDate(1, 0, 0)
				}
			case 1:
				w.resume()
				if n := len(pauses); n > 0 && pauses[n-1].until.After(w.now) {
					pauses[n-1].until = w.now.Add(time.Nanosecond)
				}
			case 2:
				j.Run += "x"
				w.apply(j)
			case 3, 4:
				left := rapid.IntRange(0, 30).Draw(rt, "calls until it dies")
				w.store.Fail(nil, func(string) error {
					if left--; left < 0 {
						return dead
					}
					return nil
				})
				_ = w.tryPass() // it may have died
				w.store.Fail(nil, nil)
			case 5:
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 2400).Draw(rt, "seconds on")) * time.Second)
			}
		}
		w.pass()
		paused := func(slot time.Time) bool {
			for _, p := range pauses {
				if slot.After(p.from) && slot.Before(p.until) {
					return true
				}
			}
			return false
		}
		seen := map[time.Time]int{}
		for _, r := range w.history("j") {
			seen[r.Slot]++
			if got := r.Outcome == dayfly.Skipped; got != paused(r.Slot) {
				rt.Errorf("slot %s of %s %s: %s, paused %v", r.Slot, r.ID, r.State, r.Outcome, paused(r.Slot))
			}
		}
		ranges, err := w.store.Ranges(t.Context(), "j", time.Time{})
		if err != nil {
			rt.Fatal(err)
		}
		for _, r := range ranges {
			n := 0
			for s := r.From; !s.After(r.To); s = s.Add(time.Minute) {
				n++
				seen[s] += len(j.Shards())
				if got := r.Outcome == dayfly.Skipped; got != paused(s) {
					rt.Errorf("slot %s in a range %s, paused %v", s, r.Outcome, paused(s))
				}
			}
			if n != r.Count {
				rt.Errorf("the range from %s to %s counts %d", r.From, r.To, r.Count)
			}
		}
		rec, err := w.store.Job(t.Context(), "j")
		if err != nil {
			rt.Fatal(err)
		}
		for s := monday.Add(time.Minute); !s.After(rec.Cursor); s = s.Add(time.Minute) { // others wait to be caught up
			if seen[s] != len(j.Shards()) {
				rt.Errorf("slot %s has %d records", s, seen[s])
			}
		}
	})
}
