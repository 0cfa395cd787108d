package reconcile_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/fake"
	"github.com/dayfly-io/dayfly/internal/reconcile"
)

// latest is how late lists are at most.
const latest = time.Minute

// lagging lets lists show machines as late as they may be.
func lagging(w *world, c *reconcile.Config) {
	w.lag = func(machine.Spec) time.Duration { return latest }
	c.Settle = map[string]time.Duration{"local": latest}
}

// cloudy has it that machines have no name before the provider gives them one, and leave nothing to forget.
func cloudy(w *world, c *reconcile.Config) {
	lagging(w, c)
	c.Providers["local"] = struct{ machine.Provider }{w.provider}
}

func lives(d time.Duration) func(machine.Spec) fake.Life {
	return func(machine.Spec) fake.Life { return fake.Life{Boot: time.Second, Run: d} }
}

// TestLateLists: that a machine is missing proves nothing in a list that may be late, nor in one that is not whole.
func TestLateLists(t *testing.T) {
	t.Parallel()
	t.Run("a machine that is not listed yet has not vanished", func(t *testing.T) {
		t.Parallel()
		w := setup(t, cloudy)
		w.live = lives(10 * time.Minute)
		id := w.request(job("pi"))
		r := w.until(id, dayfly.Ended)
		want(t, "outcome", r.Outcome, dayfly.Succeeded)
	})
	t.Run("nor has one whose launch took several calls", func(t *testing.T) {
		t.Parallel()
		w := setup(t, cloudy)
		w.live = lives(10 * time.Minute)
		w.fault = func(op string, after bool) error {
			if op == "launch" && w.now.Before(monday.Add(5*time.Minute)) {
				return errors.New("503")
			}
			return nil
		}
		r := w.until(w.request(job("pi")), dayfly.Ended)
		want(t, "outcome", r.Outcome, dayfly.Succeeded)
		want(t, "named late", r.Attempt().NamedAt.Sub(r.Attempt().LaunchedAt) >= 5*time.Minute, true)
	})
	t.Run("one that has is missed as soon as lists prove it", func(t *testing.T) {
		t.Parallel()
		w := setup(t, cloudy)
		w.live = immortal
		id := w.request(job("pi"))
		named := w.until(id, dayfly.Running).Attempt().NamedAt
		w.now = named.Add(30 * time.Second)
		w.provider.Kill(w.run(id).Attempt().Token)
		w.lag = func(machine.Spec) time.Duration { return time.Hour } // it is never listed
		want(t, "next look", w.pass().Next, named.Add(latest))
		w.now = named.Add(latest - time.Millisecond)
		w.pass()
		want(t, "state", w.run(id).State, dayfly.Running)
		w.now = named.Add(latest)
		w.pass()
		want(t, "state", w.run(id).State, dayfly.Stopping)
		r := w.until(id, dayfly.Ended)
		want(t, "outcome", r.Outcome, dayfly.Lost)
		want(t, "time after it was ended", r.EndedAt.Sub(r.Attempt().TerminateAt) >= latest, true)
	})
	for _, c := range []struct {
		name  string
		world func(*world, *reconcile.Config)
	}{{"where it has a name beforehand", lagging}, {"where it has not", cloudy}} {
		t.Run("a cancel that comes before the machine is listed ends it, "+c.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, c.world)
			w.live = immortal
			id := w.request(job("pi"))
			w.until(id, dayfly.Running)
			w.cancel(id)
			want(t, "outcome", w.until(id, dayfly.Ended).Outcome, dayfly.Canceled)
			want(t, "alive", len(w.provider.Alive()), 0)
		})
		t.Run("so does one that comes before the launch is known, "+c.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, c.world)
			w.live = immortal
			w.fault = func(op string, after bool) error {
				if op == "launch" && (after || w.now.Before(monday.Add(5*time.Minute))) {
					return errors.New("connection reset")
				}
				return nil
			}
			id := w.request(job("pi"))
			for w.provider.Launched() == 0 {
				_ = w.tryPass()
				w.now = w.now.Add(time.Second)
			}
			w.cancel(id)
			want(t, "outcome", w.until(id, dayfly.Ended).Outcome, dayfly.Canceled)
			want(t, "alive", len(w.provider.Alive()), 0)
			want(t, "machines ever", w.provider.Launched(), 1)
		})
	}
	t.Run("a list that breaks off proves nothing, however late it is", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.live = lives(10 * time.Minute)
		id := w.request(job("pi"))
		w.until(id, dayfly.Running)
		w.partial = true
		for range 5 {
			w.now = w.now.Add(time.Minute)
			w.pass()
			want(t, "state", w.run(id).State, dayfly.Running)
		}
		w.cancel(id)
		for range 5 {
			w.now = w.now.Add(time.Minute)
			w.pass()
		}
		want(t, "state", w.run(id).State, dayfly.Stopping)
		w.partial = false
		want(t, "outcome", w.until(id, dayfly.Ended).Outcome, dayfly.Canceled)
	})
}

func (w *world) cancel(id dayfly.RunID) {
	w.t.Helper()
	if err := reconcile.Cancel(w.t.Context(), w.store, id, "enough", w.now); err != nil {
		w.t.Fatalf("cancel %s: %v", id, err)
	}
}
