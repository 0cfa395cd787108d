package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// finisher watches what becomes of the logs and results of a crowd's runs.
type finisher struct {
	*crowd
	disk *disk

	looks, chunkLooks, liveBytes       atomic.Int64
	followed, wholly, cutShort, quoted atomic.Int64
	mu                                 sync.Mutex
	finished                           map[string]record // as they were first seen to have ended
	jobs                               sync.WaitGroup
}

// TestFinishedReal is R6: a run has ended only when its log and its results are stored as the job wrote
// them; from then on nothing changes them; and what is live of a log is the beginning of the final one,
// while agents and daemons are killed and the bucket fails at random moments.
func TestFinishedReal(t *testing.T) {
	t.Parallel()
	n := *realRuns
	c := newCrowd(t, n, map[string]int{atDaemon: n / 10, atSupervisor: n / 5, atInit: n / 20})
	f := &finisher{crowd: c, finished: map[string]record{}}
	f.disk = newDisk(t, filepath.Join(c.top(), "disk"))
	c.settings("bucket: " + f.disk.bucket())
	c.faults, c.heard = true, f.heard
	c.acknowledged = f.follow
	over, end := context.WithCancel(t.Context())
	var watchers sync.WaitGroup
	watchers.Go(func() { f.outages(over) })
	watchers.Go(func() {
		for over.Err() == nil {
			f.look()
		}
	})
	c.besiege()
	end()
	watchers.Wait()
	runs := c.settle()
	f.jobs.Wait()
	f.note(runs)
	f.judge(runs)
}

// outages makes the bucket fail again and again.
func (f *finisher) outages(ctx context.Context) {
	rng := f.random("outages")
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(rng.IntN(600)) * time.Millisecond):
			f.disk.fail(rng, time.After(time.Duration(rng.IntN(300))*time.Millisecond))
		}
	}
}

// heard looks at the live log of an attempt at a random moment after it has begun.
func (f *finisher) heard(event, run, attempt string) {
	if event != "start" {
		return
	}
	wait := time.Duration(f.intN(400)) * time.Millisecond
	f.jobs.Go(func() {
		<-time.After(wait)
		f.disk.moving.RLock()
		live, n := chunks(f.attemptDir(run, attempt))
		f.disk.moving.RUnlock()
		d := deedOf(f.seedText(), run, attempt)
		if common(live, d.log) != len(live) {
			f.t.Errorf("run %s attempt %s: %d live bytes, of which %d are the log's", run, attempt, len(live), common(live, d.log))
		}
		f.looks.Add(1)
		if n > 0 {
			f.chunkLooks.Add(1)
			f.liveBytes.Add(int64(len(live)))
		}
	})
}

func (f *finisher) attemptDir(run, attempt string) string {
	job, _, _ := strings.Cut(run, "-2")
	return filepath.Join(f.disk.bucket(), "runs", job, run, attempt)
}

// follow reads the log of some runs through the command as it is written, and gives up on some of those.
func (f *finisher) follow(run string) {
	if !strings.HasPrefix(run, "once-") || f.intN(2) > 0 {
		return
	}
	var alarm <-chan time.Time
	if f.intN(3) == 0 {
		alarm = time.After(time.Duration(f.intN(700)) * time.Millisecond)
	}
	f.jobs.Go(func() {
		p := f.begin("logs", "-f", "--raw", run)
		select {
		case <-alarm:
			_ = p.cmd.Process.Kill()
			<-p.ended
			f.cutShort.Add(1)
		case <-p.ended:
		}
		out := []byte(p.out.String())
		d := deedOf(f.seedText(), run, "1")
		if common(out, d.log) != len(out) {
			f.t.Errorf("run %s: dayfly logs -f gave %d bytes, of which %d are the log's", run, len(out), common(out, d.log))
		}
		f.followed.Add(1)
		f.quoted.Add(int64(len(out)))
		if p.code() == 0 && strings.Contains(p.diag.String(), ": succeeded.") {
			f.wholly.Add(1)
			if len(out) != len(d.log) {
				f.t.Errorf("run %s: dayfly logs -f came to its end after %d of %d bytes", run, len(out), len(d.log))
			}
		}
	})
}

// look notes the runs that have ended since the last look, and compares what they left at once.
func (f *finisher) look() {
	p := f.begin("history", "-o", "jsonl", "--limit", "0")
	<-p.ended
	if p.code() != 0 { // the bucket is away
		return
	}
	runs, err := records(p.out.String())
	if err != nil {
		f.t.Error(err)
	}
	f.note(runs)
}

func (f *finisher) note(runs []record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range runs {
		if _, known := f.finished[r.ID]; known || r.State != "ended" {
			continue
		}
		f.finished[r.ID] = r
		f.compare(r, "when it was reported to have ended")
	}
}

