package local_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/local"
)

// host is a provider with a folder of its own, and what a test needs to see of the machines on it.
type host struct {
	*local.Provider
	t    testing.TB
	dir  string // the machines' folders
	data string
}

func newHost(t testing.TB) *host {
	t.Helper()
	data, err := os.MkdirTemp("/var/tmp", "dayfly-test-") // not /tmp, which a sandbox has fresh in any case
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, data: data, dir: filepath.Join(data, "machines")}
	h.Provider, err = local.New(local.Config{Dir: h.dir, Hidden: []string{data}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	return h
}

// close ends what the test left, and checks that nothing remains of any machine there was.
func (h *host) close() {
	ctx := context.Background()
	l, err := h.List(ctx)
	if err != nil {
		h.t.Error(err)
	}
	for _, m := range l.Machines {
		if err := h.Terminate(ctx, m.ID); err != nil {
			h.t.Error(err)
		}
		h.awaitState(m.ID, dayfly.MachineTerminated)
		if err := h.Forget(ctx, m.ID); err != nil {
			h.t.Error(err)
		}
		h.nothingLeft(strings.TrimPrefix(string(m.ID), "local/"))
	}
	if err := os.RemoveAll(h.data); err != nil {
		h.t.Error(err)
	}
}

// spec is a launch of a script; the test's agent writes to a directory of its own.
func (h *host) spec(script string) machine.Spec {
	h.t.Helper()
	token := fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
	to := filepath.Join(h.data, "out-"+token)
	if err := os.MkdirAll(to, 0o755); err != nil {
		h.t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	return machine.Spec{
		Token: token,
		Tags:  dayfly.Tags{Installation: "test", Run: "test-20261122T230000Z", Attempt: 1, Deadline: deadline, Token: token},
		Task: dayfly.Task{
			Job: "test", Run: "test-20261122T230000Z", Attempt: 1, Script: script, Deadline: deadline,
			Env: map[string]string{"TEST_DIR": to}, Grace: dayfly.Seconds(time.Second),
		},
	}
}

func (h *host) launch(s machine.Spec) dayfly.Machine {
	h.t.Helper()
	m, err := h.Launch(h.t.Context(), s)
	if err != nil {
		h.t.Fatal(err)
	}
	return m
}

// await waits for what comes about by itself, and fails when it does not.
func (h *host) await(what string, is func() bool) {
	h.t.Helper()
	const patience = 60 * time.Second
	tick, late := time.NewTicker(2*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-late:
			h.t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

func (h *host) state(id dayfly.MachineID) dayfly.MachineState {
	h.t.Helper()
	l, err := h.List(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, m := range l.Machines {
		if m.ID == id {
			return m.State
		}
	}
	return ""
}

func (h *host) awaitState(id dayfly.MachineID, want dayfly.MachineState) {
	h.t.Helper()
	h.await(fmt.Sprintf("%s is %s", id, want), func() bool { return h.state(id) == want })
}

// end waits until the machine is terminated and gives what its agent wrote.
func (h *host) end(s machine.Spec) outcome {
	h.t.Helper()
	h.awaitState(h.MachineID(s), dayfly.MachineTerminated)
	b, err := os.ReadFile(filepath.Join(s.Task.Env["TEST_DIR"], "outcome"))
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(h.dir, s.Token, "supervisor.log"))
		h.t.Fatalf("%v\n%s", err, log)
	}
	var o outcome
	if err := json.Unmarshal(b, &o); err != nil {
		h.t.Fatal(err)
	}
	return o
}

func (h *host) log(s machine.Spec) string {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.Task.Env["TEST_DIR"], "log"))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(b)
}
