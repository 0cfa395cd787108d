package main

import (
	"context"
	"slices"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// milestone is a point on the way of an attempt. What is done to get from one to the next is an activity.
type milestone int

// The milestones, in their order.
const (
	requested milestone = iota
	launched
	prepared
	ran
	saved
	gone
	milestones
)

// doing is the activity that leads to each milestone; reached is what is said of it then.
var (
	doing   = [milestones]string{"waiting", "launching a machine", "preparing", "running", "saving", "ending the machine"}
	reached = [milestones]string{"request recorded", "machine launched", "prepared", "ran", "saved", "machine gone"}
)

// phaseOrder is how far the agent is in each of its phases.
var phaseOrder = map[string]milestone{"prepare": launched, "run": prepared, "save": ran, "done": saved}

// wayOf tells which milestones the last attempt of a run has reached. m is its machine, if it is listed.
func wayOf(r dayfly.Run, m *dayfly.Machine) (way [milestones]bool) {
	way[requested] = true
	a := r.Attempt()
	if a == nil || r.State == dayfly.Launching || neverWas(*a) {
		return way
	}
	if r.State == dayfly.Due && a.GoneAt.IsZero() {
		return way
	}
	phase := launched
	if m != nil {
		phase = max(phase, phaseOrder[m.Phase])
	}
	way[launched] = true
	way[prepared] = !a.StartedAt.IsZero() || phase >= prepared
	way[ran] = way[prepared] && (!a.FinishedAt.IsZero() || phase >= ran)
	way[saved] = way[launched] && (a.Report != nil || phase >= saved)
	way[gone] = !a.GoneAt.IsZero()
	return way
}

// neverWas tells whether an attempt was refused its machine. What its record says of one was fixed before
// it was asked for.
func neverWas(a dayfly.Attempt) bool {
	return (a.Outcome == dayfly.Refused || a.Outcome == dayfly.Capacity) && a.StartedAt.IsZero() && a.Report == nil
}

// began is when the first machine of a run was asked for, and before that when the run was made: what it
// waited for others is no part of how long it took.
func began(r dayfly.Run) time.Time {
	if len(r.Attempts) > 0 && !r.Attempts[0].LaunchedAt.IsZero() {
		return r.Attempts[0].LaunchedAt
	}
	return r.CreatedAt
}

// over is when the job of an ended run was at its end, in its last attempt that had a machine, and where
// that is not known when the run was: how long it waited to be collected is no part of how long it took.
func over(r dayfly.Run) time.Time {
	if n := lastLaunched(r); n > 0 && !r.Attempts[n-1].FinishedAt.IsZero() {
		return r.Attempts[n-1].FinishedAt
	}
	return r.EndedAt
}

// times are how long each activity of an attempt took; those that are not known are absent.
func times(r dayfly.Run, a dayfly.Attempt) map[milestone]time.Duration {
	at := [milestones]time.Time{requested: a.LaunchedAt, prepared: a.StartedAt, ran: a.FinishedAt, gone: a.GoneAt}
	before := r.CreatedAt
	if a.Number > 1 {
		before = time.Time{}
	}
	if rep := a.Report; rep != nil {
		at[launched], at[saved] = rep.PreparedAt, rep.SavedAt
	}
	took := map[milestone]time.Duration{}
	for m, t := range at {
		if t.IsZero() {
			continue
		}
		if !before.IsZero() {
			took[milestone(m)] = max(0, t.Sub(before))
		}
		before = t
	}
	return took
}

// recentRuns is how many earlier runs "usually" is taken from.
const recentRuns = 15

// usual is the median of how long each activity took in earlier runs of the job.
func usual(ctx context.Context, s store.Store, job dayfly.JobName) map[milestone]time.Duration {
	all := map[milestone][]time.Duration{}
	f := store.Filter{Job: job, Outcome: dayfly.Succeeded, Ended: true, Limit: recentRuns}
	for r, err := range store.Sound(s.History(ctx, f), nil) {
		if err != nil {
			return nil // it is only a comfort
		}
		if a := r.Attempt(); a != nil {
			for m, d := range times(r, *a) {
				all[m] = append(all[m], d)
			}
		}
	}
	median := map[milestone]time.Duration{}
	for m, ds := range all {
		slices.Sort(ds)
		median[m] = ds[len(ds)/2]
	}
	return median
}
