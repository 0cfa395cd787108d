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

// dueAtOnce is how many due jobs are read from the store at a time.
const dueAtOnce = 1000

// due makes the slots of those jobs that are most overdue into runs, and gives back those that may launch. More tells
// whether other jobs are due as well.
func (p *pass) due(ctx context.Context) (made []dayfly.Run, more bool, err error) {
	now := p.now()
	jobs, broken, err := store.Readable(p.Store.DueJobs(ctx, p.scope.Scope, now, dueAtOnce))
	if err != nil {
		return nil, false, fmt.Errorf("read the jobs that are due: %w", err)
	}
	made, advanced, err := p.cover(ctx, jobs, now)
	if more = len(jobs)+len(broken) == dueAtOnce && advanced > 0; !more { // once in a pass
		err = errors.Join(err, store.OrDamaged(broken))
	}
	return made, more, err
}

// dueRest goes on with the others that are due.
func (p *pass) dueRest(ctx context.Context, more bool) (made []dayfly.Run, err error) {
	var errs []error
	for more && p.begins() {
		var runs []dayfly.Run
		runs, more, err = p.due(ctx)
		made, errs = append(made, runs...), append(errs, err)
	}
	return made, errors.Join(errs...)
}

// planned is a job's record, and what its due slots become.
type planned struct {
	rec  store.Job
	plan plan
	set  *schedule.Set
}

// cover makes the slots of these jobs up to now into records and moves their cursors. The runs of all of them come
// first, as many jobs together as one batch of runs holds: whoever is due at one instant is recorded soon, and the
// cursors can wait. Now is before the jobs were read: whoever edits or pauses one meanwhile does so for slots that
// come later. One job that cannot be read does not stop the others.
func (p *pass) cover(ctx context.Context, jobs []store.Job, now time.Time) (made []dayfly.Run, advanced int, err error) {
	var errs []error
	var runs []dayfly.Run
	var batch, stored []planned
	for begin, foreseen := 0, 0; begin < len(jobs); begin += p.Parallel {
		end := min(begin+p.Parallel, len(jobs))
		if end > foreseen {
			foreseen = min(begin+foreseeAtOnce, len(jobs))
			p.foresee(ctx, jobs[begin:foreseen])
		}
		plans, err := p.planJobs(ctx, jobs[begin:end], now)
		errs = append(errs, err)
		for _, pl := range plans {
			runs = append(runs, pl.plan.runs...)
			pl.plan.runs = nil
			batch = append(batch, pl)
		}
		if len(runs) < insertAtOnce && end < len(jobs) {
			continue
		}
		due, err := p.insert(ctx, runs)
		made = append(made, due...)
		if errs = append(errs, err); err != nil {
			break
		}
		stored = append(stored, batch...)
		if !p.closing && !p.begins() {
			p.soon(p.now())
			break
		}
		batch, runs = nil, nil
	}
	advanced, err = p.moveAll(ctx, stored)
	return made, advanced, errors.Join(append(errs, err)...)
}

// planJobs plans the slots of some jobs, of all those that can be read.
func (p *pass) planJobs(ctx context.Context, jobs []store.Job, now time.Time) ([]planned, error) {
	plans, errs := make([]planned, len(jobs)), make([]error, len(jobs))
	p.together(len(jobs), func(i int) {
		rec := jobs[i]
		pl, set, err := p.planJob(ctx, &rec, now)
		if err != nil {
			errs[i] = fmt.Errorf("make due slots of job %s into runs: %w", rec.Name, err)
			return
		}
		plans[i] = planned{rec, pl, set}
	})
	return slices.DeleteFunc(plans, func(pl planned) bool { return pl.set == nil }), errors.Join(errs...)
}

// moveAll stores what says that all runs before it are there: the range records, and then the cursors.
func (p *pass) moveAll(ctx context.Context, all []planned) (advanced int, err error) {
	moved, errs := make([]bool, len(all)), make([]error, len(all))
	p.stored(len(all), func(i int) { moved[i], errs[i] = p.move(ctx, all[i]) })
	for _, m := range moved {
		if m {
			advanced++
		}
	}
	return advanced, errors.Join(errs...)
}

