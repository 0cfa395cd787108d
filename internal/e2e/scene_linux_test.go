package e2e_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/e2e/ptrace"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
)

// The scenes: three ways in which one run comes about, each traced as a whole.
const (
	sceneRun    = "run"    // dayfly run, alone, in a data directory that it makes
	sceneServe  = "serve"  // a daemon that finds a slot due
	sceneBeside = "beside" // dayfly run beside a daemon, which is not traced
)

var scenes = []string{sceneRun, sceneServe, sceneBeside}

// theatre is what the trials of a test have in common.
type theatre struct {
	t        *testing.T
	w        *witness
	prepared *home // a data directory with a slot that is due
	slot     dayfly.RunID
}

const (
	performedLog    = "out of the job\n"
	performedResult = "kept"
	sceneTimeout    = time.Minute
)

// performance is the job: it says when it begins and ends, uses a packed file, prints, and leaves a result.
func performance(w *witness) string {
	return fmt.Sprintf(`catch_up: {policy: last, within: 24h}
timeout: 5m
files: [word]
run: |
  #!/bin/bash
  exec 9<>/dev/tcp/%s
  echo "start $TRIAL $DAYFLY_RUN $DAYFLY_ATTEMPT" >&9
  echo out of the job
  printf %%s "$(<word)" > "$DAYFLY_RESULTS/a"
  echo "end $TRIAL $DAYFLY_RUN $DAYFLY_ATTEMPT" >&9
`, strings.ReplaceAll(w.addr, ":", "/"))
}

func newTheatre(t *testing.T) *theatre {
	t.Helper()
	s := &theatre{t: t, w: newWitness(t), prepared: newHome(t)}
	due := time.Now().UTC().Add(-time.Minute).Truncate(time.Minute)
	path := s.jobFile(s.prepared, "due", fmt.Sprintf("schedule: %q\n", due.Format("4 15 * * *")))
	if _, code := s.prepared.dayfly("apply", path); code != 0 {
		t.Fatalf("apply: exit code %d", code)
	}
	s.slot = dayfly.NewRunID("due", due, "", 0)
	s.change(s.prepared, func(rec *store.Job, _ *dayfly.Job) {
		rec.Cursor, rec.NextDue = due.Add(-time.Second), due
	})
	return s
}

// change changes what is known of the job that is due.
func (s *theatre) change(h *home, how func(*store.Job, *dayfly.Job)) {
	s.t.Helper()
	ctx := s.t.Context()
	db, err := sqlite.Open(ctx, filepath.Join(h.dir, "dayfly.db"), sqlite.Options{Holder: "test", Now: time.Now})
	if err != nil {
		s.t.Error(err)
		return
	}
	defer db.Close()
	rec, err1 := db.Job(ctx, "due")
	job, err2 := db.Version(ctx, rec.Version)
	how(&rec, &job)
	rec.Version = job.Version()
	err3 := db.PutVersion(ctx, job)
	_, err4 := db.PutJob(ctx, rec)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		s.t.Error(err)
	}
}

// jobFile writes a job file with the file that it packs beside it.
func (s *theatre) jobFile(h *home, name, more string) string {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(h.jobs, "word"), []byte(performedResult), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return h.job(name, more+performance(s.w))
}

// trial is one scene played once.
type trial struct {
	*home
	s            *theatre
	scene, name  string
	installation string
	judge        func(p *trial, role string, c *ptrace.Call) ptrace.Verdict
	faulty       bool // its disk has failed

	traced         *ptrace.Program
	stdout, stderr string
	status         unix.WaitStatus
	traceErr       error
	runs           []record
	problems       []error
	daemonSays     string // the one that nobody harmed
}

// wrong notes what must not be.
func (p *trial) wrong(format string, args ...any) {
	p.problems = append(p.problems, fmt.Errorf(format, args...))
}

