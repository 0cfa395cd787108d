// Package objects keeps the records in a bucket, for where there is no database.
//
//	records/versions/VERSION        records/jobs/JOB               records/ranges/JOB/FROM-TO
//	records/runs/JOB/RUN            records/active/JOB/RUN         records/notes/KEY
//
// Each record is one object with its revision inside; it changes by a Put that demands the ETag under
// which it was read. A range record has no revision: it only grows, into another object. That a run is
// active is an empty object of its own, written before the run and removed after its end, so that
// looking for active runs costs what is active: a marker too many is harmless, since the run itself is
// read and says so; of a damaged run the marker is believed.
//
// It is no [store.Collector]: versions and archives that nothing refers to stay, since a bucket cannot
// say that nothing comes to refer to one while it is removed.
//
// What it leaves to databases: jobs by next due instant cost what jobs there are (a pass over one job
// reads one), and a filtered history costs what it passes over. An error of a Put may mean that it
// happened; whoever repeats the change then finds it stale and reads again.
package objects

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/store"
)

// Store is a store.Store in a bucket.
type Store struct{ b bucket.Bucket }

var _ store.Store = (*Store)(nil)

// New gives the store that lies in the bucket. The bucket stays the caller's to close.
func New(b bucket.Bucket) *Store { return &Store{b} }

// Close implements store.Store.
func (s *Store) Close() error { return nil }

// record is what an object holds of a record that has revisions.
type record[T any] struct {
	Rev     int64 `json:"rev"`
	Deleted bool  `json:"deleted,omitempty"`
	Value   T     `json:"value"`

	etag string // under which it was read; empty: it is not there
}

// read reads an object; store.ErrNotFound where there is none, store.Damage where it is no such record. The ETag is
// asked for first: should the object change in between, a Put that demands the older one fails, as it must.
func read[T any](ctx context.Context, s *Store, key string, decode func([]byte) (T, error)) (v T, etag string, err error) {
	info, err := s.b.Stat(ctx, key)
	var data []byte
	if err == nil {
		data, err = s.content(ctx, key)
	}
	if errors.Is(err, bucket.ErrNotFound) || errors.Is(err, bucket.ErrKey) {
		err = store.ErrNotFound
	}
	if err != nil {
		return v, "", err
	}
	v, err = decode(data)
	return v, info.ETag, err
}

func (s *Store) content(ctx context.Context, key string) ([]byte, error) {
	r, err := s.b.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// revised decodes a record that has revisions. They count from 1.
func revised[T any](data []byte, decode func([]byte) (T, error)) (r record[T], err error) {
	raw := record[json.RawMessage]{}
	err = json.Unmarshal(data, &raw)
	if err == nil && raw.Rev < 1 {
		err = fmt.Errorf("its revision is %d", raw.Rev)
	}
	if err != nil {
		return r, damage(decode, err)
	}
	if r.Rev, r.Deleted = raw.Rev, raw.Deleted; !r.Deleted {
		r.Value, err = decode(raw.Value)
	}
	return r, err
}

// damage is what is wrong with a record beyond what decode looks at. Nothing at all is no record, so decode names it.
func damage[T any](decode func([]byte) (T, error), why error) error {
	_, err := decode(nil)
	d, _ := errors.AsType[store.Damage](err)
	d.Err = why
	return d
}

// spare keeps what is damaged for later: it stops no list.
func spare(err error, damaged *[]store.Damage) error {
	if d, bad := errors.AsType[store.Damage](err); bad {
		*damaged = append(*damaged, d)
		return nil
	}
	return err
}

func (s *Store) write(ctx context.Context, key string, v any, c bucket.Condition) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = s.b.Put(ctx, key, bytes.NewReader(data), c)
	return err
}

// swap writes a record in the place of the one that was read.
func swap[T any](ctx context.Context, s *Store, key string, old, next record[T]) error {
	next.Rev = old.Rev + 1
	err := s.write(ctx, key, next, bucket.Condition{IfMatch: old.etag, IfAbsent: old.etag == ""})
	if errors.Is(err, bucket.ErrExists) {
		return store.ErrStale
	}
	return err
}

// last is the last part of a key.
func last(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }

// PutVersion implements store.Store.
func (s *Store) PutVersion(ctx context.Context, j dayfly.Job) error {
	key := "records/versions/" + j.Version()
	err := s.write(ctx, key, j, bucket.Condition{IfAbsent: true})
	if errors.Is(err, bucket.ErrExists) {
		if _, err = s.Version(ctx, j.Version()); store.IsDamage(err) {
			err = s.write(ctx, key, j, bucket.Condition{}) // the name tells the content
		}
	}
	if err != nil {
		return fmt.Errorf("store version %s of job %s: %w", j.Version(), j.Name, err)
	}
	return nil
}

// Version implements store.Store.
func (s *Store) Version(ctx context.Context, version string) (dayfly.Job, error) {
	j, _, err := read(ctx, s, "records/versions/"+version, func(data []byte) (dayfly.Job, error) { return store.DecodeVersion(version, data) })
	if err != nil {
		return dayfly.Job{}, fmt.Errorf("read version %s: %w", version, err)
	}
	return j, nil
}

