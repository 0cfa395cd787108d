package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// turnstile lets one at a time in, of all processes: to change the database, or to launch. With one lock the process that
// has just let go of it would take it again before the others wake. Here whoever wants to write
// waits at the first door, `next`, with everybody else, and holds it while it waits at the second,
// `write`, alone. So who leaves has to queue again behind those who wait.
type turnstile struct {
	next, write string // lock files beside the database
	holder      string
	doing       string // what one does inside
	wait        time.Duration
	inside      chan struct{} // our own goroutines queue here first, and hold no threads
}

func newTurnstile(path, holder, doing string, wait time.Duration) *turnstile {
	return &turnstile{
		next: path + ".next", write: path + ".write", doing: doing,
		holder: fmt.Sprintf("%d %s", os.Getpid(), strings.ToValidUTF8(holder, "?")),
		wait:   wait, inside: make(chan struct{}, 1),
	}
}

// enter waits for our turn and gives what ends it. A wait that is too long is store.ErrBusy and names
// the process that holds the lock.
func (t *turnstile) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeoutCause(ctx, t.wait, errWaited)
	defer cancel()
	select {
	case t.inside <- struct{}{}:
	case <-waiting.Done():
		return nil, t.busy(waiting)
	}
	write, err := t.pass(waiting)
	if err != nil {
		<-t.inside
		return nil, err
	}
	return func() {
		write.Close() // and with it the lock
		<-t.inside
	}, nil
}

// pass goes through both doors and gives the lock of the second.
func (t *turnstile) pass(ctx context.Context) (*os.File, error) {
	next, err := t.lock(ctx, t.next, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer next.Close()
	write, err := t.lock(ctx, t.write, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	t.sign(write)
	return write, nil
}

// sign names us to those who wait for us in vain. On a full disk they learn less; that is all.
func (t *turnstile) sign(f *os.File) {
	if n, err := f.WriteAt([]byte(t.holder+"\n"), 0); err == nil {
		_ = f.Truncate(int64(n))
	}
}

// share goes in beside others who share, and waits for one who is alone.
func (t *turnstile) share(ctx context.Context) (leave func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, t.wait, errWaited)
	defer cancel()
	f, err := t.lock(ctx, t.write, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}

// alone goes in when nobody is inside, and does not wait for that.
func (t *turnstile) alone(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(t.write, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
	case nil:
		t.sign(f)
		return func() { f.Close() }, nil
	case unix.EWOULDBLOCK, unix.EINTR:
		f.Close()
		return nil, fmt.Errorf("somebody is inside: %w", store.ErrBusy)
	default:
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", t.write, err)
	}
}

// lock takes the lock of a file. Where it gives up, the file is closed as soon as the kernel lets go of it.
func (t *turnstile) lock(ctx context.Context, path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	fd := int(f.Fd())
	if err := unix.Flock(fd, how|unix.LOCK_NB); err == nil {
		return f, nil
	} else if err != unix.EWOULDBLOCK && err != unix.EINTR {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	got := make(chan error, 1)
	go func() {
		err := unix.Flock(fd, how)
		for err == unix.EINTR {
			err = unix.Flock(fd, how)
		}
		got <- err
	}()
	select {
	case err := <-got:
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		return f, nil
	case <-ctx.Done():
		go func() { <-got; f.Close() }()
		return nil, t.busy(ctx)
	}
}

var errWaited = fmt.Errorf("waited: %w", store.ErrBusy)

// busy is the error of a wait that is over.
func (t *turnstile) busy(ctx context.Context) error {
	if context.Cause(ctx) != errWaited {
		return ctx.Err()
	}
	e := &dayfly.Error{
		Code: dayfly.CodeBusy, Err: store.ErrBusy,
		Message: fmt.Sprintf("waited %s for another process that is %s", t.wait, t.doing),
		Hint:    "try again later",
	}
	content, _ := os.ReadFile(t.write)
	if pid, what, _ := bytes.Cut(bytes.TrimSpace(content), []byte(" ")); len(pid) > 0 {
		e.Message = fmt.Sprintf("waited %s for process %s (%s), which is %s", t.wait, pid, what, t.doing)
		e.Hint = fmt.Sprintf("try again later; if process %s is stopped or hangs, continue or end it", pid)
	}
	return e
}
