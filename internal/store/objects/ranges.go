package objects

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/store"
)

// The key of a range record says how far it reaches: a damaged one concerns nobody who asks for what comes later. One
// that grows is another object, written before the shorter ones are deleted. The longest is the record.
const (
	rangePrefix = "records/ranges/"
	rangeTime   = "20060102T150405.000Z"
)

// rangeFolder is what the keys of all that begin at one instant begin with.
func rangeFolder(job dayfly.JobName, from time.Time) string {
	return rangePrefix + string(job) + "/" + from.UTC().Format(rangeTime) + "-"
}

func rangeKey(r dayfly.Range) string {
	return rangeFolder(r.Job, r.From) + r.To.UTC().Format(rangeTime)
}

// parseRangeKey gives of a range what its key says. No range has a key that it does not take.
func parseRangeKey(key string) (r dayfly.Range, ok bool) {
	job, times, _ := strings.Cut(strings.TrimPrefix(key, rangePrefix), "/")
	from, to, _ := strings.Cut(times, "-")
	var err1, err2 error
	r.Job = dayfly.JobName(job)
	r.From, err1 = time.Parse(rangeTime, from)
	r.To, err2 = time.Parse(rangeTime, to)
	return r, err1 == nil && err2 == nil && rangeKey(r) == key
}

// rangeKeys gives what the keys below a prefix say: of those that begin at one instant the longest is the last.
func (s *Store) rangeKeys(ctx context.Context, prefix string) (out []dayfly.Range, err error) {
	for info, err := range s.b.List(ctx, prefix, "") {
		if err != nil {
			return nil, err
		}
		if r, ok := parseRangeKey(info.Key); ok {
			out = append(out, r)
		}
	}
	return out, nil
}

func sameRange(a, b dayfly.Range) bool { return a.Job == b.Job && a.From.Equal(b.From) }

// readRange reads the range record of which this is the key. One that has grown meanwhile is read in its place.
func (s *Store) readRange(ctx context.Context, at dayfly.Range) (dayfly.Range, error) {
	for {
		decode := func(data []byte) (dayfly.Range, error) { return store.DecodeRange(at.Job, at.From, data) }
		r, _, err := read(ctx, s, rangeKey(at), decode)
		if err == nil && !r.To.Equal(at.To) {
			err = damage(decode, fmt.Errorf("it says that it ends at %s", r.To.Format(time.RFC3339)))
		}
		if !errors.Is(err, store.ErrNotFound) {
			return r, err
		}
		keys, bad := s.rangeKeys(ctx, rangeFolder(at.Job, at.From))
		if bad != nil || len(keys) == 0 || keys[len(keys)-1] == at {
			return r, cmp.Or(bad, err)
		}
		at = keys[len(keys)-1]
	}
}

// PutRange implements store.Store.
func (s *Store) PutRange(ctx context.Context, r dayfly.Range) error {
	if err := store.CheckRange(r); err != nil {
		return err
	}
	err := s.write(ctx, rangeKey(r), r, bucket.Condition{})
	if err == nil {
		err = s.deleteRanges(ctx, r.Job, r.From, 1)
	}
	if err != nil {
		return fmt.Errorf("store range of job %s from %s: %w", r.Job, r.From.Format(time.RFC3339), err)
	}
	return nil
}

// deleteRanges deletes the objects of a range record, the shortest first, but for so many.
func (s *Store) deleteRanges(ctx context.Context, job dayfly.JobName, from time.Time, keep int) error {
	keys, err := s.rangeKeys(ctx, rangeFolder(job, from))
	if err != nil {
		return err
	}
	for i := range len(keys) - keep {
		if err := s.b.Delete(ctx, rangeKey(keys[i])); err != nil {
			return err
		}
	}
	return nil
}

// DeleteRange implements store.Store.
func (s *Store) DeleteRange(ctx context.Context, job dayfly.JobName, from time.Time) error {
	if err := s.deleteRanges(ctx, job, from, 0); err != nil {
		return fmt.Errorf("delete range of job %s from %s: %w", job, from.Format(time.RFC3339), err)
	}
	return nil
}

// Ranges implements store.Store. It reads those alone that reach far enough.
func (s *Store) Ranges(ctx context.Context, job dayfly.JobName, since time.Time) (out []dayfly.Range, err error) {
	prefix := rangePrefix
	if job != "" {
		prefix += string(job) + "/"
	}
	keys, err := s.rangeKeys(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("read ranges: %w", err)
	}
	var damaged []store.Damage
	for i, at := range keys {
		if at.To.Before(since) || i+1 < len(keys) && sameRange(at, keys[i+1]) {
			continue
		}
		r, err := s.readRange(ctx, at)
		switch {
		case errors.Is(err, store.ErrNotFound): // removed just now
		case spare(err, &damaged) != nil:
			return nil, fmt.Errorf("read ranges: %w", err)
		case err == nil:
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b dayfly.Range) int { // "a-b/" comes before "a/" among keys
		return cmp.Or(strings.Compare(string(a.Job), string(b.Job)), a.From.Compare(b.From))
	})
	return out, store.OrDamaged(damaged)
}
