package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
)

// damages is what a disk, or another program, may make of a record's text. (What store.FuzzRecords reads as the
// same, a column makes no different: these are the kinds.)
var damages = map[string]string{
	"nothing":     "",
	"half":        `{"id":"a-20261122T230000Z","job":"a","name":"a","slot":"2026-11-2`,
	"no text":     "\x00\xff\xfe\x00",
	"no record":   `[null]`,
	"another":     `{"id":"z-20261122T230000Z","job":"z","name":"z","slot":"2026-11-22T23:00:00Z","from":"2026-11-22T23:00:00Z","state":"due"}`,
	"wrong types": `{"id":7,"job":{},"name":[],"slot":"yesterday","from":false,"state":1}`,
}

// TestDamagedRecords damages one of two records of each kind in a real file: it is named, never taken for another,
// and the other is there in every list.
func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	for name, body := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, path := t.Context(), filepath.Join(t.TempDir(), "records.db")
			s := openAt(t, path)
			at := time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)
			version := recordsOf(t, s, at, "a", "b")
			must(t, s.Check(ctx))
			must(t, s.Change(ctx, func(c *sql.Conn) error {
				var errs []error
				for _, q := range []string{
					"UPDATE jobs SET body = ? WHERE name = 'a'", "UPDATE runs SET body = ? WHERE job = 'a'",
					"UPDATE ranges SET body = ? WHERE job = 'a'",
				} {
					_, err := c.ExecContext(ctx, q, body)
					errs = append(errs, err)
				}
				if name != "another" { // which version it is only its key tells
					_, err := c.ExecContext(ctx, "UPDATE versions SET body = ? WHERE version = ?", body, version)
					errs = append(errs, err)
				}
				return errors.Join(errs...)
			}))
			must(t, s.Close())
			s = openAt(t, path)
			lists(t, s, at)
			_, err := s.Run(ctx, "a-20261122T230000Z")
			wantDamage(t, err, "run a-20261122T230000Z")
			_, err = s.Run(ctx, "a-20261121T230000Z") // ended
			wantDamage(t, err, "run a-20261121T230000Z")
			_, err = s.Job(ctx, "a")
			wantDamage(t, err, "job a")
			if _, err = s.Version(ctx, version); name != "another" {
				wantDamage(t, err, "version "+version)
			}
			found := []string{"job a", "run a-20261122T230000Z", "run a-20261121T230000Z", "range a from 2026-11-22T23:00:00Z"}
			if name != "another" {
				found = append(found, "version "+version)
			}
			wantDamage(t, s.Check(ctx), found...)
			goesOn(t, s, at)
		})
	}
}

// recordsOf stores of each job a version, a record, a run that has ended, one that has not, and a range record.
// It gives the first one's version.
func recordsOf(t *testing.T, s *sqlite.Store, at time.Time, names ...dayfly.JobName) string {
	t.Helper()
	ctx, first := t.Context(), ""
	for _, name := range names {
		v := dayfly.Job{Name: name, Run: "true"}
		first = strings.TrimSpace(first + " " + v.Version())
		must(t, s.PutVersion(ctx, v))
		_, err := s.PutJob(ctx, store.Job{Name: name, Version: v.Version(), Scheduled: true, NextDue: at})
		must(t, err)
		runs := make([]dayfly.Run, 2)
		for i, state := range []dayfly.State{dayfly.Due, dayfly.Ended} {
			slot := at.AddDate(0, 0, -i)
			runs[i] = dayfly.Run{ID: dayfly.NewRunID(name, slot, "", 0), Job: name, Version: v.Version(), Slot: slot, State: state}
		}
		_, err = s.InsertRuns(ctx, runs)
		must(t, err)
		must(t, s.PutRange(ctx, dayfly.Range{Job: name, From: at, To: at, Count: 17, Outcome: dayfly.Missed}))
	}
	return strings.Fields(first)[0]
}

// lists asks for everything: of each list the damaged record is named and the other is there.
func lists(t *testing.T, s *sqlite.Store, at time.Time) {
	t.Helper()
	ctx := t.Context()
	want := func(what string, got []string, err error, sound string, damaged ...string) {
		t.Helper()
		if !slices.Equal(got, strings.Fields(sound)) {
			t.Errorf("%s: %v, want %v", what, got, sound)
		}
		wantDamage(t, err, damaged...)
		if list, ok := errors.AsType[*store.DamagedError](err); !ok || len(list.Records) != len(damaged) || list.Records[0].Job != "a" {
			t.Errorf("%s: the damaged are %+v", what, list)
		}
	}
	jobs, err := s.Jobs(ctx)
	want("jobs", textOf(jobs, func(j store.Job) any { return j.Name }), err, "b", "job a")
	jobs, err = s.DueJobs(ctx, store.Scope{}, at, 10)
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

func wantDamage(t *testing.T, err error, records ...string) {
	t.Helper()
	for _, r := range records {
		if err == nil || !strings.Contains(err.Error(), r+": its record is damaged: ") {
			t.Errorf("%s is damaged: %v", r, err)
		}
	}
}

// goesOn changes the records beside the damaged ones, and removes one of those.
func goesOn(t *testing.T, s *sqlite.Store, at time.Time) {
	t.Helper()
	ctx := t.Context()
	b, err := s.Run(ctx, "b-20261122T230000Z")
	must(t, err)
	b.State = dayfly.Ended
	_, err = s.UpdateRun(ctx, b)
	must(t, err)
	gone := dayfly.Removal{At: at}
	must(t, s.MarkRemoved(ctx, []store.Mark{{Run: "a-20261121T230000Z", Logs: gone}, {Run: b.ID, Logs: gone}}))
	if b, err = s.Run(ctx, b.ID); err != nil || b.LogsRemoved.At.IsZero() {
		t.Errorf("a mark beside a damaged record: %+v, %v", b, err)
	}
	must(t, s.DeleteRuns(ctx, []dayfly.RunID{"a-20261121T230000Z"}))
	if _, err := s.Run(ctx, "a-20261121T230000Z"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a damaged record that was removed: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
