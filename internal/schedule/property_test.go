package schedule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/schedule/scheduletest"
)

// TestRandomSchedules compares random texts at random times in random zones with the walk along the minutes.
func TestRandomSchedules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := anyText().Draw(t, "text")
		loc := anyZone(t)
		anchor := time.Time{}
		if rapid.Bool().Draw(t, "anchored") {
			anchor = anyTime(t, "anchor").Truncate(time.Minute).AddDate(-100, 0, 0)
		}
		s, err := schedule.Parse(text, schedule.Options{Location: loc, Anchor: anchor, Key: "backup"})
		if refusal := scheduletest.Check(text, "backup"); (refusal == nil) != (err == nil) {
			t.Fatalf("Parse(%q) = %v, but the oracle says %v", text, err, refusal)
		}
		if err != nil {
			return
		}
		from := anyTime(t, "from")
		to := from.Add(time.Duration(rapid.Int64Range(0, int64(20*24*time.Hour)).Draw(t, "length")))
		want := scheduletest.Slots(text, loc, anchor, "backup", from, to)
		got := follow(s, from, to)
		if !slices.EqualFunc(got, want, time.Time.Equal) {
			t.Fatalf("%q in %s after %s up to %s:\n%s", text, loc, from, to, difference(got, want))
		}
		if n := s.Count(from, to); n != len(want) {
			t.Fatalf("%q in %s: Count(%s, %s) = %d, want %d", text, loc, from, to, n, len(want))
		}
	})
}

// TestNextAndPrevAreInverse holds however far the next instant is.
func TestNextAndPrevAreInverse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := anyText().Draw(t, "text")
		loc := anyZone(t)
		s, err := schedule.Parse(text, schedule.Options{Location: loc, Key: "backup"})
		if err != nil {
			return
		}
		after := anyTime(t, "after")
		next, ok := s.Next(after)
		if !ok {
			if n := s.Count(after, date(2400, 1, 1)); n != 0 {
				t.Fatalf("%q in %s has nothing after %s and Count says %d", text, loc, after, n)
			}
			return
		}
		if !next.After(after) {
			t.Fatalf("%q in %s: Next(%s) = %s is not after it", text, loc, after, next)
		}
		if prev, ok := s.Prev(next); !ok || !prev.Equal(next) {
			t.Fatalf("%q in %s: Prev(%s) = %s, %v", text, loc, next, prev, ok)
		}
		if prev, ok := s.Prev(next.Add(-1)); ok && prev.After(after) {
			t.Fatalf("%q in %s: %s lies between %s and what Next says, %s", text, loc, prev, after, next)
		}
		if n := s.Count(after, next); n != 1 {
			t.Fatalf("%q in %s: Count(%s, %s) = %d, want 1", text, loc, after, next, n)
		}
		later := anyTime(t, "later")
		middle := anyTime(t, "middle")
		if after.Before(middle) && middle.Before(later) && s.Count(after, middle)+s.Count(middle, later) != s.Count(after, later) {
			t.Fatalf("%q in %s: counts from %s by %s to %s do not add up", text, loc, after, middle, later)
		}
	})
}

func anyZone(t *rapid.T) *time.Location {
	name := rapid.SampledFrom(append([]string{"UTC", "Asia/Kolkata", "Europe/Dublin", "Pacific/Kwajalein", "Asia/Tehran"}, zones...)).Draw(t, "zone")
	loc, err := schedule.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func anyTime(t *rapid.T, label string) time.Time {
	return time.Unix(rapid.Int64Range(date(1975, 1, 1).Unix(), date(2200, 2, 1).Unix()).Draw(t, label), 0).UTC()
}

// anyText draws texts of every dialect; some of them are to be refused.
func anyText() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 9).Draw(t, "dialect") {
		case 0:
			return rapid.SampledFrom([]string{"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}).Draw(t, "macro")
		case 1:
			return fmt.Sprintf("@every %dh%dm", rapid.IntRange(0, 100).Draw(t, "h"), rapid.IntRange(0, 5000).Draw(t, "m"))
		case 2:
			return "at(" + anyTime(t, "at").Format("2006-01-02T15:04:05") + ")"
		case 3, 4, 5:
			return anyCron(t)
		}
		fields := []string{
			anyField(t, "minute", 0, 59, 60, true, false),
			anyField(t, "hour", 0, 23, 24, true, false),
			anyField(t, "day-of-month", 1, 31, 31, true, false),
			anyField(t, "month", 1, 12, 12, true, false),
			anyField(t, "day-of-week", 0, 7, 7, true, false),
		}
		return strings.Join(fields, " ")
	})
}

func anyCron(t *rapid.T) string {
	dates, week := anyField(t, "day-of-month", 1, 31, 31, false, true), "?"
	switch rapid.IntRange(0, 6).Draw(t, "days") {
	case 0:
		dates = rapid.SampledFrom([]string{"L", "LW", "1W", "15W", "30W", "31W", "lw"}).Draw(t, "letters")
	case 1:
		dates, week = "?", rapid.SampledFrom([]string{"L", "5L", "SUNL", "3#2", "TUE#5", "1#1", "sat#3"}).Draw(t, "letters")
	case 2, 3:
		dates, week = "?", anyField(t, "day-of-week", 1, 7, 7, false, true)
	}
	fields := []string{
		anyField(t, "minute", 0, 59, 60, false, true), anyField(t, "hour", 0, 23, 24, false, true),
		dates, anyField(t, "month", 1, 12, 12, false, true), week, anyField(t, "year", 1970, 2199, 230, false, true),
	}
	return "cron(" + strings.Join(fields, " ") + ")"
}

// anyField draws a field: a star half of the time, else what a person might write.
func anyField(t *rapid.T, name string, lo, hi, size int, hash, single bool) string {
	value := func() int { return rapid.IntRange(lo, hi).Draw(t, name) }
	step := func() int { return rapid.IntRange(1, size).Draw(t, name+" step") }
	item := func(n int) string {
		switch n {
		case 0, 1:
			return fmt.Sprint(value())
		case 2:
			a, b := value(), value()
			return fmt.Sprintf("%d-%d", min(a, b), max(a, b))
		case 3:
			a, b := value(), value()
			return fmt.Sprintf("%d-%d/%d", min(a, b), max(a, b), step())
		case 4:
			return fmt.Sprintf("%d-%d", value(), value())
		case 5:
			if single {
				return fmt.Sprintf("%d/%d", value(), step())
			}
		}
		return fmt.Sprintf("*/%d", step())
	}
	switch n := rapid.IntRange(0, 19).Draw(t, name+" shape"); {
	case n < 8:
		return "*"
	case n < 15:
		return item(n - 8)
	case n == 15 && hash:
		return "H"
	case n == 16 && hash:
		return fmt.Sprintf("H/%d", step())
	case n == 17 && hash:
		a, b := value(), value()
		return fmt.Sprintf("H(%d-%d)", min(a, b), max(a, b))
	}
	items := make([]string, rapid.IntRange(2, 4).Draw(t, name+" items"))
	for i := range items {
		items[i] = item(rapid.IntRange(0, 3).Draw(t, name+" item"))
	}
	return strings.Join(items, ",")
}
