package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// clockSynced asks the kernel whether something keeps the clock right.
func clockSynced() (synced, known bool) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, false
	}
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, true
}

// mountedAt is one line of the mounts of this process.
type mountedAt struct{ device, point, kind string }

func mounts() []mountedAt {
	plain := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var all []mountedAt
	for line := range strings.Lines(string(text)) {
		before, after, _ := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if len(f) < 5 || len(g) < 1 {
			continue
		}
		all = append(all, mountedAt{f[2], plain.Replace(f[4]), g[0]})
	}
	return all
}

// fileSystemAt is the type of the file system that a path is on.
func fileSystemAt(path string) string {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return ""
	}
	device := strconv.Itoa(int(unix.Major(st.Dev))) + ":" + strconv.Itoa(int(unix.Minor(st.Dev)))
	for _, m := range mounts() {
		if m.device == device {
			return m.kind
		}
	}
	return ""
}

// mountsIn are the mount points in a directory, itself included.
func mountsIn(dir string) []string {
	var all []string
	for _, m := range mounts() {
		if isWithin(m.point, dir) {
			all = append(all, m.point)
		}
	}
	return all
}

// ownTasks is how many processes and threads this process may have with all that it starts; 0: any number.
func ownTasks() int {
	least := 0
	take := func(n int) {
		if n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err == nil {
		for line := range strings.Lines(string(own)) {
			parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
			if len(parts) != 3 || parts[1] != "" && parts[1] != "pids" {
				continue
			}
			for dir := parts[2]; ; dir = filepath.Dir(dir) {
				root := "/sys/fs/cgroup"
				if parts[1] == "pids" {
					root += "/pids"
				}
				text, err := os.ReadFile(filepath.Join(root, dir, "pids.max"))
				if n, aerr := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && aerr == nil {
					take(n)
				}
				if dir == "/" || dir == "." {
					break
				}
			}
		}
	}
	var r unix.Rlimit
	if os.Geteuid() != 0 && unix.Getrlimit(unix.RLIMIT_NPROC, &r) == nil && r.Cur < 1<<31 {
		take(int(r.Cur))
	}
	return least
}
