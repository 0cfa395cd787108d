package schedule

import (
	"strings"
)

// field is one of the fields of a dialect.
type field struct {
	name   string
	lo, hi int
	size   int // the number of different values, and so the longest step
	origin int // the value that bit 0 stands for
	names  []string
	first  int  // the value of the first name
	day    bool // one of the two day fields
	week   bool // the day of the week, whose ranges may wrap
	six    bool // of cron(...)
}

var (
	monthNames = []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	dayNames   = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}

	fiveFields = []field{
		{name: "minute", hi: 59, size: 60},
		{name: "hour", hi: 23, size: 24},
		{name: "day-of-month", lo: 1, hi: 31, size: 31, day: true},
		{name: "month", lo: 1, hi: 12, size: 12, names: monthNames, first: 1},
		{name: "day-of-week", hi: 7, size: 7, names: dayNames, day: true, week: true},
	}
	cronFields = []field{
		{name: "minute", hi: 59, size: 60, six: true},
		{name: "hour", hi: 23, size: 24, six: true},
		{name: "day-of-month", lo: 1, hi: 31, size: 31, day: true, six: true},
		{name: "month", lo: 1, hi: 12, size: 12, names: monthNames, first: 1, six: true},
		{name: "day-of-week", lo: 1, hi: 7, size: 7, origin: 1, names: dayNames, first: 1, day: true, week: true, six: true},
		{name: "year", lo: yearBase, hi: yearLast, size: yearLast - yearBase + 1, origin: yearBase, six: true},
	}
)

// content is what a field says.
type content struct {
	at   token
	set  [4]uint64 // the values, counted from the field's origin
	star bool      // it begins with a star, which is what the rule of the two day fields goes by
	none bool      // it is ?
	rule dayRule   // instead of values
}

func (c *content) add(n int)      { c.set[n/64] |= 1 << (n % 64) }
func (c *content) has(n int) bool { return c.set[n/64]>>(n%64)&1 != 0 }

// field reads one field.
func (p *parser) field(f field, t token) (content, error) {
	c := content{at: t, star: t.text[0] == '*'}
	if t.text == "?" && f.six && f.day {
		c.none = true
		return c, nil
	}
	if f.six && f.day {
		if done, err := f.letters(t, &c); done || err != nil {
			return c, err
		}
	}
	if isHash(t.text) && !f.six {
		return c, p.hash(f, t, &c)
	}
	items := t.split(',')
	for _, item := range items {
		if err := f.item(item, len(items) == 1, &c); err != nil {
			return c, err
		}
	}
	return c, nil
}

// item adds the values of one item of a list.
func (f field) item(t token, alone bool, c *content) error {
	if t.text == "" {
		return refuse(f.name, t, "", "an element of the list is empty")
	}
	parts := t.split('/')
	if len(parts) > 2 {
		return refuse(f.name, t, "", "%s has two steps", t.text)
	}
	lo, hi, err := f.span(parts[0], alone)
	if err != nil {
		return err
	}
	step := 1
	if len(parts) == 2 {
		if step, err = f.step(parts[1]); err != nil {
			return err
		}
		if isSingle(parts[0].text) {
			if hi = f.lo + f.size - 1; !f.six {
				return refuse(f.name, t, "write "+parts[0].text+"-"+decimal(hi)+"/"+parts[1].text, "%s has a step without a range", t.text)
			}
		}
	}
	for v := lo; v <= hi; v += step {
		n := v - f.origin
		if f.week {
			n %= 7
		}
		c.add(n)
	}
	return nil
}

func isSingle(base string) bool { return base != "*" && !strings.Contains(base, "-") }

