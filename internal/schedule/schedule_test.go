package schedule_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dayfly-io/dayfly/internal/schedule"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"* * * * *":                       "every minute",
		"*/15 * * * *":                    "every 15 minutes",
		"*/7 * * * *":                     "every hour, at minutes 0, 7, 14 and so on to 56",
		"@hourly":                         "every hour, on the hour",
		"30 * * * *":                      "every hour, at minute 30",
		"0,30 * * * SUN":                  "every 30 minutes, every Sunday",
		"* * 5 * *":                       "every minute, on the 5th of the month",
		"0 23 * * *":                      "at 23:00 every day",
		"0 01,07,13,19 * * *":             "at 01:00, 07:00, 13:00 and 19:00 every day",
		"*/10 8-17 * * MON-FRI":           "every 10 minutes of the hours from 08:00 to 17:59 every Monday to Friday",
		"* 2 * * *":                       "every minute of the hour from 02:00 every day",
		"0 */2 * * *":                     "at minute 0 of the hours 0, 2, 4 and so on to 22 every day",
		"1,2,7,8,9,40 0-5 * * *":          "at minutes 1, 2, 7 to 9 and 40 of the hours from 00:00 to 05:59 every day",
		"30 9 1,15 * *":                   "at 09:30 on the 1st and 15th of the month",
		"0 0 13 * FRI":                    "at 00:00 on the 13th of the month, and every Friday",
		"0 0 1 6 MON":                     "at 00:00 on the 1st of June, and every Monday in June",
		"0 0 */2 * MON,TUE":               "at 00:00 on the 1st, 3rd, 5th and so on to 31st of the month if it is a Monday or Tuesday",
		"0 0 1-31 * MON":                  "at 00:00 every day",
		"0 0 * 2 *":                       "at 00:00 every day of February",
		"0 9 * 6-8 SAT,SUN":               "at 09:00 every Saturday and Sunday in June to August",
		"0 9 * * FRI-MON":                 "at 09:00 every Friday to Monday",
		"@yearly":                         "at 00:00 on the 1st of January",
		"@every 90m":                      "every 1 hour and 30 minutes of real time, counted from 2026-11-01T00:07Z",
		"@every 1h":                       "every hour of real time, counted from 2026-11-01T00:07Z",
		"rate(1 day)":                     "every 24 hours of real time, counted from 2026-11-01T00:07Z",
		"at(2026-11-22T10:00:30)":         "once, at 10:00:30 on 22 November 2026",
		"cron(0 8 L * ? *)":               "at 08:00 on the last day of the month",
		"cron(0 8 LW 1 ? *)":              "at 08:00 on the last Monday-to-Friday day of January",
		"cron(0 8 22W * ? *)":             "at 08:00 on the Monday-to-Friday day nearest the 22nd of the month",
		"cron(0 8 ? * THUL *)":            "at 08:00 on the last Thursday of the month",
		"cron(0 8 ? * 3#2 *)":             "at 08:00 on the second Tuesday of the month",
		"cron(0 8 ? * L *)":               "at 08:00 every Saturday",
		"cron(0 8 3 * ? 2027-2029,2031)":  "at 08:00 on the 3rd of the month, in 2027 to 2029 and 2031",
		"cron(0 0 1 1 ? 2030)":            "at 00:00 on the 1st of January, in 2030",
		"H H(0-5) * * *":                  "at 02:16 every day",
		"cron(0 0 ? * 2-6 1970-2199)":     "at 00:00 every Monday to Friday",
		"5 4 11-13,21 1-3,5 *":            "at 04:05 on the 11th to 13th and 21st of January to March and May",
		"0 0 1-7 * */7":                   "at 00:00 on the 1st to 7th of the month if it is a Sunday",
		"*/20 1,5,9 * * *":                "every 20 minutes of the hours 1, 5 and 9 every day",
		"cron(0 12 ? * MON,WED,FRI */10)": "at 12:00 every Monday, Wednesday and Friday, in 1970, 1980, 1990 and so on to 2190",
	} {
		s, err := schedule.Parse(text, schedule.Options{Location: location(t, "Europe/Tallinn"), Key: "backup", Anchor: instant(t, "2026-11-01T00:07:00Z")})
		if err != nil {
			t.Errorf("Parse(%q): %v", text, err)
		} else if got := s.Describe(); got != want+", Europe/Tallinn" {
			t.Errorf("%-35s says %q\n%36swant %q", text, got, "", want)
		}
	}
}

