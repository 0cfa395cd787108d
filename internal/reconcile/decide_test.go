package reconcile_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
)

// TestDecideIsLegal asks Decide about any run with any facts: every change that it wants is a legal one,
// it always names a step or an instant, it never touches what it was given, and it never ends a run
// whose machine was not seen to be gone.
func TestDecideIsLegal(t *testing.T) {
	t.Parallel()
	instant := rapid.Custom(func(t *rapid.T) time.Time {
		return monday.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "minutes")) * time.Minute)
	})
	maybe := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return instant.Draw(t, "instant")
	})
	rapid.Check(t, func(t *rapid.T) {
		run := dayfly.Run{
			ID: "j-20261123T000000Z", Job: "j", Slot: monday, State: rapid.SampledFrom([]dayfly.State{
				dayfly.Due, dayfly.Launching, dayfly.Running, dayfly.Stopping, dayfly.Ended,
			}).Draw(t, "state"),
			StartDeadline: instant.Draw(t, "start deadline"), NotBefore: maybe.Draw(t, "not before"), CancelAt: maybe.Draw(t, "cancel at"),
		}
		a := dayfly.Attempt{
			Number: 1, Machine: rapid.SampledFrom([]dayfly.MachineID{"", "here/x"}).Draw(t, "machine"), Deadline: instant.Draw(t, "deadline"),
			LaunchedAt: instant.Draw(t, "launched"), TerminateAt: maybe.Draw(t, "terminate at"),
		}
		if run.State == dayfly.Stopping {
			a.StoppingAt = instant.Draw(t, "stopping at")
			a.Outcome = rapid.SampledFrom([]dayfly.Outcome{dayfly.Lost, dayfly.Failed, dayfly.Capacity, dayfly.Refused, dayfly.Canceled}).Draw(t, "outcome")
		}
		if run.State != dayfly.Due || rapid.Bool().Draw(t, "has attempts") {
			run.Attempts = []dayfly.Attempt{a}
		}
		f := reconcile.Facts{
			Now: instant.Draw(t, "now"), Complete: rapid.Bool().Draw(t, "complete"), ListedAt: maybe.Draw(t, "listed at"),
			Settle: time.Duration(rapid.IntRange(0, 3).Draw(t, "settle")) * time.Minute,
		}
		if rapid.Bool().Draw(t, "listed") && !f.ListedAt.IsZero() {
			f.Machine = &dayfly.Machine{ID: "here/x", StartedAt: maybe.Draw(t, "started"), State: rapid.SampledFrom([]dayfly.MachineState{
				dayfly.MachinePending, dayfly.MachineRunning, dayfly.MachineStopping, dayfly.MachineTerminated,
			}).Draw(t, "machine state")}
		}
		if rapid.Bool().Draw(t, "looked") {
			f.Report.Looked = true
			if rapid.Bool().Draw(t, "reported") {
				f.Report.Report = &dayfly.Report{Outcome: dayfly.Succeeded}
			}
		}
		retry := dayfly.Retry{Attempts: rapid.IntRange(1, 3).Draw(t, "attempts"), On: []dayfly.Outcome{dayfly.Lost, dayfly.Capacity}}
		was := run.Clone()

		d := reconcile.Decide(run, retry, f)

		if d.Run.State != run.State && !run.State.CanBecome(d.Run.State) {
			t.Fatalf("%s becomes %s", run.State, d.Run.State)
		}
		if run.State == dayfly.Ended && d.Step != reconcile.Wait {
			t.Fatalf("an ended run wants step %d", d.Step)
		}
		if len(run.Attempts) > 0 && (run.Attempts[0].Outcome != was.Attempts[0].Outcome || run.Attempts[0].Machine != was.Attempts[0].Machine) {
			t.Fatal("Decide changed the run that it was given")
		}
		switch d.Step {
		case reconcile.Wait, reconcile.Stop, reconcile.Terminate:
			launchable := run.State == dayfly.Due && !f.Now.Before(run.NotBefore)
			if d.Next.IsZero() && run.State != dayfly.Ended && !launchable {
				t.Fatalf("step %d of a %s run without an instant to look again", d.Step, run.State)
			}
		}
		if d.Run.State == dayfly.Ended && run.State == dayfly.Stopping {
			seen := f.Machine != nil && f.Machine.State == dayfly.MachineTerminated
			absent := f.Machine == nil && f.Complete && !f.ListedAt.IsZero() && (a.Machine == "" || !a.TerminateAt.IsZero())
			if !seen && !absent || d.Run.Attempt().GoneAt.IsZero() {
				t.Fatalf("ended without its machine seen gone: %+v", f)
			}
		}
	})
}
