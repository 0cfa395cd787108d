package sqlite_test

import (
	"path/filepath"
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

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Core(t, open)
}
