package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// micros is an instant as a column; NULL for none.
func micros(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

// PutVersion implements store.Store.
func (s *Store) PutVersion(ctx context.Context, j dayfly.Job) error {
	version := j.Version()
	body, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("store version %s of job %s: %w", version, j.Name, err)
	}
	err = s.change(ctx, func(ctx context.Context) error {
		_, err := s.exec(ctx, `INSERT INTO versions (version, job, files, body) VALUES (?, ?, nullif(?, ''), ?)
			ON CONFLICT (version) DO UPDATE SET unused = NULL, job = excluded.job, files = excluded.files, body = excluded.body
			WHERE unused IS NOT NULL OR body IS NOT excluded.body`, // what is damaged is mended: the name tells the content
			version, string(j.Name), j.FilesSHA256, string(body))
		return err
	})
	if err != nil {
		return fmt.Errorf("store version %s of job %s: %w", version, j.Name, err)
	}
	return nil
}

// Version implements store.Store.
func (s *Store) Version(ctx context.Context, version string) (dayfly.Job, error) {
	var body []byte
	if err := s.find(ctx, "SELECT body FROM versions WHERE version = ?", []any{version}, &body); err != nil {
		return dayfly.Job{}, fmt.Errorf("read version %s: %w", version, err)
	}
	return store.DecodeVersion(version, body)
}

// Versions implements store.Store.
func (s *Store) Versions(ctx context.Context, versions []string) (map[string]dayfly.Job, error) {
	names, err := json.Marshal(versions)
	if err != nil {
		return nil, fmt.Errorf("read versions: %w", err)
	}
	out := make(map[string]dayfly.Job, len(versions))
	const query = "SELECT version, body FROM versions WHERE version IN (SELECT value FROM json_each(?))"
	err = s.list(ctx, query, []any{string(names)}, func(scan func(...any) error) error {
		var version string
		j, err := scanVersion(scan, &version)
		if err == nil {
			out[version] = j
		}
		return err
	})
	if err != nil {
		return out, fmt.Errorf("read versions: %w", err)
	}
	return out, nil
}

func scanVersion(scan func(...any) error, version *string) (dayfly.Job, error) {
	var body []byte
	if err := scan(version, &body); err != nil {
		return dayfly.Job{}, err
	}
	return store.DecodeVersion(*version, body)
}

// PutJob implements store.Store.
func (s *Store) PutJob(ctx context.Context, j store.Job) (store.Job, error) {
	var rev int64
	body, err := json.Marshal(j)
	if err == nil {
		err = s.change(ctx, func(ctx context.Context) (err error) {
			rev, err = s.putJob(ctx, j, string(body))
			return err
		})
	}
	if err != nil {
		return store.Job{}, fmt.Errorf("store job %s: %w", j.Name, err)
	}
	j.Rev = rev
	return j, nil
}

func (s *Store) putJob(ctx context.Context, j store.Job, body string) (rev int64, err error) {
	const (
		first = `INSERT INTO jobs (name, rev, next_due, body) VALUES (?1, 1, ?2, ?3)
			ON CONFLICT (name) DO UPDATE SET rev = rev + 1, next_due = ?2, body = ?3 WHERE body IS NULL RETURNING rev`
		next = `UPDATE jobs SET rev = rev + 1, next_due = ?2, body = ?3 WHERE name = ?1 AND rev = ?4 AND body IS NOT NULL RETURNING rev`
	)
	query, args := first, []any{string(j.Name), micros(j.NextDue), body}
	if j.Rev != 0 {
		query, args = next, append(args, j.Rev)
	}
	row, err := s.row(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	if err := row.Scan(&rev); errors.Is(err, sql.ErrNoRows) {
		return 0, store.ErrStale
	} else if err != nil {
		return 0, err
	}
	return rev, nil
}

func scanJob(scan func(...any) error) (j store.Job, err error) {
	var (
		name string
		body []byte
		rev  int64
	)
	if err := scan(&name, &rev, &body); err != nil {
		return j, err
	}
	j, err = store.DecodeJob(dayfly.JobName(name), body)
	j.Rev = rev
	return j, err
}

// Job implements store.Store.
func (s *Store) Job(ctx context.Context, name dayfly.JobName) (store.Job, error) {
	j, err := scanJob(func(into ...any) error {
		return s.find(ctx, "SELECT name, rev, body FROM jobs WHERE name = ? AND body IS NOT NULL", []any{string(name)}, into...)
	})
	if _, says := errors.AsType[store.Damage](err); err != nil && !says {
		err = fmt.Errorf("read job %s: %w", name, err)
	}
	return j, err
}

func (s *Store) jobs(ctx context.Context, query string, args ...any) (out []store.Job, err error) {
	err = s.list(ctx, query, args, func(scan func(...any) error) error {
		j, err := scanJob(scan)
		if err == nil {
			out = append(out, j)
		}
		return err
	})
	if err != nil {
		return out, fmt.Errorf("read jobs: %w", err)
	}
	return out, nil
}

// Jobs implements store.Store.
func (s *Store) Jobs(ctx context.Context) ([]store.Job, error) {
	return s.jobs(ctx, "SELECT name, rev, body FROM jobs WHERE body IS NOT NULL ORDER BY name")
}

// DeleteJob implements store.Store.
func (s *Store) DeleteJob(ctx context.Context, name dayfly.JobName, rev int64) error {
	err := s.change(ctx, func(ctx context.Context) error {
		n, err := s.exec(ctx, "UPDATE jobs SET body = NULL, next_due = NULL WHERE name = ? AND rev = ? AND body IS NOT NULL", string(name), rev)
		if err != nil || n == 1 {
			return err
		}
		return s.missing(ctx, "SELECT 1 FROM jobs WHERE name = ? AND body IS NOT NULL", string(name))
	})
	if err != nil {
		return fmt.Errorf("delete job %s: %w", name, err)
	}
	return nil
}

// missing tells why a change of a record changed none, inside the same transaction.
func (s *Store) missing(ctx context.Context, query, key string) error {
	row, err := s.row(ctx, query, key)
	if err != nil {
		return err
	}
	var one int
	switch err := row.Scan(&one); {
	case errors.Is(err, sql.ErrNoRows):
		return store.ErrNotFound
	case err != nil:
		return err
	}
	return store.ErrStale
}

// DueJobs implements store.Store.
func (s *Store) DueJobs(ctx context.Context, scope store.Scope, now time.Time, limit int) ([]store.Job, error) {
	if scope.Job != "" {
		return s.jobs(ctx, "SELECT name, rev, body FROM jobs WHERE next_due <= ? AND name = ? LIMIT ?", now.UnixMicro(), string(scope.Job), limit)
	}
	return s.jobs(ctx, "SELECT name, rev, body FROM jobs WHERE next_due <= ? ORDER BY next_due, name LIMIT ?", now.UnixMicro(), limit)
}

// NextDue implements store.Store.
func (s *Store) NextDue(ctx context.Context) (time.Time, error) {
	var at sql.NullInt64
	if err := s.find(ctx, "SELECT min(next_due) FROM jobs WHERE next_due IS NOT NULL", nil, &at); err != nil {
		return time.Time{}, fmt.Errorf("read the next due instant: %w", err)
	}
	if !at.Valid {
		return time.Time{}, nil
	}
	return time.UnixMicro(at.Int64).UTC(), nil
}
