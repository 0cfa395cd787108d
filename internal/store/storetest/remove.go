package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// left is an ended run that has left something.
func left(job dayfly.JobName, slot time.Time) dayfly.Run {
	r := ended(job, slot, dayfly.Succeeded)
	r.Attempts = []dayfly.Attempt{{Number: 1, Provider: "local"}}
	return r
}

func recorded(t *testing.T, s store.Store) {
	ctx := t.Context()
	check := func(what string, after dayfly.JobName, limit int, want ...dayfly.JobName) {
		t.Helper()
		same(t, what, must(s.Recorded(ctx, after, limit))(t), want)
	}
	check("of an empty store", "", 10)
	must(s.PutJob(ctx, job("never-ran", at(1))))(t)
	check("of a store with a job that never ran", "", 10)
	put(t, s, left("b", at(0)), left("a-b", at(0)), left("a", at(1)), left("a", at(2)), due("a0", at(0), "", 0))
	for _, name := range []dayfly.JobName{"a1", "b", "c"} {
		ok(t, s.PutRange(ctx, dayfly.Range{Job: name, From: at(0), To: at(20), Count: 21}))
	}
	check("all, by name", "", 10, "a", "a-b", "a0", "a1", "b", "c")
	check("the first two", "", 2, "a", "a-b")
	check("after one", "a0", 2, "a1", "b")
	check("after one that has none", "aa", 10, "b", "c")
	check("after the last", "c", 10)
	ok(t, s.DeleteRuns(ctx, []dayfly.RunID{left("b", at(0)).ID, left("a-b", at(0)).ID}))
	ok(t, s.DeleteRange(ctx, "a1", at(0)))
	check("after some were removed", "", 10, "a", "a0", "b", "c")
}

func marked(t *testing.T, s store.Store) {
	ctx := t.Context()
	r, active := left("pi", at(0)), due("pi", at(1), "", 0)
	put(t, s, r, active)
	r = must(s.Run(ctx, r.ID))(t)
	logs, results := dayfly.Removal{At: at(5), Rule: "keep.logs: 1h"}, dayfly.Removal{At: at(9), Rule: "keep.results: \"2h\""}
	ok(t, s.MarkRemoved(ctx, nil))
	ok(t, s.MarkRemoved(ctx, []store.Mark{{Run: r.ID, Logs: logs}, {Run: active.ID, Logs: logs}, {Run: left("pi", at(7)).ID, Logs: logs}}))
	want := r
	want.LogsRemoved = logs
	got := must(s.Run(ctx, r.ID))(t)
	want.Rev = got.Rev
	same(t, "a run whose log was removed", got, want)
	same(t, "an active run is not marked", must(s.Run(ctx, active.ID))(t).LogsRemoved, dayfly.Removal{})
	_, err := s.Run(ctx, left("pi", at(7)).ID)
	wantErr(t, "a run that was not there", err, store.ErrNotFound)
	same(t, "of which there are logs", ids(read(t, s, store.Filter{Job: "pi", Remains: dayfly.RemainsLogs})), nil)
	same(t, "of which there are results", ids(read(t, s, store.Filter{Job: "pi", Remains: dayfly.RemainsResults})), []dayfly.RunID{r.ID})

	ok(t, s.MarkRemoved(ctx, []store.Mark{{Run: r.ID, Logs: results, Results: results}}))
	want.ResultsRemoved = results // and the mark of the log stays
	got = must(s.Run(ctx, r.ID))(t)
	want.Rev = got.Rev
	same(t, "a run whose results were removed too", got, want)
	same(t, "of which there is anything", ids(read(t, s, store.Filter{Remains: dayfly.RemainsResults | dayfly.RemainsLogs})), nil)
	if _, err := s.UpdateRun(ctx, got); err == nil {
		t.Error("a mark made an ended run changeable")
	}
	if err := s.MarkRemoved(ctx, make([]store.Mark, store.MaxInsert+1)); err == nil {
		t.Errorf("%d marks at once were taken", store.MaxInsert+1)
	}
}

