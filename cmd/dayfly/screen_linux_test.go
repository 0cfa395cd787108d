package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// pty gives the two ends of a new pseudo-terminal.
func pty() (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	return master, slave, err
}

// seat is somebody who sits at a terminal with dayfly on it.
type seat struct {
	t      *testing.T
	master *os.File
	slave  *os.File // kept open, so that its settings can be looked at
	cmd    *exec.Cmd
	seen   chan string
	shown  string
}

func sit(t *testing.T, c *call, args ...string) *seat {
	t.Helper()
	return sitIn(t, c, "", args...)
}

// sitIn begins in a directory.
func sitIn(t *testing.T, c *call, dir string, args ...string) *seat {
	t.Helper()
	return sitOn(t, c, dir, 80, args...)
}

// sitOn has a terminal of so many columns.
func sitOn(t *testing.T, c *call, dir string, columns uint16, args ...string) *seat {
	t.Helper()
	master, slave, err := pty()
	if err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("dayfly")
	if err != nil {
		t.Fatal(err)
	}
	s := &seat{t: t, master: master, slave: slave, cmd: exec.Command(path, args...), seen: make(chan string, 1000)}
	s.size(columns, 24)
	s.cmd.Dir = dir
	s.cmd.Env = append(c.env, "LANG=C.UTF-8", "NO_COLOR=1")
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = slave, slave, slave
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		master.Close()
		slave.Close()
	})
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := master.Read(buf)
			if err != nil {
				return
			}
			s.seen <- string(buf[:n])
		}
	}()
	return s
}

func (s *seat) size(width, height uint16) {
	s.t.Helper()
	if err := unix.IoctlSetWinsize(int(s.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		s.t.Fatal(err)
	}
}

// sees waits until what is shown from here on has this in it.
func (s *seat) sees(pattern string) {
	s.t.Helper()
	want := regexp.MustCompile(pattern)
	timer := time.NewTimer(waitFor)
	defer timer.Stop()
	for {
		if at := want.FindStringIndex(s.shown); at != nil {
			s.shown = s.shown[at[1]:]
			return
		}
		select {
		case more := <-s.seen:
			s.shown += more
		case <-timer.C:
			s.t.Fatalf("never saw %s in %q", pattern, s.shown)
		}
	}
}

func (s *seat) types(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.master, keys); err != nil {
		s.t.Fatal(err)
	}
}

// leaves waits for the end, with this exit code, and for the terminal to be as it was.
func (s *seat) leaves(code int) {
	s.t.Helper()
	s.ends(code)
	s.sees(`\x1b\[\?7h\x1b\[\?25h\x1b\[\?1049l`)
}

// ends waits for the end, with this exit code, and for the terminal to show what is typed.
func (s *seat) ends(code int) {
	s.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.cmd.Wait()
	}()
	select {
	case <-done:
	case <-time.After(waitFor):
		s.t.Fatal("it does not end")
	}
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("exit code %d, want %d", got, code)
	}
	is, err := unix.IoctlGetTermios(int(s.slave.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	if is.Lflag&unix.ICANON == 0 || is.Lflag&unix.ECHO == 0 {
		s.t.Error("the terminal does not echo lines any more")
	}
}

func TestWatchOnATerminal(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*seat){
		"q":       func(s *seat) { s.types("q") },
		"Ctrl-D":  func(s *seat) { s.types("\x04") },
		"Ctrl-C":  func(s *seat) { s.types("\x03") },
		"SIGTERM": func(s *seat) { _ = s.cmd.Process.Signal(syscall.SIGTERM) },
	} {
		t.Run(name+" ends it and leaves the terminal as it was", func(t *testing.T) {
			t.Parallel()
			c, _ := withClock(t)
			s := sit(t, c, "watch")
			s.sees(`\x1b\[\?1049h`)
			s.sees(`0 runs under way`)
			end(s)
			s.leaves(0)
		})
	}
	t.Run("it draws anew for another size, and for what happens", func(t *testing.T) {
		t.Parallel()
		c, _ := withClock(t)
		s := sit(t, c, "watch")
		s.sees(`0 runs under way, 0 waiting   q ends watching, runs go on`)
		s.size(30, 5)
		s.sees("0 runs under way, 0 waiting  …\r+\n") // and nothing that takes the last cell away
		s.size(80, 24)
		c.want(0, "run", jobFileOf(t, "quick", "run: exit 0\ntimeout: 20s\ndeadline: 40s\n"))
		s.sees(`ENDED `)
		s.sees(`quick-.* succeeded`)
		s.types("q")
		s.leaves(0)
	})
	t.Run("Ctrl-Z gives the terminal back, and it comes again", func(t *testing.T) {
		t.Parallel()
		c, _ := withClock(t)
		s := sit(t, c, "watch")
		s.sees(`0 runs under way`)
		_ = s.cmd.Process.Signal(syscall.SIGTSTP)
		s.sees(`\x1b\[\?1049l`)
		_ = s.cmd.Process.Signal(syscall.SIGCONT)
		s.sees(`\x1b\[\?1049h`)
		s.sees(`0 runs under way`)
		s.types("q")
		s.leaves(0)
	})
}

