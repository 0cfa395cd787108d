package local_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
)

var namespaced = []dayfly.Isolation{dayfly.IsolationFull, dayfly.IsolationPartial}

// told runs a script to its end on a rung and gives what it wrote, which must end well.
func (h *host) told(rung dayfly.Isolation, script string) (log string, o outcome) {
	h.t.Helper()
	s := h.spec(script)
	s.Machine.Isolation = rung
	h.launch(s)
	o = h.end(s)
	if o.Err != "" || o.Exit.Code != 0 {
		h.t.Errorf("ended as %+v with the log %q", o, h.log(s))
	}
	return h.log(s), o
}

func TestIsolationHidesTheData(t *testing.T) {
	t.Parallel()
	for _, rung := range namespaced {
		t.Run(string(rung), func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			other := h.restless(rung) // another run
			log, _ := h.told(rung, fmt.Sprintf(
				`ls -A %[1]s; cat %[1]s/out-%[2]s/log 2>/dev/null || echo hidden; cat /proc/mounts >/dev/null; ls -A /tmp /run/dayfly/work`, h.data, other.Token))
			if log != "hidden\n/run/dayfly/work:\n\n/tmp:\n" {
				t.Errorf("the job sees %q", log)
			}
		})
	}
}

func TestIsolationSeesNoHostProcess(t *testing.T) {
	t.Parallel()
	for _, rung := range namespaced {
		t.Run(string(rung), func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			bystander := foreign(t)
			log, _ := h.told(rung, fmt.Sprintf(`kill -9 %d 2>/dev/null || echo none; set -- /proc/[0-9]*; echo $#; kill -9 -1 2>/dev/null || :; echo lived`, bystander.Process.Pid))
			if log != "none\n2\nlived\n" {
				t.Errorf("the job sees %q", log)
			}
			if !lives(t, bystander.Process.Pid) {
				t.Error("the job ended a process of the host")
			}
		})
	}
}

