package reconcile_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/fake"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

func immortal(machine.Spec) fake.Life { return fake.Life{Boot: time.Second, Immortal: true} }

func TestRun(t *testing.T) {
	t.Parallel()
	t.Run("a slot becomes a run, a machine, and an end", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(job("pi", at("0 1 * * *")))
		want(t, "next", w.pass().Next, monday.Add(time.Hour))
		w.now = monday.Add(time.Hour)
		w.pass()
		r := w.run("pi-20261123T010000Z")
		want(t, "state", r.State, dayfly.Running)
		want(t, "trigger", r.Trigger, dayfly.TriggerSchedule)
		want(t, "deadline", r.Attempt().Deadline, w.now.Add(75*time.Minute))
		want(t, "the machine's tags", w.provider.Alive()[0].Tags, dayfly.Tags{
			Installation: installation, Run: r.ID, Attempt: 1, Deadline: r.Attempt().Deadline, Token: r.Attempt().Token,
		})
		w.now = w.now.Add(10 * time.Second)
		w.pass()
		r = w.run(r.ID)
		want(t, "state", r.State, dayfly.Ended)
		want(t, "outcome", r.Outcome, dayfly.Succeeded)
		want(t, "exit code", *r.Attempt().ExitCode, 0)
		want(t, "gone at", r.Attempt().GoneAt, w.now)
		want(t, "log", w.get(r.Attempt().Request.Task.Prefix+dayfly.KeyLog), "hello from "+string(r.ID)+"\n")
		for o := range w.bucket.List(t.Context(), r.Attempt().Request.Task.Prefix+dayfly.KeyChunks, "") {
			t.Errorf("a chunk is left: %s", o.Key)
		}
		want(t, "machines", len(w.provider.Alive()), 0)
	})
	t.Run("the next run knows when the last one succeeded", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("pi")
		first := w.until(w.request(j), dayfly.Ended)
		second := w.until(w.request(j), dayfly.Ended)
		want(t, "previous success of the first", first.Attempt().Request.Task.PreviousSuccess, time.Time{})
		want(t, "previous success", second.Attempt().Request.Task.PreviousSuccess, first.Slot)
	})
	t.Run("also when several end at once", func(t *testing.T) {
		t.Parallel()
		crossed := &crossing{noted: make(chan struct{})}
		crossed.arrived.Add(2)
		w := setup(t, func(w *world, c *reconcile.Config) { crossed.Store, c.Store, c.Parallel = w.store, crossed, 2 })
		j := job("pi", allow)
		w.until(w.request(j), dayfly.Running)
		w.now = w.now.Add(time.Second)
		late := w.until(w.request(j), dayfly.Running)
		crossed.late = late.Slot.Format(time.RFC3339Nano)
		w.now = w.now.Add(time.Minute)
		w.pass()
		want(t, "state", w.run(late.ID).State, dayfly.Ended)
		last, err := reconcile.LastSuccess(t.Context(), w.store, "pi", w.now)
		want(t, "error", err, nil)
		want(t, "previous success", last, late.Slot)
	})
	t.Run("a failure is final without a retry", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.exit = func(machine.Spec) int { return 3 }
		r := w.until(w.request(job("pi", retries(3, dayfly.Lost))), dayfly.Ended)
		want(t, "outcome", r.Outcome, dayfly.Failed)
		want(t, "attempts", len(r.Attempts), 1)
		want(t, "exit code", *r.Attempt().ExitCode, 3)
	})
	t.Run("a failure is retried with backoff when the job asks", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.exit = func(s machine.Spec) int { return 3 - s.Task.Attempt }
		r := w.until(w.request(job("pi", retries(5, dayfly.Failed))), dayfly.Ended)
		want(t, "outcome", r.Outcome, dayfly.Succeeded)
		want(t, "attempts", len(r.Attempts), 3)
		for i := 1; i < len(r.Attempts); i++ {
			pause := r.Attempts[i].LaunchedAt.Sub(r.Attempts[i-1].GoneAt)
			if low := time.Minute << (i - 1); pause < low || pause > low+2*time.Second {
				t.Errorf("attempt %d began %s after the one before, want %s", i+1, pause, low)
			}
		}
	})
	t.Run("a machine that vanishes is lost, and retried when the job asks", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.exit = func(s machine.Spec) int { return s.Task.Attempt - 2 } // the first one vanishes
		r := w.until(w.request(job("pi", retries(2, dayfly.Lost))), dayfly.Ended)
		want(t, "outcome", r.Outcome, dayfly.Succeeded)
		want(t, "first attempt", r.Attempts[0].Outcome, dayfly.Lost)
		want(t, "attempts", len(r.Attempts), 2)
	})
	t.Run("a machine is ended at its deadline and the run is not over before it is gone", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.live = immortal
		id := w.request(job("pi"))
		r := w.until(id, dayfly.Running)
		w.now = r.Attempt().Deadline
		w.fault = func(op string, _ bool) error {
			if op == "terminate" {
				return errors.New("throttled")
			}
			return nil
		}
		for range 5 {
			if err := w.tryPass(); err == nil {
				t.Error("the pass does not say that it could not end a machine")
			}
			want(t, "state", w.run(id).State, dayfly.Stopping)
			w.now = w.now.Add(time.Second)
		}
		w.fault = nil
		r = w.until(id, dayfly.Ended)
		want(t, "outcome", r.Outcome, dayfly.TimedOut)
		want(t, "machines", len(w.provider.Alive()), 0)
	})
	t.Run("a machine ends at its deadline though the bucket cannot be read", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.live = immortal
		id := w.request(job("pi"))
		r := w.until(id, dayfly.Running)
		w.now = r.Attempt().Deadline
		w.bucket.Fail(func(op, _ string) error {
			if op == "Get" {
				return errors.New("EIO")
			}
			return nil
		}, nil)
		if err := w.tryPass(); err == nil {
			t.Error("the pass does not say that the bucket cannot be read")
		}
		want(t, "machines", len(w.provider.Alive()), 0)
		w.now = w.now.Add(time.Minute)
		_ = w.tryPass() // it cannot know whether there was a report
		want(t, "state", w.run(id).State, dayfly.Stopping)
		w.bucket.Fail(nil, nil)
		want(t, "outcome", w.until(id, dayfly.Ended).Outcome, dayfly.TimedOut)
	})
	t.Run("a cancelled run is told, and ended from outside after 30 s", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.live = immortal
		id := w.request(job("pi"))
		w.until(id, dayfly.Running)
		asked := w.now
		if err := reconcile.Cancel(t.Context(), w.store, id, "by hand", w.now); err != nil {
			t.Fatal(err)
		}
		w.pass()
		want(t, "cancel object", w.get(w.run(id).Attempt().Request.Task.Prefix+dayfly.KeyCancel), "by hand")
		r := w.until(id, dayfly.Ended)
		want(t, "outcome", r.Outcome, dayfly.Canceled)
		want(t, "reason", r.Reason, "by hand")
		if d := r.EndedAt.Sub(asked); d < 30*time.Second || d > 33*time.Second {
			t.Errorf("it ended %s after the cancel", d)
		}
		if err := reconcile.Cancel(t.Context(), w.store, id, "again", w.now); dayfly.ErrorCode(err) != dayfly.CodeRefused {
			t.Errorf("cancel of an ended run: %v", err)
		}
	})
	t.Run("a run that is cancelled before its launch gets no machine", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		id := w.request(job("pi"))
		if err := reconcile.Cancel(t.Context(), w.store, id, "changed my mind", w.now); err != nil {
			t.Fatal(err)
		}
		r := w.until(id, dayfly.Ended)
		want(t, "outcome", r.Outcome, dayfly.Canceled)
		want(t, "machines ever", w.provider.Launched(), 0)
	})
	t.Run("a run that ended can run again under the next n", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.apply(job("pi", at("0 1 * * *")))
		w.now = monday.Add(time.Hour)
		r := w.until("pi-20261123T010000Z", dayfly.Ended)
		for n := 1; n <= 2; n++ {
			again, err := reconcile.Again(t.Context(), w.store, r.ID, w.now)
			if err != nil {
				t.Fatal(err)
			}
			want(t, "n", again.N, n)
			want(t, "of", again.Of, r.ID)
			if _, err := reconcile.Again(t.Context(), w.store, again.ID, w.now); dayfly.ErrorCode(err) != dayfly.CodeRefused {
				t.Errorf("retry of an active run: %v", err)
			}
			want(t, "outcome", w.until(again.ID, dayfly.Ended).Outcome, dayfly.Succeeded)
		}
	})
	t.Run("two requests of one millisecond are two runs", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("pi")
		if a, b := w.request(j), w.request(j); a == b {
			t.Errorf("both are %s", a)
		}
	})
}

