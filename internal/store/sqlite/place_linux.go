package sqlite

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const fuseMagic = 0x65735546

// kindOf tells what file system a directory is on: its magic number and, for FUSE, the name that says
// which.
func kindOf(dir string) (magic int64, name string, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, "", err
	}
	magic = int64(uint32(fs.Type)) // some architectures sign it
	if magic != fuseMagic {
		return magic, "", nil
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return 0, "", err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return magic, "", nil // FUSE of an unknown kind
	}
	return magic, mountType(mounts, unix.Major(st.Dev), unix.Minor(st.Dev)), nil
}

// mountType finds the type of the file system with that device number in a mountinfo.
func mountType(mounts []byte, major, minor uint32) string {
	device := fmt.Sprintf("%d:%d", major, minor)
	for lines := bufio.NewScanner(bytes.NewReader(mounts)); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		if f := strings.Fields(before); len(f) > 2 && f[2] == device {
			kind, _, _ := strings.Cut(after, " ")
			return kind
		}
	}
	return ""
}
