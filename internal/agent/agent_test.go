package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/agent"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/machine"
)

func TestAJobThatSucceeds(t *testing.T) {
	t.Parallel()
	a := setup(t, `echo working; cat pie/data > "$DAYFLY_RESULTS/pi.txt"; mkdir "$DAYFLY_RESULTS/sub"; printf x > "$DAYFLY_RESULTS/sub/x"; chmod 750 "$DAYFLY_RESULTS/sub/x"; echo done >&2`)
	a.files(map[string]string{"pie/data": "3.14159"})
	r := a.run()
	wantOutcome(t, r, dayfly.Succeeded, 0, "")
	if got := a.log(); got != "working\ndone\n" {
		t.Errorf("the log is %q", got)
	}
	sameFiles(t, a.results(r), map[string]string{"pi.txt": "3.14159", "sub/x": "x"})
	if want := []string{"prepare", "run", "started", "save", "ring"}; !slices.Equal(a.events, want) {
		t.Errorf("happened %q, want %q", a.events, want)
	}
	if r.Run != a.cfg.Task.Run || r.Attempt != 1 || r.Isolation != dayfly.IsolationNone || !slices.Equal(r.Notes, []string{"a sandbox of the tests"}) {
		t.Errorf("the report is %+v", r)
	}
	if r.StartedAt.Before(r.PreparedAt) || r.Usage.Wall.Duration() != r.FinishedAt.Sub(r.StartedAt) || r.Usage.PeakMemory != 1 {
		t.Errorf("started %s, finished %s, usage %+v", r.StartedAt, r.FinishedAt, r.Usage)
	}
	if r.Results[1].Mode != 0o750 || r.Results[1].Key != prefix+"out/results/sub/x" {
		t.Errorf("the second result is %+v", r.Results[1])
	}
}

func TestHowAJobEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script  string
		outcome dayfly.Outcome
		code    int
		reason  string
		signal  string
	}{
		"an exit code":          {"exit 3", dayfly.Failed, 3, "exit code 3", ""},
		"a command that fails":  {"false; echo never", dayfly.Failed, 1, "exit code 1", ""},
		"a signal":              {"kill -USR1 $$", dayfly.Failed, 138, "ended by SIGUSR1", "SIGUSR1"},
		"a signal without name": {"kill -34 $$", dayfly.Failed, 162, "ended by signal 34", "signal 34"},
		"well":                  {":", dayfly.Succeeded, 0, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := setup(t, c.script)
			r := a.run()
			wantOutcome(t, r, c.outcome, c.code, c.reason)
			if r.Signal != c.signal {
				t.Errorf("signal %q", r.Signal)
			}
			if strings.Contains(a.log(), "never") {
				t.Error("the script went on after the failure")
			}
		})
	}
}

