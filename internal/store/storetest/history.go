package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

func read(t testing.TB, s store.Store, f store.Filter) []dayfly.Run {
	t.Helper()
	var out []dayfly.Run
	for r, err := range s.History(t.Context(), f) {
		out = append(out, must(r, err)(t))
	}
	return out
}

// past is a history of three jobs in which many runs share a slot, in the order of History.
func past() []dayfly.Run {
	var all []dayfly.Run
	outcomes := []dayfly.Outcome{dayfly.Succeeded, dayfly.Failed, dayfly.Succeeded, dayfly.Skipped, dayfly.Succeeded}
	for i := range 40 {
		for k, job := range []dayfly.JobName{"a", "a-b", "b"} {
			r := ended(job, at(i/2), outcomes[(i+k)%len(outcomes)])
			r.N = i % 2
			r.ID = dayfly.NewRunID(r.Job, r.Slot, r.Shard, r.N)
			if r.Outcome != dayfly.Skipped {
				r.Attempts = []dayfly.Attempt{{Number: 1}}
			}
			if i%4 == 1 {
				r.Backfill = dayfly.BackfillID(job) + "@SOME"
			}
			if i%3 == 1 {
				r.LogsRemoved = dayfly.Removal{At: at(99), Rule: "a rule"}
			}
			all = append(all, r)
		}
	}
	all = append(all, due("a", at(20), "", 0), due("b", at(3), "", 7))
	slices.SortFunc(all, func(x, y dayfly.Run) int { return store.PositionOf(&y).Compare(store.PositionOf(&x)) })
	return all
}

func history(t *testing.T, s store.Store) {
	same(t, "the history of an empty store", read(t, s, store.Filter{}), nil)
	all := past()
	shuffled := slices.Clone(all)
	slices.SortFunc(shuffled, func(x, y dayfly.Run) int {
		return strings.Compare(string(x.ID[len(x.ID)-6:])+string(x.Job), string(y.ID[len(y.ID)-6:])+string(y.Job))
	})
	put(t, s, shuffled...)

	for _, f := range []store.Filter{
		{}, {Job: "a"}, {Job: "a-b"}, {Job: "nobody"}, {Outcome: dayfly.Succeeded}, {Outcome: dayfly.Lost},
		{Job: "b", Outcome: dayfly.Failed}, {Since: at(7)}, {Since: at(7).Add(time.Millisecond)}, {Job: "a", Since: at(19)},
		{Until: at(7)}, {Until: at(7).Add(-time.Millisecond), Job: "a"}, {Since: at(3), Until: at(5)}, {Until: at(-1)}, {Until: at(5), Outcome: dayfly.Failed},
		{Remains: dayfly.RemainsLogs}, {Remains: dayfly.RemainsResults, Job: "b"}, {Remains: dayfly.RemainsResults | dayfly.RemainsLogs, Job: "b", Until: at(9), Ended: true},
		{Backfill: "a@SOME"}, {Backfill: "a@SOME", Job: "a", Outcome: dayfly.Failed}, {Backfill: "b@SOME", Since: at(5), Until: at(12)}, {Backfill: "b@OTHER"},
		{Since: at(99)}, {Ended: true}, {Job: "b", Ended: true}, {Job: "a", Outcome: dayfly.Skipped, Since: at(3), Ended: true},
	} {
		for _, before := range []dayfly.RunID{"", all[17].ID, all[len(all)-1].ID, "a-20261122T230959.999Z", "zz-21000101T000000Z"} {
			for _, limit := range []int{0, 7} {
				for _, oldest := range []bool{false, true} {
					f.Before, f.Limit, f.Oldest = before, limit, oldest
					same(t, describeFilter(f), ids(read(t, s, f)), ids(expect(all, f)))
				}
			}
		}
	}
	_, err := first(s.History(t.Context(), store.Filter{Before: "no run"}))
	if err == nil {
		t.Error("a cursor that is not the id of a run was taken")
	}

	same(t, "history in pages", ids(inPages(t, s, store.Filter{Limit: 7})), ids(all))
	slices.Reverse(all)
	same(t, "history in pages, the oldest first", ids(inPages(t, s, store.Filter{Limit: 7, Oldest: true})), ids(all))
}

func inPages(t testing.TB, s store.Store, f store.Filter) (all []dayfly.Run) {
	t.Helper()
	for {
		page := read(t, s, f)
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		f.Before = all[len(all)-1].ID
	}
}

