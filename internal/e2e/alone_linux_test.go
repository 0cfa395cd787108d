package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestOneAtATimeReal asks for runs from many processes at once, with no daemon that would decide for all of
// them: what a job and the installation allow at a time holds between the processes all the same.
func TestOneAtATimeReal(t *testing.T) {
	t.Parallel()
	const processes, rounds = 8, 2
	for _, story := range []struct{ name, settings, job string }{
		{"overlap", "", "overlap: queue\n"},
		{"limit of machines per job", "", "overlap: allow\nlimit: {machines: 1}\n"},
		{"limit of machines in all", "limits: {machines: 1}\n", "overlap: allow\n"},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			if err := os.MkdirAll(h.dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(h.dir, "dayfly.yaml"), []byte("installation: alone\n"+story.settings), 0o600); err != nil {
				t.Fatal(err)
			}
			var mu sync.Mutex
			var earlier []word
			w := newWitnessWho(t, func(said word) {
				mu.Lock()
				defer mu.Unlock()
				for _, e := range earlier {
					if !hungUp(e.conn) {
						t.Errorf("%s began while %s was alive", said.Text, e.Text)
					}
				}
				earlier = append(earlier, said)
			})
			path := h.job("alone", story.job+"run: |\n  #!/bin/bash\n  "+w.say()+"\n  sleep 0.05\n")
			for range rounds {
				var all sync.WaitGroup
				for range processes {
					all.Go(func() {
						if out, code := h.dayfly("run", path); code != 0 {
							t.Errorf("exit code %d: %s", code, out)
						}
					})
				}
				all.Wait()
			}
			if n := len(w.words()); n != processes*rounds {
				t.Errorf("%d runs, want %d", n, processes*rounds)
			}
			if t.Failed() {
				t.Logf("history: %s", fmt.Sprint(h.history()))
			}
		})
	}
}
