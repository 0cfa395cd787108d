package e2e_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket/dir"
	"github.com/dayfly-io/dayfly/internal/daemon"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/fake"
	"github.com/dayfly-io/dayfly/internal/metrics"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
)

// monthVariable makes this program the process of TestThirtyDays, which has nothing else in it.
const monthVariable = "DAYFLY_E2E_MONTH"

// TestThirtyDays is R13 by a clock that is not real: a daemon over a real SQLite file and a real bucket
// directory serves jobs of all kinds for thirty days while people use them, and what it holds at the end of
// each day is what it held a month before. It is alone in its process, so what that holds is the daemon's.
func TestThirtyDays(t *testing.T) {
	if os.Getenv(monthVariable) != "" {
		synctest.Test(t, serveAMonth)
		return
	}
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestThirtyDays$", "-test.v", fmt.Sprint("-e2e.days=", *monthDays))
	cmd.Env = append(os.Environ(), monthVariable+"=1")
	out, err := cmd.CombinedOutput()
	if t.Logf("%s", out); err != nil {
		t.Errorf("the process of thirty days: %v", err)
	}
	used := cmd.ProcessState
	t.Logf("it took %s of the processor", (used.UserTime() + used.SystemTime()).Round(time.Millisecond))
}

var monthDays = flag.Int("e2e.days", 30, "how many days TestThirtyDays simulates, 15 at least")

const (
	settled = 5    // days until what is kept is as much as it will be
	drift   = 0.05 // how much more there may be in the end
	// The database's caches, which are no part of the heap, take weeks to fill here; and what is free there
	// is not always given back.
	driftInMemory = 0.25
	// Connections to read by are opened when they are first needed, and kept: three beside the first one,
	// with two descriptors each.
	lateDescriptors = 6
	// What Go's runtime keeps of a thread is in the heap and never given back, and on a busy machine it
	// needs more of them.
	lateThreads = 64 << 10
)

// month is a daemon and its world.
type month struct {
	t      *testing.T
	dir    string
	store  *sqlite.Store
	bucket *dir.Bucket
	local  *fake.Provider
	loop   *reconcile.Reconciler
	bell   chan struct{}

	mu     sync.Mutex
	passes int
	made   map[dayfly.Outcome]int // runs that ended
}

// holding is what is held at the end of a day.
type holding struct{ heap, resident, goroutines, descriptors, database, journal, files float64 }

