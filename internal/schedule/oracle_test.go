package schedule_test

import (
	"archive/zip"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/schedule/scheduletest"
)

// zones are twelve with everything that clocks do: half an hour (Lord Howe), two hours (Troll), 45 minutes off
// (Chatham), changes at midnight, in the evening, around Ramadan, and winter as the exception (Dublin).
var zones = []string{
	"Europe/Tallinn", "America/New_York", "Australia/Lord_Howe", "Antarctica/Troll", "America/Santiago", "Europe/Dublin",
	"Africa/Casablanca", "Asia/Gaza", "Africa/Cairo", "America/St_Johns", "Pacific/Chatham", "America/Havana",
}

// expressions are read around every transition.
var expressions = []string{
	"* * * * *",
	"*/15 * * * *",
	"7,37 * * * SUN",
	"*/7 0-23 1-7 * *",
	"cron(0/10 0/1 ? * 1#1 *)",
	"30 2 * * *",
	"*/20 0-4 * * *",
	"0 */3 * * *",
	"59 23,0-3 * * *",
	"0 0 * * *",
	"0,30 1,2,3 * * SUN",
	"15 1 25-31 3,10 *",
	"0 0 1-7 * SUN",
	"cron(0/13 0-22 L * ? *)",
	"cron(5 0-23/2 ? * SUNL *)",
	"@every 7h",
}

// TestEveryTransition is R10: around every change of the clocks from 2024 to 2030 in twelve zones, all that Next, Prev
// and Count say equals what a walk along the minutes finds.
func TestEveryTransition(t *testing.T) {
	t.Parallel()
	for _, name := range zones {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loc := location(t, name)
			from, to := date(2024, 1, 1), date(2031, 1, 1)
			changes := transitionsByWalking(loc, from, to)
			if len(changes) < 6 {
				t.Fatalf("only %d transitions", len(changes))
			}
			for _, change := range changes {
				for _, text := range append(around(loc, change), expressions...) {
					compare(t, text, loc, change.AddDate(0, 0, -2), change.AddDate(0, 0, 2))
				}
			}
			t.Logf("%d transitions, %d expressions each", len(changes), len(expressions)+len(around(loc, changes[0])))
		})
	}
}

// TestOddTransitions looks at changes that are no daylight saving.
func TestOddTransitions(t *testing.T) {
	t.Parallel()
	for _, odd := range []struct{ zone, change, story string }{
		{"Pacific/Apia", "2011-12-30T10:00:00Z", "30 December 2011 left out"},
		{"Pacific/Fakaofo", "2011-12-30T11:00:00Z", "30 December 2011 left out"},
		{"Pacific/Kwajalein", "1993-08-21T12:00:00Z", "21 August 1993 left out"},
		{"Pacific/Kiritimati", "1994-12-31T10:00:00Z", "31 December 1994 left out"},
		{"America/Sao_Paulo", "2018-11-04T03:00:00Z", "a gap at midnight"},
		{"America/Sao_Paulo", "2018-02-18T02:00:00Z", "an overlap across midnight"},
		{"Asia/Kathmandu", "1985-12-31T18:30:00Z", "a quarter of an hour"},
		{"Asia/Pyongyang", "2015-08-14T15:00:00Z", "half an hour back at midnight"},
		{"Asia/Pyongyang", "2018-05-04T15:00:00Z", "half an hour forward before midnight"},
		{"America/Caracas", "2016-05-01T07:00:00Z", "half an hour forward"},
		{"Asia/Tehran", "2022-09-21T19:30:00Z", "the last overlap, across midnight"},
		{"America/St_Johns", "2006-10-29T02:31:00Z", "at one minute past midnight"},
		{"Africa/Juba", "2021-01-31T21:00:00Z", "an hour back for good"},
		{"Europe/Volgograd", "2018-10-27T23:00:00Z", "an hour forward without summer"},
	} {
		t.Run(odd.zone+" "+odd.story, func(t *testing.T) {
			t.Parallel()
			loc, change := location(t, odd.zone), instant(t, odd.change)
			if _, before := change.Add(-1).In(loc).Zone(); before == offset(change, loc) {
				t.Fatalf("no transition of %s at %s", odd.zone, odd.change)
			}
			for _, text := range append(around(loc, change), expressions...) {
				compare(t, text, loc, change.AddDate(0, 0, -3), change.AddDate(0, 0, 3))
			}
		})
	}
}

