package local_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// account is the ordinary user, with subordinate ids, under whom root tries the user's rungs.
const account = "dayfly-test"

// must skips a test that this host cannot run, and fails it where nothing may be skipped.
func must(t *testing.T, can bool, why string) {
	t.Helper()
	switch {
	case can:
	case os.Getenv("CI") == "true":
		t.Fatalf("under CI=true this may not be skipped: %s", why)
	default:
		t.Skip(why)
	}
}

// ordinary is what makes a process the test account's; it skips where there is no such account.
func ordinary(t *testing.T) *syscall.SysProcAttr {
	t.Helper()
	u, err := user.Lookup(account)
	must(t, err == nil, "no account "+account+"; scripts/prepare makes it")
	_, err = exec.LookPath("newuidmap")
	must(t, err == nil, "no newuidmap; scripts/prepare installs it")
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// again runs tests of this binary in a process of their own.
func again(t *testing.T, run string, attr *syscall.SysProcAttr, env ...string) {
	t.Helper()
	c := exec.Command("/proc/self/exe", "-test.run", run, "-test.count=1", "-test.v", "-test.timeout=5m")
	c.Env, c.SysProcAttr, c.Dir = append(os.Environ(), env...), attr, "/"
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, failures(string(out)))
		return
	}
	t.Logf("%d passed", strings.Count(string(out), "--- PASS"))
}

// failures are the lines of a verbose test run without those on what passed.
func failures(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		if w := strings.TrimSpace(line); strings.HasPrefix(w, "=== ") || strings.HasPrefix(w, "--- PASS") {
			continue
		}
		b.WriteString(line)
	}
	return b.String()
}

// TestOrdinaryUser tells the stories of every rung again as a user who is not root.
func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // all of them are told as an ordinary user already
	}
	attr := ordinary(t)
	for _, stories := range []string{
		"^(TestConformance|TestJob|TestScriptThatCannotStart|TestResultsAndSecrets|TestLaunchersEnvironmentStaysWithIt|TestTimeoutReachesEverybody|TestMemoryIsLimited|TestCPUIsLimited|TestUsageIsMeasured)$",
		"^(TestForkBombIsBounded|TestPowerOff|TestNoPowerOff|TestRebootSyscall)$",
		"^(TestTerminateLeavesNothing|TestTerminateWhereNothingCanBeWritten|TestKilled|TestDeadline|TestProcessesKilledAtRandom|TestIsolation.*)$",
	} {
		t.Run(fmt.Sprint(stories), func(t *testing.T) {
			t.Parallel()
			again(t, stories, attr, "HOME=/nonexistent", "USER="+account)
		})
	}
}
