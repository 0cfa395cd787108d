package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/store"
)

// backlog is how many caught-up runs of one job wait at a time; the cursor waits with the rest.
const backlog = dayfly.QueueLimit

// backlogLook is how soon a job whose backlog was full is looked at again.
const backlogLook = 10 * time.Second

// slots is what due slots are read from: a job's schedules together.
type slots interface {
	Next(after time.Time) (time.Time, bool)
	Prev(at time.Time) (time.Time, bool)
	Count(after, upTo time.Time) int
}

// Slots is the union of the job's schedules. An error names the schedule that cannot be read.
func Slots(j dayfly.Job) (*schedule.Set, error) {
	members := make([]schedule.Member, 0, len(j.Schedules))
	for _, s := range j.Schedules {
		zone := s.Timezone
		if zone == "" {
			zone = j.Timezone
		}
		loc, err := schedule.LoadLocation(zone)
		if err != nil {
			return nil, fmt.Errorf("schedule %q of job %s: %w", s.At, j.Name, err)
		}
		parsed, err := schedule.Parse(s.At, schedule.Options{Location: loc, Anchor: s.Anchor, Key: string(j.Name)})
		if err != nil {
			return nil, fmt.Errorf("schedule %q of job %s: %w", s.At, j.Name, err)
		}
		members = append(members, schedule.Member{Schedule: parsed, From: s.From, Until: s.Until})
	}
	return schedule.NewSet(members...), nil
}

// plan is what the slots of one job up to an instant become.
type plan struct {
	ranges []dayfly.Range
	runs   []dayfly.Run // missed ones already ended
	cursor time.Time    // every slot at or before it is then covered
	full   bool         // slots after cursor are due, and there is no room for them yet

	skipped int // slots in ranges because the job is paused
}

// planSlots covers the slots in (cursor, now]. taken are slots in that interval that have a run
// already, ascending. room is how many caught-up runs may be added. It is pure and its cost does not
// grow with the length of a downtime.
// Closing, those for which there is no room are missed: nothing will come back to them.
func planSlots(j dayfly.Job, version string, set slots, cursor, now time.Time, taken []time.Time, room int, closing bool) plan {
	p := plan{cursor: now}
	from := runFrom(j.CatchUp, set, cursor, now)
	p.miss(j, version, set, cursor, from, now, taken, "")
	for at := from.Add(-time.Nanosecond); ; {
		slot, ok := set.Next(later(at, cursor))
		if !ok || slot.After(now) {
			return p
		}
		caughtUp := now.Sub(slot) > dayfly.OnTime
		if caughtUp && room <= 0 && closing {
			onTime := now.Add(-dayfly.OnTime)
			p.miss(j, version, set, slot.Add(-time.Nanosecond), onTime, now, taken, "it still waited to be caught up when its job was changed")
			at = onTime.Add(-time.Nanosecond)
			continue
		}
		if caughtUp && room <= 0 {
			p.cursor, p.full = slot.Add(-time.Nanosecond), true
			return p
		}
		if caughtUp {
			room--
		}
		for _, shard := range j.Shards() {
			p.runs = append(p.runs, newRun(j.Name, version, slot, shard, 0, now, j.CatchUp.Window()))
		}
		at = slot
	}
}

// runFrom is the instant from which slots up to now run; those before it are missed.
func runFrom(c dayfly.CatchUp, set slots, cursor, now time.Time) time.Time {
	onTime, window := now.Add(-dayfly.OnTime), now.Add(-c.Window())
	switch c.Policy {
	case dayfly.CatchUpAll:
		return window
	case dayfly.CatchUpLast:
		last, ok := set.Prev(now)
		if ok && last.After(cursor) && last.Before(onTime) && !last.Before(window) {
			return last
		}
	}
	return onTime
}

