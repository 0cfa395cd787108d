package objects

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/store"
)

const runPrefix, activePrefix = "records/runs/", "records/active/"

// InsertRuns implements store.Store.
func (s *Store) InsertRuns(ctx context.Context, runs []dayfly.Run) ([]bool, error) {
	if err := store.CheckInsert(runs); err != nil {
		return nil, err
	}
	stored := make([]bool, len(runs))
	for i, r := range runs {
		if _, _, err := s.run(ctx, r.ID); err == nil || store.IsDamage(err) {
			continue // and no marker for what may be ended
		}
		key := string(r.Job) + "/" + string(r.ID)
		var err error
		if r.State != dayfly.Ended { // the marker first: an active run without one would be forgotten
			err = s.write(ctx, activePrefix+key, struct{}{}, bucket.Condition{})
		}
		if err == nil {
			err = s.write(ctx, runPrefix+key, record[dayfly.Run]{Rev: 1, Value: r}, bucket.Condition{IfAbsent: true})
		}
		if err != nil && !errors.Is(err, bucket.ErrExists) {
			return nil, fmt.Errorf("insert run %s: %w", r.ID, err)
		}
		stored[i] = err == nil
	}
	return stored, nil
}

// run reads a run's record and tells where it lies.
func (s *Store) run(ctx context.Context, id dayfly.RunID) (r record[dayfly.Run], key string, err error) {
	job, _, _, _, err := id.Parse()
	if err != nil {
		return r, "", store.ErrNotFound
	}
	key = string(job) + "/" + string(id)
	r, etag, err := read(ctx, s, runPrefix+key, func(data []byte) (record[dayfly.Run], error) {
		decode := func(body []byte) (dayfly.Run, error) { return store.DecodeRun(id, body) }
		r, err := revised(data, decode)
		if err == nil && r.Deleted { // a run that is deleted has no object
			err = damage(decode, errors.New("it says that it is deleted"))
		}
		return r, err
	})
	r.etag, r.Value.Rev = etag, r.Rev
	return r, key, err
}

// Run implements store.Store.
func (s *Store) Run(ctx context.Context, id dayfly.RunID) (dayfly.Run, error) {
	r, _, err := s.run(ctx, id)
	if err != nil {
		return dayfly.Run{}, fmt.Errorf("read run %s: %w", id, err)
	}
	return r.Value, nil
}

// UpdateRun implements store.Store.
func (s *Store) UpdateRun(ctx context.Context, r dayfly.Run) (dayfly.Run, error) {
	if err := store.CheckRun(&r); err != nil {
		return dayfly.Run{}, err
	}
	old, key, err := s.run(ctx, r.ID)
	if err == nil && (old.Rev != r.Rev || old.Value.State == dayfly.Ended) {
		err = store.ErrStale
	}
	if err == nil {
		err = swap(ctx, s, runPrefix+key, old, record[dayfly.Run]{Value: r})
	}
	if err == nil && r.State == dayfly.Ended {
		err = s.b.Delete(ctx, activePrefix+key) // should it stay, ActiveRuns removes it
	}
	if err != nil {
		return dayfly.Run{}, fmt.Errorf("update run %s: %w", r.ID, err)
	}
	r.Rev++
	return stored(r)
}

// stored gives a run as it is read back: it shares nothing with the caller and lacks what is not stored.
func stored(r dayfly.Run) (out dayfly.Run, err error) {
	data, err := json.Marshal(r)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	out.Rev = r.Rev
	return out, err
}

