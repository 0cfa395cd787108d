package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"golang.org/x/sys/unix"
)

// rungs knows which rungs can be had here: by making a sandbox that does nothing. What worked once
// is remembered until the next boot, what did not is tried anew.
type rungs struct {
	dir     string
	program program
	mu      sync.Mutex
}

// fileRungs remembers what worked. It begins with a dot: it is no machine.
const fileRungs = ".rungs.json"

type knownRungs struct {
	Boot  string       `json:"boot"`
	User  int          `json:"user"`
	Works map[way]bool `json:"works"`
}

// choose finds the way to the rung that is asked for; best is the highest that can be had.
func (r *rungs) choose(ctx context.Context, c dayfly.MachineChoice) (w way, notes []string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.recall()
	offline := c.Network == "none"
	var try []way
	switch c.Isolation {
	case "", dayfly.IsolationBest:
		try = []way{wayRoot, waySubuid, wayUser}
	case dayfly.IsolationFull:
		try = []way{wayRoot, waySubuid}
	case dayfly.IsolationPartial:
		try = []way{wayUser}
	case dayfly.IsolationNone:
		return chooseNone(offline)
	default:
		return "", nil, &machine.ConfigError{Problem: fmt.Sprintf("there is no isolation %q", c.Isolation), Hint: "best, full, partial or none"}
	}
	var refused []error
	for _, w := range try {
		err := r.try(ctx, w, known)
		if err == nil {
			return w, nil, nil
		}
		if ctx.Err() != nil {
			return "", nil, ctx.Err()
		}
		if _, failed := errors.AsType[*diskError](err); failed { // which says nothing of the rung
			return "", nil, err
		}
		refused = append(refused, err)
	}
	if (c.Isolation == "" || c.Isolation == dayfly.IsolationBest) && os.Geteuid() != 0 && !offline {
		return wayGroup, []string{"isolation none: " + errors.Join(refused...).Error()}, nil
	}
	return "", nil, cannot(c.Isolation, refused)
}

func chooseNone(offline bool) (way, []string, error) {
	if offline {
		return "", nil, &machine.ConfigError{Problem: "network: none cannot be had with isolation: none"}
	}
	if os.Geteuid() == 0 {
		return wayGroup, []string{"isolation none as root: the job can change this host, and shut it down by naming the commands with their paths"}, nil
	}
	return wayGroup, nil, nil
}

// try makes a sandbox in this way, unless that is known to work.
func (r *rungs) try(ctx context.Context, w way, known knownRungs) error {
	if known.Works[w] {
		return nil
	}
	trying, err := temporary(prefixTrying)
	if err != nil {
		return err
	}
	box, err := os.MkdirTemp(r.dir, trying)
	if err != nil {
		return &diskError{fmt.Errorf("try a sandbox: %w", err)}
	}
	_, err = runInit(ctx, r.program, "try", order{Way: w, Try: true, Root: os.Geteuid() == 0, Home: home(), Box: box, Deadline: time.Now().Add(time.Minute)}, false)
	rerr := r.program.removeAll(ctx, box)
	switch {
	case err != nil && ofDisk(err, box):
		return &diskError{fmt.Errorf("try a sandbox: %w", err)}
	case err != nil:
		return fmt.Errorf("%s: %w", w.describe(), err)
	case rerr != nil:
		return &diskError{fmt.Errorf("try a sandbox: %w", rerr)}
	}
	known.Works[w] = true
	r.remember(known)
	return nil
}

// diskError is a disk that failed while a way was tried: a launch is repeated then, not made on a lower rung.
type diskError struct{ err error }

func (e *diskError) Error() string { return e.err.Error() }
func (e *diskError) Unwrap() error { return e.err }

// ofDisk tells whether a trial failed on what it has on the disk. Its words come from another process.
func ofDisk(err error, box string) bool {
	text := err.Error()
	return strings.Contains(text, box) && slices.ContainsFunc([]unix.Errno{unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EROFS},
		func(e unix.Errno) bool { return strings.Contains(text, e.Error()) })
}

func (w way) describe() string {
	switch w {
	case wayRoot:
		return "namespaces of its own"
	case waySubuid:
		return "a user namespace with subordinate ids"
	default:
		return "a user namespace"
	}
}

func (r *rungs) recall() knownRungs {
	boot, err := bootID()
	fresh := knownRungs{Boot: boot, User: os.Geteuid(), Works: map[way]bool{}}
	if err != nil {
		return fresh
	}
	var k knownRungs
	if err := folder(r.dir).read(fileRungs, &k); err != nil || k.Boot != boot || k.User != fresh.User || k.Works == nil {
		return fresh
	}
	return k
}

// remember saves a trial for the next process; that it is not saved costs only that.
func (r *rungs) remember(k knownRungs) {
	b, err := json.Marshal(k)
	if err != nil {
		return
	}
	trying, err := temporary(prefixTrying)
	if err != nil {
		return
	}
	f, err := os.CreateTemp(r.dir, trying)
	if err != nil {
		return
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if errors.Join(err, f.Close()) == nil {
		_ = os.Rename(f.Name(), filepath.Join(r.dir, fileRungs))
	}
}

// cannot says why a rung cannot be had, and how to mend it.
func cannot(want dayfly.Isolation, refused []error) error {
	err := errors.Join(refused...)
	name := want
	if name == "" {
		name = dayfly.IsolationBest
	}
	lines := strings.ReplaceAll(err.Error(), "\n", "; ")
	return &machine.ConfigError{Problem: fmt.Sprintf("isolation %s cannot be had: %s", name, lines), Hint: hintFor(err), Err: err}
}

// hintFor is the step that would make the rung possible.
func hintFor(err error) string {
	var hints []string
	if e, ok := errors.AsType[*subidError](err); ok {
		hints = append(hints, e.hint)
	}
	// The words come from another process in part: their text is all there is of them.
	denied := func(e unix.Errno) bool { return strings.Contains(err.Error(), e.Error()) }
	if slices.ContainsFunc([]unix.Errno{unix.EPERM, unix.EACCES, unix.ENOSPC, unix.EUSERS}, denied) {
		hints = append(hints, "allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, "+
			"kernel.apparmor_restrict_unprivileged_userns=0; in a container, start it with the capability SYS_ADMIN")
	}
	return strings.Join(append(hints, "or ask for a lower rung with isolation: partial or none"), "; ")
}
