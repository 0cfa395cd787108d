package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
)

// procUser is a process that uses a data directory.
type procUser struct {
	pid   int
	start string // when it began, which tells it from another with its number
	name  string
}

// usersOf finds the processes, other than this one, that have something of a directory open, or run in it, as
// far as this user may look.
func usersOf(dir string) []procUser {
	var found []procUser
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() && uses(pid, dir) {
			found = append(found, procUser{pid, startOf(pid), commOf(pid)})
		}
	}
	return found
}

// uses tells whether a process has something of a directory open, removed or not, or runs in it.
func uses(pid int, dir string) bool {
	at := fmt.Sprintf("/proc/%d", pid)
	fds, _ := filepath.Glob(at + "/fd/*") // the pattern is right
	return slices.ContainsFunc(append(fds, at+"/root", at+"/exe"), func(link string) bool {
		to, err := os.Readlink(link)
		return err == nil && isWithin(to, dir)
	})
}

// startOf is when a process began, in the kernel's words; empty when it is no more.
func startOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 20 || f[0] == "Z" {
		return ""
	}
	return f[19]
}

func commOf(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)) // it is only said
	return strings.TrimSpace(string(b))
}

// stillUsing leaves those that neither have ended nor let go of the directory.
func stillUsing(dir string, users []procUser) []procUser {
	return slices.DeleteFunc(slices.Clone(users), func(u procUser) bool {
		return u.start == "" || startOf(u.pid) != u.start || !uses(u.pid, dir)
	})
}

func namesOf(users []procUser) []string {
	var names []string
	for _, u := range users {
		names = append(names, fmt.Sprintf("%d (%s)", u.pid, u.name))
	}
	return names
}

// leftCgroups finds the cgroups of machines, by their tokens.
func leftCgroups(tokens map[string]bool) []string {
	var found []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(at string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return nil // what cannot be read is not ours to make either
		}
		if token, ok := strings.CutPrefix(e.Name(), "dayfly-"); ok && tokens[token] {
			found = append(found, at)
		}
		return nil
	})
	return found
}

// mayEnd tells whether this user may end a process.
func mayEnd(pid int) bool {
	return unix.Kill(pid, 0) == nil
}

// mayRemove is the error of a directory from which this user cannot remove an entry, or, where that is empty,
// all that is in it.
func mayRemove(dir, entry string) error {
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.R_OK|unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return unremovable(dir, &fs.PathError{Op: "access", Path: dir, Err: err})
	}
	var st, its syscall.Stat_t
	if err := syscall.Lstat(dir, &st); err != nil {
		return unremovable(dir, err)
	}
	me := uint32(os.Geteuid())
	if st.Mode&syscall.S_ISVTX == 0 || me == 0 || st.Uid == me || entry != "" && syscall.Lstat(entry, &its) == nil && its.Uid == me {
		return nil
	}
	return &dayfly.Error{Code: dayfly.CodeRefused, Message: dir + " lets only the owners of files remove them", Hint: "be that user, or root"}
}
