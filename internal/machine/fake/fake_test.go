package fake_test

import (
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
			Provider: p, Long: spec("long"), Short: spec("short"),
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
