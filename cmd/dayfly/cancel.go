package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

func (a *app) cancelCommand() *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use: "cancel RUN", Short: "Ends a run, and waits until its machine is observed gone",
		Long: `Ends a run: its job gets TERM, after the grace KILL, what it has left in the results directory is saved,
and its machine is ended, 30 s later in any case. The command waits until the machine is observed gone.
RUN is an id, the beginning of one, or a job: for the run that has its machine, else its latest.`,
		Args: exactly(1, "a run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.cancelRun(cmd.Context(), args[0], noWait)
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return as soon as the request is durable")
	return cmd
}

func (a *app) cancelRun(ctx context.Context, name string, noWait bool) error {
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
	run, err := h.run(ctx, name)
	if err != nil {
		return err
	}
	w, err := a.newWatch(h)
	if err != nil {
		return err
	}
	defer w.close()
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
		a.say("machine:  %s", h.farewell(ctx, run))
	}
	return goneLate(run)
}
