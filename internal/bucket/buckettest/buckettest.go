// Package buckettest is the suite that every bucket.Bucket passes: the whole contract of the port, with
// races, odd keys, and faults where the implementation has them.
package buckettest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dayfly-io/dayfly/internal/bucket"
)

// Open gives a new, empty bucket that lasts as long as the test.
type Open func(t testing.TB) bucket.Bucket

// Run holds a bucket to the contract of the port.
func Run(t *testing.T, open Open) {
	t.Helper()
	for name, story := range map[string]func(*testing.T, bucket.Bucket){
		"what is put is there":              putGet,
		"nothing is there":                  absent,
		"ranges":                            ranges,
		"only if absent":                    ifAbsent,
		"only if it matches":                ifMatch,
		"one of many is first":              raceAbsent,
		"one of many changes an object":     raceMatch,
		"an ETag changes with the content":  etags,
		"keys":                              keys,
		"a listing is in order of the keys": listOrder,
		"a listing of a part":               listPart,
		"a listing while all changes":       listWhile,
		"a key is no folder of another":     prefixFolder,
		"folders race with objects":         raceFolder,
		"delete":                            remove,
		"delete races with put":             raceDelete,
		"a reader that fails":               readerFails,
		"readers of what is replaced":       replaced,
		"a cancelled context":               cancelled,
		"faults":                            faults,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, open(t))
		})
	}
}

const racers = 32

var always = bucket.Condition{}

func put(t testing.TB, b bucket.Bucket, key, content string) bucket.Info {
	t.Helper()
	info, err := b.Put(t.Context(), key, strings.NewReader(content), always)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func get(t testing.TB, b bucket.Bucket, key string) string { t.Helper(); return part(t, b, key, 0, -1) }

func part(t testing.TB, b bucket.Bucket, key string, offset, length int64) string {
	t.Helper()
	r, err := b.Get(t.Context(), key, offset, length)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func list(t testing.TB, b bucket.Bucket, prefix, after string) []string {
	t.Helper()
	var out []string
	for info, err := range b.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, info.Key)
	}
	return out
}

