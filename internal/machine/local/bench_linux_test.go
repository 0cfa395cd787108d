package local_test

import (
	"slices"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
)

// BenchmarkLaunch measures from the call of Launch to the job's first instruction, and on to the
// machine observed terminated, on each rung. The medians are what counts.
func BenchmarkLaunch(b *testing.B) {
	for _, rung := range []dayfly.Isolation{dayfly.IsolationFull, dayfly.IsolationPartial, dayfly.IsolationNone} {
		b.Run(string(rung), func(b *testing.B) {
			h := newHost(b)
			warm := h.spec(":")
			warm.Machine.Isolation = rung
			h.launch(warm)
			h.end(warm)
			var ready, first, gone []time.Duration
			for b.Loop() {
				s := h.spec(":")
				s.Machine.Isolation = rung
				begin := time.Now()
				m := h.launch(s)
				ready = append(ready, time.Since(begin))
				h.awaitState(m.ID, dayfly.MachineTerminated)
				gone = append(gone, time.Since(begin))
				first = append(first, h.end(s).StartedAt.Sub(begin))
				b.StopTimer()
				if err := h.Forget(b.Context(), m.ID); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			for name, d := range map[string][]time.Duration{"launched": ready, "first": first, "gone": gone} {
				slices.Sort(d)
				b.ReportMetric(float64(d[len(d)/2].Microseconds())/1000, "p50-"+name+"-ms")
			}
		})
	}
}
