package dir_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/bucket/dir"
)

// disk remembers what a power cut would leave: of a file the content at its last fsync, of a
// directory the entries at its last fsync.
type disk struct {
	mu      sync.Mutex
	files   map[uint64]string
	folders map[uint64]map[string]uint64
	fail    func(f *os.File) error // instead of a sync
}

func newDisk() *disk {
	return &disk{files: map[uint64]string{}, folders: map[uint64]map[string]uint64{}}
}

func inode(t testing.TB, info fs.FileInfo) uint64 {
	t.Helper()
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no inodes here")
	}
	return st.Ino
}

// sync is given to the bucket in the place of fsync.
func (d *disk) sync(t testing.TB) func(f *os.File) error {
	return func(f *os.File) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.fail != nil {
			if err := d.fail(f); err != nil {
				return err
			}
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(f.Name())
			d.files[inode(t, info)] = string(content)
			return err
		}
		entries, err := os.ReadDir(f.Name())
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a folder that was just removed may be synced still
			return err
		}
		folder := map[string]uint64{}
		for _, e := range entries {
			if info, err := e.Info(); err == nil {
				folder[e.Name()] = inode(t, info)
			}
		}
		d.folders[inode(t, info)] = folder
		return nil
	}
}

// left is what a power cut now leaves at a path below a directory that was always there.
func (d *disk) left(t testing.TB, top, path string) (content string, there bool) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	info, err := os.Stat(top)
	if err != nil {
		t.Fatal(err)
	}
	at := inode(t, info)
	for part := range strings.SplitSeq(path, "/") {
		next, ok := d.folders[at][part]
		if !ok {
			return "", false
		}
		at = next
	}
	content, there = d.files[at]
	return content, there
}

