package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// filler follows a backfill. While no daemon acts it makes the passes over it.
type filler struct {
	*many
	fill reconcile.Filling // as it was seen last
	seen int               // so many of its slots were looked at
	at   map[dayfly.RunID]int
}

func (a *app) newFiller(ctx context.Context, w *watch, id dayfly.BackfillID) (*filler, error) {
	w.own = true
	of := reconcile.Scope{Scope: store.Scope{Job: id.Job()}, Fill: id, Own: true}
	f := &filler{many: &many{watch: w, of: of, view: a.newTally()}, at: map[dayfly.RunID]int{}}
	f.fill.ID, f.look = id, f.lookAround
	if err := f.read(ctx); err != nil {
		return nil, err
	}
	if err := f.scan(ctx); err != nil {
		return nil, err
	}
	f.view.named, f.view.of, f.seen = slotName, f.fill.Count(), f.fill.Done
	f.view.ended = map[dayfly.RunID]bool{}
	for _, r := range f.runs { // what was over before is no news
		if r.State == dayfly.Ended {
			f.view.ended[r.ID] = true
		}
	}
	return f, nil
}

// slotName names the run of a backfill in a line.
func slotName(r dayfly.Run) string {
	name := "slot " + instant(r.Slot)
	if r.Shard != "" {
		name += " shard " + string(r.Shard)
	}
	return name
}

// read reads how far the backfill is.
func (f *filler) read(ctx context.Context) error {
	all, err := reconcile.Fillings(ctx, f.home.store, f.of.Job, f.a.now())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(is reconcile.Filling) bool { return is.ID == f.of.Fill })
	if i < 0 {
		return fmt.Errorf("read backfill %s: %w", f.of.Fill, store.ErrNotFound)
	}
	f.fill = all[i]
	return nil
}

// scan reads all its runs anew.
func (f *filler) scan(ctx context.Context) error {
	first, last := f.fill.Span()
	f.runs, f.at = nil, map[dayfly.RunID]int{}
	return f.between(ctx, first, last)
}

// between takes up its runs of slots.
func (f *filler) between(ctx context.Context, first, last time.Time) error {
	for r, err := range store.Sound(f.home.store.History(ctx, store.Filter{Job: f.of.Job, Backfill: f.of.Fill, Since: first, Until: last, Oldest: true}), nil) {
		if err != nil {
			return fmt.Errorf("read the runs of backfill %s: %w", f.of.Fill, err)
		}
		f.take(r)
	}
	return nil
}

// take takes up a run, without what is large and not needed.
func (f *filler) take(r dayfly.Run) {
	r = r.Clone()
	for i := range r.Attempts {
		r.Attempts[i].Request = nil
	}
	if i, ok := f.at[r.ID]; ok {
		f.runs[i] = r
		return
	}
	f.at[r.ID] = len(f.runs)
	f.runs = append(f.runs, r)
}

// lookAround reads what is under way, and what came and went since the last look.
func (f *filler) lookAround(ctx context.Context) error {
	if err := f.read(ctx); err != nil {
		return err
	}
	active, err := f.home.store.ActiveRuns(ctx, store.Scope{Job: f.of.Job})
	if err != nil {
		return fmt.Errorf("read active runs: %w", err)
	}
	now := map[dayfly.RunID]bool{}
	for _, r := range active {
		if r.Backfill == f.of.Fill {
			now[r.ID] = true
			f.take(r)
		}
	}
	for ; f.seen < f.fill.Done; f.seen++ {
		slot := f.fill.Slot(f.seen)
		if err := f.between(ctx, slot, slot); err != nil {
			return err
		}
	}
	for _, r := range slices.Clone(f.runs) {
		if r.State == dayfly.Ended || now[r.ID] {
			continue
		}
		is, err := f.home.store.Run(ctx, r.ID)
		if err != nil {
			return fmt.Errorf("read run %s: %w", r.ID, err)
		}
		f.take(is)
	}
	return nil
}

// over tells whether the backfill is.
func (f *filler) over() bool { return !f.fill.EndedAt.IsZero() }

// stayWithFill follows a backfill to its end, or until an interrupt.
func (a *app) stayWithFill(ctx context.Context, w *watch, id dayfly.BackfillID, flags backfillFlags) error {
	f, err := a.newFiller(ctx, w, id)
	if err != nil {
		return err
	}
	err = f.until(ctx, f.over)
	f.view.clear()
	switch {
	case ctx.Err() != nil:
		return f.detached(ctx)
	case errors.Is(err, errHomeGone):
		return err
	case err != nil:
		a.say("The backfill goes on: dayfly backfill %s --follow stays with it.", id)
		return err
	}
	if err := f.scan(ctx); err != nil {
		return err
	}
	if err := a.showFill(ctx, w.home, id, flags.output); err != nil {
		return err
	}
	f.sumFill(ctx)
	if err := f.exit(attachFlags{exitCode: "outcome"}); err != nil || f.fill.CancelAt.IsZero() {
		return err
	}
	return &exit{code: exitCanceled}
}

