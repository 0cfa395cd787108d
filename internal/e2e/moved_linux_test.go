package e2e_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const movedPatience = 2 * time.Minute

// waits is a job that says which run it is and waits for a word before it leaves its result.
func (h *home) waits(w *witness, more string) string {
	return h.job("pi", more+"timeout: 5m\nrun: |\n  #!/bin/bash\n  "+w.say()+`
  echo begun
  read -r word <&9
  echo "$word"
  echo "$word" > "$DAYFLY_RESULTS/word"
`)
}

// to is the same installation in another place.
func (h *home) to(dir string) *home {
	there := *h
	there.dir = dir
	return &there
}

func (h *home) want(code int, args ...string) string {
	h.t.Helper()
	out, got := h.dayfly(args...)
	if got != code {
		h.t.Fatalf("dayfly %s: exit code %d, want %d", strings.Join(args, " "), got, code)
	}
	return out
}

// told awaits n words and gives the last.
func (w *witness) told(t testing.TB, n int) word {
	t.Helper()
	await(t, movedPatience, "the job said so", func() bool { return len(w.words()) >= n })
	return w.words()[n-1]
}

// TestMovedReal moves a data directory in the middle of everything, on its host and to another one.
func TestMovedReal(t *testing.T) {
	t.Parallel()
	t.Run("on its host, while a job runs", func(t *testing.T) {
		t.Parallel()
		h, w := newHome(t), newWitness(t)
		path := h.waits(w, "")
		daemon := h.start("serve")
		h.want(0, "run", "--detach", path)
		said := w.told(t, 1)
		there := h.to(filepath.Join(filepath.Dir(h.dir), "elsewhere", "data"))
		if err := os.MkdirAll(filepath.Dir(there.dir), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(h.dir, there.dir); err != nil {
			t.Fatal(err)
		}
		if err := daemon.Wait(); err == nil || daemon.ProcessState.ExitCode() != 1 {
			t.Errorf("a daemon whose data directory was moved ends with %v", err)
		}
		if _, err := said.conn.Write([]byte("moved\n")); err != nil {
			t.Fatal(err)
		}
		there.start("serve")
		there.ends(t, 1)
		r := there.history()[0]
		if r.Outcome != "succeeded" || len(r.Attempts) != 1 || len(w.words()) != 1 {
			t.Errorf("the run is %+v, and was started %d times", r, len(w.words()))
		}
		there.left(t, r.ID, "begun\nmoved\n", "moved\n")
		if _, err := os.Stat(h.dir); err == nil {
			t.Error("something made the data directory anew at its old place")
		}
		if left := there.leftovers(strings.TrimPrefix(r.Attempts[0].Machine, "local/")); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	})
	t.Run("to another host, which the first one does not outlive", func(t *testing.T) {
		t.Parallel()
		h := newHome(t)
		var again atomic.Bool // each is heard by a goroutine of its own
		w := newWitnessWho(t, func(said word) {
			if again.Swap(true) {
				_, _ = said.conn.Write([]byte("again\n"))
			}
		})
		path := h.waits(w, "overlap: queue\nretry: {attempts: 2, on: [lost], backoff: 0s}\n")
		daemon := h.start("serve")
		earlier := h.start("run", path)
		_, _ = w.told(t, 1).conn.Write([]byte("here\n"))
		if err := earlier.Wait(); err != nil {
			t.Fatal(err)
		}
		again.Store(false)
		h.want(0, "run", "--detach", path)
		w.told(t, 2)
		h.start("run", path) // it waits for the other
		await(t, movedPatience, "two runs are active", func() bool { return len(h.history()) == 3 })
		_ = daemon.Process.Kill() // the host dies
		_ = daemon.Wait()
		for _, pid := range h.processes() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		there := h.to(filepath.Join(filepath.Dir(h.dir), "other", "data"))
		if err := os.MkdirAll(filepath.Dir(there.dir), 0o700); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("cp", "-a", h.dir, there.dir).CombinedOutput(); err != nil {
			t.Fatalf("copy: %v: %s", err, out)
		}
		of := there.strange(t)
		if of == 0 {
			t.Fatal("nothing in the copy names this boot: that shows nothing")
		}
		there.start("serve")
		there.ends(t, 3)
		all := there.history() // the newest first
		if lost := all[1].Attempts; len(lost) != 2 || all[1].Outcome != "succeeded" || len(w.words()) != 4 {
			t.Errorf("the run under way is %+v; jobs were started %d times", all[1], len(w.words()))
		}
		there.left(t, all[0].ID, "begun\nagain\n", "again\n")
		there.left(t, all[1].ID, "begun\nagain\n", "again\n")
		there.left(t, all[2].ID, "begun\nhere\n", "here\n")
		detail := there.want(0, "run", "-o", "json", path)
		if !strings.Contains(detail, `"outcome":"succeeded"`) && !strings.Contains(detail, `"outcome": "succeeded"`) {
			t.Errorf("a run at the new place: %s", detail)
		}
	})
}

// strange makes the processes that the copy speaks of those of another host, and tells of how many files.
func (h *home) strange(t *testing.T) (n int) {
	t.Helper()
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(h.dir, "machines"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		other := bytes.ReplaceAll(text, bytes.TrimSpace(boot), []byte("11111111-2222-3333-4444-555555555555"))
		if err != nil || bytes.Equal(text, other) {
			return err
		}
		n++
		return os.WriteFile(path, other, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// ends awaits the end of n runs.
func (h *home) ends(t *testing.T, n int) {
	t.Helper()
	await(t, movedPatience, "all runs have ended", func() bool {
		ended := 0
		for _, r := range h.history() {
			if r.State == "ended" {
				ended++
			}
		}
		return ended == n
	})
}

// left compares what a run has left.
func (h *home) left(t *testing.T, id, log, word string) {
	t.Helper()
	if got := h.want(0, "logs", id); got != log {
		t.Errorf("the log of %s is %q, want %q", id, got, log)
	}
	to := t.TempDir()
	h.want(0, "results", id, "--to", to)
	if got, err := os.ReadFile(filepath.Join(to, "word")); string(got) != word {
		t.Errorf("the result of %s is %q (%v), want %q", id, got, err, word)
	}
}
