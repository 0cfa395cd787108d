package dayfly

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Shard tells the runs of one slot apart: a region, an array index, or region/index; usually empty.
type Shard string

// Parts takes a shard apart; index is -1 where there is none.
func (s Shard) Parts() (region string, index int) {
	region, num, both := strings.Cut(string(s), "/")
	if !both {
		num = region
	}
	if i, err := strconv.Atoi(num); err == nil && i >= 0 {
		if !both {
			region = ""
		}
		return region, i
	}
	return string(s), -1
}

// Compare orders shards by region, then by index.
func (s Shard) Compare(t Shard) int {
	if s == t {
		return 0
	}
	region, index := s.Parts()
	other, than := t.Parts()
	return cmp.Or(cmp.Compare(region, other), cmp.Compare(index, than))
}

// RunID is JOB-SLOT[.REGION][.iINDEX][.nN], one to one with (job, slot, shard, n).
type RunID string

const (
	slotSecond = "20060102T150405Z"
	slotMilli  = "20060102T150405.000Z"
)

// NewRunID makes the id of a run. The slot is taken to the millisecond.
func NewRunID(job JobName, slot time.Time, shard Shard, n int) RunID {
	var b strings.Builder
	b.WriteString(string(job) + "-")
	slot = slot.UTC()
	if slot.Nanosecond() == 0 {
		b.WriteString(slot.Format(slotSecond))
	} else {
		b.WriteString(slot.Format(slotMilli))
	}
	region, index := shard.Parts()
	if region != "" {
		b.WriteString("." + region)
	}
	if index >= 0 {
		b.WriteString(".i" + strconv.Itoa(index))
	}
	if n > 0 {
		b.WriteString(".n" + strconv.Itoa(n))
	}
	return RunID(b.String())
}