// expect is the filter by brute force.
func expect(all []dayfly.Run, f store.Filter) []dayfly.Run {
	var out []dayfly.Run
	if f.Oldest {
		all = slices.Clone(all)
		slices.Reverse(all)
	}
	for _, r := range all {
		if f.Before != "" {
			_, slot, _, _, _ := f.Before.Parse()
			newer := r.Slot.After(slot) || r.Slot.Equal(slot) && r.ID > f.Before
			if r.ID == f.Before || newer != f.Oldest {
				continue
			}
		}
		left := dayfly.Remains(0)
		if r.State == dayfly.Ended && len(r.Attempts) > 0 {
			left = dayfly.RemainsResults
			if r.LogsRemoved == (dayfly.Removal{}) {
				left |= dayfly.RemainsLogs
			}
		}
		if f.Remains != 0 && left&f.Remains == 0 || !f.Until.IsZero() && r.Slot.After(f.Until) {
			continue
		}
		if f.Job != "" && r.Job != f.Job || f.Outcome != "" && r.Outcome != f.Outcome || f.Ended && r.State != dayfly.Ended {
			continue
		}
		if !f.Since.IsZero() && r.Slot.Before(f.Since) || f.Backfill != "" && r.Backfill != f.Backfill {
			continue
		}
		if f.Limit > 0 && len(out) == f.Limit {
			break
		}
		out = append(out, r)
	}
	return out
}

func describeFilter(f store.Filter) string {
	parts := []string{"history"}
	for name, v := range map[string]string{"job": string(f.Job), "outcome": string(f.Outcome), "before": string(f.Before), "backfill": string(f.Backfill)} {
		if v != "" {
			parts = append(parts, name+"="+v)
		}
	}
	if !f.Since.IsZero() {
		parts = append(parts, "since="+f.Since.Format(time.RFC3339Nano))
	}
	if !f.Until.IsZero() {
		parts = append(parts, "until="+f.Until.Format(time.RFC3339Nano))
	}
	if f.Ended {
		parts = append(parts, "ended")
	}
	if f.Oldest {
		parts = append(parts, "oldest first")
	}
	if f.Remains != 0 {
		parts = append(parts, fmt.Sprintf("remains=%d", f.Remains))
	}
	return strings.Join(parts, " ")
}

func first(seq func(func(dayfly.Run, error) bool)) (got dayfly.Run, err error) {
	for r, e := range seq {
		return r, e
	}
	return got, nil
}

func historyWhile(t *testing.T, s store.Store) {
	ctx := t.Context()
	put(t, s, past()...)
	seen := 0
	for r, err := range s.History(ctx, store.Filter{}) {
		must(r, err)(t)
		if seen++; seen%30 == 1 { // the store is free meanwhile, for readers and writers
			must(s.Run(ctx, r.ID))(t)
			put(t, s, due("new", at(1000+seen), "", 0))
		}
	}
	if want := len(past()); seen != want {
		t.Errorf("saw %d runs, want %d: later slots do not belong to what is already passed", seen, want)
	}
	for r, err := range s.History(ctx, store.Filter{}) {
		must(r, err)(t)
		break // leaving early leaves nothing locked
	}
	put(t, s, due("last", at(1), "", 0))
}

func ranges(t *testing.T, s store.Store) {
	ctx := t.Context()
	same(t, "ranges of an empty store", must(s.Ranges(ctx, "", time.Time{}))(t), nil)
	mk := func(job dayfly.JobName, from, to int) dayfly.Range {
		return dayfly.Range{Job: job, From: at(from), To: at(to), Count: to - from + 1, Outcome: dayfly.Missed,
			Reason: "nobody was there", CreatedAt: at(to + 1)}
	}
	b, a2, a1, ab := mk("b", 0, 50), mk("a", 100, 200), mk("a", 0, 20), mk("a-b", 5, 30)
	for _, r := range []dayfly.Range{b, a2, a1, ab} {
		ok(t, s.PutRange(ctx, r))
	}
	check := func(what string, job dayfly.JobName, since time.Time, want ...dayfly.Range) {
		t.Helper()
		same(t, what, must(s.Ranges(ctx, job, since))(t), want)
	}
	check("all, by job, then from", "", time.Time{}, a1, a2, ab, b)
	check("of one job", "a", time.Time{}, a1, a2)
	check("of no job", "c", time.Time{})
	check("ending at or after", "", at(30), a2, ab, b)
	check("ending after", "", at(30).Add(time.Millisecond), a2, b)
	check("of one job, ending after", "a", at(21), a2)

	grown := mk("a", 0, 90)
	grown.Reason, grown.Shards = "still nobody", 20
	ok(t, s.PutRange(ctx, grown))
	ok(t, s.PutRange(ctx, grown))
	check("after one grew", "a", time.Time{}, grown, a2)
	check("the grown one since", "a", at(21), grown, a2)
	ok(t, s.PutRange(ctx, a1))
	check("after somebody came late with a shorter one", "a", time.Time{}, grown, a2)
	check("the shorter one's end since", "a", at(21), grown, a2)

	odd := mk("c", 0, 20)
	odd.From = odd.From.Add(time.Microsecond)
	if err := s.PutRange(ctx, odd); err == nil {
		t.Error("a range was stored whose first slot is not a whole millisecond")
	}
	check("after one that was refused", "c", time.Time{})
	ok(t, s.DeleteRange(ctx, "a", grown.From))
	check("after one was removed that had grown", "a", time.Time{}, a2)
}

