// Package joblog keeps what a job prints: all of it in one file on the machine's disk while the job
// runs, and live, in chunks that go to the bucket at most a second later.
//
// It promises that the chunks, one after another, are at every moment a prefix of the log as it is in
// the end; that no secret is in either, not even in pieces; and that the job never waits for the
// bucket. It keeps the bytes as they were printed, and makes nothing of lines or characters.
//
// A log has limits, on its size and on its rate. What is over them is dropped, the job goes on, and
// one line says where and how much: "[dayfly: N bytes cut here: why]". The last 64 KiB before the end
// of a cut (less where the limits are small) are kept, because the end of a log is where the reason
// stands; a cut no longer than that leaves no trace. A job can print a line that looks like ours: what
// was truly cut is in [Log.Notes].
//
// Where the chunks and the final log go, and how often that is tried, is the caller's business.
package joblog

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/agent/redact"
)

// The defaults of dayfly.LogLimits, and what is kept of the end of a cut.
const (
	DefaultMaxBytes       = 64 << 20
	DefaultBytesPerSecond = 8 << 20
	burstSeconds          = 4 // what the rate may be exceeded by, for a moment
	tailMax               = 64 << 10
)

// Config is what a Log needs.
type Config struct {
	Spool   *os.File // empty, to read and write; the Log's alone
	Secrets *redact.Set
	Limits  dayfly.LogLimits
	Now     func() time.Time
}

// Log takes what a job prints. All methods may be used by several goroutines.
type Log struct {
	now      func() time.Time
	spool    *os.File
	maxBytes int64 // of the log before a last cut
	tailMax  int
	rate     float64 // bytes a second

	mu     sync.Mutex
	redact *redact.Writer
	size   int64   // of the log so far, in the spool
	budget float64 // bytes that may come at once
	asOf   time.Time
	cut    *cut
	lost   map[string]int64 // bytes dropped, by reason
	noRoom int64            // bytes of these that a full disk would not take
	closed bool
	rest   []byte        // the end of the log, where the disk would not take it
	wake   chan struct{} // something changed that Ship waits for
}

// cut is a stretch of output that is being dropped.
type cut struct {
	why     string
	final   bool // nothing but the end of the log ends it
	full    bool // the disk is
	since   time.Time
	dropped int64
	tail    []byte // the last that was dropped, at least most bytes of it
	most    int
}

// New makes a Log.
func New(c Config) *Log {
	size := cmp.Or(c.Limits.MaxBytes, DefaultMaxBytes)
	rate := cmp.Or(c.Limits.BytesPerSecond, DefaultBytesPerSecond)
	l := &Log{
		now: c.Now, spool: c.Spool, rate: float64(rate), asOf: c.Now(),
		tailMax: int(min(tailMax, size/4)),
		budget:  float64(rate * burstSeconds),
		lost:    map[string]int64{},
		wake:    make(chan struct{}, 1),
	}
	l.maxBytes = size - int64(l.tailMax)
	l.redact = c.Secrets.NewWriter(writerFunc(l.keep))
	return l
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

// Write takes all of p, always.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.ring()
	return l.redact.Write(p)
}

// Close ends the log. What Open gives after it never changes.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.ring()
	if l.closed {
		return
	}
	l.redact.Close() // keep gives no error
	if l.cut != nil && !l.resume() {
		l.rest = l.endCut()
	}
	l.closed = true
}

// Open reads the whole log from the beginning; for use after Close.
func (l *Log) Open() io.Reader {
	l.mu.Lock()
	defer l.mu.Unlock()
	return io.MultiReader(io.NewSectionReader(l.spool, 0, l.size), bytes.NewReader(l.rest))
}

// Beginning reads the first n bytes of the log and then a line that says how much is cut there and why;
// the whole log where it has no more, and nothing where n is 0. For use after Close.
func (l *Log) Beginning(n int64, why string) io.Reader {
	cut := l.Size() - n
	switch {
	case cut <= 0:
		return l.Open()
	case n <= 0:
		return bytes.NewReader(nil)
	}
	return io.MultiReader(io.LimitReader(l.Open(), n), bytes.NewReader(mark(cut, why)))
}

// Discard gives back the room of all but the first n bytes, which are all that can be read of the log
// then. For use after Close.
func (l *Log) Discard(n int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spool.Truncate(min(n, l.size))
}

// Unwritten is how many bytes were cut because the disk was full.
func (l *Log) Unwritten() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.noRoom
}

