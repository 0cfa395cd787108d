package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/fuzztest"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
	"github.com/dayfly-io/dayfly/internal/store/storetest"
)

// FuzzRecords puts any bytes into the database's records, as a damaged disk or another program may: each is read or
// an error, and nothing is taken for another.
func FuzzRecords(f *testing.F) {
	for _, text := range []string{
		`{"name":"pi","version":"v","next_due":"2026-11-22T23:00:00Z"}`, `{"id":"pi-20261122T230000Z","state":"launching","attempts":[{}]}`,
		"", "null", "[]", `{"from":"9999-12-31T23:59:59Z"}`, "\x00\xff",
	} {
		f.Add([]byte(text), int64(1), int64(0))
	}
	f.Add([]byte("{}"), int64(-1<<63), int64(1<<63-1))
	s, err := sqlite.Open(context.Background(), filepath.Join(f.TempDir(), "records.db"), options)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	const id = "pi-20261122T230000Z"
	f.Fuzz(func(t *testing.T, text []byte, rev, at int64) {
		ctx, body := t.Context(), string(text)
		err := s.Change(ctx, func(c *sql.Conn) error {
			for _, x := range []struct {
				query string
				args  []any
			}{
				{"INSERT OR REPLACE INTO versions (version, body) VALUES ('v', ?)", []any{body}},
				{"INSERT OR REPLACE INTO jobs (name, rev, next_due, body) VALUES ('pi', ?, ?, ?)", []any{rev, at, body}},
				{"INSERT OR REPLACE INTO runs (id, job, slot, shard, n, state, outcome, rev, body) VALUES (?, 'pi', ?, '', 0, 'due', '', ?, ?)", []any{id, at, rev, body}},
				{"INSERT OR REPLACE INTO ranges (job, from_slot, to_slot, body) VALUES ('pi', 1, ?, ?)", []any{at, body}},
				{"INSERT OR REPLACE INTO notes (key, value, expires) VALUES ('k', ?, ?)", []any{body, at}},
			} {
				if _, err := c.ExecContext(ctx, x.query, x.args...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
		fuzztest.Bounded(t, func() {
			_, _ = s.Version(ctx, "v")
			_, _ = s.Job(ctx, "pi")
			storetest.Ask(ctx, s, now)
			if r, err := s.Run(ctx, id); err == nil && r.Rev != rev {
				t.Errorf("the run's revision is %d, stored is %d", r.Rev, rev)
			}
			_ = s.DeleteRuns(ctx, []dayfly.RunID{id})
		})
	})
}
