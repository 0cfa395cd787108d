package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFullDisk(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	disk := t.TempDir()
	if err := unix.Mount("none", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a small disk cannot be mounted here, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	c.data = filepath.Join(disk, "data")
	c.env = append(c.env, "DAYFLY_DATA="+c.data)
	file := jobFileOf(t, "hello", "run: echo hello\n")
	c.want(0, "apply", file)
	ballast := filepath.Join(disk, "ballast")
	_ = os.WriteFile(ballast, bytes.Repeat([]byte{1}, 2<<20), 0o600) // until nothing fits any more

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
