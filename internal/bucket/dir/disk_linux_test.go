package dir_test

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/durable/disktest"
)

func smallDisk(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	disktest.Mount(t, top, "256k")
	return top
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	if !disktest.Alone(t) {
		return
	}
	top := smallDisk(t)
	b := mustOpen(t, top)
	mustPut(t, b, "there", "whole")
	for _, c := range []bucket.Condition{{}, {IfAbsent: true}} {
		_, err := b.Put(t.Context(), "new/folder/big", io.LimitReader(zeros{}, 1<<20), c)
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("put on a full disk: %v", err)
		}
	}
	_, err := b.Put(t.Context(), "there", io.LimitReader(zeros{}, 1<<20), bucket.Condition{})
	if !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "put there: ") {
		t.Fatalf("put on a full disk: %v", err)
	}
	if got := keys(t, b); got != "there" {
		t.Errorf("objects: %s", got)
	}
	noneStaged(t, top)
	mustPut(t, b, "new", "a key that the failed one would have made a folder")
}

func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	if !disktest.Alone(t) {
		return
	}
	top := smallDisk(t)
	b := mustOpen(t, top)
	mustPut(t, b, "d/there", "whole")
	disktest.Remount(t, top, unix.MS_RDONLY)
	_, err := b.Put(t.Context(), "new", strings.NewReader("x"), bucket.Condition{})
	if !errors.Is(err, syscall.EROFS) {
		t.Errorf("put: %v", err)
	}
	if err := b.Delete(t.Context(), "d/there"); !errors.Is(err, syscall.EROFS) {
		t.Errorf("delete: %v", err)
	}
	if got := keys(t, b); got != "d/there" {
		t.Errorf("objects: %s", got)
	}
	r, err := b.Get(t.Context(), "d/there", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	disktest.Remount(t, top, 0)
	mustPut(t, b, "new", "x")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