// miss records the slots in (cursor, from) as missed, taken ones apart: many in a row as one range, few by
// a run each. Without a reason it is that they were found late.
func (p *plan) miss(j dayfly.Job, version string, set slots, cursor, from, now time.Time, taken []time.Time, reason string) {
	begin := cursor
	for _, cut := range append(slices.Clone(taken), from) {
		upTo := cut.Add(-time.Nanosecond)
		if !cut.Before(from) {
			upTo = from.Add(-time.Nanosecond)
		}
		if upTo.After(begin) {
			p.missSegment(j, version, set, begin, upTo, now, reason)
		}
		if begin = later(begin, cut); !begin.Before(from) {
			return
		}
	}
}

func (p *plan) missSegment(j dayfly.Job, version string, set slots, after, upTo, now time.Time, reason string) {
	n := set.Count(after, upTo)
	if n == 0 {
		return
	}
	first, _ := set.Next(after)
	last, _ := set.Prev(upTo)
	if reason == "" {
		reason = fmt.Sprintf("found %s late; catch_up is %s within %s", now.Sub(last).Round(time.Second), j.CatchUp.Policy, j.CatchUp.Window())
	}
	if n > dayfly.RangeOver {
		p.ranges = append(p.ranges, dayfly.Range{
			Job: j.Name, From: first.UTC(), To: last.UTC(), Count: n, Outcome: dayfly.Missed, Reason: reason, CreatedAt: now,
		})
		return
	}
	for slot, ok := first, true; ok && !slot.After(upTo); slot, ok = set.Next(slot) {
		for _, shard := range j.Shards() {
			r := newRun(j.Name, version, slot, shard, 0, now, j.CatchUp.Window())
			p.runs = append(p.runs, end(r, dayfly.Missed, reason, now).Run)
		}
	}
}

func newRun(job dayfly.JobName, version string, slot time.Time, shard dayfly.Shard, n int, now time.Time, window time.Duration) dayfly.Run {
	slot = slot.UTC()
	return dayfly.Run{
		ID: dayfly.NewRunID(job, slot, shard, n), Job: job, Version: version, Slot: slot, Shard: shard, N: n,
		Trigger: dayfly.TriggerSchedule, State: dayfly.Due, CreatedAt: now, StartDeadline: slot.Add(window), NextAt: now,
	}
}

// dueAtOnce is how many due jobs are read from the store at a time.
const dueAtOnce = 200

// due makes the due slots of the jobs in the scope into runs. It gives back those that may launch.
func (p *pass) due(ctx context.Context) ([]dayfly.Run, error) {
	var made []dayfly.Run
	var errs []error
	for p.begins() {
		now := p.now()
		jobs, err := p.Store.DueJobs(ctx, p.scope.Scope, now, dueAtOnce)
		if err != nil {
			return made, errors.Join(append(errs, fmt.Errorf("read the jobs that are due: %w", err))...)
		}
		runs, advanced, err := p.cover(ctx, jobs, now)
		made = append(made, runs...)
		if err != nil {
			errs = append(errs, err)
		}
		if len(jobs) < dueAtOnce || advanced == 0 {
			break
		}
	}
	return made, errors.Join(errs...)
}

// cover makes the slots of these jobs up to now into records and moves their cursors. Now is before the
// jobs were read: whoever edits or pauses one meanwhile does so for slots that come later. One job that
// cannot be read does not stop the others.
func (p *pass) cover(ctx context.Context, jobs []store.Job, now time.Time) (made []dayfly.Run, advanced int, err error) {
	var errs []error
	type planned struct {
		rec  store.Job
		plan plan
		set  *schedule.Set
	}
	var plans []planned
	var runs []dayfly.Run
	for _, rec := range jobs {
		pl, set, err := p.planJob(ctx, &rec, now)
		if err != nil {
			errs = append(errs, fmt.Errorf("make due slots of job %s into runs: %w", rec.Name, err))
			continue
		}
		plans = append(plans, planned{rec, pl, set})
		runs = append(runs, pl.runs...)
	}
	stored, err := p.insert(ctx, runs)
	made = append(made, stored...)
	if err != nil {
		return made, 0, errors.Join(append(errs, err)...)
	}
	for _, pl := range plans {
		rec := pl.rec
		rec.Cursor, rec.NextDue = pl.plan.cursor, time.Time{}
		if next, ok := pl.set.Next(rec.Cursor); ok {
			rec.NextDue = next.UTC()
		}
		if pl.plan.full {
			rec.NextDue = p.now().Add(backlogLook)
		}
		switch _, err := p.Store.PutJob(ctx, rec); {
		case err == nil:
			advanced++
			p.soon(rec.NextDue)
		case errors.Is(err, store.ErrStale): // somebody else moved it, or edited the job
			p.soon(p.now())
		default:
			errs = append(errs, fmt.Errorf("move the cursor of job %s: %w", rec.Name, err))
		}
	}
	return made, advanced, errors.Join(errs...)
}

