// Package bucket is the port to where logs, results and archives lie: a directory or an object store.
//
// Keys are slash-separated, at most 1024 bytes of printable ASCII without blanks, "\", "//", and
// without "." or ".." as a component, no component over 255 bytes; no key is ever a folder of another
// (with "a/b" there is no "a"). An object appears whole or not at all, and Put returns only when it would
// survive a power cut. Every implementation passes buckettest.
package bucket

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Errors of a Bucket, to be found with errors.Is.
var (
	ErrNotFound = errors.New("object not found")
	ErrExists   = errors.New("object exists already") // a condition of Put was not met
	ErrKey      = errors.New("not a key")
)

// Bucket holds immutable-by-convention objects under keys. All methods may be used by several
// goroutines and processes at once.
type Bucket interface {
	// Put stores what r gives until EOF. With IfAbsent or IfMatch a Put whose condition does not
	// hold is ErrExists and changes nothing. An error may also mean an unknown outcome, but never
	// half an object.
	Put(ctx context.Context, key string, r io.Reader, c Condition) (Info, error)
	// Get reads the object from offset on, at most length bytes (negative: to the end). An offset at
	// or past the end gives an empty reader. The caller closes it.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	Stat(ctx context.Context, key string) (Info, error)
	// List gives every object whose key begins with prefix, in byte order of the keys, after the key `after`.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]
	// Delete removes an object; that it is not there is no error.
	Delete(ctx context.Context, key string) error
}

// Condition is what must hold for a Put to happen. The zero Condition always holds.
type Condition struct {
	IfAbsent bool
	IfMatch  string // the ETag the object must have
}

// Info is what is known of an object without reading it.
type Info struct {
	Key      string
	Size     int64
	ETag     string // changes whenever the content does; opaque
	Modified time.Time
}
