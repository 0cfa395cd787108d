package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/term"
)

// many follows runs together: the shards of an array, or those of a backfill.
type many struct {
	*watch
	of   reconcile.Scope
	runs []dayfly.Run                // as they were seen last, in their order
	look func(context.Context) error // sees them anew
	view *tally
}

// attachMany stays with the runs of a request, and sums them up.
func (a *app) attachMany(ctx context.Context, h *home, w *watch, f attachFlags, runs []dayfly.Run) error {
	m := a.newMany(w, runs)
	m.of.Own = true
	a.say("request recorded: %s, %s", groupID(runs[0]), plural(len(runs), "shard"))
	if f.detach {
		return a.detachedMany(ctx, h, m, f)
	}
	err := m.until(ctx, m.ended)
	if ctx.Err() != nil && f.cancel {
		m.view.clear()
		a.say("Cancelling %s; Ctrl-C again detaches.", groupID(runs[0]))
		ctx, err = m.cancelAndWait(ctx)
	}
	m.view.clear()
	switch {
	case ctx.Err() != nil:
		return m.interrupted()
	case errors.Is(err, errHomeGone):
		return err
	case err != nil:
		a.say("The runs go on: dayfly ps shows them.")
		return err
	}
	if err := m.print(f); err != nil {
		return err
	}
	m.sum(ctx)
	return m.exit(f)
}

// newMany follows runs of one job and slot.
func (a *app) newMany(w *watch, runs []dayfly.Run) *many {
	m := &many{
		watch: w, runs: runs, of: reconcile.Scope{Scope: store.Scope{Job: runs[0].Job}, Slot: runs[0].Slot},
		view: a.newTally(),
	}
	m.look = m.lookAtAll
	return m
}

// groupID names all shards of a run's slot.
func groupID(r dayfly.Run) dayfly.RunID { return dayfly.NewRunID(r.Job, r.Slot, "", 0) }

// until turns until all runs are as they should be.
func (m *many) until(ctx context.Context, enough func() bool) error {
	return m.loop(ctx, func() (time.Time, bool, error) {
		next, err := m.turn(ctx)
		return next, err == nil && enough(), err
	}, func() error {
		var errs []error
		for _, r := range m.runs {
			errs = append(errs, m.notGone(r))
		}
		return errors.Join(errs...)
	})
}

func (m *many) ended() bool {
	return !slices.ContainsFunc(m.runs, func(r dayfly.Run) bool { return r.State != dayfly.Ended })
}

// turn acts if nobody else does, looks, and shows what has changed.
func (m *many) turn(ctx context.Context) (next time.Time, err error) {
	if err := m.home.gone(); err != nil {
		return next, err
	}
	held, err := m.home.daemon()
	if err != nil {
		return next, err
	}
	if !held {
		if m.waits = ""; allWait(m.runs) {
			m.waits = m.of.Job
		}
		next = m.actOn(ctx, m.of)
	}
	if err := m.look(ctx); err != nil {
		return next, err
	}
	m.view.update(m.runs)
	return next, nil
}

// allWait tells whether those that have not ended have no machine: they may wait for runs that nobody else sees
// to their end.
func allWait(runs []dayfly.Run) (wait bool) {
	for _, r := range runs {
		switch r.State {
		case dayfly.Ended:
		case dayfly.Due:
			wait = true
		default:
			return false
		}
	}
	return wait
}

// lookAtAll reads the runs that have not ended. Those that have never change.
func (m *many) lookAtAll(ctx context.Context) error {
	active, err := m.home.store.ActiveRuns(ctx, store.Scope{Job: m.of.Job})
	if err != nil {
		return fmt.Errorf("read active runs: %w", err)
	}
	now := map[dayfly.RunID]dayfly.Run{}
	for _, r := range active {
		now[r.ID] = r
	}
	for i, r := range m.runs {
		if r.State == dayfly.Ended {
			continue
		}
		is, ok := now[r.ID]
		if !ok {
			if is, err = m.home.store.Run(ctx, r.ID); err != nil {
				return fmt.Errorf("read run %s: %w", r.ID, err)
			}
		}
		m.runs[i] = is
	}
	return nil
}

