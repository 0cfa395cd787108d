package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/agent/redact"
	"github.com/dayfly-io/dayfly/internal/archive"
)

// The defaults of dayfly.ResultLimits, and what is not for a task to say.
const (
	DefaultResultBytes = 10 << 30
	DefaultResultFiles = 100_000
	maxDepth           = 1024 // directories below one another
	atOnce             = 4    // results stored at a time
	maxNotes           = 50   // left-out files that are named; the rest are counted
)

// saver stores a results directory. Every process of the job is dead by then, but nothing here depends
// on it: whatever changes meanwhile, no file outside the directory is opened, and what was stored is
// what the report says.
type saver struct {
	store   store
	prefix  string
	limits  dayfly.ResultLimits
	secrets *redact.Set // not even a name gives one away

	plan    []planned
	entries int
	mu      sync.Mutex
	left    []leftOut
}

// planned is a file that will be stored.
type planned struct {
	name string
	as   string // what it is called where it is stored
	size int64  // no more of it is read
}

// leftOut is a file that is not, or not wholly, as it was.
type leftOut struct{ name, why string }

// save stores every regular file below dir that is within the limits. The error says that there was
// no time for all of them, or that the bucket would not have one; results has those that were stored.
func (s *saver) save(ctx context.Context, dir string) (results []dayfly.Result, notes []string, err error) {
	root, err := openDir(dir)
	if err != nil {
		return nil, []string{fmt.Sprintf("results: the directory cannot be read: %v", bare(err))}, nil
	}
	defer root.Close()
	if err = s.walk(ctx, root, "."); err == nil {
		s.cutToLimits()
		s.nameAll()
		results, err = s.storeAll(ctx, root)
	}
	return results, s.notes(), err
}

