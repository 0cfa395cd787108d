package e2e_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly/internal/e2e/ptrace"
)

// disklog is all that was asked of a file system below one directory, in order, by traced programs, with
// what they told people meanwhile. From it follows what a power cut at any moment may leave.
//
// Each call has two moments: when it was asked for and when it had been done. What was asked for may be
// on the disk from then on; an fsync covers what was asked for before it, once it has been done.
type disklog struct {
	t      testing.TB
	mu     sync.Mutex
	clock  int
	nodes  []node           // by number; 0 is the directory itself
	byReal map[identity]int // as of now
	log    []entry
	syncs  []syncing
	told   []telling
	paths  map[string][][sha256.Size]byte // what lay where, once it was asked for
	open   map[*ptrace.Call]func(done int, result int64)
}

// identity names a file or directory for ever: the number of an inode alone is given away again.
type identity struct {
	major, minor uint32
	number       uint64
	born         unix.StatxTimestamp
}

func identify(path string) (identity, uint16, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME|unix.STATX_MODE, &st)
	return identity{st.Dev_major, st.Dev_minor, st.Ino, st.Btime}, st.Mode, err
}

// node is a file or a directory. Its names lie in directories.
type node struct {
	dir  bool
	perm fs.FileMode
	now  map[string]int // of a directory, as running programs see it
}

// entry is one change that may or may not survive.
type entry struct {
	at, done int // asked for, had been done
	node     int // the file or directory that it changes, and whose fsync keeps it
	group    int // entries with the same happen together or not at all; 0 is none

	// In a file: data at an offset, or, where data is nil, a new size.
	data   []byte
	offset int64

	// In a directory: what a name stands for.
	name  string
	child int // -1: nothing any more
}

func (e entry) inDirectory() bool { return e.name != "" }

type syncing struct{ at, done, node int }

// telling is something that a program was about to tell somebody.
type telling struct {
	at   int
	by   string // the command, or "job"
	text string
}

func newDisklog(t testing.TB, dir string) *disklog {
	t.Helper()
	d := &disklog{t: t, byReal: map[identity]int{}, open: map[*ptrace.Call]func(int, int64){}}
	id, _, err := identify(dir)
	if err != nil {
		t.Fatal(err)
	}
	d.add(id, node{dir: true, perm: 0o700, now: map[string]int{}})
	return d
}

func (d *disklog) add(real identity, n node) int {
	d.nodes = append(d.nodes, n)
	d.byReal[real] = len(d.nodes) - 1
	return len(d.nodes) - 1
}

// run runs a program with its calls on record. It gives the program's end as soon as that is there; what it
// has started may live on, until over is closed.
func (d *disklog) run(p *ptrace.Program) (ended <-chan unix.WaitStatus, over <-chan struct{}) {
	status, done := make(chan unix.WaitStatus, 1), make(chan struct{})
	p.Enter, p.Leave = d.enter, d.leave
	p.Exited = func(ws unix.WaitStatus) { status <- ws }
	go func() {
		defer close(done)
		if _, err := p.Run(); err != nil {
			d.t.Error(err)
			status <- 0
		}
	}()
	return status, done
}

// tick is the next moment.
func (d *disklog) tick() int { d.clock++; return d.clock }

// moment is now.
func (d *disklog) moment() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tick()
}

func (d *disklog) enter(c *ptrace.Call) ptrace.Verdict {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.tick()
	then := d.begin(c, at)
	if then == nil {
		return ptrace.Pass()
	}
	d.open[c] = then
	return ptrace.Watch()
}

func (d *disklog) leave(c *ptrace.Call, result int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	then := d.open[c]
	delete(d.open, c)
	if result >= 0 {
		then(d.tick(), result)
	}
}

// path is a node's name as running programs see it, for words about it.
func (d *disklog) path(n int) string {
	for dir, in := range d.nodes {
		for name, child := range in.now {
			if child == n {
				if dir == 0 {
					return name
				}
				return d.path(dir) + "/" + name
			}
		}
	}
	return fmt.Sprint("node ", n)
}

// finish brings the record into the order of time. Nothing may be under way any more.
func (d *disklog) finish() {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.SortStableFunc(d.log, func(a, b entry) int { return a.at - b.at })
}