func TestTheEnvironmentIsCompleteAndNothingElse(t *testing.T) {
	t.Parallel()
	a := setup(t, "env | sort")
	task := &a.cfg.Task
	task.Env = map[string]string{"DURATION": "60s", "LANG": "et_EE.UTF-8", "BOTH": "env", "DAYFLY_JOB": "forged", "DAYFLY_OTHER": "forged"}
	task.SecretNames = []string{"BOTH"}
	task.Shard, task.Shards, task.Attempt, task.PreviousSuccess = "eu-west-1/7", 20, 2, task.Slot.Add(-24*time.Hour+5*time.Millisecond)
	a.cfg.Secrets = map[string]string{"BOTH": "ssh"}
	a.cfg.Path, a.cfg.WorkInside, a.cfg.ResultsInside = "", "/w", "/r"
	a.run()
	want := []string{
		"BOTH=ssh", "DAYFLY_ATTEMPT=2", "DAYFLY_DEADLINE=" + task.Deadline.UTC().Format(time.RFC3339Nano), "DAYFLY_JOB=night",
		"DAYFLY_PREVIOUS_SUCCESS=2026-11-21T23:00:00.005Z", "DAYFLY_REGION=eu-west-1", "DAYFLY_RESULTS=/r", "DAYFLY_RUN=night-20261122T230000Z",
		"DAYFLY_SHARD=eu-west-1/7", "DAYFLY_SHARDS=20", "DAYFLY_SLOT=2026-11-22T23:00:00Z", "DURATION=60s", "HOME=/w", "LANG=et_EE.UTF-8",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TZ=UTC", "",
	}
	got := slices.DeleteFunc(strings.Split(a.log(), "\n"), func(s string) bool {
		return strings.HasPrefix(s, "PWD=") || strings.HasPrefix(s, "_=") || strings.HasPrefix(s, "OLDPWD=") || strings.HasPrefix(s, "SHLVL=") // the shell's own
	})
	if !slices.Equal(got, want) {
		t.Errorf("the job's environment is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWhatCannotBePreparedNeverBegins(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil  func(a *attempt, archive []byte)
		reason string
	}{
		"files that are not there": {func(a *attempt, _ []byte) {
			must(a.t, a.bucket.Delete(t.Context(), dayfly.FilesKey(a.cfg.Task.FilesSHA256)))
		}, "not found"},
		"a flipped bit": {func(a *attempt, b []byte) {
			b[600] ^= 1
			a.put(dayfly.FilesKey(a.cfg.Task.FilesSHA256), b)
		}, "SHA-256"},
		"a byte after the end": {func(a *attempt, b []byte) { a.put(dayfly.FilesKey(a.cfg.Task.FilesSHA256), append(b, 0)) }, "SHA-256"},
		"half an archive":      {func(a *attempt, b []byte) { a.put(dayfly.FilesKey(a.cfg.Task.FilesSHA256), b[:700]) }, "unexpected EOF"},
		"no archive": {func(a *attempt, _ []byte) {
			a.put(dayfly.FilesKey(a.cfg.Task.FilesSHA256), []byte(strings.Repeat("x", 600)))
		}, "read archive"},
		"a secret that is gone":    {func(a *attempt, _ []byte) { a.cfg.Task.SecretNames = []string{"PW"} }, "the secret PW was not handed"},
		"a NUL in a value":         {func(a *attempt, _ []byte) { a.cfg.Task.Env = map[string]string{"X": "a\x00b"} }, "\"X\" cannot be"},
		"an equals sign in a name": {func(a *attempt, _ []byte) { a.cfg.Task.Env = map[string]string{"X=Y": "a"} }, "\"X=Y\" cannot be"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := setup(t, "echo never > \"$DAYFLY_RESULTS/x\"")
			c.spoil(a, a.files(map[string]string{"data": strings.Repeat("content", 100)}))
			r := a.run()
			wantOutcome(t, r, dayfly.Failed, -1, c.reason)
			if len(r.Results) != 0 || r.Log.Size != 0 || !r.StartedAt.IsZero() {
				t.Errorf("the report is %+v", r)
			}
			if left, err := os.ReadDir(a.cfg.Dir + "/work"); err != nil || (len(left) != 0 && c.reason != "not found") {
				t.Errorf("the working directory has %v, %v", left, err)
			}
			if want := []string{"prepare", "save", "ring"}; !slices.Equal(a.events, want) {
				t.Errorf("happened %q, want %q", a.events, want)
			}
		})
	}
}

func TestASandboxThatFails(t *testing.T) {
	t.Parallel()
	a := setup(t, "")
	a.cfg.Sandbox = &scripted{startErr: errors.New("no such rung")}
	wantOutcome(t, a.run(), dayfly.Failed, -1, "start the job: no such rung")
	if slices.Contains(a.events, "started") {
		t.Error("it is said to have started")
	}
	a = setup(t, "")
	a.cfg.Sandbox = &scripted{runs: time.Millisecond, waitErr: errors.New("lost sight of it")}
	wantOutcome(t, a.run(), dayfly.Failed, -1, "wait for the job: lost sight of it")
}

