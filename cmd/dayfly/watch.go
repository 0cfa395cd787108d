package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bell"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

const (
	// lookEvery is how long a watcher waits for the bell at most.
	lookEvery = time.Second
	// patience is how long a watcher bears that it cannot read.
	patience = 30 * time.Second
	// overdue is how long after its deadline a machine must have been observed gone.
	overdue = 5 * time.Minute
)

// watch follows one run. While no daemon acts it makes the passes over it.
type watch struct {
	a    *app
	home *home
	id   dayfly.RunID
	own  bool // this command asked for the run
	bell *bell.Waiter
	view *checklist // nil: nothing is shown
	logs *logs      // nil: no log is shown

	waits    dayfly.JobName // the run's job while it waits for other runs, as it was seen last; else empty
	badSince time.Time
	said     string
}

// newWatch begins to listen, which must come before what shall be heard.
func (a *app) newWatch(h *home) (*watch, error) {
	l, err := bell.Listen(h.path("bell"))
	if err != nil {
		return nil, fmt.Errorf("listen for the bell: %w", err)
	}
	return &watch{a: a, home: h, bell: l}, nil
}

func (w *watch) close() { _ = w.bell.Close() }

// glimpse is a run as it was seen at one time.
type glimpse struct {
	run     dayfly.Run
	machine *dayfly.Machine // nil: not listed
	next    time.Time       // when to look again if nothing rings
}

// until turns until the run is as it should be, ctx ends, the data directory is gone, or nothing can be
// read for too long.
func (w *watch) until(ctx context.Context, enough func(glimpse) bool) (run dayfly.Run, err error) {
	err = w.loop(ctx, func() (next time.Time, done bool, err error) {
		g, err := w.turn(ctx)
		run = g.run
		return g.next, err == nil && enough(g), err
	}, func() error { return w.notGone(run) })
	return run, err
}

// judgedFor is how long the one who asked waits for a daemon's first word on his run.
const judgedFor = 2 * time.Second

// untilJudged waits for the daemon's first word on a run beside others of its job, which may be that it is skipped.
func (w *watch) untilJudged(ctx context.Context, run dayfly.Run) (dayfly.Run, error) {
	bounded, stop := context.WithTimeout(ctx, judgedFor)
	defer stop()
	seen, err := w.until(bounded, func(g glimpse) bool { return g.run.State != dayfly.Due || g.run.Reason != "" })
	if bounded.Err() != nil && ctx.Err() == nil {
		return run, nil // it is recorded all the same
	}
	return seen, err
}

// loop calls turn until it is done, ctx ends, the data directory is gone, or nothing can be read for too
// long: when the bell rings, when turn says, and once a second. What check finds in what was seen ends it.
func (w *watch) loop(ctx context.Context, turn func() (next time.Time, done bool, err error), check func() error) error {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	for {
		next, done, err := turn()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := w.home.gone(); err != nil { // what was seen is of no worth
			return err
		}
		if err := w.bear(err); err != nil || done {
			return err
		}
		if err == nil {
			if err := check(); err != nil {
				return err
			}
		}
		wait := lookEvery
		if !next.IsZero() {
			wait = min(lookEvery, max(10*time.Millisecond, next.Sub(w.a.now())))
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.bell.C():
		case <-timer.C:
		}
	}
}

// turn acts if nobody else does, looks, and shows what has changed.
func (w *watch) turn(ctx context.Context) (g glimpse, err error) {
	if err := w.home.gone(); err != nil { // before anything is made or said in its name
		return g, err
	}
	held, err := w.home.daemon()
	if err != nil {
		return g, err
	}
	if !held {
		g.next = w.act(ctx)
	}
	if g.run, err = w.home.store.Run(ctx, w.id); err != nil {
		return g, fmt.Errorf("read run %s: %w", w.id, err)
	}
	if w.waits = ""; g.run.State == dayfly.Due && len(g.run.Attempts) == 0 {
		w.waits = g.run.Job
	}
	g.machine = w.home.machineOf(ctx, g.run)
	if w.view != nil {
		w.view.begins(g.run, g.machine) // a job begins before its log, and ends after it
	}
	if w.logs != nil {
		err = w.logs.poll(ctx, g.run)
	}
	if w.view != nil {
		w.view.update(g.run, g.machine)
	}
	return g, err
}

