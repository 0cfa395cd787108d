package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/dayfly-io/dayfly"
)

// CancelPatience is how long after a cancel the agent may take before the machine is ended from outside.
const CancelPatience = 30 * time.Second

// Look is how soon a pass looks again where a call has to be repeated, or an answer is on its way.
// That a machine may end by itself at any time is the caller's net: it makes a pass every second
// while runs are active, whatever Next says.
const Look = time.Second

// lookAgain is how long to wait for a machine that was just ended to be seen gone: a short while at first,
// half as long again each time. Where lists lag no look is worth as much.
func lookAgain(since, settle time.Duration) time.Duration {
	if settle > 0 {
		return min(max(since/2, Look), 10*Look)
	}
	return min(max(since/2, 10*time.Millisecond), Look)
}

// Facts are what is known of a run's machine when Decide is asked.
type Facts struct {
	Now      time.Time
	Machine  *dayfly.Machine // as listed; nil: not in the list
	Complete bool            // the list is complete where the machine would be
	ListedAt time.Time       // when the listing was begun; zero: there is none
	Settle   time.Duration   // how long after a launch the provider's lists may lag
	Report   Reported
	Underway bool // the run is a shard of an array, and another shard of it has been launched
}

// Reported is what came of looking for the agent's report.
type Reported struct {
	Looked  bool
	Failed  bool           // it cannot be told now: the bucket cannot be read, or there is more to verify
	Report  *dayfly.Report // verified against the bucket
	Problem string         // a report that cannot be true: why
}

// Step is what shall happen next to a run.
type Step int

// The steps.
const (
	Wait      Step = iota // nothing before Next
	Save                  // store the record, then ask again
	Launch                // ask the provider, with the stored request
	Collect               // look for the report and verify what it names
	Stop                  // tell the agent that the run is cancelled
	Terminate             // end the machine
)

// Decision is the record as it should be, and the step that is due.
type Decision struct {
	Run  dayfly.Run
	Step Step
	Next time.Time // when to ask again if nothing rings; zero for Save and final records
}

// Decide says what is due for a run that has been launched at least once or is cancelled or too late.
// It is pure. Whether a due run may launch depends on other runs: that is [admit]'s.
func Decide(run dayfly.Run, retry dayfly.Retry, f Facts) Decision {
	run = run.Clone()
	switch run.State {
	case dayfly.Due:
		return decideDue(run, f)
	case dayfly.Launching:
		return decideLaunching(run, f)
	case dayfly.Running:
		return decideRunning(run, f)
	case dayfly.Stopping:
		return decideStopping(run, retry, f)
	}
	return Decision{Run: run}
}

func decideDue(run dayfly.Run, f Facts) Decision {
	switch {
	case !run.CancelAt.IsZero():
		return end(run, dayfly.Canceled, run.CancelWhy, f.Now)
	case len(run.Attempts) == 0 && f.Now.After(run.StartDeadline) && !f.Underway:
		reason := "not started within " + late(run) + " of its slot"
		if run.Reason != "" {
			reason += ": " + run.Reason
		}
		return end(run, dayfly.Missed, reason, f.Now)
	case f.Now.Before(run.NotBefore):
		return Decision{Run: run, Next: run.NotBefore}
	}
	next := time.Time{}
	if len(run.Attempts) == 0 && !f.Underway {
		next = run.StartDeadline.Add(time.Millisecond)
	}
	return Decision{Run: run, Next: next}
}

func late(run dayfly.Run) string {
	return dayfly.Seconds(run.StartDeadline.Sub(run.Slot).Round(time.Second)).Words()
}

func decideLaunching(run dayfly.Run, f Facts) Decision {
	a := run.Attempt()
	switch {
	case !run.CancelAt.IsZero():
		return stop(run, dayfly.Canceled, run.CancelWhy, f.Now)
	case !f.Now.Before(a.Deadline):
		reason := "it never became known whether the machine was launched"
		if run.Reason != "" {
			reason += ": " + run.Reason
		}
		return stop(run, dayfly.Lost, reason, f.Now)
	// One that is pending may be no more than the beginnings of a launch whose launcher died. Asking
	// again completes them, and is harmless where it is more.
	case f.Machine != nil && f.Machine.State != dayfly.MachinePending:
		return launched(run, *f.Machine, f.Now)
	case f.Now.Before(run.NotBefore):
		return Decision{Run: run, Next: run.NotBefore}
	}
	return Decision{Run: run, Step: Launch}
}

