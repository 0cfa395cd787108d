package local_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
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
