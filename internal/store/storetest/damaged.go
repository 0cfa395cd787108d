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
// and the others are there in every list.
func Damaged(t *testing.T, text string, s store.Store, hurt func(version string) store.Store) {
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
	if next, err := s.NextDue(ctx); err != nil || !next.Equal(epoch) {
		t.Errorf("the next that is due: %s, %v", next, err)
	}
	goesOn(t, s)
	if c, collects := s.(store.Collector); collects {
		for range 2 {
			_, _, err := c.CollectVersions(ctx, "", 100, epoch, epoch)
			ok(t, err)
		}
		_, err = s.Version(ctx, other["a"])
		ok(t, err)
		_, err = s.Version(ctx, other["b"])
		wantErr(t, "a version that nothing refers to", err, store.ErrNotFound)
		if _, err = s.Version(ctx, version); errors.Is(err, store.ErrNotFound) {
			t.Error("the version of a damaged job is removed")
		}
	}
	ok(t, s.PutVersion(ctx, dayfly.Job{Name: "a", Run: "true"}))
	_, err = s.Version(ctx, version) // mended
	ok(t, err)
}

// recordsOf stores of each job a version, a record, a run that has ended, one that has not, and a range record.
// It gives the first one's version.
func recordsOf(t *testing.T, s store.Store, names ...dayfly.JobName) string {
	t.Helper()
	ctx, first := t.Context(), ""
	for _, name := range names {
		v := dayfly.Job{Name: name, Run: "true"}
		first = strings.TrimSpace(first + " " + v.Version())
		ok(t, s.PutVersion(ctx, v))
		_, err := s.PutJob(ctx, store.Job{Name: name, Version: v.Version(), Scheduled: true, NextDue: epoch})
		ok(t, err)
		runs := make([]dayfly.Run, 2)
		for i, state := range []dayfly.State{dayfly.Due, dayfly.Ended} {
			slot := epoch.AddDate(0, 0, -i)
			runs[i] = dayfly.Run{ID: dayfly.NewRunID(name, slot, "", 0), Job: name, Version: v.Version(), Slot: slot, State: state}
		}
		_, err = s.InsertRuns(ctx, runs)
		ok(t, err)
		ok(t, s.PutRange(ctx, dayfly.Range{Job: name, From: epoch, To: epoch, Count: 17, Outcome: dayfly.Missed}))
	}
	return strings.Fields(first)[0]
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
	jobs, err = s.DueJobs(ctx, store.Scope{}, epoch, 10)
	want("due jobs", textOf(jobs, func(j store.Job) any { return j.Name }), err, "b", "job a")
	runs, err := s.ActiveRuns(ctx, store.Scope{})
	want("active runs", textOf(runs, func(r dayfly.Run) any { return r.ID }), err, "b-20261122T230000Z", "run a-20261122T230000Z")
	ranges, err := s.Ranges(ctx, "", time.Time{})
	want("ranges", textOf(ranges, func(r dayfly.Range) any { return r.Job }), err, "b", "range a from 2026-11-22T23:00:00Z")

	var seen []string
	for r, err := range s.History(ctx, store.Filter{}) {
		if d, bad := errors.AsType[store.Damage](err); bad {
			seen = append(seen, "damaged:"+d.ID)
		} else if err != nil {
			t.Fatal(err)
		} else {
			seen = append(seen, string(r.ID))
		}
	}
	if got := strings.Join(seen, " "); got != "b-20261122T230000Z damaged:a-20261122T230000Z b-20261121T230000Z damaged:a-20261121T230000Z" {
		t.Errorf("the history is %s", got)
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
