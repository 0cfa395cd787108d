package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/term"
)

// checklist shows how far a run is. On a terminal what is reached stays, and the last line says what is
// being done, for how long, and how long it usually takes; elsewhere each change is one line.
type checklist struct {
	w       io.Writer
	tty     bool
	marks   marks
	usual   map[milestone]time.Duration
	now     func() time.Time
	attempt int
	way     [milestones]bool
	since   time.Time    // when the activity began
	said    string       // why the run waits, as it was said last
	live    bool         // the last line of the terminal is ours to rewrite
	midLine *lineEnd     // tells whether the log stands in the middle of a line
	flush   func() error // shows what of the log waits; nil: nothing ever does
}

// marks are the symbols; none carries a meaning that the words do not.
type marks struct{ done, doing, arrow, margin string }

// begins shows what has changed up to the job's beginning, if that is of the attempt at hand.
func (c *checklist) begins(r dayfly.Run, m *dayfly.Machine) {
	if a := r.Attempt(); a != nil && (c.attempt == 0 || a.Number == c.attempt) {
		c.show(r, m, prepared)
	}
}

// update shows what has changed.
func (c *checklist) update(r dayfly.Run, m *dayfly.Machine) {
	c.show(r, m, gone)
	if r.State == dayfly.Due && r.Reason != c.said {
		if c.said = r.Reason; r.Reason != "" {
			c.line("waiting: %s", r.Reason)
		}
	}
	if r.State != dayfly.Ended {
		c.status(r)
	}
}

// show says which milestones have been reached, up to the last.
func (c *checklist) show(r dayfly.Run, m *dayfly.Machine, last milestone) {
	if a := r.Attempt(); a != nil && a.Number != c.attempt {
		if c.attempt > 0 {
			c.line("attempt %d of run %s", a.Number, r.ID)
			c.way = [milestones]bool{requested: true}
		}
		c.attempt, c.since = a.Number, c.now()
	}
	way := wayOf(r, m)
	known := map[milestone]time.Duration{}
	if a := r.Attempt(); a != nil {
		known = times(r, *a)
	}
	for i := range last + 1 {
		if !way[i] || c.way[i] {
			continue
		}
		c.way[i] = true
		d, ok := known[i]
		if !ok {
			d = c.now().Sub(c.since)
		}
		c.pass(i, r, d)
		c.since = c.now()
		if at := startedAt(r, m); i == prepared && !at.IsZero() {
			c.since = at // it is noticed later
		}
	}
}

// startedAt is when the job began, as far as the record or the provider knows.
func startedAt(r dayfly.Run, m *dayfly.Machine) time.Time {
	if a := r.Attempt(); a != nil && !a.StartedAt.IsZero() {
		return a.StartedAt
	}
	if m != nil {
		return m.StartedAt
	}
	return time.Time{}
}

// pass says that a milestone was reached, d after the one before.
func (c *checklist) pass(i milestone, r dayfly.Run, d time.Duration) {
	detail := ""
	switch i {
	case requested:
		detail = string(r.ID)
	case launched:
		a := r.Attempt()
		detail = string(a.Machine)
		if c.tty {
			detail = shortMachine(a.Machine)
		}
		if a.Isolation != "" {
			detail += ", isolation " + string(a.Isolation)
		}
	}
	if c.tty {
		text := fmt.Sprintf("%s %-17s", c.marks.done, reached[i])
		if i != requested {
			text += fmt.Sprintf(" %8s", took(d))
		}
		c.line("%s", strings.TrimRight(text+"  "+detail, " "))
		return
	}
	switch i {
	case requested, launched, gone:
		c.line("%s", strings.TrimSuffix(reached[i]+": "+detail, ": "))
	}
	if i == launched || i == prepared || i == ran {
		c.line("%s", doing[i+1])
	}
}

// status rewrites the last line of a terminal.
func (c *checklist) status(r dayfly.Run) {
	if !c.tty || c.midLine.open() {
		return
	}
	next := requested
	for i := range milestones {
		if c.way[i] {
			next = i + 1
		}
	}
	switch r.State {
	case dayfly.Stopping:
		next = gone
	case dayfly.Due:
		next = launched // again, where an attempt was before
	}
	if next >= milestones {
		return
	}
	what := doing[next]
	if next == launched && r.State == dayfly.Due && r.Reason != "" {
		what = doing[requested]
	}
	text := fmt.Sprintf("%s %-17s %8s", c.marks.doing, what, took(c.now().Sub(c.since)))
	if u := c.usual[next]; u > 0 {
		text += "  (usually " + took(u) + ")"
	}
	rewrite(c.w, text)
	c.live = true
}

// settle leaves the terminal at the beginning of a line, for a message.
func (c *checklist) settle() {
	if c.flush != nil {
		_ = c.flush() // an error of the log's own comes with its next write
	}
	c.clear()
}

// line writes a line that stays.
func (c *checklist) line(format string, args ...any) {
	c.settle()
	if c.tty && c.midLine.open() {
		fmt.Fprintln(c.w)
		c.midLine.ended()
	}
	fmt.Fprintln(c.w, term.Text(fmt.Sprintf(format, args...)))
}

// clear takes the status off the terminal, before anything else is written to it.
func (c *checklist) clear() {
	if c.live {
		fmt.Fprint(c.w, "\r\x1b[K")
		c.live = false
	}
}

// lineEnd is a writer that knows whether the last line that went through it is complete. Before it
// writes, whatever shares its terminal is cleared.
type lineEnd struct {
	w      io.Writer
	before func()
	within bool
}

// Write implements io.Writer.
func (l *lineEnd) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if l.before != nil {
		l.before()
	}
	n, err := l.w.Write(p)
	if n > 0 {
		l.within = p[n-1] != '\n'
	}
	return n, err
}

func (l *lineEnd) open() bool { return l != nil && l.within }

func (l *lineEnd) ended() { l.within = false }
