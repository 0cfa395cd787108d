package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	// fullTime is how long nothing may have been stored for want of room before results are given up:
	// what fills the disk is most often the job itself, and then no waiting makes room.
	fullTime = 30 * time.Second
	// spareSize is what is kept for a log and a report on a disk that something else has filled.
	spareSize = 256 << 10
	spareFile = "spare"
)

// noRoom tells whether an error is that of a full disk or quota.
func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// room is what is done where a disk is full; without it a full disk is waited for like any other fault.
type room struct {
	lack   func()          // called each time
	most   time.Duration   // how long it may last; 0: for ever
	giveUp func(why error) // called when it has lasted that long
	now    func() time.Time
	mu     sync.Mutex
	since  time.Time
}

// tried hears how a try ended.
func (r *room) tried(err error) {
	if r == nil || err != nil && !noRoom(err) {
		return
	}
	if err != nil {
		r.lack()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.since = time.Time{}
	case r.since.IsZero():
		r.since = r.now()
	case r.most > 0 && r.now().Sub(r.since) >= r.most:
		r.giveUp(fmt.Errorf("the disk was full for %s: %w", r.most.Round(time.Second), syscall.ENOSPC))
	}
}

// keepSpare takes room that makeRoom gives back. Where there is none to take the job runs without.
func (a *agent) keepSpare() {
	path := filepath.Join(a.Dir, spareFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err == nil {
		err = errors.Join(fill(f, spareSize), f.Close())
	}
	if err != nil {
		a.Log.Warn("keep room for the report", "error", errors.Join(err, os.Remove(path)))
	}
}

// fill makes a file take so much room, without writing it where the file system can.
func fill(f *os.File, size int64) error {
	if allocate(f, size) == nil {
		return nil
	}
	_, err := f.Write(make([]byte, size))
	return err
}

// makeRoom removes what is no longer needed, by name, and nothing outside the agent's directory,
// whatever the job put there. It is for a dead job; and for a full disk only, since removing many
// files takes time that a near deadline may not leave.
func (a *agent) makeRoom(names ...string) {
	root, err := os.OpenRoot(a.Dir)
	if err != nil {
		a.Log.Warn("make room", "error", err)
		return
	}
	defer root.Close()
	for _, name := range names {
		err := root.RemoveAll(name)
		if errors.Is(err, fs.ErrPermission) {
			openUp(root, name)
			err = root.RemoveAll(name)
		}
		if err != nil {
			a.Log.Warn("make room", "error", err)
		}
	}
}

// openUp makes directories removable that a job made read-only, as some tools do with their caches.
func openUp(root *os.Root, name string) {
	_ = fs.WalkDir(root.FS(), name, func(p string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = root.Chmod(p, 0o700) // the next removal says what is wrong
		}
		return nil
	})
}
