package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/daemon"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// loop is a control loop that remembers when it was called and does as it is told.
type loop struct {
	mu     sync.Mutex
	passes []time.Time
	sweeps []time.Time
	pass   func(ctx context.Context, n int) (reconcile.Summary, error)
}

func (l *loop) Pass(ctx context.Context, s reconcile.Scope) (reconcile.Summary, error) {
	l.mu.Lock()
	l.passes = append(l.passes, time.Now())
	n := len(l.passes)
	l.mu.Unlock()
	if !s.Slots || s.Job != "" || s.Run != "" {
		return reconcile.Summary{}, errors.New("a scheduler's pass covers everything, slots too")
	}
	if l.pass == nil {
		return reconcile.Summary{}, nil
	}
	return l.pass(ctx, n)
}

func (l *loop) Sweep(context.Context, bool) ([]reconcile.Finding, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweeps = append(l.sweeps, time.Now())
	return nil, nil
}

// count is how many passes there were.
func (l *loop) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.passes)
}

// after are the passes, by how long after an instant they came.
func (l *loop) after(begun time.Time) (out []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.passes {
		out = append(out, at.Sub(begun))
	}
	return out
}

// records are of a generation that changes when the test says so, or by a step with each look.
type records struct {
	changed atomic.Int64
	step    int64
	err     error
}

func (r *records) Generation(context.Context) (int64, error) {
	return 7 + r.changed.Add(r.step), r.err
}

type reaper func(context.Context) ([]dayfly.Machine, error)

func (r reaper) Reap(ctx context.Context) ([]dayfly.Machine, error) { return r(ctx) }

func idle(context.Context) ([]dayfly.Machine, error) { return nil, nil }

