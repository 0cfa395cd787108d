package schedule

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Member is one schedule of a Set and the time in which it holds.
type Member struct {
	Schedule *Schedule
	// From is the first instant at which the schedule holds, zero for always: an instant at From is one of the set's.
	From time.Time
	// Until is the first instant at which it holds no more, zero for never: an instant at Until is none of the set's.
	Until time.Time
}

// Set is the union of a job's schedules: an instant that several of them name is one instant. It is immutable, and
// the empty one has no instants. The instants it gives are in the zone of the member they come from; where several
// name the same one, in that of the first.
type Set struct {
	members []Member
}

// NewSet is the union of the members.
func NewSet(members ...Member) *Set { return &Set{slices.Clone(members)} }

// Members are the members, in the order in which they were given. The slice is the caller's.
func (s *Set) Members() []Member { return slices.Clone(s.members) }

// Next is the first instant strictly after the given one; false when there is none. It does not allocate.
func (s *Set) Next(after time.Time) (time.Time, bool) {
	var first time.Time
	found := false
	for i := range s.members {
		if t, ok := s.members[i].next(after); ok && (!found || t.Before(first)) {
			first, found = t, true
		}
	}
	return first, found
}

// Prev is the last instant at or before the given one; false when there is none.
func (s *Set) Prev(at time.Time) (time.Time, bool) {
	var last time.Time
	found := false
	for i := range s.members {
		if t, ok := s.members[i].prev(at); ok && (!found || t.After(last)) {
			last, found = t, true
		}
	}
	return last, found
}

// Count is the number of instants t with after < t <= upTo. The busiest member is counted without stepping through
// its instants, so the cost grows only with those of the others.
func (s *Set) Count(after, upTo time.Time) int {
	type counted struct {
		*Member
		n int
	}
	busiest := make([]counted, len(s.members))
	for i := range s.members {
		busiest[i] = counted{&s.members[i], s.members[i].count(after, upTo)}
	}
	slices.SortStableFunc(busiest, func(a, b counted) int { return cmp.Compare(b.n, a.n) })
	total := 0
	for i, m := range busiest {
		if i == 0 {
			total = m.n
			continue
		}
		for t, ok := m.next(after); ok && !t.After(upTo); t, ok = m.next(t) {
			if !slices.ContainsFunc(busiest[:i], func(other counted) bool { return other.has(t) }) {
				total++
			}
		}
	}
	return total
}

// Describe says the set in words, one member after the other.
func (s *Set) Describe() string {
	words := make([]string, len(s.members))
	for i, m := range s.members {
		words[i] = m.Schedule.Describe() + describeBounds(m)
	}
	return strings.Join(words, "; and ")
}

func (m *Member) next(after time.Time) (time.Time, bool) {
	if !m.From.IsZero() && after.Before(m.From) {
		after = m.From.Add(-1)
	}
	t, ok := m.Schedule.Next(after)
	if !ok || !m.Until.IsZero() && !t.Before(m.Until) {
		return time.Time{}, false
	}
	return t, true
}

func (m *Member) prev(at time.Time) (time.Time, bool) {
	if !m.Until.IsZero() && !at.Before(m.Until) {
		at = m.Until.Add(-1)
	}
	t, ok := m.Schedule.Prev(at)
	if !ok || t.Before(m.From) {
		return time.Time{}, false
	}
	return t, true
}

func (m *Member) count(after, upTo time.Time) int {
	if !m.From.IsZero() && after.Before(m.From) {
		after = m.From.Add(-1)
	}
	if !m.Until.IsZero() && !upTo.Before(m.Until) {
		upTo = m.Until.Add(-1)
	}
	return m.Schedule.Count(after, upTo)
}

func (m *Member) has(t time.Time) bool {
	last, ok := m.prev(t)
	return ok && last.Equal(t)
}
