package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// unusedVersions removes versions of jobs that nothing refers to.
func (r *remover) unusedVersions(ctx context.Context) (done bool, err error) {
	c, ok := r.Store.(store.Collector)
	if !ok || r.Seen.IsZero() {
		return true, nil
	}
	for r.spare() {
		r.left -= removePage
		last, n, err := c.CollectVersions(ctx, r.After, removePage, r.Seen, r.Seen.Add(-unusedFor))
		if err != nil {
			return false, err
		}
		r.Done.Versions += n
		if r.After = last; last == "" {
			return true, nil
		}
	}
	return false, nil
}

// unusedArchives removes archives of files that no version names. Nobody comes to refer to one meanwhile: where
// somebody is about to, they stay until the next round.
func (r *remover) unusedArchives(ctx context.Context) (done bool, err error) {
	c, ok := r.Store.(store.Collector)
	if !ok || r.Seen.IsZero() {
		return true, nil
	}
	leave, err := c.Collect(ctx)
	if errors.Is(err, store.ErrBusy) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer leave()
	for o, err := range r.Bucket.List(ctx, dayfly.FilesKey(""), r.After) {
		if err != nil {
			return false, fmt.Errorf("list the archives of files: %w", err)
		}
		if !r.spare() {
			return false, nil
		}
		r.left--
		r.After = o.Key
		if o.Modified.After(r.Seen.Add(-unusedFor)) {
			continue
		}
		named, err := c.NamesFiles(ctx, strings.TrimPrefix(o.Key, dayfly.FilesKey("")))
		if err == nil && !named {
			err = r.Bucket.Delete(ctx, o.Key)
			r.Done.Archives++
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// notes removes what is remembered of jobs that were removed and of which nothing is left.
func (r *remover) notes(ctx context.Context) error {
	all, err := r.Store.Notes(ctx, "keep-removed/", r.now())
	if err != nil {
		return err
	}
	for _, n := range all {
		name := dayfly.JobName(strings.TrimSuffix(strings.TrimPrefix(n.Key, "keep-removed/"), " "))
		_, there, err := r.jobRecord(ctx, name)
		if store.IsDamage(err) { // it is there; what is remembered goes when it can be read
			continue
		}
		if err != nil {
			return err
		}
		if !there {
			if left, err := r.leftOf(ctx, name); left || err != nil {
				if err != nil {
					return err
				}
				continue
			}
			if err := r.forget(ctx, successPrefix(name)); err != nil {
				return err
			}
		}
		if err := r.Store.DeleteNote(ctx, n.Key); err != nil {
			return err
		}
	}
	return nil
}

// jobRecord reads a job's record; ok is false where there is none.
func (p *pass) jobRecord(ctx context.Context, name dayfly.JobName) (rec store.Job, ok bool, err error) {
	rec, err = p.Store.Job(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return rec, false, nil
	}
	return rec, err == nil, err
}

// leftOf tells whether a job has any run or range record.
func (r *remover) leftOf(ctx context.Context, name dayfly.JobName) (bool, error) {
	for _, err := range r.Store.History(ctx, store.Filter{Job: name, Limit: 1}) {
		if store.IsDamage(err) {
			err = nil
		}
		return true, err
	}
	ranges, err := r.Store.Ranges(ctx, name, time.Time{})
	if store.IsDamage(err) {
		return true, nil
	}
	return len(ranges) > 0, err
}

func (r *remover) forget(ctx context.Context, prefix string) error {
	notes, err := r.Store.Notes(ctx, prefix, r.now())
	for _, n := range notes {
		err = errors.Join(err, r.Store.DeleteNote(ctx, n.Key))
	}
	return err
}

// Gone is what is remembered of the records of a job that were removed.
type Gone struct {
	dayfly.Removal           // the latest
	Through        time.Time `json:"through"` // the latest slot of them
}

// goneFor is how long it is remembered after the latest removal.
const goneFor = 365 * 24 * time.Hour

func goneKey(job dayfly.JobName) string { return "gone/" + string(job) + " " }

// remember takes note of a removal of records up to a slot, before it happens.
func (r *remover) remember(ctx context.Context, removal dayfly.Removal, through time.Time) error {
	var g Gone
	if _, err := readNote(ctx, r.Store, goneKey(r.Job), r.now(), &g); err != nil {
		return err
	}
	return writeNote(ctx, r.Store, goneKey(r.Job), Gone{removal, later(g.Through, through)}, r.now().Add(goneFor))
}

// GoneOf tells what is remembered of a job's records that were removed; ok is false where there is nothing.
func GoneOf(ctx context.Context, s store.Store, job dayfly.JobName, now time.Time) (g Gone, ok bool, err error) {
	ok, err = readNote(ctx, s, goneKey(job), now, &g)
	return g, ok, err
}

// CountGone counts the jobs of which it is remembered that records were removed.
func CountGone(ctx context.Context, s store.Store, now time.Time) (int, error) {
	notes, err := s.Notes(ctx, "gone/", now)
	return len(notes), err
}
