package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/daemon"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// How long uninstalling waits, for a daemon to stop, for what runs to end by its cancel, for machines to be
// observed gone, and for processes to notice that the data directory is.
const (
	stopWait   = time.Minute
	cancelWait = 2 * time.Minute
	goneWait   = time.Minute
	noticeWait = 15 * time.Second
)

// remove ends what runs, removes the data, and shows that nothing is left. Until every machine is gone nothing is
// removed; and as long as the settings are there it can be repeated.
func (a *app) remove(ctx context.Context, r uninstalling) error {
	lock, err := a.takeLock(ctx, r)
	if err != nil {
		return err
	}
	defer lock.Release() //nolint:errcheck // the file is gone by then
	ended, tokens, err := a.endAll(ctx)
	a.close()
	a.home = nil
	if ctx.Err() != nil {
		return &exit{exitInterrupted, errors.New("interrupted; nothing was removed")}
	}
	if err != nil {
		return err
	}
	// The records first: by that whoever waits for them notices, while the lock still keeps all from acting.
	users := usersOf(r.dir)
	if err := r.drop(func(p part) bool { return p.what == ours(recordsFile) }); err != nil {
		return err
	}
	users = a.untilUnused(ctx, r.dir, users)
	if err := r.drop(func(part) bool { return true }); err != nil {
		return err
	}
	if r.stays == "" {
		err := os.Remove(r.dir)
		if err == nil && r.named != r.dir {
			err = os.Remove(r.named)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &dayfly.Error{
				Code: dayfly.CodeInternal, Message: fmt.Sprintf("remove the data directory: %s", err), Err: err,
				Hint: "somebody put something there meanwhile; look at it, and remove it",
			}
		}
	}
	return a.prove(r, ended, tokens, users)
}

// drop removes parts, as they are now: what came meanwhile goes as well, such as the lock.
func (r *uninstalling) drop(which func(part) bool) error {
	if err := r.sort(); err != nil {
		return err
	}
	for _, p := range r.parts {
		for _, path := range p.paths {
			if !which(p) {
				continue
			}
			if err := os.RemoveAll(path); err != nil {
				return &dayfly.Error{
					Code: dayfly.CodeInternal, Message: fmt.Sprintf("remove %s: %s", path, reason(err)), Err: err,
					Hint: "dayfly uninstall goes on where it stopped",
				}
			}
		}
	}
	return nil
}

// untilUnused waits until processes have ended or let go of a directory, and gives those that do not: commands that
// wait for what is removed notice by themselves.
func (a *app) untilUnused(ctx context.Context, dir string, users []procUser) []procUser {
	for begun := a.now(); ; wait(ctx, 100*time.Millisecond) {
		if users = stillUsing(dir, users); len(users) == 0 || a.now().Sub(begun) > noticeWait || ctx.Err() != nil {
			return users
		}
	}
}

// takeLock ends the daemon and takes its place, so that nobody launches anything any more.
func (a *app) takeLock(ctx context.Context, r uninstalling) (*daemon.Lock, error) {
	path := r.home.path(lockFile)
	asked := -1 // the process that was told to stop
	for begun := a.now(); ; {
		lock, err := daemon.Acquire(path)
		if err == nil || dayfly.ErrorCode(err) != dayfly.CodeConflict {
			return lock, err
		}
		pid, held, herr := daemon.Holder(path)
		switch {
		case ctx.Err() != nil:
			return nil, &exit{exitInterrupted, errors.New("interrupted; nothing was removed")}
		case herr != nil:
			return nil, herr
		case a.now().Sub(begun) > stopWait || asked >= 0 && held && pid != asked:
			return nil, &dayfly.Error{
				Code: dayfly.CodeRefused, Message: fmt.Sprintf("process %d serves %s; nothing was removed", pid, r.dir),
				Hint: "something starts it anew, or it does not stop: systemctl disable --now dayfly",
			}
		case held && pid != asked:
			if err := r.served(); err != nil { // somebody else's by now
				return nil, err
			}
			a.say("Stopping dayfly serve, process %d.", pid)
			if p, err := os.FindProcess(pid); err == nil { // which holds on to it: no other can have its number
				if again, still, _ := daemon.Holder(path); still && again == pid {
					_ = p.Signal(syscall.SIGTERM) // if it is gone the lock is free
				}
			}
			asked = pid
		}
	}
}

// endAll cancels what runs and waits until each machine is observed gone, and its folder removed. It gives how many
// were ended, and all that could be known of by their tokens.
func (a *app) endAll(ctx context.Context) (ended int, tokens map[string]bool, err error) {
	h, err := a.open()
	if err != nil {
		return 0, nil, err
	}
	tokens = map[string]bool{}
	if exists(h.path(recordsFile)) {
		if err := a.cancelEverything(ctx, h, tokens); err != nil && ctx.Err() == nil {
			a.bearable("the machines are ended without their runs: ", err)
		}
	}
	providers, err := h.Providers()
	if err != nil {
		return 0, tokens, err
	}
	alive := map[dayfly.MachineID]bool{}
	for begun := a.now(); ; {
		left, err := h.endMachines(ctx, providers, tokens, alive)
		switch {
		case ctx.Err() != nil:
			return len(alive), tokens, ctx.Err()
		case err == nil && left == 0:
			return len(alive), tokens, nil
		case a.now().Sub(begun) > goneWait:
			return len(alive), tokens, &exit{exitNotGone, errors.Join(err, &dayfly.Error{
				Code:    dayfly.CodeInternal,
				Message: fmt.Sprintf("%s could not be observed gone within %s; nothing was removed", plural(left, "machine"), took(goneWait)),
				Hint:    "dayfly machines shows what is there; dayfly uninstall goes on where it stopped",
			})}
		}
		wait(ctx, 100*time.Millisecond)
	}
}

