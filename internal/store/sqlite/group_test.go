package sqlite_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
)

// TestGroup: changes that wait at the same time share transactions, and each has an answer of its own.
func TestGroup(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const many = 300
	before := commits(t, path)
	leave, err := sqlite.Hold(t.Context(), s) // so that all of them wait
	if err != nil {
		t.Fatal(err)
	}
	gone, giveUp := context.WithCancel(t.Context())
	errs := make([]error, many)
	var wg sync.WaitGroup
	for i := range many {
		ctx := t.Context()
		if i%3 == 2 {
			ctx = gone
		}
		wg.Go(func() {
			j := store.Job{Name: dayfly.JobName(fmt.Sprintf("j%d", i))}
			if i%3 == 1 {
				j.Rev = 7 // it has no such revision
			}
			_, errs[i] = s.PutJob(ctx, j)
		})
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ; sqlite.Waiting(s) < many; <-tick.C {
	}
	giveUp()
	for ; sqlite.Waiting(s) > many*2/3; <-tick.C {
	}
	leave()
	wg.Wait()
	for i, err := range errs {
		want := []error{nil, store.ErrStale, context.Canceled}[i%3]
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("change %d gave %v, want %v", i, err, want)
		}
		_, err := s.Job(t.Context(), dayfly.JobName(fmt.Sprintf("j%d", i)))
		if there := err == nil; there != (want == nil) {
			t.Errorf("change %d gave %v, and the job is there: %t", i, errs[i], there)
		}
	}
	if n := commits(t, path) - before; n > 3 {
		t.Errorf("%d changes that waited together took %d transactions", many, n)
	}
}

// commits counts the transactions in the journal: the last frame of each says how large the database is.
func commits(t *testing.T, path string) (n int) {
	t.Helper()
	wal, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	const header, frame = 32, 24
	page := int(binary.BigEndian.Uint32(wal[8:]))
	for at := header; at+frame+page <= len(wal); at += frame + page {
		if binary.BigEndian.Uint32(wal[at+4:]) != 0 {
			n++
		}
	}
	return n
}
