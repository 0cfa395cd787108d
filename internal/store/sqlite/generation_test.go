package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
)

// Whoever commits, the generation tells; who only reads, or fails, changes nothing.
func TestGeneration(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dayfly.db")
	s, other := openAt(t, path), openAt(t, path)
	generation := func(s *sqlite.Store) int64 {
		t.Helper()
		n, err := s.Generation(t.Context())
		if err != nil || n <= 0 {
			t.Fatalf("generation %d, %v", n, err)
		}
		return n
	}
	put := func(s *sqlite.Store, key string) {
		t.Helper()
		if err := s.PutNote(t.Context(), store.Note{Key: key, Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	put(s, "first")
	for range 3 {
		was := generation(s)
		for range 20 {
			if _, err := other.ActiveRuns(t.Context(), store.Scope{}); err != nil {
				t.Fatal(err)
			}
			if _, err := other.UpdateRun(t.Context(), dayfly.Run{ID: "nobody-20261122T230000Z", Rev: 7}); err == nil {
				t.Fatal("a run that is not there was changed")
			}
		}
		if now := generation(s); now != was {
			t.Errorf("nobody changed anything, and generation %d became %d", was, now)
		}
		put(other, "by another")
		now := generation(s)
		if now == was {
			t.Error("another committed, and the generation is the same")
		}
		put(s, "its own")
		if generation(s) == now {
			t.Error("the store itself committed, and the generation is the same")
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Generation(t.Context()); err == nil {
		t.Errorf("generation %d of a store that is closed", n)
	}
}
