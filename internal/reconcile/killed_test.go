package reconcile_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
)

// What a launcher or a pass leaves when it is killed in the middle is taken up by the next pass.
func TestKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	t.Run("a launch that was only begun is asked for again", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		asked := 0
		w.fault = func(op string, after bool) error {
			if op == "launch" && !after {
				if asked++; asked == 1 {
					return errors.New("killed")
				}
			}
			return nil
		}
		id := w.request(job("pi"))
		w.pass()
		a := w.run(id).Attempt()
		w.provider.Plant(dayfly.Machine{ID: a.Machine, State: dayfly.MachinePending, Tags: a.Request.Tags})
		w.now = w.now.Add(time.Second)
		w.pass()
		want(t, "state before it is time to repeat", w.run(id).State, dayfly.Launching)
		w.until(id, dayfly.Running)
		want(t, "times asked", asked, 2)
	})
	t.Run("a provider keeps nothing of an attempt whose end is on record", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.fault = func(op string, after bool) error {
			if op == "launch" && !after {
				return errors.New("nobody answers")
			}
			return nil
		}
		id := w.request(job("pi"))
		w.pass()
		if err := reconcile.Cancel(t.Context(), w.store, id, "by hand", w.now); err != nil {
			t.Fatal(err)
		}
		// Whatever is stored, that is the last thing its pass does.
		w.store.Fail(nil, func(op string) error {
			if op == "UpdateRun" {
				return errors.New("killed")
			}
			return nil
		})
		r := w.until(id, dayfly.Ended)
		w.store.Fail(nil, nil)
		want(t, "outcome", r.Outcome, dayfly.Canceled)
		w.pass()
		list, err := w.provider.List(t.Context())
		if err != nil || len(list.Machines) > 0 {
			t.Errorf("the provider still has %v, %v", list.Machines, err)
		}
	})
}
