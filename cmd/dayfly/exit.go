package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dayfly-io/dayfly"
)

// The exit codes. They are a contract, and every help text shows them.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitDiffers     = 3
	exitFailed      = 5
	exitTimedOut    = 6
	exitCanceled    = 7
	exitNotFound    = 8
	exitRefused     = 9
	exitNotGone     = 10
	exitLost        = 11
	exitNotRun      = 12
	exitInterrupted = 130
)

// exitMeanings says them in the order of help texts.
var exitMeanings = []struct {
	code int
	when string
}{
	{exitOK, "done; the run succeeded"},
	{exitError, "an error"},
	{exitUsage, "wrong usage, or a file that is not right"},
	{exitDiffers, "the plan is not empty (plan --detailed-exitcode)"},
	{exitFailed, "the run failed"},
	{exitTimedOut, "the run timed out"},
	{exitCanceled, "the run was cancelled"},
	{exitNotFound, "there is no such job, run or file"},
	{exitRefused, "refused: no machine could be had, or it makes no sense now"},
	{exitNotGone, "a machine could not be observed gone by its deadline + 5 min (wins over the others)"},
	{exitLost, "the run's machine was lost"},
	{exitNotRun, "the run was missed or skipped"},
	{exitInterrupted, "Ctrl-C"},
}

// exitCodes is what the exit codes mean, for help.
func exitCodes() string {
	var b strings.Builder
	for _, c := range exitMeanings {
		b.WriteString(folded(c.when, fmt.Sprintf("  %3d  ", c.code), "       "))
	}
	return b.String()
}

// exit is the end of a command with a code of its own. Without an error nothing more is said.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// exitCode is the one place where an error becomes an exit code.
func exitCode(err error) int {
	if e, ok := errors.AsType[*exit](err); ok {
		return e.code
	}
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	switch dayfly.ErrorCode(err) {
	case dayfly.CodeInvalid:
		return exitUsage
	case dayfly.CodeNotFound:
		return exitNotFound
	case dayfly.CodeRefused:
		return exitRefused
	}
	return exitError
}

// outcomeCode is the exit code of how a run ended.
func outcomeCode(o dayfly.Outcome) int {
	switch o {
	case dayfly.Succeeded:
		return exitOK
	case dayfly.Failed:
		return exitFailed
	case dayfly.TimedOut:
		return exitTimedOut
	case dayfly.Canceled:
		return exitCanceled
	case dayfly.Refused:
		return exitRefused
	case dayfly.Lost:
		return exitLost
	case dayfly.Missed, dayfly.Skipped:
		return exitNotRun
	}
	return exitError
}
