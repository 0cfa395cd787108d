package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// advanceAll takes every run as far as it goes without a new launch.
func (p *pass) advanceAll(ctx context.Context, runs []dayfly.Run) ([]dayfly.Run, error) {
	return p.each(runs, func(run dayfly.Run) (dayfly.Run, error) {
		if !p.begins() {
			return run, nil
		}
		return p.advance(ctx, run)
	})
}

// errElse says that another pass changed the run meanwhile; that one goes on with it.
var errElse = errors.New("changed by somebody else")

// save stores the record. Nothing that follows from a state is done before it is stored.
func (p *pass) save(ctx context.Context, run dayfly.Run) (dayfly.Run, error) {
	stored, err := p.Store.UpdateRun(ctx, run)
	if errors.Is(err, store.ErrStale) {
		return run, errElse
	}
	if err != nil {
		return run, fmt.Errorf("store it: %w", err)
	}
	return stored, nil
}

// sound tells why a record cannot be that of a run that is not ended: something else than dayfly has written it. It
// stays as it is, and every pass says so.
func sound(run dayfly.Run) error {
	switch run.State {
	case dayfly.Due:
		return nil
	case dayfly.Launching, dayfly.Running, dayfly.Stopping:
		if len(run.Attempts) == 0 {
			return fmt.Errorf("its record is damaged: it is %s and has no attempt", run.State)
		}
		return nil
	}
	return fmt.Errorf("its record is damaged: there is no state %q", run.State)
}

// advance takes a run from step to step until there is nothing to do before some later instant.
func (p *pass) advance(ctx context.Context, run dayfly.Run) (dayfly.Run, error) {
	if err := sound(run); err != nil {
		return run, err
	}
	job, err := p.version(ctx, run.Version)
	if err != nil {
		return run, err
	}
	var rep Reported
	var unread error // why the report cannot be read; a machine's end does not wait for it
	for ctx.Err() == nil {
		f := p.facts(run, rep)
		if f.Underway, err = p.isUnderway(ctx, job, run); err != nil {
			return run, err
		}
		d := Decide(run, job.Retry, f)
		switch d.Step {
		case Wait:
			p.soon(d.Next)
			return run, unread
		case Save:
			run, err = p.settle(ctx, run, d.Run)
		case Launch:
			if p.scope.Glance {
				return run, nil
			}
			if err := p.able(job); err != nil {
				return run, err
			}
			run, err = p.launch(ctx, run)
			if err == nil && run.State != dayfly.Stopping { // the listing is older than the launch
				p.soon(earliest(run.NotBefore, run.Attempt().Deadline))
				return run, nil
			}
		case Collect:
			if rep, unread = p.collect(ctx, run); unread != nil {
				rep.Failed = true
			}
		case Stop:
			p.soon(d.Next)
			return run, p.tell(ctx, run)
		case Terminate:
			p.soon(d.Next)
			run, err = p.terminate(ctx, run)
			return run, errors.Join(unread, err)
		}
		if errors.Is(err, errElse) {
			p.soon(p.now().Add(Look))
			return run, nil
		}
		if err != nil || run.State == dayfly.Ended || run.State == dayfly.Due {
			p.soon(run.NotBefore)
			return run, err
		}
	}
	return run, ctx.Err()
}

func (p *pass) facts(run dayfly.Run, rep Reported) Facts {
	f := Facts{Now: p.now(), Report: rep}
	a := run.Attempt()
	if a == nil {
		return f
	}
	f.Settle = p.Settle[a.Provider]
	if s, ok := p.seen[a.Provider]; ok {
		f.ListedAt = s.at
		f.Machine = s.byToken[a.Token]
		f.Complete = s.list.IsComplete(a.Machine)
		if a.Machine == "" {
			f.Complete = len(s.list.Complete) > 0 && a.Request != nil && s.list.IsComplete(dayfly.MachineID(a.Request.Location+"/"))
		}
	}
	return f
}

// isUnderway tells whether a run that is past its start deadline is a shard of an array that has begun. Its
// first shard was in time, and the others wait for their turn as long as that takes.
func (p *pass) isUnderway(ctx context.Context, job dayfly.Job, run dayfly.Run) (bool, error) {
	if job.Array == nil || run.State != dayfly.Due || len(run.Attempts) > 0 || !p.now().After(run.StartDeadline) {
		return false, nil
	}
	of := arrayOf(run)
	p.mu.Lock()
	yes, known := p.underway[of]
	p.mu.Unlock()
	if known {
		return yes, nil
	}
	// None of those that are active; perhaps one that has ended.
	after := dayfly.NewRunID(run.Job, run.Slot.Add(time.Millisecond), "", 0)
	for r, err := range p.Store.History(ctx, store.Filter{Job: run.Job, Since: run.Slot, Before: after}) {
		if d, damaged := errors.AsType[store.Damage](err); damaged {
			// It may have been the first to begin, if it was made for the same reason: only the schedule's n is 0.
			_, _, _, n, err := dayfly.RunID(d.ID).Parse()
			if yes = err == nil && (n == 0) == (run.N == 0); yes {
				break
			}
			continue
		}
		if err != nil {
			return false, fmt.Errorf("read the other runs of its slot: %w", err)
		}
		if yes = len(r.Attempts) > 0 && arrayOf(r) == of; yes {
			break
		}
	}
	p.mu.Lock()
	p.underway[of] = yes
	p.mu.Unlock()
	return yes, nil
}

// settle stores the decided record, with what must come before it.
func (p *pass) settle(ctx context.Context, was, run dayfly.Run) (dayfly.Run, error) {
	if run.State == dayfly.Ended {
		if err := p.beforeEnd(ctx, run); err != nil {
			return was, err
		}
	}
	// Before it is stored: afterwards no pass would look at this attempt again, and what a provider
	// keeps of a machine that never was may name no run by which a sweep could tell that it is ours.
	if run.State == dayfly.Ended || run.State == dayfly.Due {
		p.forgetAttempt(ctx, run)
	}
	stored, err := p.save(ctx, run)
	if err != nil {
		return was, err
	}
	if stored.State != was.State {
		p.Log.Debug("run moved", "job", run.Job, "run", run.ID, "from", was.State, "to", stored.State, "outcome", stored.Outcome, "reason", stored.Reason)
	}
	if job, err := p.version(ctx, stored.Version); err == nil {
		p.watchStart(job, was, stored)
	}
	if stored.State == dayfly.Ended {
		p.count(func(s *Summary) { s.Ended++ })
		p.Watch.Ended(stored)
		p.Log.Info("run ended", "job", stored.Job, "run", stored.ID, "outcome", stored.Outcome, "reason", stored.Reason, "attempts", len(stored.Attempts))
	}
	return stored, nil
}

// terminate asks the provider to end the run's machine.
func (p *pass) terminate(ctx context.Context, run dayfly.Run) (dayfly.Run, error) {
	a := run.Attempt()
	prov, ok := p.Providers[a.Provider]
	if !ok {
		return run, fmt.Errorf("end machine %s: no provider %s", a.Machine, a.Provider)
	}
	call, cancel := context.WithTimeout(ctx, CallFor)
	defer cancel()
	if err := prov.Terminate(call, a.Machine); err != nil {
		return run, fmt.Errorf("end machine %s: %w", a.Machine, err)
	}
	if !a.TerminateAt.IsZero() {
		return run, nil
	}
	run = run.Clone()
	run.Attempt().TerminateAt = p.now()
	stored, err := p.save(ctx, run)
	if errors.Is(err, errElse) {
		return run, nil
	}
	p.soon(p.now()) // many are gone at once, and one that was killed rings no bell
	return stored, err
}
