// Package fake is a store in memory that fails when it is told to.
//
// It passes the same suite as the real ones (storetest), shares no memory with its callers, and is
// quick enough for a simulation of years: looking for active runs and due jobs costs what is active
// and due. It outlives nothing; durability is the real stores' business.
package fake

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// Store is a store.Store in memory.
type Store struct {
	hooks struct {
		sync.Mutex
		before, after func(op string) error
	}

	mu       sync.Mutex
	versions map[string]dayfly.Job
	unused   map[string]time.Time                // since when a version was seen to be unused
	guard    struct{ referring, collecting int } // of Collector
	jobs     map[dayfly.JobName]store.Job
	deleted  map[dayfly.JobName]int64 // last revision: a name that comes back goes on from there
	due      []dueJob                 // sorted
	runs     map[dayfly.RunID]*dayfly.Run
	all      jobRuns
	byJob    map[dayfly.JobName]*jobRuns
	ranges   []dayfly.Range // by job, then From
	notes    []store.Note   // by key
}

type dueJob struct {
	at   time.Time
	name dayfly.JobName
}

// jobRuns are the runs of one job, or of all, both lists by position.
type jobRuns struct{ all, active []*dayfly.Run }

var _ store.Store = (*Store)(nil)

// New gives an empty store.
func New() *Store {
	return &Store{
		versions: map[string]dayfly.Job{},
		unused:   map[string]time.Time{},
		jobs:     map[dayfly.JobName]store.Job{},
		deleted:  map[dayfly.JobName]int64{},
		runs:     map[dayfly.RunID]*dayfly.Run{},
		byJob:    map[dayfly.JobName]*jobRuns{},
	}
}

// Fail sets the faults; nil is none. Each is called with the name of the method, without a lock held.
// What before returns is the answer, and nothing is done. What after returns is the answer although
// everything is done: the reply was lost.
func (s *Store) Fail(before, after func(op string) error) {
	s.hooks.Lock()
	defer s.hooks.Unlock()
	s.hooks.before, s.hooks.after = before, after
}

// call does one operation under the lock, between its faults.
func call[T any](ctx context.Context, s *Store, op string, f func() (T, error)) (T, error) {
	s.hooks.Lock()
	before, after := s.hooks.before, s.hooks.after
	s.hooks.Unlock()
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if before != nil {
		if err := before(op); err != nil {
			return none, err
		}
	}
	v, err := locked(s, f)
	if err != nil {
		return none, err
	}
	if after != nil {
		if err := after(op); err != nil {
			return none, err
		}
	}
	return v, nil
}

func locked[T any](s *Store, f func() (T, error)) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f()
}

// PutVersion implements store.Store.
func (s *Store) PutVersion(ctx context.Context, j dayfly.Job) error {
	_, err := call(ctx, s, "PutVersion", func() (struct{}, error) {
		s.versions[j.Version()] = cloneJob(j)
		delete(s.unused, j.Version())
		return struct{}{}, nil
	})
	return err
}

// Version implements store.Store.
func (s *Store) Version(ctx context.Context, version string) (dayfly.Job, error) {
	return call(ctx, s, "Version", func() (dayfly.Job, error) {
		j, ok := s.versions[version]
		if !ok {
			return j, fmt.Errorf("read version %s: %w", version, store.ErrNotFound)
		}
		return cloneJob(j), nil
	})
}

// Versions implements store.Store.
func (s *Store) Versions(ctx context.Context, versions []string) (map[string]dayfly.Job, error) {
	return call(ctx, s, "Versions", func() (map[string]dayfly.Job, error) {
		out := map[string]dayfly.Job{}
		for _, v := range versions {
			if j, ok := s.versions[v]; ok {
				out[v] = cloneJob(j)
			}
		}
		return out, nil
	})
}

