package archive_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dayfly-io/dayfly/internal/archive"
	"github.com/dayfly-io/dayfly/internal/fuzztest"
)

// tarOf makes an archive as no Pack would. A header's Uname is the content of its file.
func tarOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		content := h.Uname
		h.Uname = ""
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(content))
		}
		must(t, w.WriteHeader(&h))
		_, err := w.Write([]byte(content))
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	dir := tar.Header{Name: "d/", Typeflag: tar.TypeDir}
	for name, c := range map[string]struct {
		headers []tar.Header
		says    string
	}{
		"a name that leaves":                {[]tar.Header{{Name: "../x"}}, "outside"},
		"a name that turns":                 {[]tar.Header{dir, {Name: "d/../../x"}}, "clean"},
		"an absolute name":                  {[]tar.Header{{Name: "/x"}}, "outside"},
		"the directory itself":              {[]tar.Header{{Name: "./", Typeflag: tar.TypeDir}}, "clean"},
		"a name twice":                      {[]tar.Header{{Name: "x", Uname: "1"}, {Name: "x", Uname: "2"}}, "twice"},
		"a directory twice":                 {[]tar.Header{dir, dir}, "twice"},
		"a file without its directory":      {[]tar.Header{{Name: "d/x"}}, "did not come before"},
		"a file below a file":               {[]tar.Header{{Name: "x"}, {Name: "x/y"}}, "did not come before"},
		"a file through a link":             {[]tar.Header{dir, {Name: "l", Typeflag: tar.TypeSymlink, Linkname: "d"}, {Name: "l/x"}}, "did not come before"},
		"a file over a link":                {[]tar.Header{{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "x"}, {Name: "l"}}, "twice"},
		"a hard link":                       {[]tar.Header{{Name: "x"}, {Name: "y", Typeflag: tar.TypeLink, Linkname: "x"}}, "hard link"},
		"a hard link to outside":            {[]tar.Header{{Name: "y", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}}, "hard link"},
		"a device":                          {[]tar.Header{{Name: "y", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}}, "device"},
		"a FIFO":                            {[]tar.Header{{Name: "y", Typeflag: tar.TypeFifo}}, "FIFO"},
		"a link that leaves":                {[]tar.Header{{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../x"}}, "outside"},
		"a link that leaves absolutely":     {[]tar.Header{{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/"}}, "outside"},
		"a link to nothing":                 {[]tar.Header{{Name: "l", Typeflag: tar.TypeSymlink}}, "outside"},
		"a link that leaves by another":     {[]tar.Header{dir, {Name: "d/e/", Typeflag: tar.TypeDir}, {Name: "d/e/l", Typeflag: tar.TypeSymlink, Linkname: "../../s/../y"}, {Name: "s", Typeflag: tar.TypeSymlink, Linkname: "."}}, "cannot be followed"},
		"links in a circle":                 {[]tar.Header{{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "b"}, {Name: "b", Typeflag: tar.TypeSymlink, Linkname: "a"}}, "cannot be followed"},
		"more directories than it may have": {deep(300), "deep"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outer := t.TempDir()
			inner := filepath.Join(outer, "inner")
			must(t, os.Mkdir(inner, 0o755))
			_, err := archive.Unpack(bytes.NewReader(tarOf(t, c.headers...)), inner, archive.Limits{})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want an error that says %q", err, c.says)
			}
			if left, _ := os.ReadDir(outer); len(left) != 1 {
				t.Errorf("something lies outside now: %v", left)
			}
		})
	}
}

func deep(n int) (out []tar.Header) {
	for i := range n {
		out = append(out, tar.Header{Name: strings.Repeat("d/", i+1), Typeflag: tar.TypeDir})
	}
	return out
}

func TestUnpackLimits(t *testing.T) {
	t.Parallel()
	two := tarOf(t, tar.Header{Name: "a", Uname: "12345"}, tar.Header{Name: "b", Uname: "12345"})
	huge := tarOf(t, tar.Header{Name: "a", Uname: "12345"})
	copy(huge[124:136], "77777777777\x00") // 8 GiB - 1, in octal
	fixChecksum(huge)
	for name, c := range map[string]struct {
		r  io.Reader
		l  archive.Limits
		ok bool
	}{
		"just enough":          {bytes.NewReader(two), archive.Limits{MaxBytes: 10, MaxEntries: 2}, true},
		"a byte too many":      {bytes.NewReader(two), archive.Limits{MaxBytes: 9}, false},
		"an entry too many":    {bytes.NewReader(two), archive.Limits{MaxEntries: 1}, false},
		"gigabytes of zeros":   {io.MultiReader(bytes.NewReader(huge[:512]), zeros{}), archive.Limits{}, false},
		"zeros without an end": {io.MultiReader(bytes.NewReader(two), zeros{}), archive.Limits{MaxBytes: 1 << 20, MaxEntries: 10}, false},
	} {
		_, err := archive.Unpack(c.r, t.TempDir(), c.l)
		if c.ok != (err == nil) || (!c.ok && !errors.Is(err, archive.ErrLimit)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fixChecksum makes the first header of an archive valid again.
func fixChecksum(b []byte) {
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	for i := 5; i >= 0; i-- {
		b[148+i] = byte('0' + sum&7)
		sum >>= 3
	}
	b[154] = 0
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A sparse file of 2^63-1 bytes after a small one would make the sum of the sizes negative.
func TestUnpackSizesCannotOverflow(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 5, Mode: 0o644}))
	_, err := w.Write([]byte("12345"))
	must(t, err)
	must(t, w.Flush())
	must(t, w.WriteHeader(&tar.Header{Name: "b", Typeflag: tar.TypeReg, Size: 1<<63 - 1, Mode: 0o644}))
	_, err = archive.Unpack(io.MultiReader(&b, zeros{}), t.TempDir(), archive.Limits{MaxBytes: 1000, MaxEntries: 10})
	if err == nil || !strings.Contains(err.Error(), `"b": more than 1000 bytes`) {
		t.Errorf("got %v, want the limit of what is unpacked", err)
	}
}

func TestUnpackWantsAnEmptyDirectory(t *testing.T) {
	t.Parallel()
	if _, err := archive.Unpack(bytes.NewReader(tarOf(t)), tree(t, map[string]string{"x": ""}), archive.Limits{}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestUnpackCutOffIsAnError(t *testing.T) {
	t.Parallel()
	whole := pack(t, tree(t, sample), ".")
	for cut := 1; cut < len(whole)-1024; cut += 97 {
		if sum, err := archive.Unpack(bytes.NewReader(whole[:cut]), t.TempDir(), archive.Limits{}); err == nil && sum.Size == int64(len(whole)) {
			t.Fatalf("%d of %d bytes were taken for the whole", cut, len(whole))
		}
	}
}

// The process's umask is everybody's, so this test alone does not run in parallel.
func TestUnpackDoesNotDependOnTheUmask(t *testing.T) {
	b := pack(t, tree(t, map[string]string{"d/x": "1"}), ".")
	old := syscall.Umask(0o077)
	dir := unpack(t, b)
	syscall.Umask(old)
	for name, want := range map[string]fs.FileMode{"d": 0o755, "d/x": 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(pack(f, tree(f, sample), "."))
	f.Add(tarOf(f, tar.Header{Name: "../x"}))
	f.Add(tarOf(f, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../../etc"}, tar.Header{Name: "l/x", Uname: "y"}))
	f.Add(tarOf(f, tar.Header{Name: "d/", Typeflag: tar.TypeDir}, tar.Header{Name: "d/x", Uname: "y"}, tar.Header{Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "x"}))
	limits := archive.Limits{MaxBytes: 1 << 16, MaxEntries: 50}
	f.Fuzz(func(t *testing.T, b []byte) {
		outer := t.TempDir()
		inner := filepath.Join(outer, "inner")
		must(t, os.Mkdir(inner, 0o755))
		var err error
		fuzztest.Bounded(t, func() { _, err = archive.Unpack(bytes.NewReader(b), inner, limits) })
		if left, _ := os.ReadDir(outer); len(left) != 1 {
			t.Fatalf("something lies outside now: %v", left)
		}
		if err != nil {
			return
		}
		var one bytes.Buffer
		if _, err := archive.Pack(&one, inner, []string{"."}, limits); err != nil {
			t.Fatalf("what was unpacked cannot be packed: %v", err)
		}
		again := unpack(t, one.Bytes())
		if two := pack(t, again, "."); !bytes.Equal(one.Bytes(), two) {
			t.Fatal("packing what was unpacked gave other bytes")
		}
	})
}
