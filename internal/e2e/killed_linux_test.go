package e2e_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	_ "github.com/dayfly-io/dayfly/internal/store/sqlite" // registers the driver for integrity checks
)

// TestKilledReal is R7, and R2 with one store: under a load of requests whatever dayfly consists of is
// killed at random moments, one process or all of them at once. Nothing that was acknowledged is lost,
// nothing is begun twice, nothing stays, and nobody has to mend anything. Nobody kills the jobs: in a sandbox
// they go with it, and the others stay for ever unless dayfly finds and ends them.
func TestKilledReal(t *testing.T) {
	t.Parallel()
	n := *realKills
	plan := map[string]int{atAttached: n / 10, atDetached: n / 10, atLauncher: n / 8, atSupervisor: n / 5, atInit: n / 5, atAll: n / 20}
	plan[atDaemon] = n
	for kind, k := range plan {
		if kind != atDaemon {
			plan[atDaemon] -= k
		}
	}
	c := newCrowd(t, 0, plan)
	c.spares = true
	// The shell goes with the machine's first process, and its child has nobody who takes it along.
	bare := c.does("|\n  "+c.deed()+"\n  exit 0", ", "+staysVariable+": y") + "machine: {isolation: none}\n"
	c.files = append(c.files, c.job("bare", bare), c.job("again-bare", bare+retries))
	c.besiege()
	c.intact()
	runs := c.settle()
	c.check(runs)
	stayed := 0
	for _, said := range c.w.words() {
		if strings.HasPrefix(said.Text, "stays ") {
			stayed++
		}
	}
	if stayed == 0 {
		t.Error("no job ever stayed when dayfly was killed: that shows nothing of isolation: none")
	}
	attempts, outcomes := 0, map[string]int{}
	for _, r := range runs {
		attempts += len(r.Attempts)
		outcomes[r.Outcome]++
		number := strconv.Itoa(len(r.Attempts))
		if r.Outcome == "succeeded" {
			if err := deedOf(c.seedText(), r.ID, number).saved(filepath.Join(c.dir, "bucket/runs", r.Job, r.ID, number)); err != nil {
				t.Errorf("run %s succeeded: %v", r.ID, err)
			}
		}
	}
	t.Logf("R7: %s: %d processes killed", counts(c.kills), c.killed)
	t.Logf("R7: %d runs, %s; %d attempts, %d machines; %d jobs that outlived dayfly", len(runs), counts(outcomes), attempts, len(c.tokens), stayed)
}

// watchMachines learns from the kernel which folders of machines appear.
func (c *crowd) watchMachines() (stop func()) {
	c.t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, filepath.Join(c.dir, "machines"), unix.IN_CREATE|unix.IN_MOVED_TO)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			n, err := events.Read(buf)
			if err != nil {
				return
			}
			for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
				size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
				c.appeared(string(bytes.TrimRight(b[unix.SizeofInotifyEvent:size], "\x00")))
				b = b[size:]
			}
		}
	}()
	return func() { events.Close(); <-done }
}

// appeared draws what to kill when a launcher has begun to make a folder, or a machine has one.
func (c *crowd) appeared(name string) {
	if strings.HasPrefix(name, ".making-") {
		if c.wants(atLauncher, 3) {
			c.later(10, c.killLauncher)
		}
		return
	}
	if strings.HasPrefix(name, ".") {
		return
	}
	c.mu.Lock()
	c.tokens[name] = true
	if c.waiting[name] {
		delete(c.waiting, name)
		<-c.slots
	}
	c.mu.Unlock()
	switch {
	case c.wants(atSupervisor, 3):
		c.later(400, func() { c.killAgent(atSupervisor, name) })
	case c.wants(atInit, 3):
		c.later(400, func() { c.killAgent(atInit, name) })
	}
}

// later does something at a random moment within the next milliseconds.
func (c *crowd) later(within int, do func()) {
	wait := time.After(time.Duration(c.intN(within*1000)) * time.Microsecond)
	c.strikes.Go(func() {
		<-wait
		do()
	})
}

// killLauncher kills who is launching: the daemon where there is one, else the client that acts longest.
func (c *crowd) killLauncher() {
	c.mu.Lock()
	p := c.daemon
	for other := range c.live {
		if !c.live[p] && other.cmd.Args[1] == "run" || other.begun.Before(p.begun) && p != c.daemon {
			p = other
		}
	}
	c.mu.Unlock()
	c.shoot(p, atLauncher)
}

// agent is a supervisor or the first process of a sandbox, by the kernel's word.
type agent struct {
	pid         int
	kind, token string
}

