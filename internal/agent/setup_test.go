package agent_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/agent"
	"github.com/dayfly-io/dayfly/internal/archive"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/bucket/mem"
	"github.com/dayfly-io/dayfly/internal/machine"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// processes is a sandbox that is none: the job is a process group of this host.
type processes struct{ t testing.TB }

func (processes) Isolation() dayfly.Isolation { return dayfly.IsolationNone }
func (processes) Notes() []string             { return []string{"a sandbox of the tests"} }

func (s processes) Start(ctx context.Context, c machine.Command) (machine.Process, error) {
	cmd := exec.Command("/bin/sh", "-eu", "-c", c.Script)
	cmd.Dir, cmd.Env = c.Work, c.Env
	cmd.Stdout, cmd.Stderr = c.Output, c.Output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd}
	context.AfterFunc(ctx, func() { p.Signal(syscall.SIGKILL) })
	return p, nil
}

type process struct{ cmd *exec.Cmd }

func (p *process) Signal(sig syscall.Signal) error {
	if err := syscall.Kill(-p.cmd.Process.Pid, sig); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

func (p *process) Wait() (machine.Exit, error) {
	err := p.cmd.Wait()
	p.Signal(syscall.SIGKILL)
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		return machine.Exit{}, err
	}
	e := machine.Exit{Code: status.ExitStatus(), Usage: dayfly.Usage{
		CPU: dayfly.Seconds(p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()), PeakMemory: 1,
	}}
	if status.Signaled() {
		e.Signal, e.Code = status.Signal(), 128+int(status.Signal())
	}
	return e, nil
}

// scripted is a sandbox without processes, for virtual time.
type scripted struct {
	output   string        // printed at once
	runs     time.Duration // how long it runs by itself; 0: for ever
	exit     machine.Exit  // how it ends then
	startErr error
	waitErr  error
	dies     map[syscall.Signal]time.Duration // how long after a signal it dies; not at all of others
	atStart  func(machine.Command) error
	deaf     bool // not even the end of the context ends it

	mu      sync.Mutex
	started time.Time
	signals []string
	end     chan machine.Exit
	env     []string
}

func (*scripted) Isolation() dayfly.Isolation { return dayfly.IsolationFull }
func (*scripted) Notes() []string             { return nil }

func (s *scripted) Start(ctx context.Context, c machine.Command) (machine.Process, error) {
	if s.startErr != nil {
		return nil, s.startErr
	}
	if s.atStart != nil {
		if err := s.atStart(c); err != nil {
			return nil, err
		}
	}
	s.started, s.env, s.end = time.Now(), c.Env, make(chan machine.Exit, 1)
	if _, err := io.WriteString(c.Output, s.output); err != nil { // less than a pipe holds
		return nil, err
	}
	if s.runs > 0 {
		time.AfterFunc(s.runs, func() { s.die(s.exit) })
	}
	context.AfterFunc(ctx, func() {
		if !s.deaf {
			s.die(machine.Exit{Code: 137, Signal: syscall.SIGKILL})
		}
	})
	return s, nil
}

func (s *scripted) die(e machine.Exit) {
	select {
	case s.end <- e:
	default:
	}
}

func (s *scripted) Signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := map[syscall.Signal]string{syscall.SIGTERM: "TERM", syscall.SIGKILL: "KILL"}[sig]
	s.signals = append(s.signals, fmt.Sprintf("%s@%s", name, time.Since(s.started)))
	if after, ok := s.dies[sig]; ok {
		time.AfterFunc(after, func() { s.die(machine.Exit{Code: 128 + int(sig), Signal: sig}) })
	}
	return nil
}

func (s *scripted) Wait() (machine.Exit, error) { return <-s.end, s.waitErr }

// leaves makes the job leave these files in its results.
func (s *scripted) leaves(files map[string]string) {
	s.atStart = func(c machine.Command) error {
		var err error
		for name, content := range files {
			p := filepath.Join(c.Results, name)
			err = errors.Join(err, os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(content), 0o644))
		}
		return err
	}
}

// attempt is one attempt under test: a task, a bucket, and everything that happens.
type attempt struct {
	t      testing.TB
	cfg    agent.Config
	bucket *mem.Bucket

	mu     sync.Mutex
	events []string // phases, start, ring
	puts   []string // keys below out/, in the order in which they were stored
}

const prefix = "runs/night/night-20261122T230000Z/1/"

// setup makes an attempt of a job with this script, in a sandbox of processes, an hour before its deadline.
func setup(t testing.TB, script string) *attempt {
	t.Helper()
	a := &attempt{t: t, bucket: mem.New(time.Now)}
	slot := time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	a.cfg = agent.Config{
		Task: dayfly.Task{
			Job: "night", Run: "night-20261122T230000Z", Attempt: 1, Slot: slot, Prefix: prefix, Script: script,
			Timeout: dayfly.Seconds(30 * time.Minute), Grace: dayfly.Seconds(10 * time.Second), Deadline: time.Now().Add(time.Hour),
		},
		Bucket: a.bucket, Sandbox: processes{t}, Dir: dir, Now: time.Now, Path: os.Getenv("PATH"),
		WorkInside: filepath.Join(dir, "work"), ResultsInside: filepath.Join(dir, "results"),
		Phase:   func(name string) { a.event(name) },
		Started: func(time.Time) { a.event("started") },
		Ring:    func() { a.event("ring") },
	}
	a.watch(nil, nil)
	return a
}