var runID = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([a-z0-9][a-z0-9-]{0,47})-([0-9]{8}T[0-9]{6}(?:\.[0-9]{3})?Z)(?:\.([a-z][a-z0-9]*(?:-[a-z0-9]+)+))?(?:\.i(0|[1-9][0-9]{0,8}))?(?:\.n([1-9][0-9]{0,8}))?$`)
})

// Parse takes the id apart. An id that NewRunID cannot have made is an error.
func (id RunID) Parse() (job JobName, slot time.Time, shard Shard, n int, err error) {
	m := runID().FindStringSubmatch(string(id))
	if m == nil {
		return "", time.Time{}, "", 0, fmt.Errorf("%q is not the id of a run: those look like backup-20261122T230000Z", string(id))
	}
	layout := slotSecond
	if strings.Contains(m[2], ".") {
		layout = slotMilli
	}
	if slot, err = time.Parse(layout, m[2]); err != nil {
		return "", time.Time{}, "", 0, fmt.Errorf("%q is not the id of a run: %w", string(id), err)
	}
	n, _ = strconv.Atoi(m[5]) // empty is 0
	switch {
	case m[3] != "" && m[4] != "":
		shard = Shard(m[3] + "/" + m[4])
	default:
		shard = Shard(m[3] + m[4])
	}
	return JobName(m[1]), slot, shard, n, nil
}

// Trigger is why a run exists.
type Trigger string

// The triggers. Only the schedule makes runs with n = 0.
const (
	TriggerSchedule Trigger = "schedule"
	TriggerManual   Trigger = "manual"
	TriggerBackfill Trigger = "backfill"
	TriggerRetry    Trigger = "retry" // of an ended run, named in Of
)

// State is where a run is on its way.
type State string

// The states. Only a pass moves a run from one to another.
const (
	// Due: recorded, no machine asked for. A pass moves it to Launching when nothing stands in the
	// way, or to Ended when it is refused, cancelled, skipped or missed.
	Due State = "due"
	// Launching: the attempt is stored and a machine is being asked for. A pass moves it to Running
	// when the provider has named the machine, to Stopping when there is no capacity, the launch is
	// refused or cancelled, or its outcome stays unknown.
	Launching State = "launching"
	// Running: the machine is known. A pass moves it to Stopping when the report has come, the
	// machine has vanished, its time is over, or the run is cancelled.
	Running State = "running"
	// Stopping: the machine shall be gone. A pass ends it again and again until it is observed
	// gone, then moves the run to Ended, or to Due for another attempt.
	Stopping State = "stopping"
	// Ended: final.
	Ended State = "ended"
)

var legal = map[State][]State{
	Due:       {Launching, Ended},
	Launching: {Running, Stopping},
	Running:   {Stopping},
	Stopping:  {Due, Ended},
}

// CanBecome tells whether a run in this state may move to the other. Staying is always legal, except
// that nothing about an ended run ever changes.
func (s State) CanBecome(to State) bool {
	return s != Ended && (s == to || slices.Contains(legal[s], to))
}

// Outcome is how a run, or one attempt of it, ended.
type Outcome string

// The outcomes. Capacity is the cause of an attempt only; a run never ends with it.
const (
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed"
	TimedOut  Outcome = "timed_out"
	Lost      Outcome = "lost" // vanished without a report
	Canceled  Outcome = "canceled"
	Refused   Outcome = "refused" // no machine could be had
	Missed    Outcome = "missed"  // never launched: too late
	Skipped   Outcome = "skipped" // never launched: by policy
	Capacity  Outcome = "capacity"
)

// Run is the record of one slot of one shard of a job.
type Run struct {
	ID      RunID     `json:"id"`
	Job     JobName   `json:"job"`
	Version string    `json:"version"` // of the job it runs
	Slot    time.Time `json:"slot"`
	Shard   Shard     `json:"shard"`
	N       int       `json:"n"`
	Trigger Trigger   `json:"trigger"`
	Of      RunID     `json:"of,omitempty"`

	// Backfill is the wish that made the run, if its trigger is that.
	Backfill BackfillID `json:"backfill,omitempty"`

	// Params are the values of the job's parameters, defaults included. They never change.
	Params map[string]string `json:"params,omitempty"`

	State         State     `json:"state"`
	Outcome       Outcome   `json:"outcome,omitempty"`
	Reason        string    `json:"reason,omitempty"`
	CreatedAt     time.Time `json:"created_at"`
	StartDeadline time.Time `json:"start_deadline"`      // its first launch begins by then, or never
	NotBefore     time.Time `json:"not_before,omitzero"` // no launch before this: jitter or backoff
	EndedAt       time.Time `json:"ended_at,omitzero"`
	CancelAt      time.Time `json:"cancel_at,omitzero"` // when it was asked for
	CancelWhy     string    `json:"cancel_why,omitempty"`
	Attempts      []Attempt `json:"attempts,omitempty"`

	// What was removed of the run after its end, while its record is kept.
	ResultsRemoved Removal `json:"results_removed,omitzero"`
	LogsRemoved    Removal `json:"logs_removed,omitzero"`

	// NextAt is when a pass should look at the run again, if nothing rings before.
	NextAt time.Time `json:"next_at,omitzero"`
	// Rev is the record's revision, for compare-and-swap. 0 is a run that is not stored. The store keeps it.
	Rev int64 `json:"-"`
}

// Attempt is one machine asked for.
type Attempt struct {
	Number     int       `json:"number"` // from 1
	Choice     int       `json:"choice"`
	Provider   string    `json:"provider"`
	Machine    MachineID `json:"machine,omitempty"`
	Token      string    `json:"token"`
	Deadline   time.Time `json:"deadline"`
	LaunchedAt time.Time `json:"launched_at"`          // when the intent was stored
	NamedAt    time.Time `json:"named_at,omitzero"`    // when the provider first named the machine
	StartedAt  time.Time `json:"started_at,omitzero"`  // the job's first instruction
	FinishedAt time.Time `json:"finished_at,omitzero"` // the job's end
	GoneAt     time.Time `json:"gone_at,omitzero"`     // when the machine was observed gone
	StoppingAt time.Time `json:"stopping_at,omitzero"` // when we first wished it gone
	// TerminateAt is when Terminate first returned without an error. Absence from a list proves
	// nothing before it.
	TerminateAt time.Time `json:"terminate_at,omitzero"`
	ExitCode    *int      `json:"exit_code,omitempty"`
	Outcome     Outcome   `json:"outcome,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	Isolation   Isolation `json:"isolation,omitempty"` // the rung the machine was made on
	Notes       []string  `json:"notes,omitempty"`     // what a person should know of this machine
	Report      *Report   `json:"report,omitempty"`    // verified against the bucket

	// Request is the fully resolved launch, repeated byte for byte while its outcome is unknown.
	Request *Spec `json:"request,omitempty"`
}

// Attempt is the run's last attempt, or nil. It points into Attempts: change it in a [Run.Clone] only.
func (r Run) Attempt() *Attempt {
	if len(r.Attempts) == 0 {
		return nil
	}
	return &r.Attempts[len(r.Attempts)-1]
}

// Clone is a copy that shares nothing that changes.
func (r Run) Clone() Run {
	r.Attempts = slices.Clone(r.Attempts)
	return r
}

// Token is the provider's idempotency token of one choice of one attempt: the same for the same
// words, 32 characters of [0-9a-f].
func Token(installation string, run RunID, attempt, choice int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "dayfly token\n%s\n%s\n%d\n%d\n", installation, run, attempt, choice))
	return hex.EncodeToString(sum[:16])
}

// Range covers consecutive slots of one job that were not launched, instead of a run for each.
type Range struct {
	Job       JobName   `json:"job"`
	From      time.Time `json:"from"`             // the first slot
	To        time.Time `json:"to"`               // the last slot
	Count     int       `json:"count"`            // of slots
	Shards    int       `json:"shards,omitempty"` // of each slot, where there are several: all of them are covered
	Outcome   Outcome   `json:"outcome"`          // missed or skipped
	Reason    string    `json:"reason"`
	CreatedAt time.Time `json:"created_at"`
}

// RangeOver is how many runs that were not launched, of consecutive slots, are recorded one by one; more
// make a Range.
const RangeOver = 16