func (h *home) agents() (all []agent) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		args := strings.Split(strings.TrimSuffix(cmdline(pid), "\x00"), "\x00")
		kind, of := agentOf(args)
		folder := filepath.Join(h.dir, "machines", filepath.Base(of))
		if _, err := os.Stat(folder); err == nil && (kind == atInit || of == folder) {
			all = append(all, agent{pid, kind, filepath.Base(of)})
		}
	}
	return all
}

// agentOf tells by a process's arguments whether it is one of a machine's, and of which: a supervisor names
// the machine's folder, a first process its token. It is "" of all others.
func agentOf(args []string) (kind, of string) {
	if len(args) < 5 || args[1] != "agent" {
		return "", ""
	}
	switch last := args[len(args)-1]; args[2] {
	case "supervise":
		return atSupervisor, last // --machine DIR/TOKEN
	case "init":
		return atInit, last // --token TOKEN
	}
	return "", ""
}

func cmdline(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(b)
}

// aim takes hold of a process that lives, so that none is killed that has got its number meanwhile.
func aim(pid int) (*os.File, bool) {
	before := cmdline(pid)
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, false
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	if before == "" || cmdline(pid) != before || over(f) {
		f.Close()
		return nil, false
	}
	return f, true
}

func over(pidfd *os.File) bool {
	polls := []unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(polls, 0)
	return err != nil || n > 0
}

func (c *crowd) killAgent(kind, token string) {
	for _, a := range c.agents() {
		if a.kind != kind || a.token != token {
			continue
		}
		if f, ok := aim(a.pid); ok {
			if unix.PidfdSendSignal(int(f.Fd()), unix.SIGKILL, nil, 0) == nil {
				c.mu.Lock()
				c.hit(kind, 1)
				c.mu.Unlock()
			}
			f.Close()
		}
	}
}

