package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
)

// tail reads the log of one attempt as it grows: the chunks while there are any, and then the final
// log from where they stopped, without a gap or a repeat. The chunks are the beginning of the log, and
// they go only after the log is there.
type tail struct {
	bucket bucket.Bucket
	prefix string // of the attempt
	out    io.Writer

	chunks int   // read to their end
	into   int64 // how far the next one was read
	offset int64 // bytes of the log that were written
	whole  bool  // the final log was written to its end
}

// poll writes what has come since the last time.
func (t *tail) poll(ctx context.Context) error {
	if t.whole {
		return nil
	}
	_, err := t.bucket.Stat(ctx, t.prefix+dayfly.KeyLog)
	if errors.Is(err, bucket.ErrNotFound) {
		return t.pollChunks(ctx)
	}
	if err == nil {
		err = t.copy(ctx, t.prefix+dayfly.KeyLog, t.offset)
	}
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	t.whole = true
	return nil
}

func (t *tail) pollChunks(ctx context.Context) error {
	prefix := t.prefix + dayfly.KeyChunks
	after := ""
	if t.chunks > 0 {
		after = prefix + chunkName(t.chunks)
	}
	for info, err := range t.bucket.List(ctx, prefix, after) {
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if strings.TrimPrefix(info.Key, prefix) != chunkName(t.chunks+1) {
			return nil // those before it are gone already: the final log has them
		}
		err := t.copy(ctx, info.Key, t.into)
		if errors.Is(err, bucket.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		t.chunks, t.into = t.chunks+1, 0
	}
	return nil
}

func chunkName(n int) string {
	s := strconv.Itoa(n)
	return strings.Repeat("0", max(0, 6-len(s))) + s
}

// copy writes an object from an offset on, and keeps count also when it stops half way.
func (t *tail) copy(ctx context.Context, key string, from int64) error {
	r, err := t.bucket.Get(ctx, key, from, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	n, err := io.Copy(t.out, r)
	t.into += n
	t.offset += n
	return err
}

// logs is the tail of whatever attempt a run is at.
type logs struct {
	bucket bucket.Bucket
	out    io.Writer
	next   func(attempt int) // told before the output of an attempt after the first begins

	attempt int
	tail    *tail
}

// poll writes what has come since the last time, attempt by attempt.
func (l *logs) poll(ctx context.Context, run dayfly.Run) error {
	for _, a := range run.Attempts {
		if a.Number < l.attempt {
			continue
		}
		if a.Number > l.attempt {
			if l.attempt > 0 && l.next != nil {
				l.next(a.Number)
			}
			l.begin(run, a.Number)
		}
		if err := l.tail.poll(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begin goes on with this attempt.
func (l *logs) begin(run dayfly.Run, attempt int) {
	l.attempt = attempt
	l.tail = &tail{bucket: l.bucket, out: l.out, prefix: dayfly.AttemptPrefix(run.Job, run.ID, attempt)}
}
