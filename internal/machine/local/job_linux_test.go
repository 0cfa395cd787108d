package local_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
)

var everyRung = []dayfly.Isolation{dayfly.IsolationFull, dayfly.IsolationPartial, dayfly.IsolationNone}

// onEveryRung tells a story on each rung.
func onEveryRung(t *testing.T, story func(t *testing.T, h *host, rung dayfly.Isolation)) {
	t.Helper()
	for _, rung := range everyRung {
		t.Run(string(rung), func(t *testing.T) {
			t.Parallel()
			story(t, newHost(t), rung)
		})
	}
}

func TestJob(t *testing.T) {
	t.Parallel()
	for _, story := range []struct {
		name, script string
		code         int
		signal       unix.Signal
		log          string
	}{
		{"a shell script stops at its first error", "echo a; false; echo b", 1, 0, "a\n"},
		{"an unset variable is an error", `echo "$NOT_SET"`, 2, 0, "job: 1: NOT_SET: parameter not set\n"},
		{"a script with an interpreter of its own", "#!/bin/cat\nline\n", 0, 0, "#!/bin/cat\nline\n"},
		{"a signal ends it", "kill -USR2 $$", 128 + 12, unix.SIGUSR2, ""},
		{"it works in its own directory", `[ "$PWD" = "$TEST_WORK" ]; echo x >y; cat y`, 0, 0, "x\n"},
		{"its input is empty", "cat", 0, 0, ""},
		{"what it leaves running is ended", "sleep 1000 & setsid sleep 1000 & (setsid sh -c 'sleep 1000 & exec sleep 1000' &) ; echo done", 0, 0, "done\n"},
		{"what ignores TERM is ended", `(trap "" TERM HUP INT; sleep 1000) & trap "" TERM; echo done`, 0, 0, "done\n"},
		{"it cannot end or stop PID 1 by a signal", "kill -KILL 1 || :; kill -STOP 1; s=1; while [ $s -le 64 ]; do kill -$s 1; s=$((s+1)); done; echo still", 0, 0, "still\n"},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			onEveryRung(t, func(t *testing.T, h *host, rung dayfly.Isolation) {
				script := story.script
				if strings.Contains(script, "kill -KILL 1") && rung == dayfly.IsolationNone {
					// Its own is the job's parent there, and nothing keeps off what no program can handle.
					script = "s=1; while [ $s -le 64 ]; do case $s in 9|19|3[234]) ;; *) kill -$s $PPID; esac; s=$((s+1)); done; echo still"
				}
				s := h.spec(script)
				s.Machine.Isolation = rung
				h.launch(s)
				o := h.end(s)
				if o.Exit.Code != story.code || o.Exit.Signal != story.signal || o.Err != "" || o.Isolation != string(rung) {
					t.Errorf("ended as %+v", o)
				}
				if got := h.log(s); got != story.log && !(story.code == 2 && strings.HasSuffix(got, story.log)) {
					t.Errorf("log %q, want %q", got, story.log)
				}
			})
		})
	}
}

func TestScriptThatCannotStart(t *testing.T) {
	t.Parallel()
	onEveryRung(t, func(t *testing.T, h *host, rung dayfly.Isolation) {
		s := h.spec("#! /no/such/interpreter -x\n")
		s.Machine.Isolation = rung
		h.launch(s)
		if o := h.end(s); o.Err != "its first line names /no/such/interpreter, which is not there" {
			t.Errorf("ended as %+v", o)
		}
	})
}

