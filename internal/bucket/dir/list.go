package dir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"

	"github.com/dayfly-io/dayfly/internal/bucket"
)

// List implements bucket.Bucket. It reads folder by folder; of what changes meanwhile it may see the old or the new.
func (b *Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[bucket.Info, error] {
	return func(yield func(bucket.Info, error) bool) {
		folder, _, below := cutLast(prefix)
		if below && bucket.CheckKey(folder) != nil {
			return // no key begins like that
		}
		w := walk{b, ctx, prefix, after, yield}
		w.folder(folder)
	}
}

// cutLast cuts a prefix at its last slash.
func cutLast(prefix string) (folder, rest string, ok bool) {
	i := strings.LastIndexByte(prefix, '/')
	if i < 0 {
		return "", prefix, false
	}
	return prefix[:i], prefix[i+1:], true
}

type walk struct {
	b             *Bucket
	ctx           context.Context
	prefix, after string
	yield         func(bucket.Info, error) bool
}

// folder lists what lies in a folder ("" is the bucket) and below. False is the end.
func (w *walk) folder(folder string) bool {
	if err := w.ctx.Err(); err != nil {
		return w.fail(err)
	}
	base := ""
	if folder != "" {
		base = folder + "/"
	}
	entries, err := w.b.readDir(cmp.Or(folder, "."))
	if err != nil {
		return absent(err) == bucket.ErrNotFound || w.fail(err) // a folder may go while we walk
	}
	// A folder stands where its keys do: "a-b" comes before "a/b".
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(sortName(a), sortName(b)) })
	for _, e := range entries {
		key := base + e.Name()
		if bucket.CheckKey(key) != nil {
			continue
		}
		switch {
		case e.IsDir():
			if w.wants(key+"/") && !w.folder(key) {
				return false
			}
		case e.Type().IsRegular() && strings.HasPrefix(key, w.prefix) && key > w.after:
			if !w.object(key) {
				return false
			}
		}
	}
	return true
}

func sortName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}

// wants tells whether a key that begins like this may be in the list.
func (w *walk) wants(begin string) bool {
	return (strings.HasPrefix(begin, w.prefix) || strings.HasPrefix(w.prefix, begin)) &&
		(begin > w.after || strings.HasPrefix(w.after, begin))
}

func (w *walk) object(key string) bool {
	info, err := w.b.stat(w.ctx, key)
	if errors.Is(err, bucket.ErrNotFound) {
		return true
	}
	if err != nil {
		return w.fail(err)
	}
	return w.yield(info, nil)
}

func (w *walk) fail(err error) bool {
	w.yield(bucket.Info{}, fmt.Errorf("list %s: %w", cmp.Or(w.prefix, "the bucket"), w.b.named(err)))
	return false
}