// detached says what Ctrl-C left, and how to end it.
func (f *filler) detached(ctx context.Context) error {
	if err := f.home.gone(); err != nil {
		return &exit{exitInterrupted, err}
	}
	if err := f.look(context.WithoutCancel(ctx)); err != nil {
		f.a.bearable("what follows may be out of date: ", err)
	}
	f.a.say("Detached from backfill %s: %s of %s begun.", f.fill.ID, number(f.fill.Done), plural(f.fill.Count(), "slot"))
	f.a.say("%s", f.bounds())
	if held, _ := f.home.daemon(); !held {
		f.a.say("No daemon is at work here: what is left waits for dayfly backfill %s --follow, or dayfly serve.", f.fill.ID)
	}
	f.a.say("dayfly backfill %s --cancel ends it.", f.fill.ID)
	return &exit{code: exitInterrupted}
}

// sumFill says how a backfill went, and of the slots that did not succeed what came of each.
func (f *filler) sumFill(ctx context.Context) {
	head := fmt.Sprintf("%s in %s", plural(f.fill.Count(), "slot"), took(f.fill.EndedAt.Sub(f.fill.CreatedAt)))
	if !f.fill.CancelAt.IsZero() {
		head = fmt.Sprintf("cancelled after %s of %s", number(f.fill.Done), plural(f.fill.Count(), "slot"))
	}
	if counts := countsOf(f.runs); counts != "" {
		head += ": " + counts
	}
	f.a.say("%s", head)
	shown := 0
	for _, r := range f.runs {
		if r.Outcome == dayfly.Succeeded {
			continue
		}
		if shown == shownResults {
			f.a.say("  and others; dayfly history --backfill %s shows all", f.fill.ID)
			break
		}
		f.a.say("  %s", f.view.said(r))
		shown++
	}
	if len(f.runs) > 0 {
		f.a.say("machines: %s", f.farewell(ctx))
	}
}

// followBackfill is --follow.
func (a *app) followBackfill(ctx context.Context, name string, flags backfillFlags) error {
	w, is, err := a.openFill(ctx, name)
	if err != nil {
		return err
	}
	defer w.close()
	if is.EndedAt.IsZero() {
		if _, err := a.makeRoom(ctx, w.home, is.Job); err != nil {
			return err
		}
	}
	return a.stayWithFill(ctx, w, is.ID, flags)
}

func (a *app) openFill(ctx context.Context, name string) (*watch, reconcile.Filling, error) {
	h, err := a.open()
	if err != nil {
		return nil, reconcile.Filling{}, err
	}
	if _, err := h.Loop(ctx); err != nil {
		return nil, reconcile.Filling{}, err
	}
	is, err := h.fillNamed(ctx, name)
	if err != nil {
		return nil, is, err
	}
	w, err := a.newWatch(h)
	return w, is, err
}

// cancelBackfill is --cancel: it makes no more runs, and those under way end.
func (a *app) cancelBackfill(ctx context.Context, name string, flags backfillFlags) error {
	w, is, err := a.openFill(ctx, name)
	if err != nil {
		return err
	}
	defer w.close()
	if err := reconcile.CancelFill(context.WithoutCancel(ctx), w.home.store, is.ID, "dayfly backfill --cancel", a.now()); err != nil {
		return err
	}
	w.home.ring()
	a.say("Cancelling backfill %s.", is.ID)
	if flags.detach {
		if held, _ := w.home.daemon(); !held {
			a.say("No daemon is at work here: what is under way ends with dayfly serve, or dayfly backfill %s --follow.", is.ID)
		}
		return a.showFill(ctx, w.home, is.ID, flags.output)
	}
	f, err := a.newFiller(ctx, w, is.ID)
	if err != nil {
		return err
	}
	err = f.until(ctx, f.over)
	f.view.clear()
	if ctx.Err() != nil {
		return f.detached(ctx)
	}
	if err != nil {
		return err
	}
	if err := f.scan(ctx); err != nil {
		return err
	}
	f.sumFill(ctx)
	for _, r := range f.runs {
		if err := goneLate(r); err != nil {
			return err
		}
	}
	return a.showFill(ctx, w.home, is.ID, flags.output)
}
