package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"sync"
	"time"
)

// What a change costs is most of all the sync of its transaction, so changes that wait at the same time
// share one: each in a savepoint of its own, undone alone where it fails. Nobody waits for others to come;
// while one group is synced, the next gathers.

// mostInGroup bounds how long those who wait, in this process and others, wait for one group.
const mostInGroup = 128

// change is one caller's part of a transaction.
type change struct {
	ctx   context.Context
	do    func(ctx context.Context) error // may be called again after it was undone
	since time.Time
	done  chan error // gets one
}

// group gathers changes.
type group struct {
	mu      sync.Mutex
	waiting []*change
	busy    bool // somebody takes care of those who wait
}

// join adds a change, and tells whether its caller has to begin taking care of those who wait.
func (g *group) join(c *change) (begin bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, c)
	begin, g.busy = !g.busy, true
	return begin
}

// leave takes a change back; false when it is too late.
func (g *group) leave(c *change) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, c)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// take gives who waits, those only whom is picks, a bounded number; and lets go of the care when nobody waits.
func (g *group) take(is func(*change) bool) (taken []*change) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = slices.DeleteFunc(g.waiting, func(c *change) bool {
		if len(taken) == mostInGroup || !is(c) {
			return false
		}
		taken = append(taken, c)
		return true
	})
	return taken
}

// over tells whether nobody waits any more; then somebody else begins the next group.
func (g *group) over() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy = len(g.waiting) > 0
	return !g.busy
}

// change does f in a transaction, which it may share with others. When it returns nil, what f did would
// survive a power cut; when it does not, f did nothing. f may be called more than once, each time as if it
// were the first.
func (s *Store) change(ctx context.Context, f func(ctx context.Context) error) error {
	if s.turns == nil {
		return errReadOnly
	}
	began := time.Now()
	err := s.changed(ctx, f)
	if s.observe != nil {
		s.observe(time.Since(began), err)
	}
	return err
}

func (s *Store) changed(ctx context.Context, f func(ctx context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &change{ctx: ctx, do: f, since: time.Now(), done: make(chan error, 1)}
	if s.group.join(c) {
		go s.changeAll()
	}
	select {
	case err := <-c.done:
		return mapError(s.path, err)
	case <-ctx.Done():
		if s.group.leave(c) {
			return ctx.Err()
		}
		return mapError(s.path, <-c.done) // it is being done, and that takes milliseconds
	}
}

// changeAll does the changes of all who wait, group by group, until nobody does.
func (s *Store) changeAll() {
	for !s.group.over() {
		began := time.Now()
		leave, err := s.turns.enter(s.base)
		if err != nil {
			// It waited as long as one may. Who came in the meantime has not yet.
			for _, c := range s.group.take(func(c *change) bool { return !c.since.After(began) }) {
				c.done <- err
			}
			continue
		}
		all := s.group.take(func(*change) bool { return true })
		errs := s.together(all)
		leave() // before they hear of it: the next who wants to write need not wait
		for i, c := range all {
			c.done <- errs[i]
		}
	}
}

// together does changes in one transaction or, where that does not work out, each in its own.
func (s *Store) together(all []*change) []error {
	errs := make([]error, len(all))
	if len(all) > 1 && transact(s.base, s.conn, func(ctx context.Context) error {
		for i, c := range all {
			var err error
			if errs[i], err = savepoint(ctx, s.conn, c.do); err != nil {
				return err
			}
		}
		return nil
	}) == nil {
		return errs
	}
	for i, c := range all {
		errs[i] = transact(s.base, s.conn, c.do)
	}
	return errs
}

// savepoint does f so that it can be undone alone. failed is f's error; err is one of the whole transaction.
func savepoint(ctx context.Context, conn *sql.Conn, f func(ctx context.Context) error) (failed, err error) {
	if _, err := conn.ExecContext(ctx, "SAVEPOINT one"); err != nil {
		return nil, err
	}
	if failed = f(ctx); failed != nil {
		if _, err := conn.ExecContext(ctx, "ROLLBACK TO one"); err != nil {
			return failed, err
		}
	}
	_, err = conn.ExecContext(ctx, "RELEASE one")
	return failed, err
}
