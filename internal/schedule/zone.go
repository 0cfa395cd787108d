package schedule

import (
	"time"
)

// Instants are Unix seconds, and readings of the wall clock are seconds or minutes since 0000-03-01 00:00 on that
// clock: counted from the end of a leap day, and never negative, so that plain division finds minute and day.

const (
	minuteSeconds = 60
	daySeconds    = 24 * 60 * 60
	dayMinutes    = 24 * 60

	// epochDay is 1970-01-01, counted from 0000-03-01.
	epochDay = 719468

	// The instants that are looked at: from year 1 to a year past the end of the calendar, in UTC.
	firstInstant = -62135596800
	lastInstant  = 7289654400

	farPast   = -1 << 40
	farFuture = 1 << 40
)

// zone is a time zone with its rules unrolled to the end of the calendar. A time.Location reads the rule's text
// again for every instant past the last transition of its file, which for many zones is any instant from now on.
type zone struct {
	location *time.Location
	// spans cover all of time, in order. The first begins in the far past; the last is a sentinel in the far future.
	spans []span
}

// span is a stretch of time over which the wall clock runs evenly, up to the start of the next span.
type span struct {
	start int64 // the first instant
	shift int64 // reading in seconds = instant + shift
	// seen is where the wall clock has been before this span: every reading below it was shown or skipped by then.
	// The span begins after a gap when start+shift > seen and with an overlap when start+shift < seen.
	seen int64
}

func newZone(location *time.Location) *zone {
	z := &zone{location: location}
	for t := int64(firstInstant); t < lastInstant; {
		local := time.Unix(t, 0).In(location)
		_, offset := local.Zone()
		z.begin(t, int64(offset)+epochDay*daySeconds)
		_, end := local.ZoneBounds()
		if end.IsZero() {
			break
		}
		next := end.Unix()
		if next <= t {
			// Past the last transition of the file ZoneBounds takes a year to end after 365 days, and so answers on the last
			// day of a leap year. Whatever the year had to change has changed by then.
			next += daySeconds
		}
		t = next
	}
	z.spans[0].start = farPast
	z.begin(farFuture, 0)
	z.spans[len(z.spans)-1].seen = farFuture
	return z
}

// begin adds a span, unless the clock merely runs on.
func (z *zone) begin(start, shift int64) {
	seen := int64(farPast)
	if n := len(z.spans); n > 0 {
		last := z.spans[n-1]
		if last.shift == shift {
			return
		}
		seen = max(last.seen, start+last.shift)
	}
	z.spans = append(z.spans, span{start: start, shift: shift, seen: seen})
}

// at is the index of the span that holds the instant.
func (z *zone) at(instant int64) int {
	lo, hi := 0, len(z.spans)-1
	for hi-lo > 1 {
		if middle := (lo + hi) / 2; z.spans[middle].start <= instant {
			lo = middle
		} else {
			hi = middle
		}
	}
	return lo
}

// furthest is the furthest reading that the wall clock has shown up to the instant, which lies in span i. Outside
// the second pass of an overlap it is simply the reading at the instant.
func (z *zone) furthest(i int, instant int64) int64 {
	return max(instant+z.spans[i].shift, z.spans[i].seen-1)
}

// instant is the first instant at which the wall clock has come as far as the reading: the reading's own, the first
// of two, or the end of the gap that swallowed it. The search begins with span i, any will do.
func (z *zone) instant(i int, reading int64) int64 {
	for z.spans[i+1].seen <= reading {
		i++
	}
	for z.spans[i].seen > reading {
		i--
	}
	return max(reading-z.spans[i].shift, z.spans[i].start)
}
