package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/fake"
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
	t.Run("of the earliest slots, whatever their job, where machines are few", func(t *testing.T) {
		t.Parallel()
		w := setup(t, func(_ *world, c *reconcile.Config) { c.Machines = 1 })
		first := w.request(job("z"))
		w.now = w.now.Add(time.Second)
		second := w.request(job("a"))
		w.pass()
		want(t, "state of the first", w.run(first).State, dayfly.Running)
		want(t, "state of the second", w.run(second).State, dayfly.Due)
		want(t, "reason", w.run(second).Reason, "the limit of 1 machines in all")
		want(t, "outcome", w.until(second, dayfly.Ended).Outcome, dayfly.Succeeded)
	})
	t.Run("past a run that nobody launches", func(t *testing.T) {
		t.Parallel()
		w := setup(t, func(_ *world, c *reconcile.Config) { c.Machines = 1 })
		w.request(job("left"))
		w.now = w.now.Add(time.Second)
		id := w.request(job("pi"))
		if _, err := w.Pass(t.Context(), reconcile.Scope{Scope: store.Scope{Run: id}, Own: true}); err != nil {
			t.Fatal(err)
		}
		want(t, "state", w.run(id).State, dayfly.Running)
	})
	t.Run("begin no more after the pass's time, and the next one goes on", func(t *testing.T) {
		t.Parallel()
		const jobs = 20
		w := setup(t)
		for i := range jobs {
			w.request(job(dayfly.JobName(fmt.Sprintf("job-%d", i))))
		}
		w.fault = func(op string, after bool) error {
			if op == "launch" && !after { // it takes its time
				w.now = w.now.Add(2 * time.Second)
			}
			return nil
		}
		began := w.now
		w.pass()
		if took := w.now.Sub(began); took > reconcile.ActFor+2*time.Second {
			t.Errorf("a pass took %s", took)
		}
		for range jobs {
			w.pass()
		}
		want(t, "machines", w.provider.Launched(), jobs)
	})
	t.Run("do not keep what has ended waiting, when many are due", func(t *testing.T) {
		t.Parallel()
		const jobs = 1000
		w := setup(t)
		for i := range jobs {
			w.request(job(dayfly.JobName(fmt.Sprintf("job-%d", i))))
		}
		var mu sync.Mutex
		w.fault = func(op string, after bool) error {
			if op == "launch" && !after {
				mu.Lock()
				defer mu.Unlock()
				w.now = w.now.Add(20 * time.Millisecond)
			}
			return nil
		}
		began := w.now
		sum := w.pass()
		if took := w.now.Sub(began); took > reconcile.LaunchFor+2*time.Second {
			t.Errorf("a pass launched for %s", took)
		}
		if sum.Next.After(w.now) {
			t.Errorf("the next pass comes %s later", sum.Next.Sub(w.now))
		}
		for range jobs {
			if w.pass(); w.provider.Launched() == jobs {
				return
			}
		}
		t.Errorf("%d machines were launched", w.provider.Launched())
	})
	t.Run("that come too late by the clock of the machines say so", func(t *testing.T) {
		t.Parallel()
		w := setup(t, func(w *world, c *reconcile.Config) {
			w.provider = fake.New(fake.Config{Now: func() time.Time { return w.now.Add(24 * time.Hour) }, Location: "local"})
			c.Providers["local"] = w.provider
		})
		r := w.until(w.request(job("pi")), dayfly.Ended)
		want(t, "outcome", r.Outcome, dayfly.Lost)
		if !strings.HasPrefix(r.Reason, "the machine vanished without a report: ") || !strings.Contains(r.Reason, "its deadline has passed") {
			t.Errorf("the reason is %q", r.Reason)
		}
	})
	t.Run("are left to who has the secrets", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.secret = func(string) (string, error) { return "known here", nil }
		id := w.request(job("pi", func(j *dayfly.Job) { j.Secrets = map[string]string{"PASS": "env:P"} }))
		c := w.Config
		c.Secret = func(string) (string, error) { return "", errors.New("P is not set") }
		other, err := reconcile.New(c)
		if err != nil {
			t.Fatal(err)
		}
		follow := func() {
			t.Helper()
			_, err := other.Pass(t.Context(), reconcile.Scope{Scope: store.Scope{Run: id}})
			if err == nil || !strings.Contains(err.Error(), "not launched from here: secret PASS: P is not set") {
				t.Errorf("who follows it says %v", err)
			}
		}
		follow()
		want(t, "attempts", len(w.run(id).Attempts), 0)
		w.fault = func(op string, after bool) error {
			if op == "launch" && after {
				return errors.New("the reply is lost")
			}
			return nil
		}
		own := reconcile.Scope{Scope: store.Scope{Run: id}, Own: true}
		_, _ = w.Pass(t.Context(), own)
		w.fault = nil
		want(t, "state", w.run(id).State, dayfly.Launching)
		w.now = w.now.Add(2 * time.Second)
		w.partial = true // the machine is not seen
		follow()
		want(t, "state", w.run(id).State, dayfly.Launching)
		w.partial = false
		want(t, "outcome", w.until(id, dayfly.Ended).Outcome, dayfly.Succeeded)
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

// TestTaskOfAJob: all that a job says of its machine and its work reaches the provider and the agent.
func TestTaskOfAJob(t *testing.T) {
	t.Parallel()
	j := job("pi", func(j *dayfly.Job) {
		j.Machine = dayfly.MachineChoice{On: "local", CPU: 1.5, Memory: 1 << 30, Network: "none", Isolation: dayfly.IsolationFull, Pids: 77}
		j.Env, j.Secrets = map[string]string{"A": "1"}, map[string]string{"B": "env:B", "C": "env:C"}
		j.Run, j.FilesSHA256 = "echo it", strings.Repeat("ab", 32)
		j.Timeout, j.Grace, j.Deadline = dayfly.Seconds(7*time.Second), dayfly.Seconds(3*time.Second), dayfly.Seconds(20*time.Minute)
	})
	w := setup(t)
	w.secret = func(ref string) (string, error) { return "value of " + ref, nil }
	var got machine.Spec
	w.live = func(s machine.Spec) fake.Life {
		got = s
		return fake.Life{Run: time.Second}
	}
	before := w.until(w.request(j), dayfly.Ended)
	w.now = w.now.Add(time.Hour)
	r := w.until(w.request(j), dayfly.Ended)
	a := r.Attempt()
	want := machine.Spec{
		Token:   dayfly.Token(installation, r.ID, 1, 0),
		Tags:    dayfly.Tags{Installation: installation, Run: r.ID, Attempt: 1, Deadline: a.LaunchedAt.Add(20 * time.Minute), Token: a.Token},
		Machine: j.Machine, Location: "local", Secrets: map[string]string{"B": "value of env:B", "C": "value of env:C"},
		Task: dayfly.Task{
			Job: "pi", Run: r.ID, Attempt: 1, Slot: r.Slot, Prefix: "runs/pi/" + string(r.ID) + "/1/", Env: j.Env, SecretNames: []string{"B", "C"},
			FilesSHA256: j.FilesSHA256, Script: "echo it", Timeout: j.Timeout, Grace: j.Grace, Deadline: a.LaunchedAt.Add(20 * time.Minute),
			PreviousSuccess: before.Slot, Pids: 77,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
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

func (s *unreadable) Versions(context.Context, []string) (map[string]dayfly.Job, error) {
	return nil, errors.New("EIO")
}

// crowded is a store that others use too.
type crowded struct {
	store.Store
	err    error
	inside int
	asked  int
}

func (s *crowded) Admission(context.Context) (leave func(), err error) {
	if s.err != nil {
		return nil, s.err
	}
	s.inside++
	s.asked++
	return func() { s.inside-- }, nil
}
