// Package sqlite keeps the records in one SQLite file.
//
// One connection writes, others read. Each change is a part of one transaction, alone or with those that wait
// beside it, that holds the write lock from its first moment (BEGIN IMMEDIATE), entered through a turnstile of
// two lock files, so that several processes take turns instead of failing with "database is locked". The
// journal is a WAL with synchronous=FULL: what was acknowledged survives a power cut. An error in writing (a
// full disk, a broken one) is the caller's, the transaction is undone, and the store goes on when the disk does.
//
// The schema is made and brought forward by numbered migrations; a file of a newer dayfly is refused,
// as is a network file system, where SQLite's locks do not hold.
//
// Nobody but SQLite may open and close the database file in a process that uses it: closing any
// descriptor of a file drops the process's POSIX locks on it.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	sqlitelib "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/dayfly-io/dayfly/internal/durable"
	"github.com/dayfly-io/dayfly/internal/store"
)

// DefaultWait is how long a change waits for other processes.
const DefaultWait = 5 * time.Second

const (
	readers  = 4
	fileMode = 0o600 // the records name what the jobs do
	dirMode  = 0o700
)

// Options say how a store is opened.
type Options struct {
	// Holder says what this process is, to those who wait for it: "dayfly serve".
	Holder string
	// Now is the clock by which expired notes are thrown away. Required.
	Now func() time.Time
	// Observe is told of each change, how long it took and what came of it; nil: nobody is.
	Observe func(took time.Duration, err error)
	// Wait bounds the wait for other processes; 0 is DefaultWait.
	Wait time.Duration

	hooks hooks // of tests
}

// Store is a store.Store in an SQLite file.
type Store struct {
	path    string
	now     func() time.Time
	turns   *turnstile // who writes
	gate    *turnstile // who launches
	observe func(time.Duration, error)
	files   *turnstile      // who refers to archives, or removes them
	base    context.Context // of Close, which is given none: that of Open, which may be over

	db       *sql.DB   // of the one writing connection
	conn     *sql.Conn // it
	write    *statements
	group    group   // who waits for it
	pool     *sql.DB // of those that read
	read     *statements
	sentinel sentinel // of the pool

	closing sync.Once
	closed  error
}

var (
	_ store.Store        = (*Store)(nil)
	_ store.Admitter     = (*Store)(nil)
	_ store.Collector    = (*Store)(nil)
	_ store.Generational = (*Store)(nil)
)

// Open opens the store in a file; the file and the directories above it are made if need be. It is
// store.ErrNewer when a newer dayfly wrote it, store.ErrBusy when other processes hold it too long.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	s, err := open(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string, o Options) (*Store, error) {
	if o.Now == nil {
		return nil, errors.New("it is given no clock")
	}
	if o.Wait == 0 {
		o.Wait = DefaultWait
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	h := o.hooks.orReal()
	if err := durable.MkdirAll(filepath.Dir(path), dirMode, h.sync); err != nil {
		return nil, err
	}
	if err := h.checkFileSystem(filepath.Dir(path)); err != nil {
		return nil, err
	}
	s := &Store{
		path: path, now: o.Now, base: context.WithoutCancel(ctx), observe: o.Observe,
		turns: newTurnstile(path, o.Holder, "writing", o.Wait),
		gate:  newTurnstile(path+".launch", o.Holder, "launching", o.Wait),
		files: newTurnstile(path+".files", o.Holder, "removing old files", o.Wait),
	}
	if err := s.connect(ctx, o.Wait, h); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// connect opens the connections and makes the schema, all behind the turnstile: making a file, and
// turning to WAL, are changes too.
func (s *Store) connect(ctx context.Context, wait time.Duration, h hooks) (err error) {
	leave, err := s.turns.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err := create(s.path); err != nil {
		return err
	}
	if s.db, err = sql.Open("sqlite", source(s.path, wait, "")); err != nil {
		return err
	}
	s.db.SetMaxOpenConns(1)
	ctx = context.WithoutCancel(ctx) // from here on it is quick, and half would help nobody
	if s.conn, err = s.db.Conn(ctx); err != nil {
		return err
	}
	s.write = newStatements(s.conn.PrepareContext)
	if err := s.settle(ctx); err != nil {
		return mapError(s.path, err)
	}
	// Always: the process that made the file may have died before it came to this.
	if err := durable.Sync(filepath.Dir(s.path), h.sync); err != nil {
		return err
	}
	if s.pool, err = sql.Open("sqlite", source(s.path, wait, "&mode=ro&_pragma=query_only(1)")); err != nil {
		return err
	}
	s.pool.SetMaxOpenConns(readers + 1) // and the sentinel
	s.pool.SetMaxIdleConns(readers)
	s.read = newStatements(s.pool.PrepareContext)
	return mapError(s.path, s.pool.PingContext(ctx))
}

// create makes the file, for its owner alone. It opens no file that is there (see the package comment).
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// source is the driver's name for the file.
func source(path string, wait time.Duration, more string) string {
	file := url.URL{Scheme: "file", OmitHost: true, Path: path}
	return fmt.Sprintf("%s?_pragma=busy_timeout(%d)%s", file.String(), wait.Milliseconds(), more)
}

// settle identifies the file before it changes anything, then sets the writing connection up.
func (s *Store) settle(ctx context.Context) error {
	if err := identify(ctx, s.conn); err != nil {
		return err
	}
	var mode string
	if err := s.conn.QueryRowContext(ctx, "PRAGMA journal_mode=WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("the database stays in journal mode %s, not wal", mode)
	}
	for _, pragma := range []string{
		"PRAGMA synchronous=FULL",
		"PRAGMA foreign_keys=ON",
		"PRAGMA journal_size_limit=67108864",
	} {
		if _, err := s.conn.ExecContext(ctx, pragma); err != nil {
			return fmt.Errorf("%s: %w", pragma, err)
		}
	}
	return migrate(ctx, s.conn)
}

// Close lets go of the file; the last one to do so folds the journal into it.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.closed = s.close()
	})
	return s.closed
}

