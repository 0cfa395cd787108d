package e2e_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/durable/disktest"
	"github.com/dayfly-io/dayfly/internal/e2e/ptrace"
)

// TestDeadDiskReal is R8 for a disk that fails under a daemon and a machine, and stays so: requests are refused
// and say why, what there is can be looked at, the job ends on time all the same, and when the disk is well
// again the same daemon goes on by itself.
func TestDeadDiskReal(t *testing.T) {
	t.Parallel()
	for name, disk := range map[string]func(t *testing.T, h *home) mortal{
		"every write fails": func(*testing.T, *home) mortal { return &injected{errno: unix.EIO} },
		"no room":           func(*testing.T, *home) mortal { return &injected{errno: unix.ENOSPC} },
		"read-only":         func(*testing.T, *home) mortal { return &injected{errno: unix.EROFS} },
		"really full":       func(t *testing.T, h *home) mortal { return newSmallDisk(t, h.dir) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, w := newHome(t), newWitness(t)
			d := disk(t, h)
			deaf := h.job("deaf", "timeout: 2s\ngrace: 1s\ndeadline: 20s\nrun: |\n  #!/bin/bash\n  trap '' TERM\n  "+w.say()+
				"\n  echo some words\n  while :; do read -rt 1 <&9; done\n")
			quick := h.job("quick", "run: echo quick\n")

			daemon := startOn(t, h, d, "serve")
			await(t, time.Minute, "the daemon serves", func() bool { return strings.Contains(daemon.said(), "Serving ") })
			run, code := h.dayfly("run", "--detach", deaf)
			if code != 0 {
				t.Fatalf("run: exit code %d", code)
			}
			await(t, time.Minute, "the job has begun", func() bool { return len(w.words()) == 1 })
			deadline := deadlineOf(t, h)

			d.die()
			refused := startOn(t, h, d, "run", quick)
			if ws := <-refused.ended; ws.ExitStatus() != 1 || !strings.Contains(refused.said(), "error: ") || !strings.Contains(refused.said(), "hint: ") {
				t.Errorf("a request ended with %d: %s", ws.ExitStatus(), refused.said())
			}
			if out, code := h.dayfly("history", "-o", "name"); code != 0 || strings.TrimSpace(out) != strings.TrimSpace(run) {
				t.Errorf("history: exit code %d, %q", code, out)
			}
			select {
			case <-w.words()[0].Done:
				if late := time.Since(deadline); late > 5*time.Second {
					t.Errorf("the job was over %s after its deadline", late)
				}
			case <-time.After(2 * time.Minute):
				t.Fatal("the job is not over")
			}

			d.heal()
			await(t, time.Minute, "the run has ended", func() bool {
				return !slices.ContainsFunc(h.history(), func(r record) bool { return r.State != "ended" })
			})
			for _, r := range h.history() {
				if r.ID != strings.TrimSpace(run) || r.Outcome != "timed_out" && r.Outcome != "lost" {
					t.Errorf("there is run %+v", r)
				}
			}
			if out, code := h.dayfly("run", quick); code != 0 || out != "quick\n" {
				t.Errorf("when the disk is well again: exit code %d, %q", code, out)
			}
			daemon.p.Signal(unix.SIGTERM)
			if ws := <-daemon.ended; ws.ExitStatus() != 0 {
				t.Errorf("the daemon ended with code %d: %s", ws.ExitStatus(), daemon.said())
			}
			await(t, time.Minute, "nothing is left", func() bool { return len(h.processes()) == 0 && len(h.inMachines()) == 0 })
		})
	}
}

// mortal is a disk that can fail for a while.
type mortal interface {
	die()
	heal()
	judge(p *trial, c *ptrace.Call) ptrace.Verdict // of a call that changes the disk
}

// injected is a disk on which every change fails.
type injected struct {
	errno unix.Errno
	dead  atomic.Bool
}

func (d *injected) die()  { d.dead.Store(true) }
func (d *injected) heal() { d.dead.Store(false) }

func (d *injected) judge(p *trial, c *ptrace.Call) ptrace.Verdict {
	if sort := diskSort(p, c); d.dead.Load() && sort != "" && canFail(sort, d.errno) {
		return ptrace.Fail(d.errno)
	}
	return ptrace.Pass()
}

// smallDisk is one that is really full when it is dead.
type smallDisk struct {
	t       *testing.T
	ballast string
}

func newSmallDisk(t *testing.T, path string) *smallDisk {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	disktest.Mount(t, path, "16m")
	return &smallDisk{t, filepath.Join(path, "ballast")}
}

func (d *smallDisk) die() {
	if err := os.WriteFile(d.ballast, make([]byte, 32<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		d.t.Errorf("the disk does not fill: %v", err)
	}
}

func (d *smallDisk) heal() {
	if err := os.Remove(d.ballast); err != nil {
		d.t.Error(err)
	}
}

func (d *smallDisk) judge(*trial, *ptrace.Call) ptrace.Verdict { return ptrace.Pass() }

// tracedCommand is one that meets the disk's failures, as does all that it starts.
type tracedCommand struct {
	p     *ptrace.Program
	ended chan unix.WaitStatus
	said  func() string
}

// startOn begins a command on a disk.
func startOn(t *testing.T, h *home, d mortal, args ...string) *tracedCommand {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "out-*")
	if err != nil {
		t.Fatal(err)
	}
	c := &tracedCommand{ended: make(chan unix.WaitStatus, 2), said: func() string {
		text, err := os.ReadFile(out.Name())
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}}
	at := &trial{home: h}
	c.p = &ptrace.Program{
		Path: h.bin, Args: append([]string{"dayfly"}, args...), Env: append(os.Environ(), "DAYFLY_DATA="+h.dir), Stdout: out, Stderr: out,
		Enter: func(c *ptrace.Call) ptrace.Verdict {
			if roleOf(c.Process) == "" {
				return ptrace.Pass()
			}
			return d.judge(at, c)
		},
		Exited: func(ws unix.WaitStatus) { c.ended <- ws },
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		if ws, err := c.p.Run(); err != nil {
			t.Errorf("dayfly %s: %v", strings.Join(args, " "), err)
			c.ended <- ws
		}
	}()
	t.Cleanup(func() {
		c.p.Kill()
		<-over
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// deadlineOf is the deadline that the only machine there is carries.
func deadlineOf(t *testing.T, h *home) time.Time {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(h.dir, "machines/*/tags.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("machines: %q, %v", found, err)
	}
	text, err := os.ReadFile(found[0])
	var tags dayfly.Tags
	if err := errors.Join(err, json.Unmarshal(text, &tags)); err != nil || tags.Deadline.IsZero() {
		t.Fatalf("tags of a machine: %s, %v", text, err)
	}
	return tags.Deadline
}
