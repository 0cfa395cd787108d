package main

import (
	"math"
	"testing"
	"time"

	"github.com/adhocore/gronx"
	"github.com/aptible/supercronic/cronexpr"

	"github.com/dayfly-io/dayfly/internal/schedule"
)

// typical are eleven expressions that every library here reads, and reads alike.
var typical = []string{
	"* * * * *", "*/15 * * * *", "0 * * * *", "0 23 * * *", "30 2 * * *", "0 9 * * 1-5",
	"0 1,7,13,19 * * *", "0 0 1 * *", "0 0 1,15 * *", "15 4 * * 0", "0 0 29 2 *",
}

const zone = "America/New_York"

// libraries give, for an expression, what finds the instant after another.
var libraries = []struct {
	name string
	next func(b *testing.B, expression string, in *time.Location) func(time.Time) time.Time
}{
	{"dayfly", func(b *testing.B, expression string, _ *time.Location) func(time.Time) time.Time {
		location, err := schedule.LoadLocation(zone)
		if err != nil {
			b.Fatal(err)
		}
		s, err := schedule.Parse(expression, schedule.Options{Location: location})
		if err != nil {
			b.Fatal(err)
		}
		return func(t time.Time) time.Time {
			t, _ = s.Next(t)
			return t
		}
	}},
	{"cronexpr of supercronic", func(b *testing.B, expression string, _ *time.Location) func(time.Time) time.Time {
		e, err := cronexpr.ParseStrict(expression)
		if err != nil {
			b.Fatal(err)
		}
		return e.Next
	}},
	{"gronx", func(b *testing.B, expression string, _ *time.Location) func(time.Time) time.Time {
		return func(t time.Time) time.Time {
			t, err := gronx.NextTickAfter(expression, t, false)
			if err != nil {
				b.Fatal(err)
			}
			return t
		}
	}},
}

// BenchmarkNext follows each expression from instant to instant, and reports the geometric mean over all.
func BenchmarkNext(b *testing.B) {
	in, err := time.LoadLocation(zone)
	if err != nil {
		b.Fatal(err)
	}
	for _, l := range libraries {
		b.Run(l.name, func(b *testing.B) {
			logs, measured := 0.0, 0
			for _, expression := range typical {
				b.Run(expression, func(b *testing.B) {
					next := l.next(b, expression, in)
					start := time.Date(2026, 11, 22, 0, 0, 0, 0, in)
					at := start
					b.ReportAllocs()
					for b.Loop() {
						if at = next(at); at.Year() > 2060 || at.IsZero() {
							at = start
						}
					}
					logs += math.Log(float64(b.Elapsed().Nanoseconds()) / float64(b.N))
					measured++
				})
			}
			b.Run("geometric mean", func(b *testing.B) {
				if measured < len(typical) {
					b.Skip("not all were measured")
				}
				for b.Loop() {
					// Only the figure below is of interest.
				}
				b.ReportMetric(math.Exp(logs/float64(measured)), "ns/op")
			})
		})
	}
}
