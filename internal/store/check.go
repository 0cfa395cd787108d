package store

import (
	"cmp"
	"fmt"
	"time"

	"github.com/dayfly-io/dayfly"
)

// MaxInsert is how many runs one InsertRuns takes at most.
const MaxInsert = 200

// CheckInsert is what every implementation demands of a batch before it touches anything.
func CheckInsert(runs []dayfly.Run) error {
	if len(runs) > MaxInsert {
		return fmt.Errorf("insert runs: %d at once, at most %d are taken", len(runs), MaxInsert)
	}
	for i := range runs {
		if err := CheckRun(&runs[i]); err != nil {
			return err
		}
	}
	return nil
}

// CheckRun is what every implementation demands of a run it is given: that its id is the one of its
// job, slot, shard and n, so that the one is unique as the other is, and that the slot is a whole
// millisecond, because the id says no more.
func CheckRun(r *dayfly.Run) error {
	if r.Slot.Nanosecond()%int(time.Millisecond) != 0 {
		return fmt.Errorf("store run %s: its slot %s is not a whole millisecond", r.ID, r.Slot.Format(time.RFC3339Nano))
	}
	if want := dayfly.NewRunID(r.Job, r.Slot, r.Shard, r.N); r.ID != want {
		return fmt.Errorf("store run %s: its job, slot, shard and n say %s", r.ID, want)
	}
	if r.State == "" {
		return fmt.Errorf("store run %s: it has no state", r.ID)
	}
	return nil
}

// CheckRange is what every implementation demands of a range record: that its first and its last slot are whole
// milliseconds, as those of runs are.
func CheckRange(r dayfly.Range) error {
	for _, slot := range []time.Time{r.From, r.To} {
		if slot.Nanosecond()%int(time.Millisecond) != 0 {
			return fmt.Errorf("store range of job %s: its slot %s is not a whole millisecond", r.Job, slot.Format(time.RFC3339Nano))
		}
	}
	return nil
}

// Position is a place in the order of History.
type Position struct {
	Slot time.Time
	ID   dayfly.RunID
}

// Compare orders by slot, then by id: the order of ActiveRuns, and the reverse of History's.
func (p Position) Compare(q Position) int {
	return cmp.Or(p.Slot.Compare(q.Slot), cmp.Compare(p.ID, q.ID))
}

// PositionOf is where a run stands.
func PositionOf(r *dayfly.Run) Position { return Position{Slot: r.Slot, ID: r.ID} }

// Cursor is the position of Filter.Before; ok is false where there is none. The run need not exist.
func (f Filter) Cursor() (p Position, ok bool, err error) {
	if f.Before == "" {
		return Position{}, false, nil
	}
	_, slot, _, _, err := f.Before.Parse()
	if err != nil {
		return Position{}, false, fmt.Errorf("read history before a run: %w", err)
	}
	return Position{Slot: slot, ID: f.Before}, true, nil
}

// Match tells whether a run passes the filter, cursor and limit aside.
func (f Filter) Match(r *dayfly.Run) bool {
	return (f.Job == "" || r.Job == f.Job) &&
		(f.Outcome == "" || r.Outcome == f.Outcome) &&
		(f.Backfill == "" || r.Backfill == f.Backfill) &&
		(f.Since.IsZero() || !r.Slot.Before(f.Since)) &&
		(f.Until.IsZero() || !r.Slot.After(f.Until)) &&
		(f.Remains == 0 || r.Remains()&f.Remains != 0) &&
		(!f.Ended || r.State == dayfly.Ended)
}

// Apply puts a mark on a run, where it may. It tells whether anything changed.
func (m Mark) Apply(r *dayfly.Run) (changed bool) {
	if r.State != dayfly.Ended {
		return false
	}
	for to, from := range map[*dayfly.Removal]dayfly.Removal{&r.ResultsRemoved: m.Results, &r.LogsRemoved: m.Logs} {
		if to.At.IsZero() && !from.At.IsZero() {
			*to, changed = from, true
		}
	}
	return changed
}

// CheckBatch is what every implementation demands of a batch of n before it touches anything.
func CheckBatch(n int) error {
	if n > MaxInsert {
		return fmt.Errorf("change %d runs at once: at most %d are taken", n, MaxInsert)
	}
	return nil
}

// Covers tells whether a run is in the scope.
func (s Scope) Covers(r *dayfly.Run) bool {
	return (s.Job == "" || r.Job == s.Job) && (s.Run == "" || r.ID == s.Run)
}

// Valid tells whether the note is still there at an instant: it has not expired.
func (n Note) Valid(now time.Time) bool { return n.Expires.IsZero() || n.Expires.After(now) }
