package dayfly

import (
	"strconv"
	"strings"
	"time"
)

// Keep says for how long what a run leaves is kept after its end. 0 says nothing: then the
// installation's own Keep holds, and where that says nothing either, for ever.
type Keep struct {
	Results Seconds `json:"results,omitempty"`
	Logs    Seconds `json:"logs,omitempty"`
	History Seconds `json:"history,omitempty"` // the record, and with it all that is left of the run
}

// Forever keeps something whatever the installation says.
const Forever = Seconds(-time.Second)

// Term is how long something is kept, and who says so. The zero Term is for ever.
type Term struct {
	For  time.Duration
	Rule string // such as "keep.results: 90d", for people
}

// Over tells whether what began to be kept at an instant need not be kept any more.
func (t Term) Over(since, now time.Time) bool { return t.For > 0 && !since.Add(t.For).After(now) }

// Terms are what holds for one job: its own Keep and, where that says nothing, the installation's.
type Terms struct{ Results, Logs, History Term }

// Terms are those of a job with this Keep in an installation with that one.
func (k Keep) Terms(installation Keep) Terms {
	return Terms{
		Results: term("keep.results", k.Results, installation.Results),
		Logs:    term("keep.logs", k.Logs, installation.Logs),
		History: term("keep.history", k.History, installation.History),
	}
}

func term(key string, job, installation Seconds) Term {
	switch {
	case job == Forever || job == 0 && installation <= 0:
		return Term{}
	case job == 0:
		return Term{installation.Duration(), key + ": " + installation.Words() + " in the settings"}
	}
	return Term{job.Duration(), key + ": " + job.Words()}
}

// Shortest is the shortest of them; 0 where all is kept for ever.
func (t Terms) Shortest() (d time.Duration) {
	for _, one := range []Term{t.Results, t.Logs, t.History} {
		if one.For > 0 && (d == 0 || one.For < d) {
			d = one.For
		}
	}
	return d
}

// Words is a length of time as a job file says it: 90d, 1h30m; forever.
func (s Seconds) Words() string {
	switch {
	case s == Forever:
		return "forever"
	case s == 0:
		return "0s"
	}
	var b strings.Builder
	left := s.Duration()
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := left / u.unit; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + u.name)
			left -= n * u.unit
		}
	}
	return b.String()
}

// Removal says when something of an ended run was removed, and by which rule.
type Removal struct {
	At   time.Time `json:"at"`
	Rule string    `json:"rule"`
}

// Remains are the kinds of things that a run leaves beside its record.
type Remains int

// The remains. They are the bits of a sum.
const (
	RemainsResults Remains = 1 << iota
	RemainsLogs
)

// Remains tells what there may still be of an ended run beside its record. One that never had an
// attempt has left nothing, and what is left by one that is not ended is nobody's to remove.
func (r Run) Remains() (left Remains) {
	if r.State != Ended || len(r.Attempts) == 0 {
		return 0
	}
	if r.ResultsRemoved.At.IsZero() {
		left |= RemainsResults
	}
	if r.LogsRemoved.At.IsZero() {
		left |= RemainsLogs
	}
	return left
}
