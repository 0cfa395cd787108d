package local_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What a killed process had in the machines' folder only while it worked on it is removed by the next
// look; what belongs to one that lives, or to nobody known, stays.
func TestLeftInTheMiddle(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	dead := command("wait")
	if err := dead.Start(); err != nil {
		t.Fatal(err)
	}
	gone, here := recordOf(t, dead.Process.Pid), recordOf(t, os.Getpid())
	_ = dead.Process.Kill()
	_ = dead.Wait()
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var stays []string
	for _, prefix := range []string{".making-", ".removing-", ".trying-"} {
		for _, r := range []recorded{gone, here, {PID: here.PID, Start: here.Start + 1}} {
			name := fmt.Sprintf("%s%d-%d-x", prefix, r.PID, r.Start)
			if err := os.MkdirAll(filepath.Join(h.dir, name, "box/closed to all"), 0); err != nil && !os.IsPermission(err) {
				t.Fatal(err)
			}
			if r == here {
				stays = append(stays, name)
			}
		}
		name := prefix + "somebody's"
		if err := os.Mkdir(filepath.Join(h.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		stays = append(stays, name)
	}
	if _, err := h.List(t.Context()); err != nil {
		t.Error(err)
	}
	var left []string
	entries, err := os.ReadDir(h.dir)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	slices.Sort(stays)
	if err != nil || !slices.Equal(left, stays) {
		t.Errorf("what is left is\n%q, want\n%q (%v)", left, stays, err)
	}
}