func TestFrame(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 23, 10, 5, 0, time.UTC)
	s := scene{at: now, daemon: "process 4711", wrong: []string{"list machines on ec2: \x1b[2Jno"}}
	for i := range 30 {
		r := dayfly.Run{ID: dayfly.RunID(fmt.Sprintf("job-%d", i)), State: dayfly.Running, CreatedAt: now.Add(-time.Minute)}
		r.Attempts = []dayfly.Attempt{{Number: 1, LaunchedAt: now.Add(-time.Duration(i) * time.Minute), StartedAt: now, Deadline: now.Add(time.Hour)}}
		if i%3 == 0 {
			r = dayfly.Run{ID: r.ID, State: dayfly.Due, CreatedAt: r.CreatedAt, Reason: "an earlier run of the job is active"}
		}
		s.runs = append(s.runs, seenRun{Run: r, usually: 41 * time.Second})
		s.lately = append(s.lately, dayfly.Run{ID: r.ID + "x", State: dayfly.Ended, Outcome: dayfly.Failed, Reason: "exit code 1 \x1b]52;c;x\x07\nfake", EndedAt: now.Add(-time.Minute)})
		s.next = append(s.next, store.Job{Name: "nightly", NextDue: now.Add(time.Hour)})
	}
	s.next = s.next[:5]
	for width := 1; width <= 200; width += 33 {
		for height := 1; height <= 60; height += 4 {
			lines := frame(s, width, height)
			if len(lines) > height {
				t.Fatalf("%d lines on a terminal of %d", len(lines), height)
			}
			for _, l := range lines {
				if n := utf8.RuneCountInString(l); n > width {
					t.Fatalf("%d characters on a terminal of %d: %q", n, width, l)
				}
				if bytes.ContainsFunc([]byte(l), func(r rune) bool { return r < ' ' }) {
					t.Fatalf("%q would drive the terminal", l)
				}
			}
		}
	}
	text := strings.Join(frame(s, 80, 24), "\n")
	for _, want := range []string{
		"dayfly watch   2026-11-22 23:10:05Z   daemon: process 4711", "20 runs under way, 10 waiting", "! list machines on ec2: ",
		"job-29  29m  in 60m   running, usually 41 s\n", "and 26 more", "job-0x  60s ago        failed: exit code 1 ", "nightly  in 60m  2026-11-23 00:10:05Z",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	tall := strings.Join(frame(s, 80, 60), "\n")
	if at := strings.Index(tall, "job-0 "); strings.Contains(tall, " more") || at < strings.Index(tall, "job-1 ") {
		t.Errorf("those that wait come last, and there is room for all:\n%s", tall)
	}
}

// TestSpectator sees what came and went between two looks, once.
func TestSpectator(t *testing.T) {
	t.Parallel()
	c, _ := withClock(t)
	h := c.home()
	l, err := h.spectate(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	news := func() string {
		seen, err := l.look(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		var text []string
		for _, r := range seen.news {
			text = append(text, string(r.Job)+" "+string(r.Outcome))
		}
		return strings.Join(text, ", ")
	}
	if got := news(); got != "" {
		t.Errorf("news of nothing: %s", got)
	}
	c.want(0, "run", jobFileOf(t, "one", "run: exit 0\ntimeout: 20s\ndeadline: 40s\n"))
	c.want(5, "run", jobFileOf(t, "two", "run: exit 1\ntimeout: 20s\ndeadline: 40s\n"))
	if got := news(); got != "one succeeded, two failed" {
		t.Errorf("news: %s", got)
	}
	if got := news(); got != "" {
		t.Errorf("the same news again: %s", got)
	}
}