// cancelAndWait cancels the runs on the first interrupt; the second ends the wait.
func (m *many) cancelAndWait(ctx context.Context) (context.Context, error) {
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if _, err := cancelAll(ctx, m.home.store, m.runs, "Ctrl-C in dayfly run", m.a.now()); err != nil {
		return ctx, err
	}
	m.home.ring()
	return ctx, m.until(ctx, m.ended)
}

// interrupted says what Ctrl-C left running, what bounds it, and how to end it.
func (m *many) interrupted() error {
	if err := m.home.gone(); err != nil {
		return &exit{exitInterrupted, err}
	}
	of := groupID(m.runs[0])
	m.a.say("Detached from %s: %s.", of, countsOf(m.runs))
	m.a.say("%s", m.bounds())
	if held, _ := m.home.daemon(); !held {
		m.a.say("%s", m.unattended())
	}
	m.a.say("dayfly history --job %s shows them, dayfly cancel %s ends them.", m.of.Job, of)
	return &exit{code: exitInterrupted}
}

// bounds says by when the machines that there are, are gone.
func (m *many) bounds() string {
	var last time.Time
	for _, r := range m.runs {
		if at := r.Attempt(); at != nil && r.State != dayfly.Due && r.State != dayfly.Ended && at.Deadline.After(last) {
			last = at.Deadline
		}
	}
	if last.IsZero() {
		return "They have no machines."
	}
	return fmt.Sprintf("The machines there are end by %s at the latest, the last of their deadlines, which is in %s.", instant(last), took(last.Sub(m.a.now())))
}

// unattended is what becomes of runs that go on with neither a command nor a daemon at them.
func (m *many) unattended() string {
	if slices.ContainsFunc(m.runs, func(r dayfly.Run) bool { return r.State == dayfly.Due }) {
		return "No daemon is at work here: those that wait, retries and collecting wait for the next run of the job, or dayfly serve."
	}
	return unattended
}

// detachedMany returns at once when a daemon acts on the runs, else when each of them is observed running or
// waits for others.
func (a *app) detachedMany(ctx context.Context, h *home, m *many, f attachFlags) error {
	held, err := h.daemon()
	if err == nil && !held {
		err = m.until(ctx, func() bool { return m.launched(a.machinesByToken(ctx, h)) })
	}
	m.view.clear()
	if ctx.Err() != nil {
		return m.interrupted()
	}
	if err != nil {
		return err
	}
	if !held && !m.ended() {
		a.say("%s: %s", groupID(m.runs[0]), countsOf(m.runs))
		a.say("%s", m.bounds())
		a.say("%s", m.unattended())
	}
	if f.output == "text" {
		f.output = "name"
	}
	if err := m.print(f); err != nil || !m.ended() {
		return err
	}
	m.sum(ctx)
	return m.exit(f)
}

// launched tells whether nothing more of them is launched before one of them ends. machines are those that
// are listed, by token.
func (m *many) launched(machines map[string]dayfly.Machine) bool {
	return !slices.ContainsFunc(m.runs, func(r dayfly.Run) bool {
		if r.State == dayfly.Due {
			return r.Reason == ""
		}
		g := glimpse{run: r}
		if at := r.Attempt(); at != nil {
			is := machines[at.Token]
			g.machine = &is
		}
		return !up(g)
	})
}

