package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
)

func (a *app) rmCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rm JOB...", Short: "Removes jobs; their history stays",
		Long: `Removes jobs: they make no slots any more, and runs that have no machine yet are cancelled. Runs under
way go on to their end, and the history stays.`,
		Args: atLeastOne("the name of a job"),
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
				err := loop.Remove(cmd.Context(), dayfly.JobName(name))
				if dayfly.ErrorCode(err) == dayfly.CodeNotFound {
					err = notFound("job", name, h.knownJobs(cmd.Context()), "dayfly ps --jobs lists the jobs")
				}
				if err == nil {
					fmt.Fprintf(a.out, "- %s removed\n", name)
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		},
	}
}
