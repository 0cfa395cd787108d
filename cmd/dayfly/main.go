// Command dayfly runs jobs on a schedule, each run on a machine of its own.
//
// This package assembles the program and speaks to people: one file for each subcommand, the flags, the
// environment, exit codes, and how things are shown. It is the only importer of concrete adapters. What
// the program does is decided below it.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/dayfly-io/dayfly/cmd/internal/agentmain"
)

func main() {
	if code, ok := agentmain.Main(os.Args[1:], os.Stderr); ok {
		os.Exit(code) // a machine's own processes: before everything else, so that they begin at once
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program: arguments and environment in, exit code out.
func run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return newApp(env, stdin, stdout, stderr).execute(ctx, args)
}

// execute runs one command.
func (a *app) execute(ctx context.Context, args []string) int {
	defer a.close()
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		printError(a.err, a.explained(err))
	}
	return exitCode(err)
}
