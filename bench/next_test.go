package main

import (
	"testing"
	"time"

	"github.com/adhocore/gronx"
	"github.com/aptible/supercronic/cronexpr"
	"github.com/robfig/cron/v3"

	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/schedule/scheduletest"
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
	{"robfig", func(b *testing.B, expression string, _ *time.Location) func(time.Time) time.Time {
		s, err := cron.ParseStandard(expression)
		if err != nil {
			b.Fatal(err)
		}
		return s.Next
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

// BenchmarkNext compares the libraries as [scheduletest.Benchmark] does, through years that all of them reach.
func BenchmarkNext(b *testing.B) {
	in, err := time.LoadLocation(zone)
	if err != nil {
		b.Fatal(err)
	}
	for _, l := range libraries {
		b.Run(l.name, func(b *testing.B) {
			scheduletest.Benchmark(b, time.Date(2026, 11, 22, 0, 0, 0, 0, in), typical, func(b *testing.B, expression string) func(time.Time) time.Time {
				next := l.next(b, expression, in)
				return func(t time.Time) time.Time {
					if t = next(t); t.Year() > 2060 {
						return time.Time{}
					}
					return t
				}
			})
		})
	}
}
