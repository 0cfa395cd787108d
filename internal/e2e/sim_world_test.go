package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/bucket/mem"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/fake"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
	storefake "github.com/dayfly-io/dayfly/internal/store/fake"
)

const simInstallation = "simulated"

// world is the real control loop between a fake clock and fakes that fail. Everything happens in one
// goroutine, from one seed, so a failure can be repeated.
type world struct {
	t    *testing.T
	seed uint64
	rng  *rand.Rand
	// people and places have dice of their own: they change nothing about which faults there are.
	people, places *rand.Rand

	real time.Time     // what the machines and the oracle live by
	skew time.Duration // what the scheduler's clock is wrong by

	store    *storefake.Store
	bucket   *mem.Bucket
	local    *fake.Provider
	cloud    *fake.Provider        // it names machines itself, its lists lag, and it forgets
	one, two *reconcile.Reconciler // two schedulers over the same records

	storeDown, bucketDown, providerDown, full time.Time // until then
	partial                                   time.Time // until then lists break off
	glitch                                    float64
	dead                                      bool // the scheduler was killed in the middle of its pass
	killIn, nestIn                            int  // operations until it is killed, or until another pass cuts in
	nested, cutIn                             bool // in the other pass; it happened during this one

	// Evidence, by run and attempt.
	started  map[string]int  // machines ever made
	vanished map[string]bool // their machine ended without a word
	stepped  map[string]bool // the clock was set while lists did not show their machine yet
	late     int             // machines made that lists show late
	faults   int
	passes   int
}

// simLag is how late the cloud's lists may be.
const simLag = time.Minute

// lagOf is how late they show a machine: every other one at once.
func lagOf(s machine.Spec) time.Duration {
	n, err := strconv.ParseUint(s.Token[:8], 16, 32)
	if err != nil || n%2 == 0 {
		return 0
	}
	return time.Duration(n) * simLag >> 32
}

var (
	errDown   = errors.New("connection refused")
	errKilled = errors.New("killed")
	errGlitch = errors.New("500 internal error")
)

func newWorld(t *testing.T, seed uint64, start time.Time) *world {
	w := &world{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), people: rand.New(rand.NewPCG(seed, 2)),
		places: rand.New(rand.NewPCG(seed, 3)), real: start,
		store: storefake.New(), killIn: -1, nestIn: -1,
		started: map[string]int{}, vanished: map[string]bool{}, stepped: map[string]bool{},
	}
	w.bucket = mem.New(func() time.Time { return w.real })
	c := fake.Config{
		Now: func() time.Time { return w.real }, Live: w.live, OnEnd: w.finish,
		Fault:   func(op string, after bool) error { return w.strike(w.providerDown, op, after) },
		Partial: func() bool { return w.real.Before(w.partial) },
	}
	w.local = fake.New(c)
	c.Name, c.Location, c.Lag, c.Keeps = "cloud", "cloud", lagOf, 5*time.Minute
	w.cloud = fake.New(c)
	w.store.Fail(
		func(op string) error { return w.strike(w.storeDown, op, false) },
		func(op string) error { return w.strike(w.storeDown, op, true) },
	)
	w.bucket.Fail(
		func(op, _ string) error { return w.strike(w.bucketDown, op, false) },
		func(op, _ string) error { return w.strike(w.bucketDown, op, true) },
	)
	w.one, w.two = w.reconciler(), w.reconciler()
	return w
}

