// Package durable makes directories that survive a power cut: an entry is only kept when the directory
// it stands in was synced.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// MkdirAll makes a directory and those above it that are missing, and syncs the directory above each
// that it made with sync (nil: File.Sync). One that is there already is taken to be durable.
func MkdirAll(dir string, perm fs.FileMode, sync func(*os.File) error) error {
	if info, err := os.Stat(dir); err == nil {
		if info.IsDir() {
			return nil
		}
		return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	}
	dir = filepath.Clean(dir)
	above := filepath.Dir(dir)
	if above != dir {
		if err := MkdirAll(above, perm, sync); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return Sync(above, sync)
}

// SyncAll syncs files and directories by their paths, at the same time: most of what each costs is waiting
// for one and the same write to the disk.
func SyncAll(paths ...string) error {
	errs := make([]error, len(paths))
	var wg sync.WaitGroup
	for i, p := range paths {
		wg.Go(func() { errs[i] = Sync(p, nil) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Sync syncs a file or directory by its path, with sync (nil: File.Sync).
func Sync(path string, sync func(*os.File) error) error {
	if sync == nil {
		sync = (*os.File).Sync
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // should it be a FIFO, nobody waits for it
	if err != nil {
		return err
	}
	return errors.Join(sync(f), f.Close())
}
