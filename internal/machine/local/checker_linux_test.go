package local_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What a test believes of a machine it reads from the kernel, not from the code under test.

// nothingLeft looks for the token in processes, mounts and cgroups. (Every process of a job carries
// it, in the path in TEST_DIR; supervisor and PID 1 among their arguments.)
func (h *host) nothingLeft(token string) {
	h.t.Helper()
	h.await("no process of "+token, func() bool { return len(processes(h.t, token)) == 0 })
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		h.t.Fatal(err)
	}
	if bytes.Contains(mounts, []byte(token)) {
		h.t.Errorf("a mount of %s is left", token)
	}
	for _, pattern := range []string{"/sys/fs/cgroup/dayfly-", "/sys/fs/cgroup/*/dayfly-", "/sys/fs/cgroup/*/*/dayfly-", "/sys/fs/cgroup/*/*/*/dayfly-"} {
		if left, _ := filepath.Glob(pattern + token); len(left) > 0 {
			h.t.Errorf("cgroups are left: %v", left)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(h.dir, "*"+token+"*")); len(left) > 0 {
		h.t.Errorf("folders are left: %v", left)
	}
}

// processes are those with the token in their arguments or environment, this one apart.
func processes(t testing.TB, token string) []int {
	t.Helper()
	return carrying(t, token, "cmdline", "environ")
}

// jobProcesses are those with the token in their environment, which dayfly's own have not.
func jobProcesses(t testing.TB, token string) []int {
	t.Helper()
	return carrying(t, token, "environ")
}

func carrying(t testing.TB, token string, files ...string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if slices.ContainsFunc(files, func(name string) bool {
			b, err := os.ReadFile(filepath.Join("/proc", e.Name(), name))
			return err == nil && bytes.Contains(b, []byte(token))
		}) {
			out = append(out, pid)
		}
	}
	return out
}

// recorded is a process as a machine's folder names it.
type recorded struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
	Boot  string `json:"boot"`
}

func (h *host) read(token, name string, v any) {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join(h.dir, token, name))
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) write(token, name string, v any) {
	h.t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(filepath.Join(h.dir, token, name), b, 0o600)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// supervisor and first are the pids of a machine's two processes of dayfly's.
func (h *host) supervisor(token string) int {
	h.t.Helper()
	var s struct{ Supervisor recorded }
	h.read(token, "started", &s)
	return h.isOurs(s.Supervisor.PID, token)
}

func (h *host) first(token string) int {
	h.t.Helper()
	var i struct{ Init recorded }
	h.read(token, "init.json", &i)
	return h.isOurs(i.Init.PID, token)
}

// isOurs keeps a test from ever signalling what it did not start.
func (h *host) isOurs(pid int, token string) int {
	h.t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil || !bytes.Contains(b, []byte(token)) {
		h.t.Fatalf("process %d is not of machine %s: %v", pid, token, err)
	}
	return pid
}

func (h *host) kill(sig unix.Signal, pids ...int) {
	h.t.Helper()
	for _, pid := range pids {
		if pid <= 1 {
			h.t.Fatalf("refusing to signal %d", pid)
		}
		if err := unix.Kill(pid, sig); err != nil && err != unix.ESRCH {
			h.t.Fatal(err)
		}
	}
}

// stop stops a process, and returns when every thread of it stands still.
func (h *host) stop(pid int) {
	h.t.Helper()
	h.kill(unix.SIGSTOP, pid)
	h.await("the process is stopped", func() bool {
		threads, _ := filepath.Glob("/proc/" + itoa(pid) + "/task/*/stat")
		return len(threads) > 0 && !slices.ContainsFunc(threads, func(f string) bool {
			b, err := os.ReadFile(f)
			return err != nil || !bytes.Contains(b, []byte(") T "))
		})
	})
}

// awaitLog waits until the job has written text.
func (h *host) awaitLog(dir, text string) {
	h.t.Helper()
	h.await("the job writes "+text, func() bool {
		b, _ := os.ReadFile(filepath.Join(dir, "log"))
		return strings.Contains(string(b), text)
	})
}

// goneBy checks that no process of the machine lives after the instant plus the allowance.
// The allowance is for a host that has time for it: what this one stood still comes on top. When that was longer
// than the kernel's timer waits, that timer may have come before everybody else, and then it takes a look to end a
// job on the rung none.
func (h *host) goneBy(at time.Time, allowance time.Duration, lag func() time.Duration, which func() []int) {
	h.t.Helper()
	h.await("the processes are gone", func() bool {
		if stoodStill(lag) {
			h.state("") // a look at all
		}
		return len(which()) == 0
	})
	if late, lag := time.Since(at), lag(); late > allowance+lag {
		h.t.Errorf("gone %s after the deadline, at most %s is allowed, and %s for a busy host",
			late.Round(time.Millisecond), allowance, lag.Round(time.Millisecond))
	}
	if early := time.Until(at); early > 0 {
		h.t.Errorf("gone %s before the deadline", early)
	}
}

// stoodStill tells whether the host did nothing for so long that who is last to end a machine may have been first.
func stoodStill(lag func() time.Duration) bool { return lag() > 3*time.Second }

// busy starts a process every 100 ms until the test ends. What it gives tells for how long the host, or this
// process on it, stood still since: each time it was more than a second, and the longest other one.
func (h *host) busy() (lag func() time.Duration) {
	const pause = 100 * time.Millisecond
	var (
		mu           sync.Mutex
		begun        = time.Now()
		most, stalls time.Duration
	)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_ = exec.Command("true").Run()
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			mu.Lock()
			if over := time.Since(begun) - pause; over > time.Second {
				stalls += over
			} else {
				most = max(most, over)
			}
			begun = time.Now()
			mu.Unlock()
		}
	}()
	h.t.Cleanup(func() {
		stop()
		<-ended
	})
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return stalls + max(most, time.Since(begun)-pause) // also what it is in the middle of
	}
}

// foreign is a process that is not dayfly's and must live until the test ends it.
func foreign(t *testing.T) *exec.Cmd {
	t.Helper()
	c := exec.Command("sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return c
}

// lives tells whether a process of ours that is not yet waited for is running.
func lives(t *testing.T, pid int) bool {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n == 0
}
