package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// What keep removes is said in words, by when and by which rule, wherever somebody asks for it.
func TestKeep(t *testing.T) {
	t.Parallel()
	c, k := withClock(t)
	text := "run: echo hello; echo 3.14 > \"$DAYFLY_RESULTS/pi.txt\"; test \"$DAYFLY_SLOT\" \\> 2000 && exit 3\ntimeout: 20s\ndeadline: 40s\n"
	file := jobFileOf(t, "pi", text+"keep: {results: 2d, logs: 1d, history: 9d}\n")
	c.want(5, "run", file)
	id, _ := c.want(0, "history", "-o", "name")
	id = strings.TrimSpace(id)
	wait := func(d time.Duration) { // rounds of removal judge by the clock of the round before
		t.Helper()
		for range 2 {
			c.want(0, "serve", "--once")
			k.put(d / 2)
		}
		c.want(0, "serve", "--once")
		k.put(7 * time.Hour)
		c.want(0, "serve", "--once")
	}
	says := func(code int, want string, args ...string) {
		t.Helper()
		out, said := c.want(code, args...)
		if !strings.Contains(out+said, want) {
			t.Errorf("dayfly %s says\n%s%s\nwhich has not %q", strings.Join(args, " "), out, said, want)
		}
	}
	wait(25 * time.Hour)
	day := k.now().UTC().Format("2006-01-02")
	says(8, "error: the log of run "+id+" was removed on "+day+", as keep.logs: 1d says\n", "logs", "pi")
	says(8, "hint: keep in the job file", "logs", "-f", id)
	says(0, "pi.txt", "results", "pi")
	says(0, `"logs_removed":{"at":"`, "history", "-o", "jsonl")
	says(0, "  log  ", "history", "-o", "wide")
	wait(25 * time.Hour)
	says(8, "error: the results (1 file, 5 B) of run "+id+" were removed on ", "results", id)
	says(8, ", as keep.results: 2d says", "results", id, "--to", t.TempDir())
	says(0, "log, results", "history", "-o", "wide")
	says(0, `"rule":"keep.results: 2d"`, "history", "-o", "jsonl")
	wait(8 * 24 * time.Hour)
	says(8, "error: there is no run "+id+" any more: records up to slot ", "logs", id)
	says(8, ", as keep.history: 9d says\nhint: dayfly history --job pi lists what is left", "results", id)
	says(8, "error: job pi has no run any more: records up to slot ", "logs", "pi")
	says(0, "No run is like that; dayfly history --limit 0 shows all there are.\nThis is not all: records up to slot ", "history", "--job", "pi")
	says(0, "This is not all: older records of 1 job were removed, as keep.history says.", "history")
	if left, err := os.ReadDir(filepath.Join(c.data, "bucket", "runs")); len(left) > 0 {
		t.Errorf("in the bucket there is still %v (%v)", left, err)
	}
}

// An object that is missing is explained by the rule that removes it just now, and else it is an error.
func TestReadingWhatIsBeingRemoved(t *testing.T) {
	t.Parallel()
	c, k := withClock(t)
	file := jobFileOf(t, "pi", "run: echo hello; echo 3.14 > \"$DAYFLY_RESULTS/pi.txt\"\ntimeout: 20s\ndeadline: 40s\nkeep: {results: 2d, logs: 1d}\n")
	c.want(0, "run", file)
	if err := os.RemoveAll(filepath.Join(c.data, "bucket", "runs")); err != nil {
		t.Fatal(err)
	}
	says := func(code int, want string, args ...string) {
		t.Helper()
		if out, said := c.want(code, args...); !strings.Contains(said, want) {
			t.Errorf("dayfly %s says\n%s%s\nwhich has not %q", strings.Join(args, " "), out, said, want)
		}
	}
	says(1, "object not found", "results", "pi", "--to", t.TempDir())
	says(1, "out/log is missing from the bucket", "logs", "pi")
	k.put(25 * time.Hour)
	says(8, "is being removed, as keep.logs: 1d says", "logs", "pi")
	says(1, "object not found", "results", "pi", "--to", t.TempDir())
	k.put(25 * time.Hour)
	says(8, "are being removed, as keep.results: 2d says", "results", "pi", "--to", t.TempDir())
	h := c.home()
	for _, r := range mustHistory(t, h) {
		if !r.LogsRemoved.At.IsZero() || !r.ResultsRemoved.At.IsZero() {
			t.Error("reading changed the record")
		}
	}
}

func mustHistory(t *testing.T, h *home) (all []dayfly.Run) {
	t.Helper()
	for r, err := range h.store.History(t.Context(), store.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// While somebody removes archives nobody comes to refer to one.
func TestPackWaitsForRemoval(t *testing.T) {
	t.Parallel()
	c, _ := withClock(t)
	file := jobFileOf(t, "pi", "run: cat data\nfiles: [data]\n")
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "data"), []byte("3.14"), 0o600); err != nil {
		t.Fatal(err)
	}
	leave, err := c.home().store.(store.Collector).Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, said := c.want(1, "apply", file); !strings.Contains(said, "error: store the files of job pi: ") || !strings.Contains(said, "removing old files") {
		t.Errorf("applied while archives are removed:\n%s", said)
	}
	leave()
	c.want(0, "apply", file)
}
