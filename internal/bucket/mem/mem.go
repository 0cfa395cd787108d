// Package mem is a bucket in memory that fails when it is told to.
//
// It passes the same suite as the real ones (buckettest). Objects lie in a tree of folders, so that
// listing a prefix costs what lies in its folder, not what the bucket holds. It outlives nothing.
package mem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dayfly-io/dayfly/internal/bucket"
)

// Bucket is a bucket.Bucket in memory.
type Bucket struct {
	now   func() time.Time
	hooks struct {
		sync.Mutex
		before, after func(op, key string) error
	}

	mu   sync.Mutex
	root *node
	puts int64 // makes every ETag a new one
}

// node is a folder or an object, never both.
type node struct {
	children map[string]*node
	object   *object
}

// object is never changed: a Put makes a new one, and who reads the old one reads on.
type object struct {
	info bucket.Info
	data []byte
}

var _ bucket.Bucket = (*Bucket)(nil)

// New gives an empty bucket whose objects are dated by the clock.
func New(now func() time.Time) *Bucket {
	return &Bucket{now: now, root: &node{children: map[string]*node{}}}
}

// Fail sets the faults; nil is none. Each is called with the name of the method and the key or
// prefix, without a lock held. What before returns is the answer, and nothing is done. What after
// returns is the answer although everything is done: the reply was lost.
func (b *Bucket) Fail(before, after func(op, key string) error) {
	b.hooks.Lock()
	defer b.hooks.Unlock()
	b.hooks.before, b.hooks.after = before, after
}

// call does one operation under the lock, between its faults.
func call[T any](ctx context.Context, b *Bucket, op, key string, f func() (T, error)) (T, error) {
	b.hooks.Lock()
	before, after := b.hooks.before, b.hooks.after
	b.hooks.Unlock()
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if before != nil {
		if err := before(op, key); err != nil {
			return none, err
		}
	}
	v, err := locked(b, f)
	if err != nil {
		return none, fmt.Errorf("%s %s: %w", strings.ToLower(op), key, err)
	}
	if after != nil {
		if err := after(op, key); err != nil {
			return none, err
		}
	}
	return v, nil
}

func locked[T any](b *Bucket, f func() (T, error)) (T, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return f()
}

// Put implements bucket.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, c bucket.Condition) (bucket.Info, error) {
	if err := bucket.CheckKey(key); err != nil {
		return bucket.Info{}, fmt.Errorf("put: %w", err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return bucket.Info{}, fmt.Errorf("put %s: %w", key, err)
	}
	return call(ctx, b, "Put", key, func() (bucket.Info, error) {
		old := b.find(key)
		switch {
		case old != nil && old.object == nil:
			return bucket.Info{}, fmt.Errorf("a folder of other keys: %w", bucket.ErrKey)
		case c.IfAbsent && old != nil,
			c.IfMatch != "" && (old == nil || old.object.info.ETag != c.IfMatch):
			return bucket.Info{}, bucket.ErrExists
		}
		at, err := b.make(key)
		if err != nil {
			return bucket.Info{}, err
		}
		b.puts++
		at.object = &object{data: data, info: bucket.Info{
			Key: key, Size: int64(len(data)), ETag: strconv.FormatInt(b.puts, 36), Modified: b.now(),
		}}
		return at.object.info, nil
	})
}

// find gives the node under a key, nil where there is none.
func (b *Bucket) find(key string) *node {
	at := b.root
	for part := range strings.SplitSeq(key, "/") {
		if at = at.children[part]; at == nil {
			return nil
		}
	}
	return at
}

// make gives the node under a key and makes its folders. It changes nothing where one of them is an object.
func (b *Bucket) make(key string) (*node, error) {
	at := b.root
	for part := range strings.SplitSeq(key, "/") {
		if at.object != nil {
			return nil, fmt.Errorf("%s is an object, not a folder: %w", at.object.info.Key, bucket.ErrKey)
		}
		next := at.children[part]
		if next == nil {
			next = &node{}
			if at.children == nil {
				at.children = map[string]*node{}
			}
			at.children[part] = next
		}
		at = next
	}
	return at, nil
}

// Get implements bucket.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	o, err := call(ctx, b, "Get", key, func() (*object, error) { return b.object(key) })
	if err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, fmt.Errorf("get %s: offset %d", key, offset)
	}
	data := o.data[min(offset, int64(len(o.data))):]
	if length >= 0 {
		data = data[:min(length, int64(len(data)))]
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (b *Bucket) object(key string) (*object, error) {
	if err := bucket.CheckKey(key); err != nil {
		return nil, err
	}
	if n := b.find(key); n != nil && n.object != nil {
		return n.object, nil
	}
	return nil, bucket.ErrNotFound
}

// Stat implements bucket.Bucket.
func (b *Bucket) Stat(ctx context.Context, key string) (bucket.Info, error) {
	return call(ctx, b, "Stat", key, func() (bucket.Info, error) {
		o, err := b.object(key)
		if err != nil {
			return bucket.Info{}, err
		}
		return o.info, nil
	})
}

// List implements bucket.Bucket. It shows the bucket as it is when the reading of the list begins.
func (b *Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[bucket.Info, error] {
	return func(yield func(bucket.Info, error) bool) {
		list, err := call(ctx, b, "List", prefix, func() ([]bucket.Info, error) { return b.list(prefix, after), nil })
		if err != nil {
			yield(bucket.Info{}, err)
			return
		}
		for _, info := range list {
			if !yield(info, nil) {
				return
			}
		}
	}
}

func (b *Bucket) list(prefix, after string) []bucket.Info {
	at, rest := b.root, prefix
	for {
		part, more, folder := strings.Cut(rest, "/")
		if !folder {
			break
		}
		if at = at.children[part]; at == nil {
			return nil
		}
		rest = more
	}
	var out []bucket.Info
	for name, n := range at.children {
		if strings.HasPrefix(name, rest) {
			out = n.collect(out, after)
		}
	}
	slices.SortFunc(out, func(a, b bucket.Info) int { return strings.Compare(a.Key, b.Key) })
	return out
}

func (n *node) collect(out []bucket.Info, after string) []bucket.Info {
	if n.object != nil && n.object.info.Key > after {
		out = append(out, n.object.info)
	}
	for child := range maps.Values(n.children) {
		out = child.collect(out, after)
	}
	return out
}

// Delete implements bucket.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	_, err := call(ctx, b, "Delete", key, func() (struct{}, error) {
		if err := bucket.CheckKey(key); err != nil {
			return struct{}{}, err
		}
		if n := b.find(key); n != nil && n.object != nil {
			b.root.remove(strings.Split(key, "/"))
		}
		return struct{}{}, nil
	})
	return err
}

// remove takes away what lies under the path and every folder that is empty then.
func (n *node) remove(path []string) {
	child := n.children[path[0]]
	if len(path) > 1 {
		child.remove(path[1:])
	}
	if len(child.children) == 0 {
		delete(n.children, path[0])
	}
}
