package dir_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/bucket/dir"
)

func mustOpen(t testing.TB, path string) *dir.Bucket {
	t.Helper()
	b, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func mustOpenReadOnly(t testing.TB, path string) *dir.Bucket {
	t.Helper()
	b, err := dir.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func mustPut(t testing.TB, b bucket.Bucket, key, content string) {
	t.Helper()
	if _, err := b.Put(t.Context(), key, strings.NewReader(content), bucket.Condition{}); err != nil {
		t.Fatal(err)
	}
}

func keys(t testing.TB, b bucket.Bucket) string {
	t.Helper()
	var out []string
	for info, err := range b.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, info.Key)
	}
	return strings.Join(out, " ")
}

func TestRemainsOfDeadWriters(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	mustPut(t, mustOpen(t, top), "o", "x")
	staging := filepath.Join(top, dir.Staging)
	for name, age := range map[string]time.Duration{"OLD": 25 * time.Hour, "YOUNG": 23 * time.Hour, "lock": 100 * time.Hour} {
		path := filepath.Join(staging, name)
		at := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, []byte("half"), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	if got := keys(t, mustOpen(t, top)); got != "o" {
		t.Errorf("objects: %s", got)
	}
	for name, want := range map[string]bool{"OLD": false, "YOUNG": true, "lock": true} {
		if _, err := os.Stat(filepath.Join(staging, name)); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", name, err == nil, want)
		}
	}
}

// Who joins a bucket uses it like whoever opened it, and leaves the tidying to them.
func TestJoin(t *testing.T) {
	t.Parallel()
	top := filepath.Join(t.TempDir(), "bucket")
	join := func() *dir.Bucket {
		t.Helper()
		b, err := dir.Join(top)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	}
	mustPut(t, join(), "run/in", "x") // where nothing is yet, it makes what is needed
	if err := errors.Join(os.RemoveAll(top), os.Mkdir(top, 0o700)); err != nil {
		t.Fatal(err)
	}
	mustPut(t, join(), "run/in", "x")
	left := filepath.Join(top, dir.Staging, "LEFT")
	old := time.Now().Add(-25 * time.Hour)
	if err := errors.Join(os.WriteFile(left, []byte("half"), 0o600), os.Chtimes(left, old, old)); err != nil {
		t.Fatal(err)
	}
	mustPut(t, join(), "run/out", "y")
	if got := keys(t, mustOpenReadOnly(t, top)); got != "run/in run/out" {
		t.Errorf("objects: %s", got)
	}
	if _, err := os.Stat(left); err != nil {
		t.Errorf("what another writer has left: %v", err)
	}
}

func TestEmptyFoldersOfDeadWriters(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	b := mustOpen(t, top)
	if err := os.MkdirAll(filepath.Join(top, "a/b/c/d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(top, "a/b/e"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := b.Put(t.Context(), "a", strings.NewReader("x"), bucket.Condition{IfMatch: "tag"})
	if !errors.Is(err, bucket.ErrExists) {
		t.Errorf("put over nothing but folders, if it matches: %v", err)
	}
	mustPut(t, b, "a/b", "an object where empty folders lie")
	if got := keys(t, b); got != "a/b" {
		t.Errorf("objects: %s", got)
	}
	if err := b.Delete(t.Context(), "a/b"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(top, "a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty folder stays after the delete: %v", err)
	}
}

func TestForeignFiles(t *testing.T) {
	t.Parallel()
	top, outside := t.TempDir(), t.TempDir()
	b := mustOpen(t, top)
	mustPut(t, b, "d/o", "x")
	secret := filepath.Join(outside, "secret")
	if err := errors.Join(
		os.WriteFile(secret, []byte("secret"), 0o600),
		os.WriteFile(filepath.Join(top, "no key"), nil, 0o600),
		os.Symlink(secret, filepath.Join(top, "link")),
		os.Symlink(outside, filepath.Join(top, "away")),
		os.Symlink("d", filepath.Join(top, "within")),
		unix.Mkfifo(filepath.Join(top, "fifo"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, b); got != "d/o" {
		t.Errorf("objects: %s", got)
	}
	for _, key := range []string{"link", "away", "fifo", "away/secret"} {
		if r, err := b.Get(t.Context(), key, 0, -1); err == nil {
			r.Close()
			t.Errorf("get %s gave an answer", key)
		}
	}
	if _, err := b.Put(t.Context(), "away/new", strings.NewReader("x"), bucket.Condition{}); err == nil {
		t.Error("a put through a link that leaves the bucket was taken")
	}
	if err := b.Delete(t.Context(), "away/secret"); err == nil {
		t.Error("a delete through a link that leaves the bucket was taken")
	}
	mustPut(t, b, "link", "in the link's place")
	if content, err := os.ReadFile(secret); err != nil || string(content) != "secret" {
		t.Errorf("the file outside holds %q (%v)", content, err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside lies %v (%v)", entries, err)
	}
}

func TestTwoProcessesOneFirst(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	one, two := mustOpen(t, top), mustOpen(t, top)
	for round := range 20 {
		key := "d/" + strings.Repeat("x", round+1) + "/o"
		won := make(chan bool, 2)
		for _, b := range []*dir.Bucket{one, two} {
			go func() {
				_, err := b.Put(t.Context(), key, strings.NewReader("x"), bucket.Condition{IfAbsent: true})
				if err != nil && !errors.Is(err, bucket.ErrExists) {
					t.Errorf("put: %v", err)
				}
				won <- err == nil
			}()
		}
		if a, b := <-won, <-won; a == b {
			t.Fatalf("%s: both won, or none: %v", key, a)
		}
	}
}