func TestReport(t *testing.T) {
	t.Parallel()
	tamper := func(t *testing.T, f func(w *world, s machine.Spec)) dayfly.Run {
		w := setup(t)
		w.exit = func(machine.Spec) int { return -1 }
		w.live = func(s machine.Spec) fake.Life {
			w.exit = func(machine.Spec) int { return 0 }
			w.report(s, w.now.Add(9*time.Second))
			f(w, s)
			w.exit = func(machine.Spec) int { return -1 }
			return fake.Life{Run: 9 * time.Second}
		}
		return w.until(w.request(job("pi")), dayfly.Ended)
	}
	t.Run("one that is true is believed", func(t *testing.T) {
		t.Parallel()
		r := tamper(t, func(*world, machine.Spec) {})
		want(t, "outcome", r.Outcome, dayfly.Succeeded)
	})
	t.Run("a log of another size is not", func(t *testing.T) {
		t.Parallel()
		r := tamper(t, func(w *world, s machine.Spec) { w.put(s.Task.Prefix+dayfly.KeyLog, []byte("short")) })
		want(t, "outcome", r.Outcome, dayfly.Lost)
		if !strings.Contains(r.Reason, "bytes") {
			t.Errorf("reason: %s", r.Reason)
		}
	})
	t.Run("a log with one other byte is not", func(t *testing.T) {
		t.Parallel()
		r := tamper(t, func(w *world, s machine.Spec) {
			log := []byte(w.get(s.Task.Prefix + dayfly.KeyLog))
			log[0] ^= 1
			w.put(s.Task.Prefix+dayfly.KeyLog, log)
		})
		want(t, "outcome", r.Outcome, dayfly.Lost)
	})
	t.Run("a log that is missing is not", func(t *testing.T) {
		t.Parallel()
		r := tamper(t, func(w *world, s machine.Spec) {
			if err := w.bucket.Delete(t.Context(), s.Task.Prefix+dayfly.KeyLog); err != nil {
				t.Error(err)
			}
		})
		want(t, "outcome", r.Outcome, dayfly.Lost)
	})
	t.Run("one that cannot be read is not", func(t *testing.T) {
		t.Parallel()
		r := tamper(t, func(w *world, s machine.Spec) { w.put(s.Task.Prefix+dayfly.KeyReport, []byte("{")) })
		want(t, "outcome", r.Outcome, dayfly.Lost)
	})
	t.Run("while the bucket is down the run waits and nothing is lost", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		id := w.request(job("pi"))
		w.until(id, dayfly.Running)
		w.now = w.now.Add(time.Minute)
		w.provider.Settle()
		w.bucket.Fail(func(op, _ string) error {
			if op == "Get" {
				return errors.New("bucket is down")
			}
			return nil
		}, nil)
		for range 3 {
			if err := w.tryPass(); err == nil {
				t.Error("the pass does not say that the bucket is down")
			}
			want(t, "state", w.run(id).State, dayfly.Running)
		}
		w.bucket.Fail(nil, nil)
		want(t, "outcome", w.until(id, dayfly.Ended).Outcome, dayfly.Succeeded)
	})
}

