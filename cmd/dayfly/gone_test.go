package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A data directory is the one that was opened: not one that was removed or moved, and not another that
// stands in its place, whatever its inode.
func TestGone(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(data string) error{
		"removed":            os.RemoveAll,
		"moved":              func(data string) error { return os.Rename(data, data+"2") },
		"removed and made":   func(data string) error { return errors.Join(os.RemoveAll(data), os.Mkdir(data, 0o700)) },
		"a file in its way":  func(data string) error { return errors.Join(os.RemoveAll(data), os.WriteFile(data, nil, 0o600)) },
		"its parent removed": func(data string) error { return os.RemoveAll(filepath.Dir(data)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &app{data: filepath.Join(t.TempDir(), "parent", "data")}
			h, err := a.open()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(h.close)
			if err := h.gone(); err != nil {
				t.Fatalf("before: %v", err)
			}
			if err := take(h.dir); err != nil {
				t.Fatal(err)
			}
			if err := h.gone(); !errors.Is(err, errHomeGone) || hint(err) == "" || exitCode(err) != exitError {
				t.Errorf("%v, hint %q", err, hint(err))
			}
		})
	}
}
