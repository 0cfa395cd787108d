package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly/internal/daemon"
	"github.com/dayfly-io/dayfly/internal/durable/disktest"
)

// onSmallDisk puts the data directory on a disk of 1 MiB; fill leaves no room there until its file is gone.
func onSmallDisk(t *testing.T, c *call) (disk string, fill func() (ballast string)) {
	t.Helper()
	disk = t.TempDir()
	disktest.Mount(t, disk, "1m")
	c.data = filepath.Join(disk, "data")
	c.env = append(c.env, "DAYFLY_DATA="+c.data)
	return disk, func() string {
		ballast := filepath.Join(disk, "ballast")
		_ = os.WriteFile(ballast, bytes.Repeat([]byte{1}, 2<<20), 0o600) // until nothing fits any more
		return ballast
	}
}

func TestCancelOnAFullDisk(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	_, fill := onSmallDisk(t, c)
	h := c.home() // as a daemon does it keeps the store open
	lock, err := daemon.Acquire(h.path(lockFile))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release() //nolint:errcheck // the kernel takes it back in any case
	c.want(0, "run", "--detach", jobFileOf(t, "hello", "run: echo hello\n"))
	ballast := fill()
	_, stderr := c.want(exitError, "cancel", "hello")
	for _, want := range []string{" is not cancelled. It has no machine yet.\n", "\nerror: update run hello-", ": the disk is full", "\nhint: " + makeRoom} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is not in\n%s", want, stderr)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	c.want(0, "cancel", "--no-wait", "hello")
}

// What is on a disk that cannot be written can be looked at.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	disk, _ := onSmallDisk(t, c)
	c.want(0, "apply", jobFileOf(t, "nightly", "schedule: \"0 3 * * *\"\nrun: echo nightly\n"))
	c.want(0, "run", jobFileOf(t, "hello", "run: echo hello; echo kept > $DAYFLY_RESULTS/a\n"))
	disktest.Remount(t, disk, unix.MS_RDONLY)
	for _, look := range []struct {
		args []string
		want string
	}{
		{[]string{"history", "-o", "name"}, "hello-"}, {[]string{"ps"}, ""}, {[]string{"ps", "--jobs", "-o", "name"}, "hello\nnightly\n"},
		{[]string{"logs", "hello"}, "hello\n"}, {[]string{"logs", "-f", "hello"}, "hello\n"}, {[]string{"machines"}, ""}, {[]string{"next", "nightly"}, ""},
		{[]string{"results", "hello", "-o", "name"}, "a\n"}, {[]string{"results", "hello", "--to", t.TempDir()}, ""},
	} {
		stdout, stderr := c.want(0, look.args...)
		if !strings.Contains(stdout, look.want) || !strings.HasPrefix(stderr, "warning: "+c.data+" cannot be written (read-only file system)") {
			t.Errorf("dayfly %s:\n%s%s", strings.Join(look.args, " "), stdout, stderr)
		}
	}
	for _, args := range [][]string{{"run", "hello"}, {"apply", jobFileOf(t, "other", "run: echo other\n")}, {"rm", "hello"}, {"serve"}, {"--data", filepath.Join(disk, "new"), "history"}} {
		_, stderr := c.want(exitError, args...)
		if !strings.Contains(stderr, "error: ") || !strings.Contains(stderr, disk) || !strings.Contains(stderr, "hint: make that file system writable") {
			t.Errorf("dayfly %s:\n%s", strings.Join(args, " "), stderr)
		}
	}
	disktest.Remount(t, disk, 0)
	c.want(0, "run", "hello")
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	disk, fill := onSmallDisk(t, c)
	file := jobFileOf(t, "hello", "run: echo hello\n")
	c.want(0, "apply", file)
	ballast := fill()

	other := jobFileOf(t, "other", "run: echo other\n")
	for _, args := range [][]string{{"apply", other}, {"run", "--detach", "hello"}, {"run", file}, {"--data", filepath.Join(disk, "new"), "ps"}} {
		stdout, stderr := c.want(exitError, args...)
		if stdout != "" || !strings.HasPrefix(stderr, "error: ") || !strings.Contains(stderr, "hint: "+makeRoom) {
			t.Errorf("dayfly %s:\n%s%s", strings.Join(args, " "), stdout, stderr)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if jobs, _ := c.want(0, "ps", "--jobs", "-o", "name"); jobs != "hello\n" {
		t.Errorf("the jobs are %q", jobs)
	}
	if runs, _ := c.want(0, "history", "-o", "name"); runs != "" {
		t.Errorf("there are runs that nobody was told of: %s", runs)
	}
	c.want(0, "apply", other)
}
