// Package metrics counts what a scheduler does, for Prometheus.
//
// A [Metrics] is told by those who act: passes (it is a reconcile.Watcher), providers (a machine.Watcher) and
// the daemon (a daemon.Watcher). It keeps a few numbers for each, so that being scraped costs what there are of
// them: no record is read for it, and nothing of a pass waits for a scrape. docs/metrics.md lists every name.
//
// What it promises: names and labels are a contract, as JSON is. The labels of a series are bounded: jobs (the
// first [MaxJobs] of them by name, the rest as one), outcomes, providers, locations, calls; never a run, a
// machine, or text of a person. A job's label is job_name: what Prometheus scrapes it calls a job too.
//
// It leaves to others who may read it (cmd: an address of this host, unless told otherwise) and what is
// alarming (deploy/prometheus).
package metrics

import (
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
)

// MaxJobs is how many jobs have series of their own.
const MaxJobs = 1000

// Other is the label of all jobs beyond them. No job has such a name.
const Other = "_other"

// Config is what metrics need to know.
type Config struct {
	Installation string
	Version      string // of dayfly
	Now          func() time.Time
	// Exists tells whether a job still exists; the series of one that does not are dropped. It may take its time.
	Exists func(dayfly.JobName) bool
}

// Metrics is what is counted. All methods may be used by several goroutines.
type Metrics struct {
	Config
	registry *prometheus.Registry

	runsEnded     *prometheus.CounterVec
	lastSuccess   *prometheus.GaugeVec
	lastFailed    *prometheus.GaugeVec
	lastDuration  *prometheus.GaugeVec
	attempts      *prometheus.CounterVec
	launchLate    prometheus.Histogram
	startLate     prometheus.Histogram
	runsMade      prometheus.Counter
	slotsMissed   prometheus.Counter
	slotsSkipped  prometheus.Counter
	removed       prometheus.Counter
	active        prometheus.Gauge
	waiting       prometheus.Gauge
	passes        *prometheus.CounterVec
	passTook      prometheus.Histogram
	lastPass      prometheus.Gauge
	sweeps        *prometheus.CounterVec
	sweepMachines *prometheus.CounterVec
	reaps         *prometheus.CounterVec
	reaped        prometheus.Counter
	calls         *prometheus.CounterVec
	callTook      *prometheus.HistogramVec
	commits       *prometheus.CounterVec
	commitTook    prometheus.Histogram

	mu     sync.Mutex
	jobs   map[dayfly.JobName]time.Time     // that have series; the latest slot that succeeded
	oldest time.Time                        // when the run should have been launched that has waited longest
	looks  int                              // sweeps
	alive  map[machine.Location][]time.Time // the deadlines of the machines there
}

// Buckets of what takes milliseconds, and of what may be late by hours.
func quick() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15}
}
func late() []float64 {
	return []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600, 24 * 3600}
}

// New makes metrics that count from nothing.
func New(c Config) *Metrics {
	m := &Metrics{Config: c, registry: prometheus.NewRegistry(), jobs: map[dayfly.JobName]time.Time{}, alive: map[machine.Location][]time.Time{}}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "dayfly_" + name, Help: help})
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dayfly_" + name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "dayfly_" + name, Help: help})
	}
	gauges := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "dayfly_" + name, Help: help}, []string{"job_name"})
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "dayfly_" + name, Help: help, Buckets: buckets})
	}

	m.runsEnded = counters("runs_ended_total", "Runs that ended, also those that were never launched.", "job_name", "outcome")
	m.lastSuccess = gauges("job_last_success_timestamp_seconds", "The slot of the job's latest run that succeeded, as seconds since 1970.")
	m.lastFailed = gauges("job_last_run_failed", "1 while the job's latest run that ended did not succeed; skipped and cancelled ones do not count.")
	m.lastDuration = gauges("job_last_duration_seconds", "How long the job's latest run took, from its first instruction to its end.")
	m.attempts = counters("attempts_begun_total", "Machines asked for.", "provider")
	m.launchLate = histogram("launch_lateness_seconds", "From when a run of the schedule is due until its first launch is stored.", late())
	m.startLate = histogram("start_lateness_seconds", "From when a run of the schedule is due until its job's first instruction.", late())
	m.runsMade = counter("runs_made_total", "Runs that were made of slots.")
	m.slotsMissed = counter("slots_missed_total", "Slots that were recorded as missed.")
	m.slotsSkipped = counter("slots_skipped_total", "Slots that were recorded as skipped because their job was paused.")
	m.removed = counter("removed_items_total", "Old results, logs, records and files that keep removed.")
	m.active = gauge("runs_active", "Runs that are not ended, after the last pass.")
	m.waiting = gauge("runs_waiting", "Runs that are due and have no machine yet, after the last pass.")
	m.passes = counters("passes_total", "Passes of the control loop.", "result")
	m.passTook = histogram("pass_seconds", "How long passes take.", quick())
	m.lastPass = gauge("pass_last_success_timestamp_seconds", "When the last pass without an error ended, as seconds since 1970.")
	m.sweeps = counters("sweeps_total", "Sweeps for orphans.", "result")
	m.sweepMachines = counters("sweep_machines_total", "Machines without a run that sweeps found, by what was done.", "action")
	m.reaps = counters("reaps_total", "Looks of the reaper for machines past their deadline.", "result")
	m.reaped = counter("reaper_ended_total", "Machines past their deadline that the reaper ended.")
	m.calls = counters("provider_calls_total", "Calls to providers of machines, by what came of them.", "provider", "call", "result")
	m.callTook = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "dayfly_provider_call_seconds", Help: "How long calls to providers take.", Buckets: quick()}, []string{"provider", "call"})
	m.commits = counters("store_commits_total", "Changes of the records, by what came of them.", "result")
	m.commitTook = histogram("store_commit_seconds", "How long changes of the records take until they would survive a power cut, the wait for other processes included.", quick())
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "dayfly_build_info", Help: "1; which dayfly this is.",
		ConstLabels: prometheus.Labels{"version": c.Version, "goversion": runtime.Version()},
	})
	info.Set(1)
	oldest := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "dayfly_oldest_waiting_run_seconds", Help: "For how long the run has been due that has waited longest for its machine; 0: none waits.",
	}, m.oldestWaits)

	m.registry.MustRegister(m.runsEnded, m.lastSuccess, m.lastFailed, m.lastDuration, m.attempts, m.launchLate, m.startLate,
		m.runsMade, m.slotsMissed, m.slotsSkipped, m.removed, m.active, m.waiting, oldest, m.passes, m.passTook, m.lastPass,
		m.sweeps, m.sweepMachines, m.reaps, m.reaped, m.calls, m.callTook, m.commits, m.commitTook, info, machines{m},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.zero()
	return m
}

// zero makes the series that are known beforehand, so that their first change is one that shows.
func (m *Metrics) zero() {
	for _, v := range []*prometheus.CounterVec{m.passes, m.sweeps, m.reaps, m.commits} {
		v.WithLabelValues("ok")
		v.WithLabelValues("error")
	}
	for _, action := range []string{"suspect", "ended", "forgotten"} {
		m.sweepMachines.WithLabelValues(action)
	}
}

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Registry is for who reads them without a scrape.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

func (m *Metrics) oldestWaits() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.oldest.IsZero() {
		return 0
	}
	return max(0, m.Now().Sub(m.oldest).Seconds())
}

func result(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
