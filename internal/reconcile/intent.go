package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// ByHand is how long a run that was asked for waits for its first launch.
const ByHand = 24 * time.Hour

// Wish is what a person may say of the runs that are asked for.
type Wish struct {
	Params map[string]string // values of parameters; the others have their defaults
	Shards []dayfly.Shard    // only these; none: every shard
}

// Request records that a version of a job shall run now, once for every shard. It is durable when it
// returns; a pass does the rest. A value that the job does not allow is refused, and nothing is recorded.
func Request(ctx context.Context, s store.Store, job dayfly.Job, wish Wish, now time.Time) ([]dayfly.Run, error) {
	params, err := job.Values(wish.Params)
	if err != nil {
		return nil, err
	}
	if err := s.PutVersion(ctx, job); err != nil {
		return nil, fmt.Errorf("store job %s: %w", job.Name, err)
	}
	shards := wish.Shards
	if len(shards) == 0 {
		shards = job.Shards()
	}
	version := job.Version()
	for slot := now.UTC().Truncate(time.Millisecond); ; slot = slot.Add(time.Millisecond) {
		runs := make([]dayfly.Run, len(shards))
		for i, shard := range shards {
			runs[i] = byHand(job.Name, version, slot, shard, 1, dayfly.TriggerManual, params, now)
			if job.AtOnce() > 0 && i >= job.AtOnce() {
				runs[i].Reason = waitsForTurn(job)
			}
		}
		some, err := insertNext(ctx, s, runs)
		if err != nil {
			return nil, fmt.Errorf("store %d runs of job %s: %w", len(runs), job.Name, err)
		}
		if some {
			return runs, nil
		}
	}
}

// insertNext stores the runs, a batch at a time. If all of the first batch is there already nothing is
// stored: another request was made at the same millisecond. A single one that is there gets the next n.
func insertNext(ctx context.Context, s store.Store, runs []dayfly.Run) (some bool, err error) {
	for batch := range slices.Chunk(runs, store.MaxInsert) {
		stored, err := s.InsertRuns(ctx, batch)
		if err != nil {
			return some, err
		}
		if !some && !slices.Contains(stored, true) {
			return false, nil
		}
		some = true
		for i, ok := range stored {
			for batch[i].Rev = 1; !ok; {
				n, err := s.LastN(ctx, batch[i].Job, batch[i].Slot, batch[i].Shard)
				if err != nil {
					return some, err
				}
				batch[i].N = n + 1
				batch[i].ID = dayfly.NewRunID(batch[i].Job, batch[i].Slot, batch[i].Shard, n+1)
				again, err := s.InsertRuns(ctx, batch[i:i+1])
				if err != nil {
					return some, err
				}
				ok = again[0]
			}
		}
	}
	return some, nil
}

func byHand(job dayfly.JobName, version string, slot time.Time, shard dayfly.Shard, n int, t dayfly.Trigger, params map[string]string, now time.Time) dayfly.Run {
	r := newRun(job, version, slot, shard, n, now)
	r.Trigger, r.Params, r.StartDeadline = t, params, now.Add(ByHand)
	return r
}

// Cancel records that a run shall end. An ended run is refused; a second cancel changes nothing.
func Cancel(ctx context.Context, s store.Store, id dayfly.RunID, why string, now time.Time) error {
	for {
		run, err := s.Run(ctx, id)
		if err != nil {
			return fmt.Errorf("cancel %s: %w", id, err)
		}
		if run.State == dayfly.Ended {
			return &dayfly.Error{Code: dayfly.CodeRefused, Message: fmt.Sprintf("cancel %s: it has ended already (%s)", id, run.Outcome), Hint: "dayfly retry " + string(id) + " runs it again"}
		}
		if !run.CancelAt.IsZero() {
			return nil
		}
		run.CancelAt, run.CancelWhy, run.NextAt = now, why, now
		if _, err = s.UpdateRun(ctx, run); !errors.Is(err, store.ErrStale) {
			return err
		}
	}
}

// Again records that an ended run shall run again, as a run of its own with the same slot, shard,
// version and parameters and the next n.
func Again(ctx context.Context, s store.Store, id dayfly.RunID, now time.Time) (dayfly.Run, error) {
	was, err := s.Run(ctx, id)
	if err != nil {
		return was, fmt.Errorf("retry %s: %w", id, err)
	}
	if was.State != dayfly.Ended {
		return was, &dayfly.Error{
			Code: dayfly.CodeRefused, Message: fmt.Sprintf("retry %s: it has not ended, it is %s", id, was.State),
			Hint: "dayfly cancel " + string(id) + " ends it",
		}
	}
	for {
		n, err := s.LastN(ctx, was.Job, was.Slot, was.Shard)
		if err != nil {
			return was, fmt.Errorf("retry %s: %w", id, err)
		}
		run := byHand(was.Job, was.Version, was.Slot, was.Shard, n+1, dayfly.TriggerRetry, was.Params, now)
		run.Of = id
		stored, err := s.InsertRuns(ctx, []dayfly.Run{run})
		if err != nil {
			return was, fmt.Errorf("retry %s: %w", id, err)
		}
		if stored[0] {
			run.Rev = 1
			return run, nil
		}
	}
}

// Change is what applying or removing a job did.
type Change string

// The changes.
const (
	Added     Change = "added"
	Changed   Change = "changed"
	Resumed   Change = "resumed"
	Unchanged Change = "unchanged"
	Paused    Change = "paused"
	Removed   Change = "removed"
)

