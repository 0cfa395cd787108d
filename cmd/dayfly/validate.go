package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly/internal/spec"
)

func (a *app) validateCommand() *cobra.Command {
	format := "text"
	cmd := &cobra.Command{
		Use: "validate FILE...|DIR", Short: "Says what is wrong with job files, all of it at once",
		Long: `Reads job files, those named and those in a directory that is named, and shows every error of every
file with its place and what to write instead. Nothing is changed. Keys that are right and that this
build does not serve are warnings here; apply refuses them.`,
		Example: "  dayfly validate jobs/\n  dayfly validate backup.yaml --format github",
		Args:    atLeastOne("a job file or a directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.validate(args, format)
		},
	}
	choice{words: spec.Formats(), value: &format}.add(cmd, "format", "", "the `FORM` of what is found: "+strings.Join(spec.Formats(), ", "))
	return cmd
}

func (a *app) validate(paths []string, format string) error {
	f, err := findJobs(paths)
	if err != nil {
		return err
	}
	if len(f.files) == 0 {
		a.warn("there is no job file (*.yaml, *.yml) in %s", strings.Join(paths, ", "))
	}
	var all []*spec.Error
	var others []error
	wrong := false
	for _, j := range f.files {
		err := j.err
		if err == nil {
			all = append(all, j.warnings(a.now())...)
			if format == "text" {
				fmt.Fprintf(a.page(), "%s: job %s is right%s\n", j.path, j.file.Job.Name, inBrackets(shapeOf(j.file.Job)))
			}
			continue
		}
		wrong = true
		in, out := split(err)
		all, others = append(all, in...), append(others, out...)
	}
	to := a.out
	if format == "text" {
		to = a.err
	}
	if err := spec.Render(to, format, all); err != nil {
		return fmt.Errorf("write what was found: %w", err)
	}
	if wrong {
		return &exit{exitUsage, errors.Join(others...)}
	}
	return nil
}

// inBrackets is what else there is to say at the end of a line.
func inBrackets(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

// warnings are what may not be meant so, and what this build does not serve.
func (j jobFile) warnings(now time.Time) []*spec.Error {
	all := append(j.advice(now), j.clockWarnings(now)...)
	for _, e := range j.file.Unserved() {
		w := *e
		w.Warning = true
		all = append(all, &w)
	}
	return all
}

// split takes errors apart into those with a place in a file and others.
func split(err error) (in []*spec.Error, out []error) {
	if e, ok := err.(*exit); ok {
		err = e.err
	}
	for _, e := range flatten(err) {
		if list, ok := errors.AsType[*spec.Errors](e); ok {
			in = append(in, list.List...)
			if list.More > 0 {
				out = append(out, moreErrors(list))
			}
		} else if line, ok := errors.AsType[*spec.Error](e); ok {
			in = append(in, line)
		} else {
			out = append(out, e)
		}
	}
	return in, out
}
