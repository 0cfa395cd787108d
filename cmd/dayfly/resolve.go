package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// namesFile tells whether a FILE|JOB argument names a file: it looks like one, or there is one.
func namesFile(name string) bool {
	if ext := filepath.Ext(name); ext == ".yaml" || ext == ".yml" || strings.ContainsRune(name, filepath.Separator) {
		return true
	}
	if !dayfly.JobName(name).Valid() {
		return true
	}
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// run finds the run that a RUN argument means: an id, the beginning of one, or a job, for the one of its
// latest runs that has a machine, else the latest that ever had one, else the latest.
func (h *home) run(ctx context.Context, name string) (dayfly.Run, error) {
	s, err := h.Store(ctx)
	if err != nil {
		return dayfly.Run{}, err
	}
	r, err := s.Run(ctx, dayfly.RunID(name))
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return r, err
	}
	if dayfly.JobName(name).Valid() {
		if r, found, err := ofJob(ctx, s, dayfly.JobName(name)); found || err != nil {
			return r, err
		}
	}
	return h.byPrefix(ctx, s, name)
}

// latest is how many runs of a job its name is looked for among.
const latest = 200

func ofJob(ctx context.Context, s store.Store, job dayfly.JobName) (best dayfly.Run, found bool, err error) {
	for r, err := range store.Sound(s.History(ctx, store.Filter{Job: job, Limit: latest}), nil) {
		if err != nil {
			return best, false, fmt.Errorf("look for the latest run of %s: %w", job, err)
		}
		switch {
		case r.Attempt() != nil && r.State != dayfly.Ended && r.State != dayfly.Due:
			return r, true, nil
		case !found || best.Attempt() == nil && r.Attempt() != nil:
			best, found = r, true
		}
	}
	return best, found, nil
}

// shownMatches is how many runs are named when a prefix means several.
const shownMatches = 3

// byPrefix finds the one run whose id begins so.
func (h *home) byPrefix(ctx context.Context, s store.Store, prefix string) (dayfly.Run, error) {
	var matches []dayfly.Run
	for _, job := range h.jobsOfPrefix(ctx, prefix) {
		for r, err := range store.Sound(s.History(ctx, store.Filter{Job: job}), nil) {
			if err != nil {
				return r, fmt.Errorf("look for run %s: %w", prefix, err)
			}
			if strings.HasPrefix(string(r.ID), prefix) {
				matches = append(matches, r)
			}
			if len(matches) > shownMatches {
				break
			}
		}
	}
	switch len(matches) {
	case 1:
		return matches[0], nil
	case 0:
		if err := cmp.Or(h.recordGone(ctx, prefix), h.allGone(ctx, dayfly.JobName(prefix))); err != nil {
			return dayfly.Run{}, err
		}
		if rec, err := s.Job(ctx, dayfly.JobName(prefix)); err == nil {
			return dayfly.Run{}, notYet(rec, h.now())
		}
		return dayfly.Run{}, notFound("run", prefix, h.knownJobs(ctx), "dayfly history lists the runs, dayfly ps --jobs the jobs")
	}
	e := &dayfly.Error{Code: dayfly.CodeInvalid, Message: fmt.Sprintf("%q is the beginning of several runs", prefix), Hint: "such as"}
	for _, r := range matches[:min(len(matches), shownMatches)] {
		e.Hint += " " + string(r.ID)
	}
	return dayfly.Run{}, e
}

// notYet is the error of a job that is known and has no run.
func notYet(rec store.Job, now time.Time) error {
	e := &dayfly.Error{
		Code: dayfly.CodeNotFound, Message: fmt.Sprintf("job %s has not run yet", rec.Name),
		Hint: fmt.Sprintf("dayfly run %s runs it now", rec.Name),
	}
	switch {
	case rec.Pause(now).Why != "":
		e.Message += "; it is paused " + pauseText(rec.Pause(now), now)
	case due(rec, now):
		e.Message += fmt.Sprintf("; it is due at %s, %s", instant(rec.NextDue), when(rec.NextDue, now))
	default:
		e.Message += "; it has no slot to come"
	}
	return e
}

// jobsOfPrefix are the jobs whose runs' ids may begin so: the words up to each dash.
func (h *home) jobsOfPrefix(ctx context.Context, prefix string) []dayfly.JobName {
	var jobs []dayfly.JobName
	for i, c := range prefix {
		if name := dayfly.JobName(prefix[:i]); c == '-' && name.Valid() {
			jobs = append(jobs, name)
		}
	}
	return jobs
}

// glance bounds the pass that a reading command makes.
const glance = 2 * reconcile.CallFor

// openAndGlance opens the data directory to show what is in it, after a glance over all runs.
func (a *app) openAndGlance(ctx context.Context) (*home, error) {
	h, err := a.openToLook()
	if err != nil {
		return nil, err
	}
	return h, a.glanceOver(ctx, h, store.Scope{})
}

// glanceOver makes one bounded pass over runs that are not ended, so that what is shown is true, unless
// a daemon does that all the time. It never makes slots into runs.
func (a *app) glanceOver(ctx context.Context, h *home, scope store.Scope) error {
	return a.passOver(ctx, h, reconcile.Scope{Scope: scope, Glance: true})
}

func (a *app) passOver(ctx context.Context, h *home, scope reconcile.Scope) error {
	if h.readOnly {
		return nil
	}
	held, err := h.daemon()
	if err != nil || held {
		return err
	}
	loop, err := h.Loop(ctx)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, glance)
	defer cancel()
	sum, err := loop.Pass(bounded, scope)
	h.ringIf(sum)
	if ctx.Err() != nil {
		return ctx.Err() // an interrupt is no news about the runs
	}
	if err != nil {
		a.bearable("what follows may be out of date: ", err)
	}
	return nil
}

// ringIf rings when a pass changed something.
func (h *home) ringIf(sum reconcile.Summary) {
	if sum.Inserted+sum.Skipped+sum.Launched+sum.Ended > 0 {
		h.ring()
	}
}
