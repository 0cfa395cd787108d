package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/archive"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/spec"
)

func (a *app) planCommand() *cobra.Command {
	var prune, detailed bool
	cmd := &cobra.Command{
		Use: "plan [FILE...|DIR]", Short: "Shows what apply would change, and changes nothing",
		Long: `Shows what "dayfly apply" would change: jobs that are new (+), changed (~) with the keys that differ, and
paused or removed (-), with the next runs. Nothing is changed, and no data directory is made. Without
a FILE or DIR it looks at the current directory.

The files of a job (files:) are compared by their contents.`,
		Example: "  dayfly plan jobs/\n  dayfly plan --detailed-exitcode jobs/ || dayfly apply jobs/",
		Args:    cobra.ArbitraryArgs,
	}
	var output *string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			args = []string{"."}
		}
		p, err := a.plan(cmd.Context(), args, prune)
		if err != nil {
			return err
		}
		if *output == "json" {
			err = writeJSON(a.out, p)
		} else {
			_, err = io.WriteString(a.page(), a.planText(p))
		}
		if err = errors.Join(err, p.damaged); err == nil && detailed && len(p.Jobs) > 0 {
			return &exit{exitDiffers, nil}
		}
		return err
	}
	output = outputFlag(cmd, "text", "json")
	cmd.Flags().BoolVar(&prune, "prune", false, "plan as apply --prune does it")
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit with 3 if anything would change")
	return cmd
}

// plan is what apply would do. As JSON it is a contract: fields are only added.
type plan struct {
	Add       int       `json:"add"`
	Change    int       `json:"change"`
	Remove    int       `json:"remove"`
	Pause     int       `json:"pause"`
	Resume    int       `json:"resume"`
	Unchanged int       `json:"unchanged"`
	Jobs      []planned `json:"jobs"` // without those that stay as they are

	damaged error // names the jobs that it says nothing of
}

// planned is what would become of one job.
type planned struct {
	change
	Paused   string            `json:"paused,omitempty"` // why it makes no runs all the same
	Schedule string            `json:"schedule,omitempty"`
	Timezone string            `json:"timezone,omitempty"`
	Fields   []spec.Difference `json:"fields,omitempty"` // of a job that there is already
	Next     []nextRun         `json:"next,omitempty"`
	Clock    []string          `json:"clock,omitempty"` // what clock changes of the year to come do to times of day
}

// nextRun is an instant at which a job is due.
type nextRun struct {
	At    stamp  `json:"at"`
	Local string `json:"local"` // in the job's zone, RFC 3339

	local time.Time
}

// plannedRuns is how many runs to come are shown of a job.
const plannedRuns = 3

// plan looks at files and records and changes nothing.
func (a *app) plan(ctx context.Context, paths []string, prune bool) (plan, error) {
	p := plan{Jobs: []planned{}}
	f, err := a.faultless(paths)
	if err != nil {
		return p, err
	}
	ready, err := f.each(sealed)
	if err != nil {
		return p, err
	}
	l, err := a.look(ctx)
	if err != nil {
		return p, err
	}
	defer l.close()
	stored, damaged, err := l.jobs(ctx)
	if err != nil {
		return p, err
	}
	p.damaged = naming(damaged)
	for _, e := range reconcile.Preview(stored, f.wanted(unharmed(ready, damaged)), prune, a.now()) {
		counted := map[reconcile.Change]*int{
			reconcile.Added: &p.Add, reconcile.Changed: &p.Change, reconcile.Removed: &p.Remove,
			reconcile.Paused: &p.Pause, reconcile.Resumed: &p.Resume, reconcile.Unchanged: &p.Unchanged,
		}
		*counted[e.Change]++
		if e.Change == reconcile.Unchanged {
			continue
		}
		one, err := a.planned(ctx, l, e)
		if err != nil {
			return p, err
		}
		p.Jobs = append(p.Jobs, one)
	}
	return p, nil
}

// sealed is a job with the hash that its files would be packed under.
func sealed(j jobFile) (dayfly.Job, error) {
	job := j.file.Job
	if len(job.Files) == 0 {
		return job, nil
	}
	sum, err := archive.Pack(io.Discard, filepath.Dir(j.abs), job.Files, archive.Limits{})
	if err != nil {
		return job, fmt.Errorf("files of job %s: %w", job.Name, err)
	}
	job.FilesSHA256 = sum.SHA256
	return job, nil
}

// planned says what an effect means.
func (a *app) planned(ctx context.Context, l *looked, e reconcile.Effect) (planned, error) {
	p := planned{change: change{Job: e.Name, Change: e.Change, Source: e.Source, Why: e.Why}}
	if e.Job.Name == "" {
		return p, nil
	}
	if e.Change != reconcile.Added {
		was, err := l.store.Version(ctx, e.Record.Version)
		if err != nil {
			return p, fmt.Errorf("read job %s: %w", e.Name, err)
		}
		p.Fields = spec.Differences(was, e.Job)
		if e.Record.Source != e.Source {
			p.Why = "it was applied from " + e.Record.Source
		}
	}
	set, err := reconcile.Slots(e.Job)
	if err != nil {
		return p, err
	}
	zone, err := schedule.LoadLocation(e.Job.Timezone)
	if err != nil {
		return p, err
	}
	p.Timezone = e.Job.Timezone
	if len(e.Job.Schedules) > 0 {
		p.Schedule = set.Describe()
	}
	if held := e.Record.Held; held.Why != "" && e.Record.Pause(a.now()) == held {
		p.Paused = pauseText(held, a.now())
	}
	p.Next = nextRuns(set, zone, a.now(), plannedRuns)
	p.Clock = slices.DeleteFunc(clockAdvice(set, a.now()), func(line string) bool { return line == "" })
	return p, nil
}

// applyDry shows what apply would do.
func (a *app) applyDry(ctx context.Context, paths []string, prune bool, output string) error {
	p, err := a.plan(ctx, paths, prune)
	if err != nil {
		return err
	}
	if output == "table" || output == "wide" {
		_, err := io.WriteString(a.page(), a.planText(p))
		return err
	}
	done := make([]change, len(p.Jobs))
	for i, one := range p.Jobs {
		done[i] = one.change
	}
	return a.showChanges(output, done)
}