func (s *Store) close() error {
	var errs []error
	if s.pool != nil {
		errs = append(errs, s.sentinel.close(), s.read.close(), s.pool.Close())
	}
	if s.db == nil {
		return errors.Join(errs...)
	}
	// The last connection to a file empties the journal, which is a change: in turn, if the turn comes.
	if leave, err := s.turns.enter(s.base); err == nil {
		defer leave()
	}
	errs = append(errs, s.write.close())
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	return errors.Join(append(errs, s.db.Close())...)
}

// Admission is the port's.
func (s *Store) Admission(ctx context.Context) (leave func(), err error) {
	if s.gate == nil {
		return nil, errReadOnly
	}
	return s.gate.enter(ctx)
}

// transact does f in one transaction.
func transact(ctx context.Context, conn *sql.Conn, f func(ctx context.Context) error) (err error) {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			// After some errors SQLite has already undone it, and says so.
			_, _ = conn.ExecContext(ctx, "ROLLBACK")
		}
	}()
	if err := f(ctx); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

// mapError gives an error of SQLite with a next step the port's name, and one of the disk the file's.
func mapError(path string, err error) error {
	var e *sqlitelib.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY:
		return fmt.Errorf("%w: %s: %w", store.ErrDisk, path, err)
	case sqlite3.SQLITE_CANTOPEN: // of the file, or of the journals beside it
		return fmt.Errorf("%w: %s: %w", store.ErrOpen, path, err)
	case sqlite3.SQLITE_BUSY:
		return fmt.Errorf("%w: %w", store.ErrBusy, err)
	}
	return err
}

// statements prepares each query once.
type statements struct {
	prepare func(ctx context.Context, query string) (*sql.Stmt, error)
	mu      sync.Mutex
	known   map[string]*sql.Stmt
}

func newStatements(prepare func(context.Context, string) (*sql.Stmt, error)) *statements {
	return &statements{prepare: prepare, known: map[string]*sql.Stmt{}}
}

func (s *statements) of(ctx context.Context, query string) (*sql.Stmt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.known[query]; st != nil {
		return st, nil
	}
	st, err := s.prepare(ctx, query)
	if err == nil {
		s.known[query] = st
	}
	return st, err
}

func (s *statements) close() (err error) {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.known {
		err = errors.Join(err, st.Close())
	}
	clear(s.known)
	return err
}

// exec does one statement of a change and gives the number of rows it changed.
func (s *Store) exec(ctx context.Context, query string, args ...any) (int64, error) {
	st, err := s.write.of(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// row reads one row inside a change.
func (s *Store) row(ctx context.Context, query string, args ...any) (*sql.Row, error) {
	st, err := s.write.of(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryRowContext(ctx, args...), nil
}

// find reads one row; store.ErrNotFound where there is none.
func (s *Store) find(ctx context.Context, query string, args []any, into ...any) error {
	st, err := s.read.of(ctx, query)
	if err != nil {
		return mapError(s.path, err)
	}
	err = st.QueryRowContext(ctx, args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return mapError(s.path, err)
}

// list reads rows, each by f. What f finds damaged stops nothing, and is one *store.DamagedError at the end.
func (s *Store) list(ctx context.Context, query string, args []any, f func(scan func(...any) error) error) error {
	st, err := s.read.of(ctx, query)
	if err != nil {
		return mapError(s.path, err)
	}
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return mapError(s.path, err)
	}
	defer rows.Close()
	var damaged []store.Damage
	for rows.Next() {
		err := f(rows.Scan)
		if d, bad := errors.AsType[store.Damage](err); bad {
			damaged = append(damaged, d)
		} else if err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return mapError(s.path, err)
	}
	return store.OrDamaged(damaged)
}
