package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/dayfly-io/dayfly"
	"golang.org/x/sys/unix"
)

// The descriptors that the first process of a sandbox inherits.
const (
	controlFD = 3
	outputFD  = 4
)

// Init is the first process of a sandbox, PID 1 where it has a process namespace of its own. It does
// what one order on its inherited descriptor says, and nothing before; it is no use to a person. Its
// arguments only show in a list of processes which machine it belongs to. The result is its exit code.
func Init(_ []string) int {
	nameProcess()
	runtime.LockOSThread() // the death signal and the credentials of the job are this thread's
	f, o, err := newFirst()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error: this command is a part of dayfly's machines and is not for people:", err)
		return 2
	}
	go f.listen()
	if err := f.obey(o); err != nil {
		f.say(word{Say: sayFailed, Error: err.Error()})
		return 1
	}
	return 0
}

// first is the first process of a sandbox.
type first struct {
	control *os.File
	in      *json.Decoder
	way     way
	grace   time.Duration
	kill    func(sig unix.Signal) // signals all other processes of the sandbox
	ready   sync.WaitGroup        // of what the job's start waits for

	mu     sync.Mutex
	end    ending
	polite bool // the job was asked to end and has time for it: who outlives its first process may go on
}

// deadly are the signals that end or stop a Go program which does not ask for them; all others it swallows.
// The kernel lets nobody inside send PID 1 a signal that it has no handler for, but the runtime has one for
// each. All the others are not asked for because each costs two turns of a thread.
var deadly = []os.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE,
	unix.SIGSEGV, unix.SIGTERM, unix.SIGSTKFLT, unix.SIGSYS, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU,
}

func newFirst() (*first, order, error) {
	var o order
	unix.CloseOnExec(controlFD)
	unix.CloseOnExec(outputFD)
	if err := dieWithParent(); err != nil {
		return nil, o, err
	}
	if err := unix.SetNonblock(controlFD, true); err != nil {
		return nil, o, err
	}
	f := &first{control: os.NewFile(controlFD, "control")}
	f.in = json.NewDecoder(f.control)
	// The end of the file here is a supervisor that died before the death signal was set.
	if err := f.in.Decode(&o); err != nil {
		return nil, o, fmt.Errorf("read the order: %w", err)
	}
	f.way, f.grace = o.Way, o.Grace
	f.kill = f.killTree
	if o.Way != wayGroup && os.Getpid() == 1 {
		f.kill = func(sig unix.Signal) { _ = unix.Kill(-1, sig) } // ESRCH: there is none
	}
	return f, o, nil
}

// dieWithParent asks for SIGKILL when the thread that started this process ends, which the
// supervisor keeps until then. A change of credentials takes the wish back.
func dieWithParent() error {
	return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
}

// say tells the supervisor, and gives up on one that does not listen.
func (f *first) say(w word) {
	b, err := json.Marshal(w)
	if err != nil {
		return
	}
	_ = f.control.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, _ = f.control.Write(append(b, '\n'))
}

// listen does what the supervisor asks for, and ends the sandbox when there is none any more.
func (f *first) listen() {
	for {
		var r request
		if err := f.in.Decode(&r); err != nil {
			f.kill(unix.SIGKILL)
			os.Exit(1)
		}
		sig := unix.Signal(r.Signal)
		f.mu.Lock()
		f.polite = f.polite || sig != unix.SIGKILL
		f.mu.Unlock()
		f.kill(sig)
	}
}

func (f *first) obey(o order) error {
	if err := become(o.Way); err != nil {
		return err
	}
	if o.Remove != "" {
		err := removeTree(o.Remove)
		if err == nil {
			f.say(word{Say: sayDone})
		}
		return err
	}
	if err := f.arm(o.Deadline); err != nil {
		return err
	}
	f.ready.Go(spareThreads) // meanwhile
	f.ready.Go(func() { signal.Notify(make(chan os.Signal, 1), deadly...) })
	notes, err := f.furnish(&o)
	if err != nil {
		return err
	}
	if o.Try {
		f.say(word{Say: sayDone, Notes: notes})
		return nil
	}
	job, err := f.start(o)
	if err != nil {
		return err
	}
	f.say(word{Say: sayStarted, Notes: notes})
	f.reap(job)
	f.say(word{Say: sayEnded, End: &f.end})
	return nil
}