// TestRefusals looks at the words: the field, the place and the way out.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want, at, hint string }{
		{"5/15 * * * *", "minute: 5/15 has a step without a range", "5/15", "write 5-59/15"},
		{"0 0 * * MON/2", "day-of-week: MON/2 has a step without a range", "MON/2", "write MON-6/2"},
		{"* 22-4 * * *", "hour: range 22-4 runs backwards", "22-4", "write 22-23,0-4"},
		{"* * * NOV-FEB *", "month: range NOV-FEB runs backwards", "NOV-FEB", "write NOV-DEC,JAN-FEB"},
		{"cron(0 0 1 1 ? 2030-2028)", "year: range 2030-2028 runs backwards", "2030-2028", "write 2028-2030"},
		{"  0 0 * * ?", "day-of-week: ? is not known in five fields", "?", "use cron(...)"},
		{"0 0 15W * *", "day-of-month: L, W and # are not known in five fields", "15W", "use cron(...)"},
		{"0 0 * * 5L", "day-of-week: L, W and # are not known in five fields", "5L", "use cron(...)"},
		{"0 0 * * * 2027", "schedule: five fields are needed, not 6", "0 0 * * * 2027", "a year needs cron(...)"},
		{"*/90 * * * *", "minute: step 90 is more than the 60 values there are", "90", "@every 90m"},
		{"0 */36 * * *", "hour: step 36 is more than the 24 values there are", "36", "@every 36h"},
		{"0 0 */40 * *", "day-of-month: step 40 is more than the 31 values there are", "40", "@every 40d"},
		{"* * * JANUARY *", "month: names have three letters", "JANUARY", "write JAN"},
		{"* * * MON *", "month: MON is no name of this field", "MON", "fifth"},
		{"TZ=UTC 0 5 * * *", "schedule: TZ= stands inside the schedule", "TZ=UTC", "setting of its own"},
		{"cron (0 5 * * ? *)", "schedule: there is a blank before the bracket", "cron ", "write cron(...)"},
		{"Rate(5 minutes)", "schedule: cron, rate and at are lower case", "Rate", "write rate(...)"},
		{"cron(0 5 * * ? *) daily", "schedule: there is text after the closing bracket", "daily", ""},
		{"cron(0 5 * * 2 *)", "day-of-month: neither day field is ?", "*", "write ?"},
		{"cron(0 5 ? * 0 *)", "day-of-week: 0 is outside 1-7", "0", "1 is Sunday"},
		{"cron(H 5 * * ? *)", "minute: H is not known inside cron(...)", "H", "five fields"},
		{"h 5 * * *", "minute: H is upper case", "h", "write H"},
		{"H,5 5 * * *", "minute: H stands alone in its field", ",5", "H(a-b)"},
		{"H/61 5 * * *", "minute: step 61 is more than the 60 values there are", "61", ""},
		{"H(0-9)/11 5 * * *", "minute: step 11 is more than the 10 values from 0 to 9", "11", ""},
		{"H(9-0) 5 * * *", "minute: range 9-0 runs backwards", "(9-0)", ""},
		{"H(0-9 5 * * *", "minute: the closing bracket after H is missing", "(0-9", "H(2-5)"},
		{"0 0 * * H(0-7)", "day-of-week: 7 is outside 0-6", "7", ""},
		{"5,H 5 * * *", "minute: H stands alone in its field", "H", ""},
		{"H() 5 * * *", "minute: H(a-b) needs two ends", "()", "H(2-5)"},
		{"H(60-61) 5 * * *", "minute: 60 is outside 0-59", "60", ""},
		{"H(5-61) 5 * * *", "minute: 61 is outside 0-59", "61", ""},
		{"/5 * * * *", "minute: there is nothing before the step", "", ""},
		{"5-60 * * * *", "minute: 60 is outside 0-59", "60", ""},
		{"*/00005 * * * *", "minute: step 00005 has more than four digits", "00005", ""},
		{"cron(0 0 ? * 9#2 *)", "day-of-week: 9 is outside 1-7", "9", ""},
		{"cron(0 0 ? * 9L *)", "day-of-week: 9 is outside 1-7", "9", ""},
		{"@Every 5m", "macro: macros are lower case", "@Every", "write @every"},
		{"@every5m", "macro: a blank is missing after @every", "@every5m", "write @every 5m"},
		{"@noon", "macro: @noon is not known", "@noon", "@daily"},
		{"@daily 5", "macro: @daily stands alone", "5", ""},
		{"@every 5m1h", "interval: h comes twice or in the wrong order", "5m1h", "in that order"},
		{"@every 5", "interval: the unit of 5 is missing", "5", "@every 1h30m"},
		{"@every 5w", "interval: \"w\" is not a unit", "5w", ""},
		{"rate(5minutes)", "interval: a blank is missing between the number and the unit", "5minutes", "rate(5 minutes)"},
		{"rate()", "interval: the number is missing", "", "rate(5 minutes)"},
		{"rate(5 minutes now)", "interval: there is more than a number and a unit", "now", ""},
		{"at(2026-02-29T10:00:00)", "at: there is no date 2026-02-29", "2026-02-29", ""},
		{"at(2200-01-01T00:00:00)", "at: year 2200 is outside 1970-2199", "2200", ""},
		{"at(2026-11-22T10:00:00+02:00)", "at: a zone or offset stands inside at(...)", "+02:00", "setting of its own"},
		{"at(tomorrow)", "at: \"tomorrow\" is not a date and a time", "tomorrow", "at(2026-11-22T10:00:00)"},
		{"at(2026/11/22T10:00:00)", "at: \"2026/11/22T10:00:00\" is not a date and a time", "/", "at(2026-11-22T10:00:00)"},
		{"at(2026-11-22T10:61:00)", "at: minute 61 is outside 0-59", "61", ""},
		{"at(2026-11-22T10:00:60)", "at: second 60 is outside 0-59", "60", ""},
		{"cron(0 0 29 2 ? 2025,2026)", "year: no date from 1970 to 2199 fits: 29 in month 2 does not come in 2025,2026", "2025,2026", ""},
		{"0 0 31 FEB,APR *", "day-of-month: no date from 1970 to 2199 fits: 31 never comes in month FEB,APR", "31", ""},
		{"0 0 * * *\n", "schedule: \"\\n\" is no printable ASCII character", "\n", ""},
		{"0 0 * * é", "schedule: \"é\" is no printable ASCII character", "é", ""},
		{strings.Repeat("1,", 600) + "1 * * * *", "schedule: the text has 1209 bytes, at most 1024 are read", "", ""},
	} {
		_, err := schedule.Parse(c.text, schedule.Options{Key: "backup"})
		var e *schedule.Error
		if !errors.As(err, &e) {
			t.Errorf("Parse(%q) = %v", c.text, err)
			continue
		}
		at := c.text[e.Offset : e.Offset+e.Len]
		if e.Error() != c.want || c.at != "" && at != c.at || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("Parse(%q):\ngot  %s [%s] hint %q\nwant %s [%s] hint %q", c.text, e, at, e.Hint, c.want, c.at, c.hint)
		}
	}
}

