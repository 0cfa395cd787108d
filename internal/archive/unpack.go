package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// headerRoom is more than the headers of one entry can sensibly need: two names of 4 KiB, padded.
const headerRoom = 16 << 10

// Unpack reads an archive to its end and writes its entries below dir, which must be empty. The Sum is
// of every byte that was read, also of those after the archive's end mark. It refuses what Pack
// would not have written: names that leave the directory or come twice, entries whose directory did
// not come first, links that lead outside, hard links, devices, and more than the limits allow. After
// an error dir holds a part of the entries, still none outside it, and is the caller's to remove.
func Unpack(r io.Reader, dir string, l Limits) (Sum, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Sum{}, fmt.Errorf("unpack files: %w", err)
	}
	defer root.Close()
	if err := checkEmpty(root); err != nil {
		return Sum{}, fmt.Errorf("unpack into %s: %w", dir, err)
	}
	l = l.orDefault()
	s := newSummer()
	room := l.MaxBytes + int64(l.MaxEntries+1)*headerRoom
	in := io.TeeReader(&bounded{r: r, left: room}, s)
	u := &unpacker{root: root, limits: l, kinds: map[string]byte{".": tar.TypeDir}}
	if err := u.all(tar.NewReader(in)); err != nil {
		return Sum{}, err
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return Sum{}, fmt.Errorf("read archive: %w", err)
	}
	return s.sum(), nil
}

func checkEmpty(root *os.Root) error {
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	if len(names) > 0 {
		return fmt.Errorf("the directory is not empty: it has %q", names[0])
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// bounded ends an endless archive with an error; io.LimitReader would end it as if it were whole.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the archive is too long: %w", ErrLimit)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

type unpacker struct {
	root   *os.Root
	limits Limits
	kinds  map[string]byte // what came so far
	links  []tar.Header
	total  int64
}

func (u *unpacker) all(tr *tar.Reader) error {
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		if err := u.entry(h, tr); err != nil {
			return fmt.Errorf("unpack %q: %w", h.Name, err)
		}
	}
	// Links come last, so that nothing is ever written through one, and are followed only when all
	// that they can lead through is there.
	for _, h := range u.links {
		if err := u.root.Symlink(h.Linkname, h.Name); err != nil {
			return fmt.Errorf("unpack %q: %w", h.Name, err)
		}
	}
	for _, h := range u.links {
		if err := checkLink(u.root, h.Name, h.Linkname); err != nil {
			return fmt.Errorf("unpack %q: %w", h.Name, err)
		}
	}
	return nil
}

func (u *unpacker) entry(h *tar.Header, r io.Reader) error {
	name := h.Name
	if h.Typeflag == tar.TypeDir {
		name = strings.TrimSuffix(name, "/")
	}
	if err := u.enter(name, h); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := u.root.Mkdir(name, 0o755); err != nil {
			return err
		}
		return u.root.Chmod(name, 0o755) // the umask may have taken from it
	case tar.TypeSymlink:
		u.links = append(u.links, tar.Header{Name: name, Linkname: h.Linkname})
		return nil
	default:
		return u.file(name, fs.FileMode(h.Mode), h.Size, r)
	}
}

// enter checks an entry against everything that came before it.
func (u *unpacker) enter(name string, h *tar.Header) error {
	if err := checkName(name); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir:
	case tar.TypeSymlink:
		if err := checkTarget(name, h.Linkname); err != nil {
			return err
		}
	case tar.TypeLink:
		return errors.New("it is a hard link")
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return errors.New("it is a device or FIFO")
	default:
		return fmt.Errorf("it is of a kind that is not unpacked (%q)", h.Typeflag)
	}
	if _, ok := u.kinds[name]; ok {
		return errors.New("the name comes twice")
	}
	if u.kinds[path.Dir(name)] != tar.TypeDir {
		return errors.New("its directory did not come before it")
	}
	u.kinds[name] = h.Typeflag
	if h.Typeflag == tar.TypeReg {
		u.total += h.Size
	}
	return errors.Join(u.limits.entries(len(u.kinds)-1), u.limits.bytes(u.total))
}

func (u *unpacker) file(name string, m fs.FileMode, size int64, r io.Reader) error {
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(r, size))
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	return errors.Join(err, f.Chmod(mode(m)), f.Close())
}
