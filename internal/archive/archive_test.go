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
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/archive"
)

// tree makes files below a new directory: "name" → content, "name/" a directory, "name@" a link to the content.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, strings.TrimRight(name, "/@"))
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		switch {
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(p, 0o755))
		case strings.HasSuffix(name, "@"):
			must(t, os.Symlink(content, p))
		default:
			must(t, os.WriteFile(p, []byte(content), 0o644))
		}
	}
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func pack(t testing.TB, dir string, paths ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	sum, err := archive.Pack(&b, dir, paths, archive.Limits{})
	must(t, err)
	want := sha256.Sum256(b.Bytes())
	if sum.SHA256 != hex.EncodeToString(want[:]) || sum.Size != int64(b.Len()) {
		t.Fatalf("the sum %+v is not that of the %d bytes written", sum, b.Len())
	}
	return b.Bytes()
}

func unpack(t testing.TB, b []byte) string {
	t.Helper()
	dir := t.TempDir()
	sum, err := archive.Unpack(bytes.NewReader(b), dir, archive.Limits{})
	must(t, err)
	want := sha256.Sum256(b)
	if sum.SHA256 != hex.EncodeToString(want[:]) || sum.Size != int64(len(b)) {
		t.Fatalf("the sum %+v is not that of the %d bytes read", sum, len(b))
	}
	return dir
}

func names(t testing.TB, b []byte) []string {
	t.Helper()
	var out []string
	for tr := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		must(t, err)
		out = append(out, h.Name)
	}
}

var sample = map[string]string{
	"pie/main.go":                      "package main\n",
	"pie/data/digits":                  "3.14159",
	"pie/data/alias@":                  "digits",
	"pie/empty/":                       "",
	"pie-notes":                        "sorts between pie and pie/",
	"other/unrelated":                  "not asked for",
	"pie/dangling@":                    "not/there/yet",
	"pie/back@":                        "../pie-notes",
	"ünïcode/naïve.txt":                "a name that needs PAX",
	"long/" + strings.Repeat("n", 200): "a name that ustar has no room for",
}

func TestPackCarriesWhatIsNamedAndTheWayToIt(t *testing.T) {
	t.Parallel()
	dir := tree(t, sample)
	got := names(t, pack(t, dir, "./pie/data", "pie-notes"))
	want := []string{"pie/", "pie-notes", "pie/data/", "pie/data/alias", "pie/data/digits"}
	if !slices.Equal(got, want) {
		t.Errorf("packed %q, want %q", got, want)
	}
}

func TestPackIsTheSameBytesForTheSameFiles(t *testing.T) {
	t.Parallel()
	a, b := tree(t, sample), tree(t, sample)
	must(t, filepath.WalkDir(b, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		m := fs.FileMode(0o600)
		if d.IsDir() {
			m = 0o700
		}
		return errors.Join(os.Chtimes(p, time.Unix(1, 0), time.Unix(2e9, 5)), os.Chmod(p, m))
	}))
	one := pack(t, a, "pie", "pie-notes", "long", "ünïcode")
	for _, paths := range [][]string{
		{"ünïcode", "long", "pie-notes", "pie"},
		{"./pie/", "pie/data/digits", "pie", "pie-notes", "long/.", "ünïcode", "pie/../pie-notes"},
	} {
		if !bytes.Equal(one, pack(t, b, paths...)) {
			t.Errorf("other times, modes and order %q gave another archive", paths)
		}
	}
}

func TestArchiveHasNoTimesAndNoOwners(t *testing.T) {
	t.Parallel()
	dir := tree(t, sample)
	must(t, os.Chmod(filepath.Join(dir, "pie/main.go"), 0o4751))
	b := pack(t, dir, "pie")
	for tr := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		want := map[byte]int64{tar.TypeDir: 0o755, tar.TypeReg: 0o644, tar.TypeSymlink: 0o777}[h.Typeflag]
		if h.Name == "pie/main.go" {
			want = 0o755
		}
		if h.Mode != want || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || h.ModTime.Unix() != 0 || h.Format == tar.FormatPAX {
			t.Errorf("%s carries more than its name and content: %+v", h.Name, h)
		}
	}
}

func TestPackUnpackPackIsByteIdentical(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		dir := randomTree(t, r)
		one := pack(t, dir, ".")
		if two := pack(t, unpack(t, one), "."); !bytes.Equal(one, two) {
			t.Fatalf("seed %d: packing what was unpacked gave other bytes", seed)
		}
	}
}

