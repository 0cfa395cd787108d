package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/term"
)

// attachFlags are the flags of commands that begin a run and stay with it.
type attachFlags struct {
	detach, cancel, raw bool
	exitCode, output    string
}

func (f *attachFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.detach, "detach", false, "return as soon as the request is durable and somebody acts on it")
	cmd.Flags().BoolVar(&f.cancel, "cancel-on-interrupt", false, "on Ctrl-C cancel the run and wait for its end, instead of detaching")
	cmd.Flags().BoolVar(&f.raw, "raw", false, "write the log to a terminal as it is")
	f.exitCode, f.output = "outcome", "text"
	choice{words: []string{"outcome", "job"}, value: &f.exitCode}.add(cmd, "exit-code", "", "`WHAT` the exit code tells: outcome, or job (the job's own, where it ended by itself)")
	choice{words: []string{"text", "json", "name"}, value: &f.output}.add(cmd, "output", "o", "the `FORM` of the output: text, the log; json, the run's record at the end, instead of the log; name, the run's id")
}

func (f *attachFlags) check(cmd *cobra.Command) error {
	if f.detach && f.cancel {
		return usage(cmd, "--cancel-on-interrupt is for a command that stays; --detach does not")
	}
	return nil
}

// attach records a request and stays with the run that it makes, or with all of them.
func (a *app) attach(ctx context.Context, h *home, f attachFlags, request func(context.Context) ([]dayfly.Run, error), job dayfly.JobName) error {
	w, err := a.newWatch(h)
	if err != nil {
		return err
	}
	defer w.close()
	others, err := a.makeRoom(ctx, h, job)
	if ctx.Err() != nil {
		return &exit{exitInterrupted, fmt.Errorf("%w; nothing was requested", errInterrupted)}
	}
	if err != nil {
		return err
	}
	runs, err := request(context.WithoutCancel(ctx)) // recorded or not: nobody shall wonder
	if err != nil {
		return err
	}
	h.ring()
	if len(runs) != 1 {
		return a.attachMany(ctx, h, w, f, runs)
	}
	run := runs[0]
	w.id, w.own = run.ID, true
	w.view = &checklist{w: a.err, tty: a.errTTY, marks: a.marks(), now: a.now, since: a.now()}
	if a.errTTY {
		w.view.usual = usual(ctx, h.store, run.Job)
	}
	w.view.update(run, nil)
	if f.detach {
		return a.detached(ctx, h, w, f, others)
	}
	if f.output == "text" {
		line := &lineEnd{w: &pipe{a.out}, before: w.view.clear}
		out, flush := a.logOutput(line, f.raw)
		if a.outTTY {
			w.view.midLine, w.view.flush = line, flush
		}
		w.logs = &logs{bucket: h.bucket, out: out}
	}
	return a.stay(ctx, h, w, f)
}

// makeRoom makes one bounded pass over the job's runs that are not ended, so that one whose machine is
// gone long since, or that waits for somebody to launch it again, does not stand in the way of the next. It
// tells whether there were any.
func (a *app) makeRoom(ctx context.Context, h *home, job dayfly.JobName) (others bool, err error) {
	active, err := h.store.ActiveRuns(ctx, store.Scope{Job: job})
	if err != nil {
		return false, fmt.Errorf("read active runs: %w", err)
	}
	if len(active) == 0 {
		return false, nil
	}
	a.say("Looking after %s of %s first.", plural(len(active), "earlier run"), job)
	return true, a.passOver(ctx, h, reconcile.Scope{Scope: store.Scope{Job: job}})
}

// stay follows the run to its end, or until an interrupt.
func (a *app) stay(ctx context.Context, h *home, w *watch, f attachFlags) error {
	run, err := w.until(ctx, ended)
	if ctx.Err() != nil && f.cancel {
		w.view.settle()
		a.say("Cancelling %s; Ctrl-C again detaches.", w.id)
		ctx, run, err = a.cancelAndWait(ctx, h, w)
	}
	w.view.settle()
	switch {
	case ctx.Err() != nil:
		return a.interrupted(context.WithoutCancel(ctx), h, w.id)
	case errors.Is(err, errHomeGone):
		return err
	case err != nil:
		a.say("Run %s goes on: dayfly logs -f %s follows it.", w.id, w.id)
		return err
	}
	if f.output == "json" {
		err = writeJSON(a.out, newDetail(run))
	} else if f.output == "name" {
		_, err = fmt.Fprintln(a.out, run.ID)
	}
	if err != nil {
		return err
	}
	a.sum(ctx, h, run)
	return f.exit(run)
}