// act makes a pass over the run. While it waits, it may be for runs that nobody else sees to their end:
// those are looked after first, and those of its job that came before it are launched.
func (w *watch) act(ctx context.Context) (next time.Time) {
	return w.actOn(ctx, reconcile.Scope{Scope: store.Scope{Run: w.id}, Own: w.own})
}

func (w *watch) actOn(ctx context.Context, of reconcile.Scope) (next time.Time) {
	scopes := []reconcile.Scope{of}
	if w.waits != "" {
		scopes = []reconcile.Scope{{Glance: true}, {Scope: store.Scope{Job: w.waits}}, of}
	}
	for _, s := range scopes {
		sum, err := w.home.loop.Pass(ctx, s)
		if err != nil && ctx.Err() == nil {
			w.sayOnce(err)
		}
		w.home.ringIf(sum)
		if next.IsZero() || (!sum.Next.IsZero() && sum.Next.Before(next)) {
			next = sum.Next
		}
	}
	return next
}

// bear says an error and lets it pass, until there were nothing but errors for too long.
func (w *watch) bear(err error) error {
	if err == nil {
		w.badSince = time.Time{}
		return nil
	}
	if _, ok := errors.AsType[*brokenOutput](err); ok {
		return err
	}
	if w.badSince.IsZero() {
		w.badSince = w.a.now()
	}
	if w.a.now().Sub(w.badSince) > patience {
		return err
	}
	w.sayOnce(err)
	return nil
}

func (w *watch) sayOnce(err error) {
	if text := err.Error(); text != w.said {
		w.said = text
		if w.view != nil {
			w.view.settle()
		}
		w.a.bearable("", err)
	}
}

// notGone is the error of a machine that should have been observed gone long ago.
func (w *watch) notGone(r dayfly.Run) error {
	a := r.Attempt()
	if a == nil || r.State == dayfly.Ended || r.State == dayfly.Due || !a.GoneAt.IsZero() || w.a.now().Before(a.Deadline.Add(overdue)) {
		return nil
	}
	return stillThere(r, *a)
}

// goneLate is that error of an ended run, whichever of its machines it was.
func goneLate(r dayfly.Run) error {
	for _, a := range r.Attempts {
		if !neverWas(a) && a.GoneAt.After(a.Deadline.Add(overdue)) {
			return stillThere(r, a)
		}
	}
	return nil
}

func stillThere(r dayfly.Run, a dayfly.Attempt) error {
	return &exit{exitNotGone, &dayfly.Error{
		Code:    dayfly.CodeInternal,
		Message: fmt.Sprintf("machine %s of run %s could not be observed gone by %s, its deadline and 5 minutes", a.Machine, r.ID, instant(a.Deadline.Add(overdue))),
		Hint:    "dayfly machines shows what is there; dayfly sweep --deadlines ends what is past its deadline",
	}}
}

// machineOf finds the machine of a run's last attempt in its provider's list, as far as it can be had.
func (h *home) machineOf(ctx context.Context, r dayfly.Run) *dayfly.Machine {
	a := r.Attempt()
	if a == nil || r.State == dayfly.Due || r.State == dayfly.Ended {
		return nil
	}
	p, ok := h.loop.Providers[a.Provider]
	if !ok {
		return nil
	}
	list, _ := h.list(ctx, p) // what can be seen counts; the pass says what cannot
	for i, m := range list.Machines {
		if m.Tags.Installation == h.settings.Installation && m.Tags.Token == a.Token {
			return &list.Machines[i]
		}
	}
	return nil
}

func (h *home) list(ctx context.Context, p machine.Provider) (machine.Listing, error) {
	ctx, cancel := context.WithTimeout(ctx, reconcile.CallFor)
	defer cancel()
	return p.List(ctx)
}

// ended tells whether a run is over.
func ended(g glimpse) bool { return g.run.State == dayfly.Ended }

// up tells whether somebody need not wait any more for the machine to be observed running.
func up(g glimpse) bool {
	if ended(g) {
		return true
	}
	a := g.run.Attempt()
	if a == nil || g.run.State == dayfly.Due || g.run.State == dayfly.Launching {
		return false
	}
	return !a.StartedAt.IsZero() || (g.machine != nil && g.machine.State == dayfly.MachineRunning)
}