// TestEveryZone looks at every zone there is: each has offsets in whole minutes, no two transitions so near that a
// reading could come three times, and at the next two changes of every rule the same instants as the walk.
func TestEveryZone(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, name := range zoneNames(t) {
		loc := location(t, name)
		from := date(2026, 1, 1)
		changes := transitions(loc, date(1972, 2, 1), date(2039, 1, 1))
		for i := 1; i < len(changes); i++ {
			if gap := changes[i].Sub(changes[i-1]); gap < 3*24*time.Hour {
				t.Errorf("%s: transitions at %s and only %s later", name, changes[i-1], gap)
			}
		}
		var near []time.Time
		for _, change := range changes {
			if change.After(from) && len(near) < 2 {
				near = append(near, change)
			}
		}
		if key := fmt.Sprint(near); seen[key] {
			continue
		} else {
			seen[key] = true
		}
		for _, change := range near {
			for _, text := range append(around(loc, change), "*/20 * * * *", "*/20 0-22 * * *") {
				compare(t, text, loc, change.AddDate(0, 0, -1), change.AddDate(0, 0, 1))
			}
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d different pairs of changes", len(seen))
	}
}

// around names the readings at both ends and in the middle of what the clock does at a transition.
func around(loc *time.Location, change time.Time) []string {
	after := change.In(loc)
	last := change.Add(-time.Minute).In(loc)
	// Half way between what the clock shows just before and at the change, whichever way it goes.
	sum := offset(change, loc) + offset(change.Add(-1), loc)
	middle := change.UTC().Add(time.Duration(sum/2) * time.Second)
	clock := func(t time.Time) string { return fmt.Sprintf("%d %d * * *", t.Minute(), t.Hour()) }
	day := func(t time.Time) string {
		return fmt.Sprintf("cron(%d %d %d %d ? %d)", t.Minute(), t.Hour(), t.Day(), t.Month(), t.Year())
	}
	return []string{
		clock(last), clock(after), clock(middle),
		day(last), day(after), day(middle),
		fmt.Sprintf("*/5 %d,%d,%d * * %d", last.Hour(), after.Hour(), middle.Hour(), middle.Weekday()),
	}
}

// compare checks Next, Prev and Count over (from, to] against the walk.
func compare(t *testing.T, text string, loc *time.Location, from, to time.Time) {
	t.Helper()
	const key = "backup"
	s, err := schedule.Parse(text, schedule.Options{Location: loc, Key: key})
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	want := scheduletest.Slots(text, loc, time.Time{}, key, from, to)
	got := follow(s, from, to)
	if !slices.EqualFunc(got, want, time.Time.Equal) {
		t.Fatalf("%q in %s after %s up to %s:\n%s", text, loc, from, to, difference(got, want))
	}
	if n := s.Count(from, to); n != len(want) {
		t.Fatalf("%q in %s: Count(%s, %s) = %d, want %d", text, loc, from, to, n, len(want))
	}
	for i, at := range want {
		if got[i].Format(time.RFC3339) != at.Format(time.RFC3339) {
			t.Fatalf("%q in %s: %s, want %s", text, loc, got[i], at)
		}
	}
	step := max(to.Sub(from)/400, time.Second)
	for at := from; at.Before(to); at = at.Add(step) {
		checkAt(t, s, at, from, to, want)
	}
	for _, at := range want[:min(len(want), 150)] {
		for _, near := range []time.Duration{-time.Nanosecond, 0, time.Nanosecond, time.Second} {
			checkAt(t, s, at.Add(near), from, to, want)
		}
	}
}

// follow goes from instant to instant over (from, to], and stops where it does not get on.
func follow(s interface {
	Next(time.Time) (time.Time, bool)
}, from, to time.Time) []time.Time {
	var all []time.Time
	last := from
	for at, ok := s.Next(from); ok && !at.After(to); at, ok = s.Next(at) {
		all = append(all, at)
		if !at.After(last) {
			break
		}
		last = at
	}
	return all
}

// checkAt checks what is said at one instant.
func checkAt(t *testing.T, s *schedule.Schedule, at, from, to time.Time, want []time.Time) {
	t.Helper()
	i := sort.Search(len(want), func(i int) bool { return want[i].After(at) })
	if next, ok := s.Next(at); i < len(want) && (!ok || !next.Equal(want[i])) {
		t.Fatalf("%q in %s: Next(%s) = %s, want %s", s, s.Location(), at.UTC(), next, want[i])
	}
	if prev, ok := s.Prev(at); i > 0 && (!ok || !prev.Equal(want[i-1])) {
		t.Fatalf("%q in %s: Prev(%s) = %s, want %s", s, s.Location(), at.UTC(), prev, want[i-1])
	}
	if n := s.Count(from, at); at.After(from) && n != i {
		t.Fatalf("%q in %s: Count(%s, %s) = %d, want %d", s, s.Location(), from, at.UTC(), n, i)
	}
	if n := s.Count(at, to); n != len(want)-i && at.Before(to) && !at.Before(from) {
		t.Fatalf("%q in %s: Count(%s, %s) = %d, want %d", s, s.Location(), at.UTC(), to, n, len(want)-i)
	}
}

// difference lists what only one of the two has.
func difference(got, want []time.Time) string {
	var b strings.Builder
	only := func(name string, in, without []time.Time) {
		shown := 0
		for _, at := range in {
			if !slices.ContainsFunc(without, at.Equal) && shown < 5 {
				fmt.Fprintf(&b, "only %s: %s\n", name, at.Format(time.RFC3339))
				shown++
			}
		}
	}
	only("got", got, want)
	only("want", want, got)
	return b.String()
}

func date(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

func offset(at time.Time, loc *time.Location) int {
	_, seconds := at.In(loc).Zone()
	return seconds
}

// transitionsByWalking asks the zone at every hour, and at every minute of an hour in which its offset changes.
func transitionsByWalking(loc *time.Location, from, to time.Time) []time.Time {
	var all []time.Time
	for hour := from; hour.Before(to); hour = hour.Add(time.Hour) {
		if offset(hour, loc) == offset(hour.Add(time.Hour), loc) {
			continue
		}
		for m := hour; m.Before(hour.Add(time.Hour)); m = m.Add(time.Minute) {
			if next := m.Add(time.Minute); offset(m, loc) != offset(next, loc) {
				all = append(all, next)
			}
		}
	}
	return all
}

// transitions asks the zone for its bounds.
func transitions(loc *time.Location, from, to time.Time) []time.Time {
	var all []time.Time
	for at := from; at.Before(to); {
		_, end := at.In(loc).ZoneBounds()
		if end.IsZero() {
			break
		}
		if !end.After(at) {
			end = at.Add(time.Hour)
		}
		if offset(end.Add(-1), loc) != offset(end, loc) {
			all = append(all, end.UTC())
		}
		at = end
	}
	return all
}

func zoneNames(t testing.TB) []string {
	t.Helper()
	r, err := zip.OpenReader("tzdata/zoneinfo.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var names []string
	for _, f := range r.File {
		if !strings.HasSuffix(f.Name, "/") {
			names = append(names, f.Name)
		}
	}
	if len(names) < 500 {
		t.Fatalf("only %d zones", len(names))
	}
	return names
}
