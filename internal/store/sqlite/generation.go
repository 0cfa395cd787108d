package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// sentinel is a connection that is kept to be asked whether others have committed anything: SQLite answers
// that for each connection by itself, and a pool gives another one each time.
type sentinel struct {
	mu      sync.Mutex
	conn    *sql.Conn
	version *sql.Stmt
}

// Generation implements store.Generational. https://www.sqlite.org/pragma.html#pragma_data_version
func (s *Store) Generation(ctx context.Context) (n int64, err error) {
	w := &s.sentinel
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.version == nil {
		if err := w.open(ctx, s.pool); err != nil {
			return 0, fmt.Errorf("look whether the records have changed: %w", mapError(s.path, err))
		}
	}
	if err := w.version.QueryRowContext(ctx).Scan(&n); err != nil {
		return 0, fmt.Errorf("look whether the records have changed: %w", mapError(s.path, errors.Join(err, w.drop())))
	}
	return n, nil
}

func (w *sentinel) open(ctx context.Context, pool *sql.DB) (err error) {
	if w.conn, err = pool.Conn(ctx); err != nil {
		return err
	}
	if w.version, err = w.conn.PrepareContext(ctx, "PRAGMA data_version"); err != nil {
		err = errors.Join(err, w.drop())
	}
	return err
}

// drop gives the connection back. The caller holds mu.
func (w *sentinel) drop() (err error) {
	if w.version != nil {
		err = w.version.Close()
	}
	if w.conn != nil {
		err = errors.Join(err, w.conn.Close())
	}
	w.conn, w.version = nil, nil
	return err
}

func (w *sentinel) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.drop()
}
