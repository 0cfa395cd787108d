package objects

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// Recorded implements store.Store. It skips from job to job and reads no record.
func (s *Store) Recorded(ctx context.Context, after dayfly.JobName, limit int) ([]dayfly.JobName, error) {
	var names []dayfly.JobName
	for _, prefix := range []string{runPrefix, rangePrefix} {
		for at := ""; ; {
			name, err := s.nextFolder(ctx, prefix, at)
			if err != nil {
				return nil, fmt.Errorf("read which jobs have records: %w", err)
			}
			if name == "" {
				break
			}
			if dayfly.JobName(name) > after {
				names = append(names, dayfly.JobName(name))
			}
			at = prefix + name + "0" // what follows "/": past every key of the folder
		}
	}
	slices.Sort(names) // "a-b/" comes before "a/" among keys
	names = slices.Compact(names)
	return names[:min(limit, len(names))], nil
}

// nextFolder is the folder below a prefix in which the first key after another lies; "" for none.
func (s *Store) nextFolder(ctx context.Context, prefix, after string) (string, error) {
	for info, err := range s.b.List(ctx, prefix, after) {
		name, _, _ := strings.Cut(strings.TrimPrefix(info.Key, prefix), "/")
		return name, err
	}
	return "", nil
}

// MarkRemoved implements store.Store.
func (s *Store) MarkRemoved(ctx context.Context, marks []store.Mark) error {
	if err := store.CheckBatch(len(marks)); err != nil {
		return err
	}
	for _, m := range marks {
		if err := s.mark(ctx, m); err != nil {
			return fmt.Errorf("mark what was removed of run %s: %w", m.Run, err)
		}
	}
	return nil
}

// mark tries again when somebody else has marked the run in between. Who deleted it needs no mark.
func (s *Store) mark(ctx context.Context, m store.Mark) error {
	for {
		old, key, err := s.run(ctx, m.Run)
		if errors.Is(err, store.ErrNotFound) || store.IsDamage(err) {
			return nil
		}
		if err != nil {
			return err
		}
		next := old
		if !m.Apply(&next.Value) {
			return nil
		}
		if err = swap(ctx, s, runPrefix+key, old, next); !errors.Is(err, store.ErrStale) {
			return err
		}
	}
}

// DeleteRuns implements store.Store.
func (s *Store) DeleteRuns(ctx context.Context, ids []dayfly.RunID) error {
	if err := store.CheckBatch(len(ids)); err != nil {
		return err
	}
	for _, id := range ids {
		r, key, err := s.run(ctx, id)
		if errors.Is(err, store.ErrNotFound) || err == nil && r.Value.State != dayfly.Ended {
			continue
		}
		if store.IsDamage(err) {
			var active bool
			if active, err = s.marked(ctx, key); active {
				continue
			}
		}
		if err == nil {
			err = s.b.Delete(ctx, activePrefix+key) // should it have stayed: it would name no run
		}
		if err == nil {
			err = s.b.Delete(ctx, runPrefix+key)
		}
		if err != nil {
			return fmt.Errorf("delete run %s: %w", id, err)
		}
	}
	return nil
}
