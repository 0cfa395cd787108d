package dir_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/bucket/dir"
)

// Of many writers with the same condition that come to look at it in the same moment, one wins.
func TestOneOfManyAtTheSameMoment(t *testing.T) {
	t.Parallel()
	const writers = 32
	open := func(t *testing.T) (b *dir.Bucket, meet func()) {
		t.Helper()
		var staged sync.WaitGroup // each waits, before its file counts as synced, until all are there
		meeting := false
		b, err := dir.OpenSync(t.TempDir(), func(f *os.File) error {
			if info, err := f.Stat(); err != nil || !meeting || info.IsDir() {
				return err
			}
			staged.Done()
			staged.Wait()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b, func() { meeting = true; staged.Add(writers) }
	}
	race := func(t *testing.T, b *dir.Bucket, key string, c bucket.Condition) {
		t.Helper()
		won := make(chan bool, writers)
		for range writers {
			go func() {
				_, err := b.Put(t.Context(), key, strings.NewReader("same size"), c)
				if err != nil && !errors.Is(err, bucket.ErrExists) {
					t.Errorf("put: %v", err)
				}
				won <- err == nil
			}()
		}
		winners := 0
		for range writers {
			if <-won {
				winners++
			}
		}
		if winners != 1 {
			t.Fatalf("%d of %d succeeded, want 1", winners, writers)
		}
	}
	t.Run("if it matches", func(t *testing.T) {
		t.Parallel()
		b, meet := open(t)
		mustPut(t, b, "o", "0")
		for range 30 {
			info, err := b.Stat(t.Context(), "o")
			if err != nil {
				t.Fatal(err)
			}
			meet()
			race(t, b, "o", bucket.Condition{IfMatch: info.ETag})
		}
	})
	t.Run("if absent", func(t *testing.T) {
		t.Parallel()
		b, meet := open(t)
		mustPut(t, b, "d/o", "the folder is there")
		for round := range 50 {
			meet()
			race(t, b, fmt.Sprintf("d/%d", round), bucket.Condition{IfAbsent: true})
		}
	})
}

// What the races show by chance the lock shows for certain: placing an object goes beside others,
// comparing before placing does not, and nothing goes beside the making of folders.
func TestWhoWaitsForWhom(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	b := mustOpen(t, top)
	mustPut(t, b, "d/o", "there")
	for _, c := range []struct {
		held int
		what string
		do   func(ctx context.Context) error
		goes bool
	}{
		{unix.LOCK_SH, "a put", put(b, "d/p", bucket.Condition{}), true},
		{unix.LOCK_SH, "a put if absent", put(b, "d/q", bucket.Condition{IfAbsent: true}), true},
		{unix.LOCK_SH, "a put if it matches", put(b, "d/o", bucket.Condition{IfMatch: "x"}), false},
		{unix.LOCK_SH, "a put into a new folder", put(b, "e/o", bucket.Condition{}), false},
		{unix.LOCK_SH, "a delete", func(ctx context.Context) error { return b.Delete(ctx, "d/p") }, true},
		{unix.LOCK_EX, "a put", put(b, "d/r", bucket.Condition{}), false},
		{unix.LOCK_EX, "a put if absent", put(b, "d/s", bucket.Condition{IfAbsent: true}), false},
		{unix.LOCK_EX, "a delete", func(ctx context.Context) error { return b.Delete(ctx, "d/o") }, false},
		{unix.LOCK_EX, "a stat", func(ctx context.Context) error { _, err := b.Stat(ctx, "d/o"); return err }, true},
	} {
		lock, err := os.OpenFile(filepath.Join(top, dir.Staging, "lock"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Flock(int(lock.Fd()), c.held); err != nil {
			t.Fatal(err)
		}
		limit := 30 * time.Millisecond
		if c.goes {
			limit = 10 * time.Second
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		err = c.do(ctx)
		cancel()
		lock.Close()
		if c.goes && err != nil || !c.goes && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s beside lock %d: %v, want that it goes: %v", c.what, c.held, err, c.goes)
		}
	}
}

func put(b *dir.Bucket, key string, c bucket.Condition) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := b.Put(ctx, key, strings.NewReader("x"), c)
		return err
	}
}
