package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// removeAll removes path with all below it; no path is no error. Symbolic links are not followed.
// What belongs to subordinate ids is removed from within a user namespace that has them.
func (p program) removeAll(ctx context.Context, path string) error {
	err := removeTree(path)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if _, in := runInit(ctx, p, "remove", order{Remove: path, Way: waySubuid}, false); in != nil {
		return fmt.Errorf("remove %s: %w", path, errors.Join(err, in))
	}
	return removeTree(path)
}

// removeTree removes what may be removed by this process, giving itself the permission where it can.
func removeTree(path string) error {
	err := os.RemoveAll(path)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	openUp(path)
	return os.RemoveAll(path)
}

// openUp makes all below path removable: directories without permissions, files that are immutable.
func openUp(path string) {
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if d == nil {
			return nil // the next removal says what is wrong
		}
		if d.IsDir() || d.Type().IsRegular() {
			mutable(p)
		}
		if d.IsDir() && err == nil {
			if i, ierr := d.Info(); ierr == nil && i.Mode().Perm()&0o700 != 0o700 {
				_ = os.Chmod(p, 0o700)
			}
		}
		return nil
	})
}

// mutable takes the flags immutable and append-only off a file.
func mutable(path string) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	const immutable, appendOnly = 0x10, 0x20 // FS_IMMUTABLE_FL, FS_APPEND_FL
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err == nil && flags&(immutable|appendOnly) != 0 {
		_ = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags&^(immutable|appendOnly))
	}
}
