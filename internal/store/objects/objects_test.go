package objects_test

import (
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/bucket/dir"
	"github.com/dayfly-io/dayfly/internal/bucket/mem"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/objects"
	"github.com/dayfly-io/dayfly/internal/store/storetest"
)

func TestInMemory(t *testing.T) {
	t.Parallel()
	storetest.Core(t, func(testing.TB) store.Store { return objects.New(mem.New(time.Now)) })
}

func TestInDirectory(t *testing.T) {
	t.Parallel()
	storetest.Core(t, func(t testing.TB) store.Store {
		b, err := dir.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return objects.New(b)
	})
}
