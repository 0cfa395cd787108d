package fuzztest

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Canary is in every file outside, but for the one that is there to be linked. Who finds it where the
// files of a directory went knows that something else was read.
const Canary = "canary: nobody may read this"

// Outside is a directory beside the one that is read or written, which must stay as it is.
type Outside struct {
	t   testing.TB
	Dir string
	was map[string]string
}

// NewOutside makes one with a file secret, a directory d with a file in it, and a file linked, of
// somebody else, for hard links.
func NewOutside(t testing.TB) *Outside {
	t.Helper()
	o := &Outside{t: t, Dir: t.TempDir()}
	must(t, os.Mkdir(o.Path("d"), 0o755))
	for name, text := range map[string]string{"secret": Canary, "d/file": Canary, "linked": "of somebody else\n"} {
		must(t, os.WriteFile(o.Path(name), []byte(text), 0o644))
	}
	o.was = o.look()
	return o
}

// Path is that of a file in it.
func (o *Outside) Path(name string) string { return filepath.Join(o.Dir, name) }

// look describes everything outside. How many links a file has is no part of it.
func (o *Outside) look() map[string]string {
	o.t.Helper()
	out := map[string]string{}
	must(o.t, filepath.WalkDir(o.Dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := ""
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			text = string(b)
		}
		out[p] = fmt.Sprintf("%s, %s: %q", info.Mode(), info.ModTime(), text)
		return nil
	}))
	return out
}

// Untouched fails the test when anything outside is not as it was, or when some of it is in what was read.
func (o *Outside) Untouched(read ...[]byte) {
	o.t.Helper()
	is := o.look()
	for _, p := range slices.Sorted(maps.Keys(is)) {
		if is[p] != o.was[p] {
			o.t.Errorf("outside, %s was %q and is %q", p, o.was[p], is[p])
		}
	}
	if len(is) < len(o.was) {
		o.t.Errorf("outside were %d files and are %d", len(o.was), len(is))
	}
	for _, b := range read {
		if bytes.Contains(b, []byte(Canary)) {
			o.t.Errorf("a file outside was read: %.300q", b)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
