package schedule

import "time"

// Options are what a schedule needs beside its text.
type Options struct {
	// Location is the zone in which the text is read, from LoadLocation; nil is UTC. time.Local is refused.
	Location *time.Location
	// Anchor is the instant that @every and rate(...) count from, a whole minute; zero is 1970-01-01T00:00Z. Other
	// schedules have no use for it and ignore it.
	Anchor time.Time
	// Key is the name of the job, which fixes the value of H. A text with H is refused without it.
	Key string
}

// Schedule is the instants that a text means. It is immutable; all methods may be called at once from anywhere.
type Schedule struct {
	text     string
	plan     plan
	words    string // what Describe says, without the zone
	location *time.Location
	warnings []string
}

// Parse reads a schedule. What it refuses is an *Error.
func Parse(text string, o Options) (*Schedule, error) {
	z, err := zoneOf(o.Location)
	if err != nil {
		return nil, err
	}
	p := parser{text: text, zone: z, anchor: o.Anchor, key: o.Key}
	return p.parse()
}

// Next is the first instant strictly after the given one, in the schedule's zone; false when there is none.
// It does not allocate.
func (s *Schedule) Next(after time.Time) (time.Time, bool) {
	t, ok := s.plan.next(clamp(after))
	if !ok {
		return time.Time{}, false
	}
	return time.Unix(t, 0).In(s.location), true
}

// Prev is the last instant at or before the given one, in the schedule's zone; false when there is none.
func (s *Schedule) Prev(at time.Time) (time.Time, bool) {
	t, ok := s.plan.prev(clamp(at))
	if !ok {
		return time.Time{}, false
	}
	return time.Unix(t, 0).In(s.location), true
}

// Count is the number of instants t with after < t <= upTo, the number of times that Next would answer. It takes
// a few nanoseconds for each month in between, however many instants it counts.
func (s *Schedule) Count(after, upTo time.Time) int {
	lo, hi := clamp(after), clamp(upTo)
	if hi <= lo {
		return 0
	}
	return int(s.plan.count(lo, hi))
}

// String is the text, without the blanks around it.
func (s *Schedule) String() string { return s.text }

// Location is the zone in which the text was read.
func (s *Schedule) Location() *time.Location { return s.location }

// Describe says the schedule in words, such as "at 23:00 every day, Europe/Tallinn".
func (s *Schedule) Describe() string { return s.words + ", " + s.location.String() }

// Warnings are sentences on what is allowed and yet may not be what was meant. The slice is the caller's.
func (s *Schedule) Warnings() []string { return append([]string(nil), s.warnings...) }

// clamp is the instant in seconds, the fraction dropped, held within the instants that are looked at. Rounding
// down is right on both sides: nothing runs between two seconds.
func clamp(t time.Time) int64 {
	return min(max(t.Unix(), firstInstant), lastInstant)
}
