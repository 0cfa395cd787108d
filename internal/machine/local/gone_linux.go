package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dayfly-io/dayfly"
	"golang.org/x/sys/unix"
)

// sight is what is to be seen of a machine.
type sight struct {
	state    dayfly.MachineState
	reason   string
	orphaned bool // something lives, and no supervisor
	locked   bool // a supervisor lives, or is about to
}

// look observes the machine, and takes and changes nothing. The order of the looks matters: a
// supervisor holds the lock before it reads closed or makes started, so each of those two proves
// something only together with a lock that was found free after it.
func (f folder) look() (sight, error) {
	closed, err1 := f.has(fileClosed)
	started, err2 := f.has(fileStarted)
	locked, err3 := isLocked(f.path(fileLock))
	if err := errors.Join(err1, err2, err3); err != nil {
		return sight{}, err
	}
	switch {
	case locked && closed:
		return sight{state: dayfly.MachineStopping, reason: f.closedReason(), locked: true}, nil
	case locked && started:
		return sight{state: dayfly.MachineRunning, locked: true}, nil
	case !started && !closed:
		return sight{state: dayfly.MachinePending, locked: locked}, nil
	}
	// No supervisor lives and none can start: what is written here now stays.
	st, in, err := f.records()
	if err != nil {
		return sight{}, err
	}
	before, err := st.before()
	if err != nil {
		return sight{}, err
	}
	rest := "" // whatever it was, it ended with that boot
	if !before {
		rest, err = f.remains(st, in)
	}
	if err != nil {
		return sight{}, err
	}
	if rest != "" {
		return sight{state: dayfly.MachineStopping, reason: rest, orphaned: true}, nil
	}
	reason := f.closedReason()
	if !closed {
		reason = "its supervisor vanished"
		if before {
			reason = "the host was started anew, or it ran on another host"
		}
	}
	return sight{state: dayfly.MachineTerminated, reason: reason}, nil
}

// remains says what of a machine that was started in this boot still lives without a supervisor; empty when it
// is gone.
func (f folder) remains(st startedFile, in *initFile) (string, error) {
	if st.Supervisor.PID != 0 || st.lost {
		if rest, err := f.initRemains(in); rest != "" || err != nil {
			return rest, err
		}
	}
	for _, dir := range st.Cgroups {
		empty, err := cgroupEmpty(dir)
		if err != nil {
			return "", err
		}
		if !empty {
			return "its supervisor is dead, its cgroup is not empty", nil
		}
	}
	if search, err := f.mayCarry(st, in); err != nil {
		return "", err
	} else if search {
		left, err := carriers(f.token())
		if err != nil {
			return "", err
		}
		if len(left) > 0 {
			return fmt.Sprintf("its supervisor is dead, %d of its processes live", len(left)), nil
		}
	}
	return "", nil
}

// mayCarry tells whether processes of the job may be anywhere on the host.
func (f folder) mayCarry(st startedFile, in *initFile) (bool, error) {
	if in == nil && !st.lost {
		return false, nil
	}
	if emptied, err := f.has(fileEmptied); emptied || err != nil {
		return false, err
	}
	return f.way() == wayGroup, nil
}

// before tells whether the machine was started before this boot of this host.
func (st startedFile) before() (bool, error) {
	boot, err := bootID()
	return st.Supervisor.Boot != "" && st.Supervisor.Boot != boot, err
}

// initRemains judges PID 1 by its record. Without one there may be a process that was never recorded.
func (f folder) initRemains(in *initFile) (string, error) {
	if in == nil || in.Init == nil {
		left, err := unrecorded(f.token())
		if err != nil || len(left) == 0 {
			return "", err
		}
		return "its supervisor is dead, its first process lives", nil
	}
	gone, err := in.Init.isGone()
	if err != nil || gone {
		return "", err
	}
	return "its supervisor is dead, its first process lives", nil
}

// records reads who is what. After a power cut what is damaged was never synced, and nothing followed it; after
// another kind of damage something may have: a record that is there says at least that, and who it was is looked for
// among the processes. Only cgroups with the machine's own name are its own.
func (f folder) records() (st startedFile, in *initFile, err error) {
	ok, err := f.readable(fileStarted, &st)
	if !ok && err == nil {
		st = startedFile{} // also what was read before the damage
		st.lost, err = f.has(fileStarted)
	}
	if err != nil {
		return st, nil, err
	}
	if st.lost {
		st.Cgroups = findCgroups(cgroupName(f.token()))
	}
	st.Cgroups = slices.DeleteFunc(st.Cgroups, func(dir string) bool {
		return !filepath.IsAbs(dir) || dir != filepath.Clean(dir) || filepath.Base(dir) != cgroupName(f.token())
	})
	var i initFile
	switch ok, err := f.readable(fileInit, &i); {
	case ok:
		return st, &i, nil
	case err != nil:
		return st, nil, err
	}
	if there, err := f.has(fileInit); err != nil || !there {
		return st, nil, err
	}
	return st, &initFile{}, nil
}

// way is how the sandbox was made; a launch that cannot be read may have been made in any way.
func (f folder) way() way {
	var l launch
	if ok, err := f.readable(fileLaunch, &l); err != nil || !ok {
		return wayGroup
	}
	return l.Way
}

// patience is how long Terminate watches what it killed die.
const patience = 2 * time.Second

// end kills everything of the machine that can be found and watches it go, for a little while. It
// is to be called after close, so that nothing new can begin.
func (f folder) end(ctx context.Context) (gone bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		killErr := f.kill(ctx)
		s, err := f.look()
		if err != nil || killErr != nil {
			return false, errors.Join(killErr, err)
		}
		if s.state == dayfly.MachineTerminated {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-time.After(pause):
		}
	}
}

// kill signals what the records name. The supervisor goes first: it would tidy up after PID 1, and
// PID 1 dies with it.
func (f folder) kill(ctx context.Context) error {
	st, in, err := f.records()
	if err != nil {
		return err
	}
	errs := []error{st.Supervisor.signal(unix.SIGKILL)}
	switch {
	case st.Supervisor.PID == 0 && !st.lost:
		return errors.Join(errs...)
	case in != nil && in.Init != nil:
		errs = append(errs, in.Init.signal(unix.SIGKILL))
	default:
		left, err := unrecorded(f.token())
		errs = append(errs, err)
		for _, pid := range left {
			signalIf(pid, unix.SIGKILL, func() bool { return namesToken(pid, f.token()) })
		}
	}
	for _, dir := range st.Cgroups {
		errs = append(errs, killCgroup(dir))
	}
	if search, err := f.mayCarry(st, in); err != nil {
		errs = append(errs, err)
	} else if search {
		errs = append(errs, killCarriers(ctx, f.token()))
	}
	return errors.Join(errs...)
}

// clean removes what a machine that is gone has left on the host, the folder itself apart.
func (f folder) clean(ctx context.Context, p program) error {
	var errs []error
	st, _, err := f.records()
	if err != nil {
		errs = append(errs, err)
	}
	for _, dir := range st.Cgroups {
		errs = append(errs, removeCgroup(ctx, dir))
	}
	for _, d := range []string{dirBox, dirScratch} {
		if _, err := os.Lstat(f.path(d)); err == nil {
			errs = append(errs, p.removeAll(ctx, f.path(d)))
		}
	}
	return errors.Join(errs...)
}
