// Package agentmain is what a process of a local machine does: "agent supervise", the process on the host
// that looks after one machine, and "agent init", the first process in it. Two programs are both:
// dayfly-agent, which is small and so begins at once, and dayfly itself, which is always there.
//
// It reaches no store, no settings and no command line for people: all it needs comes as arguments.
package agentmain

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/dayfly-io/dayfly/internal/agent"
	"github.com/dayfly-io/dayfly/internal/bell"
	"github.com/dayfly-io/dayfly/internal/bucket/dir"
	"github.com/dayfly-io/dayfly/internal/machine/local"
)

// Place is where a supervisor finds what it works with.
type Place struct {
	Data   string // the data directory, whose bell it rings
	Bucket string // the bucket's directory
}

// SuperviseArgs are the arguments that make a program a supervisor there; "--machine DIR" follows.
func SuperviseArgs(p Place) []string {
	return []string{"agent", "supervise", "--data", p.Data, "--bucket", p.Bucket}
}

// Main is a process of a machine, if the arguments (without the program's name) say so. The exit code is
// that of the process: 0, or 1 with a line on stderr.
func Main(args []string, stderr io.Writer) (code int, ok bool) {
	if len(args) < 2 || args[0] != "agent" {
		return 0, false
	}
	switch args[1] {
	case "init":
		return local.Init(args[2:]), true
	case "supervise":
		if err := supervise(context.Background(), args[2:], stderr); err != nil {
			fmt.Fprintf(stderr, "error: %v\n", err)
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// supervise looks after one local machine from its beginning to its end.
func supervise(ctx context.Context, args []string, stderr io.Writer) error {
	var p Place
	flags := flag.NewFlagSet("dayfly agent supervise", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&p.Data, "data", "", "the data directory")
	flags.StringVar(&p.Bucket, "bucket", "", "the bucket's directory")
	folder := flags.String("machine", "", "the machine's folder")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("read the agent's arguments: %w", err)
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	bells := filepath.Join(p.Data, "bell")
	defer bell.Ring(bells) // the machine is no more
	return local.Supervise(ctx, local.SuperviseConfig{Machine: *folder, Log: log}, func(ctx context.Context, w local.Work) error {
		b, err := dir.Join(p.Bucket)
		if err != nil {
			return fmt.Errorf("open the bucket: %w", err)
		}
		defer b.Close()
		return agent.Run(ctx, agent.Config{
			Task: w.Spec.Task, Secrets: w.Secrets, Bucket: b, Sandbox: w.Sandbox, Dir: w.Dir,
			WorkInside: w.InsideWork, ResultsInside: w.InsideResults, Path: os.Getenv("PATH"),
			Now: time.Now, Log: log,
			Cancel: w.Cancel, Phase: w.SetPhase, Started: w.SetStarted, Ring: func() { bell.Ring(bells) },
		})
	})
}