// cancelAndWait cancels the run on the first interrupt; the second ends the wait.
func (a *app) cancelAndWait(ctx context.Context, h *home, w *watch) (context.Context, dayfly.Run, error) {
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := reconcile.Cancel(ctx, h.store, w.id, "Ctrl-C in dayfly run", a.now())
	if err != nil && dayfly.ErrorCode(err) != dayfly.CodeRefused { // it may have ended meanwhile
		return ctx, dayfly.Run{ID: w.id}, err
	}
	h.ring()
	run, err := w.until(ctx, ended)
	return ctx, run, err
}

// exit is the exit code of an ended run.
func (f *attachFlags) exit(run dayfly.Run) error {
	if err := goneLate(run); err != nil {
		return err
	}
	a := run.Attempt()
	byItself := run.Outcome == dayfly.Succeeded || run.Outcome == dayfly.Failed
	code := outcomeCode(run.Outcome)
	if f.exitCode == "job" && byItself && a != nil && a.ExitCode != nil {
		code = *a.ExitCode
	}
	if code == exitOK {
		return nil
	}
	return &exit{code: code}
}

// unattended is what becomes of a run that goes on with neither a command nor a daemon at it.
const unattended = "No daemon is at work here: retries and collecting wait for dayfly logs -f, the next run of the job, or dayfly serve."

// interrupted says what Ctrl-C left running, what bounds it, and how to end it.
func (a *app) interrupted(ctx context.Context, h *home, id dayfly.RunID) error {
	if err := h.gone(); err != nil {
		return &exit{exitInterrupted, err}
	}
	a.say("Detached from run %s.", id)
	if run, err := h.store.Run(ctx, id); err != nil {
		a.warn("read run %s: %s", id, err)
	} else {
		a.say("%s", a.bounds(run))
	}
	if held, _ := h.daemon(); !held {
		a.say("%s", unattended)
	}
	a.say("dayfly logs -f %s follows it, dayfly cancel %s ends it.", id, id)
	return &exit{code: exitInterrupted}
}

// bounds says by when what a run has, or will have, is gone.
func (a *app) bounds(run dayfly.Run) string {
	at := run.Attempt()
	switch {
	case run.State == dayfly.Ended:
		return fmt.Sprintf("It has ended: %s.", spoken(string(run.Outcome)))
	case run.State == dayfly.Due || at == nil:
		return "It has no machine yet."
	}
	return fmt.Sprintf("Its machine ends by %s at the latest, its deadline, which is in %s.", instant(at.Deadline), took(at.Deadline.Sub(a.now())))
}

// detached returns as soon as somebody acts on the run: when a daemon does, at once, or with its first word where
// others of the job may stand in the way; else when its machine is observed running.
func (a *app) detached(ctx context.Context, h *home, w *watch, f attachFlags, others bool) error {
	held, err := h.daemon()
	if err != nil {
		return err
	}
	run, err := h.store.Run(ctx, w.id)
	switch {
	case err != nil:
	case !held:
		run, err = w.until(ctx, up)
	case others:
		run, err = w.untilJudged(ctx, run)
	}
	w.view.settle()
	if ctx.Err() != nil {
		return a.interrupted(context.WithoutCancel(ctx), h, w.id)
	}
	if err != nil {
		return err
	}
	if !held && run.State != dayfly.Ended {
		a.say("%s", a.bounds(run))
		a.say("%s", unattended)
	}
	if f.output == "json" {
		err = writeJSON(a.out, newDetail(run))
	} else {
		_, err = fmt.Fprintln(a.out, run.ID)
	}
	if err != nil || run.State != dayfly.Ended {
		return err
	}
	a.sum(ctx, h, run)
	return f.exit(run)
}