// move stores a job's range records and moves its cursor.
func (p *pass) move(ctx context.Context, pl planned) (moved bool, err error) {
	for _, r := range pl.plan.ranges {
		if err := p.Store.PutRange(ctx, r); err != nil {
			return false, fmt.Errorf("store a range record of job %s: %w", r.Job, err)
		}
	}
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
		p.soon(rec.NextDue)
		return true, nil
	case errors.Is(err, store.ErrStale): // somebody else moved it, or edited the job
		p.soon(p.now())
		return false, nil
	default:
		return false, fmt.Errorf("move the cursor of job %s: %w", rec.Name, err)
	}
}

// planJob reads what covers the job's slots already, and plans the rest.
func (p *pass) planJob(ctx context.Context, rec *store.Job, now time.Time) (plan, *schedule.Set, error) {
	job, err := p.version(ctx, rec.Version)
	if err != nil {
		return plan{}, nil, err
	}
	set, err := Slots(job)
	if err != nil {
		return plan{}, nil, err
	}
	m, err := newMaker(job, rec.Version, p.Installation, now)
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
	skipped, err := p.skipPaused(ctx, rec, m, set, ranges)
	if err != nil {
		return plan{}, nil, err
	}
	var taken []covered
	room := backlog
	if first, ok := set.Next(rec.Cursor); ok && now.Sub(first) > job.OnTime() { // something is late: look closer
		if taken, err = p.taken(ctx, rec.Name, rec.Cursor, len(m.shards)); err != nil {
			return plan{}, nil, err
		}
		active, broken, err := store.Readable(p.Store.ActiveRuns(ctx, store.Scope{Job: rec.Name}))
		if err != nil {
			return plan{}, nil, fmt.Errorf("read active runs: %w", err)
		}
		room -= slotsOf(active) + len(broken)
	}
	pl := planSlots(m, set, rec.Cursor, taken, room, p.closing)
	p.count(func(sum *Summary) {
		for _, r := range pl.ranges {
			sum.Missed += r.Count
		}
		sum.Skipped += skipped.skipped
	})
	pl.ranges, pl.runs = append(skipped.ranges, pl.ranges...), append(skipped.runs, pl.runs...)
	return pl, set, nil
}

// slotsOf counts the slots of runs in the order of ActiveRuns.
func slotsOf(runs []dayfly.Run) (n int) {
	for i := range runs {
		if i == 0 || !runs[i].Slot.Equal(runs[i-1].Slot) {
			n++
		}
	}
	return n
}

// taken gives the slots after cursor that have scheduled runs already, ascending. A damaged record is one too: what it
// is of stands in its key.
func (p *pass) taken(ctx context.Context, job dayfly.JobName, cursor time.Time, shards int) ([]covered, error) {
	runs := map[time.Time]int{}
	for run, err := range p.Store.History(ctx, store.Filter{Job: job, Since: cursor}) {
		slot, n := run.Slot, run.N
		if d, bad := errors.AsType[store.Damage](err); bad {
			_, slot, _, n, err = dayfly.RunID(d.ID).Parse()
		}
		if err != nil {
			return nil, fmt.Errorf("read runs that exist: %w", err)
		}
		if n == 0 && slot.After(cursor) {
			runs[slot.UTC()]++
		}
	}
	var out []covered
	for slot, n := range runs {
		out = append(out, covered{slot, n >= shards})
	}
	slices.SortFunc(out, func(a, b covered) int { return a.slot.Compare(b.slot) })
	return out, nil
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
			if batch[i].State == dayfly.Ended {
				p.Watch.Ended(batch[i])
			}
			switch {
			case batch[i].State == dayfly.Due:
				batch[i].Rev = 1
				due = append(due, batch[i])
				p.soon(batch[i].NotBefore)
			case batch[i].Outcome == dayfly.Skipped:
				p.sum.Skipped++
			default:
				p.sum.Missed++
			}
		}
	}
	return due, nil
}
