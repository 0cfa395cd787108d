package reconcile

import (
	"time"

	"github.com/dayfly-io/dayfly"
)

// Watcher is told what passes have stored, in the order in which it happened to one run. It must return at
// once, and is told by several goroutines. What happened while a reply was lost it is not told, nor of slots
// that have one record together: those a [Summary] counts.
type Watcher interface {
	// Begun tells of an attempt whose launch is stored; due is when it should have been.
	Begun(run dayfly.Run, due time.Time)
	// Started tells that the first instruction of a run's first attempt is known.
	Started(run dayfly.Run, due time.Time)
	// Ended tells of a run that has ended, also of one that never began.
	Ended(run dayfly.Run)
}

// nobody watches.
type nobody struct{}

func (nobody) Begun(dayfly.Run, time.Time)   {}
func (nobody) Started(dayfly.Run, time.Time) {}
func (nobody) Ended(dayfly.Run)              {}

// dueAt is when a run should be launched: at its slot, or when it was asked for; the jitter later, and not
// before it may be tried again.
func dueAt(job dayfly.Job, installation string, run dayfly.Run) time.Time {
	due := run.CreatedAt
	if run.Trigger == dayfly.TriggerSchedule {
		due = run.Slot.Add(job.Delay(installation, run.Slot, run.Shard))
	}
	return later(due, run.NotBefore)
}

// watchStart tells of the first instruction of a first attempt once it is known.
func (p *pass) watchStart(job dayfly.Job, was, is dayfly.Run) {
	if len(is.Attempts) != 1 || is.Attempts[0].StartedAt.IsZero() {
		return
	}
	if len(was.Attempts) == 1 && !was.Attempts[0].StartedAt.IsZero() {
		return
	}
	p.Watch.Started(is, dueAt(job, p.Installation, is))
}
