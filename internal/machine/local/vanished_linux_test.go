package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMountsThatVanish: what the host unmounts between the list of its mounts and the building of a sandbox is no
// error and no news. Its mount point is as it is then: a directory, a file, or nothing; the other mounts are there.
func TestMountsThatVanish(t *testing.T) {
	t.Parallel()
	top, err := os.MkdirTemp("/var/tmp", "dayfly-test-") // not /tmp, which a sandbox has fresh in any case
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(top)
	var skip string
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and never let go: the thread ends, and its mounts with it
		if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, "")); err != nil {
			skip = fmt.Sprintf("mounts of its own: %v", err)
			return
		}
		vanish(t, top)
	}()
	<-ended
	if skip != "" {
		if os.Getenv("CI") == "true" && os.Geteuid() == 0 {
			t.Fatalf("under CI=true this may not be skipped: %s", skip)
		}
		t.Skip(skip)
	}
}

func vanish(t *testing.T, top string) {
	points := map[string]uintptr{"stays": 0, "bare": 0, "gone": 0, "file": 0, "bare-ro": unix.MS_RDONLY, "gone-ro": unix.MS_RDONLY, "gone/deep": 0}
	for _, name := range []string{"stays", "bare", "gone", "gone/deep", "file", "bare-ro", "gone-ro"} {
		at := filepath.Join(top, name)
		err := errors.Join(os.Mkdir(at, 0o755), unix.Mount("tmpfs", at, "tmpfs", 0, "mode=0755"))
		err = errors.Join(err, os.WriteFile(filepath.Join(at, "mounted"), nil, 0o600))
		if flags := points[name]; flags != 0 {
			err = errors.Join(err, unix.Mount("", at, "", unix.MS_REMOUNT|flags, ""))
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
	info, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		t.Error(err)
		return
	}
	for _, name := range []string{"bare", "gone/deep", "gone", "file", "bare-ro", "gone-ro"} {
		err = errors.Join(err, unix.Unmount(filepath.Join(top, name), 0))
	}
	for _, name := range []string{"gone", "file", "gone-ro"} {
		err = errors.Join(err, os.Remove(filepath.Join(top, name)))
	}
	err = errors.Join(err, os.WriteFile(filepath.Join(top, "file"), []byte("a file now"), 0o644))
	box := filepath.Join(top, "box")
	b := &builder{way: wayRoot, asRoot: true, box: box, root: filepath.Join(box, "root")}
	if err = errors.Join(err, os.MkdirAll(b.root, 0o755)); err != nil {
		t.Error(err)
		return
	}
	if err := b.files(parseMountinfo(string(info))); err != nil {
		t.Errorf("the sandbox is not built: %v", err)
		return
	}
	notes := strings.Join(b.notes, "\n")
	for _, name := range []string{"stays", "bare", "gone", "gone/deep", "bare-ro", "gone-ro"} {
		if strings.Contains(notes, filepath.Join(top, name)+" ") {
			t.Errorf("%s is news: %s", name, notes)
		}
	}
	for path, want := range map[string]bool{
		"stays/mounted": true, "bare": true, "bare/mounted": false, "gone": false, "file": true, "bare-ro": true, "bare-ro/mounted": false, "gone-ro": false,
	} {
		if _, err := os.Lstat(filepath.Join(b.root, top, path)); (err == nil) != want {
			t.Errorf("%s in the sandbox: %v", path, err)
		}
	}
}
