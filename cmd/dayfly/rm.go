package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

func (a *app) rmCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rm JOB...", Short: "Removes jobs; their history stays",
		Long: `Removes jobs: they make no slots any more, and runs that have no machine yet are cancelled. Runs under
way go on to their end, and the history stays, for as long as keep in the job said last.`,
		Example: "  dayfly rm backup",
		Args:    atLeastOne("the name of a job"),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			loop, err := h.Loop(cmd.Context())
			if err != nil {
				return err
			}
			defer h.ring()
			var errs []error
			for _, name := range args {
				rec, _ := h.store.Job(cmd.Context(), dayfly.JobName(name)) // Remove says what is wrong
				err := loop.Remove(cmd.Context(), dayfly.JobName(name))
				if dayfly.ErrorCode(err) == dayfly.CodeNotFound {
					err = notFound("job", name, h.knownJobs(cmd.Context()), "dayfly ps --jobs lists the jobs")
				}
				if err == nil {
					fmt.Fprintf(a.out, "- %s removed\n", name)
					a.comesBack(rec)
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		},
	}
}

// comesBack warns of a job that was removed while its file stays where it was applied from.
func (a *app) comesBack(rec store.Job) {
	if !rec.Scheduled {
		return
	}
	if j := readJob(rec.Source, nil); j.err == nil && j.file.Job.Name == rec.Name {
		a.warn("%s still has job %s: the next dayfly apply of it, and serve --jobs %s at its start or on HUP, bring it back; remove the file first",
			rec.Source, rec.Name, filepath.Dir(rec.Source))
	}
}
