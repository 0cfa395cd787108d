package fake_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/fake"
	"github.com/dayfly-io/dayfly/internal/machine/machinetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("alone", func(t *testing.T) {
		t.Parallel()
		conform(t, func(p machine.Provider, _ func() time.Time) machine.Provider { return p })
	})
	t.Run("watched", func(t *testing.T) {
		t.Parallel()
		conform(t, func(p machine.Provider, now func() time.Time) machine.Provider {
			return machine.Watched(machine.Watched(p, "fake", &calls{}, now), "fake", &calls{}, now)
		})
	})
}

// calls counts what a watcher is told.
type calls struct {
	mu   sync.Mutex
	told []string
}

func (c *calls) Called(provider, call string, took time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, fmt.Sprintf("%s %s %s %s", provider, call, took, machine.Class(err)))
}

func (c *calls) Listed(provider string, l machine.Listing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, fmt.Sprintf("%s listed %d", provider, len(l.Machines)))
}

// Who watches a provider is told of each call, and takes nothing away from what it can do.
func TestWatched(t *testing.T) {
	t.Parallel()
	ctx, now := t.Context(), time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { now = now.Add(time.Second); return now }
	var c calls
	bare := fake.New(fake.Config{Now: clock, Fault: func(op string, after bool) error {
		if op == "launch" && !after && len(c.told) == 1 {
			return &machine.CapacityError{Scope: "here", Err: errors.New("full")}
		}
		return nil
	}})
	p := machine.Watched(bare, "here", &c, clock)
	spec := machine.Spec{Token: "t", Tags: dayfly.Tags{Installation: "i", Run: "j-20261122T000000Z", Deadline: now.Add(time.Hour), Token: "t"}}
	namer, ok := machine.As[machine.Namer](p)
	if !ok || namer.MachineID(spec) != bare.MachineID(spec) {
		t.Fatal("a watched provider has lost its names")
	}
	if _, err := p.List(ctx); err != nil {
		t.Fatal(err)
	}
	c.told = c.told[:1]
	if _, err := p.Launch(ctx, spec); err == nil {
		t.Fatal("a launch without room worked")
	}
	m, err := p.Launch(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Terminate(ctx, m.ID); err != nil {
		t.Fatal(err)
	}
	if f, ok := machine.As[machine.Forgetter](p); !ok || f.Forget(ctx, m.ID) != nil {
		t.Fatal("a watched provider forgets nothing")
	}
	if _, ok := machine.As[machine.Canceler](p); ok != canCancel(bare) {
		t.Errorf("a watched provider can tell the agent of a cancel: %v", ok)
	}
	var words []string
	for _, line := range c.told {
		if f := strings.Fields(line); f[1] == "listed" {
			words = append(words, line)
		} else {
			words = append(words, f[0]+" "+f[1]+" "+f[3])
		}
	}
	want := "here list ok, here launch capacity, here launch ok, here terminate ok, here forget ok"
	if got := strings.Join(words, ", "); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func canCancel(p machine.Provider) bool {
	_, ok := p.(machine.Canceler)
	return ok
}

func conform(t *testing.T, watch func(p machine.Provider, now func() time.Time) machine.Provider) {
	machinetest.Run(t, func(t *testing.T) machinetest.Harness {
		start := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
		var clock, tokens atomic.Int64
		var broken atomic.Bool
		now := func() time.Time { return start.Add(time.Duration(clock.Load())) }
		p := fake.New(fake.Config{
			Now: now, Partial: broken.Load,
			Live: func(s machine.Spec) fake.Life {
				return fake.Life{Run: time.Second, Immortal: s.Task.Script == "long"}
			},
		})
		spec := func(script string) func(*testing.T) machine.Spec {
			return func(*testing.T) machine.Spec {
				token := dayfly.Token("i", "j-20261122T000000Z", int(tokens.Add(1)), 0)
				return machine.Spec{Token: token, Task: dayfly.Task{Script: script}, Tags: dayfly.Tags{
					Installation: "i", Run: "j-20261122T000000Z", Attempt: 1, Deadline: now().Add(time.Hour), Token: token,
				}}
			}
		}
		return machinetest.Harness{
			Provider: watch(p, now), Long: spec("long"), Short: spec("short"),
			Until: func(t *testing.T, what string, cond func() bool) {
				for range 100 {
					if cond() {
						return
					}
					clock.Add(int64(time.Second))
				}
				t.Fatalf("it never came that %s", what)
			},
			Break: func(*testing.T) (machine.Location, func()) {
				broken.Store(true)
				return "here", func() { broken.Store(false) }
			},
		}
	})
}
