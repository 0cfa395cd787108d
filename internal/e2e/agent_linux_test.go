package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestAgentReal: what make build makes carries the agent as a small program of its own, and the processes of
// a machine are that program.
func TestAgentReal(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	path := h.job("long", "run: exec sleep 1000\n")
	if out, code := h.dayfly("run", "--detach", path); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	dirs := h.machineDirs()
	if len(dirs) != 1 {
		t.Fatalf("machines: %v", dirs)
	}
	const most = 8 << 20
	var pids []int
	if !within(time.Minute, func() bool { pids = processesWith(filepath.Base(dirs[0])); return len(pids) == 2 }) {
		t.Fatalf("the machine has the processes %v, want the supervisor and the first one", pids)
	}
	for _, pid := range pids {
		var name []byte
		if !within(time.Minute, func() bool { // it names itself
			name, _ = os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			return string(name) == "dayfly-agent\n"
		}) {
			t.Errorf("process %d is called %q", pid, name)
		}
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil {
			t.Fatal(err)
		}
		if exe != "/memfd:dayfly-agent (deleted)" || fi.Size() > most {
			t.Errorf("process %d is %s of %d bytes", pid, exe, fi.Size())
		}
	}
	if out, code := h.dayfly("cancel", "long"); code != 0 && code != 7 {
		t.Errorf("cancel gave %d: %s", code, out)
	}
}
