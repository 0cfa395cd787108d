package reconcile_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/fuzztest"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// records are what a store may say that something else has written.
type records struct {
	Job     store.Job
	Version dayfly.Job
	Runs    []dayfly.Run
	Ranges  []dayfly.Range
	Notes   []store.Note
}

// put stores what the port lets pass.
func (r records) put(t *testing.T, w *world) {
	t.Helper()
	ctx := t.Context()
	err := w.store.PutVersion(ctx, r.Version)
	r.Job.Rev, r.Job.Version = 0, r.Version.Version()
	_, jerr := w.store.PutJob(ctx, r.Job)
	err = errors.Join(err, jerr)
	for _, run := range r.Runs[:min(len(r.Runs), 20)] {
		run.Rev, run.Version, run.Slot = 0, r.Version.Version(), run.Slot.Truncate(time.Millisecond)
		run.ID = dayfly.NewRunID(run.Job, run.Slot, run.Shard, run.N)
		_, _ = w.store.InsertRuns(ctx, []dayfly.Run{run}) // or a refusal
	}
	for _, rng := range r.Ranges[:min(len(r.Ranges), 20)] {
		err = errors.Join(err, w.store.PutRange(ctx, rng))
	}
	for _, n := range r.Notes[:min(len(r.Notes), 20)] {
		err = errors.Join(err, w.store.PutNote(ctx, n))
	}
	if err != nil {
		t.Skip(err)
	}
}

// FuzzRecords gives a pass records that nobody wrote: it ends soon, whatever they say, and a job beside them runs.
func FuzzRecords(f *testing.F) {
	for _, text := range []string{
		`{}`,
		`{"Job":{"name":"x","scheduled":true,"cursor":"2026-11-22T00:00:00Z","next_due":"2026-11-22T00:01:00Z"},"Version":{"name":"x","run":"true","schedules":[{"at":"* * * * *"}],"catch_up":{"policy":"all","within":31536000}}}`,
		`{"Job":{"name":"x","scheduled":true,"cursor":"0001-01-01T00:00:00Z","next_due":"0001-01-01T00:00:00Z"},"Version":{"name":"x","schedules":[{"at":"@every 1s","timezone":"No/Where"}]}}`,
		`{"Job":{"name":"x"},"Version":{"name":"x","run":"true"},"Runs":[{"job":"x","slot":"2026-11-22T00:00:00Z","state":"launching"},{"job":"x","slot":"2026-11-22T00:00:01Z","state":"running"},{"job":"x","slot":"2026-11-22T00:00:02Z","state":"stopping"},{"job":"x","slot":"2026-11-22T00:00:03Z","state":"due"},{"job":"x","slot":"2026-11-22T00:00:04Z","state":"none"},{"job":"x","slot":"2026-11-22T00:00:05Z","state":"ended"}]}`,
		`{"Job":{"name":"x"},"Version":{"name":"x","run":"true","array":{"size":1000000000,"at_once":-1},"retry":{"attempts":-1,"on":["lost"]}},"Runs":[{"job":"x","slot":"2026-11-22T00:00:00Z","state":"running","shard":"i1","attempts":[{"number":-1}]},{"job":"x","slot":"2026-11-23T00:00:00Z","state":"due","attempts":[{},{}]}]}`,
		`{"Version":{"name":"x"},"Runs":[{"job":"../x","slot":"9999-12-31T23:59:59Z","state":"due","n":-1}],"Ranges":[{"job":"x","from":"2027-01-01T00:00:00Z","to":"2020-01-01T00:00:00Z","count":-1}],"Notes":[{"Key":"backfill","Value":"null"},{"Key":"backfill/x","Value":"{}"},{"Key":"verify/x","Value":"["}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var r records
		if json.Unmarshal(text, &r) != nil {
			return
		}
		w := setup(t, func(w *world, c *reconcile.Config) {
			c.Now = func() time.Time { // a pass is bounded by its clock
				w.now = w.now.Add(time.Millisecond)
				return w.now
			}
		})
		r.put(t, w)
		mine, err := reconcile.Request(t.Context(), w.store, job("beside"), reconcile.Wish{}, w.now)
		if err != nil {
			t.Skip(err) // there is such a run
		}
		for range 12 {
			fuzztest.Bounded(t, func() { _, err = w.Pass(t.Context(), reconcile.Scope{}) })
			w.now = w.now.Add(10 * time.Second)
		}
		if got, rerr := w.store.Run(t.Context(), mine[0].ID); rerr != nil || got.State != dayfly.Ended {
			t.Errorf("the run beside them is %s, %v, after a pass that says %v", got.State, rerr, err)
		}
	})
}
