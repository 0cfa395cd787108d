package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

func (a *app) applyCommand() *cobra.Command {
	var prune, dry bool
	cmd := &cobra.Command{
		Use: "apply FILE...|DIR", Short: "Makes job files known, with their schedules, from now on",
		Long: `Reads job files, those named and those in a directory that is named, and makes what they say current.
Slots up to now stay with what was current before. If one file is wrong, nothing at all is applied.

A job whose file has vanished from the directory is paused; --prune removes it. Slots are made by
"dayfly serve".`,
		Example: "  dayfly apply --dry-run jobs/\n  dayfly apply jobs/",
		Args:    atLeastOne("a job file or a directory"),
	}
	var output *string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if dry {
			return a.applyDry(cmd.Context(), args, prune, *output)
		}
		return a.apply(cmd.Context(), args, prune, *output)
	}
	output = outputFlag(cmd)
	cmd.Flags().BoolVar(&prune, "prune", false, "remove jobs whose file has vanished, instead of pausing them")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "change nothing, and show what would be done, as dayfly plan does")
	return cmd
}

// faultless reads the job files that shall be applied. One that is wrong is an error of the whole.
func (a *app) faultless(paths []string) (found, error) {
	f, err := findJobs(paths)
	if err != nil {
		return f, err
	}
	errs := []error{f.errs()}
	for _, j := range f.files {
		if j.err == nil {
			a.advise(j)
			errs = append(errs, j.served())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return f, &exit{exitUsage, err}
	}
	if len(f.files) == 0 {
		a.warn("there is no job file (*.yaml, *.yml) in %s", strings.Join(paths, ", "))
	}
	return f, nil
}

func (a *app) apply(ctx context.Context, paths []string, prune bool, output string) error {
	f, err := a.faultless(paths)
	if err != nil {
		return err
	}
	h, err := a.open()
	if err != nil {
		return err
	}
	ready, err := f.each(func(j jobFile) (dayfly.Job, error) { return h.pack(ctx, j) })
	if err != nil {
		return err
	}
	done, err := h.applyAll(ctx, f, ready, prune)
	if err := errors.Join(a.showChanges(output, done), err); err != nil {
		return err
	}
	a.unkept(h, output, slices.ContainsFunc(f.files, func(j jobFile) bool { return !j.spent(a.now()) }))
	return nil
}

// advise says what is allowed in a file and may not be what was meant.
func (a *app) advise(j jobFile) {
	for _, w := range j.advice(a.now()) {
		printOne(a.err, w)
	}
}

// change is what applying did to one job.
type change struct {
	Job    dayfly.JobName   `json:"job"`
	Change reconcile.Change `json:"change"`
	Source string           `json:"source"`
	Why    string           `json:"why,omitempty"`
}

// sign shows a change in one character.
func (c change) sign() string {
	switch c.Change {
	case reconcile.Added, reconcile.Resumed:
		return "+"
	case reconcile.Removed, reconcile.Paused:
		return "-"
	case reconcile.Unchanged:
		return "="
	}
	return "~"
}

func (c change) String() string {
	text := fmt.Sprintf("%s %s %s", c.sign(), c.Job, c.Change)
	if c.Why != "" {
		text += ": " + c.Why
	}
	return text
}

func (a *app) showChanges(output string, done []change) error {
	if output != "table" {
		l := listing[change]{
			columns: []column[change]{
				{head: "", cell: change.sign},
				{head: "JOB", cell: func(c change) string { return string(c.Job) }},
				{head: "CHANGE", cell: func(c change) string { return string(c.Change) }},
				{head: "FILE", cell: func(c change) string { return c.Source }},
				{head: "WHY", cell: func(c change) string { return c.Why }},
			},
			name: func(c change) string { return string(c.Job) }, empty: "Nothing to apply.",
		}
		return l.show(a, output, allOf(done))
	}
	for _, c := range done {
		if _, err := fmt.Fprintln(a.page(), clean(c.String())); err != nil {
			return err
		}
	}
	return nil
}

// each makes a job of every file that could be read, by name, with what pack says of its files. The error is of
// all that could not be packed.
func (f found) each(pack func(jobFile) (dayfly.Job, error)) ([]reconcile.Wanted, error) {
	var ready []reconcile.Wanted
	var errs []error
	for _, j := range slices.SortedFunc(slices.Values(f.files), byName) {
		if j.err != nil {
			continue
		}
		job, err := pack(j)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ready = append(ready, reconcile.Wanted{Job: job, Source: j.abs})
	}
	return ready, errors.Join(errs...)
}

// wanted is what was found, for reconcile.Preview.
func (f found) wanted(ready []reconcile.Wanted) reconcile.Files {
	w := reconcile.Files{Jobs: ready, Says: map[string]dayfly.JobName{}, Dirs: f.dirs, Missing: isMissing}
	for _, j := range f.files {
		if w.Says[j.abs] = ""; j.err == nil {
			w.Says[j.abs] = j.file.Job.Name
		}
	}
	return w
}

func isMissing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// applyAll applies jobs, and pauses or removes those whose files have vanished. A job that cannot be
// applied does not keep the others from it.
func (h *home) applyAll(ctx context.Context, f found, ready []reconcile.Wanted, prune bool) ([]change, error) {
	loop, err := h.Loop(ctx)
	if err != nil {
		return nil, err
	}
	stored, broken, err := soundJobs(ctx, loop.Store)
	if err != nil {
		return nil, err
	}
	defer h.ring()
	effects := reconcile.Preview(stored, f.wanted(unharmed(ready, broken)), prune, h.now())
	all, errs := make([]change, len(effects)), make([]error, len(effects))
	mended, mendErr := h.mend(ctx, effects)
	var work errgroup.Group
	work.SetLimit(applyAtOnce)
	for i := range effects {
		work.Go(func() error {
			all[i], errs[i] = h.carryOut(ctx, effects[i])
			if mended[effects[i].Name] {
				all[i].Change, all[i].Why = reconcile.Changed, "its version was damaged, and is whole again"
			}
			return nil // one that fails does not stop the others
		})
	}
	_ = work.Wait()
	var done []change
	for i, c := range all {
		if errs[i] == nil {
			done = append(done, c)
		}
	}
	return done, errors.Join(append(errs, h.forgetWrong(ctx, done), mendErr, naming(broken))...)
}

// applyAtOnce is how many jobs are stored at the same time: the store does in one go what waits beside one another.
const applyAtOnce = 64

// mend stores anew the versions that are damaged, of jobs whose files say what they said before.
func (h *home) mend(ctx context.Context, effects []reconcile.Effect) (map[dayfly.JobName]bool, error) {
	mended := map[dayfly.JobName]bool{}
	same := slices.DeleteFunc(slices.Clone(effects), func(e reconcile.Effect) bool { return e.Change != reconcile.Unchanged })
	for some := range slices.Chunk(same, applyAtOnce) {
		names := make([]string, len(some))
		for i, e := range some {
			names[i] = e.Record.Version
		}
		_, err := h.store.Versions(ctx, names)
		_, damaged, err := store.Readable(names, err)
		if err != nil {
			return mended, err
		}
		for _, e := range some {
			if slices.ContainsFunc(damaged, func(d store.Damage) bool { return d.ID == e.Record.Version }) {
				if err := h.store.PutVersion(ctx, e.Job); err != nil {
					return mended, err
				}
				mended[e.Name] = true
			}
		}
	}
	return mended, nil
}

// carryOut does what a preview says of one job. Somebody else may have done so in the meantime.
func (h *home) carryOut(ctx context.Context, e reconcile.Effect) (c change, err error) {
	c = change{Job: e.Name, Change: e.Change, Source: e.Source, Why: e.Why}
	switch e.Change {
	case reconcile.Unchanged:
	case reconcile.Removed:
		err = h.loop.Remove(ctx, e.Name)
	case reconcile.Paused:
		c.Change, err = h.loop.Vanish(ctx, e.Name, "because "+e.Why)
	default:
		c.Change, err = h.loop.Apply(ctx, e.Job, e.Source)
		c.Why = h.stillPaused(ctx, e.Name, c.Change)
	}
	return c, err
}
