package main

import (
	"errors"
	"iter"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// damagedOnly takes an error apart that came with a list. What is damaged is said after the others were shown; with
// anything else nothing was read.
func damagedOnly(err error) (damaged, other error) {
	list, ok := errors.AsType[*store.DamagedError](err)
	if !ok {
		return nil, err
	}
	return &dayfly.Error{Code: dayfly.CodeInternal, Message: list.Error(), Hint: "dayfly doctor reads all records and says what to do", Err: err}, nil
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
