package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly/internal/agent"
	"github.com/dayfly-io/dayfly/internal/bell"
	"github.com/dayfly-io/dayfly/internal/bucket/dir"
	"github.com/dayfly-io/dayfly/internal/machine/local"
)

// agentCommand only says what the agent is: its two processes are begun by agentMain.
func (a *app) agentCommand() *cobra.Command {
	return &cobra.Command{
		Use: "agent", Short: "The part of dayfly at the machine, which dayfly starts itself", Hidden: true,
		Long: `The part of dayfly at the machine. "agent supervise" is the process on the host that looks after one
machine, "agent init" is the first process in it. dayfly starts both itself.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return usage(cmd, "the agent is started by dayfly itself, with a machine to look after")
		},
	}
}

// agentMain is a process of a machine, if the arguments say so.
func agentMain(args []string, stderr io.Writer) (code int, ok bool) {
	if len(args) < 2 || args[0] != "agent" {
		return 0, false
	}
	switch args[1] {
	case "init":
		return local.Init(args[2:]), true
	case "supervise":
		if err := supervise(context.Background(), args[2:], stderr); err != nil {
			printError(stderr, err)
			return exitError, true
		}
		return exitOK, true
	}
	return 0, false
}

// supervise looks after one local machine from its beginning to its end.
func supervise(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("dayfly agent supervise", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	data := flags.String("data", "", "the data directory")
	folder := flags.String("machine", "", "the machine's folder")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("read the agent's arguments: %w", err)
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	defer bell.Ring(filepath.Join(*data, "bell")) // the machine is no more
	return local.Supervise(ctx, local.SuperviseConfig{Machine: *folder, Log: log}, func(ctx context.Context, w local.Work) error {
		settings, _, err := readSettings(filepath.Join(*data, settingsFile))
		if err != nil {
			return err
		}
		h := home{dir: *data, settings: settings}
		b, err := dir.Open(h.bucketDir())
		if err != nil {
			return fmt.Errorf("open the bucket: %w", err)
		}
		defer b.Close()
		return agent.Run(ctx, agent.Config{
			Task: w.Spec.Task, Secrets: w.Secrets, Bucket: b, Sandbox: w.Sandbox, Dir: w.Dir,
			WorkInside: w.InsideWork, ResultsInside: w.InsideResults, Path: os.Getenv("PATH"),
			Now: time.Now, Log: log,
			Cancel: w.Cancel, Phase: w.SetPhase, Started: w.SetStarted, Ring: func() { bell.Ring(h.path("bell")) },
		})
	})
}
