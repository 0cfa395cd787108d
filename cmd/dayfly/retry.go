package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
)

func (a *app) retryCommand() *cobra.Command {
	var f attachFlags
	cmd := &cobra.Command{
		Use: "retry RUN", Short: "Runs an ended run again, as a run of its own",
		Long: `Runs an ended run again: the same slot and the same version of the job, as a run of its own with the
next number. It stays with it as "dayfly run" does. RUN is an id, the beginning of one, or a job: for
the run that has its machine, else its latest.`,
		Args: exactly(1, "a run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			h, err := a.open()
			if err != nil {
				return err
			}
			if _, err := h.Loop(cmd.Context()); err != nil {
				return err
			}
			was, err := h.run(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.attach(cmd.Context(), h, f, func(ctx context.Context) (dayfly.Run, error) {
				return reconcile.Again(ctx, h.store, was.ID, a.now())
			}, was.Job)
		},
	}
	f.add(cmd)
	return cmd
}