// openDir opens a directory that somebody may have replaced by a link.
func openDir(dir string) (*os.Root, error) {
	parent, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	base := filepath.Base(dir)
	before, err := parent.Lstat(base)
	if err != nil {
		return nil, err
	}
	root, err := parent.OpenRoot(base)
	if err != nil {
		return nil, err
	}
	after, err := root.Stat(".")
	if err == nil && !os.SameFile(before, after) {
		err = errors.New("the job put something else in its place")
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

func (s *saver) leave(name, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Quoted, a secret with quotes in it would not be found any more.
	s.left = append(s.left, leftOut{s.secrets.String(name), fmt.Sprintf(format, args...)})
}

// walk plans what is in one directory and below it. It goes down by handles, so that a deep path is not
// walked from the top for each of its files.
func (s *saver) walk(ctx context.Context, here *os.Root, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	below, err := s.readDir(here, dir)
	if err != nil {
		s.leave(dir, "%v", bare(err))
	}
	for _, base := range below {
		sub, err := here.OpenRoot(base)
		if err != nil {
			s.leave(path.Join(dir, base), "%v", bare(err))
			continue
		}
		if err := errors.Join(s.walk(ctx, sub, path.Join(dir, base)), sub.Close()); err != nil {
			return err
		}
	}
	return nil
}

// readDir plans the files of one directory and gives the directories in it.
func (s *saver) readDir(here *os.Root, dir string) (below []string, err error) {
	f, err := here.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for most := 2 * s.mostFiles(); s.entries < most; {
		names, err := f.Readdirnames(min(1000, most-s.entries))
		for _, n := range names {
			s.entries++
			if s.look(here, n, path.Join(dir, n)) {
				below = append(below, n)
			}
		}
		if errors.Is(err, io.EOF) {
			return below, nil
		}
		if err != nil {
			return below, err
		}
	}
	return below, errTooMany
}

// errTooMany says that a directory was not looked at to its end.
var errTooMany = errors.New("there are too many files and directories: not all were looked at")

func (s *saver) mostBytes() int64 { return cmp.Or(s.limits.MaxBytes, DefaultResultBytes) }
func (s *saver) mostFiles() int   { return cmp.Or(s.limits.MaxFiles, DefaultResultFiles) }

// look plans one entry, and tells whether it is a directory to walk.
func (s *saver) look(here *os.Root, base, name string) (dir bool) {
	info, err := here.Lstat(base)
	switch {
	case err != nil:
		s.leave(name, "%v", bare(err))
	case info.Mode().IsRegular():
		s.plan = append(s.plan, planned{name: name, size: info.Size()})
	case info.IsDir() && strings.Count(name, "/") >= maxDepth:
		s.leave(name, "more than %d directories deep", maxDepth)
	case info.IsDir():
		return true
	case info.Mode()&fs.ModeSymlink != 0:
		s.leave(name, "a symbolic link")
	case info.Mode()&fs.ModeNamedPipe != 0:
		s.leave(name, "a FIFO")
	case info.Mode()&fs.ModeSocket != 0:
		s.leave(name, "a socket")
	default:
		s.leave(name, "a device")
	}
	return false
}

// cutToLimits drops the files, in the order of their names, that no longer fit.
func (s *saver) cutToLimits() {
	bytes, files := s.mostBytes(), s.mostFiles()
	slices.SortFunc(s.plan, func(a, b planned) int { return strings.Compare(a.name, b.name) })
	s.plan = slices.DeleteFunc(s.plan, func(p planned) bool {
		switch {
		case files == 0:
			s.leave(p.name, "more than %d files", s.mostFiles())
			return true
		case p.size > bytes:
			s.leave(p.name, "its %d bytes are over the limit of %d for all results", p.size, s.mostBytes())
			return true
		}
		files--
		bytes -= p.size
		return false
	})
}

// storeAll stores what is planned, a few at a time, and gives what was stored in the plan's order.
func (s *saver) storeAll(ctx context.Context, root *os.Root) ([]dayfly.Result, error) {
	done := make([]*dayfly.Result, len(s.plan))
	errs := make([]error, len(s.plan))
	var work errgroup.Group
	work.SetLimit(atOnce)
	for i, p := range s.plan {
		if ctx.Err() != nil {
			errs[i] = context.Cause(ctx)
			break
		}
		work.Go(func() error {
			done[i], errs[i] = s.storeOne(ctx, root, p)
			return nil // what can be stored is
		})
	}
	_ = work.Wait()
	var out []dayfly.Result
	for _, r := range done {
		if r != nil {
			out = append(out, *r)
		}
	}
	// One error is enough to know; a bucket that refuses one thing may refuse all of them.
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return out, errs[i]
	}
	return out, nil
}

// storeOne stores one file. Neither a result nor an error: the file cannot be read, which is noted.
func (s *saver) storeOne(ctx context.Context, root *os.Root, p planned) (*dayfly.Result, error) {
	f, info, err := archive.OpenRegular(root, p.name)
	if err != nil {
		s.leave(p.name, "%v", bare(err))
		return nil, nil
	}
	defer f.Close()
	open := func() (io.Reader, error) {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		return io.LimitReader(f, p.size), nil
	}
	obj, err := s.store.add(ctx, resultKey(s.prefix, p.as), p.size, open)
	if _, source := errors.AsType[*sourceError](err); source && ctx.Err() == nil {
		s.leave(p.name, "%v", bare(err))
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w", p.as, err)
	}
	if after, err := f.Stat(); err != nil || after.Size() != obj.Size || info.Size() != p.size {
		s.leave(p.as, "it changed while it was saved: %d bytes of it were", obj.Size)
	}
	r := &dayfly.Result{Object: obj, Name: p.as, Mode: uint32(info.Mode().Perm())}
	if !utf8.ValidString(p.as) {
		r.Name, r.Raw = strings.ToValidUTF8(p.as, "\uFFFD"), []byte(p.as)
	}
	return r, nil
}

// notes says what is not as it was, for people.
func (s *saver) notes() (out []string) {
	slices.SortFunc(s.left, func(a, b leftOut) int { return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.why, b.why)) })
	for i, l := range s.left {
		if i == maxNotes {
			return append(out, fmt.Sprintf("results: and %d more like these", len(s.left)-maxNotes))
		}
		verb := "left out"
		if strings.HasPrefix(l.why, "it changed") || l.why == underAnotherName {
			verb = "take care"
		}
		out = append(out, fmt.Sprintf("results: %s: %q: %s", verb, l.name, l.why))
	}
	return out
}

// bare is an error without the path that it happened to.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
