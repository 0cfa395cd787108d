// Package daemon keeps a scheduler going: it makes passes when something rings or is due, sweeps for
// orphans, runs the reaper, and answers /healthz.
//
// # What it promises
//
//   - One goroutine makes the passes, one after another. Between two of them it waits for the bell or a
//     timer that is armed at most [Net] ahead, and it reads the wall clock anew each time: a lost bell
//     or a clock that was set costs at most that long.
//   - The reaper shares nothing with the passes: its own goroutine, timer, clock and providers. A pass
//     that hangs, or a store that is gone, does not keep it from ending what is past its deadline.
//   - A pass that failed is logged, counted, shown by /healthz as 503, and made again after a wait that
//     grows. Nothing ends the daemon but [Daemon.Stop].
//   - Stopping it stops nothing else: machines go on, and the next daemon finds them.
//
// [Acquire] is the right to be the daemon of a data directory; [Holder] tells whether somebody is.
//
// It leaves to others what a pass does (internal/reconcile), where job files are and what applying
// them says (cmd), and signals.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// The daemon's times.
const (
	// Net is the longest wait between two passes, and between two looks of the reaper.
	Net = time.Second
	// restFor is after how long there is a pass though there is nothing to do and nothing changes.
	restFor = 5 * time.Second
	// floor keeps records that are always due from turning the loop into a spin.
	floor = 10 * time.Millisecond
	// firstBackoff doubles with every failed pass in a row, up to maxBackoff when not even the
	// records could be read, else up to Net.
	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 10 * time.Second
)

// Tick is how long it is until the clock's next second begins. Who looks every second waits so long: where all do it
// in the same moment, a process that has nothing to do wakes once a second, which costs more than the looking.
func Tick(now time.Time) time.Duration { return now.Truncate(Net).Add(Net).Sub(now) }

// Loop is the control loop that is kept going; a reconcile.Reconciler is one.
type Loop interface {
	Pass(context.Context, reconcile.Scope) (reconcile.Summary, error)
	Sweep(ctx context.Context, dryRun bool) ([]reconcile.Finding, error)
}

// Reaper ends machines past their deadline; a reconcile.Reaper is one. It must share nothing with the Loop.
type Reaper interface {
	Reap(context.Context) ([]dayfly.Machine, error)
}

// Watcher is told how the daemon does. It must return at once; only a sweep may wait for it.
type Watcher interface {
	Passed(sum reconcile.Summary, took time.Duration, err error)
	Swept(found []reconcile.Finding, err error)
	Reaped(ended []dayfly.Machine, err error)
}

// nobody watches.
type nobody struct{}

func (nobody) Passed(reconcile.Summary, time.Duration, error) {}
func (nobody) Swept([]reconcile.Finding, error)               {}
func (nobody) Reaped([]dayfly.Machine, error)                 {}

// Config is what a Daemon works with. Loop, Reaper, Now and Log are required.
type Config struct {
	Loop     Loop
	Reaper   Reaper
	Bell     <-chan struct{}    // receives when somebody has committed something
	Ring     func()             // tells those who wait that a pass changed something
	Listener net.Listener       // for /healthz; nil: none
	Metrics  net.Listener       // for /metrics; nil: none
	Scrape   http.Handler       // answers /metrics
	Watch    Watcher            // nil: nobody watches
	Records  store.Generational // tells whether a pass would see anything new; nil: each is made
	Now      func() time.Time
	Log      *slog.Logger
}

// Daemon is a scheduler. Its methods may be called from any goroutine.
type Daemon struct {
	Config
	health health
	cancel context.CancelFunc
	done   chan struct{} // closed when every goroutine has ended
	start  sync.Once
	stop   sync.Once
}

// New checks the configuration. It starts nothing.
func New(c Config) (*Daemon, error) {
	if c.Loop == nil || c.Reaper == nil || c.Now == nil || c.Log == nil {
		return nil, errors.New("daemon: a field of Config is missing")
	}
	if c.Metrics != nil && c.Scrape == nil {
		return nil, errors.New("daemon: nothing answers /metrics")
	}
	if c.Ring == nil {
		c.Ring = func() {}
	}
	if c.Watch == nil {
		c.Watch = nobody{}
	}
	d := &Daemon{Config: c, done: make(chan struct{})}
	d.health.now = c.Now
	return d, nil
}

// Start begins to work and returns. It works until Stop; when ctx ends, it ends all the same.
func (d *Daemon) Start(ctx context.Context) {
	d.start.Do(func() {
		ctx, d.cancel = context.WithCancel(ctx)
		d.health.begin()
		var wg sync.WaitGroup
		wg.Go(func() { d.passes(ctx) })
		wg.Go(func() { d.sweeps(ctx) })
		wg.Go(func() { d.reaps(ctx) })
		if d.Listener != nil {
			d.serve(ctx, &wg, d.Listener, "GET /healthz", http.HandlerFunc(d.healthz))
		}
		if d.Metrics != nil {
			d.serve(ctx, &wg, d.Metrics, "GET /metrics", d.Scrape)
		}
		go func() {
			wg.Wait()
			close(d.done)
		}()
	})
}

