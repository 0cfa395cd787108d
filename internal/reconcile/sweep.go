package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/store"
)

// SweepEvery is how often a scheduler sweeps for orphans. Two sweeps end one.
const SweepEvery = time.Minute

// suspectFor is how long an orphan must have been suspect before it is ended, and rememberFor how long
// a suspicion is remembered.
const (
	suspectFor  = 30 * time.Second
	rememberFor = time.Hour
)

// Finding is one machine that a sweep looked at twice.
type Finding struct {
	Machine dayfly.Machine
	Why     string // it is an orphan
	Action  string // suspect, ended, forgotten; would … for a dry run
}

// Sweep looks for machines of this installation that no run answers for. One is noted as suspect at
// first, and ended on a later sweep when a fresh look finds the same. Machines without this
// installation's tag are never touched. A bad record or location does not stop it: the error joins them.
func (r *Reconciler) Sweep(ctx context.Context, dryRun bool) ([]Finding, error) {
	var found []Finding
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(r.Providers)) {
		prov := r.Providers[name]
		s, err := r.sight(ctx, prov) // first what might be ended, then what would justify keeping it
		if err != nil {
			errs = append(errs, fmt.Errorf("list machines on %s: %w", name, err))
		}
		for _, m := range s.list.Machines {
			if m.Tags.Installation != r.Installation {
				continue
			}
			f, err := r.judge(ctx, prov, m, dryRun)
			if err != nil {
				errs = append(errs, fmt.Errorf("machine %s: %w", m.ID, err))
			}
			if f.Action != "" {
				found = append(found, f)
			}
		}
	}
	return found, errors.Join(errs...)
}

// judge looks for a reason to keep one machine of ours.
func (r *Reconciler) judge(ctx context.Context, prov machine.Provider, m dayfly.Machine, dryRun bool) (Finding, error) {
	f := Finding{Machine: m}
	why, err := r.orphan(ctx, m)
	if err != nil || why == "" {
		return f, err
	}
	f.Why = why
	if m.State == dayfly.MachineTerminated {
		return r.forget(ctx, prov, f, dryRun)
	}
	now := r.Now()
	key := "suspect/" + string(m.ID) + " "
	notes, err := r.Store.Notes(ctx, key, now)
	if err != nil {
		return f, fmt.Errorf("read suspicion: %w", err)
	}
	if len(notes) > 0 {
		since, err := time.Parse(time.RFC3339Nano, notes[0].Value)
		if known := now.Sub(since); err == nil && known >= 0 && known < suspectFor { // since may be of a clock that was set back
			f.Action = "suspect"
			return f, nil
		}
		if dryRun {
			f.Action = "would end"
			return f, nil
		}
		call, cancel := context.WithTimeout(ctx, CallFor)
		defer cancel()
		if err := prov.Terminate(call, m.ID); err != nil {
			return f, fmt.Errorf("end it: %w", err)
		}
		f.Action = "ended"
		return f, nil
	}
	if f.Action = "suspect"; dryRun {
		f.Action = "would suspect"
		return f, nil
	}
	note := store.Note{Key: key, Value: now.UTC().Format(time.RFC3339Nano), Expires: now.Add(rememberFor)}
	if err := r.Store.PutNote(ctx, note); err != nil {
		return f, fmt.Errorf("note a suspicion: %w", err)
	}
	return f, nil
}

// forget removes what a provider keeps of a machine that is gone and that nothing will ask about.
func (r *Reconciler) forget(ctx context.Context, prov machine.Provider, f Finding, dryRun bool) (Finding, error) {
	k, ok := machine.As[machine.Forgetter](prov)
	if !ok {
		return f, nil
	}
	if f.Action = "forgotten"; dryRun {
		f.Action = "would forget"
		return f, nil
	}
	if err := k.Forget(ctx, f.Machine.ID); err != nil {
		return f, fmt.Errorf("forget it: %w", err)
	}
	return f, nil
}

// orphan says why no run answers for a machine; empty when one does.
func (r *Reconciler) orphan(ctx context.Context, m dayfly.Machine) (string, error) {
	if m.Tags.Run == "" || m.Tags.Token == "" {
		return "its tags name no run", nil
	}
	run, err := r.Store.Run(ctx, m.Tags.Run)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Sprintf("run %s is not known", m.Tags.Run), nil
	case err != nil:
		return "", fmt.Errorf("read run %s: %w", m.Tags.Run, err)
	case run.State == dayfly.Ended:
		return fmt.Sprintf("run %s has ended", run.ID), nil
	}
	a := run.Attempt()
	if run.State == dayfly.Due || a == nil || a.Token != m.Tags.Token {
		return fmt.Sprintf("run %s does not have it", run.ID), nil
	}
	return "", nil
}

// Reaper ends every machine of an installation whose deadline tag has passed. It is the layer that
// needs nothing but tags: no store, no bucket, no pass.
type Reaper struct {
	Installation string
	Providers    map[string]machine.Provider
	Now          func() time.Time
	Log          *slog.Logger
}

// Reap looks once. It gives back what it ended; one location that fails does not keep it from the others.
func (r Reaper) Reap(ctx context.Context) ([]dayfly.Machine, error) {
	var ended []dayfly.Machine
	var errs []error
	for name, prov := range r.Providers {
		call, cancel := context.WithTimeout(ctx, CallFor)
		list, err := prov.List(call)
		if err != nil {
			errs = append(errs, fmt.Errorf("list machines on %s: %w", name, err))
		}
		for _, m := range list.Machines {
			if !r.overdue(m) {
				continue
			}
			if err := prov.Terminate(call, m.ID); err != nil {
				errs = append(errs, fmt.Errorf("end machine %s: %w", m.ID, err))
				continue
			}
			r.Log.Warn("ended a machine past its deadline", "machine", m.ID, "run", m.Tags.Run, "deadline", m.Tags.Deadline)
			ended = append(ended, m)
		}
		cancel()
	}
	return ended, errors.Join(errs...)
}

func (r Reaper) overdue(m dayfly.Machine) bool {
	return m.Tags.Installation == r.Installation && m.State != dayfly.MachineTerminated &&
		!m.Tags.Deadline.IsZero() && !r.Now().Before(m.Tags.Deadline)
}
