package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// runs goes through the runs of the job that may have something to remove, the oldest slot first.
func (r *remover) runs(ctx context.Context, term dayfly.Term) (done bool, err error) {
	if term.For == 0 {
		return true, nil
	}
	f := store.Filter{
		Job: r.Job, Ended: true, Oldest: true, Limit: removePage, Before: dayfly.RunID(r.After),
		Until:   r.Seen.Add(-term.For), // a run ends after its slot
		Remains: map[step]dayfly.Remains{stepResults: dayfly.RemainsResults, stepLogs: dayfly.RemainsLogs}[r.Step],
	}
	for r.spare() {
		var page []dayfly.Run // first what might be removed, then what would justify keeping it
		var damaged dayfly.RunID
		for run, err := range r.Store.History(ctx, f) {
			if d, bad := errors.AsType[store.Damage](err); bad { // it stays, and keeps no other
				damaged = dayfly.RunID(d.ID)
				if !slices.ContainsFunc(r.damaged, func(known store.Damage) bool { return known.ID == d.ID }) {
					r.damaged = append(r.damaged, d)
				}
				continue
			}
			if err != nil {
				return false, fmt.Errorf("read the runs of job %s: %w", r.Job, err)
			}
			page = append(page, run)
		}
		if len(page) == 0 && damaged == "" {
			return true, nil
		}
		if len(page) == 0 { // beyond them others may be
			r.left -= removePage
			r.After = string(damaged)
			f.Before = damaged
			continue
		}
		u, err := r.uses(ctx)
		if err == nil {
			err = r.page(ctx, page, u, term)
		}
		if err != nil {
			return false, err
		}
		f.Before = dayfly.RunID(r.After)
	}
	return false, nil
}

// page removes from these runs what the step is about, and takes note of it in the records, of all
// together: objects first. It may come to an end in the middle of them.
func (r *remover) page(ctx context.Context, page []dayfly.Run, u uses, term dayfly.Term) error {
	var bare []dayfly.Run // of which nothing is left but the record's word
	for _, run := range page {
		if !r.spare() {
			break
		}
		r.left--
		if !term.Over(run.EndedAt, r.Seen) || u.needs(run, r.Step, r.Seen) {
			r.After = string(run.ID)
			continue
		}
		switch whole, err := r.empty(ctx, run); {
		case err != nil:
			r.errs = append(r.errs, fmt.Errorf("run %s: %w", run.ID, err)) // the next round tries again
		case !whole:
			return r.commit(ctx, bare, term)
		default:
			bare = append(bare, run)
		}
		r.After = string(run.ID)
	}
	return r.commit(ctx, bare, term)
}

// commit marks or removes the records of runs whose objects are gone.
func (r *remover) commit(ctx context.Context, bare []dayfly.Run, term dayfly.Term) error {
	if len(bare) == 0 {
		return nil
	}
	removal := dayfly.Removal{At: r.now().UTC(), Rule: term.Rule}
	ids := make([]dayfly.RunID, len(bare))
	marks := make([]store.Mark, len(bare))
	for i, run := range bare {
		ids[i], marks[i] = run.ID, store.Mark{Run: run.ID}
		if r.Step == stepResults {
			marks[i].Results = removal
		} else {
			marks[i].Logs = removal
		}
	}
	var err error
	switch r.Step {
	case stepResults:
		err = r.Store.MarkRemoved(ctx, marks)
		r.Done.Results += len(bare)
	case stepLogs:
		err = r.Store.MarkRemoved(ctx, marks)
		r.Done.Logs += len(bare)
	default:
		if err = r.remember(ctx, removal, bare[len(bare)-1].Slot); err == nil {
			err = r.Store.DeleteRuns(ctx, ids)
		}
		r.Done.Records += len(bare)
	}
	if err != nil {
		return fmt.Errorf("record what was removed of job %s: %w", r.Job, err)
	}
	return nil
}

// empty removes the objects of a run that the step is about, as many as there is time for.
func (r *remover) empty(ctx context.Context, run dayfly.Run) (whole bool, err error) {
	if len(run.Attempts) == 0 {
		return true, nil
	}
	if r.Step == stepRecords {
		return r.clear(ctx, dayfly.RunPrefix(run.Job, run.ID))
	}
	for _, a := range run.Attempts {
		prefix := dayfly.AttemptPrefix(run.Job, run.ID, a.Number)
		if r.Step == stepResults {
			whole, err = r.clear(ctx, prefix+dayfly.KeyResults)
		} else if whole, err = r.clear(ctx, prefix+dayfly.KeyChunks); whole && err == nil {
			err = r.Bucket.Delete(ctx, prefix+dayfly.KeyLog)
		}
		if err != nil || !whole {
			return false, err
		}
	}
	return true, nil
}

