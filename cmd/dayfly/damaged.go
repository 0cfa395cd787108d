package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// damagedOnly takes an error apart that came with a list. What is damaged is said after the others were shown; with
// anything else nothing was read.
func damagedOnly(err error) (damaged []store.Damage, other error) {
	if list, ok := errors.AsType[*store.DamagedError](err); ok {
		return list.Records, nil
	}
	return nil, err
}

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
	jobs, err = s.Jobs(ctx)
	if damaged, err = damagedOnly(err); err != nil {
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

// sound leaves out the runs of a history whose records are damaged, and keeps those.
func sound(runs iter.Seq2[dayfly.Run, error], damaged *[]store.Damage) iter.Seq2[dayfly.Run, error] {
	return func(yield func(dayfly.Run, error) bool) {
		for r, err := range runs {
			if d, bad := errors.AsType[store.Damage](err); bad {
				*damaged = append(*damaged, d)
			} else if !yield(r, err) {
				return
			}
		}
	}
}
