package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// A verdict says what the tests made of a tree.
type verdict string

const (
	red    verdict = "red"    // a test failed: what a mutant is expected to cause
	hung   verdict = "hung"   // the tests did not end in time: noticed as well
	green  verdict = "GREEN"  // every test passed: a mutant that nobody notices
	broken verdict = "BROKEN" // it did not apply, did not build, or no test ran
)

// caught says whether somebody noticed the mutant.
func (v verdict) caught() bool { return v == red || v == hung }

var (
	unbuilt  = regexp.MustCompile(`(?m)^FAIL\t\S+ \[(build|setup) failed\]`)
	failed   = regexp.MustCompile(`(?m)^FAIL\t\S+\t`)
	ranTests = regexp.MustCompile(`(?m)^ok  \t\S+\t[^\[\n]*$`)
)

// judge tells a failing test from all the other ways in which `go test` can
// end with an exit code that is not zero.
func judge(exitCode int, output string) verdict {
	switch {
	case unbuilt.MatchString(output):
		return broken
	case exitCode == 0 && ranTests.MatchString(output):
		return green
	case exitCode != 0 && failed.MatchString(output):
		return red
	default: // no test is of that name, no such package, a wrong flag, no shell …
		return broken
	}
}

// shell runs a shell line in dir and returns its exit code and all it wrote.
// What it started is killed with it when the time is over; then the error says so.
func shell(ctx context.Context, dir, line string, limit time.Duration) (int, string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errHung)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = dir
	// Paths in the compiled code would make every copy compile everything anew.
	cmd.Env = append(os.Environ(), "PWD="+dir, "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -trimpath"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if cause := context.Cause(ctx); cause != nil {
		return -1, string(out), cause
	}
	if cmd.ProcessState == nil {
		return -1, string(out), fmt.Errorf("run %q: %w", line, err)
	}
	return cmd.ProcessState.ExitCode(), string(out), nil
}

var errHung = errors.New("the tests did not end in time")

// test runs one test line in dir.
func test(ctx context.Context, dir, line string, limit time.Duration) (verdict, string, error) {
	code, out, err := shell(ctx, dir, line, limit)
	switch {
	case errors.Is(err, errHung):
		return hung, out, nil
	case err != nil:
		return broken, out, err
	}
	return judge(code, out), out, nil
}
