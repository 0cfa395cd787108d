package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// Backfill is a person's wish that slots of the past run, so many at once, one after another in the order
// given. Once it is recorded it never changes.
//
// A pass makes a slot's runs when there is room for them, as far as they do not exist: that a run says
// whose it is keeps a slot from being made twice, whoever dies where. How far it is and that it was
// cancelled are notes of their own, since notes are replaced whole.
type Backfill struct {
	ID        dayfly.BackfillID `json:"id"`
	Job       dayfly.JobName    `json:"job"`
	Version   string            `json:"version"`
	Params    map[string]string `json:"params,omitempty"` // defaults included
	AtOnce    int               `json:"at_once"`          // slots
	Slots     []Steps           `json:"slots"`
	By        string            `json:"by"`
	CreatedAt time.Time         `json:"created_at"`
}

// Steps are slots that are equally far apart.
type Steps struct {
	From  time.Time      `json:"from"`
	Every dayfly.Seconds `json:"every,omitempty"` // negative: backwards
	Count int            `json:"count"`
}

// StepsOf makes steps of slots, in their order.
func StepsOf(slots []time.Time) []Steps {
	var all []Steps
	for _, slot := range slots {
		slot = slot.UTC()
		if n := len(all); n > 0 {
			last := &all[n-1]
			every := slot.Sub(last.at(last.Count - 1))
			if last.Count == 1 || every == last.Every.Duration() {
				last.Every = dayfly.Seconds(every)
				last.Count++
				continue
			}
		}
		all = append(all, Steps{From: slot, Count: 1})
	}
	return all
}

func (s Steps) at(i int) time.Time { return s.From.Add(time.Duration(i) * s.Every.Duration()) }

// Count is how many slots the backfill has.
func (b Backfill) Count() (n int) {
	for _, s := range b.Slots {
		n += s.Count
	}
	return n
}

// Slot is one of them, from 0.
func (b Backfill) Slot(i int) time.Time {
	for _, s := range b.Slots {
		if i < s.Count {
			return s.at(i)
		}
		i -= s.Count
	}
	return time.Time{}
}

// Span is the earliest of its slots and the latest, in whatever order they come.
func (b Backfill) Span() (first, last time.Time) {
	first, last = b.Slot(0), b.Slot(b.Count()-1)
	if last.Before(first) {
		return last, first
	}
	return first, last
}

// Filling is how far a backfill is.
type Filling struct {
	Backfill
	Done      int       `json:"done"` // slots that have their runs, ended or not
	CancelAt  time.Time `json:"cancel_at,omitzero"`
	CancelWhy string    `json:"cancel_why,omitempty"`
	EndedAt   time.Time `json:"ended_at,omitzero"` // all its runs have ended, and no more come
}

// Keys of the notes of backfills. What is behind them is the id.
const (
	fillOpen   = "backfill/open/"
	fillAt     = "backfill/at/"
	fillCancel = "backfill/cancel/"
	fillEnded  = "backfill/ended/"
)

// What is kept of a backfill that has ended, and what only helps.
const (
	keepEnded = 30 * 24 * time.Hour
	keepHints = 400 * 24 * time.Hour
)

// Fill records a backfill. It is durable when it returns; passes do the rest.
func Fill(ctx context.Context, s store.Store, b Backfill) error {
	if b.ID.Job() != b.Job || b.AtOnce < 1 || b.Count() == 0 {
		return &dayfly.Error{Code: dayfly.CodeInvalid, Message: fmt.Sprintf("a backfill %q of %d slots, %d at once, makes no sense", b.ID, b.Count(), b.AtOnce), Hint: "a backfill has at least one slot, and runs at least one at once"}
	}
	value, err := json.Marshal(b)
	if err == nil {
		err = s.PutNote(ctx, store.Note{Key: fillOpen + string(b.ID), Value: string(value)})
	}
	if err != nil {
		return fmt.Errorf("record backfill %s: %w", b.ID, err)
	}
	return nil
}

