package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/agent/joblog"
	"github.com/dayfly-io/dayfly/internal/bucket"
)

// store adds objects and reads them, again and again until it has worked or its context ends.
type store struct {
	bucket bucket.Bucket
	log    *slog.Logger
	room   *room  // what is done on a full disk; nil: nothing
	taken  *int64 // where add notes how much of an object the bucket took, on each try; nil: nowhere
}

// errForeign says that a key holds something this agent did not put there.
var errForeign = errors.New("what lies there is not what was stored")

// sourceError is an error of what should be stored; trying again does not help.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// The waits between tries, and how long one may take: a fixed time and more for every byte.
const (
	firstWait   = 100 * time.Millisecond
	longestWait = 5 * time.Second
	tryTime     = 30 * time.Second
	tryRate     = 256 << 10 // bytes a second, at least
)

// again calls try until it gives nil or an error that will stay.
func (s store) again(ctx context.Context, what string, size int64, try func(ctx context.Context) error) error {
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		once, cancel := context.WithTimeout(ctx, tryTime+time.Duration(size/tryRate)*time.Second)
		err := try(once)
		cancel()
		s.room.tried(err)
		if err == nil {
			return nil
		}
		err = named(what, err)
		if ctx.Err() != nil {
			return &stopped{context.Cause(ctx), err}
		}
		if lasting(err) {
			return err
		}
		s.log.Warn("bucket", "error", err, "again_in", wait)
		if !sleep(ctx, wait) {
			return &stopped{context.Cause(ctx), err}
		}
	}
}

// named is an error of what was tried; one that names the key itself needs it no second time.
func named(what string, err error) error {
	if verb, key, _ := strings.Cut(what, " "); strings.Contains(err.Error(), key) {
		what = verb
	}
	return fmt.Errorf("%s: %w", what, err)
}

// stopped is the error of what was tried until something stopped it.
type stopped struct {
	why  error // it was stopped
	last error // of the last try
}

// Error is one line, as it stands in notes and reasons.
func (e *stopped) Error() string {
	if noRoom(e.why) { // that is all there is to say
		return e.why.Error()
	}
	return e.why.Error() + "; " + e.last.Error()
}

// Unwrap gives both.
func (e *stopped) Unwrap() []error { return []error{e.why, e.last} }

func lasting(err error) bool {
	_, source := errors.AsType[*sourceError](err)
	return source || errors.Is(err, errForeign) || errors.Is(err, bucket.ErrKey) || errors.Is(err, bucket.ErrNotFound)
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// add stores what open gives under key, where nothing may be yet, and reads it back. open is called
// for each try. size is about how long it is.
func (s store) add(ctx context.Context, key string, size int64, open func() (io.Reader, error)) (dayfly.Object, error) {
	var obj dayfly.Object
	var tried []string // the sums of what was tried: any of them may have been stored, its reply lost
	err := s.again(ctx, "store "+key, size, func(ctx context.Context) error {
		r, err := open()
		if err != nil {
			return &sourceError{err}
		}
		h := newHasher(r)
		_, putErr := s.bucket.Put(ctx, key, h, bucket.Condition{IfAbsent: true})
		if s.taken != nil {
			*s.taken = h.size
		}
		if _, err := io.Copy(io.Discard, h); err != nil { // Put may have stopped early
			return &sourceError{err}
		}
		tried = append(tried, h.sum())
		if putErr != nil && !errors.Is(putErr, bucket.ErrExists) {
			return putErr
		}
		obj, err = s.stored(ctx, key)
		switch {
		case errors.Is(err, bucket.ErrNotFound):
			return errors.New("it is not there after it was stored")
		case err == nil && !slices.Contains(tried, obj.SHA256):
			return errForeign
		}
		return err
	})
	return obj, err
}

// addBytes is add of what is in memory.
func (s store) addBytes(ctx context.Context, key string, b []byte) (dayfly.Object, error) {
	return s.add(ctx, key, int64(len(b)), func() (io.Reader, error) { return bytes.NewReader(b), nil })
}

// addLive is add without reading back what was stored, for what is stored once more in the end.
func (s store) addLive(ctx context.Context, key string, b io.ReadSeeker) error {
	return s.again(ctx, "store "+key, joblog.ChunkSize, func(ctx context.Context) error {
		if _, err := b.Seek(0, io.SeekStart); err != nil {
			return &sourceError{err}
		}
		h := newHasher(b)
		_, err := s.bucket.Put(ctx, key, h, bucket.Condition{IfAbsent: true})
		if !errors.Is(err, bucket.ErrExists) {
			return err
		}
		if _, err := io.Copy(io.Discard, h); err != nil {
			return &sourceError{err}
		}
		if obj, err := s.stored(ctx, key); err != nil || obj.SHA256 == h.sum() {
			return err
		}
		return errForeign
	})
}

// stored reads an object back.
func (s store) stored(ctx context.Context, key string) (dayfly.Object, error) {
	r, err := s.bucket.Get(ctx, key, 0, -1)
	if err != nil {
		return dayfly.Object{}, err
	}
	defer r.Close()
	h := newHasher(r)
	if _, err := io.Copy(io.Discard, h); err != nil {
		return dayfly.Object{}, err
	}
	return dayfly.Object{Key: key, Size: h.size, SHA256: h.sum()}, nil
}

// hasher hashes what is read through it.
type hasher struct {
	r    io.Reader
	hash hash.Hash
	size int64
}

func newHasher(r io.Reader) *hasher { return &hasher{r: r, hash: sha256.New()} }

func (h *hasher) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.hash.Write(p[:n]) // a Hash takes everything
	h.size += int64(n)
	return n, err
}

func (h *hasher) sum() string { return hex.EncodeToString(h.hash.Sum(nil)) }