func TestHashNeedsAKey(t *testing.T) {
	t.Parallel()
	_, err := schedule.Parse("H 5 * * *", schedule.Options{})
	var e *schedule.Error
	if !errors.As(err, &e) || e.Field != "minute" || !strings.Contains(e.Problem, "name of a job") {
		t.Fatalf("Parse without a key: %v", err)
	}
}

func TestHashSpreadsJobs(t *testing.T) {
	t.Parallel()
	minutes := map[int]int{}
	for i := range 600 {
		s, err := schedule.Parse("H * * * *", schedule.Options{Key: "job-" + strings.Repeat("x", i%20) + string(rune('a'+i/20))})
		if err != nil {
			t.Fatal(err)
		}
		at, _ := s.Next(date(2026, 1, 1))
		minutes[at.Minute()]++
	}
	if len(minutes) < 55 {
		t.Errorf("600 jobs run at %d different minutes", len(minutes))
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"0 0 13 * FRI":      {"both day fields are restricted: a date that fits either 13 or FRI is enough; for dates that fit both, begin one of them with *"},
		"*/7 * * * *":       {"minute */7 counts from 0 again each hour, 4 minutes after the last; for an even beat use @every"},
		"0 */5 * * *":       {"hour */5 counts from 0 again each day, 4 hours after the last; for an even beat use @every"},
		"0 0 31 * *":        {"a month without day 31 has no run, such as February"},
		"0 0 31 1,3,4 *":    {"a month without day 31 has no run, such as April"},
		"0 0 31 1,3 *":      nil,
		"0 0 31,1 * *":      nil,
		"0 0 */2 * FRI":     nil,
		"*/15 */6 * * *":    nil,
		"*/7,3 * * * *":     nil,
		"cron(0 0 L * ? *)": nil,
		"@every 7m":         nil,
	} {
		s := parse(t, text, "UTC")
		if diff := cmp.Diff(want, s.Warnings()); diff != "" {
			t.Errorf("warnings of %q (-want +got):\n%s", text, diff)
		}
	}
}

