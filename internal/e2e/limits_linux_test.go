package e2e_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestLimitsReal: what a job file says of its machine reaches the kernel.
func TestLimitsReal(t *testing.T) {
	t.Parallel()
	root := os.Geteuid() == 0
	type end struct {
		Outcome  string `json:"outcome"`
		Attempts []struct {
			Notes []string `json:"notes"`
			Usage struct {
				CPU float64 `json:"cpu"`
			} `json:"usage"`
		} `json:"attempts"`
	}
	for _, story := range []struct {
		name, machine, timeout, run string
		holds                       func(e end) bool
	}{
		{"memory", "memory: 64MiB", "1m", "head -c 300000000 /dev/zero | tail -c 300000000 >/dev/null", func(e end) bool { return e.Outcome == "failed" }},
		{"cpu", "cpu: 0.1", "2s", "while :; do :; done", func(e end) bool { return e.Outcome == "timed_out" && e.Attempts[0].Usage.CPU < 0.6 }},
		{"pids", "pids: 20", "1m", "for i in $(seq 100); do sleep 10 & done; wait", func(e end) bool { return e.Outcome == "failed" }},
		{"network", "network: none", "1m", "test \"$(awk 'NR > 2 {print $1}' /proc/net/dev)\" = lo:", func(e end) bool { return e.Outcome == "succeeded" }},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			path := h.job("limited", "machine: {"+story.machine+"}\ntimeout: "+story.timeout+"\ngrace: 1s\nrun: |\n  "+story.run+"\n")
			out, _ := h.dayfly("run", "-o", "json", path)
			var e end
			if err := json.Unmarshal([]byte(out), &e); err != nil || len(e.Attempts) != 1 {
				t.Fatalf("%v in %s", err, out)
			}
			if notes := strings.Join(e.Attempts[0].Notes, "; "); !root && strings.Contains(notes, "is not limited") {
				return // nobody limits it, and it is said
			}
			if !story.holds(e) {
				t.Errorf("%s: ended as %+v", story.machine, e)
			}
		})
	}
}
