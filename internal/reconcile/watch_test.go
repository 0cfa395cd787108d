package reconcile_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/fake"
	"github.com/dayfly-io/dayfly/internal/reconcile"
)

// diary is a watcher that writes down what it is told, and how late that was.
type diary struct{ lines []string }

func (d *diary) Begun(r dayfly.Run, due time.Time) {
	d.lines = append(d.lines, fmt.Sprintf("begun %d %s", r.Attempt().Number, r.Attempt().LaunchedAt.Sub(due)))
}

func (d *diary) Started(r dayfly.Run, due time.Time) {
	d.lines = append(d.lines, fmt.Sprintf("started %s", r.Attempts[0].StartedAt.Sub(due)))
}

func (d *diary) Ended(r dayfly.Run) { d.lines = append(d.lines, "ended "+string(r.Outcome)) }

func (d *diary) String() string { return strings.Join(d.lines, ", ") }

// TestWatcher: what it is told, and by how much that was late.
func TestWatcher(t *testing.T) {
	t.Parallel()
	watched := func(t *testing.T) (*world, *diary) {
		d := &diary{}
		return setup(t, func(_ *world, c *reconcile.Config) { c.Watch = d }), d
	}
	t.Run("a slot is due when it is", func(t *testing.T) {
		t.Parallel()
		w, d := watched(t)
		w.apply(job("pi", at("0 1 * * *")))
		w.now = monday.Add(time.Hour + 5*time.Second)
		w.until("pi-20261123T010000Z", dayfly.Ended)
		want(t, "told", d.String(), "begun 1 5s, started 6s, ended succeeded")
	})
	t.Run("or as much later as its jitter says", func(t *testing.T) {
		t.Parallel()
		w, d := watched(t)
		j := job("pi", at("0 1 * * *"), func(j *dayfly.Job) { j.Jitter = dayfly.Seconds(10 * time.Minute) })
		w.apply(j)
		slot := monday.Add(time.Hour)
		w.now = slot.Add(j.Delay(installation, slot, "") + 3*time.Second)
		w.until("pi-20261123T010000Z", dayfly.Ended)
		want(t, "told", d.String(), "begun 1 3s, started 4s, ended succeeded")
	})
	t.Run("what was asked for is due from then on, and a slot of the past is no late one", func(t *testing.T) {
		t.Parallel()
		w, d := watched(t)
		id := w.request(job("pi"))
		w.now = w.now.Add(2 * time.Second)
		w.until(id, dayfly.Ended)
		want(t, "told", d.String(), "begun 1 2s, started 3s, ended succeeded")

		w, d = watched(t)
		w.filled(w.fill(job("pi", at("0 0 * * *")), 1, nights(400)[:1]), reconcile.Scope{Slots: true})
		want(t, "told of a backfill", d.String(), "begun 1 0s, started 1s, ended succeeded")
	})
	t.Run("a start that only the report tells of is told once", func(t *testing.T) {
		t.Parallel()
		w, d := watched(t)
		w.live = func(machine.Spec) fake.Life { return fake.Life{Boot: 2 * time.Second, Run: 9 * time.Second} }
		id := w.request(job("pi"))
		w.pass()
		w.now = w.now.Add(time.Minute) // nobody looked while it ran
		w.until(id, dayfly.Ended)
		want(t, "told", d.String(), "begun 1 0s, started 2s, ended succeeded")
	})
	t.Run("a retry is due after its wait, and its start is not the run's", func(t *testing.T) {
		t.Parallel()
		w, d := watched(t)
		w.exit = func(s machine.Spec) int { return 2 - s.Task.Attempt }
		id := w.request(job("pi", retries(2, dayfly.Failed)))
		w.until(id, dayfly.Due)
		w.now = w.run(id).NotBefore.Add(4 * time.Second)
		w.until(id, dayfly.Ended)
		want(t, "told", d.String(), "begun 1 0s, started 1s, begun 2 4s, ended succeeded")
	})
}

// TestWaiting: how many wait for a machine, and since when the one that has waited longest.
func TestWaiting(t *testing.T) {
	t.Parallel()
	// full gives a world in which the only machine is taken.
	full := func(t *testing.T) *world {
		w := setup(t, func(_ *world, c *reconcile.Config) { c.Machines = 1 })
		w.live = immortal
		w.until(w.request(job("first", func(j *dayfly.Job) { j.Deadline = dayfly.Seconds(48 * time.Hour) })), dayfly.Running)
		return w
	}
	check := func(t *testing.T, w *world, waiting int, oldest time.Time) {
		t.Helper()
		sum := w.pass()
		want(t, "waiting", sum.Waiting, waiting)
		want(t, "active", sum.Active, waiting+1)
		want(t, "oldest", sum.Oldest, oldest)
	}
	t.Run("a slot waits since it is due, jitter included", func(t *testing.T) {
		t.Parallel()
		w := full(t)
		slot := monday.Add(time.Hour)
		late := job("late", at("0 1 * * *"), func(j *dayfly.Job) { j.Jitter = dayfly.Seconds(10 * time.Minute) })
		w.apply(late)
		w.apply(job("soon", at("30 1 * * *")))
		check(t, w, 0, time.Time{})
		w.now = monday.Add(100 * time.Minute)
		check(t, w, 2, slot.Add(late.Delay(installation, slot, "")))
	})
	t.Run("a slot of last year waits since it was asked for", func(t *testing.T) {
		t.Parallel()
		w := full(t)
		w.now = w.now.Add(time.Minute)
		asked := w.now
		w.fill(job("pi", at("0 0 * * *")), 3, nights(400)[:3])
		check(t, w, 3, asked)
		w.now = w.now.Add(time.Hour)
		check(t, w, 3, asked)
	})
	t.Run("a retry waits since it may be tried again", func(t *testing.T) {
		t.Parallel()
		w := setup(t, func(_ *world, c *reconcile.Config) { c.Machines = 1 })
		w.exit = func(machine.Spec) int { return 3 }
		id := w.request(job("pi", retries(2, dayfly.Failed)))
		again := w.until(id, dayfly.Due).NotBefore
		want(t, "those that wait before", w.pass().Waiting, 0)
		w.live = immortal
		other := w.request(job("other"))
		w.until(other, dayfly.Running)
		w.now = again.Add(time.Minute)
		check(t, w, 1, again)
	})
}
