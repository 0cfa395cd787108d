package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

func (a *app) cancelCommand() *cobra.Command {
	var noWait bool
	var shard *string
	cmd := &cobra.Command{
		Use: "cancel RUN", Short: "Ends a run, and waits until its machine is observed gone",
		Long: `Ends a run: its job gets TERM, after the grace KILL, what it has left in the results directory is saved,
and its machine is ended, 30 s later in any case. The command waits until the machine is observed gone.
RUN is an id, the beginning of one, or a job: for the run that has its machine, else its latest.

Of an array all shards end: those of the slot that RUN names by an id without a shard, or of the job's
latest. --shard picks one. JOB@WORD is a backfill, as for dayfly backfill --cancel.`,
		Example: "  dayfly cancel backup\n  dayfly cancel frames-20261122T230000Z\n  dayfly cancel frames --shard 3",
		Args:    exactly(1, "a run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.cancelRun(cmd.Context(), args[0], *shard, noWait)
		},
	}
	shard = shardFlag(cmd)
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return as soon as the request is durable")
	return cmd
}

func (a *app) cancelRun(ctx context.Context, name, shard string, noWait bool) error {
	h, err := a.open()
	if err != nil {
		return err
	}
	if err := a.glanceOver(ctx, h, store.Scope{}); err != nil {
		return err
	}
	if _, err := h.Loop(ctx); err != nil {
		return err
	}
	if dayfly.BackfillID(name).Job() != "" && shard != "" {
		return &dayfly.Error{Code: dayfly.CodeInvalid, Message: "--shard is of a run, and " + name + " is a backfill", Hint: "dayfly history --backfill " + name + " shows its runs"}
	}
	if dayfly.BackfillID(name).Job() != "" {
		return a.cancelBackfill(ctx, name, backfillFlags{output: "table", detach: noWait})
	}
	runs, err := h.shardsOf(ctx, name, shard)
	if err != nil {
		return err
	}
	w, err := a.newWatch(h)
	if err != nil {
		return err
	}
	defer w.close()
	if len(runs) != 1 {
		return a.cancelMany(ctx, h, w, runs, noWait)
	}
	run := runs[0]
	w.id = run.ID
	if err := reconcile.Cancel(context.WithoutCancel(ctx), h.store, run.ID, "dayfly cancel", a.now()); err != nil {
		if dayfly.ErrorCode(err) == dayfly.CodeInternal { // others say what they mean for the run
			a.say("Run %s is not cancelled. %s", run.ID, a.bounds(run))
		}
		return err
	}
	h.ring()
	a.say("Cancelling %s.", run.ID)
	if noWait {
		if held, _ := h.daemon(); !held {
			a.say("No daemon is at work here: the next command or dayfly serve does it. %s", a.bounds(run))
		}
		return nil
	}
	run, err = w.until(ctx, ended)
	if ctx.Err() != nil {
		return a.interrupted(context.WithoutCancel(ctx), h, w.id)
	}
	if err != nil {
		return err
	}
	if run.Outcome != dayfly.Canceled {
		a.say("It ended by itself before: %s.", stateText(run))
	}
	if run.Attempt() != nil {
		a.say("machine:  %s", h.farewell(ctx, run, a.errTTY))
	}
	return goneLate(run)
}

// cancelMany ends the shards of an array that have not ended.
func (a *app) cancelMany(ctx context.Context, h *home, w *watch, runs []dayfly.Run, noWait bool) error {
	of := groupID(runs[0])
	active := slices.DeleteFunc(slices.Clone(runs), func(r dayfly.Run) bool { return r.State == dayfly.Ended })
	if len(active) == 0 {
		return &dayfly.Error{Code: dayfly.CodeRefused, Message: fmt.Sprintf("cancel %s: all its shards have ended already (%s)", of, countsOf(runs)), Hint: "dayfly retry " + string(of) + " runs those again that did not succeed"}
	}
	n, err := cancelAll(context.WithoutCancel(ctx), h.store, active, "dayfly cancel", a.now())
	if err != nil {
		return err
	}
	h.ring()
	a.say("Cancelling %s of %s.", plural(n, "shard"), of)
	m := a.newMany(w, active)
	if noWait {
		if held, _ := h.daemon(); !held {
			a.say("No daemon is at work here: the next command or dayfly serve does it. %s", m.bounds())
		}
		return nil
	}
	err = m.until(ctx, m.ended)
	m.view.clear()
	if ctx.Err() != nil {
		return m.interrupted()
	}
	if err != nil {
		return err
	}
	a.say("%s", countsOf(m.runs))
	a.say("machines: %s", m.farewell(ctx))
	var errs []error
	for _, r := range m.runs {
		errs = append(errs, goneLate(r))
	}
	return errors.Join(errs...)
}
