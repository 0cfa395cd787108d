package e2e_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// disk is where a bucket is that can be made to fail.
type disk struct {
	t      *testing.T
	path   string
	own    bool         // a file system of its own, which only root gets
	moving sync.RWMutex // held by who reads the bucket, against its being moved away
	hits   map[string]int
}

func newDisk(t *testing.T, path string) *disk {
	t.Helper()
	d := &disk{t: t, path: path, hits: map[string]int{}}
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := unix.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%dm", diskMiB+*realRuns/2)); err != nil {
			t.Logf("no file system for the bucket of its own: %v", err)
		} else {
			d.own = true
			t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
		}
	}
	if err := os.MkdirAll(d.bucket(), 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}

const diskMiB = 200

func (d *disk) bucket() string { return filepath.Join(d.path, "bucket") }

// fail makes the bucket fail in one of its ways until over is closed.
func (d *disk) fail(rng *rand.Rand, over <-chan time.Time) {
	ways := []func(int) (string, func()){d.moved, d.unwritable}
	if d.own {
		ways = []func(int) (string, func()){d.moved, d.full, d.full, d.readOnly}
	}
	name, mend := ways[rng.IntN(len(ways))](rng.IntN(biggest))
	if name != "" {
		d.hits[name]++
		<-over
	}
	mend()
}

// moved puts a file where the bucket is: who opens it finds none, who has opened it goes on. The two change
// places at once, or somebody would find nothing there and make a bucket.
func (d *disk) moved(int) (string, func()) {
	d.moving.Lock()
	away := filepath.Join(d.path, "away")
	swap := func() error {
		return unix.Renameat2(unix.AT_FDCWD, away, unix.AT_FDCWD, d.bucket(), unix.RENAME_EXCHANGE)
	}
	if err := errors.Join(os.WriteFile(away, nil, 0o600), swap()); err != nil {
		d.t.Error(err)
	}
	return "moved away", func() {
		defer d.moving.Unlock()
		if err := errors.Join(swap(), os.Remove(away)); err != nil {
			d.t.Error(err)
		}
	}
}

// full leaves so many bytes free, so that what is written ends anywhere.
func (d *disk) full(free int) (string, func()) {
	path := filepath.Join(d.path, "filler")
	f, err := os.Create(path)
	if err != nil {
		return "", func() {}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(d.path, &st); err == nil {
		size := max(0, int64(st.Bavail)*st.Bsize-int64(free))
		err = unix.Fallocate(int(f.Fd()), 0, 0, max(1, size))
		if err != nil && !errors.Is(err, unix.ENOSPC) {
			d.t.Error(err)
		}
	}
	return "full", func() { _ = errors.Join(f.Close(), os.Remove(path)) }
}

// readOnly cannot be had while somebody writes, and is then no fault.
func (d *disk) readOnly(int) (string, func()) {
	for range 1000 {
		if err := unix.Mount("", d.path, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err == nil {
			return "read-only", func() {
				if err := unix.Mount("", d.path, "", unix.MS_REMOUNT, ""); err != nil {
					d.t.Error(err)
				}
			}
		}
	}
	return "", func() {}
}

// unwritable is what an ordinary user can do.
func (d *disk) unwritable(int) (string, func()) {
	staging := filepath.Join(d.bucket(), ".in progress")
	if err := os.Chmod(staging, 0); err != nil {
		return "", func() {}
	}
	return "unwritable", func() { _ = os.Chmod(staging, 0o700) }
}
