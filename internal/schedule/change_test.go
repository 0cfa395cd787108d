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

func TestChanges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, zone, want string }{
		"a time that vanishes, and one that comes twice": {"30 3 * * *", "Europe/Tallinn", `
			2027-03-28T04:00:00+03:00 +7200 +10800 vanish 03:00-04:00: 03:30; runs 2027-03-28T04:00:00+03:00
			2027-10-31T03:00:00+02:00 +10800 +7200 twice 03:00-04:00: 03:30; runs 2027-10-31T03:30:00+03:00`},
		"several become one":             {"*/20 3,4 * * *", "Europe/Tallinn", `2027-03-28T04:00:00+03:00 +7200 +10800 vanish 03:00-04:00: 03:00 03:20 03:40; runs 2027-03-28T04:00:00+03:00 2027-10-31T03:00:00+02:00 +10800 +7200 twice 03:00-04:00: 03:00 03:20 03:40; runs 2027-10-31T03:00:00+03:00 2027-10-31T03:20:00+03:00 2027-10-31T03:40:00+03:00`},
		"every hour":                     {"15 * * * *", "Europe/Tallinn", `2027-03-28T04:00:00+03:00 +7200 +10800 vanish 03:00-04:00: 03:15; runs 2027-10-31T03:00:00+02:00 +10800 +7200 twice 03:00-04:00: 03:15; runs 2027-10-31T03:15:00+03:00 2027-10-31T03:15:00+02:00`},
		"every hour, at a gap's end":     {"0 * * * *", "Asia/Beirut", `2027-03-28T01:00:00+03:00 +7200 +10800 vanish 00:00-01:00: 00:00; runs 2027-10-30T23:00:00+02:00 +10800 +7200 twice 23:00-00:00: 23:00; runs 2027-10-30T23:00:00+03:00 2027-10-30T23:00:00+02:00`},
		"not on that day":                {"30 3 * * MON", "Europe/Tallinn", ""},
		"at noon":                        {"0 12 * * *", "Europe/Tallinn", ""},
		"half an hour":                   {"0,15 2 * * *", "Australia/Lord_Howe", `2027-04-04T01:30:00+10:30 +39600 +37800 twice 01:30-02:00: 2027-10-03T02:30:00+11:00 +37800 +39600 vanish 02:00-02:30: 02:00 02:15; runs 2027-10-03T02:30:00+11:00`},
		"once":                           {"at(2027-03-28T03:30:30)", "Europe/Tallinn", `2027-03-28T04:00:00+03:00 +7200 +10800 vanish 03:00-04:00: 03:30; runs 2027-03-28T04:00:00+03:00`},
		"real time knows no clocks":      {"@every 1h", "Europe/Tallinn", ""},
		"no clock changes where it is":   {"30 3 * * *", "UTC", ""},
		"at midnight, on the day before": {"0 0 * * *", "Africa/Cairo", `2027-04-30T01:00:00+03:00 +7200 +10800 vanish 00:00-01:00: 00:00; runs 2027-04-30T01:00:00+03:00`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := schedule.Parse(c.text, schedule.Options{Location: location(t, c.zone)})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, ch := range s.Changes(date(2027, 1, 1), date(2028, 1, 1)) {
				got = append(got, changeText(ch))
			}
			want := strings.Join(strings.Fields(c.want), " ")
			if name == "half an hour" { // what comes twice there has no named reading
				_, want, _ = strings.Cut(want, "01:30-02:00: ")
			}
			if strings.Join(got, " ") != want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
			}
		})
	}
	s, err := schedule.Parse("0 12 * * *", schedule.Options{Location: location(t, "Pacific/Apia")})
	if err != nil {
		t.Fatal(err)
	}
	all := s.Changes(date(2011, 12, 1), date(2012, 1, 31)) // a day that there was not
	if len(all) != 1 || changeText(all[0]) != "2011-12-31T00:00:00+14:00 -36000 +50400 vanish 00:00-00:00: 12:00; runs 2011-12-31T00:00:00+14:00" {
		t.Errorf("Apia: %v", all)
	}
}

func changeText(c schedule.Change) string {
	text := fmt.Sprintf("%s %+d %+d ", c.At.Format(time.RFC3339), c.Before, c.After)
	text += map[bool]string{true: "vanish", false: "twice"}[c.Vanish()] + c.From.Format(" 15:04-") + c.To.Format("15:04:")
	for _, n := range c.Named {
		text += n.Format(" 15:04")
	}
	text += "; runs"
	for _, r := range c.Runs {
		text += " " + r.Format(time.RFC3339)
	}
	return text
}