// killAll kills every process of dayfly's, and the jobs unless they are spared, and tells how many there were.
func (c *crowd) killAll() int {
	aimed := map[int]*os.File{}
	pids := c.processes()
	for _, a := range c.agents() {
		pids = append(pids, a.pid)
	}
	for _, pid := range pids {
		if c.spares && strings.HasPrefix(cmdline(pid), c.deed()+"\x00") {
			continue
		}
		if f, ok := aim(pid); ok && aimed[pid] == nil {
			aimed[pid] = f
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.live {
		if aimed[p.cmd.Process.Pid] != nil {
			p.shot = atAll
		}
	}
	for _, f := range aimed { // in whatever order
		_ = unix.PidfdSendSignal(int(f.Fd()), unix.SIGKILL, nil, 0)
		f.Close()
	}
	c.killed += len(aimed)
	return len(aimed)
}

// intact looks at the database as the kill of everything left it.
func (c *crowd) intact() {
	c.t.Helper()
	dir := c.t.TempDir()
	for _, name := range []string{"dayfly.db", "dayfly.db-wal"} {
		if err := copyFile(filepath.Join(dir, name), filepath.Join(c.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.t.Fatal(err)
		}
	}
	integrity(c.t, filepath.Join(dir, "dayfly.db"))
}

func integrity(t testing.TB, path string) {
	t.Helper()
	for _, err := range integrityOf(t.Context(), path) {
		t.Error(err)
	}
}

// integrityOf is what SQLite finds wrong with a database.
func integrityOf(ctx context.Context, path string) (wrong []error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return []error{err}
	}
	defer db.Close()
	for _, pragma := range []string{"integrity_check", "foreign_key_check"} {
		rows, err := db.QueryContext(ctx, "PRAGMA "+pragma)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", pragma, err))
			continue
		}
		for rows.Next() {
			var said string
			if err := rows.Scan(&said); err != nil || said != "ok" {
				wrong = append(wrong, fmt.Errorf("%s: %q, %w", pragma, said, err))
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", pragma, err))
		}
	}
	return wrong
}

// check holds the records against what clients were told, what the witness heard, and what is left.
func (c *crowd) check(runs []record) {
	c.t.Helper()
	byID := map[string]record{}
	for _, r := range runs {
		if _, twice := byID[r.ID]; twice || r.State != "ended" || r.Outcome == "" {
			c.t.Errorf("run %s: a second record, or not an ended one: %+v", r.ID, r)
		}
		byID[r.ID] = r
	}
	c.checkAsked(byID)
	c.checkHeard(byID)
	integrity(c.t, filepath.Join(c.dir, "dayfly.db"))
	c.checkLeft(runs)
}

// checkAsked: what was acknowledged is there, and who was not killed was told the truth.
func (c *crowd) checkAsked(runs map[string]record) {
	codes := map[string]int{"succeeded": 0, "failed": 5, "lost": 11}
	acked := 0
	for _, p := range c.asked {
		what := strings.Join(p.cmd.Args[1:], " ")
		r, known := runs[p.run]
		if p.run != "" {
			acked++
			if !known {
				c.t.Errorf("%s: run %s was acknowledged, and there is no record of it", what, p.run)
				continue
			}
		}
		if p.signaled() {
			if p.shot == "" {
				c.t.Errorf("%s was killed, and not by this test", what)
			}
			continue
		}
		code := codes[r.Outcome]
		stays := !slices.Contains(p.cmd.Args, "--detach")
		switch {
		case c.faults && p.code() == 1:
			c.refused++
		case !known, p.code() != code && (stays || p.code() != 0):
			c.t.Errorf("%s ended with code %d; the run is %s: %s", what, p.code(), r.Outcome, p.diag.String())
		case !stays && strings.TrimSpace(p.out.String()) != p.run:
			c.t.Errorf("%s ended well and said %q of run %s", what, p.out.String(), p.run)
		}
	}
	if acked == 0 {
		c.t.Error("no request was acknowledged")
	}
	c.t.Logf("%d requests, %d acknowledged, %d runs", len(c.asked), acked, len(runs))
}

// checkHeard: every attempt that began is on record, began once, and after the one before was dead.
func (c *crowd) checkHeard(runs map[string]record) {
	starts := map[string]int{}
	total := 0
	for _, said := range c.w.words() {
		f := strings.Fields(said.Text)
		if len(f) != 3 || f[0] != "start" {
			continue
		}
		total++
		if starts[said.Text]++; starts[said.Text] > 1 {
			c.t.Errorf("run %s attempt %s began %d times", f[1], f[2], starts[said.Text])
		}
		number, err := strconv.Atoi(f[2])
		if r, ok := runs[f[1]]; err != nil || !ok || number > len(r.Attempts) {
			c.t.Errorf("run %s attempt %s began, and is not on record: %+v", f[1], f[2], r)
		}
	}
	for id, r := range runs {
		if n := len(r.Attempts); n == 0 || n > 1 && !strings.HasPrefix(id, "again-") || n > 3 {
			c.t.Errorf("run %s has %d attempts", id, n)
		}
		if last := strconv.Itoa(len(r.Attempts)); r.Outcome == "succeeded" && !c.said("end", id, last) {
			c.t.Errorf("run %s succeeded, and attempt %s never said that it was done", id, last)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.overlaps {
		c.t.Error(o)
	}
	c.t.Logf("%d starts heard, none twice, %d of attempts after the first", total, c.again)
}

// checkLeft: nothing of any machine is left.
func (c *crowd) checkLeft(runs []record) {
	for _, r := range runs {
		for _, a := range r.Attempts {
			c.tokens[strings.TrimPrefix(a.Machine, "local/")] = true
		}
	}
	left := c.remains()
	for _, l := range left {
		c.t.Errorf("left behind: %s", l)
	}
	c.t.Logf("%d machines, %d leftovers", len(c.tokens), len(left))
}

// remains names what the kernel still knows of all this: processes, mounts, cgroups, files beside the records.
func (c *crowd) remains() (left []string) {
	for _, pid := range c.processes() {
		left = append(left, fmt.Sprintf("process %d %q", pid, cmdline(pid)))
	}
	for _, a := range c.agents() {
		left = append(left, fmt.Sprintf("%s %d of %s", a.kind, a.pid, a.token))
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, c.dir+"/machines") {
			left = append(left, "mount "+line)
		}
	}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, e fs.DirEntry, err error) error {
		if token, ours := strings.CutPrefix(filepath.Base(path), "dayfly-"); ours && c.tokens[token] {
			left = append(left, "cgroup "+path)
		}
		return nil // one that has gone meanwhile
	})
	return append(left, c.inMachines()...)
}

// inMachines shows what is in the machines' folder beside what a provider needs to know of past machines.
func (h *home) inMachines() (left []string) {
	dir := filepath.Join(h.dir, "machines")
	entries, err := os.ReadDir(dir)
	if err != nil {
		left = append(left, err.Error())
	}
	for _, e := range entries {
		if e.Name() == ".rungs.json" || e.Name() == ".spent" { // which ways work here, and tokens to refuse
			continue
		}
		inside, _ := filepath.Glob(filepath.Join(dir, e.Name(), "*"))
		for i, name := range inside {
			b, _ := os.ReadFile(name)
			inside[i] = fmt.Sprintf("%s: %.300q", filepath.Base(name), b)
		}
		left = append(left, fmt.Sprintf("folder %s with %s", e.Name(), strings.Join(inside, ", ")))
	}
	return left
}
