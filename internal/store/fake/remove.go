package fake

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

var _ store.Collector = (*Store)(nil)

// Recorded implements store.Store.
func (s *Store) Recorded(ctx context.Context, after dayfly.JobName, limit int) ([]dayfly.JobName, error) {
	return call(ctx, s, "Recorded", func() ([]dayfly.JobName, error) {
		var out []dayfly.JobName // the first ones, sorted
		add := func(name dayfly.JobName) {
			if name <= after || len(out) >= max(1, limit) && name >= out[len(out)-1] {
				return
			}
			if i, there := slices.BinarySearch(out, name); !there {
				out = slices.Insert(out, i, name)
				out = out[:min(limit, len(out))]
			}
		}
		for name := range s.byJob {
			add(name)
		}
		for _, r := range s.ranges {
			add(r.Job)
		}
		return out, nil
	})
}

// MarkRemoved implements store.Store.
func (s *Store) MarkRemoved(ctx context.Context, marks []store.Mark) error {
	_, err := call(ctx, s, "MarkRemoved", func() (struct{}, error) {
		if err := store.CheckBatch(len(marks)); err != nil {
			return struct{}{}, err
		}
		for _, m := range marks {
			if r := s.runs[m.Run]; r != nil && m.Apply(r) {
				r.Rev++
			}
		}
		return struct{}{}, nil
	})
	return err
}

// DeleteRuns implements store.Store.
func (s *Store) DeleteRuns(ctx context.Context, ids []dayfly.RunID) error {
	_, err := call(ctx, s, "DeleteRuns", func() (struct{}, error) {
		if err := store.CheckBatch(len(ids)); err != nil {
			return struct{}{}, err
		}
		for _, id := range ids {
			r := s.runs[id]
			if r == nil || r.State != dayfly.Ended {
				continue
			}
			delete(s.runs, id)
			of := s.byJob[r.Job]
			s.all.all, of.all = remove(s.all.all, r, compareRuns), remove(of.all, r, compareRuns)
			if len(of.all) == 0 {
				delete(s.byJob, r.Job)
			}
		}
		return struct{}{}, nil
	})
	return err
}

// DeleteRange implements store.Store.
func (s *Store) DeleteRange(ctx context.Context, job dayfly.JobName, from time.Time) error {
	_, err := call(ctx, s, "DeleteRange", func() (struct{}, error) {
		s.ranges = remove(s.ranges, dayfly.Range{Job: job, From: from}, compareRanges)
		return struct{}{}, nil
	})
	return err
}

// Refer implements store.Collector.
func (s *Store) Refer(ctx context.Context) (leave func(), err error) {
	return s.enter(ctx, "Refer", func() bool { return s.guard.collecting == 0 }, &s.guard.referring)
}

// Collect implements store.Collector.
func (s *Store) Collect(ctx context.Context) (leave func(), err error) {
	return s.enter(ctx, "Collect", func() bool { return s.guard.collecting+s.guard.referring == 0 }, &s.guard.collecting)
}

// enter counts somebody in where there is room, until leave. Who hears nothing of it is dead, and holds nothing.
func (s *Store) enter(ctx context.Context, op string, room func() bool, inside *int) (leave func(), err error) {
	entered := false
	leave = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if entered {
			*inside, entered = *inside-1, false
		}
	}
	_, err = call(ctx, s, op, func() (struct{}, error) {
		if !room() {
			return struct{}{}, fmt.Errorf("use the archives: %w", store.ErrBusy)
		}
		*inside, entered = *inside+1, true
		return struct{}{}, nil
	})
	if err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// CollectVersions implements store.Collector.
func (s *Store) CollectVersions(ctx context.Context, after string, limit int, now, unused time.Time) (last string, removed int, err error) {
	type answer struct {
		last    string
		removed int
	}
	a, err := call(ctx, s, "CollectVersions", func() (a answer, err error) {
		var names []string
		for v := range s.versions {
			if v > after {
				names = append(names, v)
			}
		}
		slices.Sort(names)
		if len(names) > limit {
			names = names[:limit]
			a.last = names[limit-1]
		}
		for _, v := range names {
			since, seen := s.unused[v]
			switch {
			case s.inUse(v):
				delete(s.unused, v)
			case !seen:
				s.unused[v] = now
			case !since.After(unused):
				delete(s.unused, v)
				delete(s.versions, v)
				a.removed++
			}
		}
		return a, nil
	})
	return a.last, a.removed, err
}

func (s *Store) inUse(version string) bool {
	name := s.versions[version].Name
	if s.jobs[name].Version == version {
		return true
	}
	of := s.byJob[name]
	return of != nil && slices.ContainsFunc(of.all, func(r *dayfly.Run) bool { return r.Version == version })
}

// NamesFiles implements store.Collector.
func (s *Store) NamesFiles(ctx context.Context, sha256 string) (bool, error) {
	return call(ctx, s, "NamesFiles", func() (bool, error) {
		for _, j := range s.versions {
			if sha256 != "" && j.FilesSHA256 == sha256 {
				return true, nil
			}
		}
		return false, nil
	})
}