// play plays the scene, lets something healthy go on with what is left of it, and looks at everything.
func (s *theatre) play(scene, name string, judge func(p *trial, role string, c *ptrace.Call) ptrace.Verdict) *trial {
	h, remove := makeHome(s.t)
	defer remove()
	p := &trial{home: h, s: s, scene: scene, name: "k" + name, judge: judge, installation: "trial-" + name}
	if scene == sceneServe {
		p.settle(os.CopyFS(h.dir, os.DirFS(s.prepared.dir)))
		s.change(h, func(_ *store.Job, job *dayfly.Job) { job.Env = map[string]string{"TRIAL": p.name} })
	} else {
		p.settle(os.Mkdir(h.dir, 0o700))
	}
	p.settle(os.WriteFile(filepath.Join(h.dir, "dayfly.yaml"), []byte("installation: "+p.installation+"\n"), 0o600))
	if len(p.problems) == 0 {
		p.perform()
		p.goOn()
		p.sweep()
		p.check()
	}
	return p
}

func (p *trial) settle(err error) {
	if err != nil {
		p.wrong("set the scene: %w", err)
	}
}

// args are what is traced.
func (p *trial) args() []string {
	if p.scene == sceneServe {
		return []string{"dayfly", "serve"}
	}
	return []string{"dayfly", "run", p.s.jobFile(p.home, p.name, "env: {TRIAL: "+p.name+"}\n")}
}

// perform runs what is traced, to its end and that of everything it starts.
func (p *trial) perform() {
	if p.scene == sceneBeside {
		defer p.serve()()
	}
	top := filepath.Dir(p.dir)
	out, err1 := os.Create(filepath.Join(top, "stdout"))
	diag, err2 := os.Create(filepath.Join(top, "stderr"))
	if err := errors.Join(err1, err2); err != nil {
		p.settle(err)
		return
	}
	defer out.Close()
	defer diag.Close()
	p.traced = &ptrace.Program{
		Path: p.bin, Args: p.args(), Env: append(os.Environ(), "DAYFLY_DATA="+p.dir), Dir: top, Stdout: out, Stderr: diag,
		Enter: func(c *ptrace.Call) ptrace.Verdict {
			if role := roleOf(c.Process); role != "" {
				return p.judge(p, role, c)
			}
			return ptrace.Pass()
		},
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		p.status, p.traceErr = p.traced.Run()
	}()
	p.watch(over)
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			p.settle(err)
		}
		return string(b)
	}
	p.stdout, p.stderr = read("stdout"), read("stderr")
}

// watch waits for the end of what is traced, and stops a daemon when there is nothing left to do for it.
func (p *trial) watch(over <-chan struct{}) {
	limit := time.NewTimer(sceneTimeout)
	defer limit.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-over:
			return
		case <-limit.C:
			p.wrong("after %s what is traced has not come to its end", sceneTimeout)
			p.traced.Kill()
			<-over
			return
		case <-look.C:
			if p.scene == sceneServe && p.ended() {
				p.traced.Signal(unix.SIGTERM)
			}
		}
	}
}

// count counts the runs there are and those that have ended. It asks the database itself, which costs little.
func (p *trial) count() (all, ended int, err error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(p.dir, "dayfly.db")+"?mode=ro")
	if err != nil {
		return 0, 0, err
	}
	defer db.Close()
	covered := 0 // asked for at the same moment: the run comes first, and then the slot is covered
	const count = "SELECT count(*), count(*) FILTER (WHERE state = 'ended'), (SELECT count(*) FROM jobs WHERE next_due > ?) FROM runs"
	err = db.QueryRowContext(p.s.t.Context(), count, time.Now().UnixMicro()).Scan(&all, &ended, &covered)
	if err == nil && all == 0 && covered == 0 && p.scene == sceneServe { // there will be one
		all = 1
	}
	return all, ended, err
}

// ended tells whether there are runs, and all have ended.
func (p *trial) ended() bool {
	all, ended, err := p.count()
	return err == nil && all > 0 && all == ended
}