// span is the first and the last value of an item; the last of a week that wraps lies past the field's end.
func (f field) span(base token, alone bool) (lo, hi int, err error) {
	if base.text == "*" {
		if f.day && !alone {
			return 0, 0, refuse(f.name, base, "write * alone, or list the days", "a star stands in a list")
		}
		return f.lo, f.lo + f.size - 1, nil
	}
	ends := base.split('-')
	switch {
	case base.text == "":
		return 0, 0, refuse(f.name, base, "", "there is nothing before the step")
	case strings.HasPrefix(base.text, "*"):
		return 0, 0, refuse(f.name, base, "", "a star takes a step and nothing else")
	case len(ends) == 2 && ends[0].text == "" && ends[1].text != "":
		return 0, 0, refuse(f.name, base, "", "%s is negative", base.text)
	case ends[0].text == "":
		return 0, 0, refuse(f.name, base, "", "range %s has no start", base.text)
	case len(ends) > 2:
		return 0, 0, refuse(f.name, base, "", "range %s has more than two ends", base.text)
	case len(ends) == 2 && ends[1].text == "":
		return 0, 0, refuse(f.name, base, "", "range %s has no end", base.text)
	}
	if lo, err = f.value(ends[0]); err != nil {
		return 0, 0, err
	}
	if len(ends) == 1 {
		return lo, lo, nil
	}
	if hi, err = f.value(ends[1]); err != nil {
		return 0, 0, err
	}
	if hi < lo && f.week {
		return lo, hi + 7, nil
	}
	if hi < lo {
		return 0, 0, refuse(f.name, base, f.forwards(ends[0].text, ends[1].text), "range %s runs backwards", base.text)
	}
	return lo, hi, nil
}

// forwards is a backwards range as one or two that run forwards.
func (f field) forwards(from, to string) string {
	if f.name == "year" {
		return "write " + to + "-" + from
	}
	return "write " + from + "-" + f.spell(f.hi, from) + "," + f.spell(f.lo, to) + "-" + to
}

// spell writes a value as a name if the other end of its range is one.
func (f field) spell(value int, like string) string {
	if _, ok := f.named(like); ok {
		return f.names[value-f.first]
	}
	return decimal(value)
}

// step reads what follows the slash.
func (f field) step(t token) (int, error) {
	n, digits := leadingNumber(t.text)
	switch {
	case t.text == "":
		return 0, refuse(f.name, t, "", "the step is missing")
	case digits < len(t.text):
		return 0, refuse(f.name, t, "", "step %s is not a whole number", t.text)
	case digits > 4:
		return 0, refuse(f.name, t, "", "step %s has more than four digits", t.text)
	case n == 0:
		return 0, refuse(f.name, t, "", "a step is at least 1")
	case n > int64(f.size):
		return 0, refuse(f.name, t, f.longStep(n), "step %d is more than the %d values there are", n, f.size)
	}
	return int(n), nil
}

// longStep is the interval that a step longer than its field was probably meant to be.
func (f field) longStep(n int64) string {
	unit := ""
	switch {
	case f.name == "minute" && n <= maxInterval/minuteSeconds:
		unit = "m"
	case f.name == "hour" && n <= 366*24:
		unit = "h"
	case f.day && n <= 366:
		unit = "d"
	default:
		return ""
	}
	return "for an interval write @every " + decimal(int(n)) + unit
}

// value reads a number or a name.
func (f field) value(t token) (int, error) {
	n, digits := leadingNumber(t.text)
	if digits == 0 || digits < len(t.text) {
		if v, ok := f.named(t.text); ok {
			return v, nil
		}
		return 0, f.refuseValue(t)
	}
	if digits > 4 {
		return 0, refuse(f.name, t, "", "%s has more than four digits", t.text)
	}
	if n < int64(f.lo) || n > int64(f.hi) {
		hint := ""
		if f.week && f.six {
			hint = "inside cron(...) 1 is Sunday and 7 is Saturday"
		}
		return 0, refuse(f.name, t, hint, "%d is outside %d-%d", n, f.lo, f.hi)
	}
	return int(n), nil
}

func (f field) named(text string) (int, bool) {
	for i, name := range f.names {
		if strings.EqualFold(name, text) {
			return f.first + i, true
		}
	}
	return 0, false
}
