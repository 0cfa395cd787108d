package ptrace

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Program is a program to be traced, with all that it starts.
type Program struct {
	Path           string
	Args           []string // the first is its name
	Env            []string
	Dir            string
	Stdout, Stderr *os.File // nil: /dev/null

	// Enter is asked at each call, before it happens. It is asked one at a time, while the thread
	// that makes the call stands still.
	Enter func(*Call) Verdict
	// Leave is told the result of a call whose verdict was Watch, while the thread still stands.
	// Negative is an error number.
	Leave func(c *Call, result int64)
	// Exited, if any, is told how the program itself ended, while what it started may live on.
	Exited func(unix.WaitStatus)

	mu    sync.Mutex
	root  int
	procs map[int]*Process
	calls map[int]*Call // that threads are in, of those that are watched
	ended bool          // it was asked to
}

// Process is a process under trace.
type Process struct {
	PID    int
	Parent *Process
	Args   []string // of its program; its parent's until it has one of its own
	Forked bool     // it has no program of its own yet
}

// Run runs the program until it and everything that it has started are no more, and tells how it ended.
func (p *Program) Run() (unix.WaitStatus, error) {
	status, err := p.run()
	if err != nil {
		err = fmt.Errorf("trace %s: %w", p.Path, err)
	}
	return status, err
}

func (p *Program) run() (status unix.WaitStatus, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "tracer"), os.NewFile(uintptr(fds[1]), "tracer")
	defer ours.Close()
	cmd := exec.Command("/proc/self/exe", append([]string{p.Path}, p.Args...)...)
	cmd.Env, cmd.Dir, cmd.ExtraFiles = append(append([]string{}, p.Env...), variable+"="+asTracer), p.Dir, []*os.File{theirs}
	if p.Stdout != nil {
		cmd.Stdout = p.Stdout
	}
	if p.Stderr != nil {
		cmd.Stderr = p.Stderr
	}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return 0, err
	}
	status, err = p.listen(ours)
	ours.Close()
	if werr := cmd.Wait(); err == nil && werr != nil {
		err = fmt.Errorf("the tracer: %w", werr)
	}
	return status, err
}

// listen answers the tracer until it says that all is over.
func (p *Program) listen(socket *os.File) (unix.WaitStatus, error) {
	p.procs, p.calls = map[int]*Process{}, map[int]*Call{}
	say, hear, known := gob.NewEncoder(socket), gob.NewDecoder(socket), names()
	for {
		var e event
		if err := hear.Decode(&e); err != nil {
			return 0, fmt.Errorf("listen to the tracer: %w", err)
		}
		answer := p.answer(e, known)
		if err := say.Encode(answer); err != nil {
			return 0, fmt.Errorf("answer the tracer: %w", err)
		}
		if e.Kind == isOver && e.Error != "" {
			return e.Status, errors.New(e.Error)
		}
		if e.Kind == isOver {
			return e.Status, nil
		}
	}
}

func (p *Program) answer(e event, known map[uint32]string) Verdict {
	switch e.Kind {
	case isEntered:
		c := &Call{Process: p.process(e.PID), TID: e.TID, Name: known[uint32(e.Number)], Args: e.Args}
		v := p.Enter(c)
		if v.Deed == watch {
			p.calls[e.TID] = c
		}
		return v
	case isLeft:
		if c := p.calls[e.TID]; c != nil {
			delete(p.calls, e.TID)
			p.Leave(c, e.Result)
		}
	default:
		p.note(e)
		if e.Kind == isGone && e.PID == p.root && p.Exited != nil {
			p.Exited(e.Status)
		}
	}
	return Pass()
}

func (p *Program) process(pid int) *Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.procs[pid]
}

// note takes down what becomes of processes.
func (p *Program) note(e event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Kind {
	case isNew:
		proc := &Process{PID: e.PID, Parent: p.procs[e.Parent], Forked: true}
		if proc.Parent != nil {
			proc.Args = proc.Parent.Args
		}
		if len(p.procs) == 0 && p.root == 0 {
			p.root = e.PID
		}
		p.procs[e.PID] = proc
		if p.ended {
			_ = unix.Kill(e.PID, unix.SIGKILL)
		}
	case isReplaced:
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", e.PID))
		proc := *p.procs[e.PID]
		proc.Forked, proc.Args = false, strings.Split(string(bytes.TrimSuffix(text, []byte{0})), "\x00")
		p.procs[e.PID] = &proc
	case isGone:
		delete(p.procs, e.PID)
	}
}

// Signal signals the program itself. One that has ended, or not begun, is no error.
func (p *Program) Signal(sig unix.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if proc := p.procs[p.root]; proc != nil && !proc.Forked {
		_ = unix.Kill(p.root, sig)
	}
}

// Kill ends everything that is traced, and what would be.
func (p *Program) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for pid := range p.procs {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}
