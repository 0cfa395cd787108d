// Package archive packs a job's files into an archive that is the same bytes for the same files, and
// unpacks one without ever writing outside the directory it was given.
//
// An archive is a plain tar without compression, so that its SHA-256 names the content and nothing
// else: entries sorted by the bytes of their names, every directory before what is in it, times zero,
// owner 0, mode 0755 for directories and what is executable and 0644 for the rest, PAX headers only
// where a name needs them. What it is packed from (the order of the paths, times, umask, owners)
// leaves no trace. Packing what Unpack wrote gives the same bytes again.
//
// Both directions work through [os.Root] and have limits. Only regular files, directories and
// symbolic links that stay inside are carried; everything else is refused with its name. Where the
// archive is kept, and whether its SHA-256 is the one that was wanted, is the caller's business.
package archive

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// Limits bound an archive; zero fields take the defaults.
type Limits struct {
	MaxBytes   int64 // of the files' content in all; default 1 GiB
	MaxEntries int   // files, directories and links; default 100,000
}

// The defaults of Limits, and how deep a name may lie.
const (
	DefaultMaxBytes   = 1 << 30
	DefaultMaxEntries = 100_000
	MaxDepth          = 255
)

// ErrLimit is in the chain of every error that says an archive is too large.
var ErrLimit = errors.New("over the limit")

func (l Limits) orDefault() Limits {
	return Limits{
		MaxBytes:   cmp.Or(l.MaxBytes, DefaultMaxBytes),
		MaxEntries: cmp.Or(l.MaxEntries, DefaultMaxEntries),
	}
}

func (l Limits) bytes(total int64) error {
	if total < 0 || total > l.MaxBytes { // below 0: a size made to overflow the sum
		return fmt.Errorf("more than %d bytes: %w", l.MaxBytes, ErrLimit)
	}
	return nil
}

func (l Limits) entries(n int) error {
	if n > l.MaxEntries {
		return fmt.Errorf("more than %d files and directories: %w", l.MaxEntries, ErrLimit)
	}
	return nil
}

// Sum is what is known of an archive's bytes.
type Sum struct {
	Size   int64
	SHA256 string // in hex
}

// summer hashes what passes through it.
type summer struct {
	hash hash.Hash
	size int64
}

func newSummer() *summer { return &summer{hash: sha256.New()} }

func (s *summer) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	return s.hash.Write(p)
}

func (s *summer) sum() Sum { return Sum{Size: s.size, SHA256: hex.EncodeToString(s.hash.Sum(nil))} }

// OpenRegular opens a regular file below root for reading, and nothing else: it does not follow a
// link, block on a FIFO, or open another file than the one it looked at.
func OpenRegular(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("it is " + kind(before.Mode()))}
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(before, info) {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("it was replaced meanwhile")}
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "a regular file"
	case m.IsDir():
		return "a directory"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	default:
		return "neither a file, a directory nor a link"
	}
}

// mode is the mode an entry is stored and unpacked with.
func mode(m fs.FileMode) fs.FileMode {
	if m.IsDir() || m&0o111 != 0 {
		return 0o755
	}
	return 0o644
}

// checkName tells whether an entry of an archive may have this name.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || name != path.Clean(name) || strings.ContainsRune(name, 0):
		return errors.New("not a clean path")
	case !filepath.IsLocal(name):
		return errors.New("it lies outside the directory")
	case strings.Count(name, "/") >= MaxDepth:
		return fmt.Errorf("more than %d directories deep", MaxDepth)
	}
	return nil
}

// checkTarget tells whether the words of the link at name stay inside.
func checkTarget(name, target string) error {
	if target == "" || path.IsAbs(target) || !filepath.IsLocal(path.Join(path.Dir(name), target)) {
		return fmt.Errorf("the link leads outside the directory, to %q", target)
	}
	return nil
}

// checkLink tells whether the link at name stays inside root, by its words and by what is there. One
// that leads nowhere yet may stay.
func checkLink(root *os.Root, name, target string) error {
	if err := checkTarget(name, target); err != nil {
		return err
	}
	if _, err := root.Stat(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the link to %q cannot be followed inside the directory: %w", target, err)
	}
	return nil
}
