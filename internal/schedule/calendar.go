package schedule

import "math/bits"

// never stands for a reading or a day that does not come. It is above all others and small enough to reckon with.
const never = 1 << 50

// calendar is what a schedule's fields say: which minutes of the wall clock fit. It knows no zone; each minute of
// each date has exactly one reading here.
type calendar struct {
	minutes uint64 // bit m: minute m of the hour fits
	hours   uint32
	months  uint32 // bit 1: January
	// days has the dates that fit, bit 1 the first, in each of the 28 months there are: by length less 28, and by the
	// weekday of the 1st. L, W, # and the rule of the two day fields are all settled when it is filled in.
	days [4][7]uint32

	years               yearSet
	anyYear             bool // years is empty
	firstYear, lastYear int64

	firstMinute, lastMinute int64 // of the day
	perDay                  int64 // minutes of a fitting day that fit
}

const (
	yearBase = 1970 // the first year that the year field has
	yearLast = 2199 // the last year there is
)

// yearSet is a set of years from 1970 to 2199. The empty one stands for no restriction.
type yearSet [4]uint64

// has reports whether the set names the year.
func (s *yearSet) has(year int64) bool {
	n := uint64(year - yearBase)
	return n <= yearLast-yearBase && s[n/64]>>(n%64)&1 != 0
}

// finish fills in what follows from minutes, hours and years.
func (c *calendar) finish() {
	c.perDay = int64(bits.OnesCount64(c.minutes) * bits.OnesCount32(c.hours))
	c.firstMinute = int64(60*bits.TrailingZeros32(c.hours) + bits.TrailingZeros64(c.minutes))
	c.lastMinute = int64(60*(bits.Len32(c.hours)-1) + bits.Len64(c.minutes) - 1)
	c.firstYear, c.lastYear = 1, yearLast
	c.anyYear = c.years == (yearSet{})
	if !c.anyYear {
		for c.firstYear = yearBase; !c.years.has(c.firstYear); c.firstYear++ {
		}
		for !c.years.has(c.lastYear) {
			c.lastYear--
		}
	}
}

// allHours reports whether all 24 hours are named, which decides what happens when the clocks change.
func (c *calendar) allHours() bool { return c.hours == 1<<24-1 }

// from is the first reading that fits at or after minute r, or never.
func (c *calendar) from(r int64) int64 {
	day, minute := r/dayMinutes, r%dayMinutes
	if minute > c.lastMinute {
		day, minute = day+1, 0
	}
	d := c.dayFrom(day)
	switch {
	case d == never:
		return never
	case d > day:
		return d*dayMinutes + c.firstMinute
	}
	return d*dayMinutes + c.minuteFrom(minute)
}

// upTo is the last reading that fits at or before minute r, or -1.
func (c *calendar) upTo(r int64) int64 {
	day, minute := r/dayMinutes, r%dayMinutes
	if minute < c.firstMinute {
		day, minute = day-1, dayMinutes-1
	}
	d := c.dayUpTo(day)
	switch {
	case d < 0:
		return -1
	case d < day:
		return d*dayMinutes + c.lastMinute
	}
	return d*dayMinutes + c.minuteUpTo(minute)
}

// count is the number of readings that fit from minute lo to minute hi, both included.
func (c *calendar) count(lo, hi int64) int64 {
	if hi < lo {
		return 0
	}
	first, last := lo/dayMinutes, (hi+1)/dayMinutes
	n := c.perDay * c.countDays(first, last)
	if c.fits(first) {
		n -= c.minutesBefore(lo % dayMinutes)
	}
	if c.fits(last) {
		n += c.minutesBefore((hi + 1) % dayMinutes)
	}
	return n
}

// minuteFrom is the first minute of a fitting day that fits at or after m, or one past the day.
func (c *calendar) minuteFrom(m int64) int64 {
	hour, minute := m/60, m%60
	if c.hours>>hour&1 != 0 {
		if rest := c.minutes >> minute; rest != 0 {
			return m + int64(bits.TrailingZeros64(rest))
		}
	}
	later := c.hours >> (hour + 1) << (hour + 1)
	if later == 0 {
		return dayMinutes
	}
	return int64(60*bits.TrailingZeros32(later) + bits.TrailingZeros64(c.minutes))
}

// minuteUpTo is the last minute of a fitting day that fits at or before m, or -1.
func (c *calendar) minuteUpTo(m int64) int64 {
	hour, minute := m/60, m%60
	if c.hours>>hour&1 != 0 {
		if rest := c.minutes << (63 - minute); rest != 0 {
			return m - int64(bits.LeadingZeros64(rest))
		}
	}
	earlier := c.hours & (1<<hour - 1)
	if earlier == 0 {
		return -1
	}
	return int64(60*(bits.Len32(earlier)-1) + bits.Len64(c.minutes) - 1)
}

