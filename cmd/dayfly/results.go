package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
)

func (a *app) resultsCommand() *cobra.Command {
	var to string
	var force bool
	var shard *string
	cmd := &cobra.Command{
		Use: "results RUN|JOB", Short: "Lists the results of a run, or copies them out",
		Long: `Lists what a run left in its results directory; of a job, the run that has its
machine, else the latest. With --to the files are copied into a directory, each
checked against its SHA-256: never outside that directory, and never over a file
that differs. RUN may be the beginning of an id; --shard picks a run of an array.`,
		Example: "  dayfly results backup\n  dayfly results frames --shard 3 --to out",
		Args:    exactly(1, "a run or a job"),
	}
	var output *string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if force && to == "" {
			return usage(cmd, "--force is for --to DIR")
		}
		return a.results(cmd.Context(), args[0], *shard, to, force, *output)
	}
	output = outputFlag(cmd)
	shard = shardFlag(cmd)
	cmd.Flags().StringVar(&to, "to", "", "copy the files into this `DIR`ectory, which is made when it is missing")
	cmd.Flags().BoolVar(&force, "force", false, "with --to: replace files that differ")
	return cmd
}

func (a *app) results(ctx context.Context, name, shard, to string, force bool, output string) error {
	h, err := a.openAndGlance(ctx)
	if err != nil {
		return err
	}
	run, err := h.oneOf(ctx, name, shard)
	if err != nil {
		return err
	}
	a.oneOfMany(run, name, shard)
	rep := lastReport(run)
	if rep == nil {
		return noResults(run)
	}
	if err := resultsOf(run).gone(); err != nil {
		return err
	}
	results := slices.SortedFunc(slices.Values(rep.Results), func(x, y dayfly.Result) int { return cmp.Compare(x.Name, y.Name) })
	if to == "" {
		return resultList.show(a, output, allOf(results))
	}
	b, err := h.Bucket()
	if err != nil {
		return err
	}
	n, err := copyOut(ctx, b, results, to, force)
	if errors.Is(err, bucket.ErrNotFound) {
		err = h.meanwhile(ctx, run.ID, resultsOf, err)
	}
	if err != nil {
		return err
	}
	a.say("%s copied to %s, %s there already", plural(n, "file"), clean(to), plural(len(results)-n, "file"))
	return nil
}

var resultList = listing[dayfly.Result]{
	columns: []column[dayfly.Result]{
		{head: "NAME", fit: middle, cell: func(r dayfly.Result) string { return r.Name }},
		{head: "SIZE", cell: func(r dayfly.Result) string { return size(r.Size) }},
		{head: "SHA-256", fit: short | spare, cell: func(r dayfly.Result) string { return r.SHA256 }},
		{head: "MODE", wide: true, cell: func(r dayfly.Result) string { return fmt.Sprintf("%04o", r.Mode) }},
		{head: "KEY", wide: true, cell: func(r dayfly.Result) string { return r.Key }},
	},
	name:  func(r dayfly.Result) string { return r.Name },
	empty: "The run left no results.",
}

// lastReport is the report of the last attempt that has one.
func lastReport(run dayfly.Run) *dayfly.Report {
	for _, a := range slices.Backward(run.Attempts) {
		if a.Report != nil {
			return a.Report
		}
	}
	return nil
}

func noResults(run dayfly.Run) error {
	if run.State == dayfly.Ended {
		return &dayfly.Error{Code: dayfly.CodeNotFound, Message: fmt.Sprintf("run %s has no results: %s", run.ID, cmp.Or(run.Reason, stateText(run))), Hint: "dayfly retry " + string(run.ID) + " runs it again; dayfly history -o wide shows why runs ended"}
	}
	return &dayfly.Error{
		Code: dayfly.CodeBusy, Message: fmt.Sprintf("run %s is %s; results are there when they are saved and verified", run.ID, stateText(run)),
		Hint: "dayfly logs -f " + string(run.ID) + " waits for its end",
	}
}
