package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/daemon"
	"github.com/dayfly-io/dayfly/internal/durable/disktest"
)

func TestUninstallAsks(t *testing.T) {
	t.Parallel()
	c, _ := withClock(t)
	c.want(0, "apply", jobFileOf(t, "daily", "schedule: \"@daily\"\nrun: echo ran\n"))
	const no = `error: nothing was done\r\nhint: --dry-run shows what it would do, and does not ask\r\n`
	for _, is := range []struct {
		keys, says string
		code       int
	}{
		{"\r", no, 1},
		{"No\r", no, 1},
		{"y\r", `error: nothing was done: that was "y", not data\r\nhint: the name is what says yes here; type data, or call it with --yes\r\n`, 1},
		{"\x03", `error: interrupted; nothing was done`, 130},
	} {
		s := sit(t, c, "uninstall")
		s.sees(`This removes .*/data:`)
		s.sees(`It cannot be undone. Type data to go on: `)
		s.types(is.keys)
		s.sees(is.says)
		s.ends(is.code)
	}
	c.want(0, "ps", "--jobs")
	s := sit(t, c, "uninstall")
	s.sees(`Type data to go on: `)
	s.types("data\r")
	s.sees(`files +none; .* is gone`)
	s.ends(0)
	if _, err := os.Lstat(c.data); err == nil {
		t.Error("it is still there")
	}
}

