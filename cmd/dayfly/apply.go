package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

func (a *app) applyCommand() *cobra.Command {
	var prune bool
	cmd := &cobra.Command{
		Use: "apply FILE...|DIR", Short: "Makes job files known, with their schedules, from now on",
		Long: `Reads job files, those named and those in a directory that is named, and makes what they say current.
Slots up to now stay with what was current before. If one file is wrong, nothing at all is applied.

A job whose file has vanished from the directory is paused; --prune removes it. Slots are made by
"dayfly serve".`,
		Args: atLeastOne("a job file or a directory"),
	}
	var output *string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.apply(cmd.Context(), args, prune, *output)
	}
	output = outputFlag(cmd)
	cmd.Flags().BoolVar(&prune, "prune", false, "remove jobs whose file has vanished, instead of pausing them")
	return cmd
}

func (a *app) apply(ctx context.Context, paths []string, prune bool, output string) error {
	f, err := findJobs(paths)
	if err != nil {
		return err
	}
	errs := []error{f.errs()}
	for _, j := range f.files {
		if j.err == nil {
			a.advise(j)
			errs = append(errs, j.served())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return &exit{exitUsage, err}
	}
	if len(f.files) == 0 {
		a.warn("there is no job file (*.yaml, *.yml) in %s", strings.Join(paths, ", "))
	}
	h, err := a.open()
	if err != nil {
		return err
	}
	ready, err := h.packAll(ctx, f)
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
		if _, err := fmt.Fprintln(a.out, clean(c.String())); err != nil {
			return err
		}
	}
	return nil
}

// packed is a job whose files are in the bucket.
type packed struct {
	job    dayfly.Job
	source string
}

// packAll packs the files of every job that could be read. The error is of all that could not be packed.
func (h *home) packAll(ctx context.Context, f found) ([]packed, error) {
	var ready []packed
	var errs []error
	for _, j := range slices.SortedFunc(slices.Values(f.files), byName) {
		if j.err != nil {
			continue
		}
		job, err := h.pack(ctx, j)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ready = append(ready, packed{job, j.abs})
	}
	return ready, errors.Join(errs...)
}

// applyAll applies jobs, and pauses or removes those whose files have vanished. A job that cannot be
// applied does not keep the others from it.
func (h *home) applyAll(ctx context.Context, f found, ready []packed, prune bool) ([]change, error) {
	loop, err := h.Loop(ctx)
	if err != nil {
		return nil, err
	}
	defer h.ring()
	var done []change
	var errs []error
	for _, p := range ready {
		c, err := loop.Apply(ctx, p.job, p.source)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		done = append(done, change{Job: p.job.Name, Change: c, Source: p.source, Why: h.stillPaused(ctx, p.job.Name, c)})
	}
	gone, err := h.vanished(ctx, f)
	if err != nil {
		return done, errors.Join(append(errs, err)...)
	}
	for _, rec := range gone {
		c, err := h.retire(ctx, rec, prune)
		if err != nil {
			errs = append(errs, err)
		} else if c.Change != reconcile.Unchanged {
			done = append(done, c)
		}
	}
	return done, errors.Join(errs...)
}

// vanished are the jobs that came from one of these files or directories and are there no more. What a
// broken file says is not known, so its jobs stay.
func (h *home) vanished(ctx context.Context, f found) ([]store.Job, error) {
	s, err := h.Store(ctx)
	if err != nil {
		return nil, err
	}
	jobs, err := s.Jobs(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the jobs: %w", err)
	}
	says := map[string]dayfly.JobName{} // what is in each file; "" where it is not known
	for _, j := range f.files {
		if says[j.abs] = ""; j.err == nil {
			says[j.abs] = j.file.Job.Name
		}
	}
	return slices.DeleteFunc(jobs, func(rec store.Job) bool {
		name, read := says[rec.Source]
		switch {
		case !rec.Scheduled:
			return true
		case read:
			return name == "" || name == rec.Name
		case !slices.Contains(f.dirs, filepath.Dir(rec.Source)):
			return true
		}
		_, err := os.Lstat(rec.Source)
		return !errors.Is(err, fs.ErrNotExist)
	}), nil
}

// retire pauses or removes a job whose file has vanished.
func (h *home) retire(ctx context.Context, rec store.Job, prune bool) (change, error) {
	c := change{Job: rec.Name, Source: rec.Source, Why: rec.Source + " does not have it any more"}
	if prune {
		c.Change = reconcile.Removed
		return c, h.loop.Remove(ctx, rec.Name)
	}
	var err error
	c.Change, err = h.loop.Vanish(ctx, rec.Name, "because "+c.Why)
	return c, err
}