func TestLaunch(t *testing.T) {
	t.Parallel()
	t.Run("a lost reply is repeated with the same token and bytes", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		lost := 3
		w.fault = func(op string, after bool) error {
			if op == "launch" && after && lost > 0 {
				lost--
				return errors.New("connection reset")
			}
			return nil
		}
		r := w.until(w.request(job("pi")), dayfly.Ended)
		want(t, "outcome", r.Outcome, dayfly.Succeeded)
		want(t, "machines ever", w.provider.Launched(), 1)
		want(t, "attempts", len(r.Attempts), 1)
	})
	t.Run("without capacity it is refused, or tried again when the job asks", func(t *testing.T) {
		t.Parallel()
		for _, tries := range []int{1, 4} {
			w := setup(t)
			none := 3
			w.fault = func(op string, after bool) error {
				if op == "launch" && !after && none > 0 {
					none--
					return &machine.CapacityError{Scope: "here", Err: errors.New("full")}
				}
				return nil
			}
			r := w.until(w.request(job("pi", retries(tries, dayfly.Capacity))), dayfly.Ended)
			want(t, "attempts", len(r.Attempts), tries)
			if tries == 1 {
				want(t, "outcome", r.Outcome, dayfly.Refused)
			} else {
				want(t, "outcome", r.Outcome, dayfly.Succeeded)
			}
		}
	})
	t.Run("what cannot work is refused at once, with how to mend it", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.fault = func(op string, after bool) error {
			if op == "launch" {
				return &machine.ConfigError{Problem: "isolation full cannot be had", Hint: "install uidmap"}
			}
			return nil
		}
		r := w.until(w.request(job("pi", retries(9, dayfly.Capacity, dayfly.Lost))), dayfly.Ended)
		want(t, "outcome", r.Outcome, dayfly.Refused)
		want(t, "reason", r.Reason, "isolation full cannot be had: install uidmap")
		want(t, "attempts", len(r.Attempts), 1)
	})
	t.Run("a definite no is not the last word when another pass got the machine", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.live = immortal
		w.secret = func(string) (string, error) { return "known here", nil }
		id := w.request(job("pi", func(j *dayfly.Job) { j.Secrets = map[string]string{"PASS": "env:P"} }))
		other := w.Config
		other.Secret = func(string) (string, error) { return "", errors.New("environment variable P is not set") }
		r, err := reconcile.New(other)
		if err != nil {
			t.Fatal(err)
		}
		w.fault = func(op string, after bool) error {
			if op == "launch" && !after { // our call is on its way when somebody else gets a no
				w.fault = nil
				if _, err := r.Pass(t.Context(), reconcile.Scope{Slots: true}); err != nil {
					t.Error(err)
				}
			}
			return nil
		}
		w.pass()
		want(t, "outcome", w.run(id).Attempt().Outcome, dayfly.Refused)
		for range 10 {
			if w.run(id).State == dayfly.Ended && len(w.provider.Alive()) > 0 {
				t.Fatalf("the run has ended (%s) and its machine is alive", w.run(id).Outcome)
			}
			w.pass()
			w.now = w.now.Add(time.Second)
		}
		want(t, "machines ever", w.provider.Launched(), 0)
	})
	t.Run("who only looks launches nothing and refuses nothing", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.exit = func(s machine.Spec) int { return 2 - s.Task.Attempt }
		known := true
		w.secret = func(string) (string, error) {
			if known {
				return "secret", nil
			}
			return "", errors.New("environment variable P is not set")
		}
		id := w.request(job("pi", retries(2, dayfly.Failed), func(j *dayfly.Job) { j.Secrets = map[string]string{"PASS": "env:P"} }))
		w.until(id, dayfly.Running)
		known = false
		glance := func() {
			t.Helper()
			if _, err := w.Pass(t.Context(), reconcile.Scope{Glance: true}); err != nil {
				t.Fatal(err)
			}
		}
		w.now = w.now.Add(time.Minute)
		glance()
		want(t, "after the first attempt", w.run(id).State, dayfly.Due)
		w.now = w.now.Add(time.Hour)
		glance()
		want(t, "after the wait", w.run(id).State, dayfly.Due)
		known = true
		want(t, "in the end", w.until(id, dayfly.Ended).Outcome, dayfly.Succeeded)
	})
	t.Run("a launch that stays unknown is given up at the deadline, and nothing is left", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.live = immortal
		w.fault = func(op string, after bool) error {
			if op == "launch" && after {
				return errors.New("connection reset")
			}
			return nil
		}
		w.partial = true // nor does the list help
		id := w.request(job("pi", func(j *dayfly.Job) { j.Deadline = dayfly.Seconds(time.Minute) }))
		r := w.until(id, dayfly.Stopping)
		want(t, "outcome", r.Attempt().Outcome, dayfly.Lost)
		w.partial = false
		want(t, "outcome", w.until(id, dayfly.Ended).Outcome, dayfly.Lost)
		want(t, "machines", len(w.provider.Alive()), 0)
		want(t, "machines ever", w.provider.Launched(), 1)
	})
	t.Run("secrets go to the machine and nowhere else", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		var got map[string]string
		w.live = func(s machine.Spec) fake.Life { got = s.Secrets; return fake.Life{Run: time.Second} }
		w.secret = func(ref string) (string, error) { return "s3cret of " + ref, nil }
		r := w.until(w.request(job("pi", func(j *dayfly.Job) { j.Secrets = map[string]string{"PASS": "env:P"} })), dayfly.Ended)
		want(t, "secret", got["PASS"], "s3cret of env:P")
		want(t, "stored secrets", len(r.Attempt().Request.Secrets), 0)
		if strings.Contains(w.get(r.Attempt().Request.Task.Prefix+dayfly.KeyTask), "s3cret") {
			t.Error("job.json has the secret")
		}
	})
	t.Run("a secret that cannot be read refuses the run", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.secret = func(string) (string, error) { return "", errors.New("environment variable P is not set") }
		r := w.until(w.request(job("pi", func(j *dayfly.Job) { j.Secrets = map[string]string{"PASS": "env:P"} })), dayfly.Ended)
		want(t, "outcome", r.Outcome, dayfly.Refused)
		want(t, "reason", r.Reason, "secret PASS: environment variable P is not set")
		want(t, "machines ever", w.provider.Launched(), 0)
	})
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	outcomes := func(w *world, ids ...dayfly.RunID) (out []dayfly.Outcome) {
		for _, id := range ids {
			out = append(out, w.until(id, dayfly.Ended).Outcome)
		}
		return out
	}
	for _, c := range []struct {
		overlap dayfly.Overlap
		want    []dayfly.Outcome
		atOnce  int
	}{
		{dayfly.OverlapSkip, []dayfly.Outcome{dayfly.Succeeded, dayfly.Skipped, dayfly.Skipped}, 1},
		{dayfly.OverlapQueue, []dayfly.Outcome{dayfly.Succeeded, dayfly.Succeeded, dayfly.Succeeded}, 1},
		{dayfly.OverlapReplace, []dayfly.Outcome{dayfly.Canceled, dayfly.Canceled, dayfly.Succeeded}, 1},
		{dayfly.OverlapAllow, []dayfly.Outcome{dayfly.Succeeded, dayfly.Succeeded, dayfly.Succeeded}, 3},
	} {
		t.Run(string(c.overlap), func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.live = func(machine.Spec) fake.Life { return fake.Life{Run: time.Minute} }
			j := job("pi", func(j *dayfly.Job) { j.Overlap = c.overlap })
			most := 0
			var ids []dayfly.RunID
			for range 3 {
				ids = append(ids, w.request(j))
				w.pass()
				w.now = w.now.Add(time.Second)
				most = max(most, len(w.provider.Alive()))
			}
			if got := outcomes(w, ids...); !slices.Equal(got, c.want) {
				t.Errorf("outcomes %v, want %v", got, c.want)
			}
			want(t, "machines at once", most, c.atOnce)
		})
	}
	t.Run("no more than 100 wait", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.live = immortal
		j := job("pi", func(j *dayfly.Job) { j.Overlap = dayfly.OverlapQueue })
		var ids []dayfly.RunID
		for range 103 {
			ids = append(ids, w.request(j))
		}
		w.pass()
		w.pass()
		skipped := 0
		for _, id := range ids {
			if w.run(id).Outcome == dayfly.Skipped {
				skipped++
			}
		}
		want(t, "skipped", skipped, 2)
	})
	t.Run("a run waiting for its retry is active", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.exit = func(s machine.Spec) int { return 2 - s.Task.Attempt }
		j := job("pi", retries(2, dayfly.Failed))
		first := w.request(j)
		w.until(first, dayfly.Running)
		w.until(first, dayfly.Due)
		second := w.request(j)
		want(t, "second", w.until(second, dayfly.Ended).Outcome, dayfly.Skipped)
		want(t, "first", w.until(first, dayfly.Ended).Outcome, dayfly.Succeeded)
	})
	t.Run("other jobs do not matter", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		a, b := w.request(job("a")), w.request(job("b"))
		w.pass()
		want(t, "a", w.run(a).State, dayfly.Running)
		want(t, "b", w.run(b).State, dayfly.Running)
	})
}