// wait waits for so long, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// cancelEverything cancels the backfills and runs, and makes passes until none is left that has a machine.
func (a *app) cancelEverything(ctx context.Context, h *home, tokens map[string]bool) error {
	const why = "dayfly uninstall"
	loop, err := h.Loop(ctx)
	if err != nil {
		return err
	}
	fills, err := h.openFills(ctx)
	if err != nil {
		return err
	}
	for _, f := range fills {
		if err := reconcile.CancelFill(ctx, h.store, f.ID, why, a.now()); err != nil && dayfly.ErrorCode(err) != dayfly.CodeRefused {
			return err
		}
	}
	said := false
	for begun := a.now(); ; {
		active, err := h.store.ActiveRuns(ctx, store.Scope{})
		if err != nil {
			return fmt.Errorf("read active runs: %w", err)
		}
		if len(active) == 0 || a.now().Sub(begun) > cancelWait {
			return nil // whatever is left has no record any more
		}
		if !said {
			a.say("Ending %s.", plural(len(active), "run"))
			said = true
		}
		for _, r := range active {
			for _, at := range r.Attempts {
				tokens[at.Token] = true
			}
			if err := reconcile.Cancel(ctx, h.store, r.ID, why, a.now()); err != nil && dayfly.ErrorCode(err) != dayfly.CodeRefused {
				return err
			}
		}
		if _, err := loop.Pass(ctx, reconcile.Scope{Glance: true}); err != nil {
			return err
		}
		h.ring()
		wait(ctx, 100*time.Millisecond)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// endMachines ends each machine there is, and removes what is left of those that are gone. It gives how many are
// not gone, as a complete list says.
func (h *home) endMachines(ctx context.Context, providers map[string]machine.Provider, tokens map[string]bool, alive map[dayfly.MachineID]bool) (left int, err error) {
	var errs []error
	for name, p := range providers {
		list, err := h.list(ctx, p)
		if err != nil || len(list.Complete) == 0 {
			errs = append(errs, fmt.Errorf("list machines on %s: %w", name, errors.Join(err, errors.New("the list is not complete"))))
		}
		for _, m := range list.Machines {
			tokens[m.Tags.Token] = true
			var err error
			if m.State != dayfly.MachineTerminated {
				alive[m.ID] = true
				left++
				err = p.Terminate(ctx, m.ID)
			} else if forgets, ok := machine.As[machine.Forgetter](p); ok {
				err = forgets.Forget(ctx, m.ID)
			}
			errs = append(errs, err)
		}
	}
	return left, errors.Join(errs...)
}

// prove looks whether anything is left, and says what it saw.
func (a *app) prove(r uninstalling, ended int, tokens map[string]bool, users []procUser) error {
	var wrong []error
	check := func(what, none, mend string, left []string) {
		if len(left) == 0 {
			a.say("  %-10s %s", what, none)
			return
		}
		few := clean(fewOf(left))
		a.say("  %-10s %s", what, few)
		wrong = append(wrong, &dayfly.Error{Code: dayfly.CodeInternal, Message: fmt.Sprintf("there is left: %s %s", what, few), Hint: mend})
	}
	a.say("What is left, after another look:")
	machines := "none"
	if ended = max(ended, r.machines); ended > 0 { // most ended by their cancel
		machines += fmt.Sprintf("; %s observed gone", pluralVerb(ended, "was", "were"))
	}
	check("machines", machines, "", nil)
	check("processes", "none", "they had a file of the data directory open: see what they are (ps), and kill them", namesOf(stillUsing(r.dir, users)))
	check("cgroups", "none", "rmdir them, once no process is in them (cgroup.procs)", leftCgroups(tokens))
	below := slices.DeleteFunc(mountsIn(r.dir), func(at string) bool { return at == r.dir }) // which is not dayfly's
	check("mounts", "none", "umount -l each of them", below)
	var files []string
	for _, p := range r.parts {
		for _, path := range p.paths {
			if _, err := os.Lstat(path); err == nil {
				files = append(files, path)
			}
		}
	}
	none := "none; " + r.dir + " is gone"
	if r.stays != "" {
		none = "none of dayfly's; " + r.dir + " itself stays"
	} else if _, err := os.Lstat(r.dir); err == nil {
		files = append(files, r.dir)
	}
	check("files", none, "somebody put them there meanwhile; look at them, and remove them", files)
	return errors.Join(wrong...)
}
