package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// Damages is what a disk, or another program, may make of a record's text. (What store.FuzzRecords reads as the
// same, a store makes no different: these are the kinds.)
var Damages = map[string]string{
	"nothing":     "",
	"half":        `{"id":"a-20261122T230000Z","job":"a","name":"a","slot":"2026-11-2`,
	"no text":     "\x00\xff\xfe\x00",
	"no record":   `[null]`,
	"another":     `{"id":"z-20261122T230000Z","job":"z","name":"z","slot":"2026-11-22T23:00:00Z","from":"2026-11-22T23:00:00Z","state":"due"}`,
	"wrong types": `{"id":7,"job":{},"name":[],"slot":"yesterday","from":false,"state":1}`,
}

// Damaged is for a store of which a test can damage records: hurt replaces the text of each record of job a, and of its
// version if that is not empty, and gives the store as it is then. What is damaged is named, never taken for another,
// and the others are there in every list. A store with columns keeps revisions, and what it selects by, beside the text.
func Damaged(t *testing.T, text string, columns bool, s store.Store, hurt func(version string) store.Store) {
	ctx := t.Context()
	version := recordsOf(t, s, "a", "b")
	other := map[dayfly.JobName]string{}
	for _, name := range []dayfly.JobName{"a", "b"} { // to which nobody refers, but a's record may
		v := dayfly.Job{Name: name, Run: "false"}
		ok(t, s.PutVersion(ctx, v))
		other[name] = v.Version()
	}
	another := text == Damages["another"]
	if another { // which version it is only its key tells
		s = hurt("")
	} else {
		s = hurt(version)
	}
	lists(t, s)
	dueWithDamage(t, s, columns)
	historyWithDamage(t, s, columns)
	_, err := s.Run(ctx, "a-20261122T230000Z")
	WantDamage(t, err, "run a-20261122T230000Z")
	_, err = s.Run(ctx, "a-20261121T230000Z") // ended
	WantDamage(t, err, "run a-20261121T230000Z")
	_, err = s.Job(ctx, "a")
	WantDamage(t, err, "job a")
	if _, err = s.Version(ctx, version); !another {
		WantDamage(t, err, "version "+version)
		_, err = s.Versions(ctx, []string{version})
		WantDamage(t, err, "version "+version)
	}
	collectWithDamage(t, s, version, other)
	jobsOver(t, s, columns)
	runsOver(t, s)
	rangesOver(t, s)
	goesOn(t, s)
	ok(t, s.PutVersion(ctx, dayfly.Job{Name: "a", Run: "true"}))
	_, err = s.Version(ctx, version) // mended
	ok(t, err)
}

// collectWithDamage collects what nothing refers to: a damaged record of a job may refer to any of its versions.
func collectWithDamage(t *testing.T, s store.Store, version string, other map[dayfly.JobName]string) {
	t.Helper()
	c, collects := s.(store.Collector)
	if !collects {
		return
	}
	ctx := t.Context()
	for range 2 { // found unused, and removed
		_, _, err := c.CollectVersions(ctx, "", 100, epoch, epoch)
		ok(t, err)
	}
	_, err := s.Version(ctx, other["a"])
	ok(t, err)
	_, err = s.Version(ctx, other["b"])
	wantErr(t, "a version that nothing refers to", err, store.ErrNotFound)
	if _, err = s.Version(ctx, version); errors.Is(err, store.ErrNotFound) {
		t.Error("the version of a damaged job is removed")
	}
}

// recordsOf stores of each job a version, a record, a run that has ended, one that has not, and a range record.
// The first job is due before the second. It gives the first one's version.
func recordsOf(t *testing.T, s store.Store, names ...dayfly.JobName) string {
	t.Helper()
	ctx, first := t.Context(), ""
	for i, name := range names {
		v := dayfly.Job{Name: name, Run: "true"}
		first = strings.TrimSpace(first + " " + v.Version())
		ok(t, s.PutVersion(ctx, v))
		_, err := s.PutJob(ctx, store.Job{Name: name, Version: v.Version(), Scheduled: true, NextDue: at(i)})
		ok(t, err)
		runs := make([]dayfly.Run, 2)
		for i, r := range []dayfly.Run{due(name, epoch, "", 0), ended(name, epoch.AddDate(0, 0, -1), dayfly.Failed)} {
			r.Version, runs[i] = v.Version(), r
		}
		put(t, s, runs...)
		ok(t, s.PutRange(ctx, rangeTo(name, 16)))
	}
	return strings.Fields(first)[0]
}

// rangeTo is a range record of a slot each minute.
func rangeTo(name dayfly.JobName, minutes int) dayfly.Range {
	return dayfly.Range{Job: name, From: epoch, To: at(minutes), Count: minutes + 1, Outcome: dayfly.Missed}
}

