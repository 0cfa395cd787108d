package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// PutRange implements store.Store.
func (s *Store) PutRange(ctx context.Context, r dayfly.Range) error {
	if err := store.CheckRange(r); err != nil {
		return err
	}
	body, err := json.Marshal(r)
	if err == nil {
		err = s.change(ctx, func(ctx context.Context) error {
			_, err := s.exec(ctx, `INSERT INTO ranges (job, from_slot, to_slot, body) VALUES (?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET to_slot = excluded.to_slot, body = excluded.body WHERE excluded.to_slot >= ranges.to_slot`,
				string(r.Job), r.From.UnixMicro(), r.To.UnixMicro(), string(body))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("store range of job %s from %s: %w", r.Job, r.From.Format(time.RFC3339), err)
	}
	return nil
}

// Ranges implements store.Store.
func (s *Store) Ranges(ctx context.Context, job dayfly.JobName, since time.Time) (out []dayfly.Range, err error) {
	query, args := "SELECT job, from_slot, body FROM ranges WHERE to_slot >= ?", []any{ceilMicro(since)}
	if job != "" {
		query, args = query+" AND job = ?", append(args, string(job))
	}
	err = s.list(ctx, query+" ORDER BY job, from_slot", args, func(scan func(...any) error) error {
		var (
			of   string
			from int64
			body []byte
		)
		if err := scan(&of, &from, &body); err != nil {
			return err
		}
		r, err := store.DecodeRange(dayfly.JobName(of), time.UnixMicro(from), body)
		if err == nil {
			out = append(out, r)
		}
		return err
	})
	if err != nil {
		return out, fmt.Errorf("read ranges: %w", err)
	}
	return out, nil
}

// keepExpired is how long an expired note stays, in case the clock steps back.
const keepExpired = 24 * time.Hour

// PutNote implements store.Store.
func (s *Store) PutNote(ctx context.Context, n store.Note) error {
	err := s.change(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, "DELETE FROM notes WHERE expires <= ?", s.now().Add(-keepExpired).UnixMicro()); err != nil {
			return err
		}
		_, err := s.exec(ctx, "INSERT OR REPLACE INTO notes (key, value, expires) VALUES (?, ?, ?)", n.Key, n.Value, micros(n.Expires))
		return err
	})
	if err != nil {
		return fmt.Errorf("store note %q: %w", n.Key, err)
	}
	return nil
}

// Notes implements store.Store.
func (s *Store) Notes(ctx context.Context, prefix string, now time.Time) (out []store.Note, err error) {
	query := "SELECT key, value, expires FROM notes WHERE (expires IS NULL OR expires > ?) AND key >= ?"
	args := []any{now.UnixMicro(), prefix}
	if end := afterPrefix(prefix); end != "" {
		query, args = query+" AND key < ?", append(args, end)
	}
	err = s.list(ctx, query+" ORDER BY key", args, func(scan func(...any) error) error {
		var (
			n       store.Note
			expires sql.NullInt64
		)
		if err := scan(&n.Key, &n.Value, &expires); err != nil {
			return err
		}
		if expires.Valid {
			n.Expires = time.UnixMicro(expires.Int64).UTC()
		}
		out = append(out, n)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read notes %q: %w", prefix, err)
	}
	return out, nil
}

// afterPrefix is the least text that is greater than all that begin with the prefix; "" for none.
func afterPrefix(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1})
		}
	}
	return ""
}

// DeleteNote implements store.Store.
func (s *Store) DeleteNote(ctx context.Context, key string) error {
	err := s.change(ctx, func(ctx context.Context) error {
		_, err := s.exec(ctx, "DELETE FROM notes WHERE key = ?", key)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete note %q: %w", key, err)
	}
	return nil
}
