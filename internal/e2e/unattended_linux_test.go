package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestUnattendedReal: without a daemon a run may be due again, or wait, with nobody at it. Whoever looks after it
// next goes on with it; it stands in nobody's way for ever, and nobody spoils it who has not its secrets.
func TestUnattendedReal(t *testing.T) {
	t.Parallel()
	const flaky = "retry: {attempts: 2, on: [failed], backoff: 1s}\nrun: echo attempt $DAYFLY_ATTEMPT; test $DAYFLY_ATTEMPT = 2\n"
	with := func(h *home, env string, args ...string) (stdout, stderr string, code int) {
		cmd := h.command(args...)
		cmd.Env = append(cmd.Env, env)
		var out, diag bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &diag
		_ = cmd.Run()
		return out.String(), diag.String(), cmd.ProcessState.ExitCode()
	}
	awaitRetry := func(t *testing.T, h *home) {
		t.Helper()
		await(t, time.Minute, "the first attempt is over", func() bool {
			return slices.ContainsFunc(h.history(), func(r record) bool { return r.State == "due" && len(r.Attempts) == 1 })
		})
	}
	t.Run("who follows it launches the next attempt", func(t *testing.T) {
		t.Parallel()
		h := newHome(t)
		if _, code := h.dayfly("run", "--detach", h.job("flaky", flaky)); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		if out, code := h.dayfly("logs", "-f", "flaky"); code != 0 || !strings.HasSuffix(out, "attempt 2\n") {
			t.Errorf("logs -f: exit code %d, %q", code, out)
		}
	})
	t.Run("the next run of the job launches it", func(t *testing.T) {
		t.Parallel()
		h := newHome(t)
		path := h.job("flaky", flaky)
		if _, code := h.dayfly("run", "--detach", path); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		awaitRetry(t, h)
		await(t, time.Minute, "a run that is not skipped", func() bool {
			_, code := h.dayfly("run", path)
			if code != 0 && code != 12 { // skipped
				t.Fatalf("exit code %d", code)
			}
			return code == 0
		})
		if runs := h.history(); !slices.ContainsFunc(runs, func(r record) bool {
			return r.Outcome == "succeeded" && strings.HasSuffix(r.ID, ".n1") && len(r.Attempts) == 2
		}) {
			t.Errorf("history %+v", runs)
		}
	})
	t.Run("a queue behind one that nobody attends moves on", func(t *testing.T) {
		t.Parallel()
		h, w := newHome(t), newWitness(t)
		long := h.job("long", "overlap: queue\nrun: |\n  #!/bin/bash\n  "+w.say()+"\n  read -r go <&9\n")
		first := h.start("run", long)
		await(t, time.Minute, "the first has begun", func() bool { return len(w.words()) == 1 })
		second := h.start("run", long)
		waiting := func() (n int) {
			for _, r := range h.history() {
				if r.State == "due" && r.Reason != "" {
					n++
				}
			}
			return n
		}
		await(t, time.Minute, "the second waits", func() bool { return waiting() == 1 })
		for _, c := range []*os.Process{second.Process, first.Process} {
			_ = c.Signal(unix.SIGINT) // detaches
		}
		_, _ = second.Wait(), first.Wait()
		third := h.start("run", long)
		await(t, time.Minute, "the third waits", func() bool { return waiting() == 2 })
		for i := range 3 {
			await(t, time.Minute, "the next has begun", func() bool { return len(w.words()) == i+1 })
			fmt.Fprintln(w.words()[i].conn, "go")
		}
		if err := third.Wait(); err != nil {
			t.Errorf("the third: %v", err)
		}
	})
	t.Run("who has not its secrets leaves it to who has", func(t *testing.T) {
		t.Parallel()
		h := newHome(t)
		if _, diag, code := with(h, "TOK=value", "run", "--detach", h.job("secret", "secrets: {TOK: \"env:TOK\"}\n"+flaky)); code != 0 {
			t.Fatalf("exit code %d: %s", code, diag)
		}
		awaitRetry(t, h)
		follower := h.command("logs", "-f", "secret")
		var diag output
		follower.Stderr = &diag
		if err := follower.Start(); err != nil {
			t.Fatal(err)
		}
		await(t, time.Minute, "it is said", func() bool { return strings.Contains(diag.String(), "not launched from here: secret TOK: ") })
		if out, said, code := with(h, "TOK=value", "logs", "-f", "secret"); code != 0 || !strings.HasSuffix(out, "attempt 2\n") || !strings.Contains(said, "succeeded") {
			t.Errorf("exit code %d, %q, %s", code, out, said)
		}
		if err := follower.Wait(); err != nil {
			t.Errorf("the follower without the secret: %v: %s", err, diag.String())
		}
	})
}
