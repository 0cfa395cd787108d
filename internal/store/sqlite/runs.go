package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// InsertRuns implements store.Store, all in one transaction.
func (s *Store) InsertRuns(ctx context.Context, runs []dayfly.Run) ([]bool, error) {
	if err := store.CheckInsert(runs); err != nil || len(runs) == 0 {
		return nil, err
	}
	bodies := make([]string, len(runs))
	for i := range runs {
		b, err := json.Marshal(runs[i])
		if err != nil {
			return nil, fmt.Errorf("insert run %s: %w", runs[i].ID, err)
		}
		bodies[i] = string(b)
	}
	stored := make([]bool, len(runs))
	err := s.change(ctx, func(ctx context.Context) error {
		for i, r := range runs {
			n, err := s.exec(ctx, `INSERT INTO runs (id, job, slot, shard, n, state, outcome, version, backfill, remains, rev, body)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?) ON CONFLICT DO NOTHING`,
				string(r.ID), string(r.Job), r.Slot.UnixMicro(), string(r.Shard), r.N, string(r.State), string(r.Outcome),
				short(r.Version), string(r.Backfill), int(r.Remains()), bodies[i])
			if err != nil {
				return err
			}
			stored[i] = n == 1
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("insert %d runs from %s on: %w", len(runs), runs[0].ID, err)
	}
	return stored, nil
}

// UpdateRun implements store.Store.
func (s *Store) UpdateRun(ctx context.Context, r dayfly.Run) (dayfly.Run, error) {
	body, err := s.updateRun(ctx, r)
	if err != nil {
		return dayfly.Run{}, fmt.Errorf("update run %s: %w", r.ID, err)
	}
	// Given back as it was stored: without what is not, and sharing nothing with the caller.
	out := dayfly.Run{}
	if err := json.Unmarshal(body, &out); err != nil {
		return dayfly.Run{}, fmt.Errorf("update run %s: %w", r.ID, err)
	}
	out.Rev = r.Rev + 1
	return out, nil
}

func (s *Store) updateRun(ctx context.Context, r dayfly.Run) (body []byte, err error) {
	if err := store.CheckRun(&r); err != nil {
		return nil, err
	}
	if body, err = json.Marshal(r); err != nil {
		return nil, err
	}
	return body, s.change(ctx, func(ctx context.Context) error {
		n, err := s.exec(ctx, "UPDATE runs SET state = ?, outcome = ?, version = ?, remains = ?, rev = rev + 1, body = ? WHERE id = ? AND rev = ? AND state <> 'ended'",
			string(r.State), string(r.Outcome), short(r.Version), int(r.Remains()), string(body), string(r.ID), r.Rev)
		if err != nil || n == 1 {
			return err
		}
		return s.missing(ctx, "SELECT 1 FROM runs WHERE id = ?", string(r.ID))
	})
}

func scanRun(scan func(...any) error) (dayfly.Run, error) {
	r, err := scanRow(scan)
	if err != nil {
		return dayfly.Run{}, err
	}
	return r.run()
}

func scanRow(scan func(...any) error) (r row, err error) {
	err = scan(&r.id, &r.rev, &r.body)
	return r, err
}

// Run implements store.Store.
func (s *Store) Run(ctx context.Context, id dayfly.RunID) (dayfly.Run, error) {
	r, err := scanRun(func(into ...any) error {
		return s.find(ctx, "SELECT id, rev, body FROM runs WHERE id = ?", []any{string(id)}, into...)
	})
	if _, says := errors.AsType[store.Damage](err); err != nil && !says {
		err = fmt.Errorf("read run %s: %w", id, err)
	}
	return r, err
}

func (s *Store) runs(ctx context.Context, query string, args ...any) (out []dayfly.Run, err error) {
	err = s.list(ctx, query, args, func(scan func(...any) error) error {
		r, err := scanRun(scan)
		if err == nil {
			out = append(out, r)
		}
		return err
	})
	return out, err
}

// ActiveRuns implements store.Store.
func (s *Store) ActiveRuns(ctx context.Context, scope store.Scope) ([]dayfly.Run, error) {
	query, args := activeQuery(scope)
	out, err := s.runs(ctx, query, args...)
	if err != nil {
		return out, fmt.Errorf("read active runs: %w", err)
	}
	return out, nil
}

// activeQuery names its index, as historyQuery does: SQLite would walk all that a job has ever run.
func activeQuery(scope store.Scope) (query string, args []any) {
	index, where := "INDEXED BY runs_active", "state <> 'ended'"
	if scope.Job != "" {
		index, where, args = "INDEXED BY runs_active_job", where+" AND job = ?", append(args, string(scope.Job))
	}
	if scope.Run != "" {
		index, where, args = "", where+" AND id = ?", append(args, string(scope.Run)) // by the id's own
	}
	return fmt.Sprintf("SELECT id, rev, body FROM runs %s WHERE %s ORDER BY slot, id", index, where), args
}

// LastN implements store.Store.
func (s *Store) LastN(ctx context.Context, job dayfly.JobName, slot time.Time, shard dayfly.Shard) (n int, err error) {
	err = s.find(ctx, "SELECT coalesce(max(n), -1) FROM runs WHERE job = ? AND slot = ? AND shard = ?",
		[]any{string(job), slot.UnixMicro(), string(shard)}, &n)
	if err != nil {
		return 0, fmt.Errorf("read the last n of %s at %s: %w", job, slot.Format(time.RFC3339), err)
	}
	return n, nil
}

// History implements store.Store. It reads page by page and holds nothing open while the caller works.
func (s *Store) History(ctx context.Context, f store.Filter) iter.Seq2[dayfly.Run, error] {
	return func(yield func(dayfly.Run, error) bool) {
		left := f.Limit
		for page := 32; ; page = min(2*page, 512) {
			n := page
			if f.Limit > 0 {
				n = min(n, left)
			}
			rows, err := s.page(ctx, f, n)
			if err != nil {
				yield(dayfly.Run{}, fmt.Errorf("read history: %w", err))
				return
			}
			for _, r := range rows {
				if !yield(r.run()) {
					return
				}
			}
			left -= len(rows)
			if len(rows) < n || f.Limit > 0 && left == 0 {
				return
			}
			f.Before = rows[len(rows)-1].id
		}
	}
}

// row is a run as it is stored. Whoever stops reading in the middle of a page does not pay for what it decodes to.
type row struct {
	id   dayfly.RunID
	rev  int64
	body []byte
}

func (r row) run() (dayfly.Run, error) {
	run, err := store.DecodeRun(r.id, r.body)
	run.Rev = r.rev
	return run, err
}

func (s *Store) page(ctx context.Context, f store.Filter, n int) (out []row, err error) {
	query, args, err := historyQuery(f)
	if err != nil {
		return nil, err
	}
	err = s.list(ctx, query, append(args, n), func(scan func(...any) error) error {
		r, err := scanRow(scan)
		out = append(out, r)
		return err
	})
	return out, err
}

// historyQuery is the filter in SQL; its last argument is the limit. Each way to combine the filters
// has an index in the order of the answer. It is named, because without statistics SQLite guesses.
func historyQuery(f store.Filter) (query string, args []any, err error) {
	index, where := "runs_slot", []string{"true"}
	and := func(term string, with ...any) { where, args = append(where, term), append(args, with...) }
	if f.Job != "" {
		index = "runs_job"
		and("job = ?", string(f.Job))
	}
	if f.Backfill != "" { // of one job in any case
		index = "runs_backfill"
		and("backfill = ? AND backfill <> ''", string(f.Backfill))
	}
	if f.Outcome != "" {
		index = map[string]string{"runs_slot": "runs_outcome", "runs_job": "runs_job_outcome", "runs_backfill": "runs_backfill_outcome"}[index]
		and("outcome = ? AND outcome <> ''", string(f.Outcome)) // the second term is the index's own
	}
	if f.Ended {
		and("state = 'ended'")
	}
	if f.Remains != 0 {
		if index == "runs_job" {
			index = "runs_remains"
		}
		and("remains & ? <> 0 AND remains <> 0", int(f.Remains)) // the second term is the index's own
	}
	if !f.Since.IsZero() {
		and("slot >= ?", ceilMicro(f.Since))
	}
	if !f.Until.IsZero() {
		and("slot <= ?", f.Until.UnixMicro())
	}
	after, order := "<", "slot DESC, id DESC"
	if f.Oldest {
		after, order = ">", "slot, id"
	}
	if at, ok, err := f.Cursor(); err != nil {
		return "", nil, err
	} else if ok {
		and("(slot, id) "+after+" (?, ?)", at.Slot.UnixMicro(), string(at.ID))
	}
	return fmt.Sprintf("SELECT id, rev, body FROM runs INDEXED BY %s WHERE %s ORDER BY %s LIMIT ?",
		index, strings.Join(where, " AND "), order), args, nil
}

// ceilMicro is the first whole microsecond at or after an instant.
func ceilMicro(t time.Time) int64 {
	return t.Add(time.Microsecond - 1).UnixMicro()
}
