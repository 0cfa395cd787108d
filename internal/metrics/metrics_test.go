package metrics_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/metrics"
	"github.com/dayfly-io/dayfly/internal/reconcile"
)

var slot = time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)

// setup gives metrics and the clock they go by.
func setup() (*metrics.Metrics, *time.Time) {
	now := slot
	return metrics.New(metrics.Config{Installation: "home", Version: "v1.2.3", Now: func() time.Time { return now }}), &now
}

func run(job dayfly.JobName, at time.Time, o dayfly.Outcome) dayfly.Run {
	return dayfly.Run{
		ID: dayfly.NewRunID(job, at, "", 0), Job: job, Slot: at, Trigger: dayfly.TriggerSchedule, State: dayfly.Ended, Outcome: o,
		Attempts: []dayfly.Attempt{{Number: 1, Provider: "local", LaunchedAt: at.Add(2 * time.Second), StartedAt: at.Add(3 * time.Second), FinishedAt: at.Add(63 * time.Second)}},
	}
}

// has compares series, one a line, with what is counted.
func has(t *testing.T, m *metrics.Metrics, lines string) {
	t.Helper()
	var names []string
	for line := range strings.Lines(lines) {
		name := line[:strings.IndexAny(line, " {")]
		names = append(names, name)
	}
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, f := range families {
		for _, one := range f.GetMetric() {
			var labels []string
			for _, l := range one.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			value := one.GetCounter().GetValue() + one.GetGauge().GetValue() + float64(one.GetHistogram().GetSampleCount())
			of := ""
			if len(labels) > 0 {
				of = "{" + strings.Join(labels, ",") + "}"
			}
			fmt.Fprintf(&got, "%s%s %v\n", f.GetName(), of, value)
			if h := one.GetHistogram(); h != nil {
				fmt.Fprintf(&got, "%s_sum%s %v\n", f.GetName(), of, h.GetSampleSum())
			}
		}
	}
	for line := range strings.Lines(lines) {
		if !strings.Contains("\n"+got.String(), "\n"+line) {
			t.Errorf("there is no %s in\n%s", line, only(got.String(), names))
		}
	}
}

func only(text string, names []string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		for _, n := range names {
			if strings.HasPrefix(line, n) {
				b.WriteString(line)
				break
			}
		}
	}
	return b.String()
}

// everything tells metrics of one of each.
func everything(m *metrics.Metrics) {
	r := run("backup", slot, dayfly.Succeeded)
	m.Begun(r, slot)
	m.Started(r, slot)
	m.Ended(r)
	m.Ended(run("backup", slot.Add(-time.Hour), dayfly.Failed))
	m.Ended(run("backup", slot, dayfly.Skipped))
	m.Passed(reconcile.Summary{Inserted: 1, Missed: 2, Skipped: 3, Removed: 4, Active: 5, Waiting: 6, Oldest: slot.Add(-time.Minute)}, 500*time.Millisecond, nil)
	m.Passed(reconcile.Summary{Active: 99}, 250*time.Millisecond, errors.New("no"))
	m.Swept([]reconcile.Finding{{Action: "ended"}}, nil)
	m.Reaped([]dayfly.Machine{{}}, errors.New("no"))
	m.Committed(250*time.Millisecond, nil)
	m.Called("local", "launch", 1500*time.Millisecond, &machine.CapacityError{Scope: "here", Err: errors.New("full")})
	m.Listed("local", machine.Listing{Complete: []machine.Location{"local"}, Machines: []dayfly.Machine{
		{ID: "local/1", State: dayfly.MachineRunning, Tags: dayfly.Tags{Installation: "home", Deadline: slot.Add(time.Hour)}},
		{ID: "local/2", State: dayfly.MachineStopping, Tags: dayfly.Tags{Installation: "home", Deadline: slot.Add(-time.Minute)}},
		{ID: "local/3", State: dayfly.MachineTerminated, Tags: dayfly.Tags{Installation: "home", Deadline: slot.Add(-time.Hour)}},
		{ID: "local/4", State: dayfly.MachineRunning, Tags: dayfly.Tags{Installation: "other", Deadline: slot.Add(-time.Hour)}},
	}})
}

// Lateness is that of the schedule: of a run's first launch and start, and never less than none.
func TestLateness(t *testing.T) {
	t.Parallel()
	m, _ := setup()
	again := run("backup", slot, dayfly.Failed)
	again.Attempts = append(again.Attempts, dayfly.Attempt{Number: 2, Provider: "local", LaunchedAt: slot.Add(time.Hour)})
	m.Begun(again, slot)
	asked := run("backup", slot, dayfly.Succeeded)
	asked.Trigger = dayfly.TriggerManual
	m.Begun(asked, slot)
	m.Started(asked, slot)
	has(t, m, `dayfly_attempts_begun_total{provider="local"} 2
dayfly_launch_lateness_seconds 0
dayfly_start_lateness_seconds 0
`)
	early := run("backup", slot, dayfly.Succeeded)
	m.Begun(early, slot.Add(time.Minute)) // the clock was set back in between
	m.Started(early, slot.Add(time.Minute))
	m.Begun(early, slot)
	m.Started(early, slot)
	has(t, m, `dayfly_launch_lateness_seconds 2
dayfly_launch_lateness_seconds_sum 2
dayfly_start_lateness_seconds 2
dayfly_start_lateness_seconds_sum 3
`)
}

