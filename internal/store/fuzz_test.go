package store_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/fuzztest"
	"github.com/dayfly-io/dayfly/internal/store"
)

// slot is that of the records of FuzzRecords.
var slot = time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)

// FuzzRecords reads any bytes as each kind of record, as a damaged disk or another program may leave them: each is
// the record that was asked for, whole, or damage with a name, and nothing is taken for another.
func FuzzRecords(f *testing.F) {
	for _, text := range []string{
		`{"name":"pi","version":"v","scheduled":true,"held":{"why":"by ana","since":"2026-11-22T00:00:00Z"},"cursor":"2026-11-22T00:00:00Z","next_due":"2026-11-22T23:00:00Z"}`,
		`{"id":"pi-20261122T230000Z","job":"pi","slot":"2026-11-22T23:00:00Z","shard":"","n":0,"state":"launching","attempts":[{"number":1,"token":"t","report":{"results":[{"key":"../x"}]},"request":{"token":"t"}}]}`,
		`{"id":"pi-20261122T230000Z","job":"pi","slot":"2026-11-22T23:00:00.000001Z","state":"due"}`,
		`{"id":"pi-20261122T230000Z","job":"pi","slot":"2026-11-22T23:00:00Z"}`,
		`{"id":"other-20261122T230000Z","job":"other","slot":"2026-11-22T23:00:00Z","state":"ended"}`,
		`{"id":"pi-20261122T230000Z","job":"pi","slot":"2026-11-22T23:00:00Z","n":1,"state":"ended"}`,
		`{"name":"pi","schedules":[{"at":"* * * * *"}],"array":{"size":-1},"timeout":1e300,"env":{"A":"\ud800"}}`,
		`{"job":"pi","from":"2026-11-22T23:00:00Z","to":"2020-01-01T00:00:00Z","count":-1,"outcome":"missed"}`,
		`{"job":"pi","from":"9999-12-31T23:59:59Z"}`, `{"name":"other"}`, `{}`, "", "null", "[]", "\x00\xff", `{"n":1e999}`, `{"id":1}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const id = dayfly.RunID("pi-20261122T230000Z")
		var (
			run     dayfly.Run
			job     store.Job
			version dayfly.Job
			rng     dayfly.Range
			errs    [4]error
		)
		fuzztest.Bounded(t, func() {
			run, errs[0] = store.DecodeRun(id, text)
			job, errs[1] = store.DecodeJob("pi", text)
			version, errs[2] = store.DecodeVersion("v", text)
			rng, errs[3] = store.DecodeRange("pi", slot, text)
		})
		for i, named := range []store.Damage{{Kind: "run", ID: string(id)}, {Kind: "job", ID: "pi"}, {Kind: "version", ID: "v"}, {Kind: "range", ID: "pi from 2026-11-22T23:00:00Z"}} {
			if d, ok := errors.AsType[store.Damage](errs[i]); errs[i] != nil && (!ok || d.Kind != named.Kind || d.ID != named.ID || d.Err == nil) {
				t.Errorf("the %s is damaged: %v", named.Kind, errs[i])
			}
		}
		// What was read is what was asked for, and the same when it is stored once more.
		if errs[0] == nil {
			if run.ID != id || run.Job != "pi" || !run.Slot.Equal(slot) || run.Shard != "" || run.N != 0 || run.State == "" {
				t.Errorf("%q is taken for run %s: %+v", text, id, run)
			}
			again(t, run, func(b []byte) (dayfly.Run, error) { return store.DecodeRun(id, b) })
		}
		if errs[1] == nil {
			if job.Name != "pi" {
				t.Errorf("%q is taken for job pi", text)
			}
			again(t, job, func(b []byte) (store.Job, error) { return store.DecodeJob("pi", b) })
		}
		if errs[2] == nil {
			again(t, version, func(b []byte) (dayfly.Job, error) { return store.DecodeVersion("v", b) })
		}
		if errs[3] == nil {
			if rng.Job != "pi" || rng.From.UnixMicro() != slot.UnixMicro() {
				t.Errorf("%q is taken for a range of pi from %s", text, slot)
			}
			again(t, rng, func(b []byte) (dayfly.Range, error) { return store.DecodeRange("pi", slot, b) })
		}
	})
}

// again stores what was read, reads it and finds the same.
func again[T any](t *testing.T, v T, read func([]byte) (T, error)) {
	t.Helper()
	one, err := json.Marshal(v)
	if err != nil {
		t.Errorf("%+v cannot be stored: %v", v, err)
		return
	}
	w, err := read(one)
	two, merr := json.Marshal(w)
	if err = errors.Join(err, merr); err != nil || string(one) != string(two) {
		t.Errorf("stored once more %s is %s, %v", one, two, err)
	}
}
