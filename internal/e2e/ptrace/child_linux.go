package ptrace

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// variable tells this binary which of the two processes it is to be.
const (
	variable  = "DAYFLY_TEST_PTRACE"
	asTracer  = "tracer"
	asProgram = "program"
)

// Child is for the beginning of TestMain. In the test it returns at once, in the two other processes never.
func Child() {
	as := os.Getenv(variable)
	if as == "" {
		return
	}
	if err := os.Unsetenv(variable); err != nil {
		os.Exit(127)
	}
	if as == asTracer {
		serve(os.NewFile(3, "test"), os.Args[1:])
		os.Exit(0)
	}
	err := become(os.Args[1], os.Args[2:])
	fmt.Fprintln(os.Stderr, "ptrace:", err)
	os.Exit(127)
}

func become(path string, argv []string) error {
	runtime.LockOSThread() // only the thread that has the filter becomes the program
	program := filter()
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	install := func() unix.Errno {
		_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&fprog)))
		return errno
	}
	errno := install()
	if errno == unix.EACCES { // an ordinary user may, where no program gets privileges by being started
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("give up privileges: %w", err)
		}
		errno = install()
	}
	if errno != 0 {
		return fmt.Errorf("install the filter: %w", errno)
	}
	return fmt.Errorf("start %s: %w", path, unix.Exec(path, argv, os.Environ()))
}
