package local_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
)

// TestTerminateWhereNothingCanBeWritten is a disk that has become read-only under a machine whose supervisor hangs.
// Nobody but Terminate can end the job before its deadline.
func TestTerminateWhereNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	onEveryRung(t, func(t *testing.T, h *host, rung dayfly.Isolation) {
		s := h.spec(restless)
		s.Machine.Isolation = rung
		s.Tags.Deadline = time.Now().Add(time.Hour)
		m := h.launch(s)
		h.awaitLog(s.Task.Env["TEST_DIR"], "started")
		mend := unwritable(t, filepath.Join(h.dir, s.Token))
		h.kill(unix.SIGSTOP, h.supervisor(s.Token))
		for tries := 0; ; tries++ { // each one watches for seconds
			if err := h.Terminate(t.Context(), m.ID); err == nil {
				t.Error("no error, though it cannot be closed")
			}
			left := jobProcesses(t, s.Token)
			if len(left) == 0 {
				break
			}
			if tries == 5 {
				t.Errorf("processes %v live", left)
				break
			}
		}
		mend()
		if err := h.Terminate(t.Context(), m.ID); err != nil {
			t.Error(err)
		}
		h.awaitState(m.ID, dayfly.MachineTerminated)
	})
}

// unwritable keeps everybody from making files in a directory, root too, until mend is called.
func unwritable(t *testing.T, dir string) (mend func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		chmod(t, dir, 0o500)
		return func() { chmod(t, dir, 0o700) }
	}
	must(t, immutable(dir, true) == nil, "the file system of /var/tmp has no immutable directories")
	return func() {
		if err := immutable(dir, false); err != nil {
			t.Error(err)
		}
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Error(err)
	}
}

func immutable(path string, on bool) error {
	const flag = 0x10 // FS_IMMUTABLE_FL
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	flags &^= flag
	if on {
		flags |= flag
	}
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags)
}
