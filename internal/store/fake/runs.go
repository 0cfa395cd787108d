package fake

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

func compareRuns(a, b *dayfly.Run) int { return store.PositionOf(a).Compare(store.PositionOf(b)) }

// InsertRuns implements store.Store.
func (s *Store) InsertRuns(ctx context.Context, runs []dayfly.Run) ([]bool, error) {
	return call(ctx, s, "InsertRuns", func() ([]bool, error) {
		if err := store.CheckInsert(runs); err != nil {
			return nil, err
		}
		stored := make([]bool, len(runs))
		for i, r := range runs {
			if s.runs[r.ID] == nil {
				s.insert(r)
				stored[i] = true
			}
		}
		return stored, nil
	})
}

func (s *Store) insert(run dayfly.Run) {
	r := cloneRun(run)
	r.Rev = 1
	s.runs[r.ID] = &r
	of := s.byJob[r.Job]
	if of == nil {
		of = &jobRuns{}
		s.byJob[r.Job] = of
	}
	for _, l := range []*jobRuns{&s.all, of} {
		l.all = insert(l.all, &r, compareRuns)
		if r.State != dayfly.Ended {
			l.active = insert(l.active, &r, compareRuns)
		}
	}
}

// UpdateRun implements store.Store.
func (s *Store) UpdateRun(ctx context.Context, r dayfly.Run) (dayfly.Run, error) {
	return call(ctx, s, "UpdateRun", func() (dayfly.Run, error) {
		if err := store.CheckRun(&r); err != nil {
			return r, err
		}
		old := s.runs[r.ID]
		switch {
		case old == nil:
			return r, fmt.Errorf("update run %s: %w", r.ID, store.ErrNotFound)
		case old.Rev != r.Rev || old.State == dayfly.Ended:
			return r, fmt.Errorf("update run %s: %w", r.ID, store.ErrStale)
		}
		r.Rev++
		*old = cloneRun(r) // in place: the lists point to it, and what orders them never changes
		if r.State == dayfly.Ended {
			for _, l := range []*jobRuns{&s.all, s.byJob[r.Job]} {
				l.active = remove(l.active, old, compareRuns)
			}
		}
		return cloneRun(r), nil
	})
}

// Run implements store.Store.
func (s *Store) Run(ctx context.Context, id dayfly.RunID) (dayfly.Run, error) {
	return call(ctx, s, "Run", func() (dayfly.Run, error) {
		r := s.runs[id]
		if r == nil {
			return dayfly.Run{}, fmt.Errorf("read run %s: %w", id, store.ErrNotFound)
		}
		return cloneRun(*r), nil
	})
}

// ActiveRuns implements store.Store.
func (s *Store) ActiveRuns(ctx context.Context, scope store.Scope) ([]dayfly.Run, error) {
	return call(ctx, s, "ActiveRuns", func() ([]dayfly.Run, error) {
		var found []*dayfly.Run
		switch {
		case scope.Run != "":
			if r := s.runs[scope.Run]; r != nil && r.State != dayfly.Ended && scope.Covers(r) {
				found = append(found, r)
			}
		case scope.Job != "":
			if of := s.byJob[scope.Job]; of != nil {
				found = of.active
			}
		default:
			found = s.all.active
		}
		out := make([]dayfly.Run, len(found))
		for i, r := range found {
			out[i] = cloneRun(*r)
		}
		return out, nil
	})
}

// LastN implements store.Store.
func (s *Store) LastN(ctx context.Context, job dayfly.JobName, slot time.Time, shard dayfly.Shard) (int, error) {
	return call(ctx, s, "LastN", func() (int, error) {
		last, of := -1, s.byJob[job]
		if of == nil {
			return last, nil
		}
		i, _ := slices.BinarySearchFunc(of.all, &dayfly.Run{Slot: slot}, compareRuns)
		for _, r := range of.all[i:] {
			if !r.Slot.Equal(slot) {
				break
			}
			if r.Shard == shard {
				last = max(last, r.N)
			}
		}
		return last, nil
	})
}

// page gives the first n runs that pass the filter after its cursor.
func (s *Store) page(f store.Filter, n int) ([]dayfly.Run, error) {
	from, ok, err := f.Cursor()
	if err != nil {
		return nil, err
	}
	list := s.all.all
	if f.Job != "" {
		list = nil
		if of := s.byJob[f.Job]; of != nil {
			list = of.all
		}
	}
	i, step := len(list)-1, -1
	if f.Oldest {
		i, step = 0, 1
	}
	if ok {
		at, there := slices.BinarySearchFunc(list, &dayfly.Run{Slot: from.Slot, ID: from.ID}, compareRuns)
		i = at
		if !f.Oldest || there {
			i += step
		}
	}
	var out []dayfly.Run
	for ; i >= 0 && i < len(list) && len(out) < n; i += step {
		r := list[i]
		if !f.Since.IsZero() && r.Slot.Before(f.Since) && !f.Oldest || !f.Until.IsZero() && r.Slot.After(f.Until) && f.Oldest {
			break
		}
		if f.Match(r) {
			out = append(out, cloneRun(*r))
		}
	}
	return out, nil
}
