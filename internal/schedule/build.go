package schedule

import (
	"fmt"
	"math/bits"
)

// fields reads the fields of a text, five or six, into a calendar and a plan.
func (p *parser) fields(s *Schedule, table []field, parts []token) error {
	read := make([]content, len(table))
	var refused *Error
	for i, f := range table {
		var err error
		read[i], err = p.field(f, parts[i])
		switch e, ok := err.(*Error); {
		case err == nil:
		case !ok:
			return err
		case refused == nil:
			refused = e
		default:
			refused.More = append(refused.More, e)
		}
	}
	if refused != nil {
		return refused
	}
	if err := refuseQuestions(read); err != nil {
		return err
	}
	c := newCalendar(read)
	if !c.hasDate() {
		return refuseNever(c, read)
	}
	if c.allHours() {
		s.plan = everyHour{c, p.zone}
	} else {
		s.plan = clockTimes{c, p.zone}
	}
	s.words = describeFields(c, read)
	s.warnings = fieldWarnings(c, read)
	return nil
}

// refuseQuestions checks that exactly one day field of cron(...) is ?.
func refuseQuestions(read []content) error {
	dates, week := &read[2], &read[4]
	if len(read) < 6 || dates.none != week.none {
		return nil
	}
	if dates.none {
		return refuse("day-of-week", week.at, "write ? in one of the two day fields and the days in the other", "both day fields are ?")
	}
	field, at := "day-of-week", week.at
	if dates.star && !week.star {
		field, at = "day-of-month", dates.at
	}
	return refuse(field, at, "write ? in one of the two day fields", "neither day field is ?")
}

func newCalendar(read []content) *calendar {
	c := &calendar{
		minutes: read[0].set[0],
		hours:   uint32(read[1].set[0]),
		months:  uint32(read[3].set[0]),
	}
	c.setDays(&read[2], &read[4])
	if len(read) == 6 {
		c.years = read[5].set
	}
	c.finish()
	return c
}

// hasDate reports whether any date from 1970 on fits.
func (c *calendar) hasDate() bool { return c.dayFrom(dayOf(yearBase, 1, 1)) != never }

// fieldWarnings finds what five fields are often thought to mean and do not.
func fieldWarnings(c *calendar, read []content) []string {
	dates, week := &read[2], &read[4]
	var warnings []string
	if eitherSuffices(dates, week) {
		warnings = append(warnings, fmt.Sprintf("both day fields are restricted: a date that fits either %s or %s is enough; for dates that fit both, begin one of them with *", dates.at.text, week.at.text))
	}
	for i, unit := range []struct {
		name, restart string
		size          int
		set           uint64
	}{{"minute", "hour", 60, c.minutes}, {"hour", "day", 24, uint64(c.hours)}} {
		if step := starStep(read[i].at.text); step > 1 && step < unit.size && unit.size%step != 0 {
			last := bits.Len64(unit.set) - 1
			warnings = append(warnings, fmt.Sprintf("%s %s counts from 0 again each %s, %d %ss after the last; for an even beat use @every", unit.name, read[i].at.text, unit.restart, unit.size-last, unit.name))
		}
	}
	if date := bits.TrailingZeros64(dates.set[0]); date <= 31 && !eitherSuffices(dates, week) {
		for m := range int64(12) {
			if c.months>>(m+1)&1 != 0 && monthLength(2027, m+1) < int64(date) {
				return append(warnings, fmt.Sprintf("a month without day %d has no run, such as %s", date, fullMonths[m+1]))
			}
		}
	}
	return warnings
}

// starStep is the n of a field that is written */n, or 0.
func starStep(text string) int {
	if len(text) < 3 || text[:2] != "*/" {
		return 0
	}
	n, digits := leadingNumber(text[2:])
	if digits < len(text)-2 {
		return 0
	}
	return int(n)
}
