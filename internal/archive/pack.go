package archive

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"
)

// Pack writes an archive of the files at paths, which are slash-separated and relative to dir, and of
// everything below those that are directories. The directories that lead to them are carried too, so
// that they unpack under the same names. A path named twice, or both itself and through a directory
// it is in, is packed once. The problems of all paths are reported together; then w has been given
// nothing. A file that changes while it is read is an error.
func Pack(w io.Writer, dir string, paths []string, l Limits) (Sum, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Sum{}, fmt.Errorf("pack files: %w", err)
	}
	defer root.Close()
	p := newPacker(root, l)
	var problems []error
	for _, name := range paths {
		problems = append(problems, p.add(name))
	}
	if err := errors.Join(problems...); err != nil {
		return Sum{}, err
	}
	s := newSummer()
	if err := p.write(io.MultiWriter(w, s)); err != nil {
		return Sum{}, err
	}
	return s.sum(), nil
}

// Check tells what Pack would say of one of its paths, without reading what is in the files. The error is an
// fs.PathError with the path that it is about, which may be below name.
func Check(root *os.Root, name string, l Limits) error { return newPacker(root, l).add(name) }

type packer struct {
	root    *os.Root
	limits  Limits
	entries map[string]fs.FileInfo
	walked  map[string]bool // directories whose children are entered, or being entered
	total   int64
}

func newPacker(root *os.Root, l Limits) *packer {
	return &packer{root: root, limits: l.orDefault(), entries: map[string]fs.FileInfo{}, walked: map[string]bool{}}
}

// problem is what is wrong with a path.
func problem(name string, err error) error {
	if e, ok := err.(*fs.PathError); ok && e.Path == name { // of another path, such as the archive's, all is part of the reason
		err = e.Err
	}
	return &fs.PathError{Op: "pack", Path: name, Err: err}
}

// add collects one of the paths Pack was given.
func (p *packer) add(name string) error {
	if path.IsAbs(name) || !filepath.IsLocal(path.Clean(name)) {
		return problem(name, errors.New("it lies outside the directory"))
	}
	name = path.Clean(name)
	if name == "." {
		return p.children(".")
	}
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		info, err := p.root.Lstat(name[:i])
		switch {
		case err != nil:
			return problem(name, err)
		case info.Mode()&fs.ModeSymlink != 0:
			return problem(name[:i], errors.New("it is a symbolic link: name what it points to instead"))
		case !info.IsDir():
			return problem(name[:i], errors.New("it is not a directory"))
		}
		if err := p.enter(name[:i], info); err != nil {
			return err
		}
	}
	return p.tree(name)
}

func (p *packer) enter(name string, info fs.FileInfo) error {
	if _, ok := p.entries[name]; ok {
		return nil
	}
	if err := checkName(name); err != nil {
		return problem(name, err)
	}
	p.entries[name] = info
	if info.Mode().IsRegular() {
		p.total += info.Size()
	}
	if err := cmp.Or(p.limits.entries(len(p.entries)), p.limits.bytes(p.total)); err != nil {
		return problem(name, err)
	}
	return nil
}

func (p *packer) tree(name string) error {
	info, err := p.root.Lstat(name)
	if err != nil {
		return problem(name, err)
	}
	if err := p.enter(name, info); err != nil {
		return err
	}
	switch m := info.Mode(); {
	case m.IsRegular():
		return nil
	case m.IsDir():
		return p.children(name)
	case m&fs.ModeSymlink != 0:
		target, err := p.root.Readlink(name)
		if err == nil {
			err = checkLink(p.root, name, target)
		}
		if err != nil {
			return problem(name, err)
		}
		return nil
	default:
		return problem(name, fmt.Errorf("it is %s: only files, directories and links can be packed", kind(m)))
	}
}

func (p *packer) children(dir string) error {
	if p.walked[dir] {
		return nil
	}
	p.walked[dir] = true
	f, err := p.root.Open(dir)
	if err != nil {
		return problem(dir, err)
	}
	names, err := f.Readdirnames(-1)
	if err := errors.Join(err, f.Close()); err != nil {
		return problem(dir, err)
	}
	slices.Sort(names) // so that of several problems the same one is reported every time
	for _, n := range names {
		if err := p.tree(path.Join(dir, n)); err != nil {
			return err
		}
	}
	return nil
}

func (p *packer) write(w io.Writer) error {
	tw := tar.NewWriter(w)
	p.total = 0 // what was looked at may have grown since
	for _, name := range slices.Sorted(maps.Keys(p.entries)) {
		if err := p.writeEntry(tw, name, p.entries[name]); err != nil {
			return problem(name, err)
		}
	}
	if err := tw.Close(); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	return nil
}

func (p *packer) writeEntry(tw *tar.Writer, name string, info fs.FileInfo) error {
	h := &tar.Header{Name: name, ModTime: time.Unix(0, 0), Mode: int64(mode(info.Mode()))}
	switch m := info.Mode(); {
	case m.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		return tw.WriteHeader(h)
	case m&fs.ModeSymlink != 0:
		target, err := p.root.Readlink(name)
		if err != nil {
			return err
		}
		if err := checkLink(p.root, name, target); err != nil {
			return err
		}
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, target, 0o777
		return tw.WriteHeader(h)
	}
	f, info, err := OpenRegular(p.root, name)
	if err != nil {
		return err
	}
	defer f.Close()
	h.Typeflag, h.Size, h.Mode = tar.TypeReg, info.Size(), int64(mode(info.Mode()))
	p.total += h.Size
	if err := p.limits.bytes(p.total); err != nil {
		return err
	}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	return copyExactly(tw, f, h.Size)
}

// copyExactly copies the whole of a file that must be as long as it was when it was opened.
func copyExactly(w io.Writer, f io.Reader, size int64) error {
	n, err := io.Copy(w, io.LimitReader(f, size))
	if err != nil {
		return err
	}
	var more [1]byte
	if extra, err := io.ReadFull(f, more[:]); n != size || extra > 0 {
		return errors.New("it changed while it was read")
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
