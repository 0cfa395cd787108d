package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/term"
)

func (a *app) logsCommand() *cobra.Command {
	var follow, raw bool
	var attempt int
	var shard *string
	cmd := &cobra.Command{
		Use: "logs RUN|JOB", Short: "Shows the log of a run, live while it is written",
		Long: `Shows the log of a run; of a job, that of the run that has its machine, else of
the latest. While the run is active the log is what has come so far, up to a
second old; it is not durable yet. RUN may be the beginning of an id; --shard
picks a run of an array.`,
		Example: "  dayfly logs -f backup\n  dayfly logs frames --shard 3",
		Args:    exactly(1, "a run or a job"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("attempt") && (attempt < 1 || follow) {
				return usage(cmd, "--attempt is a number from 1, of a log that is not followed")
			}
			return a.showLogs(cmd.Context(), args[0], *shard, follow, raw, attempt)
		},
	}
	shard = shardFlag(cmd)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the run has ended")
	cmd.Flags().BoolVar(&raw, "raw", false, "write the log to a terminal as it is")
	cmd.Flags().IntVar(&attempt, "attempt", 0, "the log of attempt `N` (default: the last one)")
	return cmd
}

func (a *app) showLogs(ctx context.Context, name, shard string, follow, raw bool, attempt int) error {
	h, err := a.openAndGlance(ctx)
	if err != nil {
		return err
	}
	run, err := h.oneOf(ctx, name, shard)
	if err != nil {
		return err
	}
	a.oneOfMany(run, name, shard)
	b, err := h.Bucket()
	if err != nil {
		return err
	}
	out, flush := a.logOutput(&pipe{a.out}, raw)
	if follow && run.State != dayfly.Ended {
		l := &logs{bucket: b, out: out, next: func(n int) {
			_ = flush() // an error of the log's own comes with its next write
			a.say("Attempt %d:", n)
		}}
		return errors.Join(a.followLogs(ctx, h, l, run), flush())
	}
	if attempt > len(run.Attempts) {
		return noAttempt(run)
	}
	if attempt == 0 {
		attempt = lastLaunched(run)
	}
	if attempt == 0 {
		a.say("Run %s has no log: it is %s, and no machine was launched%s.", run.ID, stateText(run), because(run.Reason))
		return nil
	}
	if err := logOf(run).gone(); err != nil {
		return err
	}
	t := &tail{bucket: b, out: out, prefix: dayfly.AttemptPrefix(run.Job, run.ID, attempt)}
	if err := errors.Join(t.poll(ctx), flush()); err != nil {
		return err
	}
	at := run.Attempts[attempt-1]
	switch {
	case t.whole:
	case at.Report != nil && run.State == dayfly.Ended: // it was there, whole
		return h.meanwhile(ctx, run.ID, logOf, fmt.Errorf("read the log of run %s: %s is missing from the bucket", run.ID, at.Report.Log.Key))
	case neverWas(at):
		a.say("Attempt %d of run %s has no log: no machine was launched%s.", attempt, run.ID, because(at.Reason))
	case run.State != dayfly.Ended:
		a.say("Run %s is %s; this is its log so far, and not durable yet. -f follows it.", run.ID, stateText(run))
	default:
		a.say("Attempt %d of run %s ended (%s) before its whole log was stored; %s of it came through.", attempt, run.ID,
			spoken(string(at.Outcome)), size(t.offset))
	}
	return nil
}

// noAttempt is the error of an attempt that the run did not make.
func noAttempt(run dayfly.Run) error {
	e := &dayfly.Error{Code: dayfly.CodeNotFound, Message: "run " + string(run.ID) + " has " + plural(len(run.Attempts), "attempt"), Hint: "leave --attempt out for the last one"}
	switch n := len(run.Attempts); {
	case n == 0:
		e.Hint = "dayfly logs " + string(run.ID) + " says why it has none"
	case n > 1:
		e.Hint = fmt.Sprintf("--attempt is from 1 to %d; without it it is the last one", n)
	}
	return e
}

// lastLaunched is the number of the last attempt that had a machine, or may get one; 0 where there is none.
func lastLaunched(run dayfly.Run) int {
	for _, at := range slices.Backward(run.Attempts) {
		if !neverWas(at) {
			return at.Number
		}
	}
	return 0
}

// because is a reason at the end of a sentence.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + term.Text(reason)
}

// followLogs writes the log from the first attempt under way on, and looks after the run meanwhile.
func (a *app) followLogs(ctx context.Context, h *home, l *logs, run dayfly.Run) error {
	if _, err := h.Loop(ctx); err != nil {
		return err
	}
	w, err := a.newWatch(h)
	if err != nil {
		return err
	}
	defer w.close()
	w.id, w.logs = run.ID, l
	if run.State != dayfly.Due && len(run.Attempts) > 0 {
		l.begin(run, len(run.Attempts))
	}
	run, err = w.until(ctx, ended)
	if ctx.Err() != nil {
		return &exit{code: exitInterrupted} // being stopped is one way to end it
	}
	if err != nil {
		return err
	}
	a.say("Run %s has ended: %s%s.", run.ID, stateText(run), because(run.Reason))
	return nil
}

// stateText is the outcome of an ended run, else its state, as people say it.
func stateText(r dayfly.Run) string {
	if r.State == dayfly.Ended {
		return spoken(string(r.Outcome))
	}
	return spoken(string(r.State))
}