// That memory ran out is said of a job that failed, and of no other: it may live well without what was killed.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		exit    machine.Exit
		outcome dayfly.Outcome
		reason  string
	}{
		"it failed":        {machine.Exit{Code: 137, OutOfMemory: true}, dayfly.Failed, "the job ended with exit code 137; the limit of memory was reached"},
		"it was killed":    {machine.Exit{Code: 137, Signal: 9, OutOfMemory: true}, dayfly.Failed, "the job was ended by SIGKILL; the limit of memory was reached"},
		"it went on":       {machine.Exit{OutOfMemory: true}, dayfly.Succeeded, ""},
		"nothing was full": {machine.Exit{Code: 137}, dayfly.Failed, "the job ended with exit code 137"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := setup(t, "")
			a.cfg.Sandbox = &scripted{runs: time.Millisecond, exit: c.exit}
			if r := a.run(); r.Outcome != c.outcome || r.Reason != c.reason {
				t.Errorf("%s: %s", r.Outcome, r.Reason)
			}
		})
	}
}

func TestAJobThatShutsItsMachineDownSucceeded(t *testing.T) {
	t.Parallel()
	a := setup(t, "")
	a.cfg.Sandbox = &scripted{runs: time.Millisecond, exit: machine.Exit{Code: 130, Signal: 2, PowerOff: true}}
	r := a.run()
	wantOutcome(t, r, dayfly.Succeeded, 0, "shut the machine down")
	if r.Signal != "" {
		t.Errorf("signal %q", r.Signal)
	}
}

func TestTheSandboxsOwnTimerIsATimeout(t *testing.T) {
	t.Parallel()
	a := setup(t, "")
	a.cfg.Sandbox = &scripted{runs: time.Millisecond, exit: machine.Exit{Code: 137, Signal: 9, Expired: true}}
	r := a.run()
	wantOutcome(t, r, dayfly.TimedOut, 137, "deadline")
	if r.Signal != "SIGKILL" {
		t.Errorf("signal %q", r.Signal)
	}
}

// A process that outlives the job may hold its output open; the attempt ends all the same.
func TestOutputHeldOpenDoesNotHoldTheAttempt(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/usr/bin/setsid"); err != nil {
		t.Skip("this system has no setsid")
	}
	a := setup(t, `setsid sh -c 'echo $$ > "$0"; exec sleep 60' "$DAYFLY_RESULTS/pid" & while ! [ -s "$DAYFLY_RESULTS/pid" ]; do :; done; echo mine`)
	begin := time.Now()
	r := a.run()
	if d := time.Since(begin); d > 30*time.Second {
		t.Errorf("it took %s", d)
	}
	wantOutcome(t, r, dayfly.Succeeded, 0, "")
	if a.log() != "mine\n" {
		t.Errorf("the log is %q", a.log())
	}
	killPid(t, a.results(r)["pid"])
}

func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	const pw, key = "tr0ub4dor&3 'x'", "abcdefghijklmnopqrstuvwxyz0123456789"
	a := setup(t, `printf abcdefghijklm; printf 'nopqrstuvwxyz0123456789\n'; set -x; printf '%s' "$PW" | base64; printf '%s\n' "$KEY"; touch "$DAYFLY_RESULTS/fine"; mkfifo "$DAYFLY_RESULTS/$KEY"; exit 1`)
	a.cfg.Secrets = map[string]string{"PW": pw, "KEY": key, "PIN": "123"}
	a.cfg.Task.SecretNames = []string{"PW", "KEY", "PIN"}
	r := a.run()
	all := a.log() + string(a.live()) + string(a.get(prefix+dayfly.KeyReport))
	for _, s := range []string{pw, key, key[13:], "dHIwdWI0ZG9y", "tr0ub"} {
		if strings.Contains(all, s) {
			t.Errorf("%q is in what was stored", s)
		}
	}
	if !strings.Contains(a.log(), "[secret PW]") || !strings.HasPrefix(a.log(), "[secret KEY]\n+ ") {
		t.Errorf("the log is %q", a.log())
	}
	notes := strings.Join(r.Notes, "\n")
	if !strings.Contains(notes, "the secret PIN is too short") || !strings.Contains(notes, `"[secret KEY]": a FIFO`) {
		t.Errorf("notes: %s", notes)
	}
}