// started gives a working daemon, which the end of the test stops.
func started(t *testing.T, c daemon.Config) *daemon.Daemon {
	t.Helper()
	if c.Reaper == nil {
		c.Reaper = reaper(idle)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	d, err := daemon.New(c)
	if err != nil {
		t.Fatal(err)
	}
	d.Start(t.Context())
	t.Cleanup(func() {
		if err := d.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestPasses(t *testing.T) {
	t.Parallel()
	t.Run("come at least every second though nothing rings or is due", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := &loop{}
			started(t, daemon.Config{Loop: l})
			time.Sleep(10*time.Second + time.Millisecond)
			if n := l.count(); n != 11 {
				t.Errorf("%d passes in ten seconds, want 11", n)
			}
		})
	})
	t.Run("rest while nothing is to be done and nothing changes", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			begun, l := time.Now(), &loop{}
			l.pass = func(context.Context, int) (reconcile.Summary, error) {
				next := begun.Add(3300 * time.Millisecond)
				if time.Since(begun) >= 3300*time.Millisecond {
					next = begun.Add(time.Hour)
				}
				return reconcile.Summary{Next: next}, nil
			}
			started(t, daemon.Config{Loop: l, Records: &records{}})
			time.Sleep(14*time.Second + time.Millisecond)
			want := []time.Duration{0, 3300 * time.Millisecond, 9 * time.Second, 14 * time.Second}
			if got := l.after(begun); !slices.Equal(got, want) {
				t.Errorf("passes after %s, want %s", got, want)
			}
		})
	})
	for why, c := range map[string]struct {
		sum     reconcile.Summary
		err     error
		records store.Generational
	}{
		"a run is under way":      {sum: reconcile.Summary{Active: 1}, records: &records{}},
		"the last one failed":     {sum: reconcile.Summary{Inserted: 1}, err: errors.New("a provider is down"), records: &records{}},
		"records always change":   {records: &records{step: 1}},
		"records cannot be asked": {records: &records{err: errors.New("the disk is gone")}},
	} {
		t.Run("do not rest while "+why, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := &loop{pass: func(context.Context, int) (reconcile.Summary, error) { return c.sum, c.err }}
				started(t, daemon.Config{Loop: l, Records: c.records})
				time.Sleep(3*time.Second + time.Millisecond)
				if n := l.count(); n < 4 {
					t.Errorf("%d passes in three seconds, want at least 4", n)
				}
			})
		})
	}
	t.Run("do not rest on what changed without a ring", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			begun, l, r := time.Now(), &loop{}, &records{}
			started(t, daemon.Config{Loop: l, Records: r})
			time.Sleep(1500 * time.Millisecond)
			r.changed.Add(1)
			time.Sleep(1500 * time.Millisecond)
			if got, want := l.after(begun), []time.Duration{0, 2 * time.Second}; !slices.Equal(got, want) {
				t.Errorf("passes after %s, want %s", got, want)
			}
		})
	})
	t.Run("do not rest when it rings, or the clock is set", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			begun, l, bell := time.Now(), &loop{}, make(chan struct{}, 1)
			var ahead atomic.Int64
			l.pass = func(context.Context, int) (reconcile.Summary, error) {
				return reconcile.Summary{Next: time.Now().Add(time.Duration(ahead.Load())).Add(time.Hour)}, nil
			}
			started(t, daemon.Config{
				Loop: l, Records: &records{}, Bell: bell,
				Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
			})
			time.Sleep(1500 * time.Millisecond)
			bell <- struct{}{}
			time.Sleep(1200 * time.Millisecond)
			ahead.Store(int64(2 * time.Hour))
			time.Sleep(time.Second)
			ahead.Store(int64(time.Hour))
			time.Sleep(time.Second)
			want := []time.Duration{0, 1500 * time.Millisecond, 3 * time.Second, 4 * time.Second}
			if got := l.after(begun); !slices.Equal(got, want) {
				t.Errorf("passes after %s, want %s", got, want)
			}
		})
	})
	t.Run("come when the pass before said, and not before", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := &loop{}
			l.pass = func(context.Context, int) (reconcile.Summary, error) {
				return reconcile.Summary{Next: time.Now().Add(300 * time.Millisecond)}, nil
			}
			started(t, daemon.Config{Loop: l})
			time.Sleep(3*time.Second + time.Millisecond)
			if n := l.count(); n != 11 {
				t.Errorf("%d passes in three seconds, 300 ms apart, want 11", n)
			}
		})
	})
	t.Run("do not spin on what is always due", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := &loop{}
			l.pass = func(context.Context, int) (reconcile.Summary, error) {
				return reconcile.Summary{Next: time.Now().Add(-time.Hour)}, nil
			}
			started(t, daemon.Config{Loop: l})
			time.Sleep(time.Second)
			if n := l.count(); n > 102 || n < 50 {
				t.Errorf("%d passes in a second", n)
			}
		})
	})
	t.Run("say when the clock was set back", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			var ahead atomic.Int64
			started(t, daemon.Config{
				Loop: &loop{}, Log: slog.New(slog.NewTextHandler(&log, nil)),
				Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
			})
			for _, step := range []time.Duration{time.Hour, time.Hour - 500*time.Millisecond, 0} {
				time.Sleep(3 * time.Second)
				ahead.Store(int64(step))
			}
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if said := log.String(); strings.Count(said, "set back") != 1 || !strings.Contains(said, "by=59m") {
				t.Errorf("said %q", said)
			}
		})
	})
	t.Run("come at once when the bell rings", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l, bell := &loop{}, make(chan struct{})
			started(t, daemon.Config{Loop: l, Bell: bell})
			synctest.Wait()
			before := l.count()
			select {
			case bell <- struct{}{}:
			case <-time.After(time.Minute):
				t.Fatal("nobody listens to the bell")
			}
			synctest.Wait()
			if n := l.count(); n != before+1 {
				t.Errorf("%d passes after the bell, want %d", n, before+1)
			}
		})
	})
	t.Run("ring when they changed something, and only then", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			rung := 0
			l := &loop{pass: func(_ context.Context, n int) (reconcile.Summary, error) {
				if n == 2 {
					return reconcile.Summary{Ended: 1}, nil
				}
				return reconcile.Summary{Active: 3}, nil
			}}
			started(t, daemon.Config{Loop: l, Ring: func() { rung++ }})
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if rung != 1 {
				t.Errorf("rang %d times, want 1", rung)
			}
		})
	})
}

