package daemon

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
)

// Lock is the right to be the daemon of a data directory. The kernel takes it back when the process
// ends, however it ends.
type Lock struct{ file *os.File }

// acquireFor is how long Acquire tries: those who only ask who holds the lock hold it for an instant.
const acquireFor = 500 * time.Millisecond

// Acquire takes the lock at this path, or says who has it: then the error is a dayfly.Error with
// CodeConflict. The holder's pid stands in the file.
func Acquire(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the daemon's lock: %w", err)
	}
	err = flockWithin(f, acquireFor)
	if errors.Is(err, unix.EWOULDBLOCK) {
		who := "another process"
		if pid := readPID(f); pid > 0 {
			who = "process " + strconv.Itoa(pid)
		}
		f.Close()
		return nil, &dayfly.Error{
			Code: dayfly.CodeConflict, Message: "a daemon works on this data directory already: " + who,
			Hint: "stop that one first, or use another --data directory", Err: err,
		}
	}
	if err == nil {
		err = writePID(f)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Lock{f}, nil
}

// Release gives the lock back.
func (l *Lock) Release() error { return l.file.Close() }

// flockWithin tries for a bounded time to get an exclusive lock.
func flockWithin(f *os.File, d time.Duration) error {
	const step = 10 * time.Millisecond
	timer := time.NewTimer(0)
	defer timer.Stop()
	for tried := time.Duration(0); ; tried += step {
		<-timer.C
		err := flock(f, unix.LOCK_EX)
		if !errors.Is(err, unix.EWOULDBLOCK) || tried >= d {
			return err
		}
		timer.Reset(step)
	}
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func readPID(f *os.File) int {
	var b [32]byte
	n, _ := f.ReadAt(b[:], 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return 0
	}
	return pid
}

// Holder tells whether a daemon holds the lock at this path, and its pid as far as known. It never
// keeps a daemon from taking it.
func Holder(path string) (pid int, held bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("look for a daemon: %w", err)
	}
	defer f.Close()
	switch err := flock(f, unix.LOCK_SH); { // shared: several may ask at once
	case err == nil:
		return 0, false, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		return readPID(f), true, nil
	default:
		return 0, false, fmt.Errorf("look for a daemon: %w", err)
	}
}
