package ptrace

import "golang.org/x/sys/unix"

// The tracer says one thing at a time and waits for the answer, while what it speaks of stands still.

// event is what the tracer says.
type event struct {
	Kind   kind
	TID    int
	PID    int
	Parent int // of a process that is new
	Number uint64
	Args   [6]uint64
	Result int64
	Status unix.WaitStatus
	Error  string
}

type kind int

const (
	isNew      kind = iota // a process
	isReplaced             // its program is another now
	isEntered              // a call is about to happen
	isLeft                 // it has
	isGone                 // a process
	isOver                 // everything; Status is that of the program
)

// Verdict is what is to become of a call.
type Verdict struct {
	Deed  deed
	Errno unix.Errno
}

type deed int

const (
	pass deed = iota
	watch
	killBefore
	killAfter
	fail
)

// Pass lets the call happen.
func Pass() Verdict { return Verdict{Deed: pass} }

// Watch lets it happen and tells its result.
func Watch() Verdict { return Verdict{Deed: watch} }

// KillBefore kills the process instead of the call.
func KillBefore() Verdict { return Verdict{Deed: killBefore} }

// KillAfter kills the process when the kernel has done the call and the process does not know yet. The one
// who makes a process is killed as soon as there is one.
func KillAfter() Verdict { return Verdict{Deed: killAfter} }

// Fail makes the call fail with an error, and not happen.
func Fail(errno unix.Errno) Verdict { return Verdict{Deed: fail, Errno: errno} }
