package local_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
)

// restless is a job that does all it can to outlive its machine.
const restless = `
(trap "" TERM HUP INT QUIT; sleep 1000) &
(setsid sh -c 'trap "" TERM; sleep 1000 & exec sleep 1000' &)
trap "" TERM
echo started
while :; do sleep 0.01; done`

func (h *host) restless(rung dayfly.Isolation) machine.Spec {
	h.t.Helper()
	s := h.spec(restless)
	s.Machine.Isolation = rung
	h.launch(s)
	h.awaitLog(s.Task.Env["TEST_DIR"], "started")
	return s
}

func TestTerminateLeavesNothing(t *testing.T) {
	t.Parallel()
	onEveryRung(t, func(t *testing.T, h *host, rung dayfly.Isolation) {
		s := h.restless(rung)
		if err := h.Terminate(t.Context(), h.MachineID(s)); err != nil {
			t.Fatal(err)
		}
		h.awaitState(h.MachineID(s), dayfly.MachineTerminated)
		if left := jobProcesses(t, s.Token); len(left) > 0 {
			t.Errorf("terminated, and processes %v live", left)
		}
		for _, d := range []string{"box", "scratch"} {
			if _, err := os.Stat(filepath.Join(h.dir, s.Token, d)); !os.IsNotExist(err) {
				t.Errorf("terminated, and %s is left: %v", d, err)
			}
		}
	})
}

func TestKilled(t *testing.T) {
	t.Parallel()
	for _, story := range []struct {
		name        string
		supervisor  bool // is killed
		first       bool // is killed
		stopFirst   bool // PID 1 is stopped before
		noneOutlive bool // on the rung none the job is still there, until the next look
	}{
		{"supervisor", true, false, false, true},
		{"supervisor while PID 1 is stopped", true, false, true, true},
		{"PID 1", false, true, false, false},
		{"both", true, true, true, true},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			onEveryRung(t, func(t *testing.T, h *host, rung dayfly.Isolation) {
				s := h.restless(rung)
				supervisor, first := h.supervisor(s.Token), h.first(s.Token)
				if story.stopFirst {
					h.stop(first)
				}
				if story.supervisor {
					h.kill(unix.SIGKILL, supervisor)
				}
				if story.first {
					h.kill(unix.SIGKILL, first)
				}
				if rung != dayfly.IsolationNone || !story.noneOutlive {
					h.await("the job is dead without anybody's help", func() bool { return len(jobProcesses(t, s.Token)) == 0 })
				}
				h.await("List shows it gone", func() bool {
					gone := h.state(h.MachineID(s)) == dayfly.MachineTerminated
					if left := jobProcesses(t, s.Token); gone && len(left) > 0 {
						t.Errorf("terminated, and processes %v live", left)
					}
					return gone
				})
				if again := h.launch(s); again.State != dayfly.MachineTerminated || strings.Count(h.log(s), "started") != 1 {
					t.Errorf("launched again it is %s, with the log %q", again.State, h.log(s))
				}
			})
		})
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	const life = 3 * time.Second
	for _, story := range []struct {
		name                       string
		stopSupervisor, stopFirst  bool
		jobAllowance, allAllowance time.Duration
	}{
		{"nothing is broken", false, false, 2 * time.Second, 5 * time.Second},
		// Before the kernel's timer, which comes 4 s after the deadline:
		{"the supervisor is stopped", true, false, 3 * time.Second, 6 * time.Second},
		{"PID 1 is stopped", false, true, 3 * time.Second, 5 * time.Second},
		{"both are stopped", true, true, 6 * time.Second, 6 * time.Second},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			onEveryRung(t, func(t *testing.T, h *host, rung dayfly.Isolation) {
				lag := h.busy()
				s, m := h.startsWithin(life, rung)
				if story.stopFirst {
					h.stop(h.first(s.Token))
				}
				if story.stopSupervisor {
					h.stop(h.supervisor(s.Token))
				}
				if rung == dayfly.IsolationNone && story.stopFirst {
					// Nobody is left who could end the job: that takes a look.
					h.await("List shows it gone", func() bool { return h.state(m.ID) == dayfly.MachineTerminated })
					return
				}
				h.goneBy(s.Tags.Deadline, story.jobAllowance, lag, func() []int { return jobProcesses(t, s.Token) })
				h.goneBy(s.Tags.Deadline, story.allAllowance, lag, func() []int { return processes(t, s.Token) })
				h.awaitState(m.ID, dayfly.MachineTerminated)
				if story.stopSupervisor || stoodStill(lag) {
					return // its agent cannot write, or may have been killed before it could
				}
				if o := h.end(s); !o.Exit.Expired || o.Exit.Code == 0 {
					t.Errorf("ended as %+v, want expired", o)
				}
			})
		})
	}
}

// startsWithin launches a restless job on a machine that lives so long, or, where this host is too busy to
// start it in that time, longer.
func (h *host) startsWithin(life time.Duration, rung dayfly.Isolation) (machine.Spec, dayfly.Machine) {
	h.t.Helper()
	for {
		s := h.spec(restless)
		s.Machine.Isolation = rung
		s.Tags.Deadline = time.Now().Add(life)
		m, err := h.Launch(h.t.Context(), s)
		if err != nil && !errors.Is(err, machine.ErrGone) {
			h.t.Fatal(err)
		}
		started := false
		h.await("the job starts, or its time is over", func() bool {
			b, _ := os.ReadFile(filepath.Join(s.Task.Env["TEST_DIR"], "log"))
			started = strings.Contains(string(b), "started")
			return started || !time.Now().Before(s.Tags.Deadline)
		})
		if started {
			return s, m
		}
		life *= 3
	}
}

