package metrics

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/reconcile"
)

var (
	_ reconcile.Watcher = (*Metrics)(nil)
	_ machine.Watcher   = (*Metrics)(nil)
)

// job is the label of a job: its name, while there is room for one more.
func (m *Metrics) job(name dayfly.JobName) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.jobs[name]; !known {
		if len(m.jobs) >= MaxJobs {
			return Other
		}
		m.jobs[name] = time.Time{}
		for _, o := range []dayfly.Outcome{dayfly.Succeeded, dayfly.Failed, dayfly.Missed} {
			m.runsEnded.WithLabelValues(string(name), string(o)) // from 0, so that the first one is an increase
		}
	}
	return string(name)
}

// Begun implements reconcile.Watcher.
func (m *Metrics) Begun(run dayfly.Run, due time.Time) {
	a := run.Attempt()
	m.attempts.WithLabelValues(a.Provider).Inc()
	if run.Trigger == dayfly.TriggerSchedule && a.Number == 1 {
		m.launchLate.Observe(max(0, a.LaunchedAt.Sub(due).Seconds()))
	}
}

// Started implements reconcile.Watcher.
func (m *Metrics) Started(run dayfly.Run, due time.Time) {
	if run.Trigger == dayfly.TriggerSchedule {
		m.startLate.Observe(max(0, run.Attempts[0].StartedAt.Sub(due).Seconds()))
	}
}

// Ended implements reconcile.Watcher.
func (m *Metrics) Ended(run dayfly.Run) {
	m.runsEnded.WithLabelValues(m.job(run.Job), string(run.Outcome)).Inc()
	m.Latest(run)
}

// Known takes note that there is a job.
func (m *Metrics) Known(name dayfly.JobName) { m.job(name) }

// Latest takes over the run of its job that ended last, also one that ended before this process began.
func (m *Metrics) Latest(run dayfly.Run) {
	job := m.job(run.Job)
	if job == Other {
		return // of many jobs together it would say nothing
	}
	switch run.Outcome {
	case dayfly.Succeeded:
		m.lastFailed.WithLabelValues(job).Set(0)
		m.Success(run.Job, run.Slot)
	case dayfly.Skipped, dayfly.Canceled:
	default:
		m.lastFailed.WithLabelValues(job).Set(1)
	}
	if a := run.Attempt(); a != nil && !a.StartedAt.IsZero() && a.FinishedAt.After(a.StartedAt) {
		m.lastDuration.WithLabelValues(job).Set(a.FinishedAt.Sub(a.StartedAt).Seconds())
	}
}

// Success takes over a slot of a job that succeeded. The latest slot counts, in whatever order they come.
func (m *Metrics) Success(name dayfly.JobName, slot time.Time) {
	job := m.job(name)
	if job == Other {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if slot.After(m.jobs[name]) {
		m.jobs[name] = slot
		m.lastSuccess.WithLabelValues(job).Set(seconds(slot))
	}
}

// Passed implements daemon.Watcher.
func (m *Metrics) Passed(sum reconcile.Summary, took time.Duration, err error) {
	m.passes.WithLabelValues(result(err)).Inc()
	m.passTook.Observe(took.Seconds())
	m.runsMade.Add(float64(sum.Inserted))
	m.slotsMissed.Add(float64(sum.Missed))
	m.slotsSkipped.Add(float64(sum.Skipped))
	m.removed.Add(float64(sum.Removed))
	if err != nil {
		return // what it counted may be a part of what there is
	}
	m.lastPass.Set(seconds(m.Now()))
	m.active.Set(float64(sum.Active))
	m.waiting.Set(float64(sum.Waiting))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.oldest = sum.Oldest
}

// tidyEvery is after how many sweeps it is looked which jobs still exist.
const tidyEvery = 10

// Swept implements daemon.Watcher. Now and then it looks which jobs still exist.
func (m *Metrics) Swept(found []reconcile.Finding, err error) {
	m.sweeps.WithLabelValues(result(err)).Inc()
	for _, f := range found {
		m.sweepMachines.WithLabelValues(f.Action).Inc()
	}
	m.mu.Lock()
	m.looks++
	due := m.looks%tidyEvery == 0
	m.mu.Unlock()
	if due {
		m.Tidy()
	}
}

// Tidy drops the series of jobs that exist no more, and makes room for others.
func (m *Metrics) Tidy() {
	m.mu.Lock()
	names := slices.Collect(maps.Keys(m.jobs))
	m.mu.Unlock()
	for _, name := range names {
		if m.Exists == nil || m.Exists(name) {
			continue
		}
		of := prometheus.Labels{"job_name": string(name)}
		for _, v := range []interface {
			DeletePartialMatch(prometheus.Labels) int
		}{m.runsEnded, m.lastSuccess, m.lastFailed, m.lastDuration} {
			v.DeletePartialMatch(of)
		}
		m.mu.Lock()
		delete(m.jobs, name)
		m.mu.Unlock()
	}
}

// Reaped implements daemon.Watcher.
func (m *Metrics) Reaped(ended []dayfly.Machine, err error) {
	m.reaps.WithLabelValues(result(err)).Inc()
	m.reaped.Add(float64(len(ended)))
}

// Committed takes over a change of the records.
func (m *Metrics) Committed(took time.Duration, err error) {
	m.commits.WithLabelValues(result(err)).Inc()
	m.commitTook.Observe(took.Seconds())
}

// Called implements machine.Watcher.
func (m *Metrics) Called(provider, call string, took time.Duration, err error) {
	m.calls.WithLabelValues(provider, call, machine.Class(err)).Inc()
	m.callTook.WithLabelValues(provider, call).Observe(took.Seconds())
}
