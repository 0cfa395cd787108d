package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/reconcile"
)

func planted(id, owner string, deadline time.Time) dayfly.Machine {
	return dayfly.Machine{
		ID: dayfly.MachineID("local/" + id), State: dayfly.MachineRunning,
		Tags: dayfly.Tags{Installation: owner, Run: "ghost-20261122T000000Z", Attempt: 1, Token: id, Deadline: deadline},
	}
}

func (w *world) sweep() []reconcile.Finding {
	w.t.Helper()
	f, err := w.Sweep(w.t.Context(), false)
	if err != nil {
		w.t.Fatalf("sweep: %v", err)
	}
	return f
}

func TestSweep(t *testing.T) {
	t.Parallel()
	t.Run("an orphan is suspected first and ended on a later look", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.provider.Plant(planted("m1", installation, monday.Add(time.Hour)))
		want(t, "first sweep", w.sweep()[0].Action, "suspect")
		want(t, "at once again", w.sweep()[0].Action, "suspect")
		want(t, "alive", len(w.provider.Alive()), 1)
		w.now = w.now.Add(reconcile.SweepEvery)
		want(t, "second sweep", w.sweep()[0].Action, "ended")
		want(t, "alive", len(w.provider.Alive()), 0)
	})
	t.Run("a machine that a run answers for stays", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.live = immortal
		w.until(w.request(job("pi")), dayfly.Running)
		for range 3 {
			want(t, "findings", len(w.sweep()), 0)
			w.now = w.now.Add(reconcile.SweepEvery)
		}
		want(t, "alive", len(w.provider.Alive()), 1)
	})
	t.Run("a dry run changes nothing", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.provider.Plant(planted("m1", installation, monday.Add(time.Hour)))
		for range 3 {
			f, err := w.Sweep(t.Context(), true)
			if err != nil || len(f) != 1 || f[0].Action != "would suspect" {
				t.Errorf("findings %+v, %v", f, err)
			}
			w.now = w.now.Add(reconcile.SweepEvery)
		}
		want(t, "alive", len(w.provider.Alive()), 1)
	})
	t.Run("what one location hides does not stop the others", func(t *testing.T) {
		t.Parallel()
		w := setup(t, func(w *world, c *reconcile.Config) { c.Providers["broken"] = broken{w.provider} })
		w.provider.Plant(planted("m1", installation, monday.Add(time.Hour)))
		f, err := w.Sweep(t.Context(), false)
		if err == nil {
			t.Error("the sweep does not say that a provider failed")
		}
		want(t, "findings", len(f), 1)
	})
}

// broken is a provider whose lists fail.
type broken struct{ machine.Provider }

func (broken) List(context.Context) (machine.Listing, error) {
	return machine.Listing{}, errors.New("503")
}

// TestFleets is R5: over random fleets nothing of ours is left after two sweeps that could see it, and nothing
// foreign is touched, nor anything that a run answers for. Lists are up to a minute late, and some break off.
func TestFleets(t *testing.T) {
	t.Parallel()
	const fleets = 1000
	foreign, ours, kept := 0, 0, 0
	for seed := range uint64(fleets) {
		w := setup(t, lagging)
		rng := rand.New(rand.NewPCG(seed, 5))
		lags := map[string]time.Duration{}
		w.lag = func(s machine.Spec) time.Duration {
			if _, ok := lags[s.Token]; !ok {
				lags[s.Token] = time.Duration(rng.IntN(2)*rng.IntN(61)) * time.Second
			}
			return lags[s.Token]
		}
		keep := map[dayfly.MachineID]bool{}
		w.live = immortal
		for i := range rng.IntN(5) { // runs under way
			r := w.until(w.request(job(dayfly.JobName(fmt.Sprintf("j%d", i)))), dayfly.Running)
			keep[r.Attempt().Machine] = true
			kept++
		}
		for i := range rng.IntN(12) {
			m := planted(fmt.Sprintf("p%d", i), installation, monday.Add(time.Duration(rng.IntN(7200)-3600)*time.Second))
			switch rng.IntN(6) {
			case 0: // somebody else's
				m.Tags.Installation, keep[m.ID] = "other-installation", true
			case 1: // nobody's, though its name looks like ours
				m.ID = dayfly.MachineID(fmt.Sprintf("local/dayfly-%s-%d", installation, i))
				m.Tags, keep[m.ID] = dayfly.Tags{}, true
			case 2: // half-tagged: only the installation
				m.Tags = dayfly.Tags{Installation: installation}
			case 3: // tagged with a run that has another machine
				m.Tags.Run = dayfly.NewRunID("j0", monday, "", 1)
			}
			m.LaunchedAt = w.now
			w.provider.Plant(m)
			if keep[m.ID] {
				foreign++
			} else {
				ours++
			}
		}
		breaks := rng.IntN(8)
		seen := map[dayfly.MachineID]int{} // by how many sweeps
		for round := range 4 {             // all are seen by the second
			w.partial = round == breaks
			for _, m := range w.provider.Alive() {
				if !w.partial && !w.now.Before(m.LaunchedAt.Add(w.lag(known(m)))) {
					seen[m.ID]++
				}
			}
			w.sweep()
			for _, m := range w.provider.Alive() {
				if seen[m.ID] >= 2 && !keep[m.ID] {
					t.Errorf("seed %d: orphan %s %+v is there after two sweeps", seed, m.ID, m.Tags)
				}
			}
			w.pass()
			w.now = w.now.Add(reconcile.SweepEvery)
		}
		left := w.provider.Alive()
		if len(left) != len(keep) {
			t.Errorf("seed %d: %d machines are left, want %d", seed, len(left), len(keep))
		}
		for _, m := range left {
			if !keep[m.ID] {
				t.Errorf("seed %d: orphan %s %+v is left", seed, m.ID, m.Tags)
			}
			delete(keep, m.ID)
		}
		for id := range keep {
			t.Errorf("seed %d: %s was touched", seed, id)
		}
	}
	t.Logf("%d fleets: %d orphans ended, %d foreign and %d answered-for machines untouched", fleets, ours, foreign, kept)
}

// known is by what the fake tells machines apart.
func known(m dayfly.Machine) machine.Spec {
	return machine.Spec{Token: strings.TrimPrefix(string(m.ID), "local/")}
}

func TestReaper(t *testing.T) {
	t.Parallel()
	w := setup(t)
	reaper := reconcile.Reaper{
		Installation: installation, Now: func() time.Time { return w.now }, Log: w.Log,
		Providers: map[string]machine.Provider{"broken": broken{w.provider}, "local": w.provider},
	}
	w.provider.Plant(planted("mine", installation, monday.Add(time.Hour)))
	w.provider.Plant(planted("foreign", "other", monday.Add(time.Hour)))
	w.provider.Plant(planted("later", installation, monday.Add(2*time.Hour)))
	for _, c := range []struct {
		at   time.Duration
		left int
	}{{0, 3}, {time.Hour - time.Second, 3}, {time.Hour, 2}, {time.Hour, 2}, {3 * time.Hour, 1}} {
		w.now = monday.Add(c.at)
		if _, err := reaper.Reap(t.Context()); err == nil {
			t.Error("the reaper does not say that a provider failed")
		}
		want(t, "alive after "+c.at.String(), len(w.provider.Alive()), c.left)
	}
}
