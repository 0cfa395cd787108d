package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

func TestLaunches(t *testing.T) {
	t.Parallel()
	t.Run("all that are due at one instant, in one pass", func(t *testing.T) {
		t.Parallel()
		const jobs = 200 // more than are begun at once
		w := setup(t)
		for i := range jobs {
			w.apply(job(dayfly.JobName(fmt.Sprintf("job-%d", i)), at("0 1 * * *")))
		}
		w.now = monday.Add(time.Hour)
		want(t, "launched", w.pass().Launched, jobs)
		want(t, "machines", len(w.provider.Alive()), jobs)
	})
	t.Run("of no more than the limit, over several rounds", func(t *testing.T) {
		t.Parallel()
		w := setup(t, func(_ *world, c *reconcile.Config) { c.Machines = 100 })
		for i := range 150 {
			w.apply(job(dayfly.JobName(fmt.Sprintf("job-%d", i)), at("0 1 * * *")))
		}
		w.now = monday.Add(time.Hour)
		want(t, "launched", w.pass().Launched, 100)
		want(t, "machines", len(w.provider.Alive()), 100)
	})
	t.Run("though one job cannot be read", func(t *testing.T) {
		t.Parallel()
		bad := job("bad", at("0 1 * * *"))
		broken := &unreadable{}
		w := setup(t, func(w *world, c *reconcile.Config) {
			broken.Store = w.store
			c.Store = broken
		})
		w.apply(bad)
		w.apply(job("good", at("0 1 * * *")))
		queued := w.request(bad)
		broken.version = bad.Version()
		w.now = monday.Add(time.Hour)
		if err := w.tryPass(); err == nil {
			t.Error("the pass does not say that a version cannot be read")
		}
		want(t, "machines", len(w.provider.Alive()), 1)
		want(t, "run of the bad one", w.run(queued).State, dayfly.Due)
	})
	t.Run("wait while another process launches", func(t *testing.T) {
		t.Parallel()
		busy := &crowded{err: store.ErrBusy}
		w := setup(t, func(w *world, c *reconcile.Config) {
			busy.Store = w.store
			c.Store = busy
		})
		id := w.request(job("pi"))
		sum, err := w.Pass(t.Context(), reconcile.Scope{})
		if !errors.Is(err, store.ErrBusy) {
			t.Errorf("the pass says %v", err)
		}
		want(t, "next", sum.Next, w.now.Add(reconcile.Look))
		want(t, "state", w.run(id).State, dayfly.Due)
		busy.err = nil
		w.pass()
		want(t, "state", w.run(id).State, dayfly.Running)
		want(t, "still inside", busy.inside, 0)
	})
}

// unreadable is a store in which one version cannot be read.
type unreadable struct {
	store.Store
	version string
}

func (s *unreadable) Version(ctx context.Context, version string) (dayfly.Job, error) {
	if version == s.version {
		return dayfly.Job{}, errors.New("EIO")
	}
	return s.Store.Version(ctx, version)
}

// crowded is a store that others use too.
type crowded struct {
	store.Store
	err    error
	inside int
}

func (s *crowded) Admission(context.Context) (leave func(), err error) {
	if s.err != nil {
		return nil, s.err
	}
	s.inside++
	return func() { s.inside-- }, nil
}