// Size is how long the log is; final after Close.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size + int64(len(l.rest))
}

// Notes says what was cut, for people.
func (l *Log) Notes() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, why := range slices.Sorted(maps.Keys(l.lost)) {
		out = append(out, fmt.Sprintf("log: %d bytes cut: %s", l.lost[why], why))
	}
	return out
}

// keep appends what is within the limits and drops the rest.
func (l *Log) keep(p []byte) {
	for len(p) > 0 {
		if l.cut == nil {
			p = p[l.append(p):]
		} else if !l.mayResume() || !l.resume() {
			l.cut.drop(p)
			return
		}
	}
}

// append adds what the limits and the disk allow, and begins a cut where they end.
func (l *Log) append(p []byte) int {
	l.refill()
	n, why, final := len(p), "", false
	if most := int(max(0, l.budget)); n > most {
		n, why = most, fmt.Sprintf("more than %d bytes a second", int64(l.rate))
	}
	if most := int(max(0, l.maxBytes-l.size)); n > most {
		n, why, final = most, fmt.Sprintf("a log may have %d bytes", l.maxBytes+int64(l.tailMax)), true
	}
	written, err := l.spool.WriteAt(p[:n], l.size)
	if err != nil {
		n, why, final = written, fmt.Sprintf("write to the disk: %v", reason(err)), false
	}
	l.size += int64(n)
	l.budget -= float64(n)
	if why != "" {
		full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
		l.cut = &cut{why: why, final: final, full: full, since: l.now(), most: l.tailMax}
		if !final { // so that after the tail there is room for what comes then
			l.cut.most = min(l.tailMax, int(l.rate/2))
		}
	}
	return n
}

// reason is an error without the path that it happened to.
func reason(err error) error {
	for {
		switch e := err.(type) {
		case *os.PathError:
			err = e.Err
		default:
			return err
		}
	}
}

// refill adds to the budget what has come free since the last time.
func (l *Log) refill() {
	now := l.now()
	if d := now.Sub(l.asOf); d > 0 {
		l.budget = min(l.rate*burstSeconds, l.budget+d.Seconds()*l.rate)
	}
	l.asOf = now // also backwards: a clock that was set back must not stop the budget
}

// mayResume tells whether the cut need go no further. It waits for a second's worth of room, so that
// a flood becomes a few long cuts and not thousands of short ones.
func (l *Log) mayResume() bool {
	l.refill()
	d := l.now().Sub(l.cut.since)
	return !l.cut.final && l.budget >= l.rate && (d >= time.Second || d < 0) // below 0: a clock may be set back
}

// resume ends the cut in the log; false when the disk has no room to say so.
func (l *Log) resume() bool {
	text := l.cut.text()
	if _, err := l.spool.WriteAt(text, l.size); err != nil {
		return false
	}
	l.size += int64(len(text))
	l.budget -= float64(len(text))
	l.endCut()
	return true
}

// endCut forgets the cut and gives what stands for it in the log.
func (l *Log) endCut() []byte {
	text := l.cut.text()
	if n := l.cut.missing(); n > 0 {
		l.lost[l.cut.why] += n
		if l.cut.full {
			l.noRoom += n
		}
	}
	l.cut = nil
	return text
}

func (c *cut) drop(p []byte) {
	c.dropped += int64(len(p))
	c.tail = append(c.tail, p[max(0, len(p)-c.most):]...)
	if over := len(c.tail) - c.most; over > c.most { // rarely, so that it costs little
		c.tail = append(c.tail[:0], c.tail[over:]...)
	}
}

// kept is what remains of the cut: all of a short one, else its tail from the beginning of a line on.
func (c *cut) kept() []byte {
	t := c.tail[max(0, len(c.tail)-c.most):]
	if int64(len(t)) == c.dropped {
		return t
	}
	return t[bytes.IndexByte(t, '\n')+1:]
}

// missing is how many bytes are gone.
func (c *cut) missing() int64 { return c.dropped - int64(len(c.kept())) }

func (c *cut) text() []byte {
	if c.missing() == 0 {
		return c.kept()
	}
	return append(mark(c.missing(), c.why), c.kept()...)
}

// mark is the line that stands for what was cut.
func mark(missing int64, why string) []byte {
	return fmt.Appendf(nil, "\n[dayfly: %d bytes cut here: %s]\n", missing, why)
}

// ring tells Ship to look.
func (l *Log) ring() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
