package bell

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxPath is what fits into sun_path everywhere (macOS: 104 with the zero; Linux: 108).
const maxPath = 103

// bind makes a datagram socket in the directory.
func bind(dir, name string) (*net.UnixConn, error) {
	path := filepath.Join(dir, name)
	if len(path) > maxPath {
		d, err := os.Open(dir)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		path = through(d, name)
	}
	return net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
}

// through is a short path to a file in an open directory, however long the directory's own is.
func through(dir *os.File, name string) string {
	return "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + name
}

// Ring rings all that wait in the directory. It does not wait for anything: a waiter whose queue is
// full has been rung already. A directory that is not there has nobody waiting in it.
func Ring(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	if err != nil && len(entries) == 0 {
		return
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	unix.CloseOnExec(fd)
	if unix.SetNonblock(fd, true) != nil {
		return
	}
	for _, e := range entries {
		if e.Type()&os.ModeSocket == 0 {
			continue
		}
		path := filepath.Join(dir, e.Name())
		to := path
		if len(to) > maxPath {
			to = through(d, e.Name())
		}
		err := unix.Sendto(fd, []byte{1}, 0, &unix.SockaddrUnix{Name: to})
		if errors.Is(err, unix.ECONNREFUSED) {
			_ = os.Remove(path) // whoever bound it is dead: a living one never refuses
		}
	}
}
