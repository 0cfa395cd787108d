package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pause lets the next launcher of an installation come as far as to ask which ways of isolation work, and
// keeps it there: the answer is a pipe into which nobody writes. It gives what lets the launcher go on.
func (h *home) pause() (wait func() (resume func())) {
	h.t.Helper()
	answer := filepath.Join(h.dir, "machines/.rungs.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(answer), 0o700), os.RemoveAll(answer), unix.Mkfifo(answer, 0o600)); err != nil {
		h.t.Fatal(err)
	}
	return func() func() {
		h.t.Helper()
		fd := -1
		await(h.t, time.Minute, "a launcher asks", func() (asks bool) {
			var err error
			fd, err = unix.Open(answer, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
			return err == nil
		})
		if err := os.Remove(answer); err != nil { // the next ones find out by themselves
			h.t.Fatal(err)
		}
		return func() { unix.Close(fd) }
	}
}

// TestPausedLauncherReal is R2: somebody who was paused in the middle of a launch and goes on much later
// starts nothing a second time, whatever became of the machine meanwhile.
func TestPausedLauncherReal(t *testing.T) {
	t.Parallel()
	for _, story := range []struct {
		name, outcome string
		meanwhile     func(t *testing.T, h *home, daemon *exec.Cmd, started word)
	}{
		{"the machine was killed", "lost", func(t *testing.T, h *home, daemon *exec.Cmd, started word) {
			_ = daemon.Process.Kill() // so that nobody sees the machine to its end
			_ = daemon.Wait()
			for _, a := range h.agents() {
				if a.kind == atSupervisor {
					_ = syscall.Kill(a.pid, syscall.SIGKILL)
				}
			}
			<-started.Done
		}},
		{"the run has ended and its machine is forgotten", "succeeded", func(t *testing.T, h *home, _ *exec.Cmd, started word) {
			fmt.Fprintln(started.conn, "go")
			if out, code := h.dayfly("logs", "-f", "late"); code != 0 || out != "went\n" {
				t.Errorf("logs: code %d, %q", code, out)
			}
		}},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			h, w := newHome(t), newWitness(t)
			path := h.job("late", "timeout: 1m\ngrace: 1s\nrun: |\n  #!/bin/bash\n  "+w.say()+"\n  read -r go <&9; echo went\n")
			wait := h.pause()
			launcher := h.start("run", path)
			resume := wait()
			daemon := h.start("serve") // it finds the launch begun and makes it itself
			await(t, time.Minute, "the job has begun", func() bool { return len(w.words()) == 1 })
			story.meanwhile(t, h, daemon, w.words()[0])
			resume()
			_ = launcher.Wait()
			runs := h.history()
			if len(runs) != 1 || runs[0].Outcome != story.outcome || len(runs[0].Attempts) != 1 {
				t.Errorf("history %+v, want one run, %s", runs, story.outcome)
			}
			_ = daemon.Process.Kill()
			_ = daemon.Wait()
			if _, code := h.dayfly("serve", "--once"); code != 0 { // sweeps
				t.Errorf("serve --once: exit code %d", code)
			}
			if n := len(w.words()); n != 1 {
				t.Errorf("the job was begun %d times", n)
			}
			if left := append(h.leftovers(strings.TrimPrefix(runs[0].Attempts[0].Machine, "local/")), h.inMachines()...); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// TestSupervisorKilledReal: the first process of a sandbox dies with its supervisor, when it is stopped too, and
// with it everything in the sandbox; nobody else is there who could see to it.
func TestSupervisorKilledReal(t *testing.T) {
	t.Parallel()
	h, w := newHome(t), newWitness(t)
	path := h.job("orphan", "run: |\n  #!/bin/bash\n  "+w.say()+"\n  read -r go <&9\n")
	if _, code := h.dayfly("run", "--detach", path); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	await(t, time.Minute, "the job has begun", func() bool { return len(w.words()) == 1 })
	pids := map[string]int{}
	for _, a := range h.agents() {
		pids[a.kind] = a.pid
	}
	first, ok := aim(pids[atInit])
	if !ok {
		t.Fatalf("there is no first process among %v", pids)
	}
	defer first.Close()
	if err := errors.Join(syscall.Kill(pids[atInit], syscall.SIGSTOP), syscall.Kill(pids[atSupervisor], syscall.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	await(t, 30*time.Second, "the first process is dead", func() bool { return over(first) })
	if runs := h.history(); len(runs) != 1 || runs[0].Outcome != "lost" { // on the rung none its pass ends the job
		t.Errorf("history %+v", runs)
	}
	<-w.words()[0].Done
}

// TestWaitsForTheDeadReal: a run that waits for machines which nobody looks after does not wait for ever.
func TestWaitsForTheDeadReal(t *testing.T) {
	t.Parallel()
	h, w := newHome(t), newWitness(t)
	if err := errors.Join(os.Mkdir(h.dir, 0o700), os.WriteFile(filepath.Join(h.dir, "dayfly.yaml"), []byte("limits: {machines: 1}\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	script := "run: |\n  #!/bin/bash\n  " + w.say() + "\n  read -r go <&9; echo went\n"
	if _, code := h.dayfly("run", "--detach", h.job("first", script)); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	await(t, time.Minute, "the first job has begun", func() bool { return len(w.words()) == 1 })
	second := h.command("run", h.job("second", script))
	says, err := second.StderrPipe()
	if err == nil {
		err = second.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	waits := false // nothing but its own words tells: every other command would help it
	for lines := bufio.NewScanner(says); !waits && lines.Scan(); {
		waits = strings.Contains(lines.Text(), "waiting: the limit of 1 machine")
	}
	if !waits {
		t.Error("the second run did not wait")
	}
	go io.Copy(io.Discard, says)
	fmt.Fprintln(w.words()[0].conn, "go")
	await(t, time.Minute, "the second job has begun", func() bool { return len(w.words()) == 2 })
	fmt.Fprintln(w.words()[1].conn, "go")
	if err := second.Wait(); err != nil {
		t.Error(err)
	}
}
