package scheduletest

import (
	"fmt"
	"slices"
	"time"
)

// Slots are the instants t with after < t <= upTo that a schedule means, in order and in the zone loc. The anchor may
// be zero and the key empty, as in schedule.Options. A text that the specification refuses panics; ask Check first.
func Slots(text string, loc *time.Location, anchor time.Time, key string, after, upTo time.Time) []time.Time {
	e, err := read(text, key)
	if err != nil {
		panic(fmt.Sprintf("scheduletest: %q: %v", text, err))
	}
	var all []time.Time
	if e.interval > 0 {
		all = e.beats(loc, anchor, after, upTo)
	} else {
		all = e.walk(loc, after, upTo)
	}
	return all
}

// Check reports why the specification refuses a text, nil if it does not.
func Check(text, key string) error {
	_, err := read(text, key)
	return err
}

// beats counts from the anchor.
func (e *expression) beats(loc *time.Location, anchor, after, upTo time.Time) []time.Time {
	if anchor.IsZero() {
		anchor = time.Unix(0, 0)
	}
	t := anchor
	if ahead := after.Unix() - anchor.Unix(); ahead > 0 {
		t = time.Unix(anchor.Unix()+ahead/e.interval*e.interval, 0)
	}
	var all []time.Time
	for ; !t.After(upTo) && t.In(loc).Year() <= lastYear; t = t.Add(time.Duration(e.interval) * time.Second) {
		if t.After(after) {
			all = append(all, t.In(loc))
		}
	}
	return all
}

// walk goes along real time. Readings are minutes since 1970-01-01 00:00 on the wall clock.
func (e *expression) walk(loc *time.Location, after, upTo time.Time) []time.Time {
	e.lastDay = -1
	e.everyHour = !slices.Contains(e.hours[:], false)
	var all []time.Time
	keep := func(t int64) {
		if at := time.Unix(t, 0).In(loc); at.After(after) && !at.After(upTo) {
			all = append(all, at)
		}
	}
	// The walk begins early enough to know which readings before `after` have been there already.
	start := after.Add(-72 * time.Hour).Truncate(time.Hour).Unix()
	furthest := start/60 + offset(loc, start)/60 - 1
	shift := offset(loc, start)
	for hour := start; hour <= upTo.Unix(); hour += 3600 {
		later := offset(loc, hour+3600)
		for t := hour; t < hour+3600; t += 60 {
			if shift != later {
				shift = offset(loc, t)
			}
			e.minute(t, (t+shift)/60, &furthest, keep)
		}
		shift = later
	}
	return all
}

// minute decides about one minute of real time, at which the wall clock shows a reading.
func (e *expression) minute(t, reading int64, furthest *int64, keep func(int64)) {
	switch {
	case e.everyHour:
		if e.fits(reading) {
			keep(t)
		}
	case reading <= *furthest:
		// It comes for the second time.
	case e.once:
		for r := *furthest + 1; r < reading; r++ {
			if e.fits(r) {
				keep(t) // and the seconds have vanished with the minute
			}
		}
		if e.fits(reading) {
			keep(t + e.second)
		}
	default:
		run := e.fits(reading)
		for r := *furthest + 1; r < reading && !run; r++ {
			run = e.fits(r) // it has vanished
		}
		if run {
			keep(t)
		}
	}
	*furthest = max(*furthest, reading)
}

func offset(loc *time.Location, t int64) int64 {
	_, seconds := time.Unix(t, 0).In(loc).Zone()
	if seconds%60 != 0 {
		panic(fmt.Sprintf("scheduletest: %s is %d seconds off UTC at %s", loc, seconds, time.Unix(t, 0).UTC()))
	}
	return int64(seconds)
}

// fits reports whether a reading is one that the fields name.
func (e *expression) fits(reading int64) bool {
	minute := reading % 60
	if !e.minutes[minute] || !e.hours[reading/60%24] {
		return false
	}
	day := reading / (24 * 60)
	if day != e.lastDay {
		e.lastDay, e.lastFits = day, e.dateFits(time.Unix(day*24*3600, 0).UTC())
	}
	return e.lastFits
}

func (e *expression) dateFits(date time.Time) bool {
	if date.Year() > lastYear || e.years != nil && !e.years[date.Year()] || !e.months[date.Month()] {
		return false
	}
	if e.both {
		return e.dayOfMonth(date) && e.dayOfWeek(date)
	}
	return e.dayOfMonth(date) || e.dayOfWeek(date)
}
