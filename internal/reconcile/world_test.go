package reconcile_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/bucket/mem"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/fake"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	storefake "github.com/dayfly-io/dayfly/internal/store/fake"

	"github.com/dayfly-io/dayfly/internal/store"
)

// world is a reconciler with everything around it in memory and a clock that the test moves.
type world struct {
	*reconcile.Reconciler
	t        *testing.T
	now      time.Time
	store    *storefake.Store
	bucket   *mem.Bucket
	provider *fake.Provider
	live     func(machine.Spec) fake.Life
	exit     func(machine.Spec) int
	leaves   func(machine.Spec, *dayfly.Report) // what else the agent saves; may be nil
	fault    func(op string, after bool) error
	partial  bool
	lag      func(machine.Spec) time.Duration // may be nil
	secret   func(string) (string, error)
}

const installation = "test-installation"

// monday is a day on which nothing is special.
var monday = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func setup(t *testing.T, edit ...func(*world, *reconcile.Config)) *world {
	t.Helper()
	w := &world{t: t, now: monday, store: storefake.New()}
	clock := func() time.Time { return w.now }
	w.bucket = mem.New(clock)
	w.live = func(machine.Spec) fake.Life { return fake.Life{Boot: time.Second, Run: 9 * time.Second} }
	w.exit = func(machine.Spec) int { return 0 }
	w.secret = func(string) (string, error) { return "", fmt.Errorf("no secrets here") }
	w.provider = fake.New(fake.Config{
		Now: clock, Location: "local",
		Live:  func(s machine.Spec) fake.Life { return w.live(s) },
		OnEnd: func(s machine.Spec, at time.Time) { w.report(s, at) },
		Fault: func(op string, after bool) error {
			if w.fault == nil {
				return nil
			}
			return w.fault(op, after)
		},
		Partial: func() bool { return w.partial },
		Lag: func(s machine.Spec) time.Duration {
			if w.lag == nil {
				return 0
			}
			return w.lag(s)
		},
	})
	c := reconcile.Config{
		Installation: installation, Store: w.store, Bucket: w.bucket, Parallel: 1,
		Providers: map[string]machine.Provider{"local": w.provider},
		Now:       clock, Jitter: func(d time.Duration) time.Duration { return d },
		Secret: func(ref string) (string, error) { return w.secret(ref) },
		Log:    slog.New(slog.DiscardHandler),
	}
	for _, e := range edit {
		e(w, &c)
	}
	r, err := reconcile.New(c)
	if err != nil {
		t.Fatal(err)
	}
	w.Reconciler = r
	return w
}

// report does the agent's last acts: log and report, unless the machine shall vanish (exit code -1).
func (w *world) report(s machine.Spec, at time.Time) {
	code := w.exit(s)
	if code < 0 {
		return
	}
	log := []byte("hello from " + s.Task.Run + "\n")
	sum := sha256.Sum256(log)
	r := dayfly.Report{
		Run: s.Task.Run, Attempt: s.Task.Attempt, Outcome: dayfly.Succeeded, ExitCode: &code, StartedAt: at.Add(-9 * time.Second), FinishedAt: at, SavedAt: at,
		Log: dayfly.Object{Key: s.Task.Prefix + dayfly.KeyLog, Size: int64(len(log)), SHA256: hex.EncodeToString(sum[:])},
	}
	if code > 0 {
		r.Outcome, r.Reason = dayfly.Failed, fmt.Sprintf("exit code %d", code)
	}
	w.put(s.Task.Prefix+dayfly.KeyChunks+"000001", log)
	w.put(r.Log.Key, log)
	if w.leaves != nil {
		w.leaves(s, &r)
	}
	body, err := json.Marshal(r)
	if err != nil {
		w.t.Error(err)
	}
	w.put(s.Task.Prefix+dayfly.KeyReport, body)
}

func (w *world) put(key string, body []byte) {
	w.t.Helper()
	if _, err := w.bucket.Put(w.t.Context(), key, bytes.NewReader(body), bucket.Condition{}); err != nil {
		w.t.Errorf("put %s: %v", key, err)
	}
}