// planJob reads what covers the job's slots already, plans the rest, and stores the ranges.
func (p *pass) planJob(ctx context.Context, rec *store.Job, now time.Time) (plan, *schedule.Set, error) {
	job, err := p.version(ctx, rec.Version)
	if err != nil {
		return plan{}, nil, err
	}
	set, err := Slots(job)
	if err != nil {
		return plan{}, nil, err
	}
	// A pass that was killed after it stored a range left the cursor before it.
	// They are read once: what another pass does meanwhile is what this one plans then.
	ranges, err := p.Store.Ranges(ctx, rec.Name, earliest(rec.Cursor, rec.Held.Since, rec.Vanished.Since))
	if err != nil {
		return plan{}, nil, fmt.Errorf("read range records: %w", err)
	}
	for _, r := range ranges {
		rec.Cursor = later(rec.Cursor, r.To)
	}
	skipped, err := p.skipPaused(ctx, rec, job, set, ranges, now)
	if err != nil {
		return plan{}, nil, err
	}
	var taken []time.Time
	room := backlog
	if first, ok := set.Next(rec.Cursor); ok && now.Sub(first) > dayfly.OnTime { // something is late: look closer
		if taken, err = p.taken(ctx, rec.Name, rec.Cursor); err != nil {
			return plan{}, nil, err
		}
		active, err := p.Store.ActiveRuns(ctx, store.Scope{Job: rec.Name})
		if err != nil {
			return plan{}, nil, fmt.Errorf("read active runs: %w", err)
		}
		room -= len(active)
	}
	pl := planSlots(job, rec.Version, set, rec.Cursor, now, taken, room, p.closing)
	for _, r := range pl.ranges {
		p.sum.Missed += r.Count
	}
	p.sum.Skipped += skipped.skipped
	pl.ranges, pl.runs = append(skipped.ranges, pl.ranges...), append(skipped.runs, pl.runs...)
	for _, r := range pl.ranges {
		if err := p.Store.PutRange(ctx, r); err != nil {
			return plan{}, nil, fmt.Errorf("store a range record: %w", err)
		}
	}
	return pl, set, nil
}

// taken gives the slots after cursor that have a scheduled run already, ascending.
func (p *pass) taken(ctx context.Context, job dayfly.JobName, cursor time.Time) ([]time.Time, error) {
	var out []time.Time
	for run, err := range p.Store.History(ctx, store.Filter{Job: job, Since: cursor}) {
		if err != nil {
			return nil, fmt.Errorf("read runs that exist: %w", err)
		}
		if run.N == 0 && run.Slot.After(cursor) {
			out = append(out, run.Slot)
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return slices.Compact(out), nil
}

// insertAtOnce is how many runs go into the store with one call.
const insertAtOnce = 200

// insert stores the runs that do not exist and gives back those of them that are due.
func (p *pass) insert(ctx context.Context, runs []dayfly.Run) ([]dayfly.Run, error) {
	var due []dayfly.Run
	for batch := range slices.Chunk(runs, insertAtOnce) {
		stored, err := p.Store.InsertRuns(ctx, batch)
		if err != nil {
			return due, fmt.Errorf("store %d runs: %w", len(batch), err)
		}
		for i, ok := range stored {
			if !ok {
				continue
			}
			p.sum.Inserted++
			switch {
			case batch[i].State == dayfly.Due:
				batch[i].Rev = 1
				due = append(due, batch[i])
			case batch[i].Outcome == dayfly.Skipped:
				p.sum.Skipped++
			default:
				p.sum.Missed++
			}
		}
	}
	return due, nil
}