func markRace(t *testing.T, s store.Store) {
	ctx := t.Context()
	r := left("pi", at(0))
	put(t, s, r)
	race(16, func(i int) bool {
		m := store.Mark{Run: r.ID, Logs: dayfly.Removal{At: at(i), Rule: "a"}}
		if i%2 == 0 {
			m = store.Mark{Run: r.ID, Results: dayfly.Removal{At: at(i), Rule: "b"}}
		}
		if err := s.MarkRemoved(ctx, []store.Mark{m}); err != nil {
			t.Errorf("mark %d: %v", i, err)
		}
		return true
	})
	got := must(s.Run(ctx, r.ID))(t)
	if got.LogsRemoved.Rule != "a" || got.ResultsRemoved.Rule != "b" {
		t.Errorf("of many marks there is %+v and %+v", got.LogsRemoved, got.ResultsRemoved)
	}
}

func removed(t *testing.T, s store.Store) {
	ctx := t.Context()
	var many []dayfly.Run
	for i := range 10 {
		many = append(many, left("pi", at(i)))
	}
	active := due("pi", at(20), "", 0)
	put(t, s, append(many, active, left("other", at(0)))...)
	ok(t, s.DeleteRuns(ctx, nil))
	ok(t, s.DeleteRuns(ctx, []dayfly.RunID{many[0].ID, many[3].ID, active.ID, left("pi", at(77)).ID, "../nonsense"}))
	ok(t, s.DeleteRuns(ctx, []dayfly.RunID{many[0].ID}))
	for _, r := range []dayfly.Run{many[0], many[3]} {
		_, err := s.Run(ctx, r.ID)
		wantErr(t, "a removed run", err, store.ErrNotFound)
		_, err = s.UpdateRun(ctx, must(s.Run(ctx, many[1].ID))(t))
		wantErr(t, "a run beside it", err, store.ErrStale)
	}
	want := append([]dayfly.Run{many[1], many[2]}, many[4:]...)
	same(t, "what is left, the oldest first", ids(read(t, s, store.Filter{Job: "pi", Oldest: true})), ids(append(want, active)))
	same(t, "the active one", ids(must(s.ActiveRuns(ctx, store.Scope{}))(t)), []dayfly.RunID{active.ID})
	if n := must(s.LastN(ctx, "pi", many[0].Slot, ""))(t); n != -1 {
		t.Errorf("the last n of a slot whose record was removed: %d", n)
	}
	put(t, s, many[0]) // the place is free again
	if err := s.DeleteRuns(ctx, make([]dayfly.RunID, store.MaxInsert+1)); err == nil {
		t.Errorf("%d removals at once were taken", store.MaxInsert+1)
	}

	r := dayfly.Range{Job: "pi", From: at(0), To: at(20), Count: 21, Outcome: dayfly.Missed}
	ok(t, s.PutRange(ctx, r))
	ok(t, s.DeleteRange(ctx, "pi", at(1)))
	ok(t, s.DeleteRange(ctx, "pi-2", at(0)))
	same(t, "a range beside it", must(s.Ranges(ctx, "", time.Time{}))(t), []dayfly.Range{r})
	ok(t, s.DeleteRange(ctx, "pi", at(0)))
	ok(t, s.DeleteRange(ctx, "pi", at(0)))
	same(t, "ranges after it", must(s.Ranges(ctx, "", time.Time{}))(t), nil)
}

// version is one version of a job among many.
func version(name dayfly.JobName, n int, files string) dayfly.Job {
	return dayfly.Job{Name: name, Run: fmt.Sprint("true # ", n), FilesSHA256: files}
}

