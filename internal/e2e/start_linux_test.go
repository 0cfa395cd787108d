package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStartReal does what docs/start.md says, as it stands there.
func TestStartReal(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/start.md")
	if err != nil {
		t.Fatal(err)
	}
	h := newHome(t)
	work := h.place("work")
	shell := func(block string) *exec.Cmd {
		c := exec.CommandContext(t.Context(), "sh", "-euc", block)
		c.Dir = work
		c.Env = append(os.Environ(), "DAYFLY_DATA="+h.dir, "PATH="+filepath.Dir(h.bin)+":"+os.Getenv("PATH"))
		return c
	}
	var said strings.Builder
	served := false
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		block := m[1]
		if strings.HasPrefix(block, "dayfly serve") {
			served = true
			serveWhile(t, shell("exec "+block), func() bool {
				out, err := shell("dayfly ps --jobs -o jsonl").Output()
				return err == nil && strings.Contains(string(out), `"tables"`)
			})
			continue
		}
		out, err := shell(block).CombinedOutput()
		if err != nil {
			t.Fatalf("%s%v\n%s", block, err, out)
		}
		said.WriteString("$ " + block)
		said.Write(out)
	}
	for _, want := range []string{
		"tables.yaml: job tables is right", "at 02:30 every day, Europe/Tallinn", "succeeded in", "passwd\ngroup\nhosts\n",
		"was observed gone", "1 file copied",
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("nothing says %q in\n%s", want, said.String())
		}
	}
	if _, err := os.Stat(filepath.Join(work, "copies", "tables.tar.gz")); err != nil {
		t.Error(err)
	}
	if !served {
		t.Error("the page does not come to dayfly serve")
	}
}

// serveWhile starts a serve that goes on to the end of the test, and waits until it is ready.
func serveWhile(t *testing.T, c *exec.Cmd, ready func() bool) {
	t.Helper()
	log, err := os.Create(filepath.Join(c.Dir, "serve.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c.Stdout, c.Stderr = log, log
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) } // when the test ends
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Wait(); c.ProcessState.ExitCode() != 0 {
			t.Errorf("serve ended with %v", err)
		}
	})
	await(t, time.Minute, "serve has applied the job", func() bool {
		said, err := os.ReadFile(log.Name())
		return err == nil && strings.Contains(string(said), "Serving ") && ready() // before, a TERM interrupts its start
	})
}
