// Package dir is a bucket in a directory: an object is a file, its key the path below the directory.
//
// A Put writes a file in the hidden folder ".in progress" (its blank makes it no key), syncs it, moves
// it to its place in one step and syncs the folder. So an object is whole or not there, whatever
// happens meanwhile, and what was acknowledged survives a power cut. Several processes may use the
// directory at once; a file lock keeps them from undoing each other's folders:
//
//	shared     placing or removing one object in folders that are there
//	exclusive  making folders and syncing them (whoever finds one may rely on it), removing empty
//	           ones, and comparing an ETag before a replacement
//
// Nothing is read or written outside the directory, wherever its symbolic links point. Files that
// are not objects (no key, not regular) are passed over. Deleting old objects is for others.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/durable"
)

const (
	staging  = ".in progress" // no key: it has a blank
	lockFile = staging + "/lock"
	stale    = 24 * time.Hour // a staged file this old belongs to nobody

	fileMode = 0o600 // logs and results are their owner's business
	dirMode  = 0o700
)

// Bucket is a bucket.Bucket in a directory.
type Bucket struct {
	root *os.Root
	gate sync.RWMutex // orders our own goroutines before the file lock orders processes
	sync func(*os.File) error
}

var _ bucket.Bucket = (*Bucket)(nil)

// Open gives the bucket in a directory and makes the directory if need be. Remains of writers that
// died more than a day ago are removed.
func Open(dir string) (*Bucket, error) { return open(dir, (*os.File).Sync) }

// Join gives the bucket in a directory that somebody else has opened and looks after: for one of many
// processes that come and go. It opens one that nobody has opened yet.
func Join(dir string) (*Bucket, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Open(dir)
	}
	if _, err := root.Lstat(lockFile); err != nil {
		return openIn(root, dir, (*os.File).Sync)
	}
	return &Bucket{root: root, sync: (*os.File).Sync}, nil
}

// OpenReadOnly gives the bucket in a directory to read from: nothing is made or removed there.
func OpenReadOnly(dir string) (*Bucket, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	return &Bucket{root: root, sync: (*os.File).Sync}, nil
}

func open(dir string, sync func(*os.File) error) (*Bucket, error) {
	if err := durable.MkdirAll(dir, dirMode, sync); err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	return openIn(root, dir, sync)
}

func openIn(root *os.Root, dir string, sync func(*os.File) error) (*Bucket, error) {
	b := &Bucket{root: root, sync: sync}
	if err := b.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("open bucket %s: %w", dir, err), root.Close())
	}
	return b, nil
}

// prepare makes the staging folder and clears it of what is stale.
func (b *Bucket) prepare() error {
	switch err := b.root.Mkdir(staging, dirMode); {
	case err == nil:
		if err := b.syncDir("."); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	lock, err := b.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return err
	}
	defer lock.Close()
	return b.clear()
}

// clear removes staged files by the file system's own clock, which dates a new file.
func (b *Bucket) clear() error {
	probe, err := b.create()
	if err != nil {
		return err
	}
	defer b.root.Remove(probe.name)
	defer probe.file.Close()
	now, err := probe.file.Stat()
	if err != nil {
		return err
	}
	names, err := b.readDir(staging)
	if err != nil {
		return err
	}
	for _, e := range names {
		name := staging + "/" + e.Name()
		info, err := b.root.Lstat(name)
		if err != nil || name == lockFile || now.ModTime().Sub(info.ModTime()) < stale {
			continue
		}
		if err := b.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Close lets go of the directory.
func (b *Bucket) Close() error { return b.root.Close() }

// Get implements bucket.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	r, err := b.get(ctx, key, offset, length)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, b.named(err))
	}
	return r, nil
}

func (b *Bucket) get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if offset < 0 {
		return nil, fmt.Errorf("offset %d", offset)
	}
	if _, err := b.stat(ctx, key); err != nil {
		return nil, err
	}
	// Not blocking: what was a file a moment ago might be a FIFO now.
	f, err := b.root.OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, absent(err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	rest := max(0, info.Size()-offset)
	if length < 0 || length > rest {
		length = rest
	}
	return section{io.NewSectionReader(f, offset, length), f}, nil
}

// section reads a part of a file and closes the file.
type section struct {
	io.Reader
	io.Closer
}

// Stat implements bucket.Bucket.
func (b *Bucket) Stat(ctx context.Context, key string) (bucket.Info, error) {
	info, err := b.stat(ctx, key)
	if err != nil {
		return bucket.Info{}, fmt.Errorf("stat %s: %w", key, b.named(err))
	}
	return info, nil
}

func (b *Bucket) stat(ctx context.Context, key string) (bucket.Info, error) {
	if err := firstErr(bucket.CheckKey(key), ctx.Err()); err != nil {
		return bucket.Info{}, err
	}
	info, err := b.root.Lstat(key)
	if err != nil {
		return bucket.Info{}, absent(err)
	}
	if !info.Mode().IsRegular() {
		return bucket.Info{}, bucket.ErrNotFound
	}
	return describe(key, info), nil
}

// describe makes the ETag from what a Put makes new each time: the file itself, its size, and its
// date, whose last digits are random (see stamp). A file changed by hand has another date too.
func describe(key string, info fs.FileInfo) bucket.Info {
	var inode uint64
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = uint64(st.Ino)
	}
	at := info.ModTime()
	return bucket.Info{
		Key: key, Size: info.Size(), Modified: at,
		ETag: fmt.Sprintf("%x-%x-%x", inode, at.UnixNano(), info.Size()),
	}
}

// absent turns what the file system says of a missing file into ErrNotFound.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return bucket.ErrNotFound
	}
	return err
}

// named says where the bucket is, where an error names a file only by its place in it.
func (b *Bucket) named(err error) error {
	_, path := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	if !path && !link || strings.Contains(err.Error(), b.root.Name()) {
		return err
	}
	return fmt.Errorf("in %s: %w", b.root.Name(), err)
}

// firstErr is the first error there is.
func firstErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *Bucket) readDir(dir string) ([]fs.DirEntry, error) {
	f, err := b.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}

// folderOf is the folder a key lies in, "." at the top.
func folderOf(key string) string { return path.Dir(key) }
