package local_test

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
)

// TestRungsOfAWeakHost shows which rungs are left where namespaces are refused. The kernel refuses
// user namespaces to whoever has changed its root, which is made so in a mount namespace of its own.
func TestRungsOfAWeakHost(t *testing.T) {
	t.Parallel()
	must(t, os.Geteuid() == 0, "only root can make a host weak for a test")
	again(t, "^TestInsideWeakHost$", &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}, "DAYFLY_TEST_WEAK=make")
}

func TestInsideWeakHost(t *testing.T) {
	switch os.Getenv("DAYFLY_TEST_WEAK") {
	case "make":
		root, err := os.MkdirTemp("/var/tmp", "dayfly-root-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(root)
		if err := os.Chmod(root, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("/", root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Unmount(root, unix.MNT_DETACH) }()
		t.Run("as an ordinary user", func(t *testing.T) {
			attr := ordinary(t)
			attr.Chroot = root
			again(t, "^TestInsideWeakHost$", attr, "DAYFLY_TEST_WEAK=user")
		})
		t.Run("as root", func(t *testing.T) {
			done := make(chan struct{})
			go func() { // a thread of its own, which ends with what it gave up
				defer close(done)
				runtime.LockOSThread()
				if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_ADMIN, 0, 0, 0); err != nil {
					t.Error(err)
				}
				again(t, "^TestInsideWeakHost$", &syscall.SysProcAttr{Chroot: root}, "DAYFLY_TEST_WEAK=root")
			}()
			<-done
		})
	case "user":
		weak(t, dayfly.IsolationNone)
	case "root":
		weak(t, "")
	}
}

// weak checks that the rungs with namespaces are refused with a hint, and what best comes to; empty
// is that it is refused too.
func weak(t *testing.T, best dayfly.Isolation) {
	t.Helper()
	h := newHost(t)
	refused := func(rung dayfly.Isolation) {
		t.Helper()
		s := h.spec(":")
		s.Machine.Isolation = rung
		_, err := h.Launch(t.Context(), s)
		c, ok := errors.AsType[*machine.ConfigError](err)
		if !ok || !strings.Contains(c.Problem, "operation not permitted") || !strings.Contains(c.Hint, "user.max_user_namespaces") {
			t.Errorf("isolation %q gave %v (%+v)", rung, err, c)
		}
		if len(h.state(h.MachineID(s))) > 0 {
			t.Errorf("isolation %q was refused, and there is a machine", rung)
		}
	}
	refused(dayfly.IsolationFull)
	refused(dayfly.IsolationPartial)
	if best == "" {
		refused(dayfly.IsolationBest)
		refused("")
	}
	left := map[dayfly.Isolation]string{dayfly.IsolationNone: "the job can change this host"} // and what is said of it
	if best != "" {
		left = map[dayfly.Isolation]string{dayfly.IsolationNone: "", dayfly.IsolationBest: "isolation none: ", "": "isolation none: "}
	}
	for rung, note := range left {
		log, o := h.told(rung, "echo ran")
		if log != "ran\n" || o.Isolation != string(dayfly.IsolationNone) || !strings.Contains(strings.Join(o.Notes, "\n"), note) {
			t.Errorf("isolation %q ended as %+v with the log %q", rung, o, log)
		}
	}
}

// TestRungsWithoutSubordinateIds shows what a user gets whom /etc/subuid does not name.
func TestRungsWithoutSubordinateIds(t *testing.T) {
	t.Parallel()
	if os.Getenv("DAYFLY_TEST_NOBODY") == "" {
		must(t, os.Geteuid() == 0, "only root can become another user")
		ordinary(t) // newuidmap is there
		nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		again(t, "^TestRungsWithoutSubordinateIds$", nobody, "DAYFLY_TEST_NOBODY=1", "HOME=/nonexistent")
		return
	}
	h := newHost(t)
	s := h.spec(":")
	s.Machine.Isolation = dayfly.IsolationFull
	_, err := h.Launch(t.Context(), s)
	c, ok := errors.AsType[*machine.ConfigError](err)
	if !ok || !strings.Contains(c.Hint, "usermod --add-subuids") {
		t.Errorf("isolation full gave %v (%+v)", err, c)
	}
	if log, o := h.told(dayfly.IsolationBest, "echo ran"); log != "ran\n" || o.Isolation != string(dayfly.IsolationPartial) {
		t.Errorf("isolation best ended as %+v with the log %q", o, log)
	}
}

func TestBestIsFullHere(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.spec(":")
	h.launch(s)
	if o := h.end(s); o.Isolation != string(dayfly.IsolationFull) {
		must(t, false, "best is "+o.Isolation+" here")
	}
}