// launched records that the provider named the machine.
func launched(run dayfly.Run, m dayfly.Machine, now time.Time) Decision {
	a := run.Attempt()
	a.Machine, a.NamedAt = m.ID, now
	run.State, run.NotBefore, run.Reason = dayfly.Running, time.Time{}, ""
	observe(a, m)
	return Decision{Run: run, Step: Save}
}

// observe takes over what the provider sees of a machine and tells whether anything is new.
func observe(a *dayfly.Attempt, m dayfly.Machine) bool {
	changed := false
	if a.StartedAt.IsZero() && !m.StartedAt.IsZero() {
		a.StartedAt, changed = m.StartedAt, true
	}
	if a.Isolation == "" && m.Isolation != "" {
		a.Isolation, changed = m.Isolation, true
	}
	if len(a.Notes) == 0 && len(m.Notes) > 0 {
		a.Notes, changed = slices.Clone(m.Notes), true
	}
	return changed
}

func decideRunning(run dayfly.Run, f Facts) Decision {
	a := run.Attempt()
	gone := isGone(a, f)
	agentAtWork := f.Machine != nil && f.Machine.State == dayfly.MachineRunning && f.Machine.Phase != "" && f.Machine.Phase != "done"
	if f.ListedAt.IsZero() {
		return Decision{Run: run, Next: f.Now.Add(Look)}
	}
	overdue := !f.Now.Before(a.Deadline)
	impatient := !run.CancelAt.IsZero() && !f.Now.Before(run.CancelAt.Add(CancelPatience))
	switch look := gone || overdue || !agentAtWork; {
	case f.Report.Failed && (gone || !overdue && !impatient): // its end does not wait for the bucket, its record does
		return Decision{Run: run, Next: f.Now.Add(Look)}
	case look && !f.Report.Looked && !f.Report.Failed:
		return Decision{Run: run, Step: Collect}
	}
	switch {
	case f.Report.Report != nil:
		return reported(run, f.Report.Report, f.Now)
	case f.Report.Problem != "":
		return stop(run, dayfly.Lost, f.Report.Problem, f.Now)
	case gone:
		return vanished(run, f)
	case overdue:
		return stop(run, dayfly.TimedOut, "the machine's deadline was reached", f.Now)
	case impatient:
		return stop(run, dayfly.Canceled, run.CancelWhy, f.Now)
	case f.Machine != nil && observe(a, *f.Machine):
		return Decision{Run: run, Step: Save}
	case !run.CancelAt.IsZero():
		return Decision{Run: run, Step: Stop, Next: earliest(a.Deadline, run.CancelAt.Add(CancelPatience))}
	}
	next := a.Deadline
	if f.Machine == nil && f.Settle > 0 { // then its absence says something
		next = earliest(next, later(f.Now.Add(Look), provesFrom(a, f.Settle)))
	}
	return Decision{Run: run, Next: next}
}

// vanished records a machine that went without a report: by our own hand, at its deadline, or by itself.
func vanished(run dayfly.Run, f Facts) Decision {
	a := run.Attempt()
	switch {
	case !run.CancelAt.IsZero():
		return stop(run, dayfly.Canceled, run.CancelWhy, f.Now)
	case !f.Now.Before(a.Deadline):
		return stop(run, dayfly.TimedOut, "the machine's deadline was reached", f.Now)
	}
	reason := "the machine vanished without a report"
	why := run.Reason // what was said when it was asked for
	if f.Machine != nil {
		why = cmp.Or(f.Machine.Reason, why)
	}
	if why != "" {
		reason += ": " + why
	}
	return stop(run, dayfly.Lost, reason, f.Now)
}

// reported takes over the verified report; the machine is not needed any more.
func reported(run dayfly.Run, r *dayfly.Report, now time.Time) Decision {
	a := run.Attempt()
	a.Report, a.ExitCode = r, r.ExitCode
	a.FinishedAt = r.FinishedAt
	if !r.StartedAt.IsZero() {
		a.StartedAt = r.StartedAt
	}
	if r.Isolation != "" {
		a.Isolation = r.Isolation
	}
	for _, n := range r.Notes {
		if !slices.Contains(a.Notes, n) {
			a.Notes = append(slices.Clip(a.Notes), n)
		}
	}
	a.Outcome, a.Reason = r.Outcome, r.Reason
	if r.Outcome == dayfly.Canceled && run.CancelWhy != "" {
		a.Reason = run.CancelWhy
	}
	if run.State == dayfly.Stopping {
		return Decision{Run: run, Step: Save}
	}
	return stop(run, a.Outcome, a.Reason, now)
}