func (w *world) reconciler(edit ...func(*reconcile.Config)) *reconcile.Reconciler {
	c := reconcile.Config{
		Installation: simInstallation, Store: w.store, Bucket: w.bucket, Parallel: 1, Machines: 40,
		Providers: map[string]machine.Provider{"local": w.local, "cloud": struct{ machine.Provider }{w.cloud}},
		Settle:    map[string]time.Duration{"cloud": simLag},
		Now:       func() time.Time { return w.real.Add(w.skew) },
		Jitter:    func(d time.Duration) time.Duration { return d },
		Secret:    func(string) (string, error) { return "", errors.New("no secrets here") },
		Log:       slog.New(slog.DiscardHandler),
	}
	for _, e := range edit {
		e(&c)
	}
	r, err := reconcile.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// strike is asked before and after every operation on store, bucket and provider.
func (w *world) strike(downUntil time.Time, op string, after bool) error {
	if w.dead {
		return errKilled
	}
	if w.killIn >= 0 {
		if w.killIn--; w.killIn < 0 {
			w.dead = true
			return errKilled
		}
	}
	if w.real.Before(downUntil) {
		return errDown
	}
	if op == "launch" && !after && w.real.Before(w.full) {
		return &machine.CapacityError{Scope: "here", Err: errDown}
	}
	if w.glitch > 0 && w.rng.Float64() < w.glitch {
		return errGlitch
	}
	if w.nestIn >= 0 && !w.nested {
		if w.nestIn--; w.nestIn < 0 { // the other scheduler makes a whole pass in the middle of ours
			w.nested, w.cutIn = true, true
			_, _ = w.two.Pass(context.Background(), reconcile.Scope{Slots: true}) // its errors are the world's
			w.nested = false
		}
	}
	return nil
}

// live decides what a new machine will do, and is the evidence that it was made.
func (w *world) live(s machine.Spec) fake.Life {
	key := attemptKey(s.Task.Run, s.Task.Attempt)
	if s.Machine.On == "cloud" && lagOf(s) > 0 {
		w.late++
	}
	if w.started[key]++; w.started[key] > 1 {
		w.t.Errorf("seed %d: %s got %d machines", w.seed, key, w.started[key])
	}
	life := fake.Life{Boot: time.Second, Run: time.Duration(1+w.rng.IntN(90)) * time.Second}
	switch w.rng.IntN(50) {
	case 0:
		life.Immortal = true
	case 1:
		life.Run = time.Duration(10+w.rng.IntN(50)) * time.Minute
	}
	return life
}

// finish is what an agent does at the end of its job: log, report; or it vanishes, or fails.
func (w *world) finish(s machine.Spec, at time.Time) {
	fate := w.rng.IntN(20)
	if fate == 0 {
		w.vanished[attemptKey(s.Task.Run, s.Task.Attempt)] = true
		return
	}
	code := 0
	if fate == 1 {
		code = 1
	}
	log := []byte("log of " + s.Task.Run)
	sum := sha256.Sum256(log)
	rep := dayfly.Report{
		Run: s.Task.Run, Attempt: s.Task.Attempt, Outcome: dayfly.Succeeded, ExitCode: &code, FinishedAt: at, SavedAt: at,
		Log: dayfly.Object{Key: s.Task.Prefix + dayfly.KeyLog, Size: int64(len(log)), SHA256: hex.EncodeToString(sum[:])},
	}
	if code != 0 {
		rep.Outcome = dayfly.Failed
	}
	body, err := json.Marshal(rep)
	if err != nil {
		w.t.Fatal(err)
	}
	w.calm(func() { // the machine reaches the bucket whatever the scheduler sees
		for key, b := range map[string][]byte{rep.Log.Key: log, s.Task.Prefix + dayfly.KeyReport: body} {
			if _, err := w.bucket.Put(context.Background(), key, bytes.NewReader(b), bucket.Condition{}); err != nil {
				w.t.Fatalf("seed %d: put %s: %v", w.seed, key, err)
			}
		}
	})
}

// calm does f without faults.
func (w *world) calm(f func()) {
	was := *w
	w.storeDown, w.bucketDown, w.providerDown, w.full, w.partial = time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	w.glitch, w.dead, w.killIn, w.nestIn = 0, false, -1, -1
	f()
	w.storeDown, w.bucketDown, w.providerDown, w.full, w.partial = was.storeDown, was.bucketDown, was.providerDown, was.full, was.partial
	w.glitch, w.dead, w.killIn, w.nestIn = was.glitch, was.dead, was.killIn, was.nestIn
}

func attemptKey(run dayfly.RunID, attempt int) string {
	return fmt.Sprintf("%s attempt %d", run, attempt)
}

// setClock makes the scheduler's clock wrong by so much. How long ago something was is then wrong too.
func (w *world) setClock(skew time.Duration) {
	w.skew = skew
	for _, m := range w.cloud.Alive() {
		if w.real.Before(m.LaunchedAt.Add(simLag)) {
			w.stepped[attemptKey(m.Tags.Run, m.Tags.Attempt)] = true
		}
	}
}

// alive are all machines that there really are.
func (w *world) alive() []dayfly.Machine { return append(w.local.Alive(), w.cloud.Alive()...) }

// nextEnd is when the next of them ends by itself; zero when none will.
func (w *world) nextEnd() time.Time {
	local, cloud := w.local.NextEnd(), w.cloud.NextEnd()
	if local.IsZero() {
		return cloud
	}
	return soonest(local, cloud)
}

// pass makes one pass, and checks what must hold after any pass.
func (w *world) pass() (reconcile.Summary, error) {
	w.cutIn = false
	sum, err := w.one.Pass(context.Background(), reconcile.Scope{Slots: true})
	w.passes++
	w.dead = false // a new process
	w.calm(func() { w.invariants(err == nil && !w.cutIn) })
	return sum, err
}

func (w *world) invariants(clean bool) {
	seen := map[dayfly.RunID]bool{}
	atOnce := map[string]int{}
	for _, m := range w.alive() {
		if seen[m.Tags.Run] {
			w.t.Errorf("seed %d at %s: run %s has two machines", w.seed, w.real, m.Tags.Run)
		}
		seen[m.Tags.Run] = true
		run, err := w.store.Run(context.Background(), m.Tags.Run)
		if err == nil {
			w.checkAtOnce(run, atOnce)
		}
		if err != nil || run.State == dayfly.Ended || run.State == dayfly.Due || run.Attempt().Token != m.Tags.Token {
			w.t.Errorf("seed %d at %s: machine of %s attempt %d is alive, the run is %s (%v)", w.seed, w.real, m.Tags.Run, m.Tags.Attempt, run.State, err)
		}
		grace := 2 * time.Second
		if m.Provider == "cloud" {
			grace += simLag // nobody knows of it yet
		}
		if clean && w.skew >= 0 && w.partial.Before(w.real) && m.Tags.Deadline.Add(grace).Before(w.real) {
			w.t.Errorf("seed %d at %s: machine of %s is past its deadline %s; the run is %s", w.seed, w.real, m.Tags.Run, m.Tags.Deadline, run.State)
		}
	}
	if !clean {
		return
	}
	now := w.real.Add(w.skew)
	active, err := w.store.ActiveRuns(context.Background(), store.Scope{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range active {
		late := r.State == dayfly.Due && len(r.Attempts) == 0 && r.StartDeadline.Add(time.Minute).Before(now)
		if late && !w.arrayBegan(r) {
			w.t.Errorf("seed %d at %s: run %s is %s a minute after its start deadline", w.seed, w.real, r.ID, r.State)
		}
	}
	due, err := w.store.DueJobs(context.Background(), store.Scope{}, now.Add(-time.Minute), 10)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, j := range due {
		w.t.Errorf("seed %d at %s: job %s was due at %s and is not covered", w.seed, w.real, j.Name, j.NextDue)
	}
}

// checkAtOnce counts the machines of each slot of an array.
func (w *world) checkAtOnce(r dayfly.Run, machines map[string]int) {
	job, err := w.store.Version(context.Background(), r.Version)
	if err != nil {
		w.t.Fatal(err)
	}
	slot := fmt.Sprintf("%s at %s", r.Job, r.Slot)
	if machines[slot]++; job.Array != nil && job.Array.AtOnce > 0 && machines[slot] > job.Array.AtOnce {
		w.t.Errorf("seed %d at %s: %s has %d machines at once, at most %d are allowed", w.seed, w.real, slot, machines[slot], job.Array.AtOnce)
	}
}

// arrayBegan tells whether a machine was ever made for a shard of the run's slot.
func (w *world) arrayBegan(r dayfly.Run) bool {
	_, index := r.Shard.Parts()
	for other := range w.store.History(context.Background(), store.Filter{Job: r.Job, Since: r.Slot}) {
		if index >= 0 && other.Slot.Equal(r.Slot) && len(other.Attempts) > 0 {
			return true
		}
	}
	return false
}
