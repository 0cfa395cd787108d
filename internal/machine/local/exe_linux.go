package local

import (
	"errors"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// executable is the program that a machine's processes are: one that is kept in memory, where there is
// one and this host runs what is there, else the one at path.
type executable struct {
	path string
	open func() (io.ReadCloser, error) // nil: there is only path

	load   sync.Once
	memory *os.File
}

// start begins a process of it.
func (e *executable) start(argv []string, attr *os.ProcAttr) (*os.Process, error) {
	e.load.Do(e.loadMemory)
	if e.memory != nil {
		p, err := os.StartProcess("/proc/self/fd/"+strconv.Itoa(int(e.memory.Fd())), argv, attr)
		if !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPERM) {
			return p, err
		}
	}
	return os.StartProcess(e.path, argv, attr)
}

// cores is how many cores a machine's process begins with threads for. Alone a launch is a third quicker with
// two; in a crowd the cores are busy anyway, and each thread more only costs. A process that is not told
// reads its cgroups to learn it.
func cores(crowd bool) string {
	if crowd {
		return "GOMAXPROCS=1"
	}
	return "GOMAXPROCS=2"
}

// shortRun is how long a supervisor goes on with what it began with.
const shortRun = time.Second

// useAllCores lets a supervisor that lives longer than a short run use the whole host: it may have much to
// read, to hash and to store. What it gives back calls that off.
func useAllCores() (stop func() bool) {
	return time.AfterFunc(shortRun, runtime.SetDefaultGOMAXPROCS).Stop
}

// lowestFD is above the descriptors that a process inherits: it must not be covered by one of them
// before it is executed.
const lowestFD = 16

// loadMemory puts the program in memory. Where that is not to be had, path serves.
func (e *executable) loadMemory() {
	if e.open == nil {
		return
	}
	in, err := e.open()
	if err != nil {
		return
	}
	defer in.Close()
	mem, err := programFile()
	if err != nil {
		return
	}
	defer mem.Close()
	if _, err := io.Copy(mem, in); err != nil {
		return
	}
	// For reading alone: what is open for writing is not executed.
	ro, err := unix.Open("/proc/self/fd/"+strconv.Itoa(int(mem.Fd())), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(ro)
	if fd, err := unix.FcntlInt(uintptr(ro), unix.F_DUPFD_CLOEXEC, lowestFD); err == nil {
		e.memory = os.NewFile(uintptr(fd), "dayfly-agent")
	}
}

// programFile is an empty file in memory that may be executed once it is written.
func programFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("dayfly-agent", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3 every such file could be
		fd, err = unix.MemfdCreate("dayfly-agent", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "dayfly-agent"), nil
}

// nameProcess makes a process of a machine show under the agent's name in lists of processes, whatever
// the path is that it was begun by.
func nameProcess() { _ = os.WriteFile("/proc/self/comm", []byte("dayfly-agent"), 0) }