func TestWhatIsCounted(t *testing.T) {
	t.Parallel()
	m, now := setup()
	everything(m)
	has(t, m, `dayfly_attempts_begun_total{provider="local"} 1
dayfly_build_info{goversion=`)
	has(t, m, fmt.Sprintf(`dayfly_runs_ended_total{job_name="backup",outcome="succeeded"} 1
dayfly_runs_ended_total{job_name="backup",outcome="failed"} 1
dayfly_runs_ended_total{job_name="backup",outcome="missed"} 0
dayfly_runs_ended_total{job_name="backup",outcome="skipped"} 1
dayfly_job_last_success_timestamp_seconds{job_name="backup"} %v
dayfly_job_last_run_failed{job_name="backup"} 1
dayfly_job_last_duration_seconds{job_name="backup"} 60
dayfly_launch_lateness_seconds 1
dayfly_launch_lateness_seconds_sum 2
dayfly_start_lateness_seconds 1
dayfly_start_lateness_seconds_sum 3
dayfly_runs_made_total 1
dayfly_slots_missed_total 2
dayfly_slots_skipped_total 3
dayfly_removed_items_total 4
dayfly_runs_active 5
dayfly_runs_waiting 6
dayfly_oldest_waiting_run_seconds 60
dayfly_passes_total{result="ok"} 1
dayfly_passes_total{result="error"} 1
dayfly_pass_seconds 2
dayfly_pass_seconds_sum 0.75
dayfly_pass_last_success_timestamp_seconds %v
dayfly_sweep_machines_total{action="ended"} 1
dayfly_sweep_machines_total{action="suspect"} 0
dayfly_reaps_total{result="error"} 1
dayfly_reaper_ended_total 1
dayfly_store_commits_total{result="ok"} 1
dayfly_store_commit_seconds 1
dayfly_store_commit_seconds_sum 0.25
dayfly_provider_calls_total{call="launch",provider="local",result="capacity"} 1
dayfly_provider_call_seconds{call="launch",provider="local"} 1
dayfly_provider_call_seconds_sum{call="launch",provider="local"} 1.5
dayfly_machines{location="local"} 2
dayfly_machines_past_deadline{location="local"} 1
dayfly_machine_nearest_deadline_seconds{location="local"} -60
`, float64(slot.Unix()), float64(slot.Unix())))

	*now = slot.Add(90 * time.Minute)    // a deadline passes by itself
	m.Listed("local", machine.Listing{}) // and a list that is not complete says nothing
	has(t, m, `dayfly_machines_past_deadline{location="local"} 2
dayfly_oldest_waiting_run_seconds 5460
`)
	m.Listed("local", machine.Listing{Complete: []machine.Location{"local"}})
	has(t, m, "dayfly_machines{location=\"local\"} 0\n")
}

// A slot that succeeds late does not make the job's last success older.
func TestLastSuccess(t *testing.T) {
	t.Parallel()
	m, _ := setup()
	m.Success("backup", slot)
	m.Ended(run("backup", slot.AddDate(0, 0, -9), dayfly.Succeeded))
	has(t, m, fmt.Sprintf("dayfly_job_last_success_timestamp_seconds{job_name=\"backup\"} %v\ndayfly_job_last_run_failed{job_name=\"backup\"} 0\n", float64(slot.Unix())))
}

func TestLint(t *testing.T) {
	t.Parallel()
	m, _ := setup()
	everything(m)
	problems, err := testutil.GatherAndLint(m.Registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// However many jobs and runs there are, there is no end of series.
func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	m, _ := setup()
	series := func() (n int) {
		families, err := m.Registry().Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			n += len(f.GetMetric())
		}
		return n
	}
	tell := func(jobs, runs int) {
		for i := range jobs {
			for k := range runs {
				m.Ended(run(dayfly.JobName(fmt.Sprintf("job-%d", i)), slot.Add(time.Duration(k)*time.Minute), dayfly.Succeeded))
			}
		}
	}
	tell(metrics.MaxJobs, 1)
	full := series()
	tell(3*metrics.MaxJobs, 3)
	if n := series(); n > full+3 {
		t.Errorf("%d series of %d jobs, %d of three times as many", full, metrics.MaxJobs, n)
	}
	has(t, m, fmt.Sprintf("dayfly_runs_ended_total{job_name=\"_other\",outcome=\"succeeded\"} %d\n", 2*metrics.MaxJobs*3))
}

// Jobs that exist no more make room for others.
func TestJobsThatAreGone(t *testing.T) {
	t.Parallel()
	there := map[dayfly.JobName]bool{"old": true, "stays": true}
	m := metrics.New(metrics.Config{Now: func() time.Time { return slot }, Exists: func(name dayfly.JobName) bool { return there[name] }})
	for name := range there {
		m.Ended(run(name, slot, dayfly.Succeeded))
	}
	delete(there, "old")
	for range 20 {
		m.Swept(nil, nil)
	}
	has(t, m, "dayfly_job_last_run_failed{job_name=\"stays\"} 0\n")
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(families); strings.Contains(text, `"old"`) {
		t.Errorf("a job that is gone has series: %s", text)
	}
}
