package bell_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly/internal/bell"
)

func listen(t testing.TB, dir string) *bell.Waiter {
	t.Helper()
	w, err := bell.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// heard waits for the bell; a bell that was rung is heard long before the time is over.
func heard(t testing.TB, w *bell.Waiter) {
	t.Helper()
	select {
	case <-w.C():
	case <-time.After(10 * time.Second):
		t.Fatal("the bell was not heard")
	}
}

func sockets(t testing.TB, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// abandon leaves the socket of a waiter that died: bound, then closed without being removed.
func abandon(t testing.TB, dir, name string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(dir, name)}); err != nil {
		t.Fatal(err)
	}
}

func TestAllHear(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new/bell")
	bell.Ring(dir) // nobody is there, not even the directory
	var all []*bell.Waiter
	for range 100 {
		all = append(all, listen(t, dir))
	}
	for range 2 {
		bell.Ring(dir)
		for _, w := range all {
			heard(t, w)
		}
	}
}

func TestManyRingsAreOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := listen(t, dir)
	for range 1000 { // far more than a queue holds; none of it waits
		bell.Ring(dir)
	}
	heard(t, w)
	rings := 1
	for rings < 1000 {
		select {
		case <-w.C():
			rings++
			continue
		case <-time.After(50 * time.Millisecond):
		}
		break
	}
	if rings > 20 { // what stood in the queue while this test read
		t.Errorf("1000 rings at once were heard %d times", rings)
	}
	bell.Ring(dir)
	heard(t, w)
}

func TestQueueIsFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	deaf, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "deaf"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	w := listen(t, dir)
	for range 1000 {
		bell.Ring(dir) // would stand still for ever if it waited for the deaf one
	}
	heard(t, w)
	if n := sockets(t, dir); n != 2 {
		t.Errorf("%d sockets, want 2: who does not read is not dead", n)
	}
}

func TestDeadWaiters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	abandon(t, dir, "0")
	w := listen(t, dir)
	abandon(t, dir, "zz")
	if err := os.WriteFile(filepath.Join(dir, "a file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	bell.Ring(dir)
	heard(t, w)
	if n := sockets(t, dir); n != 2 {
		t.Errorf("%d entries, want 2: the living socket and the file", n)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := listen(t, dir)
	other := listen(t, dir)
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := sockets(t, dir); n != 1 {
		t.Errorf("%d sockets, want 1", n)
	}
	bell.Ring(dir)
	heard(t, other)
	select {
	case <-w.C():
		t.Error("a closed waiter heard the bell")
	default:
	}
}

func TestLongPath(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("long paths go through /proc, which is not here")
	}
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 150), strings.Repeat("e", 150))
	one, two := listen(t, dir), listen(t, dir)
	bell.Ring(dir)
	heard(t, one)
	heard(t, two)
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if n := sockets(t, dir); n != 1 {
		t.Errorf("%d sockets, want 1", n)
	}
	bell.Ring(dir)
	heard(t, two)
}

func TestNoDirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bell.Listen(file); err == nil {
		t.Error("listening in a file succeeded")
	}
	bell.Ring(file)
}

func TestAllAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	steady := listen(t, dir)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				if i%2 == 0 {
					bell.Ring(dir)
					continue
				}
				w, err := bell.Listen(dir)
				if err != nil {
					t.Error(err)
					return
				}
				bell.Ring(dir)
				heard(t, w) // no other ringer took its socket for a dead one
				w.Close()
			}
		})
	}
	wg.Wait()
	heard(t, steady)
	if n := sockets(t, dir); n != 1 {
		t.Errorf("%d sockets, want 1", n)
	}
}
