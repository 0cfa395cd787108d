package local

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// carriers finds the processes that carry the token of a machine in their environment: all that is
// left of a job on the rung none whose supervisor and first process are dead. Two looks must agree
// that there is none, since a process can be born behind the reader and its parent die before it.
func carriers(token string) ([]int, error) {
	mark := []byte(TokenVariable + "=" + token)
	for look := 0; ; look++ {
		found, err := pidsWhere(func(pid int) bool { return carries(pid, mark) })
		if err != nil || len(found) > 0 || look == 1 {
			return found, err
		}
	}
}

// pidsWhere lists the processes of which is says yes, this one left out.
func pidsWhere(is func(pid int) bool) ([]int, error) {
	all, err := pids()
	if err != nil {
		return nil, err
	}
	self := os.Getpid()
	return slices.DeleteFunc(all, func(pid int) bool { return pid == self || !is(pid) }), nil
}

// carries tells whether the process has mark among its environment.
func carries(pid int, mark []byte) bool {
	dir := "/proc/" + strconv.Itoa(pid)
	for range 3 {
		b, err := os.ReadFile(dir + "/environ")
		if err != nil {
			return false // gone, or another user's
		}
		if len(b) > 0 {
			return hasEntry(b, mark)
		}
		if isKernelThread(pid) {
			return false
		}
		// Empty: it has none, or it is just being exec'd, or its first thread has ended before the others.
		tasks, _ := os.ReadDir(dir + "/task")
		for _, t := range tasks {
			if b, err := os.ReadFile(dir + "/task/" + t.Name() + "/environ"); err == nil && hasEntry(b, mark) {
				return true
			}
		}
	}
	return false
}

func hasEntry(environ, mark []byte) bool {
	for e := range bytes.SplitSeq(environ, []byte{0}) {
		if bytes.Equal(e, mark) {
			return true
		}
	}
	return false
}

// isKernelThread reads the flags of a process, field 9 of its stat.
func isKernelThread(pid int) bool {
	const kernelThread = 0x00200000
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 7 {
		return false
	}
	flags, err := strconv.ParseUint(string(f[6]), 10, 64)
	return err == nil && flags&kernelThread != 0
}

// killCarriers kills all that carry the token, until there is none or ctx ends. Stopping them first
// keeps them from multiplying while they are counted.
func killCarriers(ctx context.Context, token string) error {
	mark := []byte(TokenVariable + "=" + token)
	find := func() ([]int, error) { return carriers(token) }
	return sweep(ctx.Done(), find, func(pid int) bool { return carries(pid, mark) })
}

// sweep stops, then kills, the processes that find finds and of which, once they are held, is still
// says yes, until it finds none or is told to give up.
func sweep(giveUp <-chan struct{}, find func() ([]int, error), is func(pid int) bool) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		found, err := find()
		if err != nil || len(found) == 0 {
			return err
		}
		for _, sig := range []unix.Signal{unix.SIGSTOP, unix.SIGKILL} {
			for _, pid := range found {
				signalIf(pid, sig, func() bool { return is(pid) })
			}
		}
		select {
		case <-giveUp:
			return fmt.Errorf("kill %d processes: they still live", len(found))
		case <-time.After(pause):
		}
	}
}

// signalIf signals the process that has this pid now if, once it is held, is says yes.
func signalIf(pid int, sig unix.Signal, is func() bool) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	h := handle{fd}
	defer h.close()
	if is() {
		_ = h.signal(sig) // whoever may not be signalled is found again, and said
	}
}

// descendants lists all that descend from a process by their parents.
func descendants(of int) ([]int, error) {
	all, err := pids()
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, pid := range all {
		if st, err := statOf(pid); err == nil {
			children[st.parent] = append(children[st.parent], pid)
		}
	}
	var out []int
	for queue := children[of]; len(queue) > 0; {
		pid := queue[0]
		queue = append(queue[1:], children[pid]...)
		out = append(out, pid)
	}
	return out, nil
}

// descends tells whether a process descends from another.
func descends(pid, of int) bool {
	for pid > 1 {
		st, err := statOf(pid)
		if err != nil {
			return false
		}
		if st.parent == of {
			return true
		}
		pid = st.parent
	}
	return false
}

// unrecorded finds the first process of a sandbox whose supervisor died between the clone and the
// record of it: it carries the token among its arguments, or still its supervisor's.
func unrecorded(token string) ([]int, error) {
	return pidsWhere(func(pid int) bool { return namesToken(pid, token) })
}

func namesToken(pid int, token string) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil {
		return false
	}
	args := bytes.Split(b, []byte{0})
	i := slices.IndexFunc(args, func(a []byte) bool { return string(a) == "--machine" || string(a) == "--token" })
	return i >= 0 && i+1 < len(args) && (string(args[i+1]) == token || bytes.HasSuffix(args[i+1], []byte("/"+token)))
}
