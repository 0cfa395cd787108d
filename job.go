package dayfly

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// JobName is the name of a job: [a-z0-9][a-z0-9-]{0,47}.
type JobName string

// Compiled when first needed: the agent, which is started for every run, needs none.
var jobName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,47}$`) })

// Valid tells whether the name has the form every job name has.
func (n JobName) Valid() bool { return jobName().MatchString(string(n)) }

// Seconds is a length of time, in JSON a number of seconds.
type Seconds time.Duration

// Duration is the same length as a [time.Duration].
func (s Seconds) Duration() time.Duration { return time.Duration(s) }

// String is the form of [time.Duration.String].
func (s Seconds) String() string { return time.Duration(s).String() }

// MarshalJSON writes the seconds as a number, exact to the nanosecond.
func (s Seconds) MarshalJSON() ([]byte, error) {
	whole, rest := time.Duration(s)/time.Second, time.Duration(s)%time.Second
	b := make([]byte, 0, 24)
	if s < 0 {
		b, whole, rest = append(b, '-'), -whole, -rest
	}
	b = strconv.AppendInt(b, int64(whole), 10)
	if rest != 0 {
		b = bytes.TrimRight(fmt.Appendf(b, ".%09d", rest), "0")
	}
	return b, nil
}

// UnmarshalJSON reads a number of seconds, exact to the nanosecond where it has
// no exponent.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	if bytes.ContainsAny(b, "eE") {
		f, err := strconv.ParseFloat(string(b), 64)
		if err != nil {
			return fmt.Errorf("read a number of seconds: %w", err)
		}
		*s = Seconds(math.Round(f * float64(time.Second)))
		return nil
	}
	d, err := time.ParseDuration(string(b) + "s")
	if err != nil {
		return fmt.Errorf("read a number of seconds from %s: %w", b, err)
	}
	*s = Seconds(d)
	return nil
}

// Job is one version of what a job file says, with every default filled in. It is immutable once it is stored.
type Job struct {
	Name        JobName           `json:"name"`
	Description string            `json:"description,omitempty"`
	Schedules   []Schedule        `json:"schedules,omitempty"`
	Timezone    string            `json:"timezone"` // the zone shown to people, and the schedules' default
	Jitter      Seconds           `json:"jitter,omitempty"`
	CatchUp     CatchUp           `json:"catch_up"`
	Overlap     Overlap           `json:"overlap"`
	Machine     MachineChoice     `json:"machine"`
	Array       *Array            `json:"array,omitempty"`
	Files       []string          `json:"files,omitempty"`        // as written: paths below the job file's directory
	FilesSHA256 string            `json:"files_sha256,omitempty"` // of the archive in the bucket: files/SHA256
	Setup       string            `json:"setup,omitempty"`
	Env         map[string]string `json:"env,omitempty"`
	Params      map[string]Param  `json:"params,omitempty"`
	Secrets     map[string]string `json:"secrets,omitempty"` // references such as env:NAME, never values
	Run         string            `json:"run,omitempty"`
	UserData    string            `json:"user_data,omitempty"`
	Timeout     Seconds           `json:"timeout"`
	Grace       Seconds           `json:"grace"`
	Deadline    Seconds           `json:"deadline"` // of the machine's whole life, from the launch
	Retry       Retry             `json:"retry"`
	Notify      []Notify          `json:"notify,omitempty"`
	Budget      *Budget           `json:"budget,omitempty"`
	Limit       Limit             `json:"limit,omitzero"`
	Keep        Keep              `json:"keep,omitzero"`
}

// Version names this version of the job by its content: the SHA-256 of its JSON, in hex.
func (j Job) Version() string {
	b, err := json.Marshal(j)
	if err != nil {
		panic("dayfly: a Job is always JSON: " + err.Error()) // no field of a Job can make Marshal fail
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Schedule is one expression of a job; its slots lie in [From, Until).
type Schedule struct {
	At       string    `json:"at"`
	Timezone string    `json:"timezone,omitempty"` // empty: the job's
	From     time.Time `json:"from,omitzero"`
	Until    time.Time `json:"until,omitzero"`
	Anchor   time.Time `json:"anchor,omitzero"`
}

// CatchUpPolicy says what becomes of slots that are found late.
type CatchUpPolicy string

// The catch-up policies.
const (
	CatchUpNone CatchUpPolicy = "none" // a slot more than 60 s late is missed
	CatchUpLast CatchUpPolicy = "last" // of those found late, the last one runs
	CatchUpAll  CatchUpPolicy = "all"  // all run, one after another, in slot order
)

// OnTime is how late a slot may start and still count as on time (policy none).
const OnTime = 60 * time.Second

// CatchUp is how a job makes up for slots it could not start in time.
type CatchUp struct {
	Policy CatchUpPolicy `json:"policy"`
	Within Seconds       `json:"within"` // slots older than this are missed in any case
}

// Window is how long after its slot a run may still begin its first launch.
func (c CatchUp) Window() time.Duration {
	if c.Policy == CatchUpNone {
		return OnTime
	}
	return max(c.Within.Duration(), OnTime)
}

// Overlap says what becomes of a run that is due while another of the same job and shard is active.
type Overlap string

// The overlap policies.
const (
	OverlapSkip    Overlap = "skip"
	OverlapQueue   Overlap = "queue" // at most QueueLimit wait
	OverlapReplace Overlap = "replace"
	OverlapAllow   Overlap = "allow"
)

// QueueLimit is how many runs of one job and shard may wait for another to end.
const QueueLimit = 100

// MachineChoice says on what machine a job runs.
type MachineChoice struct {
	On        string    `json:"on"` // local, docker, qemu, ec2
	Type      []string  `json:"type,omitempty"`
	Market    string    `json:"market,omitempty"`
	Regions   *Regions  `json:"regions,omitempty"`
	Image     *Image    `json:"image,omitempty"`
	CPU       float64   `json:"cpu,omitempty"`
	Memory    int64     `json:"memory,omitempty"` // bytes
	Network   string    `json:"network,omitempty"`
	Disk      int64     `json:"disk,omitempty"` // bytes
	Isolation Isolation `json:"isolation,omitempty"`
	Pids      int       `json:"pids,omitempty"`
}

// Isolation is how far a local machine is kept apart from its host.
type Isolation string

// The rungs, and best: the highest rung that can be had.
const (
	IsolationBest    Isolation = "best"
	IsolationFull    Isolation = "full"
	IsolationPartial Isolation = "partial"
	IsolationNone    Isolation = "none"
)

// DefaultPids is how many processes and threads a local machine may have.
const DefaultPids = 4096

// Regions names where a run may or must be launched.
type Regions struct {
	Each  []string `json:"each,omitempty"`
	First []string `json:"first,omitempty"`
}

// Image is what a machine boots from: a name or id, or the newest one an owner has of a name.
type Image struct {
	Name   string `json:"name,omitempty"`
	Owner  string `json:"owner,omitempty"`
	Newest bool   `json:"newest,omitempty"`
}

// Array makes Size runs of every slot, AtOnce of them at a time.
type Array struct {
	Size   int `json:"size"`
	AtOnce int `json:"at_once,omitempty"`
}

// Retry says after what causes a run asks for another machine, and how often in all.
type Retry struct {
	Attempts int       `json:"attempts"` // total, at least 1
	On       []Outcome `json:"on,omitempty"`
	Backoff  Seconds   `json:"backoff"`
}

// Notify says who is told of which outcomes.
type Notify struct {
	On      []string `json:"on"`
	Email   string   `json:"email,omitempty"`
	Webhook string   `json:"webhook,omitempty"`
	Slack   string   `json:"slack,omitempty"`
	Ntfy    string   `json:"ntfy,omitempty"`
}

// Budget bounds what a run and a month may cost; decimal strings, in US dollars.
type Budget struct {
	Run   string `json:"run,omitempty"`
	Month string `json:"month,omitempty"`
}

// Limit bounds how many machines the job has at once; 0 is no limit of its own.
type Limit struct {
	Machines int `json:"machines,omitempty"`
}

// Window is how long after its slot a run of the schedule may still begin its first launch. A run that
// waits for its own jitter is not late.
func (j Job) Window() time.Duration { return j.CatchUp.Window() + j.Jitter.Duration() }

// OnTime is how late a slot may be found and still count as on time.
func (j Job) OnTime() time.Duration { return OnTime + j.Jitter.Duration() }

// AtOnce is how many shards of one slot may have a machine at once; 0 is no limit of the job's own.
func (j Job) AtOnce() int {
	if j.Array == nil || j.Array.AtOnce >= j.Array.Size {
		return 0
	}
	return j.Array.AtOnce
}

// Delay is by how much the launch of a scheduled run comes after its slot: part of the jitter, a whole
// number of milliseconds, always the same for the same words.
func (j Job) Delay(installation string, slot time.Time, shard Shard) time.Duration {
	most := uint64(j.Jitter.Duration() / time.Millisecond)
	if most == 0 {
		return 0
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "dayfly jitter\n%s\n%s\n%d\n%s\n", installation, j.Name, slot.UnixMilli(), shard))
	return time.Duration(binary.BigEndian.Uint64(sum[:8])%most) * time.Millisecond
}

// Shards lists the shards of every slot of the job: "" alone, regions, array indexes, or region/index.
func (j Job) Shards() []Shard {
	regions := []string{""}
	if r := j.Machine.Regions; r != nil && len(r.Each) > 0 {
		regions = r.Each
	}
	if j.Array == nil {
		out := make([]Shard, len(regions))
		for i, r := range regions {
			out[i] = Shard(r)
		}
		return out
	}
	var out []Shard
	for _, r := range regions {
		for i := range j.Array.Size {
			s := strconv.Itoa(i)
			if r != "" {
				s = r + "/" + s
			}
			out = append(out, Shard(s))
		}
	}
	return out
}

// MaxAttempts is the number of attempts a run of the job may make in all.
func (j Job) MaxAttempts() int { return cmp.Or(j.Retry.Attempts, 1) }