// lists asks for everything: of each list the damaged record is named and the other is there.
func lists(t *testing.T, s store.Store) {
	t.Helper()
	ctx := t.Context()
	want := func(what string, got []string, err error, sound string, damaged ...string) {
		t.Helper()
		if !slices.Equal(got, strings.Fields(sound)) {
			t.Errorf("%s: %v, want %v", what, got, sound)
		}
		WantDamage(t, err, damaged...)
		if list, ok := errors.AsType[*store.DamagedError](err); !ok || len(list.Records) != len(damaged) || list.Records[0].Job != "a" {
			t.Errorf("%s: the damaged are %+v", what, list)
		}
	}
	jobs, err := s.Jobs(ctx)
	want("jobs", textOf(jobs, func(j store.Job) any { return j.Name }), err, "b", "job a")
	jobs, err = s.DueJobs(ctx, store.Scope{}, at(1), 10)
	want("due jobs", textOf(jobs, func(j store.Job) any { return j.Name }), err, "b", "job a")
	runs, err := s.ActiveRuns(ctx, store.Scope{})
	want("active runs", textOf(runs, func(r dayfly.Run) any { return r.ID }), err, "b-20261122T230000Z", "run a-20261122T230000Z")
	runs, err = s.ActiveRuns(ctx, store.Scope{Run: "a-20261122T230000Z"})
	want("one active run", textOf(runs, func(r dayfly.Run) any { return r.ID }), err, "", "run a-20261122T230000Z")
	if runs, err = s.ActiveRuns(ctx, store.Scope{Run: "a-20261121T230000Z"}); err != nil || len(runs) > 0 {
		t.Errorf("a damaged run that has ended is active: %v, %v", runs, err)
	}
	ranges, err := s.Ranges(ctx, "", time.Time{})
	want("ranges", textOf(ranges, func(r dayfly.Range) any { return r.Job }), err, "b", "range a from 2026-11-22T23:00:00Z")
	ranges, err = s.Ranges(ctx, "a", at(16))
	want("ranges that end then", textOf(ranges, func(r dayfly.Range) any { return r.Job }), err, "", "range a from 2026-11-22T23:00:00Z")
	if ranges, err = s.Ranges(ctx, "a", at(17)); err != nil || len(ranges) > 0 {
		t.Errorf("a damaged range that ends before is in the way: %v, %v", ranges, err)
	}
}

// dueWithDamage asks what is due. Of the damaged job only a column can tell when it is.
func dueWithDamage(t *testing.T, s store.Store, columns bool) {
	t.Helper()
	ctx, next, sound, damaged := t.Context(), at(1), []dayfly.JobName{"b"}, []string(nil)
	if columns {
		next, sound, damaged = at(0), nil, []string{"job a"}
	}
	if got, err := s.NextDue(ctx); err != nil || !got.Equal(next) {
		t.Errorf("the next that is due: %s, %v, want %s", got, err, next)
	}
	jobs, err := s.DueJobs(ctx, store.Scope{}, at(1), 1)
	same(t, "one due job", names(jobs), sound)
	if WantDamage(t, err, damaged...); damaged == nil {
		ok(t, err)
	}
	jobs, err = s.DueJobs(ctx, store.Scope{}, at(0), 2)
	same(t, "due jobs before the sound one", names(jobs), nil)
	WantDamage(t, err, "job a")
}

// historyWithDamage asks for the history by each filter. Some that a damaged run does not pass only a column can tell.
func historyWithDamage(t *testing.T, s store.Store, columns bool) {
	t.Helper()
	const newer, older = "damaged:a-20261122T230000Z", "damaged:a-20261121T230000Z"
	type filter = store.Filter
	for _, c := range []struct {
		f          filter
		want, more string // more: where there are no columns
	}{
		{filter{}, "b-20261122T230000Z " + newer + " b-20261121T230000Z " + older, ""},
		{filter{Job: "b"}, "b-20261122T230000Z b-20261121T230000Z", ""},
		{filter{Job: "a", Oldest: true}, older + " " + newer, ""},
		{filter{Job: "a", Limit: 1}, newer, ""},
		{filter{Since: epoch}, "b-20261122T230000Z " + newer, ""},
		{filter{Until: at(-1)}, "b-20261121T230000Z " + older, ""},
		{filter{Before: "a-20261122T230000Z"}, "b-20261121T230000Z " + older, ""},
		{filter{Job: "a", Outcome: dayfly.Failed}, older, newer + " " + older},
		{filter{Job: "a", Ended: true}, older, newer + " " + older},
		{filter{Outcome: dayfly.Lost}, "", newer + " " + older},
		{filter{Backfill: "b@SOME"}, "", newer + " " + older},
		{filter{Remains: dayfly.RemainsLogs}, "", newer + " " + older},
	} {
		var seen []string
		for r, err := range s.History(t.Context(), c.f) {
			if d, bad := errors.AsType[store.Damage](err); bad {
				seen = append(seen, "damaged:"+d.ID)
			} else {
				seen = append(seen, string(must(r, err)(t).ID))
			}
		}
		if c.more == "" || columns {
			c.more = c.want
		}
		if got := strings.Join(seen, " "); got != c.more {
			t.Errorf("%s: %s, want %s", describeFilter(c.f), got, c.more)
		}
	}
}

