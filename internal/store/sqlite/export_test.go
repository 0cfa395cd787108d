package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/dayfly-io/dayfly/internal/store"
)

// WithDisk gives options under which a test stands in for the file system; nil is the real thing.
func WithDisk(o Options, sync func(*os.File) error, kindOf func(dir string) (int64, string, error)) Options {
	o.hooks = hooks{sync: sync, kindOf: kindOf}
	return o
}

// Change does f in a transaction like any other, on the writing connection.
func (s *Store) Change(ctx context.Context, f func(conn *sql.Conn) error) error {
	return s.change(ctx, func(context.Context) error { return f(s.conn) })
}

// Pragmas asks the writing connection, then a reading one.
func (s *Store) Pragmas(ctx context.Context, name string) (write, read string, err error) {
	if err := s.conn.QueryRowContext(ctx, "PRAGMA "+name).Scan(&write); err != nil {
		return "", "", err
	}
	return write, read, s.pool.QueryRowContext(ctx, "PRAGMA "+name).Scan(&read)
}

// Readers is the pool of reading connections.
func (s *Store) Readers() *sql.DB { return s.pool }

// HistoryPlan says how SQLite answers a history.
func (s *Store) HistoryPlan(ctx context.Context, f store.Filter) ([]string, error) {
	query, args, err := historyQuery(f)
	if err != nil {
		return nil, err
	}
	return s.Plan(ctx, query, append(args, 10)...)
}

// ActivePlan says how SQLite answers a question for active runs.
func (s *Store) ActivePlan(ctx context.Context, scope store.Scope) ([]string, error) {
	query, args := activeQuery(scope)
	return s.Plan(ctx, query, args...)
}

// Prepared gives the queries that were asked so far.
func (s *Store) Prepared() []string {
	s.read.mu.Lock()
	defer s.read.mu.Unlock()
	return slices.Sorted(maps.Keys(s.read.known))
}

// Plan says how SQLite answers a query.
func (s *Store) Plan(ctx context.Context, query string, args ...any) (plan []string, err error) {
	for len(args) < strings.Count(query, "?") {
		args = append(args, nil)
	}
	rows, err := s.pool.QueryContext(ctx, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var a, b, c any
		var step string
		if err := rows.Scan(&a, &b, &c, &step); err != nil {
			return nil, err
		}
		plan = append(plan, step)
	}
	if len(plan) == 0 {
		return nil, fmt.Errorf("no plan for %s", query)
	}
	return plan, rows.Err()
}

// Hold keeps everybody from writing until it is let go of.
func Hold(ctx context.Context, s *Store) (leave func(), err error) { return s.turns.enter(ctx) }

// Waiting is how many changes wait to be taken care of.
func Waiting(s *Store) int {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	return len(s.group.waiting)
}
