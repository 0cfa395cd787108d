package e2e_test

import (
	"bytes"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// proc is a command under way, whose words are kept.
type proc struct {
	cmd       *exec.Cmd
	out, diag output
	ended     chan struct{}
	begun     time.Time

	// What follows is guarded by the crowd's lock.
	shot string // why it was killed, if it was
	run  string // that it was told of
}

type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.grown <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// begin starts a command.
func (c *crowd) begin(args ...string) *proc {
	p := &proc{cmd: c.command(args...), ended: make(chan struct{}), begun: time.Now()}
	p.out.grown, p.diag.grown = make(chan struct{}, 1), make(chan struct{}, 1)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.diag
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := p.cmd.Start(); err != nil {
		c.t.Error(err)
		close(p.ended)
		return p
	}
	c.live[p] = true
	go func() {
		_ = p.cmd.Wait()
		c.mu.Lock()
		delete(c.live, p)
		if p.shot != "" && p.signaled() {
			c.hit(p.shot, 1)
		}
		c.mu.Unlock()
		close(p.ended)
	}()
	return p
}

// signaled tells of an ended command whether SIGKILL ended it.
func (p *proc) signaled() bool {
	ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL
}

// code is the exit code of an ended command, -1 of one that was killed.
func (p *proc) code() int {
	if p.cmd.ProcessState == nil {
		return -1
	}
	return p.cmd.ProcessState.ExitCode()
}

func (c *crowd) shoot(p *proc, kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live[p] {
		p.shot = kind
		_ = p.cmd.Process.Kill()
	}
}
