package e2e_test

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestArrayReal asks for an array from several processes at once, kills one of them, and lets a daemon take
// over. By what the jobs themselves say each shard of each request runs once, with the value that the request
// was given, and no request has more of them at once than the array allows.
func TestArrayReal(t *testing.T) {
	t.Parallel()
	const size, atOnce, requests = 5, 2, 3
	h := newHome(t)
	var mu sync.Mutex
	begun := map[string][]word{} // by slot: each request has its own
	most := 0
	w := newWitnessWho(t, func(said word) {
		mu.Lock()
		defer mu.Unlock()
		f := strings.Fields(said.Text)
		alive := 1
		for _, e := range begun[f[0]] {
			if !hungUp(e.conn) {
				alive++
			}
		}
		if most = max(most, alive); alive > atOnce {
			t.Errorf("%d shards of %s run at once", alive, f[0])
		}
		begun[f[0]] = append(begun[f[0]], said)
	})
	say := strings.Replace(w.say(), "$DAYFLY_RUN $DAYFLY_ATTEMPT", "$DAYFLY_SLOT $DAYFLY_SHARD $DIGITS", 1)
	path := h.job("frames", fmt.Sprintf("overlap: allow\narray: {size: %d, at_once: %d}\nparams: {digits: {type: int, default: 1}}\n", size, atOnce)+
		"run: |\n  #!/bin/bash\n  "+say+"\n  sleep 0.2\n")

	doomed := h.start("run", path, "--param", "digits=40")
	await(t, time.Minute, "the first shards run", func() bool { return len(w.words()) > 0 })
	if err := doomed.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	daemon := h.start("serve")
	var all sync.WaitGroup
	for i := 1; i < requests; i++ {
		all.Go(func() {
			if out, code := h.dayfly("run", "frames", "--param", fmt.Sprintf("digits=4%d", i)); code != 0 {
				t.Errorf("exit code %d: %s", code, out)
			}
		})
	}
	all.Wait()
	await(t, time.Minute, "the runs of the request whose process was killed have ended", func() bool {
		out, _ := h.dayfly("ps", "-o", "name")
		return strings.TrimSpace(out) == ""
	})
	_ = daemon.Process.Signal(syscall.SIGTERM)

	said := map[string]int{}
	values := map[string]bool{}
	for _, one := range w.words() {
		f := strings.Fields(one.Text)
		said[f[0]+" "+f[1]]++
		values[f[0]+" "+f[2]] = true
	}
	for key, n := range said {
		if n != 1 {
			t.Errorf("shard %s ran %d times", key, n)
		}
	}
	if len(said) != requests*size || len(values) != requests {
		t.Errorf("%d shards of %d requests ran, of %v", len(said), len(begun), values)
	}
	if most != atOnce {
		t.Errorf("at most %d ran at once", most)
	}
	for _, r := range h.history() {
		if r.Outcome != "succeeded" {
			t.Errorf("%s %s: %s", r.ID, r.Outcome, r.Reason)
		}
	}
}
