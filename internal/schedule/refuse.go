package schedule

import (
	"slices"
	"strconv"
	"strings"
)

// refuseValue says what is wrong with a text that is neither a number nor a name of the field.
func (f field) refuseValue(t token) *Error {
	upper := strings.ToUpper(t.text)
	switch {
	case t.text[0] == '+':
		return refuse(f.name, t, "", "%s has a sign", t.text)
	case strings.Contains(t.text, "?"):
		return f.refuseQuestion(t)
	case isHash(upper):
		return f.refuseHash(t)
	case f.day && f.looksLikeLetters(upper):
		if f.six {
			return refuse(f.name, t, "", "L, W and # stand alone in the field")
		}
		return refuse(f.name, t, "use cron(...), such as cron(0 23 L * ? *)", "L, W and # are not known in five fields")
	case isDigit(t.text[0]) && strings.Contains(t.text, "."):
		return refuse(f.name, t, "", "%s is not a whole number", t.text)
	}
	for i := range len(t.text) {
		if c := t.text[i]; !isDigit(c) && !isLetter(c) {
			return refuse(f.name, t.cut(i, i+1), "", "%q has no meaning here", c)
		}
	}
	if isDigit(t.text[0]) {
		return refuse(f.name, t, "", "%s is not a decimal number", t.text)
	}
	return f.refuseName(t, upper)
}

func (f field) refuseQuestion(t token) *Error {
	if !f.six {
		return refuse(f.name, t, "write *, or use cron(...)", "? is not known in five fields")
	}
	return refuse(f.name, t, "", "? stands alone in one of the two day fields and nowhere else")
}

func (f field) refuseHash(t token) *Error {
	if f.six {
		return refuse(f.name, t, "H belongs to five fields", "H is not known inside cron(...)")
	}
	if t.text[0] == 'h' {
		return refuse(f.name, t, "write H", "H is upper case")
	}
	return refuse(f.name, t, "", "H stands alone in its field")
}

// refuseName says what is wrong with a word.
func (f field) refuseName(t token, upper string) *Error {
	if f.names == nil {
		return refuse(f.name, t, "", "%s is not a number", t.text)
	}
	if len(upper) > 3 && slices.Contains(f.names, upper[:3]) {
		return refuse(f.name, t, "write "+upper[:3], "names have three letters")
	}
	hint := "the names are " + strings.Join(f.names, " ")
	if slices.Contains(monthNames, upper) || slices.Contains(dayNames, upper) {
		hint = "months stand in the fourth field and days of the week in the fifth"
	}
	return refuse(f.name, t, hint, "%s is no name of this field", t.text)
}

// looksLikeLetters reports whether a text was meant as one of L, LW, 15W, 5L, THUL, 3#2 and TUE#2.
func (f field) looksLikeLetters(upper string) bool {
	if strings.Contains(upper, "#") || upper == "LW" {
		return true
	}
	day, ok := strings.CutSuffix(upper, "L")
	if !ok {
		day, ok = strings.CutSuffix(upper, "W")
	}
	_, digits := leadingNumber(day)
	return ok && (digits == len(day) || slices.Contains(dayNames, day))
}

// refuseNever is the error for a calendar without a single date. The text's own words say why.
func refuseNever(c *calendar, read []content) *Error {
	days := read[2]
	if days.none {
		days = read[4]
	}
	name, at := "day-of-month", days.at
	if days.at == read[4].at {
		name = "day-of-week"
	}
	why := at.text + " never comes in month " + read[3].at.text
	if len(read) == 6 {
		unbounded := *c
		unbounded.years = yearSet{}
		unbounded.finish()
		if unbounded.hasDate() {
			name, at = "year", read[5].at
			why = days.at.text + " in month " + read[3].at.text + " does not come in " + at.text
		}
	}
	return refuse(name, at, "", "no date from %d to %d fits: %s", yearBase, yearLast, why)
}

func decimal(n int) string { return strconv.Itoa(n) }
