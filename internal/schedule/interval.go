package schedule

import (
	"strings"
	"time"
)

const (
	maxInterval = 366 * daySeconds
	// muchTooLong is where numbers stop growing while they are read; any is above maxInterval.
	muchTooLong = 1 << 40
)

// units are those of @every, in the order in which they must come.
var units = []struct {
	letter  byte
	seconds int64
}{{'d', daySeconds}, {'h', 60 * minuteSeconds}, {'m', minuteSeconds}}

// every reads the duration of @every.
func (p *parser) every(s *Schedule, duration token) error {
	const example = "write whole days, hours and minutes in that order, such as @every 1h30m"
	if duration.text == "" {
		return refuse("interval", duration, example, "the duration is missing")
	}
	var total int64
	left := units
	for rest := duration; rest.text != ""; {
		n, digits := leadingNumber(rest.text)
		if digits == 0 {
			return refuse("interval", duration, example, "%s is not a duration of whole days, hours and minutes", duration.text)
		}
		if digits == len(rest.text) {
			return refuse("interval", rest, example, "the unit of %s is missing", rest.text)
		}
		i := 0
		for i < len(left) && left[i].letter != rest.text[digits] {
			i++
		}
		if i == len(left) {
			return refuseUnit(duration, rest.cut(digits, digits+1), example)
		}
		total = min(total+n*left[i].seconds, muchTooLong)
		left = left[i+1:]
		rest = rest.from(digits + 1)
	}
	return p.interval(s, duration, total)
}

func refuseUnit(duration, unit token, example string) *Error {
	switch unit.text {
	case "s":
		return refuse("interval", duration, "the shortest interval is one minute", "seconds are not supported")
	case "d", "h", "m":
		return refuse("interval", duration, example, "%s comes twice or in the wrong order", unit.text)
	case ".":
		return refuse("interval", duration, example, "%s is not made of whole numbers", duration.text)
	}
	return refuse("interval", duration, example, "%q is not a unit", unit.text)
}

// rate reads what stands inside rate(...).
func (p *parser) rate(s *Schedule, inner token) error {
	const example = "write a whole number and a unit, such as rate(5 minutes)"
	parts := inner.fields()
	if len(parts) == 0 {
		return refuse("interval", inner, example, "the number is missing")
	}
	n, digits := leadingNumber(parts[0].text)
	switch {
	case digits > 0 && digits < len(parts[0].text) && isLetter(parts[0].text[digits]):
		return refuse("interval", parts[0], example, "a blank is missing between the number and the unit")
	case digits == 0 || digits < len(parts[0].text):
		return refuse("interval", parts[0], example, "%s is not a whole number", parts[0].text)
	case len(parts) == 1:
		return refuse("interval", inner, example, "the unit is missing")
	case len(parts) > 2:
		return refuse("interval", parts[2], example, "there is more than a number and a unit")
	}
	var unit int64
	switch strings.TrimSuffix(parts[1].text, "s") {
	case "minute":
		unit = minuteSeconds
	case "hour":
		unit = 60 * minuteSeconds
	case "day":
		unit = daySeconds
	default:
		return refuse("interval", parts[1], "the units are minutes, hours and days, in lower case", "%s is not a unit", parts[1].text)
	}
	return p.interval(s, inner, min(n*unit, muchTooLong))
}

func (p *parser) interval(s *Schedule, at token, seconds int64) error {
	if seconds < minuteSeconds {
		return refuse("interval", at, "the shortest interval is one minute", "the interval is zero")
	}
	if seconds > maxInterval {
		return refuse("interval", at, "the longest interval is 366 days", "the interval is longer than 366 days")
	}
	plan, err := newBeat(p.anchor, seconds, p.zone)
	if err != nil {
		return err
	}
	s.plan = plan
	s.words = describeBeat(plan)
	return nil
}

// at reads what stands inside at(...).
func (p *parser) at(s *Schedule, inner token) error {
	const layout = "2006-01-02T15:04:05"
	const example = "write a date and a time such as at(2026-11-22T10:00:00)"
	t := inner.text
	switch {
	case len(t) > len(layout) && strings.ContainsAny(t[len(layout):], "Zz+-"):
		return refuse("at", inner.from(len(layout)), "the time zone is a setting of its own, beside the schedule", "a zone or offset stands inside at(...)")
	case len(t) > 10 && (t[10] == ' ' || t[10] == 't'):
		return refuse("at", inner.cut(10, 11), example, "T is missing between date and time")
	case len(t) == len("2006-01-02T15:04") && t[10] == 'T':
		return refuse("at", inner, example, "the seconds are missing")
	case len(t) != len(layout):
		return refuse("at", inner, example, "%q is not a date and a time", t)
	}
	for i, pattern := range []byte(layout) {
		if isDigit(pattern) != isDigit(t[i]) || !isDigit(pattern) && pattern != t[i] {
			return refuse("at", inner.cut(i, i+1), example, "%q is not a date and a time", t)
		}
	}
	part := func(i, j int) int64 { n, _ := leadingNumber(t[i:j]); return n }
	year, month, date := part(0, 4), part(5, 7), part(8, 10)
	hour, minute, second := part(11, 13), part(14, 16), part(17, 19)
	switch {
	case year < yearBase || year > yearLast:
		return refuse("at", inner.cut(0, 4), "", "year %d is outside %d-%d", year, yearBase, yearLast)
	case month < 1 || month > 12 || date < 1 || date > monthLength(year, month):
		return refuse("at", inner.cut(0, 10), "", "there is no date %s", t[:10])
	case hour > 23:
		return refuse("at", inner.cut(11, 13), "", "hour %d is outside 0-23", hour)
	case minute > 59:
		return refuse("at", inner.cut(14, 16), "", "minute %d is outside 0-59", minute)
	case second > 59:
		return refuse("at", inner.cut(17, 19), "", "second %d is outside 0-59", second)
	}
	reading := dayOf(year, month, date)*daySeconds + (hour*60+minute)*minuteSeconds + second
	s.plan = once{p.zone.instant(0, reading), reading}
	s.words = describeOnce(year, month, date, t[11:])
	return nil
}

// anchorTime is the instant that a beat counts from.
func (p beat) anchorTime() time.Time { return time.Unix(p.anchor, 0).UTC() }

// leadingNumber reads the digits that the text begins with. The number stops growing at muchTooLong.
func leadingNumber(text string) (n int64, digits int) {
	for digits < len(text) && isDigit(text[digits]) {
		n = min(10*n+int64(text[digits]-'0'), muchTooLong)
		digits++
	}
	return n, digits
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
