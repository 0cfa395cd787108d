package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	sqlitelib "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/dayfly-io/dayfly"
)

// OpenReadOnly opens the store in a file to look at it: every change is refused, and neither the file nor a
// directory is made. Where there is no store yet it is fs.ErrNotExist. It is store.ErrNewer when a newer dayfly
// wrote it; one of an older dayfly is refused as well, since its schema cannot be brought forward here.
func OpenReadOnly(ctx context.Context, path string, o Options) (*Store, error) {
	s, err := openReadOnly(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return s, nil
}

// errReadOnly is what a change to a store is told that was opened to be looked at.
var errReadOnly = errors.New("the store was opened to be looked at only")

func openReadOnly(ctx context.Context, path string, o Options) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	if o.Wait == 0 {
		o.Wait = DefaultWait
	}
	s, err := lookAt(ctx, path, o, "")
	switch {
	case !unshared(err):
	case isQuiet(path):
		s, err = lookAt(ctx, path, o, "&immutable=1")
	default:
		return nil, &dayfly.Error{
			Code: dayfly.CodeInternal, Err: err,
			Message: fmt.Sprintf("%s-wal beside it holds changes that nobody has taken up since a crash, and here nobody can: %s", filepath.Base(path), err),
			Hint:    "make that file system writable, or look at a copy of the directory with --data COPY",
		}
	}
	return s, mapError(path, err)
}

func lookAt(ctx context.Context, path string, o Options, more string) (*Store, error) {
	s := &Store{path: path, now: o.Now, base: context.WithoutCancel(ctx)}
	var err error
	if s.pool, err = sql.Open("sqlite", source(path, o.Wait, "&mode=ro&_pragma=query_only(1)"+more)); err != nil {
		return nil, err
	}
	s.pool.SetMaxOpenConns(readers)
	s.pool.SetMaxIdleConns(readers)
	s.read = newStatements(s.pool.PrepareContext)
	if err := s.look(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// unshared tells whether a file was refused because the memory that its readers share cannot be made beside it:
// the disk is read-only, or the directory somebody else's.
func unshared(err error) bool {
	e, ok := errors.AsType[*sqlitelib.Error](err)
	return ok && (e.Code()&0xff == sqlite3.SQLITE_CANTOPEN || e.Code()&0xff == sqlite3.SQLITE_READONLY)
}

// isQuiet tells whether nobody has the file open and all of it is in the file itself.
func isQuiet(path string) bool {
	_, err := os.Stat(path + "-wal")
	return errors.Is(err, fs.ErrNotExist)
}

// look sees whether the file can be read, and whether this dayfly knows what is in it.
func (s *Store) look(ctx context.Context) error {
	conn, err := s.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := identify(ctx, conn); err != nil {
		return err
	}
	var version int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	known, err := schema()
	switch {
	case err != nil:
		return err
	case version == 0:
		return fs.ErrNotExist // made, and not filled yet
	case version < len(known):
		return &dayfly.Error{
			Code: dayfly.CodeRefused, Err: errReadOnly,
			Message: fmt.Sprintf("it was written by an older dayfly (its schema is number %d, this dayfly's is %d), and is only looked at here", version, len(known)),
			Hint:    "dayfly ps brings it forward",
		}
	}
	return nil
}
