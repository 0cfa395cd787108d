package local

import (
	"io"
	"log/slog"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
)

// Location is the only location this provider has.
const Location machine.Location = "local"

// DefaultExe is the running binary, whatever became of its file since.
const DefaultExe = "/proc/self/exe"

// TokenVariable carries a machine's token in the environment of every process of its job.
const TokenVariable = "DAYFLY_TOKEN"

// Config is what a Provider needs.
type Config struct {
	// Dir is where the machines' folders lie, DATA/machines. It is made when it is missing.
	Dir string
	// Exe is the program that supervises, DefaultExe where empty.
	Exe string
	// Agent opens a smaller program to supervise with. It is kept in memory from the first launch on; nil,
	// or where this host runs nothing from there: Exe.
	Agent func() (io.ReadCloser, error)
	// Args reach its supervise subcommand, {"agent", "supervise"} where empty. "--machine DIR" follows.
	Args []string
	// InitArgs reach its init subcommand, {"agent", "init"} where empty.
	InitArgs []string
	// Hidden are paths of the host that no job may see, such as the data directory. Dir always is.
	Hidden []string
	// Now is the clock that dates a launch.
	Now func() time.Time
	// Log is told what an operator should know.
	Log *slog.Logger
}

// SuperviseConfig is what Supervise needs.
type SuperviseConfig struct {
	// Machine is the machine's folder.
	Machine string
	// Exe and InitArgs reach the init subcommand; the defaults are those of Config.
	Exe      string
	InitArgs []string
	Log      *slog.Logger
}

// Work is one machine as the agent finds it.
type Work struct {
	// Spec is the launch. Its Secrets are empty: see Secrets.
	Spec machine.Spec
	// Secrets are the values of the job's secrets by environment name. They are on no disk.
	Secrets map[string]string
	// Sandbox is where the job runs.
	Sandbox machine.Sandbox
	// Dir is a scratch directory on the host, removed at the end. Dir/work and Dir/results exist;
	// they are what Command.Work and Command.Results should name. The path leads there in this
	// process alone, also when the data directory is moved meanwhile.
	Dir string
	// InsideWork and InsideResults are the paths at which the job finds these two.
	InsideWork, InsideResults string
	// Cancel receives when somebody says that in/cancel may be there now. It is a hint.
	Cancel <-chan struct{}

	status *status
}

// SetPhase says what the agent is at: prepare, run, save. List shows it.
func (w Work) SetPhase(phase string) { w.status.set(func(s *statusFile) { s.Phase = phase }) }

// SetStarted says when the job's first instruction was. List shows it.
func (w Work) SetStarted(at time.Time) { w.status.setNow(func(s *statusFile) { s.StartedAt = at }) }

// way is how a rung is reached on this host.
type way string

const (
	wayRoot   way = "root"   // full: namespaces as this process may make them
	waySubuid way = "subuid" // full: in a user namespace with the user's subordinate ids
	wayUser   way = "user"   // partial: in a user namespace with the user's own id only
	wayGroup  way = "group"  // none: a process group and a subreaper
)

func (w way) rung() dayfly.Isolation {
	switch w {
	case wayRoot, waySubuid:
		return dayfly.IsolationFull
	case wayUser:
		return dayfly.IsolationPartial
	default:
		return dayfly.IsolationNone
	}
}
