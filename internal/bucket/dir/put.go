package dir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly/internal/bucket"
)

// Put implements bucket.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, c bucket.Condition) (bucket.Info, error) {
	info, err := b.put(ctx, key, r, c)
	if err != nil {
		return bucket.Info{}, fmt.Errorf("put %s: %w", key, b.named(err))
	}
	return info, nil
}

func (b *Bucket) put(ctx context.Context, key string, r io.Reader, c bucket.Condition) (bucket.Info, error) {
	if err := firstErr(bucket.CheckKey(key), ctx.Err()); err != nil {
		return bucket.Info{}, err
	}
	if c.IfAbsent && c.IfMatch != "" {
		return bucket.Info{}, bucket.ErrExists // never both
	}
	s, err := b.create()
	if err != nil {
		return bucket.Info{}, err
	}
	defer b.root.Remove(s.name) // gone already where it was renamed
	info, err := b.fill(ctx, s, r)
	if err = errors.Join(err, s.file.Close()); err != nil {
		return bucket.Info{}, err
	}
	err = b.place(ctx, s.name, key, c)
	if err == nil || errors.Is(err, bucket.ErrExists) {
		// Also what is reported as being there must be there after a power cut.
		err = firstErr(b.syncFolder(key), err)
	}
	return describe(key, info), err
}

type staged struct {
	name string
	file *os.File
}

func (b *Bucket) create() (staged, error) {
	name := staging + "/" + rand.Text()
	f, err := b.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	return staged{name, f}, err
}

// fill writes and syncs a staged file.
func (b *Bucket) fill(ctx context.Context, s staged, r io.Reader) (fs.FileInfo, error) {
	if _, err := io.Copy(s.file, reader{ctx, r}); err != nil {
		return nil, err
	}
	if err := b.stamp(s); err != nil {
		return nil, err
	}
	if err := b.sync(s.file); err != nil {
		return nil, err
	}
	return s.file.Stat()
}

// stamp makes the file's date one that no other content under the same key has had: inodes are used
// again, and the kernel's clock moves in steps of milliseconds.
func (b *Bucket) stamp(s staged) error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	at := info.ModTime().Truncate(time.Millisecond).Add(time.Duration(mathrand.IntN(int(time.Millisecond))))
	if err := b.root.Chtimes(s.name, at, at); err != nil {
		return err
	}
	if info, err = s.file.Stat(); err == nil && !info.ModTime().Equal(at) {
		err = errors.New("the file system keeps dates no finer than it pleases, but a bucket needs nanoseconds to tell contents apart")
	}
	return err
}

// reader stops when the context does.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// place moves a staged file to its key.
func (b *Bucket) place(ctx context.Context, from, key string, c bucket.Condition) error {
	how := unix.LOCK_SH
	if c.IfMatch != "" {
		how = unix.LOCK_EX
	}
	err := b.locked(ctx, how, func() error { return b.move(from, key, c) })
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EISDIR) {
		err = b.locked(ctx, unix.LOCK_EX, func() error { return b.makeRoom(from, key, c) })
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("an object lies where a folder would be: %w", bucket.ErrKey)
	}
	return err
}

// move is place where the folders are there and no folder has the object's name.
func (b *Bucket) move(from, key string, c bucket.Condition) error {
	if c.IfMatch != "" {
		switch info, err := b.root.Lstat(key); {
		case err == nil && info.Mode().IsRegular() && describe(key, info).ETag == c.IfMatch:
		case err == nil, absent(err) == bucket.ErrNotFound:
			return bucket.ErrExists
		default:
			return err
		}
	}
	put := b.root.Rename
	if c.IfAbsent {
		put = b.root.Link // which never replaces
	}
	err := put(from, key)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.EISDIR) {
		switch info, err := b.root.Lstat(key); {
		case err == nil && info.IsDir():
			return syscall.EISDIR
		case c.IfAbsent:
			return bucket.ErrExists
		}
	}
	return err
}