func randomTree(t *testing.T, r *rand.Rand) string {
	dir, dirs := t.TempDir(), []string{"."}
	for i := range r.IntN(40) {
		name := path.Join(dirs[r.IntN(len(dirs))], fmt.Sprintf("%d%s", i, []string{"", "é", " x", "\n", "\xff", strings.Repeat("y", 120)}[r.IntN(6)]))
		p := filepath.Join(dir, name)
		switch r.IntN(4) {
		case 0:
			must(t, os.Mkdir(p, fs.FileMode(0o700|r.IntN(0o100))))
			dirs = append(dirs, name)
		case 1:
			must(t, os.Symlink(strings.Repeat("../", strings.Count(name, "/"))+"x"+fmt.Sprint(r.IntN(9)), p))
		default:
			b := make([]byte, r.IntN(2000))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			must(t, os.WriteFile(p, b, fs.FileMode(0o600|r.IntN(0o200))))
		}
	}
	return dir
}

func TestPackRefuses(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"in/file": "x", "outward/l@": "../../etc/passwd", "absolute/l@": "/etc/passwd", "self/l@": "l",
		"by-way/p/deep/l@": "../../s/../x", "by-way/s@": "..", "link@": "in",
		"wide/s@": "..", "wide/p/q/l@": "../../s/../x",
	})
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	must(t, os.WriteFile(filepath.Join(filepath.Dir(dir), "x"), nil, 0o600))
	for name, c := range map[string]struct{ path, says string }{
		"a path that leaves":            {"../x", "outside"},
		"a path that leaves by a turn":  {"in/../../x", "outside"},
		"an absolute path":              {dir + "/in", "outside"},
		"what is not there":             {"missing", "no such file"},
		"a link that leaves":            {"outward", "outside"},
		"an absolute link":              {"absolute", "outside"},
		"a link to itself":              {"self", "cannot be followed"},
		"a link that leaves by another": {"wide", "cannot be followed"},
		"a path through a link":         {"link/file", "symbolic link"},
		"a path through a file":         {"in/file/x", "not a directory"},
		"a FIFO":                        {"fifo", "a FIFO"},
		"a link found below":            {".", "outside"},
		"a name with a NUL":             {"in/\x00", "invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			_, err := archive.Pack(&out, dir, []string{"in", c.path}, archive.Limits{})
			if err == nil {
				t.Fatal("it was packed")
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error %q does not say %q", err, c.says)
			}
			if out.Len() > 0 {
				t.Error("something was written before the refusal")
			}
		})
	}
}

func TestPackReportsEveryPathAtOnce(t *testing.T) {
	t.Parallel()
	_, err := archive.Pack(io.Discard, t.TempDir(), []string{"one", "../two"}, archive.Limits{})
	if err == nil || !strings.Contains(err.Error(), "one") || !strings.Contains(err.Error(), "two") {
		t.Errorf("got %v, want both paths", err)
	}
}

// An error in writing is about where the archive goes, not about what goes into it.
func TestPackNamesWhereItCannotWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("3.14"), 0o600); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(to, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := os.Open(to) // for reading
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := archive.Pack(w, dir, []string{"a"}, archive.Limits{}); err == nil || !strings.Contains(err.Error(), to) {
		t.Errorf("it does not say where: %v", err)
	}
}

func TestPackLimits(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a/1": "xxxxx", "a/2": "xxxxx"})
	f, err := os.Create(filepath.Join(dir, "sparse"))
	must(t, err)
	must(t, f.Truncate(1<<40))
	must(t, f.Close())
	for name, c := range map[string]struct {
		path string
		l    archive.Limits
		ok   bool
	}{
		"just enough":       {"a", archive.Limits{MaxBytes: 10, MaxEntries: 3}, true},
		"a byte too many":   {"a", archive.Limits{MaxBytes: 9}, false},
		"a file too many":   {"a", archive.Limits{MaxEntries: 2}, false},
		"a terabyte sparse": {"sparse", archive.Limits{}, false},
	} {
		_, err := archive.Pack(io.Discard, dir, []string{c.path}, c.l)
		if c.ok != (err == nil) || (!c.ok && !errors.Is(err, archive.ErrLimit)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenRegularOpensNothingElse(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"f": "x", "d/": "", "l@": "f"})
	must(t, syscall.Mkfifo(filepath.Join(dir, "p"), 0o600))
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	for name, ok := range map[string]bool{"f": true, "d": false, "l": false, "p": false, "missing": false} {
		f, _, err := archive.OpenRegular(root, name)
		if ok != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if f != nil {
			f.Close()
		}
	}
}
