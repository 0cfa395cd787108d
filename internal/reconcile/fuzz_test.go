package reconcile_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/fuzztest"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/reconcile"
)

// FuzzReport: whatever lies where the report should be, as a job could put it there that has the agent's
// rights, the run ends soon, and nothing but objects of its own attempt is read for it.
func FuzzReport(f *testing.F) {
	const run = `{"run":"pi-20261123T000000Z.n1","attempt":1,"outcome":"succeeded","log":`
	for _, text := range []string{
		"", "{", "null", "[]", strings.Repeat("[", 20000), `{"run":"other-20261123T000000Z","attempt":1}`, run + `{"key":"../../etc/passwd"}}`,
		run + `{"key":"runs/other/x/1/out/log","size":1}}`, run + `{"key":"runs/pi/pi-20261123T000000Z.n1/1/in/job.json","size":-1}}`,
		run + `{"size":9223372036854775807},"results":[{"key":"files/x","name":"../x"},{"key":"","size":-9223372036854775808}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		w := setup(t)
		w.exit = func(s machine.Spec) int {
			w.put(s.Task.Prefix+dayfly.KeyReport, text)
			return -1
		}
		runs, err := reconcile.Request(t.Context(), w.store, job("pi"), reconcile.Wish{}, w.now)
		if err != nil {
			t.Fatal(err)
		}
		own := dayfly.AttemptPrefix("pi", runs[0].ID, 1)
		w.bucket.Fail(func(op, key string) error {
			if (op == "Get" || op == "Stat") && !strings.HasPrefix(key, own) {
				t.Errorf("%s of %s for the report %q", op, key, text)
			}
			return nil
		}, nil)
		fuzztest.Bounded(t, func() {
			for range 20 {
				if _, err := w.Pass(t.Context(), reconcile.Scope{}); err != nil {
					t.Fatal(err)
				}
				w.now = w.now.Add(10 * time.Second)
			}
		})
		if r, err := w.store.Run(t.Context(), runs[0].ID); err != nil || r.State != dayfly.Ended {
			t.Errorf("the run is %s, %v: %s", r.State, err, r.Reason)
		}
	})
}
