package local

import (
	"encoding/json"
	"time"

	"github.com/dayfly-io/dayfly"
)

// The paths of a sandbox that has a root of its own.
const (
	insideDir     = "/run/dayfly"
	insideWork    = insideDir + "/work"
	insideResults = insideDir + "/results"
	insideBin     = insideDir + "/bin"
)

// order is all that the first process of a sandbox is told. That it is told anything means that it
// has been recorded and may go.
type order struct {
	Way        way           `json:"way"`
	Remove     string        `json:"remove,omitempty"` // remove this tree, and that is all
	Try        bool          `json:"try,omitempty"`    // build the sandbox, and that is all
	Box        string        `json:"box,omitempty"`    // host directory for the throw-away layers
	Hidden     []string      `json:"hidden,omitempty"`
	Root       bool          `json:"root,omitempty"` // root here is the host's root
	Home       string        `json:"home,omitempty"` // of an ordinary user
	Work       string        `json:"work,omitempty"`
	Results    string        `json:"results,omitempty"`
	Script     string        `json:"script,omitempty"`
	Env        variables     `json:"env,omitempty"`
	Pids       int           `json:"pids,omitempty"` // by RLIMIT_NPROC; 0: a cgroup limits them, or nobody
	Grace      time.Duration `json:"grace,omitempty"`
	Deadline   time.Time     `json:"deadline,omitzero"`
	OwnNetwork bool          `json:"own_network,omitempty"`
}

// variables are NAME=value. Values may be any bytes, such as those of a secret in a file, and JSON's
// text may not: it would put another character in place of what is no UTF-8.
type variables []string

// MarshalJSON writes each as base64.
func (v variables) MarshalJSON() ([]byte, error) {
	all := make([][]byte, len(v))
	for i, s := range v {
		all[i] = []byte(s)
	}
	return json.Marshal(all)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *variables) UnmarshalJSON(b []byte) error {
	var all [][]byte
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	*v = make(variables, len(all))
	for i, s := range all {
		(*v)[i] = string(s)
	}
	return nil
}

// request is what the supervisor says after the order.
type request struct {
	Signal int `json:"signal"`
}

// word is what the first process says.
type word struct {
	Say   string   `json:"say"`
	Error string   `json:"error,omitempty"`
	Notes []string `json:"notes,omitempty"`
	End   *ending  `json:"end,omitempty"`
}

// The words. After failed and ended there is none.
const (
	sayDone    = "done"    // tried, or removed
	sayFailed  = "failed"  // the job's first instruction never was, and never will be
	sayStarted = "started" // it has been
	sayEnded   = "ended"   // the job, and all that it started
)

// ending is how the job ended.
type ending struct {
	Code     int            `json:"code"`
	Signal   int            `json:"signal,omitempty"`
	PowerOff bool           `json:"power_off,omitempty"`
	Expired  bool           `json:"expired,omitempty"`
	CPU      dayfly.Seconds `json:"cpu"`
	Peak     int64          `json:"peak"` // bytes, of the largest process
}
