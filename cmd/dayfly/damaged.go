package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// naming is the error of a command that has done what it could beside what is damaged; nil where nothing is.
func naming(damaged []store.Damage) error {
	err := store.OrDamaged(damaged)
	if err == nil {
		return nil
	}
	return &dayfly.Error{Code: dayfly.CodeInternal, Message: strings.ReplaceAll(err.Error(), "\n", "\n  "), Hint: "dayfly doctor reads all records and says what to do", Err: err}
}

// soundJobs reads the records of all jobs, and names those that are damaged.
func soundJobs(ctx context.Context, s store.Store) (jobs []store.Job, damaged []store.Damage, err error) {
	if jobs, damaged, err = store.Readable(s.Jobs(ctx)); err != nil {
		return nil, nil, fmt.Errorf("read the jobs: %w", err)
	}
	return jobs, damaged, nil
}

// unharmed leaves out the jobs whose records are damaged: what they are now cannot be told, so nor can what a file
// would change about them.
func unharmed(ready []reconcile.Wanted, damaged []store.Damage) []reconcile.Wanted {
	if len(damaged) == 0 {
		return ready
	}
	return slices.DeleteFunc(slices.Clone(ready), func(w reconcile.Wanted) bool {
		return slices.ContainsFunc(damaged, func(d store.Damage) bool { return d.Job == w.Job.Name })
	})
}
