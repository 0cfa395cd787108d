package agent_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// killPid ends a process that a job of this test left.
func killPid(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(pid))
	must(t, err)
	p, err := os.FindProcess(n)
	must(t, err)
	must(t, p.Kill())
}
