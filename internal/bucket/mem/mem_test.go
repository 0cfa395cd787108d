package mem_test

import (
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/bucket/buckettest"
	"github.com/dayfly-io/dayfly/internal/bucket/mem"
)

func TestBucket(t *testing.T) {
	t.Parallel()
	buckettest.Run(t, func(testing.TB) bucket.Bucket { return mem.New(time.Now) })
}