// print writes the records or the ids to stdout, where that is wanted.
func (m *many) print(f attachFlags) error {
	switch f.output {
	case "json":
		details := make([]runDetail, len(m.runs))
		for i, r := range m.runs {
			details[i] = newDetail(r)
		}
		return writeJSON(m.a.out, details)
	case "name":
		for _, r := range m.runs {
			if _, err := fmt.Fprintln(m.a.out, r.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// worst orders outcomes: of several the first that comes here decides.
var worst = [...]dayfly.Outcome{
	dayfly.Failed, dayfly.TimedOut, dayfly.Lost, dayfly.Refused, dayfly.Canceled, dayfly.Missed, dayfly.Skipped, dayfly.Succeeded,
}

// exit is the exit code of the worst of the runs; of those that failed by themselves, the highest.
func (m *many) exit(f attachFlags) error {
	var errs []error
	code := exitOK
	rank := len(worst)
	for _, r := range m.runs {
		if err := goneLate(r); err != nil {
			errs = append(errs, err)
		}
		is := slices.Index(worst[:], r.Outcome)
		if is > rank {
			continue
		}
		own := 0
		if e, ok := errors.AsType[*exit](f.exit(r)); ok {
			own = e.code
		}
		if code = max(own, code); is < rank {
			rank, code = is, own
		}
	}
	if len(errs) > 0 {
		return &exit{exitNotGone, errors.Join(errs...)}
	}
	if code == exitOK {
		return nil
	}
	return &exit{code: code}
}

// countsOf says how many of the runs are at what: 5 running, 12 waiting, 3 succeeded.
func countsOf(runs []dayfly.Run) string {
	n := map[string]int{}
	for _, r := range runs {
		switch r.State {
		case dayfly.Due:
			n["waiting"]++
		case dayfly.Ended:
			n[spoken(string(r.Outcome))]++
		default:
			n["running"]++
		}
	}
	order := []string{"running", "waiting"}
	for _, o := range slices.Backward(worst[:]) {
		order = append(order, spoken(string(o)))
	}
	var parts []string
	for _, word := range order {
		if n[word] > 0 {
			parts = append(parts, number(n[word])+" "+word)
		}
	}
	return strings.Join(parts, ", ")
}

// sum says how the runs went, and of those that did not succeed what came of each.
func (m *many) sum(ctx context.Context) {
	var last time.Time
	shown := 0
	for _, r := range m.runs {
		if r.EndedAt.After(last) {
			last = r.EndedAt
		}
	}
	m.a.say("%s in %s: %s", plural(len(m.runs), "shard"), took(last.Sub(m.runs[0].CreatedAt)), countsOf(m.runs))
	for _, r := range m.runs {
		switch {
		case r.Outcome == dayfly.Succeeded:
		case shown == shownResults:
			m.a.say("  and others; dayfly history --job %s --shards shows all", m.of.Job)
			shown++
		case shown < shownResults:
			m.a.say("  %s", m.view.said(r))
			shown++
		}
	}
	if results := resultFiles(m.runs); results > 0 {
		m.a.say("results:  %s, stored and verified; dayfly results %s --shard N --to DIR copies those of one", plural(results, "file"), groupID(m.runs[0]))
	}
	m.a.say("machines: %s", m.farewell(ctx))
}

func resultFiles(runs []dayfly.Run) (n int) {
	for _, r := range runs {
		if rep := lastReport(r); rep != nil {
			n += len(rep.Results)
		}
	}
	return n
}

// farewell says that the machines are gone, as it was observed, after one more look.
func (m *many) farewell(ctx context.Context) string {
	ours := map[dayfly.RunID]bool{}
	providers := map[string]bool{}
	machines := 0
	for _, r := range m.runs {
		for _, at := range r.Attempts {
			if !neverWas(at) {
				ours[r.ID], providers[at.Provider] = true, true
				machines++
			}
		}
	}
	if machines == 0 {
		return "none was made; nothing is left"
	}
	var left []string
	for _, name := range slices.Sorted(maps.Keys(providers)) {
		p, ok := m.home.loop.Providers[name]
		if !ok {
			continue
		}
		list, err := m.home.list(ctx, p)
		if err != nil {
			left = append(left, err.Error())
		}
		for _, is := range list.Machines {
			if is.Tags.Installation == m.home.settings.Installation && ours[is.Tags.Run] && is.State != dayfly.MachineTerminated {
				left = append(left, fmt.Sprintf("%s is %s", is.ID, is.State))
			}
		}
	}
	text := fmt.Sprintf("%s observed gone", pluralVerb(machines, "was", "were"))
	if len(left) > 0 {
		return text + "; but another look says: " + term.Text(strings.Join(left, ", "))
	}
	return text + "; nothing is left"
}