func TestPowerCut(t *testing.T) {
	t.Parallel()
	top, d := t.TempDir(), newDisk()
	b, err := dir.OpenSync(filepath.Join(top, "data/bucket"), d.sync(t))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	check := func(what, key, want string) {
		t.Helper()
		if got, there := d.left(t, top, "data/bucket/"+key); !there || got != want {
			t.Errorf("a power cut after %s leaves %q (there: %v) at %s, want %q", what, got, there, key, want)
		}
	}
	put := func(key, content string, c bucket.Condition) bucket.Info {
		t.Helper()
		info, err := b.Put(t.Context(), key, strings.NewReader(content), c)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	put("o", "at the top", bucket.Condition{})
	check("the first put", "o", "at the top")
	put("runs/pi/1/out/log", "deep", bucket.Condition{})
	check("a put into new folders", "runs/pi/1/out/log", "deep")
	put("runs/pi/1/out/report", "report", bucket.Condition{IfAbsent: true})
	check("a put that makes an object", "runs/pi/1/out/report", "report")
	info := put("runs/pi/1/out/log", "again", bucket.Condition{})
	check("a put that replaces", "runs/pi/1/out/log", "again")
	put("runs/pi/1/out/log", "matched", bucket.Condition{IfMatch: info.ETag})
	check("a put that matches", "runs/pi/1/out/log", "matched")

	if err := b.Delete(t.Context(), "runs/pi/1/out/log"); err != nil {
		t.Fatal(err)
	}
	if got, there := d.left(t, top, "data/bucket/runs/pi/1/out/log"); there {
		t.Errorf("a power cut after a delete brings back %q", got)
	}
	check("a delete beside it", "runs/pi/1/out/report", "report")
	if err := b.Delete(t.Context(), "runs/pi/1/out/report"); err != nil {
		t.Fatal(err)
	}
	put("runs/pi/1/out/log", "new folders", bucket.Condition{})
	check("a put into folders that were removed", "runs/pi/1/out/log", "new folders")
}

// What one process acknowledges must not hang on a folder that another has made and not yet synced.
func TestPowerCutInFolderOfAnother(t *testing.T) {
	t.Parallel()
	top, d := t.TempDir(), newDisk()
	other, err := dir.OpenSync(filepath.Join(top, "bucket"), d.sync(t))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	asked := false
	slow, err := dir.OpenSync(filepath.Join(top, "bucket"), func(f *os.File) error {
		if info, err := os.Stat(filepath.Join(top, "bucket/new")); err == nil && info.IsDir() && !asked {
			asked = true // the folder is there and not synced: the other one finds it
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := other.Put(ctx, "new/theirs", strings.NewReader("theirs"), bucket.Condition{})
			if _, there := d.left(t, top, "bucket/new/theirs"); err == nil && !there {
				t.Error("an object was acknowledged in a folder that a power cut takes away")
			}
		}
		return d.sync(t)(f)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := slow.Put(t.Context(), "new/ours", strings.NewReader("ours"), bucket.Condition{}); err != nil {
		t.Fatal(err)
	}
	if !asked {
		t.Error("no folder was synced before the put was acknowledged")
	}
}

// Who is told that an object exists already may rely on it too.
func TestPowerCutAfterExists(t *testing.T) {
	t.Parallel()
	top, d := t.TempDir(), newDisk()
	path := filepath.Join(top, "bucket")
	b, err := dir.OpenSync(path, d.sync(t))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	losing := false
	slow, err := dir.OpenSync(path, func(f *os.File) error {
		if _, err := os.Stat(path + "/o"); err == nil && !losing {
			losing = true // it lies at its place, and its folder is not synced
			_, err := b.Put(t.Context(), "o", strings.NewReader("loser"), bucket.Condition{IfAbsent: true})
			if !errors.Is(err, bucket.ErrExists) {
				t.Errorf("the loser got %v", err)
			}
			if _, there := d.left(t, top, "bucket/o"); !there {
				t.Error("an object was said to exist that a power cut takes away")
			}
		}
		return d.sync(t)(f)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	// The directory itself was there before: only what lies in it is in question.
	if f, err := os.Open(top); err != nil || d.sync(t)(f) != nil {
		t.Fatal(err)
	}
	if _, err := slow.Put(t.Context(), "o", strings.NewReader("winner"), bucket.Condition{IfAbsent: true}); err != nil {
		t.Fatal(err)
	}
	if !losing {
		t.Error("the folder was not synced after the object was placed")
	}
}

// A disk that refuses one sync after the other: nothing is acknowledged, nothing stays half.
func TestSyncFails(t *testing.T) {
	t.Parallel()
	for n := range 4 {
		t.Run(fmt.Sprintf("sync %d of a put into new folders", n+1), func(t *testing.T) {
			t.Parallel()
			top, d := t.TempDir(), newDisk()
			b, err := dir.OpenSync(top, d.sync(t))
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			left := n
			d.fail = func(*os.File) error {
				if left--; left == -1 {
					return syscall.EIO
				}
				return nil
			}
			_, err = b.Put(t.Context(), "a/b/o", strings.NewReader("content"), bucket.Condition{})
			if !errors.Is(err, syscall.EIO) {
				t.Fatalf("the put gave %v, want EIO", err)
			}
			noneStaged(t, top)
			r, err := b.Get(t.Context(), "a/b/o", 0, -1)
			switch { // whole, at an unknown outcome, or not there
			case err == nil:
				r.Close()
			case !errors.Is(err, bucket.ErrNotFound):
				t.Errorf("afterwards: %v", err)
			}
			if _, err := b.Put(t.Context(), "a/b/o", strings.NewReader("content"), bucket.Condition{}); err != nil {
				t.Errorf("when the disk works again: %v", err)
			}
			if got, there := d.left(t, top, "a/b/o"); !there || got != "content" {
				t.Errorf("a power cut then leaves %q (there: %v)", got, there)
			}
		})
	}
}

func noneStaged(t testing.TB, top string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(top, dir.Staging))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != "lock" {
		t.Errorf("left in progress: %v", entries)
	}
}
