//go:build !linux

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// procUser is a process that uses a data directory.
type procUser struct{}

func usersOf(string) []procUser { return nil }

func stillUsing(string, []procUser) []procUser { return nil }

func namesOf([]procUser) []string { return nil }

func leftCgroups(map[string]bool) []string { return nil }

func mayEnd(pid int) bool { return unix.Kill(pid, 0) == nil }

// mayRemove is the error of a directory from which this user cannot remove an entry, or what is in it.
func mayRemove(dir, _ string) error {
	if err := unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		return unremovable(dir, &os.PathError{Op: "access", Path: dir, Err: err})
	}
	return nil
}
