package ptrace_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly/internal/e2e/ptrace"
)

func TestMain(m *testing.M) {
	ptrace.Child()
	os.Exit(m.Run())
}

// shell runs a script in a directory of its own, and asks judge about each call.
func shell(t *testing.T, script string, judge func(dir string, c *ptrace.Call) ptrace.Verdict) (dir string, status unix.WaitStatus) {
	t.Helper()
	dir = t.TempDir()
	p := &ptrace.Program{
		Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: os.Environ(), Dir: dir,
		Enter: func(c *ptrace.Call) ptrace.Verdict { return judge(dir, c) },
	}
	status, err := p.Run()
	if err != nil {
		t.Skipf("nothing can be traced here: %v", err)
	}
	return dir, status
}

func there(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return !errors.Is(err, fs.ErrNotExist)
}

const moving = "echo one > a; mv a b; mv b c; echo two > d"

// at judges the first call that moves b, whatever the call of this C library's mv is called.
func at(verdict ptrace.Verdict, times int) func(string, *ptrace.Call) ptrace.Verdict {
	return func(dir string, c *ptrace.Call) ptrace.Verdict {
		if !strings.HasPrefix(c.Name, "rename") || !there(dir, "b") || times == 0 {
			return ptrace.Pass()
		}
		times--
		return verdict
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]struct {
		verdict ptrace.Verdict
		left    string
	}{"instead of the call": {ptrace.KillBefore(), "b"}, "after the call": {ptrace.KillAfter(), "c"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, status := shell(t, moving, at(story.verdict, 1))
			if !status.Exited() || status.ExitStatus() != 0 {
				t.Errorf("the shell, which was not killed, ended with %v", status)
			}
			for _, name := range []string{"a", "b", "c", "d"} {
				if want := name == story.left || name == "d"; there(dir, name) != want {
					t.Errorf("%s is there: %v", name, !want)
				}
			}
		})
	}
}

func TestFail(t *testing.T) {
	t.Parallel()
	dir, status := shell(t, "set -e; "+moving, at(ptrace.Fail(unix.EROFS), -1))
	if status.ExitStatus() != 1 || !there(dir, "b") || there(dir, "c") || there(dir, "d") {
		t.Errorf("the shell ended with %v", status)
	}
}

// Every process is told apart, and everything it starts is seen.
func TestProcesses(t *testing.T) {
	t.Parallel()
	said := map[string]string{}
	forks, programs := 0, []string{}
	_, status := shell(t, "echo one >f; (echo two >f; exec /bin/sh -c 'echo three >f; exit 7'); kill -9 $$", func(dir string, c *ptrace.Call) ptrace.Verdict {
		switch {
		case c.Name == "write" && c.What(c.FD(0)) == filepath.Join(dir, "f"):
			said[string(c.Bytes(1, int(c.Args[2])))] = strings.Join(c.Process.Args[:2], " ")
		case c.Forks():
			forks++
		case c.Name == "execve":
			programs = append(programs, c.String(0))
		}
		return ptrace.Pass()
	})
	if !status.Signaled() || status.Signal() != unix.SIGKILL {
		t.Errorf("the shell ended with %v", status)
	}
	if len(said) != 3 || said["three\n"] != "/bin/sh -c" || said["one\n"] != "sh -c" || said["two\n"] != "sh -c" {
		t.Errorf("heard %q", said)
	}
	if forks != 1 || len(programs) != 2 {
		t.Errorf("%d forks, programs %q", forks, programs)
	}
}

// What a call did is told afterwards, and its arguments can be read.
func TestLeave(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var told []int64
	var paths []string
	p := &ptrace.Program{
		Path: "/bin/sh", Args: []string{"sh", "-c", "echo 12345 > f; rmdir none; rm f"}, Env: os.Environ(), Dir: dir,
		Enter: func(c *ptrace.Call) ptrace.Verdict {
			switch c.Name {
			case "write":
				if c.What(c.FD(0)) != filepath.Join(dir, "f") {
					return ptrace.Pass()
				}
			case "rmdir":
				paths = append(paths, c.Path(-1, 0))
			case "unlinkat":
				paths = append(paths, c.Path(0, 1))
			default:
				return ptrace.Pass()
			}
			return ptrace.Watch()
		},
		Leave: func(_ *ptrace.Call, result int64) { told = append(told, result) },
	}
	if _, err := p.Run(); err != nil {
		t.Skipf("nothing can be traced here: %v", err)
	}
	if len(told) != 3 || told[0] != 6 || told[1] != -int64(unix.ENOENT) || told[2] != 0 {
		t.Errorf("the results are %v", told)
	}
	if len(paths) != 2 || !strings.HasSuffix(paths[0], "/cwd/none") || !strings.HasSuffix(paths[1], "/cwd/f") {
		t.Errorf("the paths are %q", paths)
	}
}
