package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// Pause is a person's word that a job shall make no runs by schedule until then (zero: until Resume). By
// completes "paused …". Slots up to now are covered first, runs that there are go on, and slots during the
// pause are recorded as skipped; nothing makes up for them. Applying the job's file does not lift it.
func (r *Reconciler) Pause(ctx context.Context, name dayfly.JobName, by string, until time.Time) (Change, error) {
	var refused error
	done, err := r.change(ctx, name, func(rec *store.Job, now time.Time) Change {
		if refused = pausable("pause", *rec); refused != nil {
			return Unchanged
		}
		held := store.Pause{Why: by, Since: rec.Cursor, Until: until.UTC()}
		if until.IsZero() {
			held.Until = until
		}
		if was := rec.Held; was.Why == by {
			if held.Since = was.Since; held.Until.Equal(was.Until) {
				return Unchanged
			}
		}
		rec.Held = held
		return Paused
	})
	return done, errors.Join(refused, err)
}

// Resume takes back a person's pause. A job whose file has vanished stays paused for that.
func (r *Reconciler) Resume(ctx context.Context, name dayfly.JobName) (Change, error) {
	var refused error
	done, err := r.change(ctx, name, func(rec *store.Job, now time.Time) Change {
		refused = pausable("resume", *rec)
		if refused != nil || rec.Held.Why == "" {
			return Unchanged
		}
		rec.Held = store.Pause{}
		return Resumed
	})
	return done, errors.Join(refused, err)
}

func pausable(what string, rec store.Job) error {
	switch {
	case rec.Rev == 0:
		return &dayfly.Error{Code: dayfly.CodeNotFound, Message: fmt.Sprintf("%s job %s: there is no such job", what, rec.Name), Hint: "dayfly ps --jobs lists the jobs"}
	case !rec.Scheduled:
		return &dayfly.Error{Code: dayfly.CodeRefused, Message: fmt.Sprintf("%s job %s: it was not applied, so it has no schedule", what, rec.Name), Hint: "dayfly apply makes the schedule of a job file known"}
	}
	return nil
}

// Vanish pauses a job whose file is not there any more, until it is applied again. Why completes "paused …".
func (r *Reconciler) Vanish(ctx context.Context, name dayfly.JobName, why string) (Change, error) {
	return r.change(ctx, name, func(rec *store.Job, now time.Time) Change {
		if rec.Rev == 0 || rec.Vanished.Why != "" {
			return Unchanged
		}
		rec.Vanished = store.Pause{Why: why, Since: rec.Cursor}
		return Paused
	})
}

// skipPaused plans the slots after rec's cursor for which its job is paused, up to now, moves the cursor
// behind them, and takes away a pause whose time is over. ranges are those of the job that there are.
func (p *pass) skipPaused(ctx context.Context, rec *store.Job, m maker, set slots, ranges []dayfly.Range) (plan, error) {
	var all plan
	for {
		pause := rec.Pause(rec.Cursor.Add(time.Nanosecond))
		if pause.Why != "" {
			end := m.now
			if !pause.Until.IsZero() && !m.now.Before(pause.Until) {
				end = pause.Until.Add(-time.Nanosecond)
			}
			s, err := p.skipper(ctx, *rec, m, pause, ranges)
			if err != nil {
				return all, err
			}
			s.skip(set, rec.Cursor, end)
			all.ranges, all.runs, all.skipped = append(all.ranges, s.ranges...), append(all.runs, s.runs...), all.skipped+s.added
			rec.Cursor = later(rec.Cursor, end)
		}
		if !lapse(rec) {
			return all, nil
		}
	}
}

// lapse takes away a person's pause when every slot before its end is covered.
func lapse(rec *store.Job) bool {
	if rec.Held.Until.IsZero() || rec.Cursor.Add(time.Nanosecond).Before(rec.Held.Until) {
		return false
	}
	rec.Held = store.Pause{}
	return true
}

// skipper records the slots of one pause: the first few by a run each, all that follow in one range
// record, which grows.
type skipper struct {
	maker
	reason string

	single int           // slots of this pause that have runs
	taken  []covered     // slots after the cursor that have runs already, ascending
	grows  *dayfly.Range // of this pause; nil: there is none yet

	ranges []dayfly.Range
	runs   []dayfly.Run
	added  int // slots that went into ranges
}

// skipper reads what the pause has recorded up to now.
func (p *pass) skipper(ctx context.Context, rec store.Job, m maker, pause store.Pause, ranges []dayfly.Range) (*skipper, error) {
	s := &skipper{maker: m, reason: "paused " + pause.Why}
	for _, r := range ranges {
		if r.From.After(pause.Since) && r.Outcome == dayfly.Skipped && r.Reason == s.reason && r.Shards == m.several() && !r.To.After(rec.Cursor) {
			s.grows = &r
		}
	}
	since := pause.Since
	if s.grows != nil {
		since = s.grows.To
	}
	have, err := p.taken(ctx, rec.Name, since, len(m.shards))
	if err != nil {
		return nil, err
	}
	after := slices.IndexFunc(have, func(c covered) bool { return c.slot.After(rec.Cursor) })
	if after < 0 {
		after = len(have)
	}
	if s.single, s.taken = after, have[after:]; s.single > 0 {
		s.grows = nil // it would reach over them
	}
	return s, nil
}

// skip covers the slots in (cursor, end]. One that has a run gets those that its other shards lack.
func (s *skipper) skip(set slots, cursor, end time.Time) {
	for _, c := range s.taken {
		slot := c.slot
		if slot.After(end) {
			break
		}
		s.segment(set, cursor, slot.Add(-time.Nanosecond))
		s.each(slot)
		cursor, s.grows = slot, nil
	}
	s.segment(set, cursor, end)
}

// segment covers slots in a row that have no runs.
func (s *skipper) segment(set slots, after, upTo time.Time) {
	n := 0
	if upTo.After(after) {
		n = set.Count(after, upTo)
	}
	if n == 0 {
		return
	}
	if s.grows == nil && !s.asRange(s.single+n) {
		for slot, ok := set.Next(after); ok && !slot.After(upTo); slot, ok = set.Next(slot) {
			s.each(slot)
		}
		return
	}
	last, _ := set.Prev(upTo)
	if s.grows == nil {
		first, _ := set.Next(after)
		grows := s.rangeOf(first, last, 0, dayfly.Skipped, s.reason)
		s.grows = &grows
	}
	s.grows.To, s.grows.Count = last.UTC(), s.grows.Count+n
	s.ranges = append(s.ranges, *s.grows)
	s.added += n
}

// each records one slot by a run for each shard.
func (s *skipper) each(slot time.Time) {
	s.single++
	s.runs = append(s.runs, s.ended(slot, dayfly.Skipped, s.reason)...)
}
