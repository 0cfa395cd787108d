package dir

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockWait bounds the wait for other processes; they hold the lock for a few syncs at most.
const lockWait = 10 * time.Second

// locked calls f with the bucket's lock, unix.LOCK_SH or LOCK_EX.
func (b *Bucket) locked(ctx context.Context, how int, f func() error) error {
	if how == unix.LOCK_EX {
		b.gate.Lock()
		defer b.gate.Unlock()
	} else {
		b.gate.RLock()
		defer b.gate.RUnlock()
	}
	lock, err := b.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return err
	}
	if err := flock(ctx, lock, how); err != nil {
		return fmt.Errorf("wait for other processes at the bucket: %w", err)
	}
	defer lock.Close() // and with it the lock
	return f()
}

// flock takes a lock. Where it gives up, the file is closed as soon as the kernel lets go of it.
func flock(ctx context.Context, f *os.File, how int) error {
	fd := int(f.Fd())
	err := unix.Flock(fd, how|unix.LOCK_NB)
	if err != unix.EWOULDBLOCK && err != unix.EINTR {
		if err != nil {
			f.Close()
		}
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	got := make(chan error, 1)
	go func() {
		for {
			if err := unix.Flock(fd, how); err != unix.EINTR {
				got <- err
				return
			}
		}
	}()
	select {
	case err := <-got:
		if err != nil {
			f.Close()
		}
		return err
	case <-ctx.Done():
		go func() { <-got; f.Close() }()
		return ctx.Err()
	}
}