func (a *attempt) event(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, name)
}

// watch records what is stored and injects faults; both may be nil.
func (a *attempt) watch(before, after func(op, key string) error) {
	a.bucket.Fail(before, func(op, key string) error {
		if op == "Put" && strings.HasPrefix(key, prefix+"out/") {
			a.mu.Lock()
			a.puts = append(a.puts, strings.TrimPrefix(key, prefix))
			a.mu.Unlock()
		}
		if after != nil {
			return after(op, key)
		}
		return nil
	})
}

// files gives the task an archive of these files.
func (a *attempt) files(files map[string]string) []byte {
	a.t.Helper()
	dir := a.t.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, name)
		must(a.t, os.MkdirAll(filepath.Dir(p), 0o755))
		must(a.t, os.WriteFile(p, []byte(content), 0o755))
	}
	var b bytes.Buffer
	sum, err := archive.Pack(&b, dir, []string{"."}, archive.Limits{})
	must(a.t, err)
	a.cfg.Task.FilesSHA256 = sum.SHA256
	a.put(dayfly.FilesKey(sum.SHA256), b.Bytes())
	return b.Bytes()
}

func (a *attempt) put(key string, b []byte) {
	a.t.Helper()
	_, err := a.bucket.Put(context.Background(), key, bytes.NewReader(b), bucket.Condition{})
	must(a.t, err)
}

func (a *attempt) get(key string) []byte {
	a.t.Helper()
	r, err := a.bucket.Get(context.Background(), key, 0, -1)
	must(a.t, err)
	b, err := io.ReadAll(r)
	must(a.t, err)
	return b
}

func (a *attempt) has(key string) bool {
	_, err := a.bucket.Stat(context.Background(), key)
	return err == nil
}

// run runs the attempt to its report and checks what every report promises.
func (a *attempt) run() dayfly.Report {
	a.t.Helper()
	must(a.t, agent.Run(a.ctx(), a.cfg))
	return a.verified()
}

func (a *attempt) ctx() context.Context {
	if t, ok := a.t.(*testing.T); ok {
		return t.Context()
	}
	return context.Background()
}

// verified reads the report and checks that it came last, and that what it names is in the bucket.
func (a *attempt) verified() dayfly.Report {
	a.t.Helper()
	a.bucket.Fail(nil, nil)
	var r dayfly.Report
	must(a.t, json.Unmarshal(a.get(prefix+dayfly.KeyReport), &r))
	if n := len(a.puts); a.puts[n-1] != dayfly.KeyReport || slices.Contains(a.puts[:n-1], dayfly.KeyReport) {
		a.t.Errorf("the report is not the last thing stored: %q", a.puts)
	}
	if r.Log.Key != prefix+dayfly.KeyLog {
		a.t.Errorf("the log's key is %q", r.Log.Key)
	}
	for _, o := range append(objects(r.Results), r.Log) {
		b := a.get(o.Key)
		sum := sha256.Sum256(b)
		if int64(len(b)) != o.Size || hex.EncodeToString(sum[:]) != o.SHA256 {
			a.t.Errorf("%s is not what the report says: %d bytes", o.Key, len(b))
		}
	}
	if live := a.live(); !bytes.HasPrefix(a.get(r.Log.Key), live) {
		a.t.Errorf("what was live is not a prefix of the log: %.300q and %.300q", live, a.get(r.Log.Key))
	}
	if r.PreparedAt.IsZero() || r.FinishedAt.Before(r.PreparedAt) || r.SavedAt.Before(r.FinishedAt) {
		a.t.Errorf("prepared %s, finished %s, saved %s", r.PreparedAt, r.FinishedAt, r.SavedAt)
	}
	return r
}

func objects(results []dayfly.Result) (out []dayfly.Object) {
	for _, r := range results {
		out = append(out, r.Object)
	}
	return out
}

// live is what the chunks say, one after another.
func (a *attempt) live() (out []byte) {
	a.t.Helper()
	for info, err := range a.bucket.List(context.Background(), prefix+dayfly.KeyChunks, "") {
		must(a.t, err)
		out = append(out, a.get(info.Key)...)
	}
	return out
}

func (a *attempt) log() string { return string(a.get(prefix + dayfly.KeyLog)) }

// results are the stored files by name.
func (a *attempt) results(r dayfly.Report) map[string]string {
	out := map[string]string{}
	for _, f := range r.Results {
		name := f.Name
		if f.Raw != nil {
			name = string(f.Raw)
		}
		out[name] = string(a.get(f.Key))
	}
	return out
}

func wantOutcome(t testing.TB, r dayfly.Report, o dayfly.Outcome, code int, reason string) {
	t.Helper()
	got := "none"
	if r.ExitCode != nil {
		got = fmt.Sprint(*r.ExitCode)
	}
	want := fmt.Sprint(code)
	if code < 0 {
		want = "none"
	}
	if r.Outcome != o || got != want || !strings.Contains(r.Reason, reason) || (reason == "" && r.Reason != "") {
		t.Errorf("it %s, exit code %s, %q; want %s, %s, %q", r.Outcome, got, r.Reason, o, want, reason)
	}
}

func sameFiles(t testing.TB, got, want map[string]string) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("stored %q, want %q", got, want)
	}
}
