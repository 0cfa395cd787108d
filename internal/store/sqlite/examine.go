package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly/internal/store"
)

// CheckFileSystem refuses a directory on a network file system, as Open does.
func CheckFileSystem(dir string) error { return hooks{}.orReal().checkFileSystem(dir) }

// Check reads the whole file and gives an error if anything in it is not as it should be, and if a record in it
// is damaged. It takes as long as reading does.
func (s *Store) Check(ctx context.Context) error {
	var found []string
	err := s.list(ctx, "PRAGMA quick_check(5)", nil, func(scan func(...any) error) error {
		var line string
		if err := scan(&line); err != nil {
			return err
		}
		found = append(found, line)
		return nil
	})
	if err != nil {
		return fmt.Errorf("check %s: %w", s.path, err)
	}
	if len(found) != 1 || found[0] != "ok" {
		return fmt.Errorf("check %s: %s", s.path, strings.Join(found, "; "))
	}
	_, err1 := s.Jobs(ctx)
	_, err2 := s.Ranges(ctx, "", time.Time{})
	var damaged []store.Damage
	for _, err := range s.History(ctx, store.Filter{}) {
		if d, bad := errors.AsType[store.Damage](err); bad {
			damaged = append(damaged, d)
		} else if err != nil {
			return fmt.Errorf("check %s: %w", s.path, err)
		}
	}
	err3 := s.list(ctx, "SELECT version, body FROM versions", nil, func(scan func(...any) error) error {
		_, err := scanVersion(scan, new(string))
		return err
	})
	if err := errors.Join(err1, err2, err3, store.OrDamaged(damaged)); err != nil {
		return fmt.Errorf("check %s: %w", s.path, err)
	}
	return nil
}
