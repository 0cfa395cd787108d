package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
)

func (a *app) retryCommand() *cobra.Command {
	var f attachFlags
	var shard *string
	cmd := &cobra.Command{
		Use: "retry RUN", Short: "Runs an ended run again, as a run of its own",
		Long: `Runs an ended run again: the same slot, version of the job and parameters, as a run of its own with the
next number. It stays with it as "dayfly run" does. RUN is an id, the beginning of one, or a job: for
the run that has its machine, else its latest.

Of an array the shards that did not succeed run again: of the slot that RUN names by an id without a
shard, or of the job's latest. --shard picks one.`,
		Example: "  dayfly retry backup\n  dayfly retry frames-20261122T230000Z\n  dayfly retry frames --shard 3",
		Args:    exactly(1, "a run"),
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
			was, err := h.shardsOf(cmd.Context(), args[0], *shard)
			if err != nil {
				return err
			}
			if was, err = again(args[0], was); err != nil {
				return err
			}
			return a.attach(cmd.Context(), h, f, func(ctx context.Context) ([]dayfly.Run, error) {
				return a.retryAll(ctx, h, was)
			}, was[0].Job)
		},
	}
	f.add(cmd)
	shard = shardFlag(cmd)
	return cmd
}

// retryAll requests runs again, one after another. Where that ends early it says which go on all the same.
func (a *app) retryAll(ctx context.Context, h *home, was []dayfly.Run) (runs []dayfly.Run, err error) {
	var ids []string
	for _, r := range was {
		run, err := reconcile.Again(ctx, h.store, r.ID, a.now())
		if err != nil {
			if len(ids) > 0 {
				h.ring()
				a.say("Requested before that, and not taken back: %s.", fewOf(ids))
			}
			return nil, err
		}
		runs, ids = append(runs, run), append(ids, string(run.ID))
	}
	return runs, nil
}

// again leaves the shards of an array that may run again: those that ended, and not well. One run stays.
func again(name string, runs []dayfly.Run) ([]dayfly.Run, error) {
	if len(runs) == 1 {
		return runs, nil
	}
	ended := slices.DeleteFunc(slices.Clone(runs), func(r dayfly.Run) bool { return r.State != dayfly.Ended })
	bad := slices.DeleteFunc(slices.Clone(ended), func(r dayfly.Run) bool { return r.Outcome == dayfly.Succeeded })
	if len(bad) > 0 {
		return bad, nil
	}
	e := &dayfly.Error{
		Code: dayfly.CodeRefused, Message: fmt.Sprintf("retry %s: all its %s succeeded", name, plural(len(runs), "shard")),
		Hint: "--shard N runs one of them again",
	}
	if len(ended) < len(runs) {
		e.Message = fmt.Sprintf("retry %s: no shard of it has ended badly (%s)", name, countsOf(runs))
	}
	return nil, e
}
