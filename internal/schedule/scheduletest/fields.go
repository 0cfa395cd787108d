package scheduletest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// kind is what the specification says of one of the fields.
type kind struct {
	name     string
	lo, hi   int
	names    string // three letters each
	sixLo    int    // the lowest value inside cron(...), where it differs
	hashHigh int    // the highest value of H
	longest  int    // step
}

var (
	minuteField = kind{"minute", 0, 59, "", 0, 59, 60}
	hourField   = kind{"hour", 0, 23, "", 0, 23, 24}
	dateField   = kind{"day-of-month", 1, 31, "", 1, 28, 31}
	monthField  = kind{"month", 1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC", 1, 12, 12}
	weekField   = kind{"day-of-week", 0, 7, "SUNMONTUEWEDTHUFRISAT", 1, 6, 7}
	yearField   = kind{"year", 1970, lastYear, "", 1970, 0, 230}
)

var (
	isItem = regexp.MustCompile(`^(?:(\*)|([0-9]{1,4}|[A-Z]{3})(?:-([0-9]{1,4}|[A-Z]{3}))?)(?:/([0-9]{1,4}))?$`)
	isH    = regexp.MustCompile(`^H(?:\(([0-9]{1,4}|[A-Za-z]{3})-([0-9]{1,4}|[A-Za-z]{3})\))?(?:/([0-9]{1,4}))?$`)
	isW    = regexp.MustCompile(`^([0-9]{1,4})W$`)
	isL    = regexp.MustCompile(`^([0-9]{1,4}|[A-Z]{3})L$`)
	isNth  = regexp.MustCompile(`^([0-9]{1,4}|[A-Z]{3})#0*([1-5])$`)
)

// reader reads fields and keeps the first thing that is wrong with them.
type reader struct {
	six bool
	key string
	err error
}

func (r *reader) fail(k kind, text string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s %q", errText, k.name, text)
	}
}

// value is a number or a name.
func (r *reader) value(k kind, text string) int {
	lo := k.lo
	if r.six {
		lo = k.sixLo
	}
	if i := strings.Index(k.names, strings.ToUpper(text)); i >= 0 && i%3 == 0 && len(text) == 3 {
		first := lo
		if k.name == "month" {
			first = 1
		}
		return first + i/3
	}
	if text[0] < '0' || text[0] > '9' {
		r.fail(k, text)
		return lo
	}
	n := int(number(text))
	if n < lo || n > k.hi {
		r.fail(k, text)
		return lo
	}
	return n
}

// step is what follows the slash, 1 if nothing does.
func (r *reader) step(k kind, text string) int {
	if text == "" {
		return 1
	}
	n := int(number(text))
	if n < 1 || n > k.longest {
		r.fail(k, text)
		return 1
	}
	return n
}

// each calls add for all values of a field.
func (r *reader) each(text string, k kind, add func(int)) {
	if strings.HasPrefix(text, "H") && !r.six {
		r.hash(text, k, add)
		return
	}
	items := strings.Split(strings.ToUpper(text), ",")
	for _, item := range items {
		m := isItem.FindStringSubmatch(item)
		isDay := k.name == "day-of-month" || k.name == "day-of-week"
		if m == nil || m[1] == "*" && isDay && len(items) > 1 {
			r.fail(k, text)
			return
		}
		step := r.step(k, m[4])
		lo, hi := k.lo, k.hi
		if r.six {
			lo = k.sixLo
		}
		if m[1] == "" {
			lo = r.value(k, m[2])
			switch {
			case m[3] != "":
				hi = r.value(k, m[3])
			case m[4] == "":
				hi = lo
			case !r.six:
				r.fail(k, text)
			}
		}
		if hi < lo && k.name == "day-of-week" {
			hi += 7
		}
		if hi < lo {
			r.fail(k, text)
		}
		for v := lo; v <= hi; v += step {
			add(v)
		}
	}
}

// hash calls add for the values that the job's name fixes.
func (r *reader) hash(text string, k kind, add func(int)) {
	m := isH.FindStringSubmatch(text)
	if m == nil || r.key == "" {
		r.fail(k, text)
		return
	}
	lo, hi := k.lo, k.hashHigh
	if m[1] != "" {
		lo, hi = r.value(k, m[1]), r.value(k, m[2])
	}
	sum := sha256.Sum256([]byte(r.key + "\n" + k.name))
	h := binary.BigEndian.Uint64(sum[:])
	size := hi - lo + 1
	if size < 1 || k.name == "day-of-week" && max(lo, hi) > 6 {
		r.fail(k, text)
		return
	}
	if m[3] == "" {
		add(lo + int(h%uint64(size)))
		return
	}
	step := r.step(k, m[3])
	if step > size {
		r.fail(k, text)
	}
	for v := lo + int(h%uint64(step)); v <= hi; v += step {
		add(v)
	}
}

// dates reads day-of-month inside cron(...).
func (r *reader) dates(text string) func(time.Time) bool {
	isLast := func(date time.Time) bool { return date.AddDate(0, 0, 1).Day() == 1 }
	workday := func(date time.Time) bool { return date.Weekday() != time.Saturday && date.Weekday() != time.Sunday }
	m := isW.FindStringSubmatch(text)
	switch {
	case text == "?":
		return func(time.Time) bool { return true }
	case text == "L":
		return isLast
	case text == "LW":
		// It is a workday, and none comes after it in its month.
		return func(date time.Time) bool {
			later := date.AddDate(0, 0, 1)
			for later.Month() == date.Month() && !workday(later) {
				later = later.AddDate(0, 0, 1)
			}
			return workday(date) && later.Month() != date.Month()
		}
	case m != nil:
		n := r.value(dateField, m[1])
		return func(date time.Time) bool {
			wanted := time.Date(date.Year(), date.Month(), n, 0, 0, 0, 0, time.UTC)
			if wanted.Month() != date.Month() {
				return false
			}
			for _, away := range []int{0, -1, 1, -2, 2} {
				if near := wanted.AddDate(0, 0, away); near.Month() == date.Month() && workday(near) {
					return near.Equal(date)
				}
			}
			return false
		}
	}
	all := map[int]bool{}
	r.each(text, dateField, func(v int) { all[v] = true })
	return func(date time.Time) bool { return all[date.Day()] }
}

// week reads day-of-week inside cron(...), where 1 is Sunday.
func (r *reader) week(text string) func(time.Time) bool {
	is := func(date time.Time, value int) bool { return int(date.Weekday()) == (value-1)%7 }
	if text == "?" {
		return func(time.Time) bool { return true }
	}
	if text == "L" {
		return func(date time.Time) bool { return date.Weekday() == time.Saturday }
	}
	if m := isL.FindStringSubmatch(text); m != nil {
		day := r.value(weekField, m[1])
		return func(date time.Time) bool { return is(date, day) && date.AddDate(0, 0, 7).Month() != date.Month() }
	}
	if m := isNth.FindStringSubmatch(text); m != nil {
		day, nth := r.value(weekField, m[1]), int(number(m[2]))
		return func(date time.Time) bool {
			earlier := 0
			for d := date.AddDate(0, 0, -7); d.Month() == date.Month(); d = d.AddDate(0, 0, -7) {
				earlier++
			}
			return is(date, day) && earlier == nth-1
		}
	}
	all := map[int]bool{}
	r.each(text, weekField, func(v int) { all[(v-1)%7] = true })
	return func(date time.Time) bool { return all[int(date.Weekday())] }
}
