package archive_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
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

// refused is an archive that Pack would not have written, and a word of the error.
type refused struct {
	headers []tar.Header
	says    string
}

func refusals() map[string]refused {
	dir := tar.Header{Name: "d/", Typeflag: tar.TypeDir}
	return map[string]refused{
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
	}
}

func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range refusals() {
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

// reseal makes the checksums of headers right, so that a change within one gets further than to them.
func reseal(b []byte) []byte {
	const block, sum, size = 512, 148, 124
	b = bytes.Clone(b)
	for at := 0; at+block <= len(b); {
		h := b[at : at+block]
		at += block
		if len(bytes.Trim(h, "\x00")) == 0 {
			continue
		}
		copy(h[sum:sum+8], "        ")
		total := 0
		for _, c := range h {
			total += int(c)
		}
		copy(h[sum:sum+8], fmt.Sprintf("%06o\x00 ", total))
		n, err := strconv.ParseInt(strings.Trim(string(h[size:size+12]), " \x00"), 8, 64)
		if err == nil && n <= int64(len(b)) && h[156] != tar.TypeDir && h[156] != tar.TypeSymlink && h[156] != tar.TypeLink {
			at += int(n+block-1) / block * block
		}
	}
	return b
}

// strange are archives by other hands than tar.Writer's: a header is changed after it was written.
func strange(f *testing.F) (all [][]byte) {
	field := func(b []byte, at int, text string) {
		all = append(all, reseal(append(append(bytes.Clone(b[:at]), text...), b[at+len(text):]...)))
	}
	whole := tarOf(f, tar.Header{Name: "x", Uname: "content"})
	for _, kind := range "1234567AKLMNSVXgx\x00\xff" {
		field(whole, 156, string([]byte{byte(kind)}))
	}
	field(whole, 124, "77777777777")                                      // a size of 8 GiB
	field(whole, 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff") // -1
	field(whole, 124, "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff") // all there is
	field(whole, 0, "a\x00b")
	field(whole, 257, "ustar  \x00") // GNU
	field(whole, 345, "prefix/../..")
	for _, records := range []map[string]string{
		{"path": "../x"}, {"size": "9223372036854775807"}, {"size": "-1"}, {"linkpath": "/etc"}, {"path": "a\nb"},
		{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1099511627776", "GNU.sparse.name": "x"},
		{"GNU.sparse.size": "1099511627776", "GNU.sparse.numblocks": "1", "GNU.sparse.map": "0,1099511627776"},
	} {
		var body strings.Builder
		for k, v := range records {
			n := len(k) + len(v) + 4
			for ; len(fmt.Sprintf("%d %s=%s\n", n, k, v)) != n; n++ {
			}
			fmt.Fprintf(&body, "%d %s=%s\n", n, k, v)
		}
		pax := tarOf(f, tar.Header{Name: "PaxHeaders/x", Uname: body.String()})
		field(append(bytes.Clone(pax[:len(pax)-1024]), whole...), 156, "x")
	}
	all = append(all, whole[:600], append(bytes.Clone(whole), "after the end"...), bytes.Repeat(whole[:1024], 60), make([]byte, 200<<10))
	return all
}

func FuzzUnpack(f *testing.F) {
	f.Add(pack(f, tree(f, sample), "."))
	f.Add(tarOf(f, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../../etc"}, tar.Header{Name: "l/x", Uname: "y"}))
	f.Add(tarOf(f, tar.Header{Name: "d/", Typeflag: tar.TypeDir}, tar.Header{Name: "d/x", Uname: "y"}, tar.Header{Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "x"}))
	f.Add(tarOf(f, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: strings.Repeat("d/", 5000)})) // longer than a path may be
	f.Add(tarOf(f, tar.Header{Name: strings.Repeat("n", 300), Uname: "x"}))                                 // and a name
	f.Add(tarOf(f, tar.Header{Name: "big", Uname: strings.Repeat("x", 4<<10+1)}))
	f.Add(tarOf(f, deep(20)...))
	for _, c := range refusals() {
		f.Add(tarOf(f, c.headers...))
	}
	for _, b := range strange(f) {
		f.Add(b)
	}
	limits := archive.Limits{MaxBytes: 4 << 10, MaxEntries: 10}
	top := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		b = reseal(b)
		outer, err := os.MkdirTemp(top, "")
		must(t, err)
		defer os.RemoveAll(outer)
		inner := filepath.Join(outer, "inner")
		must(t, os.Mkdir(inner, 0o755))
		var sum archive.Sum
		fuzztest.Bounded(t, func() { sum, err = archive.Unpack(bytes.NewReader(b), inner, limits) })
		if left, _ := os.ReadDir(outer); len(left) != 1 {
			t.Fatalf("something lies outside now: %v", left)
		}
		if err != nil {
			return
		}
		if want := sha256.Sum256(b); sum.Size != int64(len(b)) || sum.SHA256 != hex.EncodeToString(want[:]) {
			t.Fatalf("the sum of %d bytes is %+v", len(b), sum)
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