// PutJob implements store.Store.
func (s *Store) PutJob(ctx context.Context, j store.Job) (store.Job, error) {
	return call(ctx, s, "PutJob", func() (store.Job, error) {
		old, ok := s.jobs[j.Name]
		if old.Rev != j.Rev {
			return j, fmt.Errorf("store job %s: %w", j.Name, store.ErrStale)
		}
		if ok {
			s.undue(old)
		} else {
			j.Rev = s.deleted[j.Name]
		}
		j.Rev++
		s.jobs[j.Name] = j
		if !j.NextDue.IsZero() {
			s.due = insert(s.due, dueJob{j.NextDue, j.Name}, dueJob.compare)
		}
		return j, nil
	})
}

func (d dueJob) compare(e dueJob) int {
	return cmp.Or(d.at.Compare(e.at), cmp.Compare(d.name, e.name))
}

// undue takes a job out of the list of due ones.
func (s *Store) undue(j store.Job) {
	if !j.NextDue.IsZero() {
		s.due = remove(s.due, dueJob{j.NextDue, j.Name}, dueJob.compare)
	}
}

// Job implements store.Store.
func (s *Store) Job(ctx context.Context, name dayfly.JobName) (store.Job, error) {
	return call(ctx, s, "Job", func() (store.Job, error) { return s.job(name) })
}

func (s *Store) job(name dayfly.JobName) (store.Job, error) {
	j, ok := s.jobs[name]
	if !ok {
		return j, fmt.Errorf("read job %s: %w", name, store.ErrNotFound)
	}
	return j, nil
}

// Jobs implements store.Store.
func (s *Store) Jobs(ctx context.Context) ([]store.Job, error) {
	return call(ctx, s, "Jobs", func() ([]store.Job, error) {
		out := make([]store.Job, 0, len(s.jobs))
		for _, j := range s.jobs {
			out = append(out, j)
		}
		slices.SortFunc(out, func(a, b store.Job) int { return cmp.Compare(a.Name, b.Name) })
		return out, nil
	})
}

// DeleteJob implements store.Store.
func (s *Store) DeleteJob(ctx context.Context, name dayfly.JobName, rev int64) error {
	_, err := call(ctx, s, "DeleteJob", func() (struct{}, error) {
		j, err := s.job(name)
		if err != nil {
			return struct{}{}, err
		}
		if j.Rev != rev {
			return struct{}{}, fmt.Errorf("delete job %s: %w", name, store.ErrStale)
		}
		s.undue(j)
		s.deleted[name] = rev
		delete(s.jobs, name)
		return struct{}{}, nil
	})
	return err
}

// DueJobs implements store.Store.
func (s *Store) DueJobs(ctx context.Context, scope store.Scope, now time.Time, limit int) ([]store.Job, error) {
	return call(ctx, s, "DueJobs", func() ([]store.Job, error) {
		var out []store.Job
		if scope.Job != "" {
			j, ok := s.jobs[scope.Job]
			if ok && limit > 0 && !j.NextDue.IsZero() && !j.NextDue.After(now) {
				out = append(out, j)
			}
			return out, nil
		}
		for _, d := range s.due {
			if d.at.After(now) || len(out) >= limit {
				break
			}
			out = append(out, s.jobs[d.name])
		}
		return out, nil
	})
}

// NextDue implements store.Store.
func (s *Store) NextDue(ctx context.Context) (time.Time, error) {
	return call(ctx, s, "NextDue", func() (time.Time, error) {
		if len(s.due) == 0 {
			return time.Time{}, nil
		}
		return s.due[0].at, nil
	})
}

// PutRange implements store.Store.
func (s *Store) PutRange(ctx context.Context, r dayfly.Range) error {
	if err := store.CheckRange(r); err != nil {
		return err
	}
	_, err := call(ctx, s, "PutRange", func() (struct{}, error) {
		if i, ok := slices.BinarySearchFunc(s.ranges, r, compareRanges); !ok || !s.ranges[i].To.After(r.To) {
			s.ranges = put(s.ranges, r, compareRanges)
		}
		return struct{}{}, nil
	})
	return err
}