func serveAMonth(t *testing.T) {
	time.Sleep(time.Until(time.Date(2040, 3, 1, 0, 0, 0, 0, time.UTC))) // files, whose dates are real, must not be of the future
	m := newMonth(t)
	defer m.store.Close()
	defer m.bucket.Close()
	d, err := daemon.New(m.config())
	if err != nil {
		t.Fatal(err)
	}
	d.Start(t.Context())
	defer func() {
		if err := d.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	var days []holding
	for day := range *monthDays {
		m.day(day)
		if day >= settled {
			days = append(days, m.weigh())
		}
	}
	m.check(days)
	m.withoutCollector(days)
	t.Logf("%d passes; runs that ended: %v", m.passes, m.made)
	if m.made[dayfly.Succeeded] < 50**monthDays || m.made[dayfly.Failed] < *monthDays || m.made[dayfly.TimedOut] < *monthDays || m.made[dayfly.Canceled] < *monthDays || m.made[dayfly.Lost] < *monthDays {
		t.Errorf("only these runs ended: %v; that shows nothing", m.made)
	}
	if h := d.Health(); h.Failures > 0 {
		t.Errorf("the daemon's health is %+v", h)
	}
}

func newMonth(t *testing.T) *month {
	m := &month{t: t, dir: quickDir(t), bell: make(chan struct{}, 1), made: map[dayfly.Outcome]int{}}
	var err error
	if m.bucket, err = dir.Open(filepath.Join(m.dir, "bucket")); err != nil {
		t.Fatal(err)
	}
	m.store = m.open()
	m.local = fake.New(fake.Config{Name: "local", Now: time.Now, Live: m.live, OnEnd: m.finish})
	m.loop = m.reconciler(m.store, nil)
	for _, j := range monthJobs() {
		m.apply(m.loop, j)
	}
	return m
}

// quickDir is a directory that costs no syncs of a disk, where there is one: durability is shown elsewhere.
func quickDir(t *testing.T) string {
	where, err := os.MkdirTemp("/dev/shm", "dayfly-e2e-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(where) })
	return where
}

func (m *month) open() *sqlite.Store {
	s, err := sqlite.Open(m.t.Context(), filepath.Join(m.dir, "dayfly.db"), sqlite.Options{Holder: "a month", Now: time.Now})
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

func (m *month) reconciler(s store.Store, w reconcile.Watcher) *reconcile.Reconciler {
	r, err := reconcile.New(reconcile.Config{
		Installation: simInstallation, Store: s, Bucket: m.bucket, Providers: map[string]machine.Provider{"local": m.local},
		Keep: dayfly.Keep{Results: days(1), Logs: days(1), History: days(2)},
		Now:  time.Now, Jitter: func(d time.Duration) time.Duration { return d }, Watch: w,
		Secret: func(string) (string, error) { return "", errors.New("no secrets here") },
		Log:    slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return r
}

// config is the daemon's.
func (m *month) config() daemon.Config {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	exists := func(j dayfly.JobName) bool { _, err := m.store.Job(context.Background(), j); return err == nil }
	watch := metrics.New(metrics.Config{Installation: simInstallation, Version: "a month", Now: time.Now, Exists: exists})
	providers := map[string]machine.Provider{"local": machine.Watched(m.local, "local", watch, time.Now)}
	loop := m.reconciler(m.store, counting{watch, m})
	loop.Providers = providers
	return daemon.Config{
		Loop:   &unhurried{Reconciler: loop, m: m},
		Reaper: unhurriedReaper{reconcile.Reaper{Installation: simInstallation, Providers: providers, Now: time.Now, Log: log}},
		Now:    time.Now, Log: log, Watch: watch,
	}
}

// counting counts what ended.
type counting struct {
	*metrics.Metrics
	m *month
}

func (c counting) Ended(r dayfly.Run) {
	c.m.mu.Lock()
	c.m.made[r.Outcome]++
	c.m.mu.Unlock()
	c.Metrics.Ended(r)
}

// unhurried makes a pass when something is due or rings, and not each second as well: nobody has the time for
// the other two and a half million of a month.
type unhurried struct {
	*reconcile.Reconciler
	m    *month
	next time.Time
}

func (p *unhurried) Pass(ctx context.Context, s reconcile.Scope) (reconcile.Summary, error) {
	next := soonest(soonest(time.Now().Add(10*time.Minute), p.next), p.m.local.NextEnd())
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return reconcile.Summary{}, ctx.Err()
	case <-p.m.bell:
	case <-timer.C:
	}
	sum, err := p.Reconciler.Pass(ctx, s)
	p.m.passes++
	if p.next = sum.Next; err != nil && ctx.Err() == nil {
		p.m.t.Errorf("pass at %s: %v", time.Now(), err)
	}
	return sum, err
}

type unhurriedReaper struct{ reconcile.Reaper }

func (r unhurriedReaper) Reap(ctx context.Context) ([]dayfly.Machine, error) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute):
	}
	return r.Reaper.Reap(ctx)
}

// weigh looks what is held now that nobody does anything.
func (m *month) weigh() (h holding) {
	h.descriptors = m.descriptors() // before the collector closes what nobody has
	runtime.GC()
	runtime.GC() // what pools keep goes with the second
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	debug.FreeOSMemory()
	h.resident = m.resident()
	h.heap, h.goroutines = float64(mem.HeapAlloc), float64(runtime.NumGoroutine())
	err := filepath.WalkDir(m.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		h.files++
		switch e.Name() {
		case "dayfly.db":
			h.database = float64(info.Size())
		case "dayfly.db-wal":
			h.journal = float64(info.Size())
		}
		return nil
	})
	if err != nil {
		m.t.Error(err)
	}
	return h
}

func (m *month) descriptors() float64 {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		m.t.Fatal(err)
	}
	return float64(len(open))
}

// resident is what the process has in memory of its own, that of the database's engine too.
func (m *month) resident() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		m.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes float64
		if _, err := fmt.Sscanf(line, "RssAnon: %g kB", &kilobytes); err == nil {
			return kilobytes * 1024
		}
	}
	m.t.Fatalf("the kernel does not say what is in memory: %s", status)
	return 0
}

// series are the same thing on each day.
func series(days []holding) map[string][]float64 {
	all := map[string][]float64{}
	for _, d := range days {
		for what, v := range map[string]float64{
			"bytes of heap": d.heap, "goroutines": d.goroutines, "descriptors": d.descriptors, "bytes of the database": d.database, "bytes of its journal": d.journal, "bytes in memory": d.resident, "files": d.files,
		} {
			all[what] = append(all[what], v)
		}
	}
	return all
}

// check compares the last days with the first ones.
func (m *month) check(days []holding) {
	for what, values := range series(days) {
		first, last := median(values[:len(values)/3]), median(values[len(values)*2/3:])
		m.t.Logf("%s: %.0f at first, %.0f at last (%+.1f %%), all: %.0f", what, first, last, (last/first-1)*100, values)
		most := first * (1 + drift)
		switch what {
		case "bytes in memory":
			most = first * (1 + driftInMemory)
		case "descriptors":
			most = first + lateDescriptors
		case "bytes of heap":
			most += lateThreads
		}
		if last > most {
			m.t.Errorf("%s: there were %.0f in the first days and %.0f in the last", what, first, last)
		}
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// withoutCollector lets some hours pass in which nothing is closed because it was forgotten.
func (m *month) withoutCollector(days []holding) {
	before := median(series(days)["descriptors"])
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	time.Sleep(6 * time.Hour)
	synctest.Wait()
	if now := m.descriptors(); now > before+lateDescriptors {
		m.t.Errorf("%.0f descriptors became %.0f in some hours in which nothing but the program closed them", before, now)
	}
}