func notes(t *testing.T, s store.Store) {
	ctx := t.Context()
	note := func(key, value string, expires time.Time) store.Note {
		return store.Note{Key: key, Value: value, Expires: expires}
	}
	for _, n := range []store.Note{
		note("suspect/b", "2", at(10)), note("suspect/a", "1", time.Time{}), note("suspect/a/b", "3", at(11)),
		note("suspects", "no", time.Time{}), note("capacity/x", "", at(5)), note("suspect", "folder and note", time.Time{}),
	} {
		ok(t, s.PutNote(ctx, n))
	}
	check := func(what, prefix string, now time.Time, want ...string) {
		t.Helper()
		var got []string
		for _, n := range must(s.Notes(ctx, prefix, now))(t) {
			got = append(got, n.Key+"="+n.Value)
		}
		same(t, what, got, want)
	}
	check("by prefix and key", "suspect/", at(0), "suspect/a=1", "suspect/a/b=3", "suspect/b=2")
	check("a prefix is not a folder", "suspect", at(0), "suspect=folder and note", "suspect/a=1", "suspect/a/b=3", "suspect/b=2", "suspects=no")
	check("all", "", at(0), "capacity/x=", "suspect=folder and note", "suspect/a=1", "suspect/a/b=3", "suspect/b=2", "suspects=no")
	check("none", "x", at(0))
	check("before it expires", "suspect/b", at(10).Add(-time.Millisecond), "suspect/b=2")
	check("when it expires", "suspect/b", at(10))
	check("after it expired", "suspect/", at(10), "suspect/a=1", "suspect/a/b=3")

	ok(t, s.PutNote(ctx, note("suspect/b", "new", at(20))))
	check("a note again", "suspect/b", at(10), "suspect/b=new")
	same(t, "a whole note", must(s.Notes(ctx, "suspect/b", at(10)))(t), []store.Note{note("suspect/b", "new", at(20))})
	ok(t, s.DeleteNote(ctx, "suspect/b"))
	ok(t, s.DeleteNote(ctx, "suspect/b"))
	ok(t, s.DeleteNote(ctx, "never was"))
	check("after a delete", "suspect/", at(0), "suspect/a=1", "suspect/a/b=3")
}

func oddNotes(t *testing.T, s store.Store) {
	ctx := t.Context()
	keys := []string{"a b", "a%", "a_", "a*", "a?", "a\\b", "a//b", "a/../b", ".", "..", "a/", "é", "\u00ff", "a\x01", "a=2F", "a/2F",
		"A", "long/" + strings.Repeat("k", 190), "long/" + strings.Repeat("k", 191), "long/" + strings.Repeat("k", 450), "a\U0010ffff", "a\U0010ffffb"}
	for _, k := range keys {
		ok(t, s.PutNote(ctx, store.Note{Key: k, Value: "of " + k}))
	}
	slices.Sort(keys)
	var got []string
	for _, n := range must(s.Notes(ctx, "", at(0)))(t) {
		got = append(got, n.Key)
		if n.Value != "of "+n.Key {
			t.Errorf("note %q is %q", n.Key, n.Value)
		}
	}
	same(t, "notes", got, keys)
	for _, k := range keys {
		want := 0
		for _, l := range keys {
			if strings.HasPrefix(l, k) {
				want++
			}
		}
		if got := len(must(s.Notes(ctx, k, at(0)))(t)); got != want {
			t.Errorf("%d notes begin with %q, want %d", got, k, want)
		}
	}
}
