package sqlite_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
)

func TestReadOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "made", "dayfly.db")
	if s, err := sqlite.OpenReadOnly(t.Context(), path, options); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("there is nothing: %v, %v", s, err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a directory was made: %v", err)
	}
	w := openAt(t, path)
	if _, err := w.PutJob(t.Context(), store.Job{Name: "pi", Version: "1"}); err != nil {
		t.Fatal(err)
	}
	r, err := sqlite.OpenReadOnly(t.Context(), path, options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.PutJob(t.Context(), store.Job{Name: "tau", Version: "1"}); err != nil { // beside those who look
		t.Fatal(err)
	}
	if jobs, err := r.Jobs(t.Context()); err != nil || len(jobs) != 2 {
		t.Errorf("jobs: %v, %v", jobs, err)
	}
	for what, change := range map[string]func() error{
		"a job":     func() error { _, err := r.PutJob(t.Context(), store.Job{Name: "e", Version: "1"}); return err },
		"a version": func() error { return r.PutVersion(t.Context(), dayfly.Job{Name: "e"}) },
		"a run":     func() error { _, err := r.InsertRuns(t.Context(), []dayfly.Run{runOf("pi", 0)}); return err },
		"a note":    func() error { return r.PutNote(t.Context(), store.Note{Key: "a", Expires: time.Time{}}) },
		"admission": func() error { _, err := r.Admission(t.Context()); return err },
	} {
		if change() == nil {
			t.Errorf("%s was changed", what)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if jobs, err := w.Jobs(t.Context()); err != nil || len(jobs) != 2 {
		t.Errorf("afterwards: %v, %v", jobs, err)
	}
}

func TestReadOnlyWhileItIsMade(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dayfly.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := sqlite.OpenReadOnly(t.Context(), path, options); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty file: %v, %v", s, err)
	}
}
