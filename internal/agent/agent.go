package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/agent/joblog"
	"github.com/dayfly-io/dayfly/internal/agent/redact"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/machine"
)

// Config is what an agent needs for one attempt.
type Config struct {
	Task    dayfly.Task
	Secrets map[string]string // a value for each of Task.SecretNames
	Bucket  bucket.Bucket
	Sandbox machine.Sandbox
	Dir     string // on the host, the agent's alone: work/ and results/ in it are the job's, and may be gone after

	// What the job sees.
	WorkInside    string // the path of its working directory
	ResultsInside string // the path of its results directory
	Path          string // its PATH; empty: the usual directories

	Now func() time.Time
	Log *slog.Logger // of the agent itself, never of the job; nil: none

	// Hooks, each of which may be nil and none of which may block.
	Cancel  <-chan struct{}    // a doorbell: look for the cancel object now
	Phase   func(string)       // prepare, run or save has begun
	Started func(at time.Time) // the job's first instruction has been executed
	Ring    func()             // the report is there
}

// The phases, in their order.
const (
	PhasePrepare = "prepare"
	PhaseRun     = "run"
	PhaseSave    = "save"
)

// lateness is how long after the machine's deadline the agent may still try to store what it has.
const lateness = 2 * time.Second

// errDeadline is why everything ends when the machine's time is over.
var errDeadline = errors.New("the machine's deadline has passed")

// Run does one attempt, from the task to the report. It returns nil when the report is stored,
// whatever became of the job; an error means that there is no report. When ctx ends, the job is killed
// at once and Run returns without a report.
func Run(ctx context.Context, c Config) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("begin attempt: %w", err)
	}
	left := c.Task.Deadline.Sub(c.Now())
	ctx, cancel := context.WithTimeoutCause(ctx, left+lateness, errDeadline)
	defer cancel()
	a, err := newAgent(c)
	if err != nil {
		return fmt.Errorf("begin attempt: %w", err)
	}
	defer a.spool.Close()
	if err := a.run(ctx, cancel); err != nil {
		return errors.New(a.secrets.String(fmt.Sprintf("attempt %d of %s: %v", c.Task.Attempt, c.Task.Run, err)))
	}
	return nil
}

func (c *Config) check() error {
	t := c.Task
	switch {
	case c.Now == nil || c.Bucket == nil || c.Sandbox == nil || c.Dir == "":
		return errors.New("a clock, a bucket, a sandbox and a directory are needed")
	case !strings.HasSuffix(t.Prefix, "/"):
		return fmt.Errorf("the task's prefix %q does not end in a slash", t.Prefix)
	case t.Deadline.IsZero():
		return errors.New("the task has no deadline")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// What the job finds of the agent's directory.
const (
	workDir    = "work"
	resultsDir = "results"
)

// agent is one attempt under way.
type agent struct {
	Config
	secrets *redact.Set
	log     *joblog.Log
	spool   *os.File
	work    string // on the host
	results string // on the host
	store   store
	report  dayfly.Report
}

func newAgent(c Config) (*agent, error) {
	a := &agent{
		Config:  c,
		secrets: redact.Compile(c.Secrets),
		work:    filepath.Join(c.Dir, workDir),
		results: filepath.Join(c.Dir, resultsDir),
		store:   store{bucket: c.Bucket, log: c.Log},
		report:  dayfly.Report{Run: c.Task.Run, Attempt: c.Task.Attempt, PreparedAt: c.Now().UTC()},
	}
	for _, dir := range []string{a.work, a.results} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	spool, err := os.OpenFile(filepath.Join(c.Dir, "log"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	a.spool = spool
	a.keepSpare()
	a.log = joblog.New(joblog.Config{Spool: spool, Secrets: a.secrets, Limits: c.Task.Log, Now: c.Now})
	return a, nil
}

func (a *agent) phase(name string) {
	a.Log.Info("phase", "name", name)
	if a.Phase != nil {
		a.Phase(name)
	}
}

// ending is how the job ended, before anything is saved.
type ending struct {
	outcome dayfly.Outcome
	reason  string
	exit    *int
	signal  string
	usage   dayfly.Usage
}

func failed(format string, args ...any) *ending {
	return &ending{outcome: dayfly.Failed, reason: fmt.Sprintf(format, args...)}
}

func (a *agent) run(ctx context.Context, cancel func()) error {
	defer cancel()
	canceled := a.watchCancel(ctx)
	a.phase(PhasePrepare)
	env, end := a.prepare(ctx, canceled)
	shipping := a.ship(ctx)
	defer shipping.stop()
	if end == nil {
		a.phase(PhaseRun)
		end = a.job(ctx, env, canceled)
	}
	a.report.FinishedAt = a.Now().UTC()
	if !a.report.StartedAt.IsZero() {
		end.usage.Wall = dayfly.Seconds(a.report.FinishedAt.Sub(a.report.StartedAt))
	}
	if err := context.Cause(ctx); err != nil && !errors.Is(err, errDeadline) {
		return err
	}
	a.phase(PhaseSave)
	a.log.Close()
	return a.save(ctx, end, shipping.stop)
}

// left is how long the machine may still live.
func (a *agent) left() time.Duration { return a.Task.Deadline.Sub(a.Now()) }
