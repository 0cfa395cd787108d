package ptrace

import (
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracer is the process between the test and what is traced.
type tracer struct {
	say     *gob.Encoder
	hear    *gob.Decoder
	root    int
	status  unix.WaitStatus
	procs   map[int]bool
	threads map[int]*thread
}

type thread struct {
	tid, pid int
	fresh    bool  // its first stop is the kernel's way of handing it over
	call     *call // it is in
}

type call struct {
	number uint64
	args   [6]uint64
	deed   deed // at its end
}

// serve traces one program for the test at the other end of a socket, whose end is its own.
func serve(socket *os.File, argv []string) {
	runtime.LockOSThread() // the kernel knows a tracer by its thread
	t := &tracer{say: gob.NewEncoder(socket), hear: gob.NewDecoder(socket), procs: map[int]bool{}, threads: map[int]*thread{}}
	end := event{Kind: isOver}
	if err := errors.Join(t.begin(argv), t.loop()); err != nil {
		end.Error = err.Error()
	}
	end.Status = t.status
	t.tell(end)
}

// tell says something to the test and gives its answer.
func (t *tracer) tell(e event) Verdict {
	var v Verdict
	if err := errors.Join(t.say.Encode(e), t.hear.Decode(&v)); err != nil {
		os.Exit(1) // nobody is there; the kernel kills what is traced
	}
	return v
}

// begin starts the program and waits for the stop at which one that asked to be traced begins.
func (t *tracer) begin(argv []string) error {
	proc, err := os.StartProcess("/proc/self/exe", append([]string{"traced"}, argv...), &os.ProcAttr{
		Env: append(os.Environ(), variable+"="+asProgram), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys: &syscall.SysProcAttr{Ptrace: true, Setpgid: true},
	})
	if err != nil {
		return err
	}
	t.root = proc.Pid
	var ws unix.WaitStatus
	if _, err := wait(t.root, &ws); err != nil {
		return err
	}
	if !ws.Stopped() {
		return errors.New("the program ended before it began")
	}
	t.procs[t.root], t.threads[t.root] = true, &thread{tid: t.root, pid: t.root}
	t.tell(event{Kind: isNew, PID: t.root, TID: t.root})
	err = unix.PtraceSetOptions(t.root, unix.PTRACE_O_EXITKILL|unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|
		unix.PTRACE_O_TRACEFORK|unix.PTRACE_O_TRACEVFORK|unix.PTRACE_O_TRACEEXEC|unix.PTRACE_O_TRACESECCOMP)
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	return unix.PtraceCont(t.root, 0)
}

func wait(pid int, ws *unix.WaitStatus) (int, error) {
	for {
		got, err := unix.Wait4(pid, ws, unix.WALL, nil)
		if err != unix.EINTR {
			return got, err
		}
	}
}

// loop lives until there is nothing to trace any more.
func (t *tracer) loop() error {
	for {
		var ws unix.WaitStatus
		tid, err := wait(-1, &ws)
		if err == unix.ECHILD {
			return nil
		}
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		if ws.Stopped() {
			t.stopped(t.thread(tid), ws)
			continue
		}
		if tid == t.root {
			t.status = ws
		}
		delete(t.threads, tid)
		if t.procs[tid] { // its number is its first thread's, which the kernel lets go of last
			delete(t.procs, tid)
			t.tell(event{Kind: isGone, PID: tid, Status: ws})
		}
	}
}

// thread is what is known of a thread, which may be new.
func (t *tracer) thread(tid int) *thread {
	if th := t.threads[tid]; th != nil {
		return th
	}
	pid, parent := lineage(tid)
	th := &thread{tid: tid, pid: pid, fresh: true}
	t.threads[tid] = th
	if !t.procs[pid] {
		t.procs[pid] = true
		t.tell(event{Kind: isNew, TID: tid, PID: pid, Parent: parent})
	}
	return th
}

// lineage reads of which process a thread is, and which is that one's parent.
func lineage(tid int) (pid, parent int) {
	pid = tid
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		n, err := strconv.Atoi(strings.TrimSpace(value))
		switch {
		case err != nil:
		case name == "Tgid":
			pid = n
		case name == "PPid":
			parent = n
		}
	}
	return pid, parent
}

