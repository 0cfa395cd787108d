package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// keeper is a watched directory of job files in this process, which looks when the test says so.
type keeper struct {
	*jobsDir
	t    *testing.T
	said *bytes.Buffer
}

func keep(t *testing.T, files map[string]string) *keeper {
	t.Helper()
	k := &keeper{t: t, said: &bytes.Buffer{}}
	a := newApp([]string{"DAYFLY_DATA=" + t.TempDir() + "/data"}, strings.NewReader(""), io.Discard, k.said)
	a.now = func() time.Time { return time.Now().Add(time.Hour) } // no file is young
	h, err := a.open()
	if err == nil {
		_, err = h.Loop(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	dir := t.TempDir()
	if k.jobsDir, err = a.newJobsDir(h, dir); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		k.write(name, text)
	}
	if err := k.all(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.said.Reset()
	return k
}

func (k *keeper) write(name, text string) {
	k.t.Helper()
	if err := os.WriteFile(filepath.Join(k.from, name), []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keeper) move(from, to string) {
	k.t.Helper()
	if err := os.Rename(filepath.Join(k.from, from), filepath.Join(k.from, to)); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keeper) remove(name string) {
	k.t.Helper()
	if err := os.Remove(filepath.Join(k.from, name)); err != nil {
		k.t.Fatal(err)
	}
}

// tells checks what three looks say, without the places of files.
func (k *keeper) tells(want ...string) {
	k.t.Helper()
	for range 3 {
		if err := k.look(k.t.Context()); err != nil {
			k.said.WriteString("failed: " + err.Error() + "\n")
		}
	}
	var got []string
	for line := range strings.Lines(strings.ReplaceAll(k.said.String(), k.from+"/", "")) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "error:") || strings.ContainsAny(line[:1], "+-~=") || strings.HasPrefix(line, "failed:") {
			got = append(got, line)
		}
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		k.t.Errorf("said\n%s\nwant\n%s", g, w)
	}
	k.said.Reset()
}

// jobs gives the jobs that there are, those in brackets paused.
func (k *keeper) jobs() string {
	k.t.Helper()
	recs, err := k.h.store.Jobs(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	var names []string
	for _, rec := range recs {
		if name := string(rec.Name) + " " + filepath.Base(rec.Source); rec.Vanished.Why != "" {
			names = append(names, "("+name+")")
		} else {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

func (k *keeper) has(want string) {
	k.t.Helper()
	if got := k.jobs(); got != want {
		k.t.Errorf("the jobs are %s, want %s", got, want)
	}
}

const (
	jobA = "name: a\nrun: exit 0\n"
	jobB = "name: b\nrun: exit 0\n"
)

func TestJobsDir(t *testing.T) {
	t.Parallel()
	t.Run("come, changed, broken, mended, gone", func(t *testing.T) {
		t.Parallel()
		k := keep(t, map[string]string{"a.yaml": jobA})
		k.tells()
		k.write("b.yaml", jobB)
		k.tells("+ b added")
		k.write("a.yaml", jobA+"timeout: 5m\n")
		k.tells("~ a changed")
		k.write("a.yaml", jobA+"timeou: 5m\n")
		k.tells(`error: a.yaml:3:1: unknown field "timeou"`)
		k.has("a a.yaml, b b.yaml")
		k.write("a.yaml", jobA+"timeout: 5m\n")
		k.tells()
		k.remove("a.yaml")
		k.tells("- a paused: a.yaml does not have it any more")
		k.write("a.yaml", jobA)
		k.tells("+ a resumed")
		k.has("a a.yaml, b b.yaml")
	})
	t.Run("a file that gets another name keeps its job, and two may change places", func(t *testing.T) {
		t.Parallel()
		k := keep(t, map[string]string{"a.yaml": jobA, "b.yaml": jobB})
		k.move("a.yaml", "z.yaml")
		k.tells("~ a changed")
		k.move("z.yaml", "x")
		k.move("b.yaml", "z.yaml")
		k.move("x", "b.yaml")
		k.tells("~ a changed", "~ b changed")
		k.has("a b.yaml, b z.yaml")
	})
	t.Run("a broken file keeps its job, whatever it is when it is mended", func(t *testing.T) {
		t.Parallel()
		k := keep(t, map[string]string{"a.yaml": jobA})
		k.write("a.yaml", "nonsense\n")
		k.look(t.Context())
		k.look(t.Context())
		k.has("a a.yaml")
		k.said.Reset()
		k.write("a.yaml", jobB)
		k.tells("+ b added", "- a paused: a.yaml does not have it any more")
		k.has("(a a.yaml), b a.yaml")
	})
	t.Run("what a file had that is broken from the start is known from the records", func(t *testing.T) {
		t.Parallel()
		k := keep(t, map[string]string{"a.yaml": jobA})
		k.write("a.yaml", "nonsense\n")
		if err := k.all(t.Context()); err != nil {
			t.Fatal(err)
		}
		k.said.Reset()
		k.write("a.yaml", jobB)
		k.tells("+ b added", "- a paused: a.yaml does not have it any more")
	})
	t.Run("a name that is taken is refused, once, until it is free", func(t *testing.T) {
		t.Parallel()
		k := keep(t, map[string]string{"b.yaml": jobA})
		k.write("a.yaml", jobA+"timeout: 5m\n")
		k.tells(`error: a.yaml:1:7: "a" is also the name of the job in b.yaml`)
		k.write("c.yaml", jobB)
		k.tells("+ b added")
		k.remove("b.yaml")
		k.tells("~ a changed")
		k.has("a a.yaml, b c.yaml")
	})
	t.Run("a file that has its job by hand from elsewhere leaves it there", func(t *testing.T) {
		t.Parallel()
		k := keep(t, map[string]string{"a.yaml": jobA})
		if _, err := k.h.loop.Apply(t.Context(), dayfly.Job{Name: "a", Run: "true", Timezone: "UTC"}, "/elsewhere/a.yaml"); err != nil {
			t.Fatal(err)
		}
		k.remove("a.yaml")
		k.tells()
		k.has("a a.yaml")
	})
	t.Run("what the store cannot take comes again", func(t *testing.T) {
		t.Parallel()
		k := keep(t, map[string]string{"a.yaml": jobA, "b.yaml": jobB})
		full := &failing{Store: k.h.store, err: errors.New("disk full")}
		k.h.loop.Store, k.h.store = full, full
		k.write("a.yaml", jobA+"timeout: 5m\n")
		k.remove("b.yaml")
		for range 4 {
			_ = k.look(t.Context())
		}
		full.err = nil
		k.tells("~ a changed", "- b paused: b.yaml does not have it any more")
		k.tells()
	})
	t.Run("a directory that is gone changes nothing", func(t *testing.T) {
		t.Parallel()
		k := keep(t, map[string]string{"a.yaml": jobA})
		if err := os.Rename(k.from, k.from+".away"); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := k.look(t.Context()); dayfly.ErrorCode(err) != dayfly.CodeNotFound {
				t.Errorf("look: %v", err)
			}
		}
		k.has("a a.yaml")
	})
}

// failing is a store that cannot change a job.
type failing struct {
	store.Store
	err error
}

func (f *failing) PutJob(ctx context.Context, j store.Job) (store.Job, error) {
	if f.err != nil {
		return store.Job{}, f.err
	}
	return f.Store.PutJob(ctx, j)
}
