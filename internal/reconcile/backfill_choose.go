package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// Rerun says which slots a backfill runs again.
type Rerun string

// What may be run again. Slots that a run is under way for never are.
const (
	RerunNone   Rerun = "none"   // only slots of which nothing was ever launched
	RerunFailed Rerun = "failed" // those as well that ran and did not succeed
	RerunAll    Rerun = "all"    // those that succeeded, too
)

// Candidate is a slot that a backfill may run.
type Candidate struct {
	Slot time.Time
	Left Left         // why it is left alone; empty: it runs
	Run  dayfly.RunID // because of this run, if it is one
	Fill dayfly.BackfillID
}

// Left is why a backfill leaves a slot alone.
type Left string

// The reasons, the weightiest first.
const (
	LeftActive    Left = "active"    // a run of it is under way
	LeftFill      Left = "backfill"  // another backfill goes on that has it
	LeftSchedule  Left = "schedule"  // a scheduler is still going to run it
	LeftSucceeded Left = "succeeded" // every shard of it did
	LeftFailed    Left = "failed"    // it ran, and not every shard of it succeeded
)

// MaxFill is how many slots one backfill has at most: they are read with every pass.
const MaxFill = 50_000

// Choose gives a job's slots from one instant to another, both included, as far as they have come, in their
// order, and tells which of them a backfill would leave alone. rec is the job's record, now the time before
// it was read. It changes nothing.
func Choose(ctx context.Context, s store.Store, job dayfly.Job, rec store.Job, from, to time.Time, again Rerun, now time.Time) ([]Candidate, error) {
	set, err := Slots(job)
	if err != nil {
		return nil, err
	}
	if to.After(now) {
		to = now
	}
	var all []Candidate
	for at, ok := set.Next(from.Add(-time.Nanosecond)); ok && !at.After(to); at, ok = set.Next(at) {
		if len(all) == MaxFill {
			return nil, &dayfly.Error{
				Code:    dayfly.CodeInvalid,
				Message: fmt.Sprintf("job %s has more than %d slots between %s and %s", job.Name, MaxFill, from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339)),
				Hint:    fmt.Sprintf("one backfill has at most %d: take those up to %s first", MaxFill, all[MaxFill-1].Slot.Format(time.RFC3339)),
			}
		}
		all = append(all, Candidate{Slot: at.UTC()})
	}
	if len(all) == 0 {
		return nil, nil
	}
	had, err := pastOf(ctx, s, job, all[0].Slot, all[len(all)-1].Slot)
	if err != nil {
		return nil, err
	}
	taken, err := filledBy(ctx, s, job.Name, now)
	if err != nil {
		return nil, err
	}
	runs := runFrom(job, set, rec.Cursor, now)
	for i := range all {
		c := &all[i]
		c.Left, c.Run = had[c.Slot.UnixMilli()].left(len(job.Shards()), again)
		ofSchedule := rec.Scheduled && c.Slot.After(rec.Cursor) && !c.Slot.Before(runs) && rec.Pause(c.Slot).Why == ""
		switch id := taken[c.Slot.UnixMilli()]; {
		case c.Left == LeftActive:
		case id != "":
			c.Left, c.Run, c.Fill = LeftFill, "", id
		case ofSchedule:
			c.Left, c.Run = LeftSchedule, ""
		}
	}
	return all, nil
}

// past is what is known of a slot's runs.
type past struct {
	succeeded map[dayfly.Shard]bool
	active    dayfly.RunID
	good, bad dayfly.RunID // the last of them
}

// pastOf reads the runs of slots that were launched, or may still be.
func pastOf(ctx context.Context, s store.Store, job dayfly.Job, from, to time.Time) (map[int64]*past, error) {
	shards := map[dayfly.Shard]bool{}
	for _, shard := range job.Shards() {
		shards[shard] = true
	}
	all := map[int64]*past{}
	for r, err := range s.History(ctx, store.Filter{Job: job.Name, Since: from, Until: to, Oldest: true}) {
		if err != nil {
			return nil, fmt.Errorf("read the runs of job %s: %w", job.Name, err)
		}
		if r.State == dayfly.Ended && (len(r.Attempts) == 0 || r.Outcome == dayfly.Refused) || !shards[r.Shard] {
			continue // nothing of it was launched, or nothing that the job still has
		}
		p := all[r.Slot.UnixMilli()]
		if p == nil {
			p = &past{succeeded: map[dayfly.Shard]bool{}}
			all[r.Slot.UnixMilli()] = p
		}
		switch {
		case r.State != dayfly.Ended:
			p.active = r.ID
		case r.Outcome == dayfly.Succeeded:
			p.succeeded[r.Shard], p.good = true, r.ID
		default:
			p.bad = r.ID
		}
	}
	return all, nil
}

// left tells why a slot with such runs is left alone.
func (p *past) left(shards int, again Rerun) (Left, dayfly.RunID) {
	switch {
	case p == nil:
		return "", ""
	case p.active != "":
		return LeftActive, p.active
	case len(p.succeeded) == shards && again != RerunAll:
		return LeftSucceeded, p.good
	case len(p.succeeded) < shards && again == RerunNone:
		if p.bad == "" {
			return LeftFailed, p.good // of an array with shards that were never launched
		}
		return LeftFailed, p.bad
	}
	return "", ""
}

// filledBy tells which backfill a slot belongs to, of those that go on.
func filledBy(ctx context.Context, s store.Store, job dayfly.JobName, now time.Time) (map[int64]dayfly.BackfillID, error) {
	open, err := openFillings(ctx, s, job, now)
	if err != nil {
		return nil, err
	}
	taken := map[int64]dayfly.BackfillID{}
	for _, f := range open {
		if !f.CancelAt.IsZero() {
			continue
		}
		for _, steps := range f.Slots {
			for i := range steps.Count {
				taken[steps.at(i).UnixMilli()] = f.ID
			}
		}
	}
	return taken, nil
}
