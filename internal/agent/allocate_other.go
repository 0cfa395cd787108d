//go:build !linux

package agent

import (
	"errors"
	"os"
)

// allocate takes room for a file, on Linux.
func allocate(*os.File, int64) error { return errors.ErrUnsupported }
