package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/agent/joblog"
)

const (
	// reportRoom is left free beside a log that was cut to what fits.
	reportRoom = 64 << 10
	// leastLog is what a log is not cut below: rather it is empty.
	leastLog = 4 << 10
	// dropTime is how long removing the chunks may take; the log waits for it.
	dropTime = 10 * time.Second
)

// saveLog stores the whole log or, on a disk that stays full, as much of its beginning as fits.
func (a *agent) saveLog(ctx context.Context) error {
	r := &a.report
	patience := max(time.Millisecond, min(fullTime, (a.left()+lateness)/2))
	log, err := a.saveWholeLog(ctx, patience)
	if err != nil && noRoom(err) && ctx.Err() == nil {
		a.dropChunks(ctx) // as long as there was hope they were all that was safe of the log
		c := &cutter{log: a.log, why: fmt.Sprintf("the disk was full for %s", patience.Round(time.Second)), keep: a.log.Size(), warn: a.Log}
		to := a.store
		to.taken, to.room = &c.taken, &room{now: a.Now, lack: c.lack}
		if log, err = to.add(ctx, a.logKey(), a.log.Size(), c.open); err == nil && c.cut() > 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("log: %s: %d bytes cut", c.why, c.cut()))
			a.logIsCut()
		}
	}
	if err != nil {
		return err
	}
	r.Log, r.Notes = log, append(r.Notes, a.log.Notes()...)
	if a.log.Unwritten() > 0 {
		a.logIsCut()
	}
	return nil
}

func (a *agent) logKey() string { return a.Task.Prefix + dayfly.KeyLog }

// saveWholeLog tries until the disk has been full for so long. It gives the log all room that it may
// have without being in danger.
func (a *agent) saveWholeLog(ctx context.Context, patience time.Duration) (dayfly.Object, error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	to := a.store
	to.room = &room{now: a.Now, most: patience, giveUp: giveUp, lack: sync.OnceFunc(func() {
		a.makeRoom(workDir, resultsDir, spareFile)
		a.phase(PhaseSave) // there may have been no room to write it down the first time
	})}
	return to.add(ctx, a.logKey(), a.log.Size(), func() (io.Reader, error) { return a.log.Open(), nil })
}

// logIsCut says that a full disk cost a part of the log, where nothing worse is to be said.
func (a *agent) logIsCut() {
	if r := &a.report; r.Outcome == dayfly.Succeeded {
		r.Outcome, r.Reason = dayfly.Failed, "the job succeeded, but the disk was full and its log was cut"
	}
}

// dropChunks removes the live log. A bucket that does not let the agent do so keeps it.
func (a *agent) dropChunks(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, dropTime)
	defer stop()
	for info, err := range a.Bucket.List(ctx, a.Task.Prefix+dayfly.KeyChunks, "") {
		if err == nil {
			err = a.Bucket.Delete(ctx, info.Key)
		}
		if err != nil {
			a.Log.Warn("make room", "error", err)
			return
		}
	}
}

// cutter gives ever less of a log while there is no room for it.
type cutter struct {
	log   *joblog.Log
	why   string
	keep  int64 // bytes of the log's beginning
	taken int64 // of what was given last
	again bool
	warn  *slog.Logger
}

func (c *cutter) cut() int64 { return c.log.Size() - c.keep }

func (c *cutter) open() (io.Reader, error) { return c.log.Beginning(c.keep, c.why), nil }

// lack takes off what did not fit. Where the log lies on the same disk as the bucket, half of that is
// enough, since it gives back its own room; where it does not, that is seen at the next try.
func (c *cutter) lack() {
	switch {
	case c.taken >= c.keep:
		c.keep /= 4 // the bucket read everything before it found no room
	case !c.again:
		c.keep = (c.keep+c.taken)/2 - reportRoom
	default:
		c.keep = c.taken - reportRoom
	}
	if c.again = true; c.keep < leastLog {
		c.keep = 0
	}
	if err := c.log.Discard(c.keep); err != nil {
		c.warn.Warn("make room", "error", err)
	}
}