func same[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// race runs f n times at once and counts how often it is true.
func race(n int, f func(i int) bool) int {
	var (
		wg    sync.WaitGroup
		count atomic.Int64
		start = make(chan struct{})
	)
	for i := range n {
		wg.Go(func() {
			<-start
			if f(i) {
				count.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(count.Load())
}

func putGet(t *testing.T, b bucket.Bucket) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16+1)
	for key, content := range map[string]string{
		"a": "hello", "d/e/f/g.txt": "deep", "empty": "", "runs/pi/pi-20261122T230000Z/1/out/log": "log\x00\xff\n", "big": string(big),
	} {
		info := put(t, b, key, content)
		if info.Key != key || info.Size != int64(len(content)) || info.ETag == "" || info.Modified.IsZero() {
			t.Errorf("put %s: %+v", key, info)
		}
		if got := get(t, b, key); got != content {
			t.Errorf("%s holds %d bytes that are not the %d put there", key, len(got), len(content))
		}
		stat, err := b.Stat(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "stat "+key, stat, info)
		for listed, err := range b.List(t.Context(), key, "") {
			if err != nil {
				t.Fatal(err)
			}
			same(t, "list "+key, listed, info)
		}
	}
	put(t, b, "a", "again, and longer")
	same(t, "an object put again", get(t, b, "a"), "again, and longer")
	put(t, b, "a", "x")
	same(t, "an object put again, shorter", get(t, b, "a"), "x")
}

func absent(t *testing.T, b bucket.Bucket) {
	ctx := t.Context()
	put(t, b, "folder/object", "x")
	for _, key := range []string{"a", "folder", "folder/a", "folder/object/a", "folder/objec", "folder/object2"} {
		_, err := b.Get(ctx, key, 0, -1)
		wantErr(t, "get "+key, err, bucket.ErrNotFound)
		_, err = b.Stat(ctx, key)
		wantErr(t, "stat "+key, err, bucket.ErrNotFound)
		if err := b.Delete(ctx, key); err != nil {
			t.Errorf("delete %s: %v", key, err)
		}
		_, err = b.Put(ctx, key+"-match", strings.NewReader("x"), bucket.Condition{IfMatch: "tag"})
		if !errors.Is(err, bucket.ErrKey) || key != "folder/object/a" { // below an object both are true
			wantErr(t, "put only if it matches, "+key, err, bucket.ErrExists)
		}
	}
	same(t, "what is there", list(t, b, "", ""), []string{"folder/object"})
}

func ranges(t *testing.T, b bucket.Bucket) {
	put(t, b, "o", "0123456789")
	for _, c := range []struct {
		offset, length int64
		want           string
	}{
		{0, -1, "0123456789"}, {0, 0, ""}, {0, 3, "012"}, {3, 4, "3456"}, {3, -1, "3456789"}, {8, 100, "89"},
		{9, 1, "9"}, {10, -1, ""}, {10, 5, ""}, {11, -1, ""}, {1 << 40, 1, ""}, {5, 1<<63 - 1, "56789"},
	} {
		if got := part(t, b, "o", c.offset, c.length); got != c.want {
			t.Errorf("from %d at most %d bytes: %q, want %q", c.offset, c.length, got, c.want)
		}
	}
	if r, err := b.Get(t.Context(), "o", -1, 1); err == nil {
		r.Close()
		t.Error("a negative offset was taken")
	}
}

func ifAbsent(t *testing.T, b bucket.Bucket) {
	ctx := t.Context()
	if _, err := b.Put(ctx, "d/o", strings.NewReader("first"), bucket.Condition{IfAbsent: true}); err != nil {
		t.Fatal(err)
	}
	_, err := b.Put(ctx, "d/o", strings.NewReader("second"), bucket.Condition{IfAbsent: true})
	wantErr(t, "a second one", err, bucket.ErrExists)
	same(t, "content", get(t, b, "d/o"), "first")
	if err := b.Delete(ctx, "d/o"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(ctx, "d/o", strings.NewReader("third"), bucket.Condition{IfAbsent: true}); err != nil {
		t.Errorf("after a delete: %v", err)
	}
}

func ifMatch(t *testing.T, b bucket.Bucket) {
	ctx := t.Context()
	first := put(t, b, "o", "first")
	second, err := b.Put(ctx, "o", strings.NewReader("second"), bucket.Condition{IfMatch: first.ETag})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Put(ctx, "o", strings.NewReader("third"), bucket.Condition{IfMatch: first.ETag})
	wantErr(t, "a tag that has passed", err, bucket.ErrExists)
	same(t, "content", get(t, b, "o"), "second")
	if err := b.Delete(ctx, "o"); err != nil {
		t.Fatal(err)
	}
	_, err = b.Put(ctx, "o", strings.NewReader("fourth"), bucket.Condition{IfMatch: second.ETag})
	wantErr(t, "a tag of what is deleted", err, bucket.ErrExists)
	same(t, "what is there", list(t, b, "", ""), nil)
}

func raceAbsent(t *testing.T, b bucket.Bucket) {
	for _, key := range []string{"o", "new/folder/o", "new/folder/p"} {
		var winner atomic.Int64
		winners := race(racers, func(i int) bool {
			_, err := b.Put(t.Context(), key, strings.NewReader(strings.Repeat(string(rune('A'+i)), 1000+i)), bucket.Condition{IfAbsent: true})
			if err != nil {
				wantErr(t, "a later one", err, bucket.ErrExists)
				return false
			}
			winner.Store(int64(i))
			return true
		})
		if winners != 1 {
			t.Errorf("%s: %d were first, want 1", key, winners)
		}
		i := int(winner.Load())
		if got := get(t, b, key); got != strings.Repeat(string(rune('A'+i)), 1000+i) {
			t.Errorf("%s does not hold what the first one put", key)
		}
	}
}

func raceMatch(t *testing.T, b bucket.Bucket) {
	info := put(t, b, "d/o", "0")
	for range 3 {
		winners := race(racers, func(i int) bool {
			_, err := b.Put(t.Context(), "d/o", strings.NewReader("same size"), bucket.Condition{IfMatch: info.ETag})
			if err != nil {
				wantErr(t, "a later one", err, bucket.ErrExists)
			}
			return err == nil
		})
		if winners != 1 {
			t.Errorf("%d changed one object under one tag, want 1", winners)
		}
		now, err := b.Stat(t.Context(), "d/o")
		if err != nil {
			t.Fatal(err)
		}
		info = now
	}
}

func etags(t *testing.T, b bucket.Bucket) {
	seen := map[string]string{}
	for i := range 200 {
		content := string(rune('a'+i%26)) + string(rune('a'+i/26)) // all of one size, as quickly as it goes
		tag := put(t, b, "o", content).ETag
		if old, ok := seen[tag]; ok {
			t.Fatalf("%q and %q have the same ETag", old, content)
		}
		seen[tag] = content
		info, err := b.Stat(t.Context(), "o")
		if err != nil {
			t.Fatal(err)
		}
		same(t, "ETag seen by stat", info.ETag, tag)
		if i%7 == 0 { // what was deleted must not lend its tag to what comes after
			if err := b.Delete(t.Context(), "o"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func readerFails(t *testing.T, b bucket.Bucket) {
	boom := errors.New("boom")
	put(t, b, "there", "old")
	for _, key := range []string{"new/folder/o", "there"} {
		_, err := b.Put(t.Context(), key, io.MultiReader(strings.NewReader("half"), failing{boom}), always)
		wantErr(t, "put "+key, err, boom)
	}
	same(t, "what is there", list(t, b, "", ""), []string{"there"})
	same(t, "what was there before", get(t, b, "there"), "old")
	put(t, b, "new", "a key that the failed one would have made a folder")
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func replaced(t *testing.T, b bucket.Bucket) {
	old := strings.Repeat("old", 100_000)
	put(t, b, "o", old)
	for what, change := range map[string]func(){
		"put":    func() { put(t, b, "o", strings.Repeat("new", 100_000)) },
		"delete": func() { _ = b.Delete(t.Context(), "o"); put(t, b, "o", old) },
	} {
		put(t, b, "o", old)
		r, err := b.Get(t.Context(), "o", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 1000)
		if _, err := io.ReadFull(r, head); err != nil {
			t.Fatal(err)
		}
		change()
		rest, err := io.ReadAll(r)
		r.Close()
		if err == nil && string(head)+string(rest) != old {
			t.Errorf("a reader during a %s saw a mixture", what)
		}
	}
}

func cancelled(t *testing.T, b bucket.Bucket) {
	put(t, b, "o", "old")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Put(ctx, "o", strings.NewReader("new"), always); err == nil {
		t.Error("a cancelled put was acknowledged")
	}
	if r, err := b.Get(ctx, "o", 0, -1); err == nil {
		r.Close()
		t.Error("a cancelled get gave an answer")
	}
	if got := get(t, b, "o"); got != "old" && got != "new" {
		t.Errorf("after a cancelled put: %q", got)
	}
}

// Failer is what a bucket with faults has; see mem.Bucket.
type Failer interface {
	Fail(before, after func(op, key string) error)
}

func faults(t *testing.T, b bucket.Bucket) {
	f, ok := b.(Failer)
	if !ok {
		return // a bucket of real parts meets its faults in its own tests
	}
	boom := errors.New("boom")
	fail := func(op, key string) error {
		if op != "Put" || key != "d/o" {
			t.Errorf("fault asked for %s %s", op, key)
		}
		return boom
	}
	f.Fail(fail, nil)
	_, err := b.Put(t.Context(), "d/o", strings.NewReader("x"), always)
	wantErr(t, "a put that is not done", err, boom)
	f.Fail(nil, nil)
	same(t, "after it", list(t, b, "", ""), nil)
	f.Fail(nil, fail)
	_, err = b.Put(t.Context(), "d/o", strings.NewReader("x"), always)
	wantErr(t, "a put whose reply is lost", err, boom)
	f.Fail(nil, nil)
	same(t, "after that", get(t, b, "d/o"), "x")
}