func TestSecretsAreNotInReasonsAndErrors(t *testing.T) {
	t.Parallel()
	const pw = "correct horse"
	a := setup(t, "")
	a.cfg.Secrets = map[string]string{"PW": pw}
	a.cfg.Sandbox = &scripted{startErr: errors.New("exec " + pw)}
	wantOutcome(t, a.run(), dayfly.Failed, -1, "exec [secret PW]")

	a = setup(t, "")
	a.cfg.Secrets = map[string]string{"PW": pw}
	a.bucket.Fail(func(op, key string) error {
		if key == prefix+dayfly.KeyReport {
			return errors.Join(bucket.ErrKey, errors.New(pw))
		}
		return nil
	}, nil)
	if err := agent.Run(t.Context(), a.cfg); err == nil || strings.Contains(err.Error(), pw) || !strings.Contains(err.Error(), "[secret PW]") {
		t.Errorf("the error is %v", err)
	}
}

func TestRunRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*agent.Config){
		"no clock":          func(c *agent.Config) { c.Now = nil },
		"no bucket":         func(c *agent.Config) { c.Bucket = nil },
		"no sandbox":        func(c *agent.Config) { c.Sandbox = nil },
		"no directory":      func(c *agent.Config) { c.Dir = "" },
		"no deadline":       func(c *agent.Config) { c.Task.Deadline = time.Time{} },
		"half a prefix":     func(c *agent.Config) { c.Task.Prefix = "runs/x" },
		"a file for a dir":  func(c *agent.Config) { c.Dir = os.Args[0] },
		"a dead parent ctx": nil,
	} {
		a := setup(t, "exit 0")
		ctx, cancel := context.WithCancel(t.Context())
		if spoil != nil {
			spoil(&a.cfg)
		} else {
			cancel()
		}
		if err := agent.Run(ctx, a.cfg); err == nil || a.has(prefix+dayfly.KeyReport) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

func TestTheReportIsWhatTheContractSays(t *testing.T) {
	t.Parallel()
	a := setup(t, "exit 4")
	a.run()
	var m map[string]any
	must(t, json.Unmarshal(a.get(prefix+dayfly.KeyReport), &m))
	for _, key := range []string{"run", "attempt", "outcome", "reason", "exit_code", "prepared_at", "started_at", "finished_at", "saved_at", "usage", "isolation", "log", "notes"} {
		if _, ok := m[key]; !ok {
			t.Errorf("the report has no %q", key)
		}
	}
	if at, _ := m["finished_at"].(string); !strings.HasSuffix(at, "Z") {
		t.Errorf("finished_at %q is not in UTC", at)
	}
}

// The same as in virtual time, once with real processes: a child that does not hear SIGTERM either.
func TestARealJobThatDoesNotHear(t *testing.T) {
	t.Parallel()
	a := setup(t, `trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo "$!" > "$DAYFLY_RESULTS/child"; echo ready; while :; do sleep 1; done`)
	a.cfg.Task.Timeout, a.cfg.Task.Grace = dayfly.Seconds(2*time.Second), dayfly.Seconds(100*time.Millisecond)
	r := a.run()
	wantOutcome(t, r, dayfly.TimedOut, 137, "longer than its timeout of 2s")
	if a.log() != "ready\n" || r.Usage.Wall.Duration() < 2100*time.Millisecond {
		t.Errorf("the log is %q, wall %s", a.log(), r.Usage.Wall)
	}
}

// A gigabyte's little brother, through a real pipe: the job is not held up, and the cut is accounted for.
func TestARealFlood(t *testing.T) {
	t.Parallel()
	a := setup(t, `head -c 50000000 /dev/zero | tr '\0' x; echo; echo the end; exit 7`)
	a.cfg.Task.Log.MaxBytes = 1 << 20
	r := a.run()
	wantOutcome(t, r, dayfly.Failed, 7, "exit code 7")
	if got := a.log(); len(got) > 1<<20+200 || !strings.HasSuffix(got, "\nthe end\n") || strings.Count(got, "[dayfly: ") != 1 {
		t.Errorf("%d bytes, the end is %q", len(got), got[max(0, len(got)-200):])
	}
	wantNote(t, r, "log: ", "bytes cut")
}