// TestDataDirectoryRemoved: nobody can find the machine any more, so it ends by itself, long before its deadline.
func TestDataDirectoryRemoved(t *testing.T) {
	t.Parallel()
	onEveryRung(t, func(t *testing.T, h *host, rung dayfly.Isolation) {
		lag, s := h.busy(), h.restless(rung)
		if err := os.Rename(h.dir, h.dir+".going"); err != nil { // a supervisor may write while it is removed
			t.Fatal(err)
		}
		if err := os.RemoveAll(h.dir + ".going"); err != nil {
			t.Fatal(err)
		}
		h.goneBy(time.Now(), 10*time.Second, lag, func() []int { return processes(t, s.Token) })
		h.nothingLeft(s.Token)
	})
}

func TestAgentThatHangsIsGoneAfterTheDeadline(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.spec(":")
	s.Task.Env["TEST_BREAK"] = "prepare" // it waits for its context
	s.Tags.Deadline = time.Now().Add(10 * time.Second)
	h.launch(s)
	h.goneBy(s.Tags.Deadline, 5*time.Second, h.busy(), func() []int { return processes(t, s.Token) })
	h.awaitState(h.MachineID(s), dayfly.MachineTerminated)
}

func TestConcurrentLaunchesStartOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.spec("echo started; exec sleep 1000")
	spec, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { // in this process
			if m, err := h.Launch(t.Context(), s); err != nil || m.ID != h.MachineID(s) {
				t.Errorf("launch gave %+v, %v", m, err)
			}
		})
		wg.Go(func() { // and in others
			out, err := command("launch", h.dir, string(spec)).CombinedOutput()
			if err != nil || !strings.HasPrefix(string(out), "local/"+s.Token) {
				t.Errorf("launch in a process of its own: %s %v", out, err)
			}
		})
	}
	wg.Wait()
	h.awaitLog(s.Task.Env["TEST_DIR"], "started")
	if err := h.Terminate(t.Context(), h.MachineID(s)); err != nil {
		t.Fatal(err)
	}
	h.awaitState(h.MachineID(s), dayfly.MachineTerminated)
	if n := strings.Count(h.log(s), "started"); n != 1 {
		t.Errorf("it was started %d times", n)
	}
}

// command is this binary as another process.
func command(args ...string) *exec.Cmd {
	return exec.Command("/proc/self/exe", append([]string{"agent"}, args...)...)
}

func TestLauncherKilledMidway(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	h := newHost(t)
	for i := range 30 {
		s := h.spec("echo started; exec sleep 1000")
		spec, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		c := command("launch", h.dir, string(spec))
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Duration(random.Int64N(int64(60*time.Millisecond))), func() { _ = c.Process.Kill() })
		_ = c.Wait()
		kill.Stop()
		if i%3 == 2 { // it is ended without having been heard of
			if err := h.Terminate(t.Context(), h.MachineID(s)); err != nil {
				t.Fatal(err)
			}
			h.awaitState(h.MachineID(s), dayfly.MachineTerminated)
			h.nothingRuns(s.Token)
			continue
		}
		h.launch(s)
		h.awaitLog(s.Task.Env["TEST_DIR"], "started")
		if err := h.Terminate(t.Context(), h.MachineID(s)); err != nil {
			t.Fatal(err)
		}
		h.awaitState(h.MachineID(s), dayfly.MachineTerminated)
		if n := strings.Count(h.log(s), "started"); n != 1 {
			t.Errorf("it was started %d times", n)
		}
	}
}

// nothingRuns checks at once that no job of the machine lives, and a moment later that none began.
func (h *host) nothingRuns(token string) {
	h.t.Helper()
	if left := jobProcesses(h.t, token); len(left) > 0 {
		h.t.Errorf("processes %v live", left)
	}
	h.await("no process", func() bool { return len(processes(h.t, token)) == 0 })
}

func TestProcessesKilledAtRandom(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	h := newHost(t)
	for i := range 30 {
		rung := everyRung[i%len(everyRung)]
		s := h.spec(restless)
		s.Machine.Isolation = rung
		h.launch(s)
		time.Sleep(time.Duration(random.Int64N(int64(60 * time.Millisecond)))) // the fault's moment, not a wait
		victims := processes(t, s.Token)
		for _, pid := range victims {
			if random.IntN(2) == 0 && !h.isJob(pid, s.Token) {
				h.kill(unix.SIGKILL, pid)
			}
		}
		if err := h.Terminate(t.Context(), h.MachineID(s)); err != nil {
			t.Fatalf("%s: %v", rung, err)
		}
		h.awaitState(h.MachineID(s), dayfly.MachineTerminated)
		if left := jobProcesses(t, s.Token); len(left) > 0 {
			t.Errorf("%s: terminated, and processes %v live", rung, left)
		}
	}
}

func (h *host) isJob(pid int, token string) bool {
	b, err := os.ReadFile(filepath.Join("/proc", itoa(pid), "cmdline"))
	return err != nil || !bytes.Contains(b, []byte(token))
}

func TestSupervisorNeedsALaunch(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"supervise", "--machine", t.TempDir()}, {"init", "--token", "x"}} {
		c := command(args...)
		var out bytes.Buffer
		c.Stderr = &out
		if err := c.Run(); err == nil || !strings.Contains(out.String(), "error: ") {
			t.Errorf("%v gave %v and said %q", args, err, out.String())
		}
	}
}
