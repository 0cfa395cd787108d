package main

import (
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/schedule"
)

// TestTimeOf reads what people write for --from and --to.
func TestTimeOf(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ text, zone, first, last string }{
		{"2026-11-22T23:00:00Z", "UTC", "2026-11-22T23:00:00Z", "2026-11-22T23:00:00Z"},
		{"2026-11-22T23:00:00.5+02:00", "UTC", "2026-11-22T21:00:00.5Z", "2026-11-22T21:00:00.5Z"},
		{"2026-11-22", "UTC", "2026-11-22T00:00:00Z", "2026-11-22T23:59:59.999999999Z"},
		{"2026-11-22", "Europe/Tallinn", "2026-11-21T22:00:00Z", "2026-11-22T21:59:59.999999999Z"},
		{"2026-11-22", "Pacific/Kiritimati", "2026-11-21T10:00:00Z", "2026-11-22T09:59:59.999999999Z"},
		{"2026-11-22", "Pacific/Niue", "2026-11-22T11:00:00Z", "2026-11-23T10:59:59.999999999Z"},
		{"2026-10-25", "Europe/Tallinn", "2026-10-24T21:00:00Z", "2026-10-25T21:59:59.999999999Z"},    // 25 hours
		{"2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-05T01:59:59.999999999Z"}, // no midnight
		{"2011-12-30", "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T09:59:59.999999999Z"},      // no such day
		{"36h", "Europe/Tallinn", "2026-11-22T00:00:00Z", "2026-11-22T00:00:00Z"},
		{"7d", "Europe/Tallinn", "2026-11-16T12:00:00Z", "2026-11-16T12:00:00Z"},
	} {
		zone, err := schedule.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		for last, want := range map[bool]string{false: c.first, true: c.last} {
			got, err := timeOf("from", c.text, zone, now, last)
			if have := got.UTC().Format(time.RFC3339Nano); err != nil || have != want {
				t.Errorf("%s in %s, last %v: %s, %v; want %s", c.text, c.zone, last, have, err, want)
			}
		}
	}
	for text, want := range map[string]string{
		"soon": "\"soon\" is no time\n  soon\n  ^^^^", "2026-13-01": "there is no month 13\n  2026-13-01\n       ^^",
		"2026-02-29": "February 2026 has no day 29\n  2026-02-29\n          ^^", "2026-11-22 7pm": "\" 7pm\"\n  2026-11-22 7pm\n            ^^^^",
		"\x1b[31m": "\"\\x1b[31m\" is no time", "": "\"\" is no time",
	} {
		_, err := timeOf("from", text, time.UTC, now, false)
		if err == nil || !strings.HasSuffix(err.Error(), want) || dayfly.ErrorHint(err) == "" || dayfly.ErrorCode(err) != dayfly.CodeInvalid {
			t.Errorf("%q: %v; %s", text, err, dayfly.ErrorHint(err))
		}
	}
	zone, _ := schedule.LoadLocation("Europe/Tallinn") // it was loaded above
	_, err := timeOf("to", "2026-07-01T06:00", zone, now, true)
	if want := "in Europe/Tallinn it is 2026-07-01T06:00:00+03:00"; dayfly.ErrorHint(err) != want {
		t.Errorf("%q, want %q", dayfly.ErrorHint(err), want)
	}
}

// TestBackfillAsks: on a terminal somebody sees what it will do and may say no.
func TestBackfillAsks(t *testing.T) {
	t.Parallel()
	c := newCall(t) // by the clock that the terminal's process has, too
	t.Cleanup(func() { endMachines(c.data) })
	file := jobFileOf(t, "daily", "schedule: \"@daily\"\nrun: echo ran\ntimeout: 20s\ndeadline: 40s\n")
	c.want(0, "apply", file)
	args := []string{"backfill", "daily", "--from", "2020-02-28", "--to", "2020-03-01"}
	for keys, code := range map[string]int{"n\r": 1, "\r": 1, "\x04": 130, "\x03": 130} {
		s := sit(t, c, args...)
		s.sees(`daily: 3 slots run, one after another, the oldest first`)
		s.sees(`first +Fri 2020-02-28 00:00:00 \+00:00 +2020-02-28T00:00:00Z`)
		s.sees(`last +Sun 2020-03-01`)
		s.sees(`Run 3 slots\? \[y/N\]: `)
		s.types(keys)
		s.sees(`nothing was done`)
		s.ends(code)
	}
	if out, _ := c.want(0, "backfill", "--list", "-o", "name"); out != "" {
		t.Fatalf("somebody said no, and there is %s", out)
	}
	s := sit(t, c, args...)
	s.sees(`Run 3 slots\? \[y/N\]: `)
	s.types("maybe\r")
	s.sees(`y goes on, n does nothing\.`)
	s.sees(`Run 3 slots\? \[y/N\]: `)
	c.want(0, "backfill", "daily", "--from", "2020-02-29", "--to", "2020-02-29", "--yes") // somebody else is faster
	s.types("y\r")
	s.sees(`backfill recorded: `)
	if out, _ := c.want(0, "backfill", "--list", "-o", "jsonl"); !strings.Contains(out, `"slots":2,`) {
		t.Fatalf("one of them ran meanwhile, and there is %s", out)
	}
	s.sees(`2 slots in [0-9.]+ s: 2 succeeded`)
	s.ends(0)
	if out, _ := c.want(0, "history", "-o", "name"); out != "daily-20200301T000000Z.n1\ndaily-20200229T000000Z.n1\ndaily-20200228T000000Z.n1\n" {
		t.Errorf("the runs are\n%s", out)
	}
}