// damagedFill is a note about a backfill that makes no sense.
func damagedFill(id string, err error) store.Damage {
	return store.Damage{Kind: "backfill", ID: id, Job: dayfly.BackfillID(id).Job(), Err: err}
}

// Fillings gives the backfills of a job (empty: of all) that go on, and those that ended of late, by id. Those that are
// damaged it names in a *store.DamagedError, and gives all others with it.
func Fillings(ctx context.Context, s store.Store, job dayfly.JobName, now time.Time) ([]Filling, error) {
	open, damaged, err := store.Readable(openFillings(ctx, s, job, now))
	if err != nil {
		return nil, err
	}
	notes, err := s.Notes(ctx, fillEnded+ofJob(job), now)
	if err != nil {
		return nil, fmt.Errorf("read backfills: %w", err)
	}
	for _, n := range notes {
		var f Filling
		if err := json.Unmarshal([]byte(n.Value), &f); err != nil {
			damaged = append(damaged, damagedFill(strings.TrimPrefix(n.Key, fillEnded), err))
			continue
		}
		// One that was ended by a pass which died right after it is in both.
		open = slices.DeleteFunc(open, func(o Filling) bool { return o.ID == f.ID })
		open = append(open, f)
	}
	slices.SortFunc(open, func(a, b Filling) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return open, store.OrDamaged(damaged)
}

// ofJob is how the ids of a job's backfills begin.
func ofJob(job dayfly.JobName) string {
	if job == "" {
		return ""
	}
	return string(job) + "@"
}

// openFillings gives the backfills that go on, and names those that are damaged.
func openFillings(ctx context.Context, s store.Store, job dayfly.JobName, now time.Time) ([]Filling, error) {
	notes, err := s.Notes(ctx, fillOpen+ofJob(job), now)
	if err != nil {
		return nil, fmt.Errorf("read backfills: %w", err)
	}
	var all []Filling
	var damaged []store.Damage
	for _, n := range notes {
		f := Filling{}
		if err := json.Unmarshal([]byte(n.Value), &f.Backfill); err != nil {
			damaged = append(damaged, damagedFill(strings.TrimPrefix(n.Key, fillOpen), err))
			continue
		}
		hints, err := s.Notes(ctx, fillAt+string(f.ID), now)
		if err != nil {
			return nil, fmt.Errorf("read how far backfill %s is: %w", f.ID, err)
		}
		for _, h := range hints {
			if at, err := strconv.Atoi(h.Value); err == nil && h.Key == fillAt+string(f.ID) {
				f.Done = min(max(0, at), f.Count())
			}
		}
		if err := readCancel(ctx, s, &f, now); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, store.OrDamaged(damaged)
}

// canceled is the note of a cancelled backfill.
type canceled struct {
	At  time.Time `json:"at"`
	Why string    `json:"why"`
}

func readCancel(ctx context.Context, s store.Store, f *Filling, now time.Time) error {
	notes, err := s.Notes(ctx, fillCancel+string(f.ID), now)
	if err != nil {
		return fmt.Errorf("read whether backfill %s was cancelled: %w", f.ID, err)
	}
	for _, n := range notes {
		var c canceled
		if n.Key != fillCancel+string(f.ID) {
			continue
		}
		if err := json.Unmarshal([]byte(n.Value), &c); err != nil { // it was: by whom is lost
			c = canceled{At: now, Why: "its cancellation is on record, and damaged"}
		}
		f.CancelAt, f.CancelWhy = c.At, c.Why
	}
	return nil
}

// CancelFill records that a backfill shall make no more runs, and that those it has shall end. One that has
// ended is refused; a second cancel changes nothing.
func CancelFill(ctx context.Context, s store.Store, id dayfly.BackfillID, why string, now time.Time) error {
	all, damaged, err := store.Readable(Fillings(ctx, s, id.Job(), now))
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(f Filling) bool { return f.ID == id })
	switch {
	case i < 0 && len(damaged) > 0:
		return store.OrDamaged(damaged)
	case i < 0:
		return fmt.Errorf("cancel backfill %s: %w", id, store.ErrNotFound)
	case !all[i].EndedAt.IsZero():
		return &dayfly.Error{Code: dayfly.CodeRefused, Message: fmt.Sprintf("cancel backfill %s: it has ended already", id), Hint: "dayfly history --job " + string(id.Job()) + " shows its runs"}
	case !all[i].CancelAt.IsZero():
		return nil
	}
	value, err := json.Marshal(canceled{now.UTC(), why})
	if err == nil {
		err = s.PutNote(ctx, store.Note{Key: fillCancel + string(id), Value: string(value), Expires: now.Add(keepHints)})
	}
	if err != nil {
		return fmt.Errorf("cancel backfill %s: %w", id, err)
	}
	return nil
}

// cancelBackfills cancels all of a job.
func cancelBackfills(ctx context.Context, s store.Store, job dayfly.JobName, why string, now time.Time) error {
	open, damaged, err := store.Readable(openFillings(ctx, s, job, now))
	if err != nil {
		return err
	}
	for _, f := range open {
		if err := CancelFill(ctx, s, f.ID, why, now); err != nil && dayfly.ErrorCode(err) != dayfly.CodeRefused {
			return err
		}
	}
	return store.OrDamaged(damaged)
}

// backfills goes on with the backfills in the scope. It gives back the runs that it made. One that cannot
// go on does not stop the others.
func (p *pass) backfills(ctx context.Context) ([]dayfly.Run, error) {
	open, damaged, err := store.Readable(openFillings(ctx, p.Store, p.scope.Job, p.now()))
	if err != nil {
		return nil, err
	}
	var made []dayfly.Run
	errs := []error{store.OrDamaged(damaged)}
	for _, f := range open {
		if p.scope.Fill != "" && p.scope.Fill != f.ID {
			continue
		}
		runs, err := p.fill(ctx, f)
		if made = append(made, runs...); err != nil {
			errs = append(errs, fmt.Errorf("backfill %s: %w", f.ID, err))
			p.soon(p.now().Add(Look))
		}
	}
	return made, errors.Join(errs...)
}

// fill makes the runs of as many slots of a backfill as there is room for, and ends it when all have ended.
func (p *pass) fill(ctx context.Context, f Filling) (made []dayfly.Run, err error) {
	active, err := p.live(ctx, f) // after how far it is: runs that are counted there are seen here
	if err != nil {
		return nil, err
	}
	inFlight := map[int64]bool{}
	for _, r := range active {
		inFlight[r.Slot.UnixMilli()] = true
	}
	job, err := p.version(ctx, f.Version)
	if err != nil {
		return nil, err
	}
	for f.Done < f.Count() && len(inFlight) < f.AtOnce && p.begins() {
		if err := readCancel(ctx, p.Store, &f, p.now()); err != nil {
			return made, err
		}
		if !f.CancelAt.IsZero() {
			break
		}
		slot := f.Slot(f.Done)
		runs, live, err := p.fillSlot(ctx, f.Backfill, job, slot)
		made = append(made, runs...)
		if err != nil {
			return made, err
		}
		if live {
			inFlight[slot.UnixMilli()] = true
		}
		f.Done++
		hint := store.Note{Key: fillAt + string(f.ID), Value: strconv.Itoa(f.Done), Expires: p.now().Add(keepHints)}
		if err := p.Store.PutNote(ctx, hint); err != nil {
			return made, fmt.Errorf("note how far it is: %w", err)
		}
	}
	switch {
	case !f.CancelAt.IsZero():
		return made, p.unfill(ctx, f)
	case f.Done == f.Count() && len(inFlight) == 0:
		return made, p.endFill(ctx, f)
	}
	return made, nil
}

// live gives the runs of a backfill that have not ended.
func (p *pass) live(ctx context.Context, f Filling) ([]dayfly.Run, error) {
	active, err := p.Store.ActiveRuns(ctx, store.Scope{Job: f.Job})
	if err != nil {
		return nil, fmt.Errorf("read active runs: %w", err)
	}
	return slices.DeleteFunc(active, func(r dayfly.Run) bool { return r.Backfill != f.ID }), nil
}

// fillSlot makes the runs of a slot that the backfill does not have, and tells whether any that it has is
// not ended.
func (p *pass) fillSlot(ctx context.Context, b Backfill, job dayfly.Job, slot time.Time) (made []dayfly.Run, live bool, err error) {
	for i, shard := range job.Shards() {
		for {
			n, has, err := p.lastOfFill(ctx, b, slot, shard)
			if err != nil {
				return made, live, err
			}
			if has != nil {
				live = live || has.State != dayfly.Ended
				break
			}
			run := byHand(b.Job, b.Version, slot, shard, max(1, n+1), dayfly.TriggerBackfill, b.Params, p.now())
			if run.Backfill = b.ID; job.AtOnce() > 0 && i >= job.AtOnce() {
				run.Reason = waitsForTurn(job)
			}
			stored, err := p.insert(ctx, []dayfly.Run{run})
			if err != nil {
				return made, live, err
			}
			if len(stored) > 0 {
				made, live = append(made, stored...), true
				break
			} // somebody else was first: perhaps for this very backfill
		}
	}
	return made, live, nil
}

// lastOfFill gives the highest n of a slot's shard, and the run that the backfill has of it, if any.
func (p *pass) lastOfFill(ctx context.Context, b Backfill, slot time.Time, shard dayfly.Shard) (last int, has *dayfly.Run, err error) {
	if last, err = p.Store.LastN(ctx, b.Job, slot, shard); err != nil {
		return 0, nil, fmt.Errorf("read which runs slot %s has: %w", slot.Format(time.RFC3339), err)
	}
	for n := last; n > 0; n-- {
		id := dayfly.NewRunID(b.Job, slot, shard, n)
		r, err := p.Store.Run(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return last, nil, fmt.Errorf("read run %s: %w", id, err)
		}
		if r.Backfill == b.ID {
			return last, &r, nil
		}
	}
	return last, nil, nil
}

// unfill cancels the runs of a cancelled backfill, and ends it when it has none any more.
func (p *pass) unfill(ctx context.Context, f Filling) error {
	active, err := p.live(ctx, f)
	if err != nil {
		return err
	}
	for _, r := range active {
		if !r.CancelAt.IsZero() {
			continue
		}
		if err := Cancel(ctx, p.Store, r.ID, f.CancelWhy, p.now()); err != nil && dayfly.ErrorCode(err) != dayfly.CodeRefused {
			return err
		}
		p.soon(p.now())
	}
	if len(active) > 0 {
		return nil
	}
	return p.endFill(ctx, f)
}

// endFill records that a backfill is over. That it is open is taken back before what that hangs on.
func (p *pass) endFill(ctx context.Context, f Filling) error {
	f.EndedAt = p.now().UTC()
	value, err := json.Marshal(f)
	if err == nil {
		err = p.Store.PutNote(ctx, store.Note{Key: fillEnded + string(f.ID), Value: string(value), Expires: f.EndedAt.Add(keepEnded)})
	}
	for _, key := range []string{fillOpen, fillCancel, fillAt} {
		if err == nil {
			err = p.Store.DeleteNote(ctx, key+string(f.ID))
		}
	}
	if err != nil {
		return fmt.Errorf("record its end: %w", err)
	}
	p.Log.Info("backfill ended", "backfill", f.ID, "slots", f.Done, "of", f.Count(), "cancelled", !f.CancelAt.IsZero())
	return nil
}