func TestResultsAndSecrets(t *testing.T) {
	t.Parallel()
	onEveryRung(t, func(t *testing.T, h *host, rung dayfly.Isolation) {
		s := h.spec(`echo "$PASSWORD" >"$DAYFLY_RESULTS/x"; echo started; exec sleep 1000`)
		s.Machine.Isolation = rung
		s.Secrets = map[string]string{"PASSWORD": "geheim-3141592653"}
		m := h.launch(s)
		h.awaitLog(s.Task.Env["TEST_DIR"], "started")
		secretNowhere(t, h, s.Token, s.Secrets["PASSWORD"])
		if err := h.Cancel(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
		if o := h.end(s); !o.Cancelled || o.Exit.Signal != unix.SIGKILL {
			t.Errorf("ended as %+v, want cancelled", o)
		}
		b, err := os.ReadFile(filepath.Join(s.Task.Env["TEST_DIR"], "results/x"))
		if string(b) != s.Secrets["PASSWORD"]+"\n" {
			t.Errorf("result %q, %v", b, err)
		}
	})
}

// secretNowhere looks into every file of the machine's folder that dayfly wrote, and at the
// arguments and environment of its processes.
func secretNowhere(t *testing.T, h *host, token, secret string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(h.dir, token), func(p string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() && d.Name() == "box" {
			return filepath.SkipDir // what the job itself writes, and the kernel's
		}
		if err != nil || !d.Type().IsRegular() || strings.Contains(p, "/scratch/results/") {
			return err
		}
		b, err := os.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the supervisor has renamed it
		}
		if strings.Contains(string(b), secret) {
			t.Errorf("the secret is in %s", p)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, pid := range []int{h.supervisor(token), h.first(token)} {
		for _, name := range []string{"cmdline", "environ"} {
			b, err := os.ReadFile(filepath.Join("/proc", itoa(pid), name))
			if err != nil || strings.Contains(string(b), secret) {
				t.Errorf("the secret is in the %s of process %d (or %v)", name, pid, err)
			}
		}
	}
}

func TestTimeoutReachesEverybody(t *testing.T) {
	t.Parallel()
	onEveryRung(t, func(t *testing.T, h *host, rung dayfly.Isolation) {
		s := h.spec(`(trap "echo child; exit" TERM; while :; do sleep 0.01; done) & trap "echo main; exit 7" TERM; while :; do sleep 0.01; done`)
		s.Machine.Isolation = rung
		s.Task.Timeout = dayfly.Seconds(300 * time.Millisecond)
		h.launch(s)
		o := h.end(s)
		if log := h.log(s); o.Exit.Code != 7 || !strings.Contains(log, "child") || !strings.Contains(log, "main") {
			t.Errorf("ended as %+v with the log %q", o, log)
		}
	})
}

func TestForkBombIsBounded(t *testing.T) {
	t.Parallel()
	const limit = 60
	onEveryRung(t, func(t *testing.T, h *host, rung dayfly.Isolation) {
		if rung == dayfly.IsolationNone && os.Geteuid() != 0 {
			limitedByUser(t, h, limit) // it counts all the user's processes, other tests' too
			return
		}
		// No real bomb: a mutant of this must not take the host down.
		s := h.spec(`(i=0; while [ $i -lt 300 ]; do sleep 1000 & i=$((i+1)); done) || :
: >full; until [ -e seen ]; do :; done; kill -KILL $$`)
		s.Machine.Isolation = rung
		s.Task.Pids = limit
		h.launch(s)
		work := filepath.Join(h.dir, s.Token, "scratch", "work")
		h.await("the bomb is over", func() bool {
			_, err := os.Stat(filepath.Join(work, "full"))
			return err == nil
		})
		most := len(jobProcesses(t, s.Token))
		if err := os.WriteFile(filepath.Join(work, "seen"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if o := h.end(s); o.Err != "" || o.Exit.Signal != unix.SIGKILL {
			t.Errorf("ended as %+v", o)
		}
		if most > limit+20 || most < limit/2 {
			t.Errorf("%d processes were seen, the limit is %d", most, limit)
		}
	})
}

// limitedByUser checks that the job is under the limit, where reaching it would disturb others.
func limitedByUser(t *testing.T, h *host, limit int) {
	t.Helper()
	// The hard limit follows the soft one a moment after the job's first instruction.
	s := h.spec(`n=0; soft=0 hard=1
while [ "$soft" != "$hard" ] && [ $n -lt 1000 ]; do
  while read -r a b c d e; do case "$b" in processes) soft=$c hard=$d; esac; done </proc/self/limits
  n=$((n+1)); sleep 0.01
done
echo $soft $hard`)
	s.Machine.Isolation = dayfly.IsolationNone
	s.Task.Pids = limit + 4000
	h.launch(s)
	h.end(s)
	soft, hard, _ := strings.Cut(strings.TrimSpace(h.log(s)), " ")
	if soft != hard || soft != itoa(limit+4000+16) {
		t.Errorf("the job's limits are %q and %q", soft, hard)
	}
}

func TestPowerOff(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		"shutdown -h now", "shutdown now", "shutdown -P +0", "poweroff", "halt -p", "reboot", "reboot -f",
		"systemctl poweroff", "systemctl --force reboot", "/sbin/shutdown -h now", "/usr/sbin/poweroff",
		"env -i /sbin/halt", "shutdown +5; shutdown -c; shutdown -k now; poweroff",
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			for _, rung := range everyRung {
				if rung == dayfly.IsolationNone && strings.Contains(command, "/") {
					continue // there the commands are found by PATH alone
				}
				t.Run(string(rung), func(t *testing.T) {
					t.Parallel()
					h := newHost(t)
					name, _, _ := strings.Cut(strings.TrimPrefix(command, "env -i "), " ")
					if _, err := os.Stat(name); strings.HasPrefix(name, "/") && err != nil {
						t.Skipf("this host has no %s", name)
					}
					s := h.spec("sleep 1000 & echo result >$DAYFLY_RESULTS/x\n" + command + "; echo after; exit 5")
					s.Machine.Isolation = rung
					h.launch(s)
					o := h.end(s)
					if !o.Exit.PowerOff || o.Exit.Code != 0 || o.Exit.Signal != 0 || strings.Contains(h.log(s), "after") {
						t.Errorf("ended as %+v with the log %q", o, h.log(s))
					}
					if _, err := os.Stat(filepath.Join(s.Task.Env["TEST_DIR"], "results/x")); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}

func TestNoPowerOff(t *testing.T) {
	t.Parallel()
	onEveryRung(t, func(t *testing.T, h *host, rung dayfly.Isolation) {
		s := h.spec("systemctl status nginx || echo no service; shutdown -k now; shutdown 23:59 || echo no hour; shutdown +600; exit 4")
		s.Machine.Isolation = rung
		h.launch(s)
		o := h.end(s)
		if o.Exit.PowerOff || o.Exit.Code != 4 || !strings.Contains(h.log(s), "no service") || !strings.Contains(h.log(s), "no hour") {
			t.Errorf("ended as %+v with the log %q", o, h.log(s))
		}
	})
}

func TestRebootSyscall(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, how := range []string{"restart", "halt", "poweroff"} {
		// The test binary is the one program that is sure to be there and to know the call.
		s := h.spec("echo result >$DAYFLY_RESULTS/x; ./reboot agent reboot " + how + "; echo after; exit 5")
		s.Machine.Isolation = dayfly.IsolationFull
		s.Task.Env["TEST_PUT"] = "/proc/self/exe"
		h.launch(s)
		o := h.end(s)
		if !o.Exit.PowerOff || o.Exit.Code != 0 || o.Err != "" || strings.Contains(h.log(s), "after") {
			t.Errorf("%s: ended as %+v with the log %q", how, o, h.log(s))
		}
	}
}
