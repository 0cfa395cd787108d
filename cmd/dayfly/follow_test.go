package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/bucket/mem"
)

const prefix = "runs/a/a-20261122T230000Z/1/"

func put(t *testing.T, b bucket.Bucket, key, text string) {
	t.Helper()
	if _, err := b.Put(t.Context(), prefix+key, strings.NewReader(text), bucket.Condition{}); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, b bucket.Bucket, key string) {
	t.Helper()
	if err := b.Delete(t.Context(), prefix+key); err != nil {
		t.Fatal(err)
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	setup := func() (*mem.Bucket, *tail, *bytes.Buffer) {
		b, out := mem.New(time.Now), &bytes.Buffer{}
		return b, &tail{bucket: b, prefix: prefix, out: out}, out
	}
	poll := func(t *testing.T, f *tail, out *bytes.Buffer, want string) {
		t.Helper()
		if err := f.poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Fatalf("so far %q, want %q", out, want)
		}
	}
	t.Run("chunks, then the rest from the log", func(t *testing.T) {
		t.Parallel()
		b, f, out := setup()
		poll(t, f, out, "")
		put(t, b, "out/chunks/000001", "one\n")
		poll(t, f, out, "one\n")
		poll(t, f, out, "one\n")
		put(t, b, "out/chunks/000002", "two\n")
		put(t, b, "out/chunks/000003", "thr")
		poll(t, f, out, "one\ntwo\nthr")
		put(t, b, "out/log", "one\ntwo\nthree\nfour\n")
		poll(t, f, out, "one\ntwo\nthree\nfour\n")
		poll(t, f, out, "one\ntwo\nthree\nfour\n")
		if !f.whole {
			t.Error("it does not know that this is all")
		}
	})
	t.Run("chunks that are being removed leave no gap", func(t *testing.T) {
		t.Parallel()
		b, f, out := setup()
		put(t, b, "out/chunks/000001", "one\n")
		poll(t, f, out, "one\n")
		put(t, b, "out/chunks/000003", "three\n") // 2 came and went since
		poll(t, f, out, "one\n")
		put(t, b, "out/log", "one\ntwo\nthree\n")
		remove(t, b, "out/chunks/000001")
		poll(t, f, out, "one\ntwo\nthree\n")
	})
	t.Run("a chunk that vanishes between the list and the look", func(t *testing.T) {
		t.Parallel()
		b, f, out := setup()
		put(t, b, "out/chunks/000001", "one\n")
		b.Fail(func(op, key string) error {
			if op == "Get" && strings.Contains(key, "chunks") {
				return bucket.ErrNotFound
			}
			return nil
		}, nil)
		poll(t, f, out, "")
		b.Fail(nil, nil)
		put(t, b, "out/log", "one\n")
		poll(t, f, out, "one\n")
	})
	t.Run("more than six digits of chunks", func(t *testing.T) {
		t.Parallel()
		if got := chunkName(1234567); got != "1234567" {
			t.Error(got)
		}
		if got := chunkName(42); got != "000042" {
			t.Error(got)
		}
	})
	t.Run("an output that stops is repeated nowhere and loses nothing", func(t *testing.T) {
		t.Parallel()
		b, f, _ := setup()
		out := &stutter{most: 4}
		f.out = out
		put(t, b, "out/chunks/000001", "one two")
		if err := f.poll(t.Context()); err == nil {
			t.Fatal("no error")
		}
		out.most = 100
		if err := f.poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		put(t, b, "out/log", "one two three")
		if err := f.poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if out.String() != "one two three" {
			t.Errorf("%q", out.String())
		}
	})
	t.Run("a bucket that cannot be read is an error", func(t *testing.T) {
		t.Parallel()
		b, f, _ := setup()
		down := errors.New("down")
		b.Fail(func(string, string) error { return down }, nil)
		if err := f.poll(t.Context()); !errors.Is(err, down) {
			t.Errorf("%v", err)
		}
	})
}

// stutter takes only so many bytes of a write.
type stutter struct {
	bytes.Buffer
	most int
}

func (s *stutter) Write(p []byte) (int, error) {
	if len(p) <= s.most {
		return s.Buffer.Write(p)
	}
	s.Buffer.Write(p[:s.most])
	return s.most, errors.New("no more")
}

func TestLogsGoFromAttemptToAttempt(t *testing.T) {
	t.Parallel()
	b, out := mem.New(time.Now), &bytes.Buffer{}
	var begun []int
	l := &logs{bucket: b, out: out, next: func(n int) { begun = append(begun, n) }}
	run := dayfly.Run{ID: "a-20261122T230000Z", Job: "a"}
	poll := func(want string) {
		t.Helper()
		if err := l.poll(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Fatalf("%q, want %q", out, want)
		}
	}
	poll("")
	run.Attempts = append(run.Attempts, dayfly.Attempt{Number: 1})
	put(t, b, "out/chunks/000001", "first ")
	poll("first ")
	put(t, b, "out/log", "first half ")
	run.Attempts = append(run.Attempts, dayfly.Attempt{Number: 2})
	if _, err := b.Put(t.Context(), "runs/a/a-20261122T230000Z/2/out/log", strings.NewReader("second"), bucket.Condition{}); err != nil {
		t.Fatal(err)
	}
	poll("first half second")
	if len(begun) != 1 || begun[0] != 2 {
		t.Errorf("told of %v", begun)
	}
}