// Stop ends the daemon, a pass under way included, and returns when nothing of it runs any more or ctx
// ends. Machines go on.
func (d *Daemon) Stop(ctx context.Context) error {
	d.start.Do(func() { close(d.done) }) // one that was never started has nothing to end
	d.stop.Do(func() {
		if d.cancel != nil {
			d.cancel()
		}
	})
	select {
	case <-d.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop the daemon: %w", context.Cause(ctx))
	}
}

// passes makes one pass after another.
func (d *Daemon) passes(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	failures := 0
	last := d.Now().Round(0) // by the wall clock alone
	var found rest
	for {
		rung := false
		select {
		case <-ctx.Done():
			return
		case <-d.Bell:
			rung = true
		case <-timer.C:
		}
		now := d.Now().Round(0)
		seen := d.generation(ctx)
		if !rung && found.lasts(seen, last, now) {
			last = now
			timer.Reset(wait(found.sum, 0, now))
			continue
		}
		if back := last.Sub(now); back > Net {
			d.Log.Warn("the clock was set back: slots that were recorded while it was ahead do not come again", "by", back.Round(time.Second), "hint", "dayfly ps --jobs shows which jobs wait")
		}
		last = now
		sum, err := d.pass(ctx)
		if failures++; err == nil {
			failures = 0
		}
		found = rest{sum: sum, good: err == nil, seen: seen, until: now.Add(restFor)}
		timer.Reset(wait(sum, failures, d.Now()))
	}
}

// rest is what a pass left, as long as the next one would find the same.
type rest struct {
	sum   reconcile.Summary
	good  bool
	seen  int64 // the generation of the records before the pass; 0: unknown
	until time.Time
}

// lasts tells whether a pass now would find nothing to do: no run is under way, nothing is due, nobody has changed a
// record, and the clock goes as it should. Whoever changes one rings as well; that is not relied upon.
func (r rest) lasts(seen int64, last, now time.Time) bool {
	return r.good && r.sum.Active == 0 && seen != 0 && seen == r.seen &&
		(r.sum.Next.IsZero() || now.Before(r.sum.Next)) && now.Before(r.until) && !now.Before(last)
}

// generation is that of the records, 0 where it is not to be had: then a pass finds out.
func (d *Daemon) generation(ctx context.Context) int64 {
	if d.Records == nil {
		return 0
	}
	n, err := d.Records.Generation(ctx)
	if err != nil {
		return 0
	}
	return n
}

func (d *Daemon) pass(ctx context.Context) (reconcile.Summary, error) {
	began := d.Now()
	sum, err := d.Loop.Pass(ctx, reconcile.Scope{Slots: true})
	if ctx.Err() != nil {
		return sum, nil // it was stopped; that is no failure
	}
	d.health.passed(sum, err)
	d.Watch.Passed(sum, d.Now().Sub(began), err)
	if err != nil {
		d.Log.Error("pass", "pass", sum.Pass, "error", err)
	}
	if sum.Inserted+sum.Missed+sum.Skipped+sum.Launched+sum.Ended > 0 {
		d.Log.Debug("pass", "pass", sum.Pass, "inserted", sum.Inserted, "missed", sum.Missed, "skipped", sum.Skipped, "launched", sum.Launched, "ended", sum.Ended, "removed", sum.Removed, "active", sum.Active)
		d.Ring()
	}
	return sum, err
}

// wait is how long nothing needs to be done after a pass.
func wait(sum reconcile.Summary, failures int, now time.Time) time.Duration {
	w := Tick(now)
	if until := sum.Next.Sub(now); !sum.Next.IsZero() && until <= Net {
		w = max(floor, until)
	}
	if failures == 0 {
		return w
	}
	limit := Net
	if sum == (reconcile.Summary{Pass: sum.Pass}) { // it got nowhere
		limit = maxBackoff
	}
	back := firstBackoff
	for range failures - 1 {
		if back *= 2; back >= limit {
			break
		}
	}
	return max(w, min(back, limit))
}

// sweeps looks for orphans, at the start and then at the sweep's own pace.
func (d *Daemon) sweeps(ctx context.Context) {
	every(ctx, func() time.Duration { return reconcile.SweepEvery }, func() {
		found, err := d.Loop.Sweep(ctx, false)
		for _, f := range found {
			level := slog.LevelInfo
			if f.Action == "ended" {
				level = slog.LevelWarn
			}
			d.Log.Log(ctx, level, "sweep: an orphan", "machine", f.Machine.ID, "run", f.Machine.Tags.Run, "action", f.Action, "why", f.Why)
		}
		if ctx.Err() != nil {
			return
		}
		d.Watch.Swept(found, err)
		if d.health.swept(err); err != nil {
			d.Log.Error("sweep", "error", err)
		}
	})
}

// reaps is the layer that needs no pass.
func (d *Daemon) reaps(ctx context.Context) {
	said := ""
	every(ctx, func() time.Duration { return Tick(d.Now()) }, func() {
		ended, err := d.Reaper.Reap(ctx)
		if ctx.Err() != nil {
			return
		}
		d.health.reaped(err)
		d.Watch.Reaped(ended, err)
		if err == nil {
			said = ""
		} else if said != err.Error() { // it looks every second; once is enough
			said = err.Error()
			d.Log.Error("end machines past their deadline", "error", err)
		}
	})
}

// every calls f now and again after each wait.
func every(ctx context.Context, wait func() time.Duration, f func()) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			f()
			timer.Reset(wait())
		}
	}
}
