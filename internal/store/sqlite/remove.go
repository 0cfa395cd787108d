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

// short is as much of a version as a run keeps beside its body, to find what refers to the version.
func short(version string) string { return version[:min(16, len(version))] }

// Recorded implements store.Store. Each name costs a look into two indexes, however many runs there are.
func (s *Store) Recorded(ctx context.Context, after dayfly.JobName, limit int) ([]dayfly.JobName, error) {
	out := make([]dayfly.JobName, 0, limit)
	for len(out) < limit {
		var run, ranged sql.NullString
		err := s.find(ctx, "SELECT min(job) FROM runs WHERE job > ?", []any{string(after)}, &run)
		if err == nil {
			err = s.find(ctx, "SELECT min(job) FROM ranges WHERE job > ?", []any{string(after)}, &ranged)
		}
		if err != nil {
			return nil, fmt.Errorf("read which jobs have records: %w", err)
		}
		switch {
		case !run.Valid && !ranged.Valid:
			return out, nil
		case !run.Valid || ranged.Valid && ranged.String < run.String:
			run = ranged
		}
		after = dayfly.JobName(run.String)
		out = append(out, after)
	}
	return out, nil
}

// MarkRemoved implements store.Store, all in one transaction.
func (s *Store) MarkRemoved(ctx context.Context, marks []store.Mark) error {
	err := store.CheckBatch(len(marks))
	if err == nil && len(marks) > 0 {
		err = s.change(ctx, func(ctx context.Context) error {
			for _, m := range marks {
				if err := s.mark(ctx, m); err != nil {
					return fmt.Errorf("run %s: %w", m.Run, err)
				}
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("mark what was removed: %w", err)
	}
	return nil
}

func (s *Store) mark(ctx context.Context, m store.Mark) error {
	row, err := s.row(ctx, "SELECT id, rev, body FROM runs WHERE id = ?", string(m.Run))
	if err != nil {
		return err
	}
	r, err := scanRun(row.Scan)
	if _, bad := errors.AsType[store.Damage](err); bad || errors.Is(err, sql.ErrNoRows) {
		return nil // what is damaged is said where it is read
	}
	if err != nil || !m.Apply(&r) {
		return err
	}
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "UPDATE runs SET remains = ?, rev = rev + 1, body = ? WHERE id = ? AND state = 'ended'",
		int(r.Remains()), string(body), string(m.Run))
	return err
}

// DeleteRuns implements store.Store, all in one transaction.
func (s *Store) DeleteRuns(ctx context.Context, ids []dayfly.RunID) error {
	err := store.CheckBatch(len(ids))
	if err == nil && len(ids) > 0 {
		err = s.change(ctx, func(ctx context.Context) error {
			for _, id := range ids {
				if _, err := s.exec(ctx, "DELETE FROM runs WHERE id = ? AND state = 'ended'", string(id)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("delete %d runs: %w", len(ids), err)
	}
	return nil
}

// DeleteRange implements store.Store.
func (s *Store) DeleteRange(ctx context.Context, job dayfly.JobName, from time.Time) error {
	err := s.change(ctx, func(ctx context.Context) error {
		_, err := s.exec(ctx, "DELETE FROM ranges WHERE job = ? AND from_slot = ?", string(job), from.UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("delete range of job %s from %s: %w", job, from.Format(time.RFC3339), err)
	}
	return nil
}

// Refer implements store.Collector.
func (s *Store) Refer(ctx context.Context) (leave func(), err error) {
	if s.files == nil {
		return nil, errReadOnly
	}
	return s.files.share(ctx)
}

// Collect implements store.Collector.
func (s *Store) Collect(ctx context.Context) (leave func(), err error) {
	if s.files == nil {
		return nil, errReadOnly
	}
	return s.files.alone(ctx)
}

// CollectVersions implements store.Collector, in one transaction: nothing comes to refer to a version
// between the look and its removal.
func (s *Store) CollectVersions(ctx context.Context, after string, limit int, now, unused time.Time) (last string, removed int, err error) {
	err = s.change(ctx, func(ctx context.Context) error {
		var seen int
		row, err := s.row(ctx, "SELECT count(*), coalesce(max(version), '') FROM (SELECT version FROM versions WHERE version > ? ORDER BY version LIMIT ?)", after, limit)
		if err == nil {
			err = row.Scan(&seen, &last)
		}
		if err != nil || seen == 0 {
			return err
		}
		const among, used = " WHERE version > ?1 AND version <= ?2", `(EXISTS (SELECT 1 FROM runs WHERE runs.version = substr(versions.version, 1, 16))
			OR EXISTS (SELECT 1 FROM jobs WHERE jobs.name = versions.job AND jobs.body IS NOT NULL
				AND CASE WHEN NOT json_valid(jobs.body) THEN 1 -- a damaged record may have had any of its versions
					WHEN json_extract(jobs.body, '$.name') = jobs.name AND json_type(jobs.body, '$.version') = 'text'
					THEN json_extract(jobs.body, '$.version') = versions.version
					ELSE 1 END))`
		if _, err := s.exec(ctx, "UPDATE versions SET unused = NULL"+among+" AND unused IS NOT NULL AND "+used, after, last); err != nil {
			return err
		}
		n, err := s.exec(ctx, "DELETE FROM versions"+among+" AND unused <= ?3 AND NOT "+used, after, last, unused.UnixMicro())
		if err != nil {
			return err
		}
		removed = int(n)
		if _, err := s.exec(ctx, "UPDATE versions SET unused = ?3"+among+" AND unused IS NULL AND NOT "+used, after, last, now.UnixMicro()); err != nil {
			return err
		}
		if seen < limit {
			last = ""
		}
		return nil
	})
	if err != nil {
		return "", 0, fmt.Errorf("look for versions that nothing refers to: %w", err)
	}
	return last, removed, nil
}

// NamesFiles implements store.Collector.
func (s *Store) NamesFiles(ctx context.Context, sha256 string) (bool, error) {
	var one int
	err := s.find(ctx, "SELECT 1 FROM versions WHERE files = ? LIMIT 1", []any{sha256}, &one)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, fmt.Errorf("look what names archive %s: %w", sha256, err)
	}
	return err == nil, nil
}