func TestFailingPasses(t *testing.T) {
	t.Parallel()
	t.Run("back off while the store is gone, and resume by themselves", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var broken atomic.Bool
			broken.Store(true)
			l := &loop{}
			l.pass = func(context.Context, int) (reconcile.Summary, error) {
				if broken.Load() {
					return reconcile.Summary{}, errors.New("disk full")
				}
				return reconcile.Summary{Active: 2}, nil
			}
			d := started(t, daemon.Config{Loop: l})
			time.Sleep(time.Minute)
			if n := l.count(); n > 15 || n < 6 {
				t.Errorf("%d passes in a minute without a store", n)
			}
			h := d.Health()
			if h.Status != "failing" || len(h.Errors) != 1 || h.Errors[0] != "disk full" || h.Failures != l.count() {
				t.Errorf("health is %+v", h)
			}
			broken.Store(false)
			time.Sleep(11 * time.Second)
			if h := d.Health(); h.Status != "ok" || h.Errors != nil || h.Active != 2 {
				t.Errorf("health after the store came back is %+v", h)
			}
		})
	})
	t.Run("are not held up by one bad record", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := &loop{pass: func(context.Context, int) (reconcile.Summary, error) {
				return reconcile.Summary{Active: 5}, errors.New("run a: read version: no such record")
			}}
			started(t, daemon.Config{Loop: l})
			time.Sleep(30 * time.Second)
			if n := l.count(); n < 30 {
				t.Errorf("%d passes in 30 s, want one a second", n)
			}
		})
	})
	t.Run("are made all the same: starting the daemon anew would not help", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := &loop{pass: func(context.Context, int) (reconcile.Summary, error) {
				return reconcile.Summary{}, errors.New("disk I/O error")
			}}
			d := started(t, daemon.Config{Loop: l})
			time.Sleep(5 * time.Minute)
			if h := d.Health(); h.Status != "failing" || !d.Turning() {
				t.Errorf("it turns: %v, health is %+v", d.Turning(), h)
			}
		})
	})
	t.Run("a pass that hangs is said", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := &loop{pass: func(ctx context.Context, _ int) (reconcile.Summary, error) {
				<-ctx.Done()
				return reconcile.Summary{}, ctx.Err()
			}}
			d := started(t, daemon.Config{Loop: l})
			time.Sleep(30 * time.Second)
			if h := d.Health(); h.Status != "ok" || !d.Turning() {
				t.Errorf("after half a minute it turns: %v, health is %+v", d.Turning(), h)
			}
			time.Sleep(30 * time.Second)
			if d.Turning() {
				t.Error("it turns while nothing comes of a pass for a minute")
			}
			if h := d.Health(); h.Status != "failing" || !strings.Contains(strings.Join(h.Errors, " "), "the last pass ended 1m0s ago") {
				t.Errorf("health is %+v", h)
			}
		})
	})
}

func TestReaper(t *testing.T) {
	t.Parallel()
	t.Run("looks every second though the pass hangs", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var looks atomic.Int32
			l := &loop{pass: func(ctx context.Context, _ int) (reconcile.Summary, error) {
				<-ctx.Done()
				return reconcile.Summary{}, nil
			}}
			started(t, daemon.Config{Loop: l, Reaper: reaper(func(context.Context) ([]dayfly.Machine, error) {
				looks.Add(1)
				return nil, nil
			})})
			time.Sleep(10*time.Second + time.Millisecond)
			if n := looks.Load(); n != 11 {
				t.Errorf("%d looks in ten seconds, want 11", n)
			}
		})
	})
	t.Run("that fails is said", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			d := started(t, daemon.Config{Loop: &loop{}, Reaper: reaper(func(context.Context) ([]dayfly.Machine, error) {
				return nil, errors.New("list machines on local: permission denied")
			})})
			synctest.Wait()
			if h := d.Health(); h.Status != "failing" {
				t.Errorf("health is %+v", h)
			}
		})
	})
}

func TestSweepsEveryMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &loop{}
		started(t, daemon.Config{Loop: l})
		time.Sleep(5*time.Minute + time.Millisecond)
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.sweeps) != 6 {
			t.Errorf("%d sweeps in five minutes, want 6", len(l.sweeps))
		}
	})
}

func TestStop(t *testing.T) {
	t.Parallel()
	t.Run("ends a pass under way", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ended := false
			l := &loop{pass: func(ctx context.Context, _ int) (reconcile.Summary, error) {
				<-ctx.Done()
				ended = true
				return reconcile.Summary{}, ctx.Err()
			}}
			d := started(t, daemon.Config{Loop: l})
			synctest.Wait()
			if err := d.Stop(t.Context()); err != nil || !ended {
				t.Errorf("Stop: %v, the pass ended: %v", err, ended)
			}
			if err := d.Stop(t.Context()); err != nil {
				t.Errorf("Stop again: %v", err)
			}
			n := l.count()
			time.Sleep(10 * time.Second)
			if l.count() != n {
				t.Error("there were passes after Stop")
			}
		})
	})
	t.Run("is bounded", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			l := &loop{pass: func(context.Context, int) (reconcile.Summary, error) {
				<-release
				return reconcile.Summary{}, nil
			}}
			d := started(t, daemon.Config{Loop: l})
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := d.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Stop with a pass that does not end: %v", err)
			}
			close(release)
		})
	})
	t.Run("before Start is nothing", func(t *testing.T) {
		t.Parallel()
		d, err := daemon.New(daemon.Config{Loop: &loop{}, Reaper: reaper(idle), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestHealthz(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var fails error
	bell := make(chan struct{}, 1)
	l := &loop{pass: func(context.Context, int) (reconcile.Summary, error) {
		mu.Lock()
		defer mu.Unlock()
		return reconcile.Summary{Active: 1}, fails
	}}
	rung := make(chan struct{}, 100)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + listener.Addr().String()
	d := started(t, daemon.Config{Loop: l, Bell: bell, Listener: listener, Reaper: reaper(func(context.Context) ([]dayfly.Machine, error) {
		rung <- struct{}{}
		return nil, nil
	})})

	get := func(path string) (int, daemon.Health) {
		resp, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		var h daemon.Health
		_ = json.Unmarshal(body, &h)
		return resp.StatusCode, h
	}
	if code, h := get("/healthz"); code != http.StatusOK || h.Status != "ok" {
		t.Errorf("healthz of a well daemon: %d %+v", code, h)
	}
	if code, _ := get("/"); code != http.StatusNotFound {
		t.Errorf("GET /: %d", code)
	}
	mu.Lock()
	fails = errors.New("database is locked")
	mu.Unlock()
	bell <- struct{}{}             // it has room for one
	for d.Health().Failures == 0 { // the reaper's looks are the ticks this waits on
		<-rung
	}
	if code, h := get("/healthz"); code != http.StatusServiceUnavailable || h.Status != "failing" || h.Errors[0] != "database is locked" {
		t.Errorf("healthz of a failing daemon: %d %+v", code, h)
	}
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := http.Get(base + "/healthz"); err == nil {
		t.Error("a stopped daemon still answers")
	}
}

func TestNewWantsWhatItNeeds(t *testing.T) {
	t.Parallel()
	if _, err := daemon.New(daemon.Config{}); err == nil {
		t.Error("an empty Config was taken")
	}
}