func TestStringIsTheTextTrimmed(t *testing.T) {
	t.Parallel()
	s := parse(t, " \t0  23 * * *\t ", "Europe/Tallinn")
	if s.String() != "0  23 * * *" || s.Location().String() != "Europe/Tallinn" {
		t.Errorf("%q in %s", s, s.Location())
	}
}

func TestAnchor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, anchor, want string }{
		{"half a minute", "2026-01-01T00:00:30Z", "whole minute"},
		{"a fraction", "2026-01-01T00:00:00.5Z", "whole minute"},
		{"past the calendar", "2200-01-01T00:00:00Z", "ends with local year 2199"},
	} {
		_, err := schedule.Parse("@every 5m", schedule.Options{Anchor: instant(t, c.anchor)})
		var e *schedule.Error
		if !errors.As(err, &e) || e.Field != "anchor" || !strings.Contains(e.Problem, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	s, err := schedule.Parse("@every 5m", schedule.Options{Anchor: instant(t, "2026-01-01T05:32:00+05:30")})
	if err != nil {
		t.Fatal(err)
	}
	if at, _ := s.Next(date(2020, 1, 1)); !at.Equal(instant(t, "2026-01-01T00:02:00Z")) {
		t.Errorf("an anchor to come is first: %s", at)
	}
	if at, ok := s.Prev(date(2026, 1, 1)); ok {
		t.Errorf("nothing runs before the anchor: %s", at)
	}
}

// TestEndOfTheCalendar: the last instant is in local year 2199, in every zone.
func TestEndOfTheCalendar(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Tallinn"} {
		for _, text := range []string{"* * * * *", "59 23 * * *", "@every 1m", "cron(59 23 L 12 ? *)", "at(2199-12-31T23:59:00)"} {
			s := parse(t, text, zone)
			last, ok := s.Prev(date(3000, 1, 1))
			if got := last.Format("2006-01-02T15:04:05"); !ok || got != "2199-12-31T23:59:00" {
				t.Errorf("the last instant of %q in %s is %s", text, zone, got)
			}
			if next, ok := s.Next(last); ok {
				t.Errorf("%q in %s goes on with %s", text, zone, next)
			}
			if n := s.Count(last.Add(-1), date(9999, 1, 1)); n != 1 {
				t.Errorf("Count of %q in %s from the last instant on is %d", text, zone, n)
			}
		}
	}
}

