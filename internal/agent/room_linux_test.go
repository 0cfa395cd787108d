package agent_test

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/agent"
	"github.com/dayfly-io/dayfly/internal/bucket/dir"
	"github.com/dayfly-io/dayfly/internal/durable/disktest"
)

// TestASmallDisk runs jobs that fill the disk on which everything lies.
func TestASmallDisk(t *testing.T) {
	t.Parallel()
	if !disktest.Alone(t) {
		return
	}
	for name, c := range map[string]struct {
		script  string
		outcome dayfly.Outcome
		code    int
		reason  string
		saved   string // the only result
	}{
		"with results": {
			"dd if=/dev/zero of=$DAYFLY_RESULTS/big bs=64k || echo words",
			dayfly.Failed, 0, "the disk was full and results were not saved", "",
		},
		"with results, and fails": {
			"dd if=/dev/zero of=$DAYFLY_RESULTS/big bs=64k || { echo words; exit 3; }",
			dayfly.Failed, 3, "exit code 3", "",
		},
		"with its work": {
			"echo small > $DAYFLY_RESULTS/small; mkdir d; dd if=/dev/zero of=d/big bs=64k || echo words; chmod 0 d",
			dayfly.Succeeded, 0, "", "small\n",
		},
		"with what is not the agent's": {
			"head -c 400000 /dev/zero > $DAYFLY_RESULTS/some; dd if=/dev/zero of=../../foreign bs=64k || echo words",
			dayfly.Failed, 0, "the disk was full and results were not saved", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			disktest.Mount(t, top, "2m")
			r, log, saved := onDisk(t, top, c.script)
			wantOutcome(t, r, c.outcome, c.code, c.reason)
			if !strings.Contains(log, "words\n") || saved != c.saved {
				t.Errorf("the log is %q, the results are %q", log, saved)
			}
		})
	}
}

// TestALongLogOnASmallDisk runs jobs whose log is all that fills the disk: there it lies twice while
// they run, and once more when it is saved.
func TestALongLogOnASmallDisk(t *testing.T) {
	t.Parallel()
	if !disktest.Alone(t) {
		return
	}
	for name, c := range map[string]struct {
		script string
		code   int
		reason string
		note   string
	}{
		"longer than the disk":            {"seq 500000", 0, "the disk was full and its log was cut", "no space left on device"},
		"longer than the disk, and fails": {"seq 500000; exit 3", 3, "exit code 3", "no space left on device"},
		"more than half of the disk":      {"seq 180000", 0, "the disk was full and its log was cut", "log: the disk was full for "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			disktest.Mount(t, top, "2m")
			r, log, _ := onDisk(t, top, c.script)
			wantOutcome(t, r, dayfly.Failed, c.code, c.reason)
			wantNote(t, r, c.note)
			var all strings.Builder
			for i := range 500_000 {
				fmt.Fprintln(&all, i+1)
			}
			begin, _, marked := strings.Cut(log, "\n[dayfly: ")
			if !marked || len(begin) < 920_000 || !strings.HasPrefix(all.String(), begin) {
				t.Errorf("the log is not its beginning with a mark: %d bytes, %d before the mark", len(log), len(begin))
			}
		})
	}
}

// onDisk runs an attempt whose directory and bucket are both below top. Its clock is ten times as fast, so that it
// does not wait long for room, and its deadline an hour away, so that a host that stands still does not end it.
func onDisk(t *testing.T, top, script string) (r dayfly.Report, log, saved string) {
	t.Helper()
	b, err := dir.Open(filepath.Join(top, "bucket"))
	must(t, err)
	t.Cleanup(func() { _ = b.Close() })
	a := setup(t, script)
	a.cfg.Bucket, a.cfg.Dir = b, filepath.Join(top, "agent")
	a.cfg.WorkInside, a.cfg.ResultsInside = filepath.Join(a.cfg.Dir, "work"), filepath.Join(a.cfg.Dir, "results")
	begin := time.Now()
	a.cfg.Now = func() time.Time { return begin.Add(10 * time.Since(begin)) }
	must(t, agent.Run(t.Context(), a.cfg))
	read := func(key string) string {
		r, err := b.Get(t.Context(), key, 0, -1)
		must(t, err)
		defer r.Close()
		text, err := io.ReadAll(r)
		must(t, err)
		return string(text)
	}
	must(t, json.Unmarshal([]byte(read(prefix+dayfly.KeyReport)), &r))
	for _, o := range objects(r.Results) {
		saved += read(o.Key)
	}
	return r, read(r.Log.Key), saved
}