func compareRanges(a, b dayfly.Range) int {
	return cmp.Or(cmp.Compare(a.Job, b.Job), a.From.Compare(b.From))
}

// Ranges implements store.Store.
func (s *Store) Ranges(ctx context.Context, job dayfly.JobName, since time.Time) ([]dayfly.Range, error) {
	return call(ctx, s, "Ranges", func() ([]dayfly.Range, error) {
		i, _ := slices.BinarySearchFunc(s.ranges, dayfly.Range{Job: job}, compareRanges)
		var out []dayfly.Range
		for _, r := range s.ranges[i:] {
			if job != "" && r.Job != job {
				break
			}
			if !r.To.Before(since) {
				out = append(out, r)
			}
		}
		return out, nil
	})
}

// PutNote implements store.Store.
func (s *Store) PutNote(ctx context.Context, n store.Note) error {
	_, err := call(ctx, s, "PutNote", func() (struct{}, error) {
		s.notes = put(s.notes, n, compareNotes)
		return struct{}{}, nil
	})
	return err
}

func compareNotes(a, b store.Note) int { return cmp.Compare(a.Key, b.Key) }

// Notes implements store.Store.
func (s *Store) Notes(ctx context.Context, prefix string, now time.Time) ([]store.Note, error) {
	return call(ctx, s, "Notes", func() ([]store.Note, error) {
		i, _ := slices.BinarySearchFunc(s.notes, store.Note{Key: prefix}, compareNotes)
		var out []store.Note
		for _, n := range s.notes[i:] {
			if !strings.HasPrefix(n.Key, prefix) {
				break
			}
			if n.Valid(now) {
				out = append(out, n)
			}
		}
		return out, nil
	})
}

// DeleteNote implements store.Store.
func (s *Store) DeleteNote(ctx context.Context, key string) error {
	_, err := call(ctx, s, "DeleteNote", func() (struct{}, error) {
		s.notes = remove(s.notes, store.Note{Key: key}, compareNotes)
		return struct{}{}, nil
	})
	return err
}

// Close implements store.Store.
func (s *Store) Close() error { return nil }

// insert, put and remove keep a slice sorted; put replaces an equal element.

func insert[T any](list []T, v T, compare func(a, b T) int) []T {
	if n := len(list); n == 0 || compare(list[n-1], v) < 0 {
		return append(list, v) // time goes on: nearly always here
	}
	i, _ := slices.BinarySearchFunc(list, v, compare)
	return slices.Insert(list, i, v)
}

func put[T any](list []T, v T, compare func(a, b T) int) []T {
	if i, ok := slices.BinarySearchFunc(list, v, compare); ok {
		list[i] = v
		return list
	}
	return insert(list, v, compare)
}

func remove[T any](list []T, v T, compare func(a, b T) int) []T {
	if i, ok := slices.BinarySearchFunc(list, v, compare); ok {
		return slices.Delete(list, i, i+1)
	}
	return list
}

// History implements store.Store. It takes its answer page by page, so that the caller may use the store meanwhile.
func (s *Store) History(ctx context.Context, f store.Filter) iter.Seq2[dayfly.Run, error] {
	return func(yield func(dayfly.Run, error) bool) {
		left := f.Limit
		for page := 16; ; page = min(2*page, 1024) {
			n := page
			if f.Limit > 0 {
				n = min(n, left)
			}
			runs, err := call(ctx, s, "History", func() ([]dayfly.Run, error) { return s.page(f, n) })
			if err != nil {
				yield(dayfly.Run{}, err)
				return
			}
			for _, r := range runs {
				if !yield(r, nil) {
					return
				}
			}
			left -= len(runs)
			if len(runs) < n || f.Limit > 0 && left == 0 {
				return
			}
			f.Before = runs[len(runs)-1].ID
		}
	}
}
