package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

func (a *app) runCommand() *cobra.Command {
	var f attachFlags
	var w wishFlags
	cmd := &cobra.Command{
		Use: "run FILE|JOB", Short: "Runs a job now, shows its phases and log, and ends with its outcome",
		Long: `Runs a job now, on a machine of its own, and stays with it: the phases on stderr, the log as it is
written on stdout, and at the end the outcome, as the exit code too. A file is run as it is; it need not
have been applied, and running it gives it no schedule.

Of an array all shards run, as many at once as it says, and instead of the logs there is one summary; the
exit code is that of the worst: failed, timed out, lost, refused, cancelled, missed or skipped, in this
order. --shard runs one, as any other job.

Ctrl-C detaches: the run goes on, and its machine ends by its deadline at the latest.`,
		Example: "  dayfly run backup.yaml\n  dayfly run pi --param digits=5000 --param mode=fast\n  dayfly run frames --shard 3",
		Args:    exactly(1, "a job or a job file"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.run(cmd, args[0], f, w) },
	}
	f.add(cmd)
	w.add(a, cmd)
	return cmd
}

func (a *app) run(cmd *cobra.Command, name string, f attachFlags, wf wishFlags) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	ctx := cmd.Context()
	h, err := a.open()
	if err != nil {
		return err
	}
	var wish reconcile.Wish
	job, err := a.jobToRun(ctx, h, name, func(job dayfly.Job) (err error) {
		wish, err = wf.wish(cmd, job)
		return err
	})
	if err != nil {
		return err
	}
	a.despitePause(ctx, h, job.Name)
	return a.attach(ctx, h, f, func(ctx context.Context) ([]dayfly.Run, error) {
		return reconcile.Request(ctx, h.store, job, wish, a.now())
	}, job.Name)
}

// jobToRun gives the job that shall run, with its files packed and its name known, unless it is not allowed.
func (a *app) jobToRun(ctx context.Context, h *home, name string, allowed func(dayfly.Job) error) (dayfly.Job, error) {
	if _, err := h.Loop(ctx); err != nil {
		return dayfly.Job{}, err
	}
	if !namesFile(name) {
		rec, err := h.job(ctx, name)
		if err != nil {
			return dayfly.Job{}, err
		}
		job, err := h.store.Version(ctx, rec.Version)
		if err != nil {
			return job, fmt.Errorf("read job %s: %w", name, err)
		}
		return job, allowed(job)
	}
	j := readWhole(name)
	if j.err != nil {
		return dayfly.Job{}, j.err
	}
	a.advise(j)
	if err := j.served(); err != nil {
		return dayfly.Job{}, err
	}
	if err := allowed(j.file.Job); err != nil {
		return dayfly.Job{}, err
	}
	job, err := h.pack(ctx, j)
	if err != nil {
		return job, err
	}
	return job, h.introduce(ctx, job, j.abs)
}

// introduce makes a job known that was not applied: without a schedule. One that was stays as it is.
func (h *home) introduce(ctx context.Context, job dayfly.Job, source string) error {
	if err := h.store.PutVersion(ctx, job); err != nil {
		return fmt.Errorf("store job %s: %w", job.Name, err)
	}
	for {
		rec, err := h.store.Job(ctx, job.Name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("read job %s: %w", job.Name, err)
		}
		if rec.Scheduled || (rec.Version == job.Version() && rec.Source == source) {
			return nil
		}
		rec.Name, rec.Version, rec.Source, rec.AppliedAt = job.Name, job.Version(), source, h.now().UTC()
		if _, err = h.store.PutJob(ctx, rec); !errors.Is(err, store.ErrStale) {
			return err
		}
	}
}
