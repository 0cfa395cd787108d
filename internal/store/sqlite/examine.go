package sqlite

import (
	"context"
	"fmt"
	"strings"
)

// CheckFileSystem refuses a directory on a network file system, as Open does.
func CheckFileSystem(dir string) error { return hooks{}.orReal().checkFileSystem(dir) }

// Check reads the whole file and gives an error if anything in it is not as it should be. It takes as long
// as reading does.
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
	return nil
}