// collect looks at all versions, some at a time, and counts what was removed.
func collect(t testing.TB, c store.Collector, now, unused time.Time) (removed int) {
	t.Helper()
	for after := ""; ; {
		last, n, err := c.CollectVersions(t.Context(), after, 3, now, unused)
		ok(t, err)
		if removed += n; last == "" {
			return removed
		}
		if last <= after {
			t.Fatalf("after version %.12s came %.12s", after, last)
		}
		after = last
	}
}

func collected(t *testing.T, s store.Store) {
	c, can := s.(store.Collector)
	if !can {
		return
	}
	ctx := t.Context()
	last, n, err := c.CollectVersions(ctx, "", 10, at(0), at(0))
	if last != "" || n != 0 || err != nil {
		t.Errorf("in an empty store: %q, %d, %v", last, n, err)
	}
	all := map[string]dayfly.Job{}
	for i := range 10 {
		j := version("pi", i, "")
		ok(t, s.PutVersion(ctx, j))
		all[j.Version()] = j
	}
	current, ran, runs, idle := version("pi", 0, ""), version("pi", 1, ""), version("pi", 2, ""), version("pi", 3, "")
	rec := job("pi", at(5))
	rec.Version = current.Version()
	rec = must(s.PutJob(ctx, rec))(t)
	old, active := left("pi", at(0)), due("pi", at(1), "", 0)
	old.Version, active.Version = ran.Version(), runs.Version()
	put(t, s, old, active)
	there := func(what string, want ...dayfly.Job) {
		t.Helper()
		var lost []string
		for _, j := range want {
			if _, err := s.Version(ctx, j.Version()); err != nil {
				lost = append(lost, j.Run)
			}
		}
		same(t, what+": versions that are gone", lost, nil)
	}

	same(t, "removed at the first look", collect(t, c, at(10), at(9)), 0)
	same(t, "removed before its time", collect(t, c, at(20), at(9)), 0)
	ok(t, s.PutVersion(ctx, idle)) // somebody is about to use it
	same(t, "removed", collect(t, c, at(30), at(10)), 6)
	there("after it", current, ran, runs, idle)
	same(t, "removed again", collect(t, c, at(30), at(29)), 0)

	ok(t, s.DeleteRuns(ctx, []dayfly.RunID{old.ID}))
	ok(t, s.DeleteJob(ctx, "pi", rec.Rev))
	same(t, "the job and its run go", collect(t, c, at(40), at(29)), 0)
	same(t, "removed with them", collect(t, c, at(50), at(40)), 3)
	there("at the end", runs)
	if _, err := s.Version(ctx, idle.Version()); err == nil {
		t.Error("a version that nobody used in the end is still there")
	}
}

func archives(t *testing.T, s store.Store) {
	c, can := s.(store.Collector)
	if !can {
		return
	}
	ctx := t.Context()
	names := func(what, sum string, want bool) {
		t.Helper()
		same(t, what, must(c.NamesFiles(ctx, sum))(t), want)
	}
	names("of an empty store", "aa", false)
	ok(t, s.PutVersion(ctx, version("pi", 1, "aa")))
	ok(t, s.PutVersion(ctx, version("pi", 2, "")))
	names("one that a version names", "aa", true)
	names("one that none names", "ab", false)
	names("no name", "", false)
	collect(t, c, at(1), at(0))
	collect(t, c, at(2), at(1))
	names("one whose version was removed", "aa", false)

	one, two := must(c.Refer(ctx))(t), must(c.Refer(ctx))(t)
	_, err := c.Collect(ctx)
	wantErr(t, "collecting while two refer", err, store.ErrBusy)
	one()
	_, err = c.Collect(ctx)
	wantErr(t, "collecting while one refers", err, store.ErrBusy)
	two()
	leave := must(c.Collect(ctx))(t)
	_, err = c.Collect(ctx)
	wantErr(t, "collecting twice", err, store.ErrBusy)
	leave()
	must(c.Refer(ctx))(t)()
	must(c.Collect(ctx))(t)()
}
