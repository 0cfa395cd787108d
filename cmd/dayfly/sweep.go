package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/term"
)

// sweepFlags are the flags of sweep.
type sweepFlags struct {
	dryRun, deadlines bool
	every             time.Duration
}

func (a *app) sweepCommand() *cobra.Command {
	var f sweepFlags
	cmd := &cobra.Command{
		Use: "sweep", Short: "Ends machines that no run answers for, or that are past their deadline", Args: none,
		Long: `Looks for machines of this installation that no run answers for. One is noted as suspect at first, and
ended by a sweep half a minute later or more that finds the same. Machines without this installation's
tag are never touched. "dayfly serve" does it every minute.

With --deadlines it ends machines whose deadline has passed, and needs nothing but their tags: neither
the store nor the bucket. With --every it goes on doing so, beside whatever else is or is not at work.`,
		Example: "  dayfly sweep --dry-run\n  dayfly sweep --deadlines --every 1s",
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case f.deadlines && f.dryRun:
				return usage(cmd, "--dry-run is for a sweep for orphans; dayfly machines shows the deadlines")
			case !f.deadlines && f.every != 0:
				return usage(cmd, "--every is for --deadlines; dayfly serve sweeps for orphans every minute")
			case f.every != 0 && f.every < 100*time.Millisecond:
				return usage(cmd, "--every is 100ms or more, not %s", f.every)
			case f.deadlines:
				return a.reap(cmd.Context(), f.every)
			}
			return a.sweep(cmd.Context(), f.dryRun)
		},
	}
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only show what would be done")
	cmd.Flags().BoolVar(&f.deadlines, "deadlines", false, "end machines past their deadline instead, by their tags alone")
	cmd.Flags().DurationVar(&f.every, "every", 0, "with --deadlines: look again after each `INTERVAL`, such as 1s, until interrupted")
	return cmd
}

func (a *app) sweep(ctx context.Context, dryRun bool) error {
	h, err := a.open()
	if err != nil {
		return err
	}
	loop, err := h.Loop(ctx)
	if err != nil {
		return err
	}
	found, err := loop.Sweep(ctx, dryRun)
	for _, f := range found {
		if _, err := fmt.Fprintf(a.page(), "%s %s: %s\n", f.Action, f.Machine.ID, term.Text(f.Why)); err != nil {
			return err
		}
	}
	if len(found) == 0 && err == nil {
		a.say("Every machine has a run that answers for it.")
	}
	return err
}

// noneOverdue says what a look at the deadlines was at that ended nothing.
func (a *app) noneOverdue(ctx context.Context, h *home, providers map[string]machine.Provider) error {
	n, soonest := 0, time.Time{}
	for name, p := range providers {
		list, err := h.list(ctx, p)
		if err != nil {
			return fmt.Errorf("list machines on %s: %w", name, err)
		}
		for _, m := range list.Machines {
			if m.Tags.Installation != h.settings.Installation || m.State == dayfly.MachineTerminated {
				continue
			}
			if n++; soonest.IsZero() || m.Tags.Deadline.Before(soonest) {
				soonest = m.Tags.Deadline
			}
		}
	}
	if n == 0 {
		a.say("There is no machine that could be past its deadline.")
		return nil
	}
	a.say("Looked at %s: none is past its deadline, and the soonest is %s.", plural(n, "machine"), instant(soonest))
	return nil
}

// reap is the layer that needs nothing but tags. It opens no store and no bucket.
func (a *app) reap(ctx context.Context, every time.Duration) error {
	h, err := a.open()
	if err != nil {
		return err
	}
	providers, err := h.Providers()
	if err != nil {
		return err
	}
	r := reconcile.Reaper{Installation: h.settings.Installation, Providers: providers, Now: a.now, Log: slog.New(slog.DiscardHandler)}
	some := false
	look := func() error {
		ended, err := r.Reap(ctx)
		some = len(ended) > 0
		for _, m := range ended {
			if _, err := fmt.Fprintf(a.page(), "ended %s: run %s, deadline %s\n", m.ID, m.Tags.Run, instant(m.Tags.Deadline)); err != nil {
				return &brokenOutput{err}
			}
		}
		return err
	}
	if every == 0 {
		if err := look(); err != nil || some {
			return err
		}
		return a.noneOverdue(ctx, h, providers)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return nil // being stopped is how it ends
		case <-timer.C:
		}
		if err := h.gone(); err != nil {
			return err
		}
		err := look()
		if _, broken := errors.AsType[*brokenOutput](err); broken {
			return err
		}
		if err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			a.warn("%s", said)
		}
		timer.Reset(every)
	}
}
