// Package disktest gives tests small disks of their own: file systems in memory that fill, become read-only or
// vanish without harm to anything else.
package disktest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Mount puts a disk of that size, as mount(8) of tmpfs reads it, over an empty directory, until the test is over. The
// test is skipped where that is not allowed: to root, and to every user inside of [Alone], it mostly is.
//
// It goes even while it is busy, since the kernel lets go of a machine's mounts a moment after its last process.
func Mount(t testing.TB, dir, size string) {
	t.Helper()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount a small disk: %v", err)
		}
	})
}

// patience is how long something else may be busy with a disk.
const patience = time.Minute

// Remount changes the flags of a disk, such as unix.MS_RDONLY. It waits for those who have a file there open for
// writing: a child of another test, too, has all files of this process between fork and exec.
func Remount(t testing.TB, dir string, flags uintptr) {
	t.Helper()
	for begin := time.Now(); ; {
		err := unix.Mount("", dir, "", unix.MS_REMOUNT|flags, "")
		if err == nil {
			return
		}
		if !errors.Is(err, unix.EBUSY) || time.Since(begin) > patience {
			t.Fatalf("remount %s: %v", dir, err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// alone is the variable by which a test finds itself in a mount namespace of its own.
const alone = "DAYFLY_TEST_ALONE"

// Alone runs the calling test, which is one of the top level, again in a process with a mount namespace of its own,
// for a minute at the longest. It is true in there; where it is false the test has been run, or is skipped, and has
// nothing left to do.
func Alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(alone) != "" {
		return true
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), alone+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if os.Getuid() == 0 { // needs no user namespace, which some hosts refuse
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Skipf("no mount namespace can be made here: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("in a mount namespace of its own: %v\n%s", err, out.String())
	}
	return false
}