// makeRoom makes the folders that a key needs, or removes empty ones that have its name, and moves
// the object there before it lets go of the lock: a Delete might remove the folders again.
func (b *Bucket) makeRoom(from, key string, c bucket.Condition) error {
	if err := b.clearEmpty(key); err != nil {
		return err
	}
	made, err := b.makeFolders(folderOf(key))
	if err == nil {
		err = b.move(from, key, c)
	}
	if err != nil {
		for i := len(made) - 1; i >= 0; i-- {
			_ = b.rmdir(made[i]) // a try: an empty folder is in nobody's way
		}
	}
	return err
}

// makeFolders makes a folder and those above it and syncs each where it was made, all at the same time.
func (b *Bucket) makeFolders(folder string) (made []string, err error) {
	if folder == "." {
		return nil, nil
	}
	for i := range len(folder) + 1 {
		if i < len(folder) && folder[i] != '/' {
			continue
		}
		err := b.root.Mkdir(folder[:i], dirMode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return made, err
		}
		made = append(made, folder[:i])
	}
	errs := make([]error, len(made))
	var wg sync.WaitGroup
	for i, f := range made {
		wg.Go(func() { errs[i] = b.syncFolder(f) })
	}
	wg.Wait()
	return made, errors.Join(errs...)
}

// clearEmpty removes a tree of empty folders, which a writer that died may have left. Where an object
// lies in it, the key is its folder.
func (b *Bucket) clearEmpty(key string) error {
	info, err := b.root.Lstat(key)
	if err != nil || !info.IsDir() {
		return nil // what is wrong there, if anything, move will say
	}
	entries, err := b.readDir(key)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			return fmt.Errorf("a folder of other keys, such as %s/%s: %w", key, e.Name(), bucket.ErrKey)
		}
		if err := b.clearEmpty(key + "/" + e.Name()); err != nil {
			return err
		}
	}
	return b.rmdir(key)
}

// rmdir removes an empty folder and never a file.
func (b *Bucket) rmdir(folder string) error {
	above, err := b.root.Open(folderOf(folder))
	if err != nil {
		return err
	}
	defer above.Close()
	if err := unix.Unlinkat(int(above.Fd()), path.Base(folder), unix.AT_REMOVEDIR); err != nil {
		return fmt.Errorf("remove folder %s: %w", folder, err)
	}
	return nil
}

// Delete implements bucket.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := b.delete(ctx, key); err != nil {
		return fmt.Errorf("delete %s: %w", key, b.named(err))
	}
	return nil
}

func (b *Bucket) delete(ctx context.Context, key string) error {
	switch _, err := b.stat(ctx, key); {
	case errors.Is(err, bucket.ErrNotFound):
	case err != nil:
		return err
	default:
		err := b.locked(ctx, unix.LOCK_SH, func() error { return b.root.Remove(key) })
		if err != nil && absent(err) != bucket.ErrNotFound {
			return err
		}
	}
	// Whoever took it away, maybe just now: it stays away only when the folder is synced.
	if err := b.syncFolder(key); err != nil {
		return err
	}
	b.tidy(ctx, folderOf(key))
	return nil
}

// tidy removes a folder and those above it as long as they are empty. It need not succeed.
func (b *Bucket) tidy(ctx context.Context, folder string) {
	if folder == "." || !b.isEmpty(folder) {
		return
	}
	_ = b.locked(ctx, unix.LOCK_EX, func() error {
		for ; folder != "."; folder = folderOf(folder) {
			if err := b.rmdir(folder); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *Bucket) isEmpty(folder string) bool {
	f, err := b.root.Open(folder)
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	return err == io.EOF
}

// syncFolder makes the entry of a key, or its absence, durable. A folder that is gone holds nothing
// to lose.
func (b *Bucket) syncFolder(key string) error {
	err := b.syncDir(folderOf(key))
	if absent(err) == bucket.ErrNotFound {
		return nil
	}
	return err
}

func (b *Bucket) syncDir(dir string) error {
	f, err := b.root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return b.sync(f)
}
