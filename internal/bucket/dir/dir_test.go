package dir_test

import (
	"testing"

	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/bucket/buckettest"
	"github.com/dayfly-io/dayfly/internal/bucket/dir"
)

func open(t testing.TB) bucket.Bucket {
	t.Helper()
	b, err := dir.Open(t.TempDir() + "/new/bucket")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestBucket(t *testing.T) {
	t.Parallel()
	buckettest.Run(t, open)
}
