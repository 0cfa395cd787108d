package agent

import (
	"os"
	"syscall"
)

// allocate takes room for a file.
func allocate(f *os.File, size int64) error { return syscall.Fallocate(int(f.Fd()), 0, 0, size) }
