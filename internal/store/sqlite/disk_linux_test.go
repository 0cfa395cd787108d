package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/durable/disktest"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
)

func smallDisk(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	disktest.Mount(t, top, "1m")
	return top
}

// The disk fills up, again and again. Each time an error says so, what was acknowledged is there and
// nothing else, and when there is room again the store goes on without being opened anew.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if !disktest.Alone(t) {
		return
	}
	top := smallDisk(t)
	s := openAt(t, filepath.Join(top, "dayfly.db"))
	acknowledged := map[dayfly.RunID]bool{}
	for round := range 3 {
		ballast := filepath.Join(top, "ballast")
		err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600)
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("the disk does not fill: %v", err)
		}
		refused := 0
		for i := range 200 {
			r := runOf("pi", 1000*round+i)
			r.Reason = strings.Repeat("x", 5000)
			switch _, err := s.InsertRuns(t.Context(), []dayfly.Run{r}); {
			case err == nil:
				acknowledged[r.ID] = true
			case !errors.Is(err, store.ErrDisk):
				t.Fatalf("insert on a full disk: %v", err)
			default:
				refused++
			}
		}
		if refused == 0 {
			t.Fatal("a full disk refused nothing")
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		r := runOf("pi", 1000*round+999)
		if _, err := s.InsertRuns(t.Context(), []dayfly.Run{r}); err != nil {
			t.Fatalf("insert when there is room again: %v", err)
		}
		acknowledged[r.ID] = true
	}
	runs, err := s.ActiveRuns(t.Context(), store.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		if !acknowledged[r.ID] {
			t.Errorf("%s is there, and its insert was refused", r.ID)
		}
		delete(acknowledged, r.ID)
	}
	if len(acknowledged) != 0 {
		t.Errorf("%d acknowledged runs are not there", len(acknowledged))
	}
	intact(t, s)
}

func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	if !disktest.Alone(t) {
		return
	}
	top := smallDisk(t)
	path := filepath.Join(top, "dayfly.db")
	s := openAt(t, path)
	if _, err := s.InsertRuns(t.Context(), []dayfly.Run{runOf("pi", 0)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	disktest.Remount(t, top, unix.MS_RDONLY)
	if s, err := sqlite.Open(t.Context(), path, options); !errors.Is(err, syscall.EROFS) {
		t.Errorf("open: %v, %v", s, err)
	}
	if r, err := sqlite.OpenReadOnly(t.Context(), path, options); err != nil {
		t.Errorf("to look at it: %v", err)
	} else if _, err := r.Run(t.Context(), runOf("pi", 0).ID); err != nil || r.Close() != nil {
		t.Errorf("look at it: %v", err)
	}
	disktest.Remount(t, top, 0)
	if _, err := openAt(t, path).Run(t.Context(), runOf("pi", 0).ID); err != nil {
		t.Errorf("when it can be written again: %v", err)
	}
}

func TestKindOfFUSE(t *testing.T) {
	t.Parallel()
	mounts := "22 1 252:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n" +
		"80 22 0:51 / /mnt/a\\040b rw - fuse.sshfs host: rw,user_id=0\n" + "81 22 0:5 / /dev rw - devtmpfs udev rw\n"
	for minor, want := range map[uint32]string{51: "fuse.sshfs", 5: "devtmpfs", 1: ""} {
		if got := sqlite.MountType([]byte(mounts), 0, minor); got != want {
			t.Errorf("device 0:%d is %q, want %q", minor, got, want)
		}
	}
}
