package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/spec"
)

// clockChange is a clock change that touches a schedule. As JSON it is a contract: fields are only added.
type clockChange struct {
	At       stamp   `json:"at"`
	Local    string  `json:"local"` // in the zone, RFC 3339
	Zone     string  `json:"zone"`
	Schedule string  `json:"schedule"` // the expression
	What     string  `json:"what"`     // gap: times vanish; fold: they come twice
	Before   int     `json:"offset_before"`
	After    int     `json:"offset_after"` // in seconds east of UTC
	From     wall    `json:"from"`
	To       wall    `json:"to"` // the times that vanish or come twice are from <= t < to
	Named    []wall  `json:"named"`
	Runs     []stamp `json:"runs"`
	Meaning  string  `json:"meaning"`

	change schedule.Change
}

// wall is a reading of the wall clock: a time without a zone.
type wall time.Time

// MarshalJSON writes the reading.
func (w wall) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(w).Format(`"2006-01-02T15:04:05"`)), nil
}

// clockChanges are those of the year after an instant that touch a set of schedules, in their order.
func clockChanges(set *schedule.Set, after time.Time) []clockChange {
	all := []clockChange{}
	members := set.Members()
	for i, changes := range set.Changes(after, after.AddDate(1, 0, 0)) {
		s := members[i].Schedule
		for _, c := range changes {
			one := clockChange{
				At: stamp(c.At), Local: c.At.Format(rfc3339Offset), Zone: s.Location().String(), Schedule: s.String(), What: "fold",
				Before: c.Before, After: c.After, From: wall(c.From), To: wall(c.To), Runs: []stamp{}, Meaning: meaning(c), change: c,
			}
			if c.Vanish() {
				one.What = "gap"
			}
			for _, n := range c.Named {
				one.Named = append(one.Named, wall(n))
			}
			for _, r := range c.Runs {
				one.Runs = append(one.Runs, stamp(r))
			}
			all = append(all, one)
		}
	}
	slices.SortStableFunc(all, func(a, b clockChange) int { return a.change.At.Compare(b.change.At) })
	return all
}

// rfc3339Offset is RFC 3339 with an offset in any case.
const rfc3339Offset = "2006-01-02T15:04:05-07:00"

// manyTimes is how many times are listed in a sentence.
const manyTimes = 6

// namedTimes are the readings that a clock change is about, for people; one has no plural.
func namedTimes(c schedule.Change) (text string, one bool) {
	form := "15:04"
	if c.Named[0].Second() != 0 {
		form = "15:04:05"
	}
	text, one = listed(c.Named, form), len(c.Named) == 1
	if day := c.Named[0].Format(time.DateOnly); day != c.At.Format(time.DateOnly) {
		text = day + " " + text // the whole day has vanished
	}
	return text, one
}

// listed are the first of some times, in words.
func listed(times []time.Time, form string) string {
	var words []string
	for _, t := range times[:min(len(times), manyTimes)] {
		words = append(words, t.Format(form))
	}
	switch n := len(times); {
	case n > manyTimes:
		return fmt.Sprintf("%s and so on, %d times,", strings.Join(words, ", "), n)
	case n > 1:
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return words[0]
}

// meaning says what becomes of the times that vanish or come twice.
func meaning(c schedule.Change) string {
	named, one := namedTimes(c)
	verb := func(singular, plural string) string {
		if one {
			return singular
		}
		return plural
	}
	if c.Vanish() {
		text := named + verb(" does not exist", " do not exist")
		if len(c.Runs) == 0 {
			return text + "; no run stands in for " + verb("it", "them")
		}
		return text + "; runs" + verb("", " once,") + " at " + c.Runs[0].Format("15:04")
	}
	text := named + verb(" comes twice", " come twice")
	if len(c.Runs) > len(c.Named) {
		return text + "; runs both times"
	}
	return text + "; runs the first time"
}

// everyHour tells whether a clock change touches a schedule that runs every hour all the same.
func (c clockChange) everyHour() bool {
	return c.change.Vanish() && len(c.Runs) == 0 || !c.change.Vanish() && len(c.Runs) > len(c.Named)
}

// clockAdvice is, for each schedule of a job that names times of day which a clock change touches, what happens,
// in one line.
func clockAdvice(set *schedule.Set, now time.Time) []string {
	lines := make([]string, len(set.Members()))
	for i, m := range set.Members() {
		var parts []string
		for _, c := range clockChanges(schedule.NewSet(m), now) {
			if !c.everyHour() {
				what, deed, _ := strings.Cut(c.Meaning, "; ")
				parts = append(parts, fmt.Sprintf("%s on %s (%s)", what, c.change.At.Format(time.DateOnly), deed))
			}
		}
		lines[i] = strings.Join(parts, ", ")
	}
	return lines
}

// clockWarnings are what clockAdvice says, at its place in the file.
func (j jobFile) clockWarnings(now time.Time) []*spec.Error {
	set, err := reconcile.Slots(j.file.Job)
	if err != nil {
		return nil // the loader would have refused it
	}
	var all []*spec.Error
	for i, line := range clockAdvice(set, now) {
		if line == "" {
			continue
		}
		w := j.file.AtSchedule(i, line, "nothing is lost or doubled; dayfly next "+j.path+" --clock-changes shows more")
		w.Warning, w.Rule = true, spec.RuleAdvice
		all = append(all, w)
	}
	return all
}

// showClockChanges prints clock changes for people.
func (a *app) showClockChanges(changes []clockChange) error {
	var b strings.Builder
	several := slices.ContainsFunc(changes, func(c clockChange) bool { return c.Schedule != changes[0].Schedule || c.Zone != changes[0].Zone })
	for _, c := range changes {
		const date = "Mon 2006-01-02 "
		before, after := c.change.At.In(time.FixedZone("", c.Before)), c.change.At.Format("15:04 -07:00")
		if day := c.change.At.Format(date); day != before.Format(date) {
			after = day + after
		}
		fmt.Fprintf(&b, "%s %s %s  %s  %s\n", before.Format(date+"15:04 -07:00"), a.marks().arrow, after, instant(c.change.At), when(c.change.At, a.now()))
		text := c.Meaning
		if !c.change.Vanish() && len(c.Runs) <= manyTimes {
			text += ": " + listed(c.change.Runs, "15:04 -07:00")
		}
		if several {
			text = fmt.Sprintf("%s, %s: %s", c.Schedule, c.Zone, text)
		}
		b.WriteString(folded(text, "  ", "    "))
	}
	_, err := fmt.Fprint(a.page(), b.String())
	return err
}
