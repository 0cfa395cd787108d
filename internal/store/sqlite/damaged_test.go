package sqlite_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/storetest"
)

// TestDamagedRecords damages one of two records of each kind in a real file.
func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	for name, body := range storetest.Damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, path := t.Context(), filepath.Join(t.TempDir(), "records.db")
			s := openAt(t, path)
			storetest.Damaged(t, body, true, s, func(version string) store.Store {
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
					_, err := c.ExecContext(ctx, "UPDATE versions SET body = ? WHERE version = ?", body, version)
					return errors.Join(append(errs, err)...)
				}))
				must(t, s.Close())
				s = openAt(t, path)
				found := []string{"job a", "run a-20261122T230000Z", "run a-20261121T230000Z", "range a from 2026-11-22T23:00:00Z"}
				if version != "" {
					found = append(found, "version "+version)
				}
				storetest.WantDamage(t, s.Check(ctx), found...)
				return s
			})
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
