package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// leftover is one of the things that a run leaves beside its record, and what was said of its removal.
type leftover struct {
	run           dayfly.Run
	what, be, was string // "the log", "is", "was"
	removed       dayfly.Removal
	term          func(dayfly.Terms) dayfly.Term
}

func logOf(run dayfly.Run) leftover {
	return leftover{run, "the log", "is", "was", run.LogsRemoved, func(t dayfly.Terms) dayfly.Term { return t.Logs }}
}

func resultsOf(run dayfly.Run) leftover {
	l := leftover{run: run, what: "the results", be: "are", was: "were", term: func(t dayfly.Terms) dayfly.Term { return t.Results }}
	rep := lastReport(run)
	if rep == nil || len(rep.Results) == 0 {
		return l // nothing was there, so nothing is gone
	}
	var bytes int64
	for _, r := range rep.Results {
		bytes += r.Size
	}
	l.what, l.removed = fmt.Sprintf("the results (%s, %s)", plural(len(rep.Results), "file"), size(bytes)), run.ResultsRemoved
	return l
}

func (l leftover) error(how string) error {
	return &dayfly.Error{
		Code: dayfly.CodeNotFound, Message: fmt.Sprintf("%s of run %s %s", l.what, l.run.ID, how),
		Hint: "keep in the job file, and in " + settingsFile + " for all jobs, says for how long what runs leave is kept",
	}
}

// gone is the error of what was removed; nil while it is there.
func (l leftover) gone() error {
	if l.removed.At.IsZero() {
		return nil
	}
	return l.error(l.was + " removed " + removal(l.removed))
}

// removal is when and by which rule something was removed.
func removal(r dayfly.Removal) string {
	return fmt.Sprintf("on %s, as %s says", r.At.UTC().Format("2006-01-02"), r.Rule)
}

// meanwhile explains that an object of a run was missing when it was read: it may have been removed since
// the record was read, or be about to. Else it is what err says.
func (h *home) meanwhile(ctx context.Context, id dayfly.RunID, of func(dayfly.Run) leftover, err error) error {
	run, rerr := h.store.Run(ctx, id)
	if errors.Is(rerr, store.ErrNotFound) {
		if gone := h.recordGone(ctx, string(id)); gone != nil {
			return gone
		}
	}
	if rerr != nil {
		return err
	}
	l := of(run)
	if gone := l.gone(); gone != nil {
		return gone
	}
	loop, lerr := h.Loop(ctx)
	if lerr != nil {
		return err
	}
	terms, terr := loop.Terms(ctx, run.Job)
	for _, t := range []dayfly.Term{l.term(terms), terms.History} {
		if terr == nil && t.Over(run.EndedAt, h.now()) {
			return l.error(l.be + " being removed, as " + t.Rule + " says")
		}
	}
	return err
}

// recordGone is the error of a run whose record was removed; nil where nothing speaks for that.
func (h *home) recordGone(ctx context.Context, name string) error {
	job, slot, _, _, err := dayfly.RunID(name).Parse()
	if err != nil {
		return nil
	}
	gone, ok, err := reconcile.GoneOf(ctx, h.store, job, h.now())
	if err != nil || !ok || slot.After(gone.Through) {
		return nil
	}
	return &dayfly.Error{
		Code: dayfly.CodeNotFound, Message: fmt.Sprintf("there is no run %s any more: %s", name, goneWords(gone)),
		Hint: fmt.Sprintf("dayfly history --job %s lists what is left", job),
	}
}

// goneWords says which records of a job were removed.
func goneWords(g reconcile.Gone) string {
	return fmt.Sprintf("records up to slot %s were removed, the last of them %s", instant(g.Through), removal(g.Removal))
}

// allGone is the error of a job whose runs were all removed; nil where it never had one.
func (h *home) allGone(ctx context.Context, job dayfly.JobName) error {
	gone, ok, err := reconcile.GoneOf(ctx, h.store, job, h.now())
	if err != nil || !ok {
		return nil
	}
	return &dayfly.Error{
		Code: dayfly.CodeNotFound, Message: fmt.Sprintf("job %s has no run any more: %s", job, goneWords(gone)),
		Hint: fmt.Sprintf("dayfly run %s runs it now", job),
	}
}

// sayGone says below a history that it does not go back to the beginning.
func (a *app) sayGone(ctx context.Context, h *home, job dayfly.JobName) error {
	if job != "" {
		gone, ok, err := reconcile.GoneOf(ctx, h.store, job, h.now())
		if ok {
			a.say("This is not all: %s.", goneWords(gone))
		}
		return err
	}
	n, err := reconcile.CountGone(ctx, h.store, h.now())
	if n > 0 {
		a.say("This is not all: older records of %s were removed, as keep.history says.", plural(n, "job"))
	}
	return err
}

// removedParts says what was removed of a run whose record is kept.
func removedParts(r dayfly.Run) string {
	var words []string
	if logOf(r).gone() != nil {
		words = append(words, "log")
	}
	if resultsOf(r).gone() != nil {
		words = append(words, "results")
	}
	return strings.Join(words, ", ")
}