// compare is the promise: what a run is said to have stored is there, byte for byte.
func (f *finisher) compare(r record, when string) {
	if r.Outcome != "succeeded" && r.Outcome != "failed" {
		return
	}
	number := fmt.Sprint(len(r.Attempts))
	d := deedOf(f.seedText(), r.ID, number)
	f.disk.moving.RLock()
	defer f.disk.moving.RUnlock()
	dir := f.attemptDir(r.ID, number)
	if r.Outcome == "failed" && !f.said("end", r.ID, number) {
		return // the job never came to its end, so it is not known what it wrote
	}
	if err := d.saved(dir); err != nil {
		f.t.Errorf("run %s, %s, attempt %s, %s: %v", r.ID, r.Outcome, number, when, err)
	}
	if _, n := chunks(dir); n > 0 {
		f.t.Errorf("run %s, %s: %d chunks are left beside the log", r.ID, when, n)
	}
}

// judge compares everything once more, after all that has happened since.
func (f *finisher) judge(runs []record) {
	f.check(runs)
	outcomes := map[string]int{}
	for _, r := range runs {
		outcomes[r.Outcome]++
		was := f.finished[r.ID]
		if was.Outcome != r.Outcome || len(was.Attempts) != len(r.Attempts) {
			f.t.Errorf("run %s had ended %s after %d attempts, and now %s after %d", r.ID, was.Outcome, len(was.Attempts), r.Outcome, len(r.Attempts))
		}
		f.compare(r, "at the end")
	}
	if outcomes["succeeded"] < len(runs)/3 || f.chunkLooks.Load() == 0 || f.wholly.Load() == 0 {
		f.t.Errorf("too little happened for this test to mean something")
	}
	f.t.Logf("R6: %d runs, %s; killed: %s; the bucket failed: %s; %d commands could do nothing for it",
		len(runs), counts(outcomes), counts(f.kills), counts(f.disk.hits), f.refused)
	f.t.Logf("R6: %d looks at live logs, %d with chunks, %d bytes; %d logs followed, %d to the end, %d cut short, %d bytes",
		f.looks.Load(), f.chunkLooks.Load(), f.liveBytes.Load(), f.followed.Load(), f.wholly.Load(), f.cutShort.Load(), f.quoted.Load())
}

// TestTamperedReal: what changed in the bucket between the report and its collection never becomes a success.
func TestTamperedReal(t *testing.T) {
	t.Parallel()
	h, w := newHome(t), newWitness(t)
	path := h.job("kept", "overlap: allow\nrun: |\n  #!/bin/bash\n  "+w.say()+
		"\n  read -r go <&9; seq 10000; mkdir $DAYFLY_RESULTS/sub; seq 500 > $DAYFLY_RESULTS/sub/r\n")
	stories := map[string]string{} // by run
	for name := range tampering {
		out, code := h.dayfly("run", "--detach", path)
		if code != 0 {
			t.Fatalf("%s: exit code %d", name, code)
		}
		stories[strings.TrimSpace(out)] = name
	}
	await(t, time.Minute, "every job waits", func() bool { return len(w.words()) == len(tampering) })
	for _, said := range w.words() { // nobody makes a pass any more
		run, _, _ := strings.Cut(said.Text, " ")
		out := filepath.Join(h.dir, "bucket/runs/kept", run, "1/out")
		fmt.Fprintln(said.conn, "go")
		<-said.Done
		await(t, time.Minute, "the report is there", func() bool { _, err := os.Stat(out + "/report.json"); return err == nil })
		if err := tampering[stories[run]](out); err != nil {
			t.Fatalf("%s: %v", stories[run], err)
		}
	}
	if _, code := h.dayfly("serve", "--once"); code != 0 {
		t.Errorf("serve --once: exit code %d", code)
	}
	await(t, time.Minute, "all runs have ended", func() bool {
		return !slices.ContainsFunc(h.history(), func(r record) bool { return r.State != "ended" })
	})
	for _, r := range h.history() {
		want := "lost"
		if stories[r.ID] == "nothing" {
			want = "succeeded"
		}
		if r.Outcome != want {
			t.Errorf("%s: run %s ended %s (%s), want %s", stories[r.ID], r.ID, r.Outcome, r.Reason, want)
		}
		delete(stories, r.ID)
	}
	if len(stories) > 0 {
		t.Errorf("no record of %v", stories)
	}
}

// tampering is what somebody may do to the stored objects of an attempt, by story.
var tampering = map[string]func(out string) error{
	"nothing":              func(string) error { return nil },
	"a bit of the log":     func(out string) error { return flip(out + "/log") },
	"a bit of a result":    func(out string) error { return flip(out + "/results/sub/r") },
	"a result cut short":   func(out string) error { return os.Truncate(out+"/results/sub/r", 10) },
	"a result emptied":     func(out string) error { return os.Truncate(out+"/results/sub/r", 0) },
	"a result missing":     func(out string) error { return os.Remove(out + "/results/sub/r") },
	"the log missing":      func(out string) error { return os.Remove(out + "/log") },
	"the log made longer":  func(out string) error { return os.Truncate(out+"/log", 100_000) },
	"the report cut short": func(out string) error { return os.Truncate(out+"/report.json", 40) },
}

func flip(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 1
	return os.WriteFile(path, b, 0o600)
}
