package local

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestBorn: a process is in its cgroups before its first instruction, on either version, and the thread that
// started it is back where it was.
func TestBorn(t *testing.T) {
	t.Parallel()
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range parseMountinfo(string(info)) {
		if m.fstype != "cgroup" && m.fstype != "cgroup2" || slices.Contains(m.super, "cpuset") { // a new cpuset has no processors
			continue
		}
		g := cgroup{dir: filepath.Join(m.point, "dayfly-born-"+strconv.Itoa(os.Getpid())), v2: m.fstype == "cgroup2"}
		if err := os.Mkdir(g.dir, 0o755); err != nil {
			continue // an ordinary user has none
		}
		t.Run(m.fstype+strings.ReplaceAll(m.point, "/", "_"), func(t *testing.T) {
			t.Parallel()
			defer os.Remove(g.dir)
			nowhere := cgroup{dir: filepath.Join(m.point, "no", "such", "cgroup"), v2: g.v2}
			attr := &os.ProcAttr{Sys: &syscall.SysProcAttr{}}
			c := &child{}
			var err error
			var in []int
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				runtime.LockOSThread() // and never let go: the thread ends
				c.proc, c.joined, err = born([]cgroup{g, nowhere}, attr, func() (*os.Process, error) {
					return os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, attr)
				})
				in, _ = cgroupPids(g.dir)
			}()
			<-ended
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(in, []int{c.proc.Pid}) {
				t.Errorf("in the cgroup are %v, want the process %d alone", in, c.proc.Pid)
			}
			if missed := c.join([]cgroup{g, {dir: nowhere.dir, v2: g.v2, controllers: []controller{pidsController}}}); !slices.Equal(missed, []controller{pidsController}) {
				t.Errorf("it escapes %v, want the limits of the cgroup that is not there", missed)
			}
			_ = c.proc.Kill()
			_, _ = c.proc.Wait()
		})
	}
}

// TestProgramInMemory: the processes of a machine are the program in memory where there is one, and where
// this host runs nothing from memory, the one on disk.
func TestProgramInMemory(t *testing.T) {
	t.Parallel()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	for _, story := range []struct {
		name string
		e    *executable
		want string
	}{
		{"in memory", &executable{path: "/no/such/program", open: opens(sleep)}, "/memfd:dayfly-agent (deleted)"},
		{"on disk", &executable{path: sleep}, real(t, sleep)},
		{"cannot be read", &executable{path: sleep, open: opens("/no/such/program")}, real(t, sleep)},
		{"may not be executed", &executable{path: sleep, memory: inert(t, sleep)}, real(t, sleep)},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			for range 2 {
				p, err := story.e.start([]string{"sleep", "1000"}, &os.ProcAttr{})
				if err != nil {
					t.Fatal(err)
				}
				got, err := os.Readlink("/proc/" + strconv.Itoa(p.Pid) + "/exe")
				_ = p.Kill()
				_, _ = p.Wait()
				if err != nil || got != story.want {
					t.Errorf("it is %s, %v; want %s", got, err, story.want)
				}
			}
		})
	}
}

func opens(path string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return os.Open(path) }
}

func real(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// inert is a program in a file that may not be executed.
func inert(t *testing.T, path string) *os.File {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(copied, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(copied)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
