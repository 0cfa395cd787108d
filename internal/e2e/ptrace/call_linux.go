package ptrace

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Call is a system call that is about to happen, or has. What it gives of files is as it is at that moment.
type Call struct {
	Process *Process
	Name    string
	TID     int
	Args    [6]uint64
}

// FD is an argument that is a descriptor.
func (c *Call) FD(arg int) int { return int(int32(c.Args[arg])) }

// Opened is the path by which a descriptor of the process can be looked at.
func (c *Call) Opened(fd int) string { return fmt.Sprintf("/proc/%d/fd/%d", c.TID, fd) }

// What tells what a descriptor is: a path, or socket:, pipe:, anon_inode: with more.
func (c *Call) What(fd int) string {
	what, _ := os.Readlink(c.Opened(fd))
	return what
}

// Path is the path that two arguments name, a directory's descriptor and a name, so that it can be
// used here, whatever the process's root is. Of a name that is "" it is the descriptor's.
func (c *Call) Path(dirArg, nameArg int) string {
	name := c.String(nameArg)
	if strings.HasPrefix(name, "/") {
		return fmt.Sprintf("/proc/%d/root%s", c.TID, name)
	}
	dir := fmt.Sprintf("/proc/%d/cwd", c.TID)
	if dirArg >= 0 && c.FD(dirArg) != unix.AT_FDCWD {
		dir = c.Opened(c.FD(dirArg))
	}
	if name == "" {
		return dir
	}
	return dir + "/" + filepath.Clean(name)
}

// String is the text at an address.
func (c *Call) String(arg int) string {
	const page = 4096
	var out []byte
	for at := c.Args[arg]; len(out) < page; {
		part := c.read(at, int(page-at%page)) // never across the end of what is mapped
		if len(part) == 0 {
			return string(out)
		}
		if end := bytes.IndexByte(part, 0); end >= 0 {
			return string(append(out, part[:end]...))
		}
		out, at = append(out, part...), at+uint64(len(part))
	}
	return string(out)
}

// Bytes are what lies at an address.
func (c *Call) Bytes(arg, n int) []byte { return c.read(c.Args[arg], n) }

func (c *Call) read(at uint64, n int) []byte {
	if n == 0 {
		return nil
	}
	buf := make([]byte, n)
	got, err := unix.ProcessVMReadv(c.TID, []unix.Iovec{{Base: &buf[0], Len: uint64(n)}}, []unix.RemoteIovec{{Base: uintptr(at), Len: n}}, 0)
	if err != nil {
		return nil
	}
	return buf[:got]
}

// Vector is what an array of so many struct iovec at an address names.
func (c *Call) Vector(arg, n int) (out []byte) {
	const size = 16
	raw := c.read(c.Args[arg], n*size)
	for ; len(raw) >= size; raw = raw[size:] {
		out = append(out, c.read(binary.NativeEndian.Uint64(raw), int(binary.NativeEndian.Uint64(raw[8:])))...)
	}
	return out
}

// Forks tells whether the call makes a process, and not a thread.
func (c *Call) Forks() bool {
	var flags uint64
	switch c.Name {
	case "fork", "vfork":
		return true
	case "clone":
		flags = c.Args[0]
	case "clone3":
		if raw := c.Bytes(0, 8); len(raw) == 8 {
			flags = binary.NativeEndian.Uint64(raw)
		}
	default:
		return false
	}
	return flags&unix.CLONE_THREAD == 0
}
