package scheduletest

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const lastYear = 2199

// expression is a text, read.
type expression struct {
	interval int64 // seconds; zero for all but @every and rate(...)
	once     bool  // at(...)
	second   int64 // of at(...)

	minutes [60]bool
	hours   [24]bool
	months  [13]bool
	years   map[int]bool // nil for any

	dayOfMonth, dayOfWeek func(date time.Time) bool
	both                  bool // both have to be true of a date, not just one

	everyHour bool // all 24 hours are named

	lastDay  int64 // the day that was looked at last
	lastFits bool
}

var errText = errors.New("this is no schedule")

var (
	isEvery = regexp.MustCompile(`^@every[ \t]+(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?$`)
	isRate  = regexp.MustCompile(`^rate\([ \t]*([0-9]+)[ \t]+(minute|hour|day)s?[ \t]*\)$`)
	isAt    = regexp.MustCompile(`^at\([ \t]*([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})[ \t]*\)$`)
	isCron  = regexp.MustCompile(`^cron\((.*)\)$`)
	isText  = regexp.MustCompile(`^[\t -~]*$`)
)

func read(text, key string) (*expression, error) {
	if len(text) > 1024 || !isText.MatchString(text) {
		return nil, errText
	}
	text = strings.Trim(text, " \t")
	switch text {
	case "@hourly":
		text = "0 * * * *"
	case "@daily", "@midnight":
		text = "0 0 * * *"
	case "@weekly":
		text = "0 0 * * 0"
	case "@monthly":
		text = "0 0 1 * *"
	case "@yearly", "@annually":
		text = "0 0 1 1 *"
	}
	if m := isEvery.FindStringSubmatch(text); m != nil {
		return every(number(m[1])*24*60 + number(m[2])*60 + number(m[3]))
	}
	if m := isRate.FindStringSubmatch(text); m != nil {
		return every(number(m[1]) * map[string]int64{"minute": 1, "hour": 60, "day": 24 * 60}[m[2]])
	}
	if m := isAt.FindStringSubmatch(text); m != nil {
		return at(m[1])
	}
	if m := isCron.FindStringSubmatch(text); m != nil {
		return six(blanks(m[1]))
	}
	return five(blanks(text), key)
}

// number reads digits; too many of them are a billion, which is more than anything here allows.
func number(digits string) int64 {
	if digits == "" {
		return 0
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > 1e9 {
		return 1e9
	}
	return n
}

func blanks(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\t' })
}

func every(minutes int64) (*expression, error) {
	if minutes < 1 || minutes > 366*24*60 {
		return nil, errText
	}
	return &expression{interval: 60 * minutes}, nil
}

func at(text string) (*expression, error) {
	t, err := time.Parse("2006-01-02T15:04:05", text)
	if err != nil || t.Year() < 1970 || t.Year() > lastYear {
		return nil, errText
	}
	e := &expression{once: true, second: int64(t.Second()), both: true}
	e.minutes[t.Minute()], e.hours[t.Hour()] = true, true
	for m := range e.months {
		e.months[m] = true
	}
	e.dayOfMonth = func(date time.Time) bool { return date.Equal(t.Truncate(24 * time.Hour)) }
	e.dayOfWeek = func(time.Time) bool { return true }
	return e, nil
}

func five(parts []string, key string) (*expression, error) {
	if len(parts) != 5 {
		return nil, fmt.Errorf("%w: %d fields", errText, len(parts))
	}
	e := &expression{both: strings.HasPrefix(parts[2], "*") || strings.HasPrefix(parts[4], "*")}
	r := reader{key: key}
	r.each(parts[0], minuteField, func(v int) { e.minutes[v] = true })
	r.each(parts[1], hourField, func(v int) { e.hours[v] = true })
	r.each(parts[3], monthField, func(v int) { e.months[v] = true })
	dates, week := map[int]bool{}, map[int]bool{}
	r.each(parts[2], dateField, func(v int) { dates[v] = true })
	r.each(parts[4], weekField, func(v int) { week[v%7] = true })
	e.dayOfMonth = func(date time.Time) bool { return dates[date.Day()] }
	e.dayOfWeek = func(date time.Time) bool { return week[int(date.Weekday())] }
	return r.done(e)
}

func six(parts []string) (*expression, error) {
	if len(parts) != 6 {
		return nil, fmt.Errorf("%w: %d fields", errText, len(parts))
	}
	if (parts[2] == "?") == (parts[4] == "?") {
		return nil, fmt.Errorf("%w: one day field must be ?", errText)
	}
	e := &expression{both: true, years: map[int]bool{}}
	r := reader{six: true}
	r.each(parts[0], minuteField, func(v int) { e.minutes[v] = true })
	r.each(parts[1], hourField, func(v int) { e.hours[v] = true })
	r.each(parts[3], monthField, func(v int) { e.months[v] = true })
	r.each(parts[5], yearField, func(v int) { e.years[v] = true })
	e.dayOfMonth = r.dates(strings.ToUpper(parts[2]))
	e.dayOfWeek = r.week(strings.ToUpper(parts[4]))
	return r.done(e)
}

// done refuses what was wrong in any field, and what has no date.
func (r *reader) done(e *expression) (*expression, error) {
	if r.err != nil {
		return nil, r.err
	}
	for date := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC); date.Year() <= lastYear; date = date.AddDate(0, 0, 1) {
		if e.dateFits(date) {
			return e, nil
		}
	}
	return nil, fmt.Errorf("%w: no date fits", errText)
}
