package scheduletest

import (
	"math"
	"testing"
	"time"
)

// Benchmark follows each expression from instant to instant, as a benchmark of its own, and reports the geometric mean
// over all, in nanoseconds an instant, as a last one. What follow gives finds the instant after another; the zero
// time says that there is none, and begins again at start.
func Benchmark(b *testing.B, start time.Time, expressions []string, follow func(b *testing.B, expression string) func(time.Time) time.Time) {
	logs, measured := 0.0, 0
	for _, expression := range expressions {
		b.Run(expression, func(b *testing.B) {
			next := follow(b, expression)
			at := start
			b.ReportAllocs()
			for b.Loop() {
				if at = next(at); at.IsZero() {
					at = start
				}
			}
			logs += math.Log(float64(b.Elapsed().Nanoseconds()) / float64(b.N))
			measured++
		})
	}
	b.Run("geometric mean", func(b *testing.B) {
		if measured < len(expressions) {
			b.Skip("not all were measured")
		}
		for b.Loop() {
			// Only the figure below is of interest.
		}
		b.ReportMetric(math.Exp(logs/float64(measured)), "ns/op")
	})
}