func TestLimits(t *testing.T) {
	t.Parallel()
	allow := func(j *dayfly.Job) { j.Overlap = dayfly.OverlapAllow }
	t.Run("of a job", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		j := job("pi", allow, func(j *dayfly.Job) { j.Limit.Machines = 2 })
		for range 5 {
			w.request(j)
		}
		w.pass()
		want(t, "machines", len(w.provider.Alive()), 2)
	})
	t.Run("in all", func(t *testing.T) {
		t.Parallel()
		w := setup(t, func(_ *world, c *reconcile.Config) { c.Machines = 3 })
		for range 3 {
			w.request(job("a", allow))
			w.request(job("b", allow))
		}
		w.pass()
		want(t, "machines", len(w.provider.Alive()), 3)
		w.now = w.now.Add(time.Minute)
		w.pass()
		want(t, "machines later", w.provider.Launched(), 6)
	})
	t.Run("a pass over one run minds the others", func(t *testing.T) {
		t.Parallel()
		w := setup(t, func(_ *world, c *reconcile.Config) { c.Machines = 1 })
		w.request(job("a"))
		w.pass()
		id := w.request(job("b"))
		if _, err := w.Pass(t.Context(), reconcile.Scope{Scope: store.Scope{Run: id}}); err != nil {
			t.Fatal(err)
		}
		want(t, "state", w.run(id).State, dayfly.Due)
		want(t, "reason", w.run(id).Reason, "the limit of 1 machines in all")
	})
	t.Run("a scheduled run that waits too long is missed, with what it waited for", func(t *testing.T) {
		t.Parallel()
		w := setup(t, func(_ *world, c *reconcile.Config) { c.Machines = 1 })
		w.live = immortal
		w.request(job("a", func(j *dayfly.Job) { j.Deadline = dayfly.Seconds(1000 * time.Hour) }))
		w.apply(job("b", at("0 1 * * *")))
		w.now = monday.Add(time.Hour)
		r := w.until("b-20261123T010000Z", dayfly.Ended)
		want(t, "outcome", r.Outcome, dayfly.Missed)
		want(t, "reason", r.Reason, "not started within 1h of its slot: the limit of 1 machines in all")
	})
}

