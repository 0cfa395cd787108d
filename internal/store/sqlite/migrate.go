package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// applicationID marks a file as dayfly's, in its header: "dayf".
const applicationID = 0x64617966

// schema gives the migrations in order; the number of the last one is the version of the schema.
func schema() ([]string, error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var out []string
	for i, name := range files { // sorted by name
		number, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
		if n, err := strconv.Atoi(number); err != nil || n != i+1 {
			return nil, fmt.Errorf("migration %s is not number %d", name, i+1)
		}
		text, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		out = append(out, string(text))
	}
	return out, nil
}

// identify refuses a file that is not dayfly's or that a newer dayfly wrote. It changes nothing.
func identify(ctx context.Context, conn *sql.Conn) error {
	var version, id, tables int
	for query, into := range map[string]*int{
		"PRAGMA user_version": &version, "PRAGMA application_id": &id, "SELECT count(*) FROM sqlite_schema": &tables,
	} {
		if err := conn.QueryRowContext(ctx, query).Scan(into); err != nil {
			return err
		}
	}
	if id != applicationID && (id != 0 || tables != 0) {
		return errors.New("it is a database, but not one of dayfly's")
	}
	known, err := schema()
	if err != nil {
		return err
	}
	if version > len(known) {
		return &dayfly.Error{
			Code: dayfly.CodeRefused, Err: store.ErrNewer,
			Message: fmt.Sprintf("it was written by a newer dayfly (its schema is number %d, this dayfly knows %d)", version, len(known)),
			Hint:    "use the dayfly that wrote it, or a newer one; nothing was changed",
		}
	}
	return nil
}

// migrate brings the schema forward, one transaction a step.
func migrate(ctx context.Context, conn *sql.Conn) error {
	steps, err := schema()
	if err != nil {
		return err
	}
	for i, step := range steps {
		err := transact(ctx, conn, func(ctx context.Context) error {
			var version int
			if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil || version > i {
				return err
			}
			_, err := conn.ExecContext(ctx, fmt.Sprintf("%s; PRAGMA application_id=%d; PRAGMA user_version=%d", step, applicationID, i+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("bring the schema to number %d: %w", i+1, err)
		}
	}
	return nil
}
