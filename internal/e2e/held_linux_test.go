package e2e_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"golang.org/x/sys/unix"
)

// in is the installation for another test than the one that made it.
func (h *home) in(t testing.TB) *home {
	other := *h
	other.t = t
	return &other
}

// machineDirs are what is left of machines in the data directory.
func (h *home) machineDirs() []string {
	all, _ := filepath.Glob(filepath.Join(h.dir, "machines", "[^.]*"))
	return all
}

// within tells whether cond came to hold in time.
func within(limit time.Duration, cond func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !cond(); <-tick.C {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// held are the processes of a machine, by their pidfds.
type held struct {
	token             string
	supervisor, first *process
}

// machineOf finds the machine of a run that is running.
func (h *home) machineOf(run string) *held {
	h.t.Helper()
	m := &held{}
	for _, dir := range h.machineDirs() {
		var tags dayfly.Tags
		if b, err := os.ReadFile(filepath.Join(dir, "tags.json")); err == nil && json.Unmarshal(b, &tags) == nil && string(tags.Run) == run {
			m.token = filepath.Base(dir)
		}
	}
	if m.token == "" {
		h.t.Fatalf("run %s has no machine", run)
	}
	for _, pid := range processesWith(m.token) {
		args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		switch {
		case bytes.Contains(args, []byte("\x00supervise\x00")):
			m.supervisor = hold(h.t, pid)
		case bytes.Contains(args, []byte("\x00init\x00")):
			m.first = hold(h.t, pid)
		}
	}
	if m.supervisor == nil || m.first == nil {
		h.t.Fatalf("the machine of run %s lacks a process: %+v", run, m)
	}
	return m
}

// process is held by its pidfd, whatever becomes of its pid.
type process struct {
	pid, fd int
	dead    <-chan struct{}
}

func hold(t testing.TB, pid int) *process {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		t.Fatalf("hold process %d: %v", pid, err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	c, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	dead := make(chan struct{})
	go func() {
		over := false
		_ = c.Read(func(fd uintptr) bool { // until it is closed, where the test ends first
			n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			over = n > 0
			return over
		})
		if over {
			close(dead)
		}
	}()
	t.Cleanup(func() { f.Close() })
	return &process{pid: pid, fd: fd, dead: dead}
}

// stop sends SIGSTOP and returns when every thread stands still.
func (p *process) stop(t testing.TB) {
	t.Helper()
	if err := unix.PidfdSendSignal(p.fd, unix.SIGSTOP, nil, 0); err != nil {
		t.Fatalf("stop process %d: %v", p.pid, err)
	}
	await(t, 10*time.Second, "the process has stopped", func() bool {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.pid))
		return len(tasks) > 0 && !slices.ContainsFunc(tasks, func(name string) bool {
			b, err := os.ReadFile(name)
			return err == nil && !bytes.HasPrefix(b[bytes.LastIndexByte(b, ')')+1:], []byte(" T"))
		})
	})
}

// firstMachine is the token of the first machine of which a folder appears once do is called.
func (h *home) firstMachine(do func()) string {
	h.t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		h.t.Fatal(err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	if _, err := unix.InotifyAddWatch(fd, filepath.Join(h.dir, "machines"), unix.IN_MOVED_TO); err != nil {
		h.t.Fatal(err)
	}
	_ = events.SetReadDeadline(time.Now().Add(time.Minute))
	do()
	buf := make([]byte, 1<<12)
	for {
		n, err := events.Read(buf)
		if err != nil {
			h.t.Fatalf("no machine appears: %v", err)
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
			if name := string(bytes.TrimRight(b[unix.SizeofInotifyEvent:end], "\x00")); !strings.HasPrefix(name, ".") {
				return name
			}
			b = b[end:]
		}
	}
}

// leash holds jobs: they end well when it lets go.
type leash struct {
	listener net.Listener
	mu       sync.Mutex
	free     bool
	held     []net.Conn
}

func newLeash(t testing.TB) *leash {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &leash{listener: l}
	t.Cleanup(k.letGo)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			k.mu.Lock()
			if k.held = append(k.held, c); k.free {
				c.Close()
			}
			k.mu.Unlock()
		}
	}()
	return k
}

// take is shell text (of bash) that takes the leash as descriptor 8: what it reads there ends when it is let go.
func (k *leash) take() string {
	host, port, _ := net.SplitHostPort(k.listener.Addr().String())
	return fmt.Sprintf("exec 8<>/dev/tcp/%s/%s", host, port)
}

func (k *leash) letGo() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.free = true
	k.listener.Close()
	for _, c := range k.held {
		c.Close()
	}
}
