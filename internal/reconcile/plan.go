package reconcile

import (
	"fmt"
	"slices"
	"time"

	"github.com/dayfly-io/dayfly"
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

// planAtOnce is how many runs one plan makes before it leaves the slots that follow to the next one.
const planAtOnce = 1000

// maker makes the runs of one version of a job.
type maker struct {
	job          dayfly.Job
	version      string
	installation string
	shards       []dayfly.Shard
	params       map[string]string // of a run that is given none
	now          time.Time
}

func newMaker(job dayfly.Job, version, installation string, now time.Time) (maker, error) {
	params, err := job.Values(nil)
	return maker{job: job, version: version, installation: installation, shards: job.Shards(), params: params, now: now}, err
}

// run makes the run of one shard of a slot of the schedule.
func (m maker) run(slot time.Time, shard int) dayfly.Run {
	r := newRun(m.job.Name, m.version, slot, m.shards[shard], 0, m.now)
	r.Params, r.StartDeadline = m.params, r.Slot.Add(m.job.Window())
	switch at := r.Slot.Add(m.job.Delay(m.installation, r.Slot, r.Shard)); {
	case at.After(m.now):
		r.NotBefore, r.NextAt = at, at
	case m.job.AtOnce() > 0 && shard >= m.job.AtOnce():
		r.Reason = waitsForTurn(m.job) // from the beginning: each that is told so later is stored once more
	}
	return r
}

// ended makes the runs of a slot that are not launched any more, one for each shard.
func (m maker) ended(slot time.Time, o dayfly.Outcome, reason string) []dayfly.Run {
	runs := make([]dayfly.Run, len(m.shards))
	for shard := range m.shards {
		runs[shard] = end(m.run(slot, shard), o, reason, m.now).Run
	}
	return runs
}

// asRange tells whether so many slots in a row that were not launched are one range record.
func (m maker) asRange(slots int) bool { return slots*len(m.shards) > dayfly.RangeOver }

// rangeOf makes a range record of all shards of slots in a row.
func (m maker) rangeOf(first, last time.Time, count int, o dayfly.Outcome, reason string) dayfly.Range {
	return dayfly.Range{
		Job: m.job.Name, From: first.UTC(), To: last.UTC(), Count: count, Shards: m.several(), Outcome: o, Reason: reason, CreatedAt: m.now,
	}
}

// several is how many shards each slot has; 0 where it is one, of which nobody speaks.
func (m maker) several() int {
	if len(m.shards) == 1 {
		return 0
	}
	return len(m.shards)
}

// newRun is a run that waits for its machine.
func newRun(job dayfly.JobName, version string, slot time.Time, shard dayfly.Shard, n int, now time.Time) dayfly.Run {
	slot = slot.UTC()
	return dayfly.Run{
		ID: dayfly.NewRunID(job, slot, shard, n), Job: job, Version: version, Slot: slot, Shard: shard, N: n,
		Trigger: dayfly.TriggerSchedule, State: dayfly.Due, CreatedAt: now, NextAt: now,
	}
}

// covered is a slot that has scheduled runs already: one of every shard, or of some, where a pass was
// killed while it stored them.
type covered struct {
	slot  time.Time
	whole bool
}

// plan is what the slots of one job up to an instant become.
type plan struct {
	ranges []dayfly.Range
	runs   []dayfly.Run // missed ones already ended
	cursor time.Time    // every slot at or before it is then covered
	full   bool         // slots after cursor are due, and there is no room for them yet

	skipped int // slots in ranges because the job is paused
}

// planSlots covers the slots in (cursor, now], or the first of them if all were too many at once. taken
// are slots in that interval that have runs already, ascending. room is how many caught-up slots may be
// added. It is pure and its cost does not grow with the length of a downtime.
// Closing, those for which there is no room are missed: nothing will come back to them.
func planSlots(m maker, set slots, cursor time.Time, taken []covered, room int, closing bool) plan {
	p := plan{cursor: m.now}
	from := runFrom(m.job, set, cursor, m.now)
	if first, ok := set.Next(cursor); ok && first.Before(from) || len(taken) > 0 {
		p.miss(m, set, cursor, from, taken, foundLate(m, set, from))
	}
	for at := from.Add(-time.Nanosecond); ; {
		slot, ok := set.Next(later(at, cursor))
		if !ok || slot.After(m.now) {
			return p
		}
		caughtUp := m.now.Sub(slot) > m.job.OnTime()
		if caughtUp && room <= 0 && closing {
			onTime := m.now.Add(-m.job.OnTime())
			p.miss(m, set, slot.Add(-time.Nanosecond), onTime, taken, "it still waited to be caught up when its job was changed")
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
		for shard := range m.shards {
			p.runs = append(p.runs, m.run(slot, shard))
		}
		if len(p.runs) >= planAtOnce {
			p.cursor = slot
			return p
		}
		at = slot
	}
}

// runFrom is the instant from which slots up to now run; those before it are missed.
func runFrom(j dayfly.Job, set slots, cursor, now time.Time) time.Time {
	onTime, window := now.Add(-j.OnTime()), now.Add(-j.Window())
	switch j.CatchUp.Policy {
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

// miss records the slots in (cursor, from) as missed, those apart that have runs already: many in a row as
// one range, few by a run each.
func (p *plan) miss(m maker, set slots, cursor, from time.Time, taken []covered, reason string) {
	begin := cursor
	for _, cut := range append(slices.Clone(taken), covered{from, true}) {
		upTo := cut.slot.Add(-time.Nanosecond)
		if !cut.slot.Before(from) {
			upTo = from.Add(-time.Nanosecond)
		}
		if upTo.After(begin) {
			p.missSegment(m, set, begin, upTo, reason)
		}
		if cut.slot.After(cursor) && cut.slot.Before(from) && !cut.whole {
			// What is there stays as it is.
			p.runs = append(p.runs, m.ended(cut.slot, dayfly.Missed, reason)...)
		}
		if begin = later(begin, cut.slot); !begin.Before(from) {
			return
		}
	}
}

// foundLate is why slots before from, the first instant whose slots run, are missed now that they are found. It is
// true of each of them, however many there are.
func foundLate(m maker, set slots, from time.Time) string {
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	found := "found at " + stamp(m.now)
	switch last, ok := set.Prev(m.now); {
	case m.job.CatchUp.Policy == dayfly.CatchUpNone:
		return found + ", too late; catch_up is none"
	case m.job.CatchUp.Policy == dayfly.CatchUpLast && ok && !last.Before(from):
		return fmt.Sprintf("%s, too late; catch_up is last, and the last is that of %s", found, stamp(last))
	}
	return fmt.Sprintf("%s, more than %s late", found, dayfly.Seconds(m.job.Window()).Words())
}

func (p *plan) missSegment(m maker, set slots, after, upTo time.Time, reason string) {
	n := set.Count(after, upTo)
	if n == 0 {
		return
	}
	first, _ := set.Next(after)
	last, _ := set.Prev(upTo)
	if m.asRange(n) {
		p.ranges = append(p.ranges, m.rangeOf(first, last, n, dayfly.Missed, reason))
		return
	}
	for slot, ok := first, true; ok && !slot.After(upTo); slot, ok = set.Next(slot) {
		p.runs = append(p.runs, m.ended(slot, dayfly.Missed, reason)...)
	}
}
