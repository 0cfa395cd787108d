package main

import (
	"encoding/json"
	"time"

	"github.com/dayfly-io/dayfly"
)

// runRecord is a run as programs get it. Its names are a contract: fields are only added.
type runRecord struct {
	ID       dayfly.RunID    `json:"id"`
	Job      dayfly.JobName  `json:"job"`
	Slot     stamp           `json:"slot"`
	Shard    dayfly.Shard    `json:"shard"`
	N        int             `json:"n"`
	Trigger  dayfly.Trigger  `json:"trigger"`
	State    dayfly.State    `json:"state"`
	Outcome  dayfly.Outcome  `json:"outcome"`
	Reason   string          `json:"reason"`
	Attempts []attemptRecord `json:"attempts"`

	// What was removed of the run since, when, and by which rule.
	ResultsRemoved *dayfly.Removal `json:"results_removed,omitempty"`
	LogsRemoved    *dayfly.Removal `json:"logs_removed,omitempty"`

	// Params are the values of the job's parameters, defaults included.
	Params map[string]string `json:"params"`

	// Backfill is the backfill that made the run, if one did.
	Backfill dayfly.BackfillID `json:"backfill,omitempty"`

	// Of a range record, which stands for many slots: they lie from slot to this one. Where each has
	// several shards, it stands for all of them.
	To     *stamp `json:"to,omitempty"`
	Count  int    `json:"count,omitempty"`
	Shards int    `json:"shards,omitempty"`
}

// attemptRecord is one machine asked for. Where none was made, it has no id and no times.
type attemptRecord struct {
	Number     int              `json:"number"`
	Machine    dayfly.MachineID `json:"machine"`
	Provider   string           `json:"provider"`
	LaunchedAt stamp            `json:"launched_at"`
	StartedAt  stamp            `json:"started_at"`
	FinishedAt stamp            `json:"finished_at"`
	GoneAt     stamp            `json:"gone_at"`
	ExitCode   *int             `json:"exit_code"`
}

// runDetail is a run with everything that is known of it; `run -o json` prints it.
type runDetail struct {
	runRecord
	Version   string          `json:"version"`
	Of        dayfly.RunID    `json:"of,omitempty"`
	CreatedAt stamp           `json:"created_at"`
	CancelAt  stamp           `json:"cancel_at"`
	EndedAt   stamp           `json:"ended_at"`
	Attempts  []attemptDetail `json:"attempts"`
}

// attemptDetail adds what the agent reported.
type attemptDetail struct {
	attemptRecord
	Outcome   dayfly.Outcome   `json:"outcome"`
	Reason    string           `json:"reason"`
	Deadline  stamp            `json:"deadline"`
	Isolation dayfly.Isolation `json:"isolation"`
	Notes     []string         `json:"notes"`
	Usage     *dayfly.Usage    `json:"usage"`
	Log       *dayfly.Object   `json:"log"`
	Results   []dayfly.Result  `json:"results"`
}

// stamp is an instant: RFC 3339 in UTC, null where there is none.
type stamp time.Time

// MarshalJSON writes the instant.
func (s stamp) MarshalJSON() ([]byte, error) {
	if t := time.Time(s); !t.IsZero() {
		return json.Marshal(t.UTC().Format(time.RFC3339Nano))
	}
	return []byte("null"), nil
}

func newRecord(r dayfly.Run) runRecord {
	v := runRecord{
		ID: r.ID, Job: r.Job, Slot: stamp(r.Slot), Shard: r.Shard, N: r.N, Trigger: r.Trigger,
		State: r.State, Outcome: r.Outcome, Reason: r.Reason, Attempts: []attemptRecord{}, Params: r.Params, Backfill: r.Backfill,
	}
	if v.Params == nil {
		v.Params = map[string]string{}
	}
	for _, a := range r.Attempts {
		v.Attempts = append(v.Attempts, newAttempt(a))
	}
	if !r.ResultsRemoved.At.IsZero() {
		v.ResultsRemoved = &r.ResultsRemoved
	}
	if !r.LogsRemoved.At.IsZero() {
		v.LogsRemoved = &r.LogsRemoved
	}
	return v
}

func newAttempt(a dayfly.Attempt) attemptRecord {
	if neverWas(a) {
		return attemptRecord{Number: a.Number, Provider: a.Provider}
	}
	return attemptRecord{
		Number: a.Number, Machine: a.Machine, Provider: a.Provider, LaunchedAt: stamp(a.LaunchedAt),
		StartedAt: stamp(a.StartedAt), FinishedAt: stamp(a.FinishedAt), GoneAt: stamp(a.GoneAt), ExitCode: a.ExitCode,
	}
}

// newRange is a range record in the form of a run.
func newRange(r dayfly.Range) runRecord {
	to := stamp(r.To)
	return runRecord{
		Job: r.Job, Slot: stamp(r.From), Trigger: dayfly.TriggerSchedule, State: dayfly.Ended, Outcome: r.Outcome,
		Reason: r.Reason, Attempts: []attemptRecord{}, Params: map[string]string{}, To: &to, Count: r.Count, Shards: r.Shards,
	}
}

func newDetail(r dayfly.Run) runDetail {
	v := runDetail{
		runRecord: newRecord(r), Version: r.Version, Of: r.Of, CreatedAt: stamp(r.CreatedAt),
		CancelAt: stamp(r.CancelAt), EndedAt: stamp(r.EndedAt), Attempts: []attemptDetail{},
	}
	for _, a := range r.Attempts {
		d := attemptDetail{
			attemptRecord: newAttempt(a), Outcome: a.Outcome, Reason: a.Reason, Deadline: stamp(a.Deadline),
			Isolation: a.Isolation, Notes: append([]string{}, a.Notes...), Results: []dayfly.Result{},
		}
		if neverWas(a) {
			d.Deadline = stamp{}
		}
		if a.Report != nil {
			d.Usage, d.Log, d.Results = &a.Report.Usage, &a.Report.Log, append(d.Results, a.Report.Results...)
		}
		v.Attempts = append(v.Attempts, d)
	}
	return v
}
