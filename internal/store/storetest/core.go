// Package storetest is the suite that every store.Store passes.
//
// Core is the whole contract of the port. Indexed is what a store with real indexes promises beside
// it: that an answer costs what is in it, not what is stored.
package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// Open gives a new, empty store that is closed when the test ends.
type Open func(t testing.TB) store.Store

// Core holds a store to the contract of the port.
func Core(t *testing.T, open Open) {
	t.Helper()
	for name, story := range map[string]func(*testing.T, store.Store){
		"versions":                               versions,
		"jobs are kept and changed by revision":  jobs,
		"a job that comes back is another":       jobReborn,
		"due jobs":                               dueJobs,
		"one of many wins a change of a job":     jobRace,
		"runs are stored once":                   runsOnce,
		"a batch is bounded and checked":         runsChecked,
		"one of many inserts a run":              insertRace,
		"runs are kept whole":                    runsWhole,
		"runs share no memory with the caller":   runsApart,
		"runs change by revision":                updateRun,
		"an ended run never changes":             endedFinal,
		"one of many wins a change of a run":     updateRace,
		"active runs by scope":                   activeRuns,
		"the last n":                             lastN,
		"ranges":                                 ranges,
		"notes":                                  notes,
		"notes under odd keys":                   oddNotes,
		"history in order, by cursor and filter": history,
		"history while it is read":               historyWhile,
		"which jobs have records":                recorded,
		"what was removed is marked":             marked,
		"one of many marks":                      markRace,
		"records are removed":                    removed,
		"versions nothing refers to":             collected,
		"archives nothing refers to":             archives,
		"a cancelled context":                    cancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, open(t))
		})
	}
}

// epoch is an instant of no meaning that every story counts from.
var epoch = time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return epoch.Add(time.Duration(minutes) * time.Minute) }

// due is a run that waits for its machine.
func due(job dayfly.JobName, slot time.Time, shard dayfly.Shard, n int) dayfly.Run {
	trigger := dayfly.TriggerSchedule
	if n > 0 {
		trigger = dayfly.TriggerManual
	}
	return dayfly.Run{
		ID: dayfly.NewRunID(job, slot, shard, n), Job: job, Version: "v1", Slot: slot, Shard: shard, N: n,
		Trigger: trigger, State: dayfly.Due, CreatedAt: slot, StartDeadline: slot.Add(time.Hour), NextAt: slot,
	}
}

// ended is a run that is over.
func ended(job dayfly.JobName, slot time.Time, outcome dayfly.Outcome) dayfly.Run {
	r := due(job, slot, "", 0)
	r.State, r.Outcome, r.EndedAt = dayfly.Ended, outcome, slot.Add(time.Minute)
	return r
}

// must is for what the contract does not allow to go wrong: must(s.Run(ctx, id))(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// same compares values as far as the contract says anything of them: nil and empty are one.
func same[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// put inserts runs that must not be taken.
func put(t testing.TB, s store.Store, runs ...dayfly.Run) {
	t.Helper()
	for len(runs) > 0 {
		batch := runs[:min(len(runs), store.MaxInsert)]
		runs = runs[len(batch):]
		for i, stored := range must(s.InsertRuns(t.Context(), batch))(t) {
			if !stored {
				t.Fatalf("insert %s: taken", batch[i].ID)
			}
		}
	}
}

func ids(runs []dayfly.Run) []dayfly.RunID {
	out := make([]dayfly.RunID, len(runs))
	for i, r := range runs {
		out[i] = r.ID
	}
	return out
}

func versions(t *testing.T, s store.Store) {
	ctx := t.Context()
	j := dayfly.Job{
		Name: "pi", Timezone: "Europe/Tallinn", Run: "echo π \u2028 </script>", Timeout: dayfly.Seconds(90 * time.Second),
		Schedules: []dayfly.Schedule{{At: "0 23 * * *", From: epoch}},
		Env:       map[string]string{"A": "1", "B": ""},
		Params:    map[string]dayfly.Param{"digits": {Type: "int", Default: []byte("1000"), Min: "1", Max: "5000"}, "mode": {Type: "string", Required: new(bool), Enum: []json.RawMessage{[]byte(`"a"`), []byte(`"b"`)}}},
		Array:     &dayfly.Array{Size: 3}, Retry: dayfly.Retry{Attempts: 2, On: []dayfly.Outcome{dayfly.Lost}},
	}
	v := j.Version()
	_, err := s.Version(ctx, v)
	wantErr(t, "a version that is not there", err, store.ErrNotFound)
	ok(t, s.PutVersion(ctx, j))
	ok(t, s.PutVersion(ctx, j))
	got := must(s.Version(ctx, v))(t)
	same(t, "version", got, j)
	if got.Version() != v {
		t.Errorf("the version read back calls itself %s, want %s", got.Version(), v)
	}
	other := j
	other.Run = "another"
	ok(t, s.PutVersion(ctx, other))
	several := must(s.Versions(ctx, []string{v, "of nobody", other.Version(), v}))(t)
	same(t, "versions", several, map[string]dayfly.Job{v: j, other.Version(): other})
	same(t, "no versions", must(s.Versions(ctx, nil))(t), map[string]dayfly.Job{})
	got.Env["A"] = "changed by a reader"
	several[v].Env["A"] = "changed by another"
	j.Env["B"] = "changed by the writer"
	if again := must(s.Version(ctx, v))(t); again.Version() != v {
		t.Error("a stored version changed through memory it shares with a caller")
	}
}

func cancelled(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.InsertRuns(ctx, []dayfly.Run{due("pi", at(0), "", 0)}); err == nil {
		t.Error("a cancelled insert was acknowledged")
	}
	if _, err := s.ActiveRuns(ctx, store.Scope{}); err == nil {
		t.Error("a cancelled read gave an answer")
	}
	// It may have happened or not, but it is not half done, and the store goes on.
	runs := must(s.ActiveRuns(t.Context(), store.Scope{}))(t)
	for _, r := range runs {
		same(t, "the run of the cancelled insert", must(s.Run(t.Context(), r.ID))(t), r)
	}
	put(t, s, due("pi", at(1), "", 0))
}
