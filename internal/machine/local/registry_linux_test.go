package local_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/local"
)

// corpse is a machine whose processes were all killed with -9, so that nobody wrote closed.
func (h *host) corpse() machine.Spec {
	h.t.Helper()
	s := h.spec("echo started; exec sleep 1000")
	h.launch(s)
	h.awaitLog(s.Task.Env["TEST_DIR"], "started")
	h.kill(unix.SIGKILL, h.supervisor(s.Token))
	h.await("all of it is dead", func() bool { return len(processes(h.t, s.Token)) == 0 })
	return s
}

// recordOf names a process as dayfly does, read by the test's own means.
func recordOf(t *testing.T, pid int) recorded {
	t.Helper()
	stat, err1 := os.ReadFile("/proc/" + itoa(pid) + "/stat")
	boot, err2 := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	start, err := strconv.ParseUint(strings.Fields(string(rest))[19], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return recorded{PID: pid, Start: start, Boot: strings.TrimSpace(string(boot))}
}

// otherThread is a thread of this process whose number is not the process's.
func otherThread(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil || len(tasks) < 2 {
		t.Fatalf("%d threads, %v", len(tasks), err)
	}
	tid, err := strconv.Atoi(tasks[len(tasks)-1].Name())
	if err != nil || tid == os.Getpid() {
		t.Fatalf("thread %d, %v", tid, err)
	}
	return tid
}

func TestRecycledPidIsNeverKilled(t *testing.T) {
	t.Parallel()
	for name, forge := range map[string]func(*recorded){
		"another start time": func(r *recorded) { r.Start-- },
		"another boot":       func(r *recorded) { r.Boot = "00000000-0000-0000-0000-000000000000" },
		"a thread's now":     func(r *recorded) { r.PID = otherThread(t) },
	} {
		for _, whose := range []string{"PID 1", "supervisor"} {
			t.Run(whose+", "+name, func(t *testing.T) {
				t.Parallel()
				h := newHost(t)
				s := h.corpse()
				bystander := foreign(t)
				r := recordOf(t, bystander.Process.Pid)
				forge(&r)
				if whose == "PID 1" {
					h.write(s.Token, "init.json", map[string]recorded{"init": r})
				} else {
					var started map[string]any
					h.read(s.Token, "started", &started)
					started["supervisor"] = r
					h.write(s.Token, "started", started)
				}
				h.awaitState(h.MachineID(s), dayfly.MachineTerminated)
				if err := h.Terminate(t.Context(), h.MachineID(s)); err != nil {
					t.Fatal(err)
				}
				if err := h.Cancel(t.Context(), h.MachineID(s)); err != nil {
					t.Fatal(err)
				}
				if !lives(t, bystander.Process.Pid) {
					t.Error("a process that is not dayfly's was killed")
				}
			})
		}
	}
}

func TestZombieIsNotGone(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.corpse()
	c := command("zombie")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "true\n" {
		t.Fatalf("it could not become a zombie: %q, %v", line, err)
	}
	h.await("its state is zombie", func() bool {
		b, err := os.ReadFile("/proc/" + itoa(c.Process.Pid) + "/stat")
		return err == nil && bytes.Contains(b, []byte(") Z "))
	})
	h.write(s.Token, "init.json", map[string]recorded{"init": recordOf(t, c.Process.Pid)})
	if st := h.state(h.MachineID(s)); st != dayfly.MachineStopping {
		t.Errorf("with threads of its first process alive it is %s", st)
	}
	h.awaitState(h.MachineID(s), dayfly.MachineTerminated) // the look killed what the record names
	if lives(t, c.Process.Pid) {
		t.Error("it is terminated, and its first process lives")
	}
}

func TestCgroupMustBeEmpty(t *testing.T) {
	t.Parallel()
	must(t, os.Geteuid() == 0 || os.Getenv("HOME") == "/nonexistent", "only root has cgroups here") // again as root
	h := newHost(t)
	s := h.spec("echo started; exec sleep 1000")
	h.launch(s)
	h.awaitLog(s.Task.Env["TEST_DIR"], "started")
	found, _ := filepath.Glob("/sys/fs/cgroup/*/dayfly-" + s.Token)
	if len(found) == 0 {
		found, _ = filepath.Glob("/sys/fs/cgroup/dayfly-" + s.Token)
	}
	must(t, len(found) > 0, "no cgroup can be written here")
	// A process that came from outside, as by nsenter: it is in no namespace that dies with PID 1.
	intruder := exec.Command("sleep", "1000")
	if err := intruder.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = intruder.Process.Kill()
		_ = intruder.Wait()
	}()
	if err := os.WriteFile(filepath.Join(found[0], "cgroup.procs"), []byte(itoa(intruder.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	first, supervisor := h.first(s.Token), h.supervisor(s.Token)
	h.kill(unix.SIGKILL, supervisor)
	h.await("both are dead", func() bool { return !lives(t, first) && !lives(t, supervisor) }) // PID 1 may be so first
	if st := h.state(h.MachineID(s)); st != dayfly.MachineStopping {
		t.Errorf("with a process in its cgroup it is %s", st)
	}
	h.awaitState(h.MachineID(s), dayfly.MachineTerminated)
	if lives(t, intruder.Process.Pid) {
		t.Error("it is terminated, and a process of its cgroup lives")
	}
}

func TestNeverStartedIsPendingUntilClosed(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.corpse()
	for _, f := range []string{"started", "init.json", "status.json"} { // as if the launcher had died before its fork
		if err := os.RemoveAll(filepath.Join(h.dir, s.Token, f)); err != nil {
			t.Fatal(err)
		}
	}
	if st := h.state(h.MachineID(s)); st != dayfly.MachinePending {
		t.Errorf("it is %s: a supervisor may be on its way", st)
	}
	if err := h.Forget(t.Context(), h.MachineID(s)); err == nil {
		t.Error("it was forgotten")
	}
	t.Run("and a launch repeated after its deadline does not start it", func(t *testing.T) {
		var l map[string]any
		h.read(s.Token, "launch.json", &l)
		tags := l["spec"].(map[string]any)["tags"].(map[string]any)
		deadline := tags["dayfly:deadline"]
		tags["dayfly:deadline"] = time.Now().Format(time.RFC3339Nano)
		h.write(s.Token, "launch.json", l)
		if _, err := h.Launch(t.Context(), s); !errors.Is(err, machine.ErrGone) {
			t.Errorf("launch gave %v", err)
		}
		tags["dayfly:deadline"] = deadline
		h.write(s.Token, "launch.json", l)
		if err := os.Remove(filepath.Join(h.dir, s.Token, "closed")); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("and a repeated launch starts it", func(t *testing.T) {
		if m := h.launch(s); m.State != dayfly.MachineRunning {
			t.Errorf("it is %s", m.State)
		}
		h.await("it runs", func() bool { return strings.Count(h.log(s), "started") == 2 })
	})
}

func TestSupervisorDiedBeforeItsRecordOfPID1(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.corpse()
	h.awaitState(h.MachineID(s), dayfly.MachineTerminated) // for a while its cgroup holds what is dying
	h.write(s.Token, "init.json", map[string]any{"init": nil})
	// What it cloned and did not record is found by the token among its arguments.
	c := command("wait", "--token", s.Token)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	reaped := make(chan error, 1)
	go func() { reaped <- c.Wait() }()
	defer func() { _ = c.Process.Kill() }() // that a look did not
	h.await("it has its arguments", func() bool { return len(processes(t, s.Token)) == 1 })
	if st := h.state(h.MachineID(s)); st != dayfly.MachineStopping {
		t.Errorf("with an unrecorded first process it is %s", st)
	}
	h.await("the look killed it", func() bool { return len(processes(t, s.Token)) == 0 })
	<-reaped
	h.awaitState(h.MachineID(s), dayfly.MachineTerminated)
}

func TestForeignFoldersDoNotStopAList(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.restless("")
	for name, content := range map[string]string{
		"README": "x", ".hidden/x": "x", "no token/tags.json": "{}", "00000000000000000000000000000001/tags.json": "{torn",
		"00000000000000000000000000000002/closed": "", "00000000000000000000000000000003/launch.json": "\x00\x00", "lost+found/x": "x",
	} {
		p := filepath.Join(h.dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := h.List(t.Context())
	if err != nil || !l.IsComplete(h.MachineID(s)) {
		t.Errorf("list: complete %v, %v", l.Complete, err)
	}
	seen := map[dayfly.MachineID]dayfly.Machine{}
	for _, m := range l.Machines {
		seen[m.ID] = m
	}
	if m := seen[h.MachineID(s)]; m.State != dayfly.MachineRunning || m.Phase != "run" || m.StartedAt.IsZero() || m.Isolation == "" || m.LaunchedAt.IsZero() {
		t.Errorf("the machine is listed as %+v", m)
	}
	for id, m := range seen {
		if id != h.MachineID(s) && m.Tags.Installation != "" {
			t.Errorf("%s is listed as an installation's: %+v", id, m)
		}
	}
	if m := seen["local/00000000000000000000000000000002"]; m.State != dayfly.MachineTerminated {
		t.Errorf("closed, it is %s", m.State)
	}
}

func TestUnlaunchable(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for name, change := range map[string]func(*machine.Spec){
		"a token that leads elsewhere": func(s *machine.Spec) { s.Token = "../x" },
		"no deadline":                  func(s *machine.Spec) { s.Tags.Deadline = time.Time{} },
		"an unknown isolation":         func(s *machine.Spec) { s.Machine.Isolation = "some" },
		"an unknown network":           func(s *machine.Spec) { s.Machine.Network = "wifi" },
		"no network without a namespace": func(s *machine.Spec) {
			s.Machine.Network, s.Machine.Isolation = "none", dayfly.IsolationNone
		},
	} {
		s := h.spec(":")
		change(&s)
		_, err := h.Launch(t.Context(), s)
		if _, ok := errors.AsType[*machine.ConfigError](err); !ok {
			t.Errorf("%s gave %v", name, err)
		}
	}
	late := h.spec(":")
	late.Tags.Deadline = time.Now()
	if _, err := h.Launch(t.Context(), late); !errors.Is(err, machine.ErrGone) {
		t.Errorf("a deadline that has passed gave %v", err)
	}
	if st := h.state(h.MachineID(late)); st != dayfly.MachineTerminated {
		t.Errorf("it is %s", st)
	}
	for _, id := range []dayfly.MachineID{"eu-west-1/i-0", "local/../../x", "local/", "x"} {
		if err := errors.Join(h.Terminate(t.Context(), id), h.Forget(t.Context(), id), h.Cancel(t.Context(), id)); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if l, err := newHost(t).List(context.Background()); err != nil || !l.IsComplete("local/x") || len(l.Machines) > 0 {
		t.Errorf("an empty place lists %+v, %v", l, err)
	}
}

func TestLaunchBeyondReach(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for name, cfg := range map[string]local.Config{
		"a supervisor that is no program": {Exe: "/no/such/program"},
		"a supervisor that says nothing":  {Exe: "/bin/true"},
	} {
		cfg.Dir, cfg.Now = filepath.Join(data, filepath.Base(cfg.Exe)), time.Now
		p, err := local.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		h := &host{t: t, data: data, Provider: p}
		s := h.spec(":")
		s.Machine.Isolation = dayfly.IsolationNone
		if _, err := p.Launch(t.Context(), s); err == nil || !strings.Contains(err.Error(), "supervisor") {
			t.Errorf("%s gave %v", name, err)
		}
		if l, err := p.List(t.Context()); err != nil || len(l.Machines) != 1 || l.Machines[0].State != dayfly.MachinePending {
			t.Errorf("%s: listed as %+v, %v", name, l, err)
		}
	}
	if _, err := local.New(local.Config{}); err == nil {
		t.Error("a provider without a directory was made")
	}
}
