package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/bucket/mem"
	"github.com/dayfly-io/dayfly/internal/fuzztest"
)

// wantCopied checks that every result is in the directory as it was stored; that it is there by a link to
// elsewhere does not count.
func wantCopied(t *testing.T, to string, results []dayfly.Result, texts []string) {
	t.Helper()
	root, err := os.OpenRoot(to)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for i, r := range results {
		if text, err := root.ReadFile(fileName(r)); err != nil || string(text) != texts[i] {
			t.Errorf("%.100q is %.100q, %v; want %.100q", fileName(r), text, err, texts[i])
		}
	}
}

// TestEscape copies results into every attack, over what is there: each is copied or refused, nothing outside
// is written, and nothing is waited for.
func TestEscape(t *testing.T) { // not parallel: it measures
	fuzztest.EachAttack(t, copyInto)
}

func copyInto(t *testing.T, attack fuzztest.Attack) {
	t.Helper()
	o, b := fuzztest.NewOutside(t), mem.New(time.Now)
	to := filepath.Join(t.TempDir(), "to")
	if err := os.Mkdir(to, 0o755); err != nil {
		t.Fatal(err)
	}
	fuzztest.NewArena(t, to, o).Run(attack, func(meanwhile func()) {
		var once sync.Once
		b.Fail(func(op, _ string) error {
			if op == "Get" {
				once.Do(meanwhile)
			}
			return nil
		}, nil)
		copied := 0
		for _, names := range batches(attack) {
			var results []dayfly.Result
			var texts []string
			for _, name := range names {
				texts = append(texts, "the result "+name)
				results = append(results, result(t, b, name, texts[len(texts)-1]))
			}
			var n int
			var err error
			fuzztest.Bounded(t, func() { n, err = copyOut(t.Context(), b, results, to, true) })
			o.Untouched()
			copied += n
			if err == nil && attack.Meanwhile == nil && attack.Restless == nil {
				wantCopied(t, to, results, texts)
			}
		}
		if copied == 0 {
			t.Error("nothing was copied: this attack keeps a person from his results")
		}
	})
}

// batches are the results that are copied at once. What is changed meanwhile is changed in the midst of all of
// them, and one that is refused at the beginning would leave nothing of the rest.
func batches(attack fuzztest.Attack) (out [][]string) {
	names := []string{
		"00", "plain", "d/file", "d/new", "new", "hard", "fifo", "device", "absolute", "absolute/x", "directory/file", "relative", "p/q/l", "a", "self", "self/x",
	}
	if attack.Meanwhile != nil {
		return [][]string{names[:5]}
	}
	for _, n := range names {
		out = append(out, []string{n})
	}
	return out
}

// endless is a bucket whose objects have grown without an end: nobody should come to what it says there.
type endless struct{ bucket.Bucket }

func (endless) Get(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(io.LimitReader(zeros{}, 16<<20), iotest.ErrReader(errors.New("16 MiB were read")))), nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestCopyOutRefuses has reports that no agent writes.
func TestCopyOutRefuses(t *testing.T) { // not parallel: it measures
	for name, c := range map[string]struct {
		names   []string
		endless bool
		says    string
	}{
		"an object without an end":         {[]string{"a"}, true, "another SHA-256"},
		"one name twice":                   {[]string{"a", "b", "a"}, false, "twice"},
		"a file that is a directory too":   {[]string{"a", "a/b"}, false, "a"},
		"ten thousand directories deep":    {[]string{strings.Repeat("d/", 10_000) + "x"}, false, "deep"},
		"half a million directories deep":  {[]string{strings.Repeat("d/", 500_000) + "x"}, false, "deep"},
		"a name with a NUL":                {[]string{"a\x00b"}, false, "a"},
		"a name that no file system takes": {[]string{strings.Repeat("n", 1<<20)}, false, "n"},
	} {
		t.Run(name, func(t *testing.T) {
			o, b, to := fuzztest.NewOutside(t), mem.New(time.Now), t.TempDir()
			var results []dayfly.Result
			for _, n := range c.names {
				results = append(results, result(t, b, n, n))
			}
			var from bucket.Bucket = b
			if c.endless {
				from = endless{b}
			}
			var err error
			fuzztest.Bounded(t, func() { _, err = copyOut(t.Context(), from, results, to, true) })
			o.Untouched()
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %.300v, want %q", err, c.says)
			}
			if err != nil && len(err.Error()) > 4096 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

// FuzzCopyOut copies results with any names into a directory made of any bytes: what is copied is right, what is
// not is refused, and nothing outside is touched.
func FuzzCopyOut(f *testing.F) {
	for i, p := range fuzztest.TreePrograms() {
		f.Add(p, []byte("plain\nd/file\nlink/x\nfifo\nnew/deep/file"), i%2 == 0)
	}
	f.Add([]byte(nil), []byte("../x\n/x\na/../../x\n.\n\n..\na//b"), true)
	f.Add([]byte(nil), []byte("a\na\na/b"), false)
	f.Fuzz(func(t *testing.T, program, names []byte, force bool) {
		o, b, to := fuzztest.NewOutside(t), mem.New(time.Now), t.TempDir()
		fuzztest.Tree(t, to, program, o)
		var results []dayfly.Result
		var texts []string
		for name := range bytes.SplitSeq(names[:min(len(names), 2000)], []byte("\n")) {
			texts = append(texts, "the result "+string(name))
			r := result(t, b, "", texts[len(texts)-1])
			r.Raw = name
			results = append(results, r)
		}
		var err error
		fuzztest.Bounded(t, func() { _, err = copyOut(t.Context(), b, results, to, force) })
		o.Untouched()
		if err == nil {
			wantCopied(t, to, results, texts)
		}
	})
}