// sum says how an ended run went.
func (a *app) sum(ctx context.Context, h *home, run dayfly.Run) {
	head := fmt.Sprintf("%s in %s", a.outcome(run.Outcome), took(over(run).Sub(began(run))))
	a.say("%s%s", head, howItEnded(run))
	at := run.Attempt()
	if at == nil {
		return
	}
	if len(run.Attempts) > 1 {
		a.say("attempts: %d; what follows is of the last", len(run.Attempts))
	}
	if !neverWas(*at) {
		a.say("phases:   %s", phasesText(run, *at))
	}
	if rep := at.Report; rep != nil {
		a.sumReport(run, *rep)
	}
	for _, note := range at.Notes {
		a.say("note:     %s", term.Text(note))
	}
	a.say("machine:  %s", h.farewell(ctx, run, a.errTTY))
}

func phasesText(run dayfly.Run, at dayfly.Attempt) string {
	all := times(run, at)
	names := [milestones]string{"waited", "launched", "prepared", "ran", "saved", "ended"}
	var parts []string
	for m := range milestones {
		if d, ok := all[m]; ok && (m != requested || d >= 100*time.Millisecond) {
			parts = append(parts, names[m]+" "+took(d))
		}
	}
	return strings.Join(parts, ", ")
}

// howItEnded is what follows the outcome: the exit code, once, and the reason.
func howItEnded(run dayfly.Run) (text string) {
	if at := run.Attempt(); at != nil && at.ExitCode != nil {
		if code := fmt.Sprintf("exit code %d", *at.ExitCode); !strings.Contains(run.Reason, code) {
			text = ", " + code
		}
	}
	if run.Reason != "" {
		text += ": " + term.Text(run.Reason)
	}
	return text
}

func (a *app) sumReport(run dayfly.Run, rep dayfly.Report) {
	used := fmt.Sprintf("CPU %s", took(rep.Usage.CPU.Duration()))
	if rep.Usage.PeakMemory > 0 {
		whose := "largest process"
		if q := run.Attempt().Request; q != nil && q.Machine.Memory > 0 {
			whose = "memory at most" // of the whole machine, where it is limited
		}
		used += fmt.Sprintf(", %s %s", whose, size(rep.Usage.PeakMemory))
	}
	a.say("used:     %s", used)
	a.say("log:      %s, sha256 %s", size(rep.Log.Size), a.sumText(rep.Log.SHA256))
	if len(rep.Results) == 0 {
		return
	}
	a.say("results:  %s, stored and verified; dayfly results %s --to DIR copies them", plural(len(rep.Results), "file"), run.ID)
	for i, r := range rep.Results {
		if i == shownResults {
			a.say("  and %d more", len(rep.Results)-i)
			break
		}
		a.sayResult(r)
	}
}

// sayResult names a result: on a terminal in one line, and as far as there is room for it.
func (a *app) sayResult(r dayfly.Result) {
	name, about := term.Text(r.Name), fmt.Sprintf("  %s  sha256 %s", size(r.Size), a.sumText(r.SHA256))
	if f, ok := a.err.(folding); ok {
		name = term.CutMiddle(name, max(f.Columns()-2-term.Width(about), shortest))
	}
	a.say("  %s%s", name, about)
}

// sumText is a SHA-256; its beginning is enough for people to tell files apart by.
func (a *app) sumText(sum string) string {
	if a.errTTY {
		return sum[:min(len(sum), shortSum)]
	}
	return sum
}

// shortSum is how much of a SHA-256 a terminal shows; -o wide and a pipe have all of it.
const shortSum = 12

// shownResults is how many results are named after a run; dayfly results lists them all.
const shownResults = 20

// farewell says that the machine is gone, as it was observed, after one more look; in brief by a short name.
func (h *home) farewell(ctx context.Context, run dayfly.Run, brief bool) string {
	at := run.Attempt()
	if neverWas(*at) {
		return "none was made; nothing is left"
	}
	name := string(at.Machine)
	if brief {
		name = shortMachine(at.Machine)
	}
	p, ok := h.loop.Providers[at.Provider]
	if !ok {
		return name
	}
	list, err := h.list(ctx, p)
	for _, m := range list.Machines {
		if m.Tags.Installation == h.settings.Installation && m.Tags.Run == run.ID && m.State != dayfly.MachineTerminated {
			err = errors.Join(err, fmt.Errorf("%s is %s", m.ID, m.State))
		}
	}
	text := fmt.Sprintf("%s was observed gone at %s", name, at.GoneAt.UTC().Format("15:04:05.000Z"))
	if err != nil {
		return fmt.Sprintf("%s; but another look says: %s", text, term.Text(err.Error()))
	}
	return text + "; nothing is left"
}
