package main

import (
	"testing"

	"github.com/dayfly-io/dayfly"
)

// TestExitCodeOfMany: the worst decides, in the order that the help names, and not the highest code.
func TestExitCodeOfMany(t *testing.T) {
	t.Parallel()
	three, nine := 3, 9
	run := func(o dayfly.Outcome, code *int) dayfly.Run {
		return dayfly.Run{State: dayfly.Ended, Outcome: o, Attempts: []dayfly.Attempt{{Outcome: o, ExitCode: code}}}
	}
	fine, lost, skipped := run(dayfly.Succeeded, new(int)), run(dayfly.Lost, nil), run(dayfly.Skipped, nil)
	for _, c := range []struct {
		runs []dayfly.Run
		what string
		want int
	}{
		{[]dayfly.Run{fine, fine}, "outcome", exitOK},
		{[]dayfly.Run{fine, run(dayfly.Failed, &three), lost, fine}, "outcome", exitFailed},
		{[]dayfly.Run{lost, run(dayfly.Failed, &three)}, "outcome", exitFailed},
		{[]dayfly.Run{run(dayfly.Failed, &three), run(dayfly.Failed, &nine), lost}, "job", 9},
		{[]dayfly.Run{run(dayfly.Canceled, nil), run(dayfly.TimedOut, nil), skipped}, "outcome", exitTimedOut},
		{[]dayfly.Run{skipped, run(dayfly.Refused, nil)}, "outcome", exitRefused},
		{[]dayfly.Run{fine, skipped}, "outcome", exitNotRun},
	} {
		m := &many{runs: c.runs}
		if got := exitCode(m.exit(attachFlags{exitCode: c.what})); got != c.want {
			t.Errorf("%s by %s: exit code %d, want %d", countsOf(c.runs), c.what, got, c.want)
		}
	}
}