// ActiveRuns implements store.Store.
func (s *Store) ActiveRuns(ctx context.Context, scope store.Scope) (out []dayfly.Run, err error) {
	var damaged []store.Damage
	for id, err := range s.active(ctx, scope) {
		if err != nil {
			return nil, fmt.Errorf("read active runs: %w", err)
		}
		r, key, err := s.run(ctx, id)
		if store.IsDamage(err) {
			if there, bad := s.marked(ctx, key); bad != nil || !there {
				err = cmp.Or(bad, store.ErrNotFound)
			}
		}
		switch {
		case errors.Is(err, store.ErrNotFound): // its insert is under way, or was never finished
		case spare(err, &damaged) != nil:
			return nil, fmt.Errorf("read active runs: %w", err)
		case err != nil:
		case r.Value.State == dayfly.Ended: // for good, so nobody needs the marker
			if err := s.b.Delete(ctx, activePrefix+key); err != nil {
				return nil, fmt.Errorf("read active runs: %w", err)
			}
		case scope.Covers(&r.Value):
			out = append(out, r.Value)
		}
	}
	slices.SortFunc(out, func(a, b dayfly.Run) int { return store.PositionOf(&a).Compare(store.PositionOf(&b)) })
	return out, store.OrDamaged(damaged)
}

// marked tells whether a run has the marker of those that are active: all that tells it of a damaged one.
func (s *Store) marked(ctx context.Context, key string) (bool, error) {
	_, err := s.b.Stat(ctx, activePrefix+key)
	if errors.Is(err, bucket.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// active gives the ids that may be active.
func (s *Store) active(ctx context.Context, scope store.Scope) iter.Seq2[dayfly.RunID, error] {
	if scope.Run != "" {
		return func(yield func(dayfly.RunID, error) bool) { yield(scope.Run, nil) }
	}
	return s.ids(ctx, activePrefix, scope.Job, "")
}

// ids lists the runs of a job (empty: of all) below a prefix.
func (s *Store) ids(ctx context.Context, prefix string, job dayfly.JobName, begin string) iter.Seq2[dayfly.RunID, error] {
	if job != "" {
		prefix += string(job) + "/" + begin
	}
	return func(yield func(dayfly.RunID, error) bool) {
		for info, err := range s.b.List(ctx, prefix, "") {
			if !yield(dayfly.RunID(last(info.Key)), err) {
				return
			}
		}
	}
}

// LastN implements store.Store.
func (s *Store) LastN(ctx context.Context, job dayfly.JobName, slot time.Time, shard dayfly.Shard) (int, error) {
	n := -1
	for id, err := range s.ids(ctx, runPrefix, job, string(dayfly.NewRunID(job, slot, "", 0))) {
		if err != nil {
			return 0, fmt.Errorf("read the last n of %s at %s: %w", job, slot.Format(time.RFC3339), err)
		}
		if _, _, of, k, err := id.Parse(); err == nil && of == shard {
			n = max(n, k)
		}
	}
	return n, nil
}

// History implements store.Store. The ids alone give the order; runs are read as they are taken.
func (s *Store) History(ctx context.Context, f store.Filter) iter.Seq2[dayfly.Run, error] {
	return func(yield func(dayfly.Run, error) bool) {
		places, err := s.places(ctx, f)
		if err != nil {
			yield(dayfly.Run{}, fmt.Errorf("read history: %w", err))
			return
		}
		given := 0
		for _, p := range places {
			r, err := s.Run(ctx, p.ID)
			if err == nil && !f.Match(&r) || errors.Is(err, store.ErrNotFound) { // removed just now
				continue
			}
			if given++; !yield(r, err) || err != nil && !store.IsDamage(err) || given == f.Limit {
				return
			}
		}
	}
}

// places gives where the history has runs, after the cursor, in its order.
func (s *Store) places(ctx context.Context, f store.Filter) (out []store.Position, err error) {
	from, after, err := f.Cursor()
	if err != nil {
		return nil, err
	}
	for id, err := range s.ids(ctx, runPrefix, f.Job, "") {
		if err != nil {
			return nil, err
		}
		_, slot, _, _, err := id.Parse()
		p := store.Position{Slot: slot, ID: id}
		switch order := p.Compare(from); {
		case err != nil, after && !f.Oldest && order >= 0, after && f.Oldest && order <= 0,
			!f.Until.IsZero() && slot.After(f.Until), slot.Before(f.Since):
		default:
			out = append(out, p)
		}
	}
	slices.SortFunc(out, store.Position.Compare)
	if !f.Oldest {
		slices.Reverse(out)
	}
	return out, nil
}