// clear removes all objects below a prefix, as many as there is time for.
func (r *remover) clear(ctx context.Context, prefix string) (whole bool, err error) {
	for o, err := range r.Bucket.List(ctx, prefix, "") {
		if err != nil {
			return false, err
		}
		if !r.spare() {
			return false, nil
		}
		r.left--
		if err := r.Bucket.Delete(ctx, o.Key); err != nil {
			return false, err
		}
	}
	return true, nil
}

// ranges removes range records, which have no objects.
func (r *remover) ranges(ctx context.Context, term dayfly.Term) error {
	if term.For == 0 {
		return nil
	}
	all, err := r.Store.Ranges(ctx, r.Job, time.Time{})
	if err != nil || len(all) == 0 {
		return err
	}
	u, err := r.uses(ctx)
	if err != nil {
		return err
	}
	for _, one := range all {
		if !term.Over(one.CreatedAt, r.Seen) || !u.covered(one.To) {
			continue
		}
		if err := r.remember(ctx, dayfly.Removal{At: r.now().UTC(), Rule: term.Rule}, one.To); err != nil {
			return err
		}
		if err := r.Store.DeleteRange(ctx, one.Job, one.From); err != nil {
			return err
		}
		r.Done.Records++
	}
	return nil
}

// uses is what keeps runs of one job from removal, whatever their age.
type uses struct {
	job  *store.Job            // nil: the job was removed
	last map[success]bool      // the last success of each shard that the job has
	of   map[dayfly.RunID]bool // what a run that is not ended repeats
}

// success is a slot of a shard.
type success struct {
	shard dayfly.Shard
	slot  int64 // in milliseconds
}

func (r *remover) uses(ctx context.Context) (uses, error) {
	u := uses{last: map[success]bool{}, of: map[dayfly.RunID]bool{}}
	active, err := r.Store.ActiveRuns(ctx, store.Scope{Job: r.Job})
	if err != nil {
		return u, err
	}
	for _, run := range active {
		u.of[run.Of] = true
	}
	rec, ok, err := r.jobRecord(ctx, r.Job)
	if err != nil || !ok {
		return u, err
	}
	u.job = &rec
	job, err := r.version(ctx, rec.Version)
	if err != nil {
		return u, err
	}
	return u, r.successes(ctx, job, u.last)
}

// successes finds the last success of each shard. What is noted of it may be ahead of the records, or,
// where two passes ended runs at once, behind: both count.
func (r *remover) successes(ctx context.Context, job dayfly.Job, last map[success]bool) error {
	shards := map[dayfly.Shard]bool{} // true: found
	for _, shard := range job.Shards() {
		shards[shard] = false
	}
	notes, err := r.Store.Notes(ctx, successPrefix(r.Job), r.now())
	if err != nil {
		return err
	}
	for _, n := range notes {
		shard := dayfly.Shard(strings.TrimSuffix(strings.TrimPrefix(n.Key, successPrefix(r.Job)), " "))
		if at, err := time.Parse(time.RFC3339Nano, n.Value); err == nil {
			last[success{shard, at.UnixMilli()}] = true
		}
	}
	look, seen := min(2*len(shards), removePage), 0
	for run, err := range store.Sound(r.Store.History(ctx, store.Filter{Job: r.Job, Outcome: dayfly.Succeeded}), nil) {
		if err != nil {
			return err
		}
		if seen++; seen > look { // of a shard that did not succeed of late its note tells
			break
		}
		if found, has := shards[run.Shard]; has && !found {
			shards[run.Shard], last[success{run.Shard, run.Slot.UnixMilli()}] = true, true
		}
	}
	maps.DeleteFunc(last, func(s success, _ bool) bool { _, has := shards[s.shard]; return !has })
	return nil
}

// covered tells whether a slot needs no record any more to be known as covered.
func (u uses) covered(slot time.Time) bool { return u.job == nil || !slot.After(u.job.Cursor) }

// needs tells whether somebody may still need what a step would remove of a run.
func (u uses) needs(run dayfly.Run, s step, now time.Time) bool {
	if u.of[run.ID] || run.Outcome == dayfly.Succeeded && u.last[success{run.Shard, run.Slot.UnixMilli()}] {
		return true
	}
	if s != stepRecords {
		return false
	}
	// A slot after the cursor would become a run once more. And who was paused in the middle of a launch
	// finds its token used up until the deadline, which a run of the same name must not meet.
	late := func(a dayfly.Attempt) bool { return a.Deadline.After(now) }
	return run.N == 0 && !u.covered(run.Slot) || slices.ContainsFunc(run.Attempts, late)
}