// minutesBefore is how many minutes of a fitting day fit before m.
func (c *calendar) minutesBefore(m int64) int64 {
	hour, minute := m/60, m%60
	n := bits.OnesCount32(c.hours&(1<<hour-1)) * bits.OnesCount64(c.minutes)
	if c.hours>>hour&1 != 0 {
		n += bits.OnesCount64(c.minutes & (1<<minute - 1))
	}
	return int64(n)
}

// fits reports whether a day fits.
func (c *calendar) fits(day int64) bool {
	year, month, date := dateOf(day)
	return c.dates(year, month, day-date+1)>>date&1 != 0
}

// dayFrom is the first day that fits at or after the given one, or never.
func (c *calendar) dayFrom(day int64) int64 {
	year, month, date := dateOf(day)
	if year < c.firstYear {
		year, month, date = c.firstYear, 1, 1
		day = dayOf(year, month, date)
	}
	first := day - date + 1
	dates := c.dates(year, month, first) >> date << date
	for dates == 0 {
		if later := c.months >> (month + 1) << (month + 1); later != 0 {
			month = int64(bits.TrailingZeros32(later))
		} else {
			year, month = year+1, int64(bits.TrailingZeros32(c.months))
		}
		if year > c.lastYear {
			return never
		}
		first = dayOf(year, month, 1)
		dates = c.dates(year, month, first)
	}
	return first - 1 + int64(bits.TrailingZeros32(dates))
}

// dayUpTo is the last day that fits at or before the given one, or -1.
func (c *calendar) dayUpTo(day int64) int64 {
	year, month, date := dateOf(max(day, 0))
	if year > c.lastYear {
		year, month, date = c.lastYear, 12, 31
	}
	first := dayOf(year, month, 1)
	dates := c.dates(year, month, first) & (2<<date - 1)
	for dates == 0 {
		if earlier := c.months & (1<<month - 1); earlier != 0 {
			month = int64(bits.Len32(earlier) - 1)
		} else {
			year, month = year-1, int64(bits.Len32(c.months)-1)
		}
		if year < c.firstYear {
			return -1
		}
		first = dayOf(year, month, 1)
		dates = c.dates(year, month, first)
	}
	return first - 1 + int64(bits.Len32(dates)-1)
}

// countDays is how many days fit from first up to and without last.
func (c *calendar) countDays(first, last int64) int64 {
	year, month, date := dateOf(first)
	if year < c.firstYear {
		year, month, date = c.firstYear, 1, 1
	}
	endYear, endMonth, endDate := dateOf(last)
	if endYear > c.lastYear {
		endYear, endMonth, endDate = c.lastYear+1, 1, 1
	}
	month1st := dayOf(year, month, 1)
	n := -bits.OnesCount32(c.dates(year, month, month1st) & (1<<date - 1))
	for year < endYear || year == endYear && month < endMonth {
		n += bits.OnesCount32(c.dates(year, month, month1st))
		month1st += monthLength(year, month)
		if month++; month > 12 {
			year, month = year+1, 1
		}
	}
	if year == endYear && month == endMonth {
		n += bits.OnesCount32(c.dates(year, month, month1st) & (1<<endDate - 1))
	}
	return int64(max(n, 0))
}

// dates are the dates of a month that fit, bit 1 the first. The caller knows which day is the month's 1st.
func (c *calendar) dates(year, month, first int64) uint32 {
	if c.months>>month&1 == 0 || year < c.firstYear || year > c.lastYear || !c.anyYear && !c.years.has(year) {
		return 0
	}
	return c.days[monthLength(year, month)-28][weekdayOf(first)]
}

// monthLength is the number of days of a month.
func monthLength(year, month int64) int64 {
	if month != 2 {
		return 30 + (month+month>>3)&1
	}
	if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		return 29
	}
	return 28
}

// weekdayOf is the day's place in the week, from Sunday. Day 0, 0000-03-01, was a Wednesday.
func weekdayOf(day int64) int64 { return (day + 3) % 7 }

// The calendar repeats every 400 years; counted from March its months follow a pattern of 153 days in five, and the
// leap day comes last. See Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".

// dayOf is the number of a date's day.
func dayOf(year, month, date int64) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	return year*365 + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + date - 1
}

// dateOf is the date of a day.
func dateOf(day int64) (year, month, date int64) {
	d := uint64(day)
	era := d / 146097
	d -= era * 146097
	y := (d - d/1460 + d/36524 - d/146096) / 365
	d -= 365*y + y/4 - y/100
	m := (5*d + 2) / 153
	year, month, date = int64(y+era*400), int64(m+3), int64(d-(153*m+2)/5+1)
	if month > 12 {
		year, month = year+1, month-12
	}
	return year, month, date
}
