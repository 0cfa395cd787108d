package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// clock is the real one, put forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) put(forward time.Duration) { c.ahead.Add(int64(forward)) }

// withClock gives a data directory that cannot leave a machine behind, and its clock. That begins ten minutes past a
// full hour, so that none passes while a test is at work.
func withClock(t *testing.T) (*call, *clock) {
	t.Helper()
	c, k := newCall(t), &clock{}
	now := time.Now()
	k.put(now.Truncate(time.Hour).Add(70 * time.Minute).Sub(now))
	c.now = k.now
	t.Cleanup(func() { endMachines(c.data) })
	return c, k
}

func jobFileOf(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".yaml")
	if err := os.WriteFile(path, []byte("name: "+name+"\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestServeOnce(t *testing.T) {
	t.Parallel()
	c, k := withClock(t)
	file := jobFileOf(t, "daily", "schedule: \"@daily\"\nrun: echo ran\ntimeout: 20s\ndeadline: 40s\n")
	_, said := c.want(0, "serve", "--once", "--jobs", filepath.Dir(file))
	if !strings.Contains(said, "+ daily added") || !strings.Contains(said, "0 runs made") {
		t.Fatal(said)
	}
	today := k.now().UTC().Truncate(24 * time.Hour)
	k.put(today.Add(24*time.Hour + 20*time.Second).Sub(k.now()))
	_, said = c.want(0, "serve", "--once")
	if !strings.Contains(said, "1 run made, 0 slots missed, 1 machine launched") {
		t.Fatal(said)
	}
	if out, _ := c.want(0, "logs", "-f", "daily"); out != "ran\n" {
		t.Errorf("the log is %q", out)
	}
	_, said = c.want(0, "serve", "--once")
	if !strings.Contains(said, "0 runs made, 0 slots missed, 0 machines launched, 0 ended; 0 runs under way") {
		t.Error(said)
	}
	out, _ := c.want(0, "history", "-o", "jsonl")
	slot := today.Add(24 * time.Hour).Format(time.RFC3339)
	if strings.Count(out, "\n") != 1 || !strings.Contains(out, `"slot":"`+slot+`"`) || !strings.Contains(out, `"outcome":"succeeded"`) {
		t.Error(out)
	}
}

func TestPausedSlotsAreRecorded(t *testing.T) {
	t.Parallel()
	c, k := withClock(t)
	c.want(0, "apply", jobFileOf(t, "hourly", "schedule: \"@hourly\"\nrun: exit 0\ntimeout: 20s\ndeadline: 40s\ncatch_up: {policy: all, within: 30d}\n"))
	c.want(0, "pause", "hourly", "--reason", "on holiday", "--until", "150m")
	k.put(2 * time.Hour)
	if _, said := c.want(0, "serve", "--once"); !strings.Contains(said, "0 slots missed, 2 skipped, 0 machines launched") {
		t.Error(said)
	}
	out, _ := c.want(0, "history", "-o", "jsonl")
	if strings.Count(out, `"outcome":"skipped","reason":"paused by `) != 2 || strings.Count(out, "\n") != 2 || !strings.Contains(out, `: on holiday","attempts":[]`) {
		t.Error(out)
	}
	k.put(20 * time.Hour) // past its end, which is nobody's doing
	c.want(0, "pause", "hourly")
	k.put(20*time.Hour + time.Minute)
	c.want(0, "resume", "hourly")
	out, _ = c.want(0, "history", "--outcome", "skipped")
	if !strings.Contains(out, "hourly: 20 slots skipped, ") {
		t.Error(out)
	}
	if _, said := c.want(0, "ps", "--jobs"); strings.Contains(said, "paused") {
		t.Error(said)
	}
}

func TestClockThatWasAhead(t *testing.T) {
	t.Parallel()
	c, k := withClock(t)
	file := jobFileOf(t, "hourly", "schedule: \"@hourly\"\nrun: exit 0\ntimeout: 20s\ndeadline: 40s\n")
	c.want(0, "apply", file)
	k.put(100 * 24 * time.Hour)
	c.want(0, "serve", "--once")
	k.put(-100 * 24 * time.Hour)
	if _, said := c.want(0, "ps", "--jobs"); !strings.Contains(said, "warning: the clock was ahead: the slots of job hourly up to ") {
		t.Error(said)
	}
	k.put(time.Hour)
	if _, said := c.want(0, "serve", "--once"); !strings.Contains(said, "0 runs made") {
		t.Errorf("an hour later: %s", said)
	}
}

const sleeps = "run: exec sleep 20\ntimeout: 25s\ngrace: 1s\ndeadline: 30s\n"

func TestSweepEndsOrphans(t *testing.T) {
	t.Parallel()
	c, k := withClock(t)
	c.want(0, "run", "--detach", jobFileOf(t, "long", sleeps))
	if _, said := c.want(0, "sweep"); !strings.Contains(said, "Every machine has a run") {
		t.Fatal(said)
	}
	for _, name := range []string{"dayfly.db", "dayfly.db-wal", "dayfly.db-shm"} { // the record is lost
		if err := os.Remove(filepath.Join(c.data, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	machines := func() string {
		out, _ := c.want(0, "machines", "-o", "name")
		return out
	}
	if machines() == "" {
		t.Fatal("there is no machine")
	}
	if out, _ := c.want(0, "sweep", "--dry-run"); !strings.HasPrefix(out, "would suspect local/") {
		t.Fatal(out)
	}
	if out, _ := c.want(0, "sweep"); !strings.HasPrefix(out, "suspect local/") || !strings.Contains(out, "is not known") {
		t.Fatal(out)
	}
	k.put(31 * time.Second)
	if out, _ := c.want(0, "sweep", "--dry-run"); !strings.HasPrefix(out, "would end local/") || machines() == "" {
		t.Fatal(out)
	}
	if out, _ := c.want(0, "sweep"); !strings.HasPrefix(out, "ended local/") {
		t.Fatal(out)
	}
	if left := machines(); left != "" {
		t.Errorf("still there: %s", left)
	}
}

func TestSweepDeadlines(t *testing.T) {
	t.Parallel()
	c, k := withClock(t)
	c.want(0, "run", "--detach", jobFileOf(t, "long", sleeps))
	if err := os.RemoveAll(filepath.Join(c.data, "dayfly.db")); err != nil { // it needs nothing but tags
		t.Fatal(err)
	}
	if out, _ := c.want(0, "sweep", "--deadlines"); out != "" {
		t.Fatalf("before the deadline: %s", out)
	}
	ctx, stop := context.WithCancel(t.Context())
	looping := *c
	looping.ctx = ctx
	r, w := io.Pipe()
	ended := make(chan int)
	go func() {
		ended <- looping.to(w, io.Discard, "sweep", "--deadlines", "--every", "100ms")
		w.Close()
	}()
	k.put(31 * time.Second)
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ended local/") || !strings.Contains(line, "run long-") {
		t.Errorf("%q, %v", line, err)
	}
	stop()
	go io.Copy(io.Discard, r)
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(filepath.Join(c.data, "dayfly.db")); !os.IsNotExist(err) {
		t.Errorf("it opened the store: %v", err)
	}
	for _, args := range [][]string{{"--every", "1s"}, {"--deadlines", "--dry-run"}, {"--deadlines", "--every", "1ms"}} {
		c.want(exitUsage, append([]string{"sweep"}, args...)...)
	}
}

func TestNotGoneWinsOverAll(t *testing.T) {
	t.Parallel()
	c, k := withClock(t)
	file := jobFileOf(t, "long", strings.Replace(sleeps, "run: ", "run: echo begun; ", 1))
	r, w := io.Pipe()
	var said strings.Builder
	ended := make(chan int)
	go func() { ended <- c.to(w, &said, "run", "--exit-code=job", file) }()
	if line, err := bufio.NewReader(r).ReadString('\n'); line != "begun\n" {
		t.Fatalf("%q, %v", line, err)
	}
	go io.Copy(io.Discard, r)
	k.put(30*time.Second + overdue + time.Second)
	if code := <-ended; code != exitNotGone || !strings.Contains(said.String(), "could not be observed gone") {
		t.Errorf("exit code %d\n%s", code, said.String())
	}
}

func TestReadingMakesNoSlots(t *testing.T) {
	t.Parallel()
	c, k := withClock(t)
	c.want(0, "apply", jobFileOf(t, "daily", "schedule: \"@daily\"\nrun: exit 0\n"))
	k.put(24*time.Hour + time.Second)
	for _, args := range []string{"ps", "history", "machines", "ps --jobs"} {
		c.want(0, strings.Fields(args)...)
	}
	c.want(exitNotFound, "logs", "daily")
	if out, _ := c.want(0, "history", "-o", "name"); out != "" {
		t.Errorf("only serve makes slots into runs, and here are %s", out)
	}
}

// TestServeLetsGoOfItsAddress: one that cannot begin holds nothing.
func TestServeLetsGoOfItsAddress(t *testing.T) {
	t.Parallel()
	c, _ := withClock(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, said := c.want(exitError, "serve", "--listen", "127.0.0.1:0", "--metrics", l.Addr().String())
	m := regexp.MustCompile(`Listening on http://(\S+)\n`).FindStringSubmatch(said)
	if m == nil || exists(filepath.Join(c.data, announceFile)) {
		t.Fatal(said)
	}
	again, err := net.Listen("tcp", m[1])
	if err != nil {
		t.Fatalf("it still listens: %v", err)
	}
	again.Close()
}
