package dir_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly/internal/bucket"
)

// small names the variable by which a test finds itself in a mount namespace of its own.
const small = "DAYFLY_TEST_SMALL_DISK"

// ownDisk runs the calling test again in a namespace where it may mount a small file system.
// False is the outer call.
func ownDisk(t *testing.T) (top string, inside bool) {
	t.Helper()
	if top := os.Getenv(small); top != "" {
		if err := unix.Mount("none", top, "tmpfs", 0, "size=256k"); err != nil {
			t.Fatalf("mount a small disk: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(top, unix.MNT_DETACH) })
		return top, true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), small+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Skipf("no user namespace can be made here: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("on a small disk: %v\n%s", err, out.String())
	}
	return "", false
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	top, inside := ownDisk(t)
	if !inside {
		return
	}
	b := mustOpen(t, top)
	mustPut(t, b, "there", "whole")
	for _, c := range []bucket.Condition{{}, {IfAbsent: true}} {
		_, err := b.Put(t.Context(), "new/folder/big", io.LimitReader(zeros{}, 1<<20), c)
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("put on a full disk: %v", err)
		}
	}
	_, err := b.Put(t.Context(), "there", io.LimitReader(zeros{}, 1<<20), bucket.Condition{})
	if !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "put there: ") {
		t.Fatalf("put on a full disk: %v", err)
	}
	if got := keys(t, b); got != "there" {
		t.Errorf("objects: %s", got)
	}
	noneStaged(t, top)
	mustPut(t, b, "new", "a key that the failed one would have made a folder")
}

func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	top, inside := ownDisk(t)
	if !inside {
		return
	}
	b := mustOpen(t, top)
	mustPut(t, b, "d/there", "whole")
	if err := unix.Mount("none", top, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	_, err := b.Put(t.Context(), "new", strings.NewReader("x"), bucket.Condition{})
	if !errors.Is(err, syscall.EROFS) {
		t.Errorf("put: %v", err)
	}
	if err := b.Delete(t.Context(), "d/there"); !errors.Is(err, syscall.EROFS) {
		t.Errorf("delete: %v", err)
	}
	if got := keys(t, b); got != "d/there" {
		t.Errorf("objects: %s", got)
	}
	r, err := b.Get(t.Context(), "d/there", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if err := unix.Mount("none", top, "tmpfs", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	mustPut(t, b, "new", "x")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