func TestIsolationFullForgetsWrites(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	home := filepath.Join("/var/tmp", filepath.Base(h.data)+"-home") // of this user, outside of what is hidden
	if err := os.MkdirAll(filepath.Join(home, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	if err := os.WriteFile(filepath.Join(home, "kept"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	script := `cd ` + home + `; cat kept; echo new >new; echo changed >kept; rm -r sub; mkdir sub; : >sub/x; cat new kept
echo x >/tmp/x; echo x >/dev/shm/x; mkdir -m 000 /tmp/odd /dayfly-odd; touch /dayfly-wrote; hostname dayfly-test-host || :`
	if os.Geteuid() == 0 {
		script += "\necho x >/etc/dayfly-test; chattr +i /etc/dayfly-test 2>/dev/null || :; rm -f /etc/hostname; : >/usr/bin/dayfly-test"
	}
	log, _ := h.told(dayfly.IsolationFull, script)
	if log != "keptnew\nchanged\n" {
		t.Errorf("the job sees %q", log)
	}
	for _, p := range []string{home + "/new", home + "/sub/x", "/tmp/odd", "/dayfly-odd", "/dayfly-wrote", "/dev/shm/x", "/etc/dayfly-test", "/usr/bin/dayfly-test"} {
		if _, err := os.Lstat(p); err == nil {
			t.Errorf("%s is left on the host", p)
		}
	}
	if b, err := os.ReadFile(filepath.Join(home, "kept")); string(b) != "kept" || err != nil {
		t.Errorf("a file of the host is %q, %v", b, err)
	}
	if name, err := os.Hostname(); err != nil || name == "dayfly-test-host" {
		t.Errorf("the host's name is %q, %v", name, err)
	}
}

func TestIsolationPartialIsReadOnly(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	open := filepath.Join("/var/tmp", filepath.Base(h.data)+"-open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(open) })
	log, _ := h.told(dayfly.IsolationPartial, `
for d in `+open+` /etc /var /sys; do (: >$d/dayfly-test) 2>/dev/null && echo "wrote $d" || :; done
for d in /tmp /dev/shm "$TEST_WORK" "$DAYFLY_RESULTS"; do : >$d/x || echo "not $d"; done
mount -o remount,rw / 2>/dev/null && echo remounted || :
umount `+h.data+` 2>/dev/null && echo uncovered || :`)
	if os.Geteuid() != 0 && log != "" { // root's partial rung is root in its namespace
		t.Errorf("the job says %q", log)
	}
	if strings.Contains(log, "wrote") || strings.Contains(log, "not") {
		t.Errorf("the job says %q", log)
	}
}

func TestIsolationHostIsOutOfReach(t *testing.T) {
	t.Parallel()
	for _, rung := range namespaced {
		t.Run(string(rung), func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			log, _ := h.told(rung, `
for f in /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/sysrq-trigger /sys/kernel/profiling; do
  [ -w $f ] && echo "could write $f" || :; done
[ -e /run/systemd ] && echo init || :; [ -e /run/dbus ] && echo bus || :
test -c /dev/null; test ! -e /dev/vda; test ! -e /dev/mem; echo x >/dev/null; head -c 4 /dev/urandom >/dev/null; test -d /dev/pts
tty -s || :; test -w /dev/shm; test -L /dev/fd`)
			if log != "" {
				t.Errorf("the job says %q", log)
			}
		})
	}
}

func TestIsolationResolver(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Skip("this host has no /etc/resolv.conf")
	}
	for _, rung := range namespaced {
		t.Run(string(rung), func(t *testing.T) {
			t.Parallel()
			if log, _ := newHost(t).told(rung, "cat /etc/resolv.conf"); log != string(want) {
				t.Errorf("it is %q, on the host %q", log, want)
			}
		})
	}
}

func TestIsolationNetworkNone(t *testing.T) {
	t.Parallel()
	for _, rung := range namespaced {
		t.Run(string(rung), func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			s := h.spec(`while read -r name rest; do case $name in *:) echo "$name";; esac; done </proc/net/dev; read -r flags </sys/class/net/lo/flags; echo up $((flags & 1))`)
			s.Machine.Isolation, s.Machine.Network = rung, "none"
			h.launch(s)
			if o := h.end(s); o.Exit.Code != 0 || !strings.HasPrefix(h.log(s), "lo:\n") {
				t.Errorf("ended as %+v with the log %q", o, h.log(s))
			}
		})
	}
}

// TestMounts makes mounts of every kind in a mount namespace of its own, and looks at them from inside.
func TestMounts(t *testing.T) {
	t.Parallel()
	must(t, os.Geteuid() == 0, "only root makes mounts")
	again(t, "^TestInsideMounts$", &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}, "DAYFLY_TEST_MOUNTS=make")
}

func TestInsideMounts(t *testing.T) {
	switch os.Getenv("DAYFLY_TEST_MOUNTS") {
	case "make":
		dir, err := os.MkdirTemp("/var/tmp", "dayfly-mounts-")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		makeMounts(t, dir)
		lookAtMounts(t, dir)
		env := []string{"DAYFLY_TEST_MOUNTS=" + dir}
		t.Run("as an ordinary user", func(t *testing.T) { again(t, "^TestInsideMounts$", ordinary(t), env...) })
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	case "":
		return // TestMounts calls
	default:
		lookAtMounts(t, os.Getenv("DAYFLY_TEST_MOUNTS"))
	}
}

// makeMounts mounts a tmpfs on dir and, in it, another, a bind, a bound file, one with an awkward
// name, one that another covers, a pseudo file system, and an overlay too deep to lay one over.
func makeMounts(t *testing.T, dir string) {
	t.Helper()
	mount := func(source, target, fstype string, flags uintptr, options string) {
		t.Helper()
		if err := unix.Mount(source, target, fstype, flags, options); err != nil {
			t.Fatalf("mount %s: %v", target, err)
		}
	}
	owner := ordinary(t).Credential
	put := func(path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(filepath.Base(path)+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	defer unix.Umask(unix.Umask(0))
	mount("tmpfs", dir, "tmpfs", 0, "mode=0777")
	put(dir + "/top")
	for _, d := range []string{"nested", "nested/deeper", "bind", "a,b:c d", "covered", "proc", "deep"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o777); err != nil {
			t.Fatal(err)
		}
		switch d {
		case "bind":
			put(dir + "/source/bound")
			mount(dir+"/source", dir+"/bind", "", unix.MS_BIND, "")
		case "covered":
			mount("tmpfs", dir+"/covered", "tmpfs", 0, "mode=0777")
			put(dir + "/covered/under")
			mount("tmpfs", dir+"/covered", "tmpfs", 0, "mode=0777")
			put(dir + "/covered/over")
		case "proc":
			mount("proc", dir+"/proc", "proc", 0, "")
		case "deep":
			for _, l := range []string{"l0", "l1", "l2", "u1", "w1", "u2", "w2"} {
				if err := os.MkdirAll(filepath.Join(dir, "layers", l), 0o777); err != nil {
					t.Fatal(err)
				}
			}
			put(dir + "/layers/l0/bottom")
			l := dir + "/layers/"
			mount("overlay", l+"l1", "overlay", 0, "lowerdir="+l+"l0,upperdir="+l+"u1,workdir="+l+"w1")
			mount("overlay", dir+"/deep", "overlay", 0, "lowerdir="+l+"l1,upperdir="+l+"u2,workdir="+l+"w2")
		default:
			mount("tmpfs", filepath.Join(dir, d), "tmpfs", 0, "mode=0777")
			put(filepath.Join(dir, d, "in"))
		}
	}
	put(dir + "/file")
	put(dir + "/bound-file")
	mount(dir+"/top", dir+"/bound-file", "", unix.MS_BIND, "")
}

func lookAtMounts(t *testing.T, dir string) {
	t.Helper()
	h := newHost(t)
	log, o := h.told(dayfly.IsolationFull, `cd `+dir+`
for f in top nested/in nested/deeper/in bind/bound "a,b:c d/in" covered/over deep/bottom bound-file; do
  read -r x <"$f"; echo "$f: $x"; (echo changed >"$f") 2>/dev/null || echo "$f is read-only"; done
(cat covered/under || ls proc/1) 2>/dev/null || echo neither
for d in . nested nested/deeper bind "a,b:c d" covered; do : >"$d/new"; rm "$d/new"; done`)
	want := `top: top
nested/in: in
nested/deeper/in: in
bind/bound: bound
a,b:c d/in: in
covered/over: over
deep/bottom: bottom
deep/bottom is read-only
bound-file: top
bound-file is read-only
neither
`
	if log != want {
		t.Errorf("the job sees\n%swant\n%s", log, want)
	}
	for _, part := range []string{dir + "/deep is read-only: ", dir + "/bound-file is read-only: is a single file"} {
		if !slices.ContainsFunc(o.Notes, func(n string) bool { return strings.Contains(n, part) }) {
			t.Errorf("no note says %q: %q", part, o.Notes)
		}
	}
	for _, f := range []string{"top", "nested/in", "bind/bound", "a,b:c d/in"} {
		if b, err := os.ReadFile(filepath.Join(dir, f)); string(b) != filepath.Base(f)+"\n" {
			t.Errorf("on the host %s is %q, %v", f, b, err)
		}
	}
}
