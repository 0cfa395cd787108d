package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/term"
)

// tally shows how far many runs are: on a terminal one line that is rewritten, and a line that stays for
// each run that did not succeed; elsewhere a line for each that has ended.
type tally struct {
	w     io.Writer
	tty   bool
	marks marks
	now   func() time.Time
	since time.Time
	ended map[dayfly.RunID]bool
	waits string                  // why all of them wait, as it was said last
	named func(dayfly.Run) string // what a run is called; nil: by its shard
	of    int                     // slots there are to come to; 0: the runs are all that comes
	live  bool
}

func (a *app) newTally() *tally {
	return &tally{w: a.err, tty: a.errTTY, marks: a.marks(), now: a.now, since: a.now()}
}

// update shows what has changed.
func (t *tally) update(runs []dayfly.Run) {
	if t.ended == nil {
		t.ended = map[dayfly.RunID]bool{}
	}
	waits, busy := "", false
	for _, r := range runs {
		switch {
		case r.State == dayfly.Due:
			waits = cmp.Or(waits, r.Reason)
		case r.State != dayfly.Ended:
			busy = true
		case !t.ended[r.ID]:
			t.ended[r.ID] = true
			if !t.tty || r.Outcome != dayfly.Succeeded {
				t.line(t.said(r))
			}
		}
	}
	if !busy && waits != t.waits {
		if t.waits = waits; waits != "" {
			t.line("waiting: " + waits)
		}
	}
	if t.tty && (len(t.ended) < len(runs) || len(runs) < t.of) {
		rewrite(t.w, fmt.Sprintf("%s %s  %s", t.marks.doing, t.counts(runs), took(t.now().Sub(t.since))))
		t.live = true
	}
}

// counts is how many runs are at what, and of how many slots they are where more come.
func (t *tally) counts(runs []dayfly.Run) string {
	if t.of == 0 {
		return countsOf(runs)
	}
	slots := map[time.Time]bool{}
	for _, r := range runs {
		slots[r.Slot] = true
	}
	return strings.TrimSuffix(fmt.Sprintf("%s of %s: %s", number(len(slots)), plural(t.of, "slot"), countsOf(runs)), ": ")
}

// said is a line on a run that has ended.
func (t *tally) said(r dayfly.Run) string {
	name := "shard " + string(r.Shard)
	if t.named != nil {
		name = t.named(r)
	}
	text := name + " " + spoken(string(r.Outcome))
	if lastLaunched(r) > 0 {
		text += " in " + took(over(r).Sub(began(r)))
	}
	if r.Outcome == dayfly.Succeeded {
		return text
	}
	return text + howItEnded(r)
}

func (t *tally) line(text string) {
	t.clear()
	fmt.Fprintln(t.w, term.Text(text))
}

// clear takes the status off the terminal.
func (t *tally) clear() {
	if t.live {
		fmt.Fprint(t.w, "\r\x1b[K")
		t.live = false
	}
}
