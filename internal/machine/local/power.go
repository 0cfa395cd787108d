package local

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// powerNames are the commands that are dayfly's inside a machine.
var powerNames = []string{"shutdown", "poweroff", "halt", "reboot", "systemctl"}

// powerShim stands for all of them. It hands its name and arguments to the sandbox's first process
// and waits for the answer, which never comes when the machine goes down now.
const powerShim = `#!/bin/sh
# The power switch of a dayfly machine.
d=/run/dayfly
[ -p "${0%/*}/../power" ] && d=${0%/*}/..
printf '%s\n' "${0##*/} $*" >"$d/power" || exit 1
read -r code text <"$d/answer" || exit 1
[ "$code" = 0 ] && printf '%s\n' "$text" || printf '%s\n' "$text" >&2
exit "$code"
`

// power is what a power command asks for.
type power struct {
	now    bool
	after  time.Duration // where positive: not now, then
	cancel bool
	code   int    // answered, unless now
	text   string // answered, unless now
}

// parsePower understands a line of powerShim.
func parsePower(line string) power {
	f := strings.Fields(line)
	if len(f) == 0 {
		return power{code: 1, text: "nothing was asked"}
	}
	name, args := f[0], f[1:]
	words := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return strings.HasPrefix(a, "-") })
	switch {
	case slices.Contains(args, "--help"), slices.Contains(args, "-k"), slices.Contains(args, "-w"), slices.Contains(args, "--wtmp-only"):
		return power{text: name + ": this ends the dayfly machine, with code 0"}
	case name == "systemctl":
		return systemctlPower(words)
	case name != "shutdown":
		return power{now: true}
	case slices.Contains(args, "-c"):
		return power{cancel: true, text: "shutdown: cancelled"}
	case len(words) == 0:
		return shutdownAt("+1")
	default:
		return shutdownAt(words[0])
	}
}

func systemctlPower(words []string) power {
	verbs := []string{"poweroff", "halt", "reboot", "kexec", "soft-reboot", "exit"}
	if len(words) > 0 && slices.Contains(verbs, words[0]) {
		return power{now: true}
	}
	return power{code: 1, text: "systemctl: a dayfly machine has no services; poweroff, halt and reboot end it"}
}

// shutdownAt is the time argument of shutdown: now or minutes.
func shutdownAt(at string) power {
	minutes, err := strconv.ParseUint(strings.TrimPrefix(at, "+"), 10, 16)
	switch {
	case at == "now", err == nil && minutes == 0:
		return power{now: true}
	case err != nil:
		return power{code: 1, text: "shutdown: a dayfly machine takes now or +MINUTES, not " + at}
	}
	after := time.Duration(minutes) * time.Minute
	return power{after: after, text: "shutdown: this dayfly machine ends in " + after.String()}
}
