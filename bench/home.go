package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// home is one installation.
type home struct {
	ctx        context.Context
	dayfly     string
	data, jobs string
	daemon     *exec.Cmd
}

func (b bench) home(ctx context.Context) (*home, error) {
	h := &home{ctx: ctx, dayfly: b.dayfly, data: filepath.Join(b.dir, "data"), jobs: filepath.Join(b.dir, "jobs")}
	return h, os.MkdirAll(h.jobs, 0o700)
}

// job writes a job file and gives its path.
func (h *home) job(name, text string) string {
	path := filepath.Join(h.jobs, name+".yaml")
	if err := os.WriteFile(path, []byte("name: "+name+"\n"+text+"\n"), 0o600); err != nil {
		panic(err) // a scratch directory of our own
	}
	return path
}

func (h *home) command(args ...string) *exec.Cmd {
	c := exec.CommandContext(h.ctx, h.dayfly, args...)
	c.Env = append(os.Environ(), "DAYFLY_DATA="+h.data)
	return c
}

func (h *home) run(args ...string) error {
	if out, err := h.command(args...).CombinedOutput(); err != nil {
		return fmt.Errorf("dayfly %s: %w: %s", strings.Join(args, " "), err, said(out))
	}
	return nil
}

func (h *home) apply(paths ...string) error { return h.run(append([]string{"apply"}, paths...)...) }

// serve starts a daemon and gives back how long it took until it said so.
func (h *home) serve() (time.Duration, error) {
	c := h.command("serve")
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	diag, err := c.StderrPipe()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := c.Start(); err != nil {
		return 0, err
	}
	h.daemon = c
	lines := bufio.NewScanner(diag)
	if !lines.Scan() {
		return 0, errors.Join(errors.New("dayfly serve said nothing"), c.Wait())
	}
	took := time.Since(began)
	go func() {
		for lines.Scan() {
			continue // its log is read and not kept
		}
	}()
	return took, nil
}

func (h *home) stop() error {
	if h.daemon == nil {
		return nil
	}
	return errors.Join(h.daemon.Process.Signal(syscall.SIGTERM), h.daemon.Wait())
}

// agent is how large the program is that attends a job, in bytes. It is in no file: a job without a sandbox looks.
func (h *home) agent() (int64, error) {
	out, err := h.command("run", h.job("agent", "machine: {isolation: none}\nrun: stat -Lc %s /proc/$PPID/exe")).Output()
	if err != nil {
		return 0, fmt.Errorf("run a job that looks at its agent: %w", err)
	}
	return strconv.ParseInt(said(out), 10, 64)
}

// used is the daemon's CPU time and its memory now. The time is that of its threads in nanoseconds: the clock ticks
// in the stat of a process are drawn at instants at which one that looks every second is always at work.
func (h *home) used() (cpu time.Duration, rss int64, err error) {
	proc := "/proc/" + strconv.Itoa(h.daemon.Process.Pid)
	threads, err := filepath.Glob(proc + "/task/*/schedstat")
	if err != nil {
		return 0, 0, err
	}
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if err != nil {
			return 0, 0, err
		}
		ran, _, _ := strings.Cut(string(stat), " ")
		n, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read %s: %w", path, err)
		}
		cpu += time.Duration(n)
	}
	memory, err := os.ReadFile(proc + "/statm")
	if err != nil {
		return 0, 0, err
	}
	fields := strings.Fields(string(memory))
	if len(fields) < 2 {
		return 0, 0, fmt.Errorf("read %s/statm: %q", proc, memory)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return cpu, pages * int64(os.Getpagesize()), err
}

// record is a run as history shows it.
type record struct {
	Slot     time.Time `json:"slot"`
	State    string    `json:"state"`
	Outcome  string    `json:"outcome"`
	Attempts []struct {
		Launched time.Time `json:"launched_at"`
		Started  time.Time `json:"started_at"`
		Gone     time.Time `json:"gone_at"`
	} `json:"attempts"`
}

// ended waits until n runs have ended, and gives them. It looks seldom: what it measures is not its own work.
func (h *home) ended(n int) ([]record, error) {
	for {
		out, err := h.command("history", "-o", "json", "--limit", strconv.Itoa(n)).Output()
		if err != nil {
			return nil, fmt.Errorf("dayfly history: %w", err)
		}
		var all []record
		if err := json.Unmarshal(out, &all); err != nil {
			return nil, err
		}
		over := 0
		for _, r := range all {
			if r.State != "ended" {
				continue
			}
			if over++; r.Outcome != "succeeded" || len(r.Attempts) != 1 {
				return nil, fmt.Errorf("a run ended as %+v", r)
			}
		}
		if over >= n {
			return all, nil
		}
		select {
		case <-h.ctx.Done():
			return nil, h.ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
}

// from collects how long after an instant of each run another came.
func from(all []record, since, until func(record) time.Time) []time.Duration {
	var out []time.Duration
	for _, r := range all {
		out = append(out, until(r).Sub(since(r)))
	}
	return out
}

func slot(r record) time.Time    { return r.Slot }
func started(r record) time.Time { return r.Attempts[0].Started }
func gone(r record) time.Time    { return r.Attempts[0].Gone }