// stop begins the end of the run's machine.
func stop(run dayfly.Run, o dayfly.Outcome, reason string, now time.Time) Decision {
	a := run.Attempt()
	a.Outcome, a.Reason, a.StoppingAt = o, reason, now
	run.State, run.NotBefore = dayfly.Stopping, time.Time{}
	return Decision{Run: run, Step: Save}
}

func decideStopping(run dayfly.Run, retry dayfly.Retry, f Facts) Decision {
	a := run.Attempt()
	if f.ListedAt.IsZero() {
		return Decision{Run: run, Next: f.Now.Add(Look)}
	}
	if !isGone(a, f) {
		if f.Machine != nil && a.Machine == "" {
			a.Machine = f.Machine.ID
			return Decision{Run: run, Step: Save}
		}
		if a.Machine == "" { // nothing to name: it shows up in a list, or the list settles without it
			return Decision{Run: run, Next: later(f.Now.Add(Look), provesFrom(a, f.Settle))}
		}
		return Decision{Run: run, Step: Terminate, Next: f.Now.Add(lookAgain(f.Now.Sub(a.StoppingAt), f.Settle))}
	}
	// The agent may have reported at the last moment; what it saved is worth having.
	if a.Report == nil && a.Outcome != dayfly.Refused && a.Outcome != dayfly.Capacity {
		if f.Report.Failed {
			return Decision{Run: run, Next: f.Now.Add(Look)}
		}
		if !f.Report.Looked {
			return Decision{Run: run, Step: Collect}
		}
		if f.Report.Report != nil {
			return reported(run, f.Report.Report, f.Now)
		}
	}
	a.GoneAt = f.Now
	return after(run, retry, f.Now)
}

// isGone tells whether the facts show that the machine is no more.
func isGone(a *dayfly.Attempt, f Facts) bool {
	if f.Machine != nil {
		return f.Machine.State == dayfly.MachineTerminated
	}
	if f.ListedAt.IsZero() || !f.Complete || f.ListedAt.Before(provesFrom(a, f.Settle)) {
		return false
	}
	// Once we want it gone, one whose name is known must have been ended before absence counts: its launch
	// may still be under way.
	return a.StoppingAt.IsZero() || a.Machine == "" || !a.TerminateAt.IsZero()
}

// provesFrom is from when on a list without the machine says that it is no more: as late as lists lag after
// what was last done about it. While we want it, that is its launch, which may have been repeated until the
// machine was named, and its absence says that it went by itself. Once we want it gone, it is the call that
// ended it, which may have known as little of it as the list; where there is no name to end, it is when we
// stopped asking for it.
func provesFrom(a *dayfly.Attempt, settle time.Duration) time.Time {
	last := later(a.LaunchedAt, a.NamedAt)
	switch {
	case a.StoppingAt.IsZero():
	case a.Machine == "":
		last = a.StoppingAt
	default:
		last = a.TerminateAt
	}
	return last.Add(settle)
}

// after is what follows an attempt whose machine is gone: another one, or the end.
func after(run dayfly.Run, retry dayfly.Retry, now time.Time) Decision {
	a := run.Attempt()
	if slices.Contains(retry.On, a.Outcome) && a.Number < retry.Attempts && run.CancelAt.IsZero() {
		run.State, run.NotBefore = dayfly.Due, now.Add(backoff(retry.Backoff.Duration(), a.Number))
		run.Reason = fmt.Sprintf("attempt %d %s; %d of %d follows", a.Number, a.Outcome, a.Number+1, retry.Attempts)
		return Decision{Run: run, Step: Save}
	}
	o, reason := a.Outcome, a.Reason
	if o == dayfly.Capacity {
		o = dayfly.Refused
	}
	if !run.CancelAt.IsZero() && o != dayfly.Succeeded {
		o, reason = dayfly.Canceled, run.CancelWhy
	}
	return end(run, o, reason, now)
}

func end(run dayfly.Run, o dayfly.Outcome, reason string, now time.Time) Decision {
	run.State, run.Outcome, run.Reason = dayfly.Ended, o, reason
	run.EndedAt, run.NotBefore, run.NextAt = now, time.Time{}, time.Time{}
	return Decision{Run: run, Step: Save}
}

// maxBackoff bounds the wait between two attempts.
const maxBackoff = time.Hour

// backoff doubles with every attempt, from base for the first.
func backoff(base time.Duration, attempt int) time.Duration {
	for range attempt - 1 {
		if base *= 2; base >= maxBackoff {
			return max(maxBackoff, base/2)
		}
	}
	return base
}

func earliest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
