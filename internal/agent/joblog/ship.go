package joblog

import (
	"context"
	"io"
	"time"
)

// How the log is cut into chunks.
const (
	ChunkSize = 256 << 10
	// Interval is the least time between chunks that are not full. With the time a chunk takes to
	// store it stays below the second that a reader may lag behind.
	Interval = 900 * time.Millisecond
	// Gather is how long the first bytes after a silence wait for those that come with them.
	Gather = 50 * time.Millisecond
	// Keys of chunks have six digits: past these numbers a log that still trickles is sent more rarely.
	manyChunks   = 900_000
	rareInterval = time.Minute
)

// Ship gives put one chunk after another, numbered from 1, until the closed log has been sent or ctx
// ends. put returns true when the chunk is stored; false ends Ship. It is called once.
func (l *Log) Ship(ctx context.Context, put func(ctx context.Context, number int, chunk *io.SectionReader) bool) {
	var sent int64
	var last time.Time
	for number := 1; ; number++ {
		n := l.next(ctx, sent, last, interval(number))
		if n == 0 || !put(ctx, number, io.NewSectionReader(l.spool, sent, n)) {
			return
		}
		sent, last = sent+n, l.now()
	}
}

func interval(number int) time.Duration {
	if number > manyChunks {
		return rareInterval
	}
	return Interval
}

// next waits until a chunk should go out and gives its length; 0 when there will be none.
func (l *Log) next(ctx context.Context, sent int64, last time.Time, every time.Duration) int64 {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var due, retry bool // what the timer was set for
	for {
		n, cutting, closed := l.unsent(sent)
		switch {
		case n >= ChunkSize:
			return ChunkSize
		case closed:
			return n
		case n > 0 && !due:
			due = true
			timer.Reset(max(Gather, min(every, every-l.now().Sub(last)))) // min: a clock may be set back
		case n == 0 && cutting && !retry:
			retry = true
			timer.Reset(every)
		}
		select {
		case <-ctx.Done():
			return 0
		case <-l.wake:
		case <-timer.C:
			if due && n > 0 {
				return n
			}
			retry = false
			l.catchUp()
		}
	}
}

// unsent tells how much of the log is in the spool and not sent.
func (l *Log) unsent(sent int64) (n int64, cutting, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size - sent, l.cut != nil && !l.cut.final, l.closed
}

// catchUp ends a cut when there is room again though the job prints nothing more.
func (l *Log) catchUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut != nil && l.mayResume() {
		l.resume()
	}
}
