package schedule

import (
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// manyTimes is how many times of day are still listed one by one.
const manyTimes = 6

var (
	fullDays   = []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
	fullMonths = []string{"", "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
	ordinals   = []string{"", "first", "second", "third", "fourth", "fifth"}
)

func describeOnce(year, month, date int64, clock string) string {
	return fmt.Sprintf("once, at %s on %d %s %d", clock, date, fullMonths[month], year)
}

func describeBeat(p beat) string {
	var parts []string
	rest := p.interval
	for i, name := range []string{"day", "hour", "minute"} {
		if n := rest / units[i].seconds; n > 0 {
			parts = append(parts, plural(n, name))
			rest -= n * units[i].seconds
		}
	}
	every := strings.TrimPrefix(join(parts), "1 ")
	switch {
	case p.interval == daySeconds:
		every = "24 hours"
	case len(parts) > 1:
		every = join(parts)
	}
	return fmt.Sprintf("every %s of real time, counted from %s", every, p.anchorTime().Format("2006-01-02T15:04Z"))
}

// describeFields says a calendar in words. The contents tell how its days were written.
func describeFields(c *calendar, read []content) string {
	words := describeTimes(c)
	days := describeDays(c, &read[2], &read[4])
	switch {
	case !c.allHours():
		words += " " + days
	case days != "every day":
		words += ", " + days
	}
	if years := c.yearList(); len(years) > 0 && len(years) <= yearLast-yearBase {
		words += ", in " + listNumbers(years, decimal)
	}
	return words
}

func describeTimes(c *calendar) string {
	if c.allHours() {
		switch {
		case c.minutes == 1:
			return "every hour, on the hour"
		case bits.OnesCount64(c.minutes) == 1:
			return "every hour, at minute " + decimal(bits.TrailingZeros64(c.minutes))
		}
		return describeMinutes(c.minutes, "every hour, ")
	}
	if c.perDay <= manyTimes {
		var times []string
		for m := c.minuteFrom(0); m < dayMinutes; m = c.minuteFrom(m + 1) {
			times = append(times, fmt.Sprintf("%02d:%02d", m/60, m%60))
		}
		return "at " + join(times)
	}
	hours := members(uint64(c.hours))
	if len(hours) == 1 {
		return describeMinutes(c.minutes, "") + fmt.Sprintf(" of the hour from %02d:00", hours[0])
	}
	if hours[len(hours)-1]-hours[0] == len(hours)-1 {
		return describeMinutes(c.minutes, "") + fmt.Sprintf(" of the hours from %02d:00 to %02d:59", hours[0], hours[len(hours)-1])
	}
	return describeMinutes(c.minutes, "") + " of the hours " + listNumbers(hours, decimal)
}

// describeMinutes says the minutes of an hour. What stands before them is left out where they speak for themselves.
func describeMinutes(minutes uint64, before string) string {
	list := members(minutes)
	if len(list) == 60 {
		return "every minute"
	}
	if len(list) == 1 {
		return before + "at minute " + decimal(list[0])
	}
	if step := list[1]; list[0] == 0 && evenly(list) && len(list)*step == 60 {
		return "every " + decimal(step) + " minutes"
	}
	return before + "at minutes " + listNumbers(list, decimal)
}

func evenly(list []int) bool {
	for i := range list[1:] {
		if list[i+1]-list[i] != list[1]-list[0] {
			return false
		}
	}
	return true
}

// describeDays says the days, with the months.
func describeDays(c *calendar, dates, week *content) string {
	months := "the month"
	all := bits.OnesCount32(c.months) == 12
	if !all {
		months = listNumbers(members(uint64(c.months)), func(m int) string { return fullMonths[m] })
	}
	everyDate := dates.none || allDates(dates)
	everyWeekday := week.none || week.set[0] == 1<<7-1
	either := eitherSuffices(dates, week)
	switch {
	case everyDate && everyWeekday, either && (everyDate || everyWeekday):
		if all {
			return "every day"
		}
		return "every day of " + months
	case everyWeekday:
		return "on " + describeDates(dates, months)
	case everyDate && week.rule.kind != noRule:
		return "on " + describeRule(week.rule, months)
	case everyDate:
		return weekdays(week) + in(all, months)
	case either:
		return "on " + describeDates(dates, months) + ", and " + weekdays(week) + in(all, months)
	}
	return "on " + describeDates(dates, months) + " if it is " + anyWeekday(week)
}

func in(all bool, months string) string {
	if all {
		return ""
	}
	return " in " + months
}

func allDates(dates *content) bool { return dates.set[0] == 1<<32-2 }

func describeDates(dates *content, months string) string {
	if dates.rule.kind != noRule {
		return describeRule(dates.rule, months)
	}
	return "the " + listNumbers(members(dates.set[0]), ordinal) + " of " + months
}

func describeRule(r dayRule, months string) string {
	switch r.kind {
	case lastDay:
		return "the last day of " + months
	case lastWorkday:
		return "the last Monday-to-Friday day of " + months
	case nearestWorkday:
		return "the Monday-to-Friday day nearest the " + ordinal(r.n) + " of " + months
	case lastWeekday:
		return "the last " + fullDays[r.weekday] + " of " + months
	}
	return "the " + ordinals[r.n] + " " + fullDays[r.weekday] + " of " + months
}

// weekdays says days of the week: a run of them as a range, the weekend across the end of the week too.
func weekdays(week *content) string {
	days, from, to := weekOf(week)
	if len(days) > 2 && (to-from+7)%7 == len(days)-1 {
		return "every " + fullDays[from] + " to " + fullDays[to]
	}
	return "every " + join(days)
}

func anyWeekday(week *content) string {
	days, _, _ := weekOf(week)
	if len(days) == 1 {
		return "a " + days[0]
	}
	return "a " + strings.Join(days[:len(days)-1], ", ") + " or " + days[len(days)-1]
}

// weekOf lists the days of the week from the first that follows a day that is not one of them.
func weekOf(week *content) (days []string, from, to int) {
	start := 1 // Monday
	for i := range 7 {
		if d := (1 + i) % 7; week.has(d) && !week.has((d+6)%7) {
			start = d
			break
		}
	}
	from = start
	for i := range 7 {
		if d := (start + i) % 7; week.has(d) {
			days, to = append(days, fullDays[d]), d
		}
	}
	return days, from, to
}

// yearList are the years that the year field names; none when there is no such field.
func (c *calendar) yearList() []int {
	var years []int
	for i, set := range c.years {
		for _, n := range members(set) {
			years = append(years, yearBase+64*i+n)
		}
	}
	return years
}

// listNumbers joins numbers in words, runs of three and more as ranges, and long even steps as such.
func listNumbers(list []int, name func(int) string) string {
	if len(list) > manyTimes && list[1]-list[0] > 1 && evenly(list) {
		return fmt.Sprintf("%s, %s, %s and so on to %s", name(list[0]), name(list[1]), name(list[2]), name(list[len(list)-1]))
	}
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if j-i >= 2 {
			parts = append(parts, name(list[i])+" to "+name(list[j]))
			i = j + 1
			continue
		}
		parts = append(parts, name(list[i]))
		i++
	}
	return join(parts)
}

func members(set uint64) []int {
	var list []int
	for ; set != 0; set &= set - 1 {
		list = append(list, bits.TrailingZeros64(set))
	}
	return list
}

// join is "a, b and c".
func join(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}

func plural(n int64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

func ordinal(n int) string {
	suffix := "th"
	if n/10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return decimal(n) + suffix
}

// describeBounds says from when until when a member of a set holds.
func describeBounds(m Member) string {
	words := ""
	if !m.From.IsZero() {
		words += ", from " + m.From.In(m.Schedule.location).Format(time.RFC3339)
	}
	if !m.Until.IsZero() {
		words += ", until " + m.Until.In(m.Schedule.location).Format(time.RFC3339)
	}
	return words
}
