package local

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// recordOf names the process that has this pid now.
func recordOf(pid int) (record, error) {
	boot, err := bootID()
	if err != nil {
		return record{}, err
	}
	st, err := statOf(pid)
	if err != nil {
		return record{}, err
	}
	return record{PID: pid, Start: st.start, Boot: boot}, nil
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}

// procStat is what /proc/PID/stat tells.
type procStat struct {
	parent int
	start  uint64
}

func statOf(pid int) (procStat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, err
	}
	return parseStat(b)
}

// parseStat starts after the last parenthesis: the name before it may hold blanks and parentheses.
func parseStat(b []byte) (procStat, error) {
	_, rest, _ := bytes.Cut(b[bytes.LastIndexByte(b, ')')+1:], []byte(" "))
	f := bytes.Fields(rest)
	if len(f) < 20 {
		return procStat{}, fmt.Errorf("read a process's stat: %q is too short", b)
	}
	parent, err1 := strconv.Atoi(string(f[1]))
	start, err2 := strconv.ParseUint(string(f[19]), 10, 64)
	return procStat{parent: parent, start: start}, errors.Join(err1, err2)
}

// handle holds on to one process, whatever becomes of its pid.
type handle struct{ fd int }

// open gets hold of the very process that was recorded. gone says that it is no more, or that its
// pid belongs to another by now.
func (r record) open() (h handle, gone bool, err error) {
	if r.PID <= 0 {
		return handle{-1}, true, nil
	}
	boot, err := bootID()
	if err != nil {
		return handle{-1}, false, fmt.Errorf("look for process %d: %w", r.PID, err)
	}
	if boot != r.Boot {
		return handle{-1}, true, nil
	}
	fd, err := unix.PidfdOpen(r.PID, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return handle{-1}, true, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT): // the number is a thread's now; ENOENT since Linux 6.15
		return handle{-1}, true, nil
	case err != nil:
		return handle{-1}, false, fmt.Errorf("look for process %d: %w", r.PID, err)
	}
	// Only now, with the process held, does its start time prove whose it is.
	st, err := statOf(r.PID)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH), err == nil && st.start != r.Start:
		unix.Close(fd)
		return handle{-1}, true, nil
	case err != nil:
		unix.Close(fd)
		return handle{-1}, false, fmt.Errorf("look for process %d: %w", r.PID, err)
	}
	return handle{fd}, false, nil
}

func (h handle) close() {
	if h.fd >= 0 {
		unix.Close(h.fd)
	}
}

// signal sends sig; a process that is no more is no error.
func (h handle) signal(sig unix.Signal) error {
	err := unix.PidfdSendSignal(h.fd, sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// dead tells whether the process ends within the wait. A zombie whose namespace or threads still
// live is not dead.
func (h handle) dead(wait time.Duration) (bool, error) {
	until := time.Now().Add(wait)
	for {
		left := max(time.Until(until), 0)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}, int((left + time.Millisecond - 1).Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return n > 0, err
	}
}

// isGone tells whether the recorded process is no more.
func (r record) isGone() (bool, error) {
	h, gone, err := r.open()
	if gone || err != nil {
		return gone, err
	}
	defer h.close()
	return h.dead(0)
}

// signal sends sig to the very process that was recorded, and to no other.
func (r record) signal(sig unix.Signal) error {
	h, gone, err := r.open()
	if gone || err != nil {
		return err
	}
	defer h.close()
	if err := h.signal(sig); err != nil {
		return fmt.Errorf("send signal %d to process %d: %w", sig, r.PID, err)
	}
	return nil
}

// pids lists the processes that /proc shows.
func pids() ([]int, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	var out []int
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil {
			out = append(out, pid)
		}
	}
	return out, err
}
