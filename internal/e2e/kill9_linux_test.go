package e2e_test

import (
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/dayfly-io/dayfly/internal/e2e/ptrace"
)

var (
	kill9Count = flag.Int("e2e.kill9", 200, "at how many spots TestKill9Real kills; 0: at all of them")
	kill9Only  = flag.String("e2e.kill9.only", "", "kill only at spots whose name matches this `REGEXP`: SCENE/ROLE/CALL/N/before or after")
)

// TestKill9Real is R7 at exact system calls: a process is killed at the nth call of a sort that it makes in
// one run, on either side of the call, and a daemon that nobody harms goes on with what is left. The run has
// one record with a right outcome, its job was started at most once, a success has every byte, and nothing stays.
func TestKill9Real(t *testing.T) {
	t.Parallel()
	deeds := map[string]ptrace.Verdict{"before": ptrace.KillBefore(), "after": ptrace.KillAfter()}
	campaign{
		promise: "R7", flag: "-e2e.kill9.only", count: *kill9Count, only: *kill9Only,
		sort:  func(_ *trial, c *ptrace.Call) string { return sortOf(c) },
		deeds: func(string) []string { return []string{"before", "after"} },
		strike: func(_ *trial, at spot) func(bool, *ptrace.Call) ptrace.Verdict {
			return func(here bool, _ *ptrace.Call) ptrace.Verdict {
				if here {
					return deeds[at.deed]
				}
				return ptrace.Pass()
			}
		},
		judge: func(p *trial, at spot, struck bool) { p.checkOutcome(at.role, struck) },
	}.run(t)
}

// checkOutcome: only who has the run in hand can make it end otherwise than well.
func (p *trial) checkOutcome(role string, struck bool) {
	right := []string{"succeeded"}
	if struck {
		switch strings.TrimSuffix(role, "'s child") {
		case atSupervisor, atInit, "helper":
			right = append(right, "lost", "failed")
		}
	}
	for _, r := range p.runs {
		if !slices.Contains(right, r.Outcome) {
			p.wrong("the run ended %s: %s", r.Outcome, r.Reason)
		}
	}
}
