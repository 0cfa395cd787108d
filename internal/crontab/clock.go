package crontab

import (
	"fmt"
	"time"
)

// horizon is how far ahead clock changes are looked at.
const horizon = 2 * 366 * 24 * time.Hour

// jump is the change of the clock, in minutes, from which on cron takes it for a correction and not for one of
// those that come twice a year.
const jump = 3 * 60

// dateOf is the date, the month and the weekday of a day since 1970-01-01.
func dateOf(day int64) (date, month, weekday int) {
	t := time.Unix(day*24*60*60, 0).UTC()
	return t.Day(), int(t.Month()), int(t.Weekday())
}

// clockChange looks for a change of the clock at which cron runs an entry more or less often than dayfly. by tells
// that the zone is one that the crontab names: then cron looks at each minute's reading and at nothing else.
func (t *timing) clockChange(s *sets, loc *time.Location, by bool, now time.Time) (text string, found bool) {
	for at := now; ; {
		_, change := at.In(loc).ZoneBounds()
		if change.IsZero() || change.After(now.Add(horizon)) {
			return "", false
		}
		if text := t.atChange(s, loc, by, change); text != "" {
			return text, true
		}
		at = change
	}
}

// atChange says how cron and dayfly differ at one change of the clock; "" where they do not.
func (t *timing) atChange(s *sets, loc *time.Location, by bool, change time.Time) string {
	_, before := change.Add(-time.Second).In(loc).Zone()
	_, after := change.In(loc).Zone()
	wild := t.fields[minuteField].star || t.fields[hourField].star
	everyHour := s[hourField] == kinds()[hourField].full()
	reading := (change.Unix() + int64(after)) / 60 // the first after the change
	length := int64(after-before) / 60
	when := change.In(loc).Format("2006-01-02 15:04")
	if length < 0 {
		return t.atOverlap(s, reading, reading-length, by || wild || -length > jump, everyHour, when)
	}
	cron, vanished := 0, 0
	for r := reading - length; r <= reading; r++ {
		if t.fits(s, r) {
			vanished++
		}
	}
	if t.fits(s, reading) {
		cron = 1
	}
	dayfly := cron
	if !by && !wild && length <= jump {
		cron = vanished
	}
	if !everyHour {
		dayfly = min(vanished, 1)
	}
	if cron == dayfly {
		return ""
	}
	return fmt.Sprintf("at %s, when the clocks go forward, cron starts it %s and dayfly %s", when, times(cron), times(dayfly))
}

// atOverlap compares what happens to readings that come twice, from one reading up to another.
func (t *timing) atOverlap(s *sets, from, to int64, cron, dayfly bool, when string) string {
	if cron == dayfly {
		return ""
	}
	for r := from; r < to; r++ {
		if t.fits(s, r) {
			again := "cron runs it in the hour that comes again too, dayfly does not"
			if dayfly {
				again = "dayfly runs it in the hour that comes again too, cron does not"
			}
			return fmt.Sprintf("at %s, when the clocks go back, %s", when, again)
		}
	}
	return ""
}

func times(n int) string {
	switch n {
	case 0:
		return "not at all"
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}