// become takes the credentials of the sandbox.
func become(w way) error {
	switch w {
	case waySubuid:
		if err := errors.Join(syscall.Setresgid(0, 0, 0), syscall.Setgroups([]int{}), syscall.Setresuid(0, 0, 0)); err != nil {
			return fmt.Errorf("become root of the user namespace: %w", err)
		}
		return dieWithParent()
	case wayGroup:
		return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	default:
		return nil
	}
}

// furnish makes the sandbox what the job shall see.
func (f *first) furnish(o *order) (notes []string, err error) {
	if o.OwnNetwork {
		if err := raiseLoopback(); err != nil {
			return nil, fmt.Errorf("raise the loopback device: %w", err)
		}
	}
	if o.Way != wayGroup {
		if notes, err = build(*o); err != nil {
			return nil, err
		}
	}
	return notes, f.powerSwitch(o)
}

// arm sets the timers that end the sandbox at the deadline, by the wall clock and by the boot clock,
// whichever is there first: no step of the wall clock makes a machine live longer.
func (f *first) arm(deadline time.Time) error {
	if deadline.IsZero() {
		return nil
	}
	timers, err := deadlineTimers(deadline)
	if err != nil {
		return fmt.Errorf("set the deadline's timers: %w", err)
	}
	for _, t := range timers {
		go func() {
			var b [8]byte
			if _, err := io.ReadFull(t, b[:]); err == nil {
				f.expire()
			}
		}()
	}
	return nil
}

// expire ends everything, and itself soon after: it must not wait for ever on what does not die.
func (f *first) expire() {
	f.mu.Lock()
	f.end.Expired, f.polite = true, false
	f.mu.Unlock()
	time.AfterFunc(time.Second, func() { os.Exit(1) })
	f.kill(unix.SIGKILL)
}

// reap waits for the job's first process, ends what it left behind, and waits for that too.
func (f *first) reap(job int) {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil: // ECHILD: nothing is left
			f.measure()
			return
		case pid == job:
			f.jobEnded(ws)
		}
	}
}

func (f *first) jobEnded(ws unix.WaitStatus) {
	f.mu.Lock()
	polite := f.polite
	f.end.Code = ws.ExitStatus()
	if ws.Signaled() {
		f.end.Signal, f.end.Code = int(ws.Signal()), 128+int(ws.Signal())
	}
	f.mu.Unlock()
	if polite {
		time.AfterFunc(f.grace, func() { f.kill(unix.SIGKILL) })
		return
	}
	if !childless() {
		go f.kill(unix.SIGKILL) // it may take until all are reaped, which is its caller's work
	}
}

// childless tells whether nothing descends from this process any more: what has lost its parent is its child.
func childless() bool {
	err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL, nil)
	return errors.Is(err, unix.ECHILD)
}

// measure takes what the job used, and has the last word on how it ended.
func (f *first) measure() {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ru unix.Rusage
	if unix.Getrusage(unix.RUSAGE_CHILDREN, &ru) == nil {
		f.end.CPU = dayfly.Seconds(ru.Utime.Nano() + ru.Stime.Nano())
		f.end.Peak = ru.Maxrss << 10
	}
	if f.end.PowerOff {
		f.end.Code, f.end.Signal = 0, 0
	}
}

// killTree signals all that descend from this process, where it has no namespace of its own.
func (f *first) killTree(sig unix.Signal) {
	self := os.Getpid()
	find := func() ([]int, error) { return descendants(self) }
	if sig == unix.SIGKILL {
		_ = sweep(nil, find, func(pid int) bool { return descends(pid, self) })
		return
	}
	found, _ := find()
	for _, pid := range found {
		signalIf(pid, sig, func() bool { return descends(pid, self) })
	}
}

// raiseLoopback brings up lo in a new network namespace.
func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, req); err != nil {
		return err
	}
	req.SetUint16(req.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}
