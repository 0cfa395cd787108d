package schedule_test

import (
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/schedule/scheduletest"
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

// BenchmarkNext goes through years past the last transition that the zone's file lists.
func BenchmarkNext(b *testing.B) {
	scheduletest.Benchmark(b, time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), typical, func(b *testing.B, text string) func(time.Time) time.Time {
		s := parse(b, text, "America/New_York")
		return func(t time.Time) time.Time {
			next, _ := s.Next(t)
			return next
		}
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
