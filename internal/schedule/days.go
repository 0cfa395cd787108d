package schedule

import (
	"strings"
)

// dayRule is what the letters of a day field of cron(...) say.
type dayRule struct {
	kind    ruleKind
	weekday int // from Sunday
	n       int // the date of nearestWorkday, the place of nthWeekday
}

type ruleKind int

const (
	noRule         ruleKind = iota
	lastDay                 // L
	lastWorkday             // LW
	nearestWorkday          // 15W
	lastWeekday             // 5L, THUL
	nthWeekday              // 3#2, TUE#2
)

// month is one of the 28 months there are.
type month struct{ length, first int } // its days; the weekday of the 1st

func (m month) weekday(date int) int { return (m.first + date - 1) % 7 }

// letters reads a day field that is made of L, W or #, and reports whether it was one.
func (f field) letters(t token, c *content) (bool, error) {
	upper := strings.ToUpper(t.text)
	switch {
	case strings.Contains(upper, ","):
		return false, nil
	case f.week:
		return f.weekLetters(t, upper, c)
	case upper == "L":
		c.rule.kind = lastDay
	case upper == "LW":
		c.rule.kind = lastWorkday
	case strings.HasPrefix(upper, "L-"):
		return false, refuse(f.name, t, "L is the last day of the month", "an offset from L is not supported")
	case upper == "W":
		return false, refuse(f.name, t, "write a date before it, such as 15W", "W needs a day")
	case strings.HasSuffix(upper, "W"):
		date, err := f.value(t.cut(0, len(upper)-1))
		if err != nil {
			return false, err
		}
		c.rule = dayRule{kind: nearestWorkday, n: date}
	default:
		return false, nil
	}
	return true, nil
}

func (f field) weekLetters(t token, upper string, c *content) (bool, error) {
	hash := strings.IndexByte(upper, '#')
	switch {
	case upper == "L":
		c.add(6)
	case hash == 0:
		return false, refuse(f.name, t, "write a day before it, such as TUE#2", "# needs a day")
	case hash > 0:
		weekday, err := f.value(t.cut(0, hash))
		if err != nil {
			return false, err
		}
		place := t.from(hash + 1)
		n, digits := leadingNumber(place.text)
		if digits == 0 || digits < len(place.text) || n < 1 || n > 5 {
			return false, refuse(f.name, place, "", "the number after # is 1 to 5")
		}
		c.rule = dayRule{kind: nthWeekday, weekday: weekday - f.origin, n: int(n)}
	case strings.HasSuffix(upper, "L"):
		weekday, err := f.value(t.cut(0, len(upper)-1))
		if err != nil {
			return false, err
		}
		c.rule = dayRule{kind: lastWeekday, weekday: weekday - f.origin}
	default:
		return false, nil
	}
	return true, nil
}

// fits reports whether a date of a month fits the rule.
func (r dayRule) fits(m month, date int) bool {
	switch r.kind {
	case lastDay:
		return date == m.length
	case lastWorkday:
		return date == m.nearestWorkday(m.length)
	case nearestWorkday:
		return r.n <= m.length && date == m.nearestWorkday(r.n)
	case lastWeekday:
		return m.weekday(date) == r.weekday && date+7 > m.length
	case nthWeekday:
		return m.weekday(date) == r.weekday && (date+6)/7 == r.n
	}
	return false
}

// nearestWorkday is the date nearest the given one, in the same month, that is a Monday to Friday.
func (m month) nearestWorkday(date int) int {
	switch weekday := m.weekday(date); {
	case weekday == 6 && date > 1:
		return date - 1
	case weekday == 6:
		return date + 2
	case weekday == 0 && date < m.length:
		return date + 1
	case weekday == 0:
		return date - 2
	}
	return date
}

// setDays fills in the dates that fit the two day fields, in all the months there are.
func (c *calendar) setDays(dates, week *content) {
	for length := 28; length <= 31; length++ {
		for first := range 7 {
			m := month{length, first}
			for date := 1; date <= length; date++ {
				if bothFit(dates, week, m, date) {
					c.days[length-28][first] |= 1 << date
				}
			}
		}
	}
}

// bothFit is the rule of the two day fields: when either is written with a star, or is ?, a date must fit both;
// otherwise one of them is enough.
func bothFit(dates, week *content, m month, date int) bool {
	byDate := dates.none || dates.has(date) || dates.rule.fits(m, date)
	byWeek := week.none || week.has(m.weekday(date)) || week.rule.fits(m, date)
	if eitherSuffices(dates, week) {
		return byDate || byWeek
	}
	return byDate && byWeek
}

func eitherSuffices(dates, week *content) bool {
	return !dates.star && !week.star && !dates.none && !week.none
}
