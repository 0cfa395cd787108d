package schedule

import "time"

// plan is how a schedule's instants lie in time, in Unix seconds between firstInstant and lastInstant.
type plan interface {
	next(after int64) (int64, bool)
	prev(at int64) (int64, bool)
	count(after, upTo int64) int64
}

// clockTimes runs each reading its calendar names once, when the wall clock first comes that far.
type clockTimes struct {
	*calendar
	*zone
}

func (p clockTimes) next(after int64) (int64, bool) {
	i := p.zone.at(after)
	r := p.from(p.furthest(i, after)/minuteSeconds + 1)
	if r == never {
		return 0, false
	}
	return p.instant(i, r*minuteSeconds), true
}

func (p clockTimes) prev(at int64) (int64, bool) {
	i := p.zone.at(at)
	r := p.upTo(p.furthest(i, at) / minuteSeconds)
	if r < 0 {
		return 0, false
	}
	return p.instant(i, r*minuteSeconds), true
}

func (p clockTimes) count(after, upTo int64) int64 {
	i, last := p.zone.at(after), p.zone.at(upTo)
	n := p.calendar.count(p.furthest(i, after)/minuteSeconds+1, p.furthest(last, upTo)/minuteSeconds)
	for i++; i <= last; i++ {
		// All that a gap swallowed, and the reading at its end, are one run together.
		s := p.spans[i]
		if merged := p.calendar.count(roundUp(s.seen), (s.start+s.shift)/minuteSeconds); merged > 1 {
			n -= merged - 1
		}
	}
	return n
}

// everyHour runs at every instant whose reading fits.
type everyHour struct {
	*calendar
	*zone
}

func (p everyHour) next(after int64) (int64, bool) {
	i := p.zone.at(after)
	lo := (after+p.spans[i].shift)/minuteSeconds + 1
	r := p.from(lo)
	for r*minuteSeconds-p.spans[i].shift >= p.spans[i+1].start {
		if i++; i+1 == len(p.spans) {
			return 0, false
		}
		// From lo up to r nothing fits, so a span that begins in between need not be searched.
		first := roundUp(p.spans[i].start + p.spans[i].shift)
		if first < lo || first > r {
			r = p.from(first)
		}
		lo = first
	}
	return r*minuteSeconds - p.spans[i].shift, true
}

func (p everyHour) prev(at int64) (int64, bool) {
	i := p.zone.at(at)
	hi := (at + p.spans[i].shift) / minuteSeconds
	r := p.upTo(hi)
	for r < 0 || r*minuteSeconds-p.spans[i].shift < p.spans[i].start {
		if i--; i < 0 {
			return 0, false
		}
		last := (p.spans[i+1].start - 1 + p.spans[i].shift) / minuteSeconds
		if last > hi || last < r {
			r = p.upTo(last)
		}
		hi = last
	}
	return r*minuteSeconds - p.spans[i].shift, true
}

func (p everyHour) count(after, upTo int64) int64 {
	var n int64
	for i, last := p.zone.at(after), p.zone.at(upTo); i <= last; i++ {
		s := p.spans[i]
		first, end := max(after+1, s.start), min(upTo, p.spans[i+1].start-1)
		n += p.calendar.count(roundUp(first+s.shift), (end+s.shift)/minuteSeconds)
	}
	return n
}

// roundUp is the first whole minute at or after a reading in seconds.
func roundUp(reading int64) int64 { return (reading + minuteSeconds - 1) / minuteSeconds }

// beat runs at anchor + k*interval in real time, k >= 0, as long as the wall clock is within the calendar.
type beat struct {
	anchor, interval, end int64
}

func newBeat(anchor time.Time, interval int64, z *zone) (beat, error) {
	p := beat{interval: interval, end: z.instant(0, dayOf(yearLast+1, 1, 1)*daySeconds)}
	if anchor.IsZero() {
		return p, nil
	}
	if anchor.Nanosecond() != 0 || anchor.Unix()%minuteSeconds != 0 {
		return p, &Error{Field: "anchor", Problem: anchor.Format(time.RFC3339Nano) + " is not a whole minute"}
	}
	p.anchor = clamp(anchor)
	if p.anchor >= p.end {
		return p, &Error{Field: "anchor", Problem: "the calendar ends with local year 2199, before the anchor"}
	}
	return p, nil
}

func (p beat) next(after int64) (int64, bool) {
	t := p.anchor
	if after >= t {
		t += ((after-t)/p.interval + 1) * p.interval
	}
	return t, t < p.end
}

func (p beat) prev(at int64) (int64, bool) {
	at = min(at, p.end-1)
	if at < p.anchor {
		return 0, false
	}
	return at - (at-p.anchor)%p.interval, true
}

func (p beat) count(after, upTo int64) int64 { return p.upTo(upTo) - p.upTo(after) }

// upTo is how many instants there are up to this one.
func (p beat) upTo(t int64) int64 {
	t = min(t, p.end-1)
	if t < p.anchor {
		return 0
	}
	return (t-p.anchor)/p.interval + 1
}

// once runs at one instant.
type once struct{ instant, reading int64 }

func (p once) next(after int64) (int64, bool) { return p.instant, p.instant > after }
func (p once) prev(at int64) (int64, bool)    { return p.instant, p.instant <= at }

func (p once) count(after, upTo int64) int64 {
	if after < p.instant && p.instant <= upTo {
		return 1
	}
	return 0
}
