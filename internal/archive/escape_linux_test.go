package archive_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/dayfly-io/dayfly/internal/archive"
	"github.com/dayfly-io/dayfly/internal/fuzztest"
)

// first calls do before the first bytes are written, and takes no more than there is memory for.
type first struct {
	bytes.Buffer
	do func()
}

func (w *first) Write(p []byte) (int, error) {
	if w.do != nil {
		w.do()
		w.do = nil
	}
	if w.Len() > fuzztest.MaxBytes {
		return 0, errors.New("that is too much for this test")
	}
	return w.Buffer.Write(p)
}

// TestEscape packs every attack: it is refused, or what is packed is what lies in the directory and can be
// unpacked. Nothing outside is read, nothing is waited for.
func TestEscape(t *testing.T) { // not parallel: it measures
	fuzztest.EachAttack(t, packWhile)
}

func packWhile(t *testing.T, attack fuzztest.Attack) {
	t.Helper()
	o := fuzztest.NewOutside(t)
	dir := filepath.Join(t.TempDir(), "files")
	must(t, os.Mkdir(dir, 0o755))
	fuzztest.NewArena(t, dir, o).Run(attack, func(meanwhile func()) {
		w := &first{do: meanwhile}
		var sum archive.Sum
		var err error
		fuzztest.Bounded(t, func() { sum, err = archive.Pack(w, dir, []string{"."}, archive.Limits{}) })
		o.Untouched(w.Bytes())
		if err != nil {
			return
		}
		to := t.TempDir()
		got, err := archive.Unpack(bytes.NewReader(w.Bytes()), to, archive.Limits{})
		if err != nil || got != sum {
			t.Errorf("what was packed is unpacked as %+v, %v; want %+v", got, err, sum)
		}
		if text, err := os.ReadFile(filepath.Join(to, "plain")); err != nil || string(text) != fuzztest.Plain {
			t.Errorf("plain is %q, %v", text, err)
		}
	})
}

// FuzzPack makes any bytes a directory: it is refused, or packed without anything from outside, and comes out of
// the archive as it went in.
func FuzzPack(f *testing.F) {
	for _, p := range fuzztest.TreePrograms() {
		f.Add(p)
	}
	limits := archive.Limits{MaxBytes: 1 << 20, MaxEntries: 500}
	f.Fuzz(func(t *testing.T, program []byte) {
		o, dir := fuzztest.NewOutside(t), t.TempDir()
		fuzztest.Tree(t, dir, program, o)
		var one bytes.Buffer
		var err error
		fuzztest.Bounded(t, func() { _, err = archive.Pack(&one, dir, []string{"."}, limits) })
		o.Untouched(one.Bytes())
		root, rerr := os.OpenRoot(dir)
		must(t, rerr)
		defer root.Close()
		if cerr := archive.Check(root, ".", limits); (cerr == nil) != (err == nil) {
			t.Errorf("packing says %v, and the check before it %v", err, cerr)
		}
		if err != nil {
			return
		}
		if two := pack(t, unpack(t, one.Bytes()), "."); !bytes.Equal(one.Bytes(), two) {
			t.Error("packing what was unpacked gave other bytes")
		}
	})
}