func TestBucketKeysOfARun(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := w.until(w.request(job("pi")), dayfly.Ended)
	var keys []string
	for o, err := range w.bucket.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	p := "runs/pi/" + string(r.ID) + "/1/"
	if wanted := []string{p + "in/job.json", p + "out/log", p + "out/report.json"}; !slices.Equal(keys, wanted) {
		t.Errorf("keys %q, want %q", keys, wanted)
	}
	if _, err := w.bucket.Stat(t.Context(), p+"in/cancel"); !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("cancel: %v", err)
	}
}

// crossing is a store to which two successes come at once, and the latest arrives first.
type crossing struct {
	store.Store
	late    string
	arrived sync.WaitGroup // two
	came    atomic.Int32
	noted   chan struct{} // closed when the latest is noted
	once    sync.Once
}

func (s *crossing) PutNote(ctx context.Context, n store.Note) error {
	if !strings.HasPrefix(n.Key, "success/") {
		return s.Store.PutNote(ctx, n)
	}
	if s.came.Add(1) <= 2 {
		s.arrived.Done()
	}
	s.arrived.Wait()
	if n.Value != s.late {
		<-s.noted
		return s.Store.PutNote(ctx, n)
	}
	err := s.Store.PutNote(ctx, n)
	s.once.Do(func() { close(s.noted) })
	return err
}