// TestBeginningOfTheCalendar: cron(...) knows no year before 1970; five fields do.
func TestBeginningOfTheCalendar(t *testing.T) {
	t.Parallel()
	five, six := parse(t, "0 12 * * *", "UTC"), parse(t, "cron(0 12 * * ? *)", "UTC")
	if at, _ := five.Next(date(1960, 2, 3)); !at.Equal(time.Date(1960, 2, 3, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("five fields after 3 February 1960: %s", at)
	}
	if at, _ := six.Next(date(1960, 2, 3)); !at.Equal(time.Date(1970, 1, 1, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("cron(...) after 3 February 1960: %s", at)
	}
	if at, ok := six.Prev(date(1970, 1, 1)); ok {
		t.Errorf("cron(...) before 1970: %s", at)
	}
	if n := six.Count(date(1960, 1, 1), date(1970, 1, 11)); n != 10 {
		t.Errorf("cron(...) ran %d times in ten days", n)
	}
}

// TestFarDates: what is decades away is found, and what is nowhere is not looked for twice.
func TestFarDates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, after, want string }{
		{"0 0 29 2 */7", "2088-03-01T00:00:00Z", "2128-02-29T00:00:00Z"},
		{"cron(0 0 ? 2 SAT#5 *)", "2020-03-01T00:00:00Z", "2048-02-29T00:00:00Z"},
		{"cron(* * ? 2 SAT#5 2196-2199)", "2020-03-01T00:00:00Z", ""},
		{"cron(0 0 1 1 ? 2199)", "1970-01-01T00:00:00Z", "2199-01-01T00:00:00Z"},
	} {
		s, err := schedule.Parse(c.text, schedule.Options{})
		if c.want == "" {
			if err == nil {
				t.Errorf("%q has no date and was not refused", c.text)
			}
			continue
		}
		if err != nil {
			t.Errorf("Parse(%q): %v", c.text, err)
			continue
		}
		if at, ok := s.Next(instant(t, c.after)); !ok || !at.Equal(instant(t, c.want)) {
			t.Errorf("Next of %q after %s is %s, want %s", c.text, c.after, at, c.want)
		}
	}
}

// TestADayThatNeverWas: the date fits, so the schedule is taken, and every-hour schedules make up for nothing.
func TestADayThatNeverWas(t *testing.T) {
	t.Parallel()
	if at, ok := parse(t, "cron(* * 30 12 ? 2011)", "Pacific/Apia").Next(date(2011, 1, 1)); ok {
		t.Errorf("every minute of 30 December 2011 runs at %s", at)
	}
	at, ok := parse(t, "cron(* 0-22 30 12 ? 2011)", "Pacific/Apia").Next(date(2011, 1, 1))
	if !ok || at.Format(time.RFC3339) != "2011-12-31T00:00:00+14:00" {
		t.Errorf("clock times of 30 December 2011 run at %s", at)
	}
}

func TestNextDoesNotAllocate(t *testing.T) {
	for _, text := range append([]string{"@every 7m", "at(2030-01-01T00:00:00)"}, typical...) {
		s := parse(t, text, "America/New_York")
		set := schedule.NewSet(schedule.Member{Schedule: s}, schedule.Member{Schedule: s, From: date(2026, 1, 1)})
		at := date(2026, 11, 22)
		allocs := testing.AllocsPerRun(200, func() {
			at, _ = s.Next(at)
			s.Prev(at)
			s.Count(date(2026, 1, 1), at)
			set.Next(at)
		})
		if allocs != 0 {
			t.Errorf("%q allocates %v times", text, allocs)
		}
	}
}

// TestCountDoesNotStep: ten years of a minutely schedule are counted in less time than a thousand steps would take,
// and all 230 years there are still in far less than a second.
func TestCountDoesNotStep(t *testing.T) {
	t.Parallel()
	s := parse(t, "* * * * *", "America/New_York")
	best := time.Hour
	for range 5 {
		start := time.Now()
		if n, want := s.Count(date(2026, 1, 1), date(2036, 1, 1)), 3652*24*60; n != want {
			t.Fatalf("Count = %d, want %d", n, want)
		}
		best = min(best, time.Since(start))
	}
	if best > time.Millisecond {
		t.Errorf("counting ten years took %s", best)
	}
	if n, want := parse(t, "* * * * *", "UTC").Count(date(1970, 1, 1), date(2400, 1, 1)), 84006*24*60-1; n != want {
		t.Errorf("Count of all minutes = %d, want %d", n, want)
	}
}

func TestSchedulesAreSharedSafely(t *testing.T) {
	t.Parallel()
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for _, name := range zones {
				loc, err := schedule.LoadLocation(name)
				if err != nil {
					t.Error(err)
					return
				}
				s, err := schedule.Parse("0 23 * * *", schedule.Options{Location: loc})
				if err != nil {
					t.Error(err)
					return
				}
				s.Next(date(2026, 1, 1))
			}
		})
	}
	wait.Wait()
}
