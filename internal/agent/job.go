package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
)

const (
	reasonCanceled = "cancelled on request"
	reasonDeadline = "the machine's deadline came before the job ended"

	// killAgain is how often SIGKILL is repeated until everything is dead: a job that forks quickly
	// may outrun one round of it.
	killAgain = 100 * time.Millisecond
	// lastWords is how long output may still come when every process of the job is dead.
	lastWords = 2 * time.Second
)

// job runs the job from its first instruction to the last byte it printed.
func (a *agent) job(ctx context.Context, env []string, canceled <-chan struct{}) *ending {
	read, write, err := os.Pipe()
	if err != nil {
		return failed("start the job: %v", err)
	}
	defer read.Close()
	ctx, kill := context.WithCancel(ctx)
	defer kill()
	p, err := a.Sandbox.Start(ctx, machine.Command{
		Script: a.Task.Script, Env: env, Work: a.work, Results: a.results, Output: write,
	})
	write.Close() // the job has its own
	if err != nil {
		return failed("start the job: %v", err)
	}
	a.report.StartedAt = a.Now().UTC()
	if a.Started != nil {
		a.Started(a.report.StartedAt)
	}
	printed := make(chan struct{})
	go func() { defer close(printed); take(a.log, read) }() // the log takes everything; the pipe ends
	exited := make(chan exit, 1)
	go func() {
		e, err := p.Wait()
		exited <- exit{e, err}
	}()
	e, stopped := a.attend(ctx, p, exited, canceled)
	a.drain(read, printed)
	return a.judge(e, stopped)
}

// exit is what Process.Wait gave.
type exit struct {
	machine.Exit
	err error
}

// attend waits for the job and ends it when it is time: stopped is why, or nil.
func (a *agent) attend(ctx context.Context, p machine.Process, exited <-chan exit, canceled <-chan struct{}) (e exit, stopped *ending) {
	limit, grace, why := a.limits()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case e = <-exited:
		return e, nil
	case <-canceled:
		stopped = &ending{outcome: dayfly.Canceled, reason: reasonCanceled}
	case <-timer.C:
		stopped = &ending{outcome: dayfly.TimedOut, reason: why}
	case <-ctx.Done():
		return a.end(ctx, p, exited), &ending{outcome: dayfly.TimedOut, reason: reasonDeadline}
	}
	a.Log.Info("ending the job", "reason", stopped.reason, "grace", grace)
	if err := p.Signal(syscall.SIGTERM); err != nil {
		a.Log.Warn("signal the job", "signal", "SIGTERM", "error", err)
	}
	timer.Reset(grace)
	select {
	case e = <-exited:
	case <-timer.C:
		e = a.end(ctx, p, exited)
	case <-ctx.Done():
		e = a.end(ctx, p, exited)
	}
	return e, stopped
}

// end kills everything, until it is dead or nobody can wait any longer.
func (a *agent) end(ctx context.Context, p machine.Process, exited <-chan exit) exit {
	tick := time.NewTicker(killAgain)
	defer tick.Stop()
	for late := 0; ; {
		if err := p.Signal(syscall.SIGKILL); err != nil {
			a.Log.Warn("signal the job", "signal", "SIGKILL", "error", err)
		}
		select {
		case e := <-exited:
			return e
		case <-tick.C:
			if ctx.Err() != nil {
				late++
			}
			if late > int(lateness/killAgain) {
				return exit{err: errors.New("the job does not die")}
			}
		}
	}
}

// limits gives how long the job may run, how long it has from SIGTERM to SIGKILL, and what to say then.
// Where the deadline is near both are shorter, so that the job has a grace and there is time to save.
func (a *agent) limits() (limit, grace time.Duration, why string) {
	left := max(0, a.left())
	grace = a.Task.Grace.Duration()
	limit = a.Task.Timeout.Duration()
	graceThen := min(grace, left/5)
	if most := left - reserve(left) - graceThen; limit <= 0 || most < limit {
		return most, graceThen, reasonDeadline
	}
	return limit, grace, fmt.Sprintf("the job ran longer than its timeout of %s", a.Task.Timeout)
}

// mostInPipe is more than a pipe holds, unless a process of root has made it larger.
const mostInPipe = 1 << 20

// take reads a pipe to its end or its deadline, and then once more all that lies in it: who writes to it may have been
// slower than the deadline, or the whole host.
func take(to io.Writer, pipe *os.File) {
	if _, err := io.Copy(to, pipe); !errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	raw, err := pipe.SyscallConn()
	if err != nil || pipe.SetReadDeadline(time.Time{}) != nil { // a read after its deadline gives nothing
		return
	}
	b := make([]byte, 64<<10)
	for taken := 0; taken < mostInPipe; {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			n, _ = syscall.Read(int(fd), b)
			return true // it is not waited for more
		})
		if err != nil || n <= 0 {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
		taken += n
	}
}

// drain waits for what the job printed last. It does not wait for ever: where a process of the job
// can survive it, it may hold the pipe open.
func (a *agent) drain(read *os.File, printed <-chan struct{}) {
	read.SetReadDeadline(time.Now().Add(lastWords)) // of the pipe, which knows no other clock
	<-printed
}

// judge says how the job ended. Why it was stopped comes before how it then left.
func (a *agent) judge(e exit, stopped *ending) *ending {
	if e.err != nil {
		if stopped == nil {
			return failed("wait for the job: %v", e.err)
		}
		stopped.reason += fmt.Sprintf("; wait for the job: %v", e.err)
		return stopped
	}
	out := stopped
	code := e.Code
	switch {
	case out != nil:
	case e.Expired:
		out = &ending{outcome: dayfly.TimedOut, reason: reasonDeadline}
	case e.PowerOff:
		code = 0
		out = &ending{outcome: dayfly.Succeeded, reason: "the job shut the machine down"}
	case e.Signal != 0:
		out = failed("the job was ended by %s", signalName(e.Signal))
	case code != 0:
		out = failed("the job ended with exit code %d", code)
	default:
		out = &ending{outcome: dayfly.Succeeded}
	}
	if e.OutOfMemory && out.outcome == dayfly.Failed {
		out.reason += "; the limit of memory was reached"
	}
	out.exit, out.usage = &code, e.Usage
	if e.Signal != 0 && !e.PowerOff {
		out.signal = signalName(e.Signal)
	}
	return out
}