// TestRandomChanges compares with Go's idea of when the clocks change and the walk along the minutes: in UTC that
// gives the readings that a text names, in the zone what runs.
func TestRandomChanges(t *testing.T) {
	t.Parallel()
	touched := 0
	rapid.Check(t, func(t *rapid.T) {
		text, loc := anyText().Draw(t, "text"), anyZone(t)
		s, err := schedule.Parse(text, schedule.Options{Location: loc, Key: "backup"})
		if err != nil || strings.HasPrefix(strings.TrimSpace(text), "@every") || strings.HasPrefix(strings.TrimSpace(text), "rate") {
			return
		}
		from := anyTime(t, "from")
		to := from.AddDate(10, 0, 0)
		var want []string
		for at := from; ; {
			_, end := at.In(loc).ZoneBounds()
			if end.IsZero() || end.After(to) {
				break
			}
			if _, before := end.Add(-1).In(loc).Zone(); end.After(at) {
				_, after := end.In(loc).Zone()
				if named := namedBetween(text, end, min(before, after), max(before, after)); len(named) > 0 && soleChange(end, loc) {
					want = append(want, fmt.Sprint(end.UTC().Format(time.RFC3339), before, after, named, runsAround(text, loc, end, before, after)))
				}
			}
			if !end.After(at) { // the last day of a leap year, as zone.go says
				end = at.Add(24 * time.Hour)
			}
			at = end
		}
		var got []string
		for _, c := range s.Changes(from, to) {
			if !soleChange(c.At, loc) {
				continue
			}
			runs := []string{}
			for _, r := range c.Runs {
				runs = append(runs, r.UTC().Format(time.RFC3339))
			}
			named := []string{}
			for _, n := range c.Named {
				named = append(named, n.Format("2006-01-02T15:04:05"))
			}
			got = append(got, fmt.Sprint(c.At.UTC().Format(time.RFC3339), c.Before, c.After, named, runs))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q in %s from %s:\ngot  %q\nwant %q", text, loc, from, got, want)
		}
		touched += len(got)
	})
	if touched == 0 {
		t.Error("no change touched anything")
	}
}

// soleChange tells whether the clocks change only once in three days, so that the readings are those of one change.
func soleChange(at time.Time, loc *time.Location) bool {
	_, before := at.Add(-36 * time.Hour).In(loc).Zone()
	_, just := at.Add(-1).In(loc).Zone()
	_, since := at.In(loc).Zone()
	_, after := at.Add(36 * time.Hour).In(loc).Zone()
	return before == just && since == after
}

// namedBetween are the readings that a text names, of those that the clock shows at an instant with one offset and
// with another.
func namedBetween(text string, at time.Time, low, high int) []string {
	wall := func(offset int) time.Time { return at.UTC().Add(time.Duration(offset) * time.Second) }
	named := []string{}
	for _, r := range scheduletest.Slots(text, time.UTC, time.Time{}, "backup", wall(low).Add(-1), wall(high).Add(-1)) {
		named = append(named, r.Format("2006-01-02T15:04:05"))
	}
	return named
}

// runsAround is what runs because of readings that vanish at an instant, or while they come twice.
func runsAround(text string, loc *time.Location, at time.Time, before, after int) []string {
	d := time.Duration(max(before-after, 0)) * time.Second
	runs := []string{}
	if d == 0 && everyHour(text) {
		return runs
	}
	for _, r := range scheduletest.Slots(text, loc, time.Time{}, "backup", at.Add(-d-1), at.Add(max(d-1, 0))) {
		runs = append(runs, r.UTC().Format(time.RFC3339))
	}
	return runs
}

// everyHour tells whether a text names all 24 hours: on a day that it names they are all there, in UTC.
func everyHour(text string) bool {
	s, err := schedule.Parse(text, schedule.Options{Key: "backup"})
	if err != nil {
		return false
	}
	first, _ := s.Next(date(1971, 1, 1))
	day := first.Truncate(24 * time.Hour)
	var seen [24]bool
	for _, t := range scheduletest.Slots(text, time.UTC, time.Time{}, "backup", day.Add(-1), day.Add(24*time.Hour-1)) {
		seen[t.Hour()] = true
	}
	return !slices.Contains(seen[:], false)
}