func textOf[T any](list []T, key func(T) any) (out []string) {
	for _, v := range list {
		out = append(out, fmt.Sprint(key(v)))
	}
	return out
}

// WantDamage checks that an error names these damaged records.
func WantDamage(t *testing.T, err error, records ...string) {
	t.Helper()
	for _, r := range records {
		if err == nil || !strings.Contains(err.Error(), r+": its record is damaged: ") {
			t.Errorf("%s is damaged: %v", r, err)
		}
	}
}

// refused checks that a change of a damaged record was, and that the record is as it was.
func refused(t *testing.T, what string, err error, is func() error, record string) {
	t.Helper()
	if _, bad := errors.AsType[store.Damage](err); !bad && !errors.Is(err, store.ErrStale) {
		t.Errorf("%s: %v", what, err)
	}
	WantDamage(t, is(), record)
}

// jobsOver stores jobs where the damaged one is. By the revision that it has only a store with columns can mend it.
func jobsOver(t *testing.T, s store.Store, columns bool) {
	t.Helper()
	ctx := t.Context()
	is := func() error { _, err := s.Job(ctx, "a"); return err }
	for _, rev := range []int64{0, 7} {
		j := job("a", at(2))
		j.Rev = rev
		_, err := s.PutJob(ctx, j)
		refused(t, fmt.Sprintf("a job of revision %d over a damaged one", rev), err, is, "job a")
		refused(t, "deleting a damaged job", s.DeleteJob(ctx, "a", rev), is, "job a")
	}
	j := job("a", at(2))
	j.Rev = 1
	_, err := s.PutJob(ctx, j)
	if !columns {
		refused(t, "a job over a damaged one whose revision nobody knows", err, is, "job a")
		refused(t, "deleting it", s.DeleteJob(ctx, "a", 1), is, "job a")
		return
	}
	ok(t, err)
	j.Rev = 2
	same(t, "a job that was mended", must(s.Job(ctx, "a"))(t), j)
}

// runsOver stores runs where damaged ones are, and removes the one that is active: all that leaves them as they are.
func runsOver(t *testing.T, s store.Store) {
	t.Helper()
	ctx := t.Context()
	runs := []dayfly.Run{due("a", epoch, "", 0), due("a", epoch.AddDate(0, 0, -1), "", 0), due("a", at(-1), "", 0)}
	same(t, "which runs were stored beside damaged ones", must(s.InsertRuns(ctx, runs))(t), []bool{false, false, true})
	active, err := s.ActiveRuns(ctx, store.Scope{Job: "a"})
	same(t, "active runs beside damaged ones", ids(active), []dayfly.RunID{runs[2].ID})
	if list, ok := errors.AsType[*store.DamagedError](err); !ok || len(list.Records) != 1 || list.Records[0].ID != string(runs[0].ID) {
		t.Errorf("the damaged active runs: %v", err)
	}
	is := func() error { _, err := s.Run(ctx, runs[0].ID); return err }
	runs[0].Rev = 7
	_, err = s.UpdateRun(ctx, runs[0])
	refused(t, "a run over a damaged one", err, is, "run a-20261122T230000Z")
	ok(t, s.DeleteRuns(ctx, ids(runs[:1])))
	WantDamage(t, is(), "run a-20261122T230000Z")
}

// rangesOver stores ranges where a damaged one is: that is not replaced by one that ends before.
func rangesOver(t *testing.T, s store.Store) {
	t.Helper()
	ctx := t.Context()
	ok(t, s.PutRange(ctx, rangeTo("a", 15)))
	_, err := s.Ranges(ctx, "a", time.Time{})
	WantDamage(t, err, "range a from 2026-11-22T23:00:00Z")
	for _, minutes := range []int{16, 17} {
		r := rangeTo("a", minutes)
		ok(t, s.PutRange(ctx, r))
		same(t, "a range that was mended", must(s.Ranges(ctx, "a", time.Time{}))(t), []dayfly.Range{r})
	}
}

// goesOn changes the records beside the damaged ones, and removes one of those.
func goesOn(t *testing.T, s store.Store) {
	t.Helper()
	ctx := t.Context()
	b, err := s.Run(ctx, "b-20261122T230000Z")
	ok(t, err)
	b.State = dayfly.Ended
	_, err = s.UpdateRun(ctx, b)
	ok(t, err)
	gone := dayfly.Removal{At: epoch}
	ok(t, s.MarkRemoved(ctx, []store.Mark{{Run: "a-20261121T230000Z", Logs: gone}, {Run: b.ID, Logs: gone}}))
	if b, err = s.Run(ctx, b.ID); err != nil || b.LogsRemoved.At.IsZero() {
		t.Errorf("a mark beside a damaged record: %+v, %v", b, err)
	}
	ok(t, s.DeleteRuns(ctx, []dayfly.RunID{"a-20261121T230000Z"}))
	if _, err := s.Run(ctx, "a-20261121T230000Z"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a damaged record that was removed: %v", err)
	}
}