// serve begins a daemon that nobody harms, waits until it is at work, and gives what stops it.
func (p *trial) serve() (stop func()) {
	cmd := p.command("serve")
	diag := output{grown: make(chan struct{}, 1)}
	cmd.Stderr = &diag
	if err := cmd.Start(); err != nil {
		p.settle(err)
		return func() {}
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for !strings.Contains(diag.String(), "Serving ") {
		select {
		case <-diag.grown:
		case err := <-ended:
			p.wrong("the daemon that nobody harmed ended: %w: %s", err, diag.String())
			return func() {}
		}
	}
	return func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		if err := <-ended; err != nil {
			p.wrong("the daemon that nobody harmed: %w", err)
		}
		p.daemonSays += diag.String()
	}
}

// goOn lets a daemon that nobody harms go on with what is left, if anything is, and reads the records.
func (p *trial) goOn() {
	if !p.ended() {
		stop := p.serve()
		patience := time.NewTimer(sceneTimeout)
		look := time.NewTicker(20 * time.Millisecond)
		for waiting := true; waiting; {
			select {
			case <-patience.C:
				p.wrong("%s after it was left to a daemon that nobody harms it has not ended", sceneTimeout)
				waiting = false
			case <-look.C:
				all, ended, err := p.count()
				waiting = err != nil || all > ended
			}
		}
		patience.Stop()
		look.Stop()
		stop()
	}
	var out, diag bytes.Buffer
	cmd := p.command("history", "-o", "jsonl", "--limit", "0")
	cmd.Stdout, cmd.Stderr = &out, &diag
	if err := cmd.Run(); err != nil {
		p.wrong("history: %w: %s", err, diag.String())
		return
	}
	var err error
	if p.runs, err = records(out.String()); err != nil {
		p.wrong("%w", err)
	}
}

// sweep sweeps twice, where the disk has failed: what could not be removed then is removed now.
func (p *trial) sweep() {
	if !p.faulty {
		return
	}
	for range 2 {
		if out, err := p.command("sweep").CombinedOutput(); err != nil {
			p.wrong("sweep: %w: %s", err, out)
		}
	}
}

// roleOf tells what part a process plays; "" is one of the job's, or none of dayfly's yet.
func roleOf(proc *ptrace.Process) string {
	role := ""
	switch kind, of := agentOf(proc.Args); {
	case kind == atInit && len(of) < 32:
		role = "helper" // tries a way, or removes what is another's
	case kind != "":
		role = kind
	case len(proc.Args) > 1 && proc.Args[0] == "dayfly":
		role = proc.Args[1]
	}
	if role != "" && proc.Forked {
		role += "'s child"
	}
	return role
}

// sortOf is what kind of a call it is, in few words; "" is one that nobody asks for.
func sortOf(c *ptrace.Call) string {
	switch name := c.Name; name {
	case "write", "writev":
		switch what := c.What(c.FD(0)); {
		case strings.HasPrefix(what, "socket:"):
			return "socket send"
		case strings.HasPrefix(what, "pipe:"):
			return "write to a pipe"
		case strings.HasPrefix(what, "/") && !strings.HasPrefix(what, "/dev/"):
			return "write"
		}
		return ""
	case "sendto", "sendmsg", "sendmmsg":
		return "socket send"
	case "clone", "clone3", "fork", "vfork":
		if c.Forks() {
			return "clone"
		}
		return ""
	case "mmap":
		return ""
	case "fdatasync", "fsync":
		return "fsync"
	case "openat", "open", "creat":
		return "open"
	case "rmdir":
		return "unlink"
	default:
		name = strings.TrimSuffix(strings.TrimSuffix(name, "2"), "at")
		return strings.TrimSuffix(name, "64")
	}
}

// String tells what happened, for a trial that went wrong.
func (p *trial) String() string {
	var b strings.Builder
	for _, err := range p.problems {
		fmt.Fprintf(&b, "\n  %v", err)
	}
	fmt.Fprintf(&b, "\n  it ended with %v; runs %+v\n  stdout: %s\n  stderr: %s\n  the healthy daemon: %s", p.status, p.runs, p.stdout, p.stderr, p.daemonSays)
	return b.String()
}
