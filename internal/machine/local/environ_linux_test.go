package local_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/dayfly-io/dayfly"
)

// TestLaunchersEnvironmentStaysWithIt launches from a process that has a secret of another job in its environment.
func TestLaunchersEnvironmentStaysWithIt(t *testing.T) {
	t.Parallel()
	onEveryRung(t, func(t *testing.T, h *host, rung dayfly.Isolation) {
		s := h.spec("echo started; exec sleep 1000")
		s.Machine.Isolation = rung
		spec, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		canary := fmt.Sprintf("canary-%016x", rand.Uint64())
		c := command("launch", h.dir, string(spec))
		c.Env = append(os.Environ(), "OTHER_PASSWORD="+canary)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		h.awaitLog(s.Task.Env["TEST_DIR"], "started")
		// A search that finds the job, and can read the other two, would find the canary. While the job executes
		// sleep, there is nothing to be read.
		h.await("the job's environment can be read", func() bool { return len(jobProcesses(t, s.Token)) > 0 })
		for _, pid := range []int{h.supervisor(s.Token), h.first(s.Token)} {
			if b, err := os.ReadFile("/proc/" + itoa(pid) + "/environ"); err != nil || len(b) == 0 {
				t.Errorf("the environment of process %d is not to be read: %v", pid, err)
			}
		}
		if found := carrying(t, canary, "environ", "cmdline"); len(found) > 0 {
			t.Errorf("processes %v have what only the launcher had", found)
		}
	})
}

// TestACrowdBeginsWithOneCore launches more machines than there are cores.
func TestACrowdBeginsWithOneCore(t *testing.T) {
	t.Parallel()
	if runtime.NumCPU() == 1 {
		t.Skip("this host has one core")
	}
	h := newHost(t)
	for i := range runtime.NumCPU() + 1 {
		s := h.spec(`echo "the job has ${GOMAXPROCS:-all}"; exec sleep 1000`)
		s.Task.Env["TEST_CORES"] = "say"
		h.launch(s)
		to := s.Task.Env["TEST_DIR"]
		h.awaitLog(to, "the job has all\n")
		first := "GOMAXPROCS=2"
		if i == runtime.NumCPU() {
			first = "GOMAXPROCS=1"
		}
		h.hasSet(h.supervisor(s.Token), first)
		h.hasSet(h.first(s.Token), first)
		h.await("the supervisor uses all cores", func() bool {
			_, err := os.Lstat(filepath.Join(to, "cores"))
			return err == nil
		})
	}
}

// hasSet checks a variable in the environment that a process began with.
func (h *host) hasSet(pid int, variable string) {
	h.t.Helper()
	b, err := os.ReadFile("/proc/" + itoa(pid) + "/environ")
	if err != nil || !strings.Contains("\x00"+string(b), "\x00"+variable+"\x00") {
		h.t.Errorf("process %d began with %q and not with %s: %v", pid, b, variable, err)
	}
}
