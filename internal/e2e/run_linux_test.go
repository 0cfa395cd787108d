package e2e_test

import (
	"strings"
	"testing"
	"time"
)

// TestRunReal is the whole way once: from a job file to a machine that is observed gone.
func TestRunReal(t *testing.T) {
	t.Parallel()
	h, w := newHome(t), newWitness(t)
	path := h.job("hello", "run: |\n  #!/bin/bash\n  "+w.say()+"\n  echo out of the job\n  echo kept > $DAYFLY_RESULTS/a.txt\n")
	out, code := h.dayfly("run", path)
	if code != 0 || !strings.Contains(out, "out of the job") {
		t.Fatalf("exit code %d, output %q", code, out)
	}
	said := w.words()
	if len(said) != 1 {
		t.Fatalf("the job ran %d times", len(said))
	}
	<-said[0].Done
	runs := h.history()
	if len(runs) != 1 || runs[0].Outcome != "succeeded" || said[0].Text != runs[0].ID+" 1" {
		t.Fatalf("history %+v, the job said %q", runs, said[0].Text)
	}
	token := strings.TrimPrefix(runs[0].Attempts[0].Machine, "local/")
	await(t, 5*time.Second, "nothing is left", func() bool { return len(h.leftovers(token)) == 0 })
}
