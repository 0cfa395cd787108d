package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
	"github.com/dayfly-io/dayfly/internal/store/storetest"
)

var options = sqlite.Options{Holder: "test", Now: time.Now}

func openAt(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func open(t testing.TB) store.Store { return openAt(t, filepath.Join(t.TempDir(), "new/dayfly.db")) }

// SQLite does not say why it cannot open one of its files.
func TestCannotOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dayfly.db")
	if err := os.Mkdir(path+"-journal", 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(t.Context(), path, options)
	if !errors.Is(err, store.ErrOpen) || !strings.Contains(err.Error(), path) {
		t.Errorf("a store whose journal cannot be opened: %v", err)
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Core(t, open)
}

func TestIndexes(t *testing.T) {
	t.Parallel()
	storetest.Indexed(t, open)
}

func BenchmarkWrites(b *testing.B) { storetest.Writes(b, open) }

// The floor under every durable change: one page appended and synced.
func BenchmarkSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	for b.Loop() {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
}
