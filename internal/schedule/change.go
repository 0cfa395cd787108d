package schedule

import "time"

// Change is a clock change that touches a schedule: readings that it names vanish or come twice. Readings are
// given as times in UTC that show what the wall clock shows.
type Change struct {
	At            time.Time // the first instant after it, in the zone
	Before, After int       // the offsets, in seconds east of UTC

	// From and To bound the readings that vanish (the clock is set forward) or come twice (it is set back): those
	// r with From <= r < To.
	From, To time.Time
	// Named are those of them that the schedule names, in order.
	Named []time.Time
	// Runs are the instants at which it runs for them, in order: none, the first instant after a gap (which may be
	// a named reading of its own, too), the first passes, or both.
	Runs []time.Time
}

// Vanish tells whether the readings vanish; else they come twice.
func (c Change) Vanish() bool { return c.After > c.Before }

// Changes are the clock changes in (after, upTo] that touch the schedule. Intervals are never touched.
func (s *Schedule) Changes(after, upTo time.Time) []Change {
	z, err := zoneOf(s.location)
	if err != nil {
		return nil // Parse has refused the zone of the host
	}
	names, ok := s.plan.(interface{ named(from, to int64) []int64 })
	if !ok {
		return nil
	}
	var all []Change
	lo, hi := clamp(after), clamp(upTo)
	for i := z.at(lo) + 1; i+1 < len(z.spans) && z.spans[i].start <= hi; i++ {
		if c, ok := s.changeAt(z, i, names.named); ok {
			all = append(all, c)
		}
	}
	return all
}

// changeAt is the clock change at the start of a span, if it touches the schedule.
func (s *Schedule) changeAt(z *zone, i int, named func(from, to int64) []int64) (Change, bool) {
	span := z.spans[i]
	begins := span.start + span.shift // the reading at which the span begins
	from, to := min(span.seen, begins), max(span.seen, begins)
	readings := named(from, to)
	if len(readings) == 0 {
		return Change{}, false
	}
	c := Change{
		At: time.Unix(span.start, 0).In(s.location), From: wall(from), To: wall(to),
		Before: int(z.spans[i-1].shift - epochDay*daySeconds), After: int(span.shift - epochDay*daySeconds),
	}
	for _, r := range readings {
		c.Named = append(c.Named, wall(r))
	}
	// A gap has one instant, its end. What comes twice lies before the change once, and once after it.
	first, last := span.start, span.start
	if begins < span.seen {
		first, last = span.start-(span.seen-begins), span.start+(span.seen-begins)-1
	} else if _, every := s.plan.(everyHour); every {
		return c, true // what an every-hour schedule runs at the end of a gap stands for itself
	}
	for t, ok := s.plan.next(first - 1); ok && t <= last; t, ok = s.plan.next(t) {
		c.Runs = append(c.Runs, time.Unix(t, 0).In(s.location))
	}
	return c, true
}

// wall shows a reading.
func wall(reading int64) time.Time { return time.Unix(reading-epochDay*daySeconds, 0).UTC() }

// named are the readings that the calendar names, from one up to another.
func (c *calendar) named(from, to int64) []int64 {
	var all []int64
	for r := c.from(roundUp(from)); r != never && r*minuteSeconds < to; r = c.from(r + 1) {
		all = append(all, r*minuteSeconds)
	}
	return all
}

func (p once) named(from, to int64) []int64 {
	if from <= p.reading && p.reading < to {
		return []int64{p.reading}
	}
	return nil
}

// Changes are the clock changes in (after, upTo] that touch a member of the set while it holds, by member.
func (s *Set) Changes(after, upTo time.Time) [][]Change {
	all := make([][]Change, len(s.members))
	for i, m := range s.members {
		for _, c := range m.Schedule.Changes(after, upTo) {
			if !c.At.Before(m.From) && (m.Until.IsZero() || c.At.Before(m.Until)) {
				all[i] = append(all[i], c)
			}
		}
	}
	return all
}
