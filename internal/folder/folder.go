// Package folder notices which files of a directory have changed, come or gone.
//
// It looks when it is told to and needs nothing of the kernel but stat, so that it works on any file
// system: an event that a network file system, a mount or a full queue swallows is an event nobody
// waits for. What each look costs is bounded. Files that come, go or are replaced change the directory
// itself, which is one call to see, and only then everything is looked at; what is written in place
// shows in the file alone, and [Few] of those are looked at each time, in turn.
//
// A change is told when it has come to rest: when two looks in a row see the same. So a file that is
// being written is not read half-way, and one that is moved does not go before it comes.
//
// Reading the files is the caller's business. One that changes after it was told is told again.
package folder

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Few is how many files are looked at though the directory has not changed.
const Few = 100

// young is how long after a change the next one may leave the same time stamp, on the coarsest of file
// systems.
const young = 2 * time.Second

// mark tells one content of a file from another; the zero mark is that of no file.
type mark struct {
	inode        uint64
	size         int64
	mtime, ctime int64 // nanoseconds
}

// Folder is a directory that is looked at. It is for one goroutine.
type Folder struct {
	dir   string
	match func(name string) bool
	now   func() time.Time

	known   map[string]mark // as it was told
	unrest  map[string]mark // differs from what is known, as it was seen last
	order   []string        // what is known, by name
	turn    int             // whose turn in order it is
	self    mark            // of the directory when everything was looked at
	settled bool            // self will change with the next change
}

// New gives a directory of which files count whose name matches. Nothing of it is known yet.
func New(dir string, match func(name string) bool, now func() time.Time) *Folder {
	return &Folder{dir: dir, match: match, now: now, known: map[string]mark{}, unrest: map[string]mark{}}
}

// Reset takes all files for known as they are now: the caller is about to read them. A file that was
// changed only just now is told again all the same.
func (f *Folder) Reset() error {
	marks, err := f.everything()
	if err != nil {
		return err
	}
	f.known, f.unrest, f.order = marks, map[string]mark{}, slices.Sorted(maps.Keys(marks))
	for name, m := range marks {
		if f.isYoung(m) {
			f.known[name], f.unrest[name] = mark{inode: m.inode}, m
		}
	}
	return nil
}

// Look gives the files that have changed or come, and those that have gone, since they were told last.
func (f *Folder) Look() (changed, gone []string, err error) {
	d, err := f.open()
	if err != nil {
		return nil, nil, err
	}
	defer d.Close()
	self, err := markOf(d, ".")
	if err != nil {
		return nil, nil, err
	}
	seen := map[string]mark{}
	if self != f.self || !f.settled {
		if seen, err = f.everything(); err != nil {
			return nil, nil, err
		}
		for name := range f.known {
			if _, ok := seen[name]; !ok {
				seen[name] = mark{}
			}
		}
	} else {
		for _, name := range f.some() {
			if seen[name], err = markOf(d, name); err != nil {
				return nil, nil, err
			}
		}
	}
	for name := range f.unrest { // one that was never told and has gone again
		if _, ok := seen[name]; !ok {
			delete(f.unrest, name)
		}
	}
	changed, gone = f.compare(seen)
	return changed, gone, nil
}

// compare tells what is at rest of what differs, and remembers the rest.
func (f *Folder) compare(seen map[string]mark) (changed, gone []string) {
	for name, m := range seen {
		was, moving := f.unrest[name]
		switch {
		case m == f.known[name]:
			delete(f.unrest, name)
		case !moving || m != was:
			f.unrest[name] = m
		case m == mark{}:
			delete(f.unrest, name)
			delete(f.known, name)
			gone = append(gone, name)
		default:
			delete(f.unrest, name)
			f.known[name] = m
			changed = append(changed, name)
		}
	}
	if len(changed)+len(gone) > 0 {
		f.order = slices.Sorted(maps.Keys(f.known))
	}
	slices.Sort(changed)
	slices.Sort(gone)
	return changed, gone
}

// some gives the files whose turn it is, and those that have not come to rest.
func (f *Folder) some() []string {
	names := slices.Collect(maps.Keys(f.unrest))
	for range min(Few, len(f.order)) {
		f.turn %= len(f.order)
		names = append(names, f.order[f.turn])
		f.turn++
	}
	return names
}

// everything looks at the whole directory.
func (f *Folder) everything() (map[string]mark, error) {
	d, err := f.open()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	self, err := markOf(d, ".") // before the names: whatever comes after them changes it
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("read directory %s: %w", f.dir, err)
	}
	marks := make(map[string]mark, len(f.known))
	for _, name := range names {
		if !f.match(name) {
			continue
		}
		m, err := markOf(d, name)
		if err != nil {
			return nil, err
		}
		if m != (mark{}) {
			marks[name] = m
		}
	}
	f.self, f.settled = self, !f.isYoung(self)
	return marks, nil
}

func (f *Folder) open() (*os.File, error) {
	d, err := os.Open(f.dir)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	return d, nil
}

func (f *Folder) isYoung(m mark) bool {
	return f.now().UnixNano()-m.ctime < int64(young)
}

// markOf looks at a file, through a link; a link that leads nowhere is a file of its own, and what is a
// directory is none.
func markOf(d *os.File, name string) (mark, error) {
	var s unix.Stat_t
	err := unix.Fstatat(int(d.Fd()), name, &s, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) {
		err = unix.Fstatat(int(d.Fd()), name, &s, unix.AT_SYMLINK_NOFOLLOW)
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		return mark{}, nil
	case err != nil:
		return mark{}, &os.PathError{Op: "look at", Path: filepath.Join(d.Name(), name), Err: err}
	case s.Mode&unix.S_IFMT == unix.S_IFDIR && name != ".":
		return mark{}, nil
	}
	return mark{s.Ino, s.Size, s.Mtim.Nano(), s.Ctim.Nano()}, nil
}
