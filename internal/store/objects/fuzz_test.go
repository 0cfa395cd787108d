package objects_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/bucket/mem"
	"github.com/dayfly-io/dayfly/internal/fuzztest"
	"github.com/dayfly-io/dayfly/internal/store/objects"
	"github.com/dayfly-io/dayfly/internal/store/storetest"
)

// FuzzRecords puts any bytes where records are: each is read or an error, and a run that is read is the one that
// was asked for or can be told from it.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"rev":1,"value":{"name":"pi","version":"v","next_due":"2026-11-22T23:00:00Z"}}`))
	f.Add([]byte(`{"rev":1,"value":{"id":"pi-20261122T230000Z","job":"pi","slot":"2026-11-22T23:00:00Z","state":"due","attempts":[{}]}}`))
	f.Add([]byte(`{"rev":-1,"deleted":true,"value":null}`))
	f.Add([]byte(`{"job":"pi","from":"0001-01-01T00:00:00Z","to":"9999-12-31T23:59:59Z","count":-1}`))
	f.Add([]byte(`{"value":{"from":"0001-01-01T00:00:00Z","to":"9999-12-31T23:59:59Z","count":-1}}`))
	f.Add([]byte("null"))
	f.Add(bytes.Repeat([]byte("["), 20_000))
	const id = "pi-20261122T230000Z"
	f.Fuzz(func(t *testing.T, text []byte) {
		b := mem.New(time.Now)
		s, ctx := objects.New(b), t.Context()
		for _, key := range []string{"versions/v", "jobs/pi", "runs/pi/" + id, "active/pi/" + id, "ranges/pi/00010101T000000.000Z-99991231T235959.000Z", "ranges/pi/x", "notes/k", "notes/%"} {
			if _, err := b.Put(ctx, "records/"+key, bytes.NewReader(text), bucket.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
		now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
		fuzztest.Bounded(t, func() {
			_, _ = s.Version(ctx, "v")
			_, _ = s.Job(ctx, "pi")
			storetest.Ask(ctx, s, now)
			r, err := s.Run(ctx, id)
			if err == nil && r.ID == id {
				r.State = dayfly.Ended
				_, _ = s.UpdateRun(ctx, r)
			}
			_ = s.DeleteRuns(ctx, []dayfly.RunID{id})
		})
	})
}
