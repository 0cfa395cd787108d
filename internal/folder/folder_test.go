package folder_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/folder"
)

// watched is a directory with some files, all of them known. Its clock is an hour ahead, so that nothing is
// taken for young, unless the test sets it.
type watched struct {
	*folder.Folder
	t   *testing.T
	dir string
	now time.Time
}

func watch(t *testing.T, names ...string) *watched {
	t.Helper()
	w := &watched{t: t, dir: t.TempDir(), now: time.Now().Add(time.Hour)}
	for _, n := range names {
		w.write(n, "first")
	}
	w.Folder = folder.New(w.dir, func(name string) bool { return strings.HasSuffix(name, ".yaml") }, func() time.Time { return w.now })
	if err := w.Reset(); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *watched) path(name string) string { return filepath.Join(w.dir, name) }

func (w *watched) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) do(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// look checks what one look tells: "+a.yaml -b.yaml".
func (w *watched) look(want string) {
	w.t.Helper()
	changed, gone, err := w.Look()
	w.do(err)
	var got []string
	for _, n := range changed {
		got = append(got, "+"+n)
	}
	for _, n := range gone {
		got = append(got, "-"+n)
	}
	if s := strings.Join(got, " "); s != want {
		w.t.Errorf("told %q, want %q", s, want)
	}
}

// rests checks what two looks tell: nothing before it has come to rest.
func (w *watched) rests(want string) {
	w.t.Helper()
	w.look("")
	w.look(want)
	w.look("")
}

func TestLook(t *testing.T) {
	t.Parallel()
	t.Run("nothing has changed", func(t *testing.T) {
		t.Parallel()
		w := watch(t, "a.yaml")
		w.rests("")
	})
	t.Run("written in place, come, gone, replaced, moved", func(t *testing.T) {
		t.Parallel()
		w := watch(t, "a.yaml", "b.yaml")
		w.write("a.yaml", "second!")
		w.rests("+a.yaml")
		w.write("c.yaml", "new")
		w.rests("+c.yaml")
		w.do(os.Remove(w.path("b.yaml")))
		w.rests("-b.yaml")
		w.write(".tmp", "first")
		w.do(os.Rename(w.path(".tmp"), w.path("a.yaml")))
		w.rests("+a.yaml")
		w.do(os.Rename(w.path("a.yaml"), w.path("z.yaml")))
		w.rests("+z.yaml -a.yaml")
	})
	t.Run("what is still being written is not told", func(t *testing.T) {
		t.Parallel()
		w := watch(t, "a.yaml")
		for i := range 5 {
			w.write("a.yaml", strings.Repeat("more ", i+3))
			w.look("")
		}
		w.look("+a.yaml")
	})
	t.Run("what was gone for a moment has not gone", func(t *testing.T) {
		t.Parallel()
		w := watch(t, "a.yaml")
		w.do(os.Rename(w.path("a.yaml"), w.path("a.yaml~")))
		w.look("")
		w.write("a.yaml", "saved anew")
		w.rests("+a.yaml")
	})
	t.Run("what came for a moment was never there", func(t *testing.T) {
		t.Parallel()
		w := watch(t)
		w.write("a.yaml", "")
		w.look("")
		w.do(os.Remove(w.path("a.yaml")))
		w.rests("")
		w.write("a.yaml", "")
		w.rests("+a.yaml")
	})
	t.Run("other names and directories do not count", func(t *testing.T) {
		t.Parallel()
		w := watch(t)
		w.write("notes.txt", "")
		w.do(os.Mkdir(w.path("d.yaml"), 0o700))
		w.rests("")
	})
	t.Run("a link is what it leads to, and a file of its own where it leads nowhere", func(t *testing.T) {
		t.Parallel()
		w := watch(t)
		one, two := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
		w.do(os.WriteFile(one, []byte("1"), 0o600))
		w.do(os.WriteFile(two, []byte("22"), 0o600))
		w.do(os.Symlink(one, w.path("data")))
		w.do(os.Symlink("data", w.path("a.yaml")))
		w.rests("+a.yaml")
		w.do(os.WriteFile(one, []byte("changed"), 0o600))
		w.rests("+a.yaml")
		w.do(os.Symlink(two, w.path("data2"))) // as a mounted ConfigMap changes
		w.do(os.Rename(w.path("data2"), w.path("data")))
		w.rests("+a.yaml")
		w.do(os.Remove(two))
		w.rests("+a.yaml")
		w.do(os.Remove(w.path("a.yaml")))
		w.rests("-a.yaml")
	})
	t.Run("a change that left no other time stamp is told after all", func(t *testing.T) {
		t.Parallel()
		w := watch(t, "a.yaml")
		w.now = time.Now()
		w.write("a.yaml", "SAME.")
		w.do(w.Reset()) // whoever reads it now may read what was there before
		w.look("+a.yaml")
		w.look("")
	})
	t.Run("a directory that is not there is an error, and no file has gone", func(t *testing.T) {
		t.Parallel()
		w := watch(t, "a.yaml")
		away := w.dir + ".away"
		w.do(os.Rename(w.dir, away))
		for range 3 {
			if _, _, err := w.Look(); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("look: %v", err)
			}
		}
		w.do(os.Rename(away, w.dir))
		w.rests("")
	})
}

func TestManyFiles(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 3*folder.Few + 7 {
		names = append(names, fmt.Sprintf("%05d.yaml", i))
	}
	w := watch(t, names...)
	w.look("")
	for i, n := range names {
		if i%(folder.Few/2) == 0 {
			w.write(n, "in place")
		}
	}
	told := 0
	for i := range 9 { // twice in turn
		changed, gone, err := w.Look()
		w.do(err)
		if told += len(changed); len(gone) > 0 {
			t.Fatalf("gone: %v", gone)
		}
		if i == 1 && told > 2 {
			t.Errorf("after two looks at few files %d changes are known", told)
		}
	}
	if told != 7 {
		t.Errorf("told %d changes, want 7", told)
	}
	w.write("new.yaml", "")
	w.do(os.Remove(w.path(names[5])))
	w.rests("+new.yaml -" + names[5])
}

func BenchmarkLook(b *testing.B) {
	dir := b.TempDir()
	for i := range 100_000 {
		if err := os.WriteFile(fmt.Sprintf("%s/%06d.yaml", dir, i), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	f := folder.New(dir, func(string) bool { return true }, func() time.Time { return time.Now().Add(time.Hour) })
	if err := f.Reset(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := f.Look(); err != nil {
			b.Fatal(err)
		}
	}
}