// Apply makes this version the job's current one, from now on: slots up to now are first covered under
// the version before. Applying what is there already changes nothing.
func (r *Reconciler) Apply(ctx context.Context, job dayfly.Job, source string) (Change, error) {
	set, err := Slots(job)
	if err != nil {
		return "", err
	}
	if err := r.Store.PutVersion(ctx, job); err != nil {
		return "", fmt.Errorf("store job %s: %w", job.Name, err)
	}
	version, was := job.Version(), ""
	done, err := r.change(ctx, job.Name, func(rec *store.Job, now time.Time) Change {
		was = rec.Version
		done := judge(*rec, version, source, now)
		switch done {
		case Unchanged:
			return done
		case Added:
			rec.Cursor = now
		}
		rec.Version, rec.Scheduled, rec.Vanished, rec.Source, rec.AppliedAt = version, true, store.Pause{}, source, now
		rec.NextDue = time.Time{}
		if next, ok := set.Next(rec.Cursor); ok {
			rec.NextDue = next.UTC()
		}
		return done
	})
	if err != nil || was == "" || was == version {
		return done, err
	}
	if before, err := r.Store.Version(ctx, was); err == nil && before.Keep == job.Keep {
		return done, nil
	}
	return done, r.hurry(ctx)
}

// change edits a job's record by compare-and-swap after its due slots were covered.
func (r *Reconciler) change(ctx context.Context, name dayfly.JobName, edit func(*store.Job, time.Time) Change) (Change, error) {
	for {
		rec, err := r.covered(ctx, name)
		if err != nil {
			return "", err
		}
		rec.Name = name
		done := edit(&rec, r.Now().UTC())
		if done == Unchanged {
			return done, nil
		}
		switch _, err := r.Store.PutJob(ctx, rec); {
		case err == nil:
			return done, nil
		case !errors.Is(err, store.ErrStale):
			return "", fmt.Errorf("store job %s: %w", name, err)
		}
	}
}

// covered gives a job's record with every slot up to now covered; an empty one if there is none. Slots
// that still wait to be caught up are missed then.
func (r *Reconciler) covered(ctx context.Context, name dayfly.JobName) (store.Job, error) {
	p := &pass{Reconciler: r, begun: r.Now(), underway: map[array]bool{}, closing: true}
	for {
		now := r.Now().UTC()
		rec, err := r.Store.Job(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			return store.Job{}, nil
		}
		if err != nil {
			return rec, fmt.Errorf("read job %s: %w", name, err)
		}
		due, err := p.isDue(ctx, rec, now)
		if err != nil {
			return rec, err
		}
		if !due {
			rec.Cursor = later(rec.Cursor, now)
			lapse(&rec)
			return rec, nil
		}
		if _, _, err := p.cover(ctx, []store.Job{rec}, now); err != nil {
			return rec, err
		}
	}
}

// isDue tells whether a job has slots up to now that nothing covers. NextDue does not say: it may have
// been put off for want of room.
func (p *pass) isDue(ctx context.Context, rec store.Job, now time.Time) (bool, error) {
	if !rec.Scheduled {
		return false, nil
	}
	job, err := p.version(ctx, rec.Version)
	if err != nil {
		return false, err
	}
	set, err := Slots(job)
	if err != nil {
		return false, err
	}
	next, ok := set.Next(rec.Cursor)
	return ok && !next.After(now), nil
}

// Remove takes a job away: it makes no slots any more, and its runs that have no machine yet are
// cancelled. Runs under way go on to their end, and the history stays, for as long as the job said last.
func (r *Reconciler) Remove(ctx context.Context, name dayfly.JobName) error {
	for {
		rec, err := r.covered(ctx, name)
		if d, damaged := errors.AsType[store.Damage](err); damaged && d.Kind == "version" { // no reason to keep the job
			r.Log.Warn("nobody can tell which slots it had of late: its version is damaged", "job", name)
			rec, err = r.Store.Job(ctx, name)
		}
		if err != nil {
			return err
		}
		if rec.Rev == 0 {
			return &dayfly.Error{Code: dayfly.CodeNotFound, Message: fmt.Sprintf("remove job %s: there is no such job", name), Hint: "dayfly ps --jobs lists the jobs"}
		}
		if err := r.leaveKeep(ctx, rec); err != nil {
			return err
		}
		err = r.Store.DeleteJob(ctx, name, rec.Rev)
		if errors.Is(err, store.ErrStale) {
			continue
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("remove job %s: %w", name, err)
		}
		break
	}
	const why = "its job was removed"
	filled := cancelBackfills(ctx, r.Store, name, why, r.Now())
	if filled != nil && !store.IsDamage(filled) {
		return filled
	}
	active, damaged, err := store.Readable(r.Store.ActiveRuns(ctx, store.Scope{Job: name}))
	if err != nil {
		return fmt.Errorf("read active runs of job %s: %w", name, err)
	}
	for _, run := range active {
		if run.State != dayfly.Due {
			continue
		}
		if err := Cancel(ctx, r.Store, run.ID, why, r.Now()); err != nil && dayfly.ErrorCode(err) != dayfly.CodeRefused {
			return err
		}
	}
	return errors.Join(filled, store.OrDamaged(damaged))
}

// leaveKeep takes note of how long a job's runs are kept, before nothing says it any more.
func (r *Reconciler) leaveKeep(ctx context.Context, rec store.Job) error {
	job, err := r.Store.Version(ctx, rec.Version)
	if errors.Is(err, store.ErrNotFound) || store.IsDamage(err) {
		return nil // it says nothing; that is no reason to keep the job
	}
	if err == nil {
		err = writeNote(ctx, r.Store, lastKeepKey(rec.Name), job.Keep, time.Time{})
	}
	if err != nil {
		return fmt.Errorf("note how long the runs of job %s are kept: %w", rec.Name, err)
	}
	return nil
}
