package main

import (
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"
)

// locked is a file system in which one name may not be opened; the tests may be root, who may open all.
type locked struct {
	fstest.MapFS
	name string
}

// Open implements fs.FS.
func (l locked) Open(name string) (fs.File, error) {
	if name == l.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return l.MapFS.Open(name)
}

// ReadDir implements fs.ReadDirFS.
func (l locked) ReadDir(name string) ([]fs.DirEntry, error) {
	if name == l.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return l.MapFS.ReadDir(name)
}

// Files that cannot be read are found before they are packed: those that are named, and those below.
func TestReadable(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"a": {}, "dir/b": {}, "dir/sub/c": {}}
	for name, c := range map[string]struct {
		locked, at string
		fine       bool
	}{
		"all may be read":      {"", ".", true},
		"another may not":      {"a", "dir", true},
		"the file itself":      {"a", "a", false},
		"the directory itself": {"dir", "dir", false},
		"a file below":         {"dir/sub/c", "dir", false},
		"a directory below":    {"dir/sub", ".", false},
	} {
		err := readable(locked{files, c.locked}, c.at)
		if (err == nil) != c.fine || err != nil && !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
