package schedule_test

import (
	"math"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/schedule"
)

// typical are the eleven expressions whose geometric mean is the figure to watch, in America/New_York.
var typical = []string{
	"* * * * *",
	"*/15 * * * *",
	"0 * * * *",
	"0 23 * * *",
	"30 2 * * *",
	"0 9 * * MON-FRI",
	"0 01,07,13,19 * * *",
	"0 0 1 * *",
	"0 0 13 * FRI",
	"cron(0 8 LW * ? *)",
	"0 0 29 2 *",
}

func parse(t testing.TB, text, zone string) *schedule.Schedule {
	t.Helper()
	s, err := schedule.Parse(text, schedule.Options{Location: location(t, zone), Key: "backup"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// BenchmarkNext follows each of the typical schedules from instant to instant, through years past the last
// transition that the zone's file lists, and reports the geometric mean over all.
func BenchmarkNext(b *testing.B) {
	logs, measured := 0.0, 0
	for _, text := range typical {
		b.Run(text, func(b *testing.B) {
			s := parse(b, text, "America/New_York")
			start := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
			at := start
			b.ReportAllocs()
			for b.Loop() {
				next, ok := s.Next(at)
				if !ok {
					next = start
				}
				at = next
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
}

func BenchmarkCountMinutelyYear(b *testing.B) {
	s := parse(b, "* * * * *", "America/New_York")
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	to := from.AddDate(1, 0, 0)
	b.ReportAllocs()
	for b.Loop() {
		if n := s.Count(from, to); n != 365*24*60 {
			b.Fatal(n)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	o := schedule.Options{Location: location(b, "America/New_York")}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := schedule.Parse("0 01,07,13,19 * * MON-FRI", o); err != nil {
			b.Fatal(err)
		}
	}
}