// stopped decides about a thread that has stopped, and lets it go on.
func (t *tracer) stopped(th *thread, ws unix.WaitStatus) {
	sig := ws.StopSignal()
	switch e := int(ws) >> 16; {
	case e == unix.PTRACE_EVENT_SECCOMP:
		t.entered(th)
		return
	case e == unix.PTRACE_EVENT_EXEC:
		t.replaced(th)
		sig = 0
	case e == unix.PTRACE_EVENT_CLONE, e == unix.PTRACE_EVENT_FORK, e == unix.PTRACE_EVENT_VFORK:
		if child, err := unix.PtraceGetEventMsg(th.tid); err == nil {
			t.thread(int(child))
		}
		if th.call != nil && th.call.deed == killAfter {
			_ = unix.Kill(th.pid, unix.SIGKILL)
			return
		}
		sig = 0
	case e != 0:
		sig = 0
	case sig == unix.SIGTRAP|0x80:
		t.left(th)
		return
	case sig == unix.SIGSTOP && th.fresh:
		th.fresh, sig = false, 0
	}
	th.goOn(int(sig))
}

// goOn continues a thread: to the end of the call it is in, if that is of interest. One that was killed
// meanwhile needs no leave.
func (th *thread) goOn(sig int) {
	if th.call != nil {
		_ = unix.PtraceSyscall(th.tid, sig)
		return
	}
	_ = unix.PtraceCont(th.tid, sig)
}

// entered is a thread that stands before a call.
func (t *tracer) entered(th *thread) {
	c, _, err := look(th.tid)
	if err != nil { // it was killed meanwhile
		th.goOn(0)
		return
	}
	v := t.tell(event{Kind: isEntered, TID: th.tid, PID: th.pid, Number: c.number, Args: c.args})
	switch v.Deed {
	case watch, killAfter:
		c.deed = v.Deed
		th.call = &c
	case killBefore:
		_ = unix.Kill(th.pid, unix.SIGKILL)
		return
	case fail:
		_ = skip(th.tid, v.Errno) // one that was killed meanwhile; other reasons show in the test of this package
	}
	th.goOn(0)
}

// left is a thread that stands behind the call it was in.
func (t *tracer) left(th *thread) {
	c := th.call
	th.call = nil
	if c != nil && c.deed == killAfter {
		_ = unix.Kill(th.pid, unix.SIGKILL)
		return
	}
	if _, result, err := look(th.tid); c != nil && err == nil {
		t.tell(event{Kind: isLeft, TID: th.tid, PID: th.pid, Number: c.number, Args: c.args, Result: result})
	}
	th.goOn(0)
}

// replaced notes that a process has another program: only one thread is left, under the process's number.
func (t *tracer) replaced(th *thread) {
	if was, err := unix.PtraceGetEventMsg(th.tid); err == nil && int(was) != th.tid {
		if old := t.threads[int(was)]; old != nil {
			th.call = old.call
			delete(t.threads, int(was))
		}
	}
	t.tell(event{Kind: isReplaced, PID: th.pid})
}

// look asks the kernel about the call at which a thread stands; the result is one only behind it.
func look(tid int) (c call, result int64, err error) {
	var raw struct {
		op   uint8
		_    [3]uint8
		arch uint32
		_    [2]uint64 // where
		body [8]uint64
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid), unsafe.Sizeof(raw), uintptr(unsafe.Pointer(&raw)), 0, 0)
	if errno != 0 {
		return c, 0, errno
	}
	c.number = raw.body[0]
	copy(c.args[:], raw.body[1:])
	return c, int64(raw.body[0]), nil
}
