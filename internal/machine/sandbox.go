package machine

import (
	"context"
	"os"
	"syscall"

	"github.com/dayfly-io/dayfly"
)

// Sandbox is the inside of a machine that shares its host with others: where an agent that stays
// outside runs the job. A machine that is a whole computer needs none.
type Sandbox interface {
	// Start begins the job and returns when its first instruction has been executed, or never will
	// be. It is called once. When ctx ends the job is killed.
	Start(ctx context.Context, c Command) (Process, error)
	// Isolation is the rung the sandbox stands on.
	Isolation() dayfly.Isolation
	// Notes are what a person should know of this sandbox, such as mounts that are read-only.
	Notes() []string
}

// Command is one job as a sandbox runs it.
type Command struct {
	Script  string   // content: /bin/sh -eu runs it unless it begins with #!
	Env     []string // KEY=value, complete; the sandbox adds nothing
	Work    string   // a host directory; the job's working directory, its own to write in
	Results string   // a host directory; the job sees it at the path in DAYFLY_RESULTS
	Output  *os.File // the write end of a pipe: stdout and stderr. The caller closes its copy after Start
}

// Process is a job that has begun.
type Process interface {
	// Signal sends sig to every process of the job. A job that is over is no error.
	Signal(sig syscall.Signal) error
	// Wait returns when the job's first process has ended and everything it started is dead too.
	Wait() (Exit, error)
}

// Exit is how a job ended.
type Exit struct {
	Code     int            // of the first process; 128 + signal where a signal ended it
	Signal   syscall.Signal // that ended it, or 0
	PowerOff bool           // the job asked for the machine to be shut down: it ended well, code 0
	Expired  bool           // the sandbox's own timer ended it at the deadline
	// OutOfMemory: one of the processes was killed since machine.memory was used up.
	OutOfMemory bool
	Usage       dayfly.Usage // Wall is left to the caller; PeakMemory as its comment says
}
