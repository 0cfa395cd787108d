// Command testsum runs `go test -json` commands and tells what came of them.
//
//	testsum [-skips FILE] [-ci] -- go test -json ./... [-- go test -json …]
//
// As the tests go by it prints go test's own line for each package and all
// that a failing test wrote. It ends with the skipped tests under their reasons
// and, alone on the last line, "N passed, N failed, N skipped".
//
// The exit code is that of the first command that failed. It is also not zero
// when no test ran at all and, with -ci, when a test was skipped that FILE does
// not list: where everything is installed a skip is a test that was lost.
//
// What is worth running, and how, is left to whoever calls it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("testsum", flag.ContinueOnError)
	flags.SetOutput(stderr)
	skips := flags.String("skips", "", "`file` of tests that may be skipped under -ci, one a line")
	ci := flags.Bool("ci", getenv("CI") == "true", "fail when a test is skipped that -skips does not list")
	first := slices.Index(args, "--")
	if first < 0 {
		first = len(args)
	}
	if err := flags.Parse(args[:first]); err != nil {
		return 2
	}
	commands := split(args[first:])
	if len(commands) == 0 || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "usage: testsum [-skips FILE] [-ci] -- go test -json ./... [-- go test -json …]")
		return 2
	}
	allowed, err := readSkips(*skips)
	if err != nil {
		fmt.Fprintf(stderr, "error: %v\n", err)
		return 2
	}

	sum, code := newSummary(stdout), 0
	for _, command := range commands {
		c, err := test(ctx, command, sum, stdout, stderr)
		if err != nil {
			fmt.Fprintf(stderr, "error: %v\n", err)
		}
		if code == 0 {
			code = c
		}
		if ctx.Err() != nil {
			break
		}
	}
	return sum.close(code, *ci, allowed)
}

// split cuts arguments into commands, each of which begins after a "--".
func split(args []string) [][]string {
	var commands [][]string
	for _, arg := range args {
		switch {
		case arg == "--":
			commands = append(commands, nil)
		default:
			commands[len(commands)-1] = append(commands[len(commands)-1], arg)
		}
	}
	return slices.DeleteFunc(commands, func(c []string) bool { return len(c) == 0 })
}

// readSkips reads the tests that may be skipped: one a line, the package's
// import path, a dot and the test's name; what follows a # is the reason.
func readSkips(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the tests that may be skipped: %w", err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		name, reason, _ := strings.Cut(line, "#")
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		if strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("%s: %s has no reason: add one after a #", path, name)
		}
		names = append(names, name)
	}
	return names, nil
}

// test runs one command to its end and adds what it reports to sum. It returns
// the command's exit code.
func test(ctx context.Context, command []string, sum *summary, stdout, stderr io.Writer) (int, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stderr = stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return 1, fmt.Errorf("read from %s: %w", command[0], err)
	}
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("start the tests: %w", err)
	}
	readErr := read(pipe, sum, stdout)
	waitErr := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(waitErr, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode(), readErr
	}
	if err := errors.Join(readErr, waitErr); err != nil {
		return 1, fmt.Errorf("run %s: %w", strings.Join(command, " "), err)
	}
	return 0, nil
}

// read adds every event of r to sum. A line that is no event (go's own words
// on a broken go.mod) is passed on as it is.
func read(r io.Reader, sum *summary, stdout io.Writer) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				sum.add(e)
			} else {
				stdout.Write(line)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read test events: %w", err)
		}
	}
}
