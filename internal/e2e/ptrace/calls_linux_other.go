//go:build linux && !amd64

package ptrace

import (
	"errors"

	"golang.org/x/sys/unix"
)

var older = map[uint32]string{}

// skip is only known where it could be tried.
func skip(int, unix.Errno) error { return errors.ErrUnsupported }
