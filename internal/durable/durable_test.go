package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/dayfly-io/dayfly/internal/durable"
)

func TestMkdirAll(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	var synced []string
	sync := func(f *os.File) error {
		synced = append(synced, f.Name())
		return f.Sync()
	}
	deep := filepath.Join(top, "a", "b", "c")
	if err := durable.MkdirAll(deep+"/", 0o700, sync); err != nil {
		t.Fatal(err)
	}
	if want := []string{top, filepath.Join(top, "a"), filepath.Join(top, "a", "b")}; !slices.Equal(synced, want) {
		t.Errorf("synced %q, want %q", synced, want)
	}
	if info, err := os.Stat(deep); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	synced = nil
	if err := durable.MkdirAll(deep, 0o700, sync); err != nil || len(synced) > 0 {
		t.Errorf("what is there was synced: %q, %v", synced, err)
	}
	if err := durable.MkdirAll(filepath.Join(top, "x"), 0o700, func(*os.File) error { return syscall.EIO }); !errors.Is(err, syscall.EIO) {
		t.Errorf("a sync that fails: %v", err)
	}
	file := filepath.Join(top, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if err := durable.MkdirAll(dir, 0o700, nil); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if err := durable.Sync(filepath.Join(top, "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there was synced: %v", err)
	}
}