func (w *world) get(key string) string {
	w.t.Helper()
	r, err := w.bucket.Get(w.t.Context(), key, 0, -1)
	if err != nil {
		w.t.Fatalf("get %s: %v", key, err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(body)
}

// job makes a job with the defaults a job file has, and then what edit says.
func job(name dayfly.JobName, edit ...func(*dayfly.Job)) dayfly.Job {
	j := dayfly.Job{
		Name: name, Timezone: "UTC", Run: "true", Overlap: dayfly.OverlapSkip,
		CatchUp: dayfly.CatchUp{Policy: dayfly.CatchUpLast, Within: dayfly.Seconds(time.Hour)},
		Machine: dayfly.MachineChoice{On: "local", Isolation: dayfly.IsolationBest, Pids: dayfly.DefaultPids},
		Timeout: dayfly.Seconds(time.Hour), Grace: dayfly.Seconds(10 * time.Second), Deadline: dayfly.Seconds(75 * time.Minute),
		Retry: dayfly.Retry{Attempts: 1, Backoff: dayfly.Seconds(time.Minute)},
	}
	for _, e := range edit {
		e(&j)
	}
	return j
}

func at(expr string) func(*dayfly.Job) {
	return func(j *dayfly.Job) { j.Schedules = append(j.Schedules, dayfly.Schedule{At: expr}) }
}

func catchUp(p dayfly.CatchUpPolicy, within time.Duration) func(*dayfly.Job) {
	return func(j *dayfly.Job) { j.CatchUp = dayfly.CatchUp{Policy: p, Within: dayfly.Seconds(within)} }
}

func retries(n int, on ...dayfly.Outcome) func(*dayfly.Job) {
	return func(j *dayfly.Job) { j.Retry.Attempts, j.Retry.On = n, on }
}

func (w *world) apply(j dayfly.Job) reconcile.Change {
	w.t.Helper()
	c, err := w.Apply(w.t.Context(), j, "test.yaml")
	if err != nil {
		w.t.Fatalf("apply %s: %v", j.Name, err)
	}
	return c
}

// pass makes one pass over everything, slots too, and wants no error.
func (w *world) pass() reconcile.Summary {
	w.t.Helper()
	s, err := w.Pass(w.t.Context(), reconcile.Scope{Slots: true})
	if err != nil {
		w.t.Fatalf("pass: %v", err)
	}
	return s
}

// tryPass makes one pass that may go wrong.
func (w *world) tryPass() error {
	_, err := w.Pass(w.t.Context(), reconcile.Scope{Slots: true})
	return err
}

// until moves the clock in steps and passes until a run is in a state.
func (w *world) until(id dayfly.RunID, s dayfly.State) dayfly.Run {
	w.t.Helper()
	for range 10_000 {
		if err := w.tryPass(); err != nil && w.fault == nil {
			w.t.Fatalf("pass: %v", err)
		}
		if r := w.run(id); r.State == s {
			return r
		}
		w.now = w.now.Add(time.Second)
	}
	w.t.Fatalf("run %s never became %s; it is %+v", id, s, w.run(id))
	return dayfly.Run{}
}

func (w *world) run(id dayfly.RunID) dayfly.Run {
	w.t.Helper()
	r, err := w.store.Run(w.t.Context(), id)
	if err != nil {
		w.t.Fatalf("run %s: %v", id, err)
	}
	return r
}

func (w *world) request(j dayfly.Job) dayfly.RunID {
	w.t.Helper()
	runs, err := reconcile.Request(w.t.Context(), w.store, j, reconcile.Wish{}, w.now)
	if err != nil {
		w.t.Fatalf("request %s: %v", j.Name, err)
	}
	return runs[0].ID
}

func (w *world) history(j dayfly.JobName) []dayfly.Run {
	w.t.Helper()
	var out []dayfly.Run
	for r, err := range w.store.History(w.t.Context(), store.Filter{Job: j}) {
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, r)
	}
	slices.Reverse(out)
	return out
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
