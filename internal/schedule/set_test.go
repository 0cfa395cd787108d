package schedule_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/schedule/scheduletest"
)

func TestSet(t *testing.T) {
	t.Parallel()
	hourly, noon, tallinn := parse(t, "@hourly", "UTC"), parse(t, "0 12 * * *", "UTC"), parse(t, "0 14 * * *", "Europe/Tallinn")
	start := date(2026, 1, 1)

	t.Run("an instant in several members is one", func(t *testing.T) {
		t.Parallel()
		s := schedule.NewSet(schedule.Member{Schedule: noon}, schedule.Member{Schedule: hourly}, schedule.Member{Schedule: tallinn})
		if got := follow(s, start, start.AddDate(0, 0, 10)); len(got) != 240 || s.Count(start, start.AddDate(0, 0, 10)) != 240 {
			t.Errorf("ten days have %d instants, Count says %d", len(got), s.Count(start, start.AddDate(0, 0, 10)))
		}
	})

	t.Run("from is in and until is out", func(t *testing.T) {
		t.Parallel()
		from, until := start.Add(3*time.Hour), start.Add(6*time.Hour)
		s := schedule.NewSet(schedule.Member{Schedule: hourly, From: from, Until: until})
		got := follow(s, start, start.AddDate(0, 0, 10))
		if want := []time.Time{from, from.Add(time.Hour), from.Add(2 * time.Hour)}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if n := s.Count(start, start.AddDate(0, 0, 10)); n != 3 {
			t.Errorf("Count = %d", n)
		}
		if at, ok := s.Prev(start.AddDate(0, 0, 1)); !ok || !at.Equal(until.Add(-time.Hour)) {
			t.Errorf("Prev = %s", at)
		}
		if at, ok := s.Prev(from.Add(-1)); ok {
			t.Errorf("Prev before from = %s", at)
		}
		if at, ok := s.Next(until.Add(-time.Minute)); ok {
			t.Errorf("Next at the end = %s", at)
		}
	})

	t.Run("one member takes over from another", func(t *testing.T) {
		t.Parallel()
		change := start.Add(5 * time.Hour)
		s := schedule.NewSet(schedule.Member{Schedule: hourly, Until: change}, schedule.Member{Schedule: parse(t, "*/30 * * * *", "UTC"), From: change})
		if n := s.Count(start, start.Add(8*time.Hour)); n != 4+7 {
			t.Errorf("Count = %d", n)
		}
		want := "every hour, on the hour, UTC, until 2026-01-01T05:00:00Z; and every 30 minutes, UTC, from 2026-01-01T05:00:00Z"
		if got := s.Describe(); got != want {
			t.Errorf("Describe = %q", got)
		}
	})

	t.Run("members are given back as they were", func(t *testing.T) {
		t.Parallel()
		given := []schedule.Member{{Schedule: noon, From: start}, {Schedule: hourly}}
		s := schedule.NewSet(given...)
		got := s.Members()
		got[0], given[1] = schedule.Member{}, schedule.Member{}
		if again := s.Members(); len(again) != 2 || again[0].Schedule != noon || !again[0].From.Equal(start) || again[1].Schedule != hourly {
			t.Errorf("Members = %v", again)
		}
	})

	t.Run("the empty set has nothing", func(t *testing.T) {
		t.Parallel()
		s := schedule.NewSet()
		_, next := s.Next(start)
		_, prev := s.Prev(start)
		if next || prev || s.Count(start, start.AddDate(9, 0, 0)) != 0 {
			t.Error("there is something in the empty set")
		}
	})

	t.Run("a year of a minutely member beside a daily one is counted quickly", func(t *testing.T) {
		t.Parallel()
		s := schedule.NewSet(schedule.Member{Schedule: noon}, schedule.Member{Schedule: parse(t, "* * * * *", "UTC")})
		best := time.Hour
		for range 5 {
			began := time.Now()
			if n := s.Count(start, start.AddDate(1, 0, 0)); n != 365*24*60 {
				t.Fatalf("Count = %d", n)
			}
			best = min(best, time.Since(began))
		}
		if best > 5*time.Millisecond {
			t.Errorf("it took %s", best)
		}
	})
}

// TestRandomSets compares sets with the union of what the walk finds for each member.
func TestRandomSets(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from := anyTime(t, "from")
		to := from.Add(time.Duration(rapid.Int64Range(0, int64(5*24*time.Hour)).Draw(t, "length")))
		bound := func(label string) time.Time {
			if rapid.Bool().Draw(t, label+" set") {
				return time.Time{}
			}
			return from.Add(time.Duration(rapid.Int64Range(0, 5*24*60).Draw(t, label)) * time.Minute)
		}
		var members []schedule.Member
		var want []time.Time
		for range rapid.IntRange(1, 3).Draw(t, "members") {
			text, loc := anyText().Draw(t, "text"), anyZone(t)
			s, err := schedule.Parse(text, schedule.Options{Location: loc, Key: "backup"})
			if err != nil {
				continue
			}
			m := schedule.Member{Schedule: s, From: bound("from"), Until: bound("until")}
			members = append(members, m)
			for _, at := range scheduletest.Slots(text, loc, time.Time{}, "backup", from, to) {
				if !at.Before(m.From) && (m.Until.IsZero() || at.Before(m.Until)) {
					want = append(want, at)
				}
			}
		}
		slices.SortFunc(want, time.Time.Compare)
		want = slices.CompactFunc(want, time.Time.Equal)
		s := schedule.NewSet(members...)
		if got := follow(s, from, to); !slices.EqualFunc(got, want, time.Time.Equal) {
			t.Fatalf("after %s up to %s:\n%s", from, to, difference(got, want))
		}
		if n := s.Count(from, to); n != len(want) {
			t.Fatalf("Count(%s, %s) = %d, want %d", from, to, n, len(want))
		}
		for i, at := range want {
			if prev, ok := s.Prev(at.Add(time.Second - 1)); !ok || !prev.Equal(at) {
				t.Fatalf("Prev(%s) = %s", at, prev)
			}
			if prev, ok := s.Prev(at.Add(-1)); i > 0 && (!ok || !prev.Equal(want[i-1])) {
				t.Fatalf("Prev just before %s = %s, want %s", at, prev, want[i-1])
			}
		}
	})
}
