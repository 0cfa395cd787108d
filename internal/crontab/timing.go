package crontab

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/dayfly-io/dayfly/internal/schedule"
)

// sets are the values of the five fields, with day 7 as Sunday.
type sets [5]uint64

// sets are the values that the fields name, the random ones drawn by the job's name.
func (t *timing) sets(key string) sets {
	var out sets
	for i, f := range t.fields {
		for n, it := range f.items {
			out[i] |= it.bits(f.kind, func(of int) int {
				sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d", key, f.kind.name, n))
				return int(binary.BigEndian.Uint64(sum[:]) % uint64(of))
			})
		}
	}
	return out
}

// both tells whether a date must fit both day fields.
func (t *timing) both() bool { return t.fields[dateField].star || t.fields[weekField].star }

// fits tells whether cron runs something at a reading of the wall clock, in minutes since 1970-01-01.
func (t *timing) fits(s *sets, reading int64) bool {
	if s[minuteField]>>uint(reading%60)&1 == 0 || s[hourField]>>uint(reading/60%24)&1 == 0 {
		return false
	}
	date, month, week := dateOf(reading / (24 * 60))
	if s[monthField]>>month&1 == 0 {
		return false
	}
	inDate, inWeek := s[dateField]>>date&1 != 0, s[weekField]>>week&1 != 0
	if t.both() {
		return inDate && inWeek
	}
	return inDate || inWeek
}

// random tells whether a value is drawn.
func (t *timing) random() bool {
	for _, f := range t.fields {
		for _, i := range f.items {
			if i.random {
				return true
			}
		}
	}
	return false
}

// expression is the timing in dayfly's words; never says that nothing is ever due. ok is false where there are no
// words for it.
func (t *timing) expression(key string) (text string, never, ok bool) {
	if t.macro != "" && t.macro != "@every_minute" {
		return t.macro, false, true
	}
	var parts [5]string
	faithful := true
	for i, f := range t.fields {
		parts[i] = f.text
		for _, it := range f.items {
			faithful = faithful && !it.backwards() && !it.random
		}
	}
	text = strings.Join(parts[:], " ")
	if faithful && accepted(text, key) {
		return text, false, true
	}
	s := t.sets(key)
	for _, i := range []int{minuteField, hourField, monthField} {
		if s[i] == 0 {
			return "", true, true
		}
		parts[i] = t.fields[i].words(s[i])
	}
	if s[dateField]|s[weekField] == 0 || t.both() && (s[dateField] == 0 || s[weekField] == 0) {
		return "", true, true
	}
	if parts[dateField], parts[weekField], ok = t.days(s[dateField], s[weekField]); !ok {
		return "", false, false
	}
	text = strings.Join(parts[:], " ")
	if !accepted(text, key) {
		return "", true, true // all that can be refused here is a date that never comes
	}
	return text, false, true
}

// accepted tells whether a text is an expression.
func accepted(text, key string) bool {
	_, err := schedule.Parse(text, schedule.Options{Key: key})
	return err == nil
}

// days writes the two day fields. A star in either of them means that a date must fit both, here as under cron, so
// that what begins with a star must not end as a plain list, nor the other way round.
func (t *timing) days(dates, week uint64) (string, string, bool) {
	d, w := t.fields[dateField], t.fields[weekField]
	allDates, allWeek := dates == d.kind.full(), week == w.kind.full()
	switch {
	case t.both() && allDates, !t.both() && dates == 0:
		return "*", w.words(week), true
	case t.both() && allWeek, !t.both() && week == 0:
		return d.words(dates), "*", true
	case !t.both() && (allDates || allWeek):
		return "*", "*", true
	case !t.both():
		return d.words(dates), w.words(week), true
	case d.star && len(d.items) == 1:
		return d.stepped(), w.words(week), true
	case w.star && len(w.items) == 1:
		return d.words(dates), w.stepped(), true
	}
	return "", "", false // a star in a list, and the other field is restricted too
}

// stepped writes */n with an n that dayfly takes.
func (f field) stepped() string {
	return "*/" + strconv.Itoa(min(f.items[0].step, bits.OnesCount64(f.kind.full())))
}

// words writes the values of a field.
func (f field) words(set uint64) string {
	if h, ok := f.hash(); ok {
		return h
	}
	if set == f.kind.full() {
		return "*"
	}
	return list(set)
}

// hash writes a single random value as one that the job's name fixes.
func (f field) hash() (string, bool) {
	if len(f.items) != 1 || !f.items[0].random || f.kind.name == "day of week" && f.items[0].hi > 6 {
		return "", false
	}
	i := f.items[0]
	text := fmt.Sprintf("H(%d-%d)", i.lo, i.hi)
	if i.step > 1 {
		text += "/" + strconv.Itoa(min(i.step, i.hi-i.lo+1))
	}
	return text, true
}
