package dir_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/bucket/dir"
	"github.com/dayfly-io/dayfly/internal/fuzztest"
)

// FuzzKeys stores under any key in a directory that somebody made of any bytes: the object is there and read back,
// or it is an error; nothing outside is touched.
func FuzzKeys(f *testing.F) {
	for _, p := range fuzztest.TreePrograms() {
		f.Add(p, "d/file")
		f.Add(p, "link/x")
	}
	for _, key := range []string{"../x", "/x", "a/../b", "a//b", ".", "", "a/.", "plain/x", "\x00", "x\n", ".dayfly", "~"} {
		f.Add([]byte(nil), key)
	}
	f.Fuzz(func(t *testing.T, program []byte, key string) {
		o, at := fuzztest.NewOutside(t), filepath.Join(t.TempDir(), "bucket")
		if err := os.Mkdir(at, 0o755); err != nil {
			t.Fatal(err)
		}
		fuzztest.Tree(t, at, program, o)
		b, err := dir.OpenSync(at, func(*os.File) error { return nil })
		if err != nil {
			o.Untouched()
			return
		}
		defer b.Close()
		ctx, text := t.Context(), []byte("an object")
		var read []byte
		fuzztest.Bounded(t, func() {
			_, err = b.Put(ctx, key, bytes.NewReader(text), bucket.Condition{})
			if r, gerr := b.Get(ctx, key, 0, 100); gerr == nil {
				read, _ = io.ReadAll(r)
				r.Close()
			}
			_, _ = b.Stat(ctx, key)
			n := 0
			for range b.List(ctx, "", "") {
				if n++; n > 1000 {
					break
				}
			}
		})
		o.Untouched(read)
		if err == nil && !bytes.Equal(read, text) {
			t.Errorf("%q holds %q", key, read)
		}
		if err == nil && bucket.CheckKey(key) != nil {
			t.Errorf("%q is no key, and was stored", key)
		}
		fuzztest.Bounded(t, func() { _ = b.Delete(ctx, key) })
		o.Untouched()
	})
}