// Versions implements store.Store.
func (s *Store) Versions(ctx context.Context, versions []string) (map[string]dayfly.Job, error) {
	out := map[string]dayfly.Job{}
	var damaged []store.Damage
	for _, v := range versions {
		switch j, err := s.Version(ctx, v); {
		case err == nil:
			out[v] = j
		case errors.Is(err, store.ErrNotFound):
		case spare(err, &damaged) != nil:
			return out, err
		}
	}
	return out, store.OrDamaged(damaged)
}

func jobKey(name dayfly.JobName) string { return "records/jobs/" + string(name) }

// job reads a job's record; that of a deleted one only says at which revision it was.
func (s *Store) job(ctx context.Context, name dayfly.JobName) (record[store.Job], error) {
	r, etag, err := read(ctx, s, jobKey(name), func(data []byte) (record[store.Job], error) {
		return revised(data, func(body []byte) (store.Job, error) { return store.DecodeJob(name, body) })
	})
	if errors.Is(err, store.ErrNotFound) {
		return record[store.Job]{Deleted: true}, nil
	}
	r.etag, r.Value.Rev = etag, r.Rev
	return r, err
}

// PutJob implements store.Store.
func (s *Store) PutJob(ctx context.Context, j store.Job) (store.Job, error) {
	old, err := s.job(ctx, j.Name)
	if err == nil && (old.Deleted && j.Rev != 0 || !old.Deleted && j.Rev != old.Rev) {
		err = store.ErrStale
	}
	if err == nil {
		err = swap(ctx, s, jobKey(j.Name), old, record[store.Job]{Value: j})
	}
	if err != nil {
		return store.Job{}, fmt.Errorf("store job %s: %w", j.Name, err)
	}
	j.Rev = old.Rev + 1
	return j, nil
}

// Job implements store.Store.
func (s *Store) Job(ctx context.Context, name dayfly.JobName) (store.Job, error) {
	r, err := s.job(ctx, name)
	if err == nil && r.Deleted {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Job{}, fmt.Errorf("read job %s: %w", name, err)
	}
	return r.Value, nil
}

// DeleteJob implements store.Store.
func (s *Store) DeleteJob(ctx context.Context, name dayfly.JobName, rev int64) error {
	old, err := s.job(ctx, name)
	switch {
	case err == nil && old.Deleted:
		err = store.ErrNotFound
	case err == nil && old.Rev != rev:
		err = store.ErrStale
	case err == nil:
		err = swap(ctx, s, jobKey(name), old, record[store.Job]{Deleted: true})
	}
	if err != nil {
		return fmt.Errorf("delete job %s: %w", name, err)
	}
	return nil
}

// Jobs implements store.Store.
func (s *Store) Jobs(ctx context.Context) (out []store.Job, err error) {
	var damaged []store.Damage
	for info, err := range s.b.List(ctx, "records/jobs/", "") {
		if err != nil {
			return nil, fmt.Errorf("read jobs: %w", err)
		}
		switch j, err := s.Job(ctx, dayfly.JobName(last(info.Key))); {
		case err == nil:
			out = append(out, j)
		case errors.Is(err, store.ErrNotFound):
		case spare(err, &damaged) != nil:
			return nil, err
		}
	}
	return out, store.OrDamaged(damaged)
}

// DueJobs implements store.Store. When a damaged job is due nobody can tell: it comes after the sound ones.
func (s *Store) DueJobs(ctx context.Context, scope store.Scope, now time.Time, limit int) ([]store.Job, error) {
	jobs, err := s.scheduled(ctx, scope)
	jobs = slices.DeleteFunc(jobs, func(j store.Job) bool { return j.NextDue.After(now) })
	jobs = jobs[:min(limit, len(jobs))]
	if list, damaged := errors.AsType[*store.DamagedError](err); damaged {
		err = store.OrDamaged(list.Records[:min(limit-len(jobs), len(list.Records))])
	}
	return jobs, err
}

// NextDue implements store.Store.
func (s *Store) NextDue(ctx context.Context) (time.Time, error) {
	jobs, err := s.scheduled(ctx, store.Scope{})
	if _, damaged := errors.AsType[*store.DamagedError](err); damaged {
		err = nil // when those are due nobody can tell
	}
	if err != nil || len(jobs) == 0 {
		return time.Time{}, err
	}
	return jobs[0].NextDue, nil
}

// scheduled gives the jobs that have a next due instant, by it, and names those that are damaged.
func (s *Store) scheduled(ctx context.Context, scope store.Scope) (jobs []store.Job, err error) {
	if scope.Job == "" {
		jobs, err = s.Jobs(ctx)
	} else {
		var damaged []store.Damage
		switch j, bad := s.Job(ctx, scope.Job); {
		case bad == nil:
			jobs = []store.Job{j}
		case errors.Is(bad, store.ErrNotFound):
			return nil, nil
		default:
			if err = spare(bad, &damaged); err == nil {
				err = store.OrDamaged(damaged)
			}
		}
	}
	jobs = slices.DeleteFunc(jobs, func(j store.Job) bool { return j.NextDue.IsZero() })
	slices.SortFunc(jobs, func(a, b store.Job) int {
		return cmp.Or(a.NextDue.Compare(b.NextDue), cmp.Compare(a.Name, b.Name))
	})
	return jobs, err
}
