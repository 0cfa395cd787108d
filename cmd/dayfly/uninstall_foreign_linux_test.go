package main

import (
	"os"
	"path/filepath"
	"testing"
)

// What lies beside a bucket in a folder of the data directory is somebody else's.
func TestUninstallLeavesWhatLiesBesideTheBucket(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	c.want(0, "ps")
	shared := filepath.Join(c.data, "shared")
	if err := os.MkdirAll(filepath.Join(shared, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(shared, "mine")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := os.OpenFile(filepath.Join(c.data, settingsFile), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := settings.WriteString("\nbucket: " + filepath.Join(shared, "logs") + "\n"); err != nil {
		t.Fatal(err)
	}
	if err := settings.Close(); err != nil {
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