// TestUninstallWhereSomebodyServes: who cannot be ended keeps it from anything.
func TestUninstallWhereSomebodyServes(t *testing.T) {
	t.Parallel()
	c, k := withClock(t)
	c.want(0, "apply", jobFileOf(t, "daily", "schedule: \"@daily\"\nrun: echo ran\n"))
	lock := filepath.Join(c.data, lockFile)
	l, err := daemon.Acquire(lock)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release() //nolint:errcheck // the process ends
	served := func(pid int) {
		t.Helper()
		if err := os.WriteFile(lock, fmt.Appendln(nil, pid), 0o600); err != nil {
			t.Fatal(err)
		}
		_, said := c.want(exitRefused, "uninstall", "--yes")
		if want := fmt.Sprintf("error: process %d serves %s", pid, c.data); !strings.Contains(said, want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
		c.want(0, "ps", "--jobs", "-o", "name")
	}
	served(4194999) // which no process has: nobody knows who it is, so nobody ends it
	deaf := exec.Command("sh", "-c", "trap '' TERM; echo deaf; exec sleep 600")
	out, err := deaf.StdoutPipe()
	if err == nil {
		err = deaf.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Wait() //nolint:errcheck // it is killed
	defer deaf.Process.Kill()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	hurry(c, k)
	served(deaf.Process.Pid)
	if startOf(deaf.Process.Pid) == "" {
		t.Error("it has ended")
	}
}

// hurry makes each look at the clock 20 seconds later than the one before.
func hurry(c *call, k *clock) {
	c.now = func() time.Time {
		k.put(20 * time.Second)
		return k.now()
	}
}

// TestUninstallNamesWhatIsLeft: what still uses the directory, is mounted there or limits a machine is seen.
func TestUninstallNamesWhatIsLeft(t *testing.T) {
	t.Parallel()
	t.Run("a process", func(t *testing.T) {
		t.Parallel()
		c, k := withClock(t)
		c.want(0, "ps")
		user := exec.Command("sleep", "600")
		f, err := os.Open(filepath.Join(c.data, settingsFile))
		if err == nil {
			user.Stdin = f
			err = errors.Join(user.Start(), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		defer user.Wait() //nolint:errcheck // it is killed
		defer user.Process.Kill()
		hurry(c, k)
		_, said := c.want(exitError, "uninstall", "--yes")
		name := fmt.Sprintf("processes  %d (sleep)\n", user.Process.Pid)
		if !strings.Contains(said, name) || !strings.Contains(said, "hint: they had a file of the data directory open") || exists(c.data) {
			t.Error(said)
		}
	})
	prove := func(t *testing.T, dir, token, want string) {
		t.Helper()
		var said bytes.Buffer
		err := newApp(nil, nil, io.Discard, &said).prove(uninstalling{named: dir, dir: dir, stays: "a test has it"}, 0, map[string]bool{token: true}, nil)
		if !strings.Contains(said.String(), want) || err == nil || dayfly.ErrorHint(err) == "" {
			t.Errorf("%v\n%s", err, said.String())
		}
	}
	t.Run("a mount", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		at := filepath.Join(dir, "machines")
		if err := os.Mkdir(at, 0o700); err != nil {
			t.Fatal(err)
		}
		disktest.Mount(t, at, "64k")
		prove(t, dir, "", "  mounts     "+at+"\n")
	})
	t.Run("a cgroup", func(t *testing.T) {
		t.Parallel()
		token := rand.Text()
		at := newCgroup(t, "dayfly-"+token)
		prove(t, t.TempDir(), token, "  cgroups    "+at)
	})
}

// newCgroup makes a cgroup, and skips the test where none can be made.
func newCgroup(t *testing.T, name string) string {
	t.Helper()
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs") // the pattern is right
	for _, above := range append(groups, "/sys/fs/cgroup/cgroup.procs") {
		at := filepath.Join(filepath.Dir(above), name)
		if os.Mkdir(at, 0o700) == nil {
			t.Cleanup(func() { _ = os.Remove(at) })
			return at
		}
	}
	t.Skip("no cgroup can be made here")
	return ""
}

// bucketAt names another bucket in the settings.
func bucketAt(t *testing.T, c *call, where string) {
	t.Helper()
	c.want(0, "ps")
	path := filepath.Join(c.data, settingsFile)
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(text, "\nbucket: "+where+"\n"...), 0o600)
	}
	if err == nil {
		err = os.MkdirAll(where, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestUninstallLeavesWhatLiesBesideTheBucket: in a folder of the data directory it is somebody else's.
func TestUninstallLeavesWhatLiesBesideTheBucket(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	shared := filepath.Join(c.data, "shared")
	bucketAt(t, c, filepath.Join(shared, "logs"))
	mine := filepath.Join(shared, "mine")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.want(0, "uninstall", "--yes")
	if b, err := os.ReadFile(mine); string(b) != "mine" {
		t.Errorf("what is not dayfly's: %q, %v", b, err)
	}
	if exists(filepath.Join(shared, "logs")) || exists(filepath.Join(c.data, settingsFile)) {
		t.Error("what is dayfly's is still there")
	}
}

// TestUninstallAndMounts: what is elsewhere stays, and so does what cannot be removed.
func TestUninstallAndMounts(t *testing.T) {
	t.Parallel()
	t.Run("in a bucket", func(t *testing.T) {
		t.Parallel()
		c := newCall(t)
		elsewhere := filepath.Join(t.TempDir(), "bucket")
		at := filepath.Join(elsewhere, "disk")
		bucketAt(t, c, elsewhere)
		if err := os.Mkdir(at, 0o700); err != nil {
			t.Fatal(err)
		}
		disktest.Mount(t, at, "64k")
		if err := os.WriteFile(filepath.Join(at, "mine"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_, said := c.want(exitRefused, "uninstall", "--bucket", "--yes")
		if !strings.Contains(said, "error: "+at+" is a mount point in what is to be removed\nhint: umount "+at) || !exists(filepath.Join(at, "mine")) {
			t.Error(said)
		}
		c.want(0, "uninstall", "--yes")
	})
	t.Run("over the data directory", func(t *testing.T) {
		t.Parallel()
		c := newCall(t)
		if err := os.Mkdir(c.data, 0o700); err != nil {
			t.Fatal(err)
		}
		disktest.Mount(t, c.data, "4m")
		c.want(0, "ps")
		stays(t, c, c.data+" itself: it is a mount point\n", "uninstall", "--yes")
	})
	t.Run("above it, and read-only", func(t *testing.T) {
		t.Parallel()
		c := newCall(t)
		c.want(0, "ps")
		disk := t.TempDir()
		disktest.Mount(t, disk, "64k")
		link := filepath.Join(disk, "link")
		if err := os.Symlink(c.data, link); err != nil {
			t.Fatal(err)
		}
		disktest.Remount(t, disk, unix.MS_RDONLY)
		stays(t, c, c.data+" itself: this user may not remove it from "+disk+"\n", "uninstall", "--yes", "--data", link)
	})
}

// stays calls uninstall, which says in advance that the directory stays, and leaves it empty.
func stays(t *testing.T, c *call, why string, args ...string) {
	t.Helper()
	_, said := c.want(0, args...)
	if left, err := os.ReadDir(c.data); err != nil || len(left) > 0 || !strings.Contains(said, why) || !strings.Contains(said, c.data+" itself stays\n") {
		t.Errorf("%v, %v\n%s", left, err, said)
	}
}

func TestStarters(t *testing.T) {
	t.Parallel()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	root := fstest.MapFS{
		"etc/systemd/system/dayfly.service":             file("[Service]\nExecStart=/usr/local/bin/dayfly serve --data /var/lib/dayfly\n"),
		"etc/systemd/system/other.service":              file("[Service]\n# dayfly serve\nExecStart=/usr/bin/other serve\n"),
		"home/ana/.config/systemd/user/nightly.service": file("[Service]\nExecStart=%h/bin/dayfly serve\n"),
		"etc/crontab":   file("* * * * * root /usr/local/bin/dayfly serve --once\n"),
		"etc/cron.d/no": file("#* * * * * root dayfly serve --once\n* * * * * root dayfly ps\n"),
	}
	got := startersOf(root, "/home/ana")
	want := []string{
		"/etc/systemd/system/dayfly.service: systemctl disable --now dayfly.service, then remove it",
		"/home/ana/.config/systemd/user/nightly.service: systemctl --user disable --now nightly.service, then remove it",
		"/etc/crontab: remove its line with dayfly",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestUninstallWhereAnotherUserServes: a daemon that this user may not end keeps it from everything, and goes on.
func TestUninstallWhereAnotherUserServes(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can be two users")
	}
	c, _ := withClock(t)
	top, err := os.MkdirTemp("/var/tmp", "dayfly-test-") // which others may look into, unlike the test's own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(top) })
	c.data = filepath.Join(top, "data")
	c.env = []string{"DAYFLY_DATA=" + c.data, "PATH=/usr/bin:/bin"}
	c.want(0, "apply", jobFileOf(t, "daily", "schedule: \"@daily\"\nrun: echo ran\n"))
	exe := copyOfDayfly(t, top)
	l, err := daemon.Acquire(filepath.Join(c.data, lockFile)) // by this process, which is root's
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release() //nolint:errcheck // the process ends
	const nobody = 65534
	err = filepath.WalkDir(top, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, nobody, nobody))
	})
	if err != nil {
		t.Fatal(err)
	}
	before := treeOf(t, c.data)
	for _, args := range [][]string{{"uninstall", "--yes"}, {"uninstall", "--dry-run"}} {
		cmd := exec.Command(exe, args...)
		cmd.Env = c.env
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, _ := cmd.CombinedOutput()
		want := fmt.Sprintf("error: process %d serves %s, and this user may not end it\nhint: be its user, or root; or stop it there first\n", os.Getpid(), c.data)
		if cmd.ProcessState.ExitCode() != exitRefused || string(out) != want {
			t.Errorf("%v: exit code %d\n%swant\n%s", args, cmd.ProcessState.ExitCode(), out, want)
		}
	}
	if after := treeOf(t, c.data); !slices.Equal(before, after) {
		t.Errorf("there is %q, and there was %q", after, before)
	}
}

// copyOfDayfly puts the program where every user may run it.
func copyOfDayfly(t *testing.T, dir string) string {
	t.Helper()
	path, err := exec.LookPath("dayfly")
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "dayfly")
	// By another process: while this one has a program open to write it, none of its children may run it.
	if out, err := exec.Command("cp", path, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := errors.Join(os.Chmod(to, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return to
}

// treeOf are the names of all that is below a directory.
func treeOf(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
