package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/store"
)

// maxReport bounds what is read of a report: 100,000 results with long names fit.
const maxReport = 128 << 20

// collect looks for the report of the run's last attempt and reads back everything that it names. That
// the report cannot be read now is an error; that it cannot be true is a problem, and final. What is too
// much for one pass takes several.
func (p *pass) collect(ctx context.Context, run dayfly.Run) (Reported, error) {
	prefix := run.Attempt().Request.Task.Prefix
	rep, err := readReport(ctx, p.Bucket, prefix+dayfly.KeyReport)
	switch {
	case errors.Is(err, bucket.ErrNotFound):
		return Reported{Looked: true}, nil
	case errors.Is(err, errUntrue):
		return Reported{Looked: true, Problem: err.Error()}, nil
	case err != nil:
		return Reported{}, err
	}
	if rep.Run != run.ID || rep.Attempt != run.Attempt().Number {
		return Reported{Looked: true, Problem: fmt.Sprintf("the report is of run %s, attempt %d", rep.Run, rep.Attempt)}, nil
	}
	objects := []dayfly.Object{rep.Log}
	for _, r := range rep.Results {
		objects = append(objects, r.Object)
	}
	switch whole, err := p.verifyAll(ctx, run, objects); {
	case errors.Is(err, errUntrue):
		return Reported{Looked: true, Problem: err.Error()}, nil
	case err != nil:
		return Reported{}, err
	case !whole:
		p.soon(p.now())
		return Reported{Failed: true}, nil
	}
	return Reported{Looked: true, Report: rep}, nil
}

// errUntrue is a report that does not agree with the bucket.
var errUntrue = errors.New("the report is not true")

func readReport(ctx context.Context, b bucket.Bucket, key string) (*dayfly.Report, error) {
	r, err := b.Get(ctx, key, 0, maxReport)
	if err != nil {
		return nil, fmt.Errorf("read the report: %w", err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read the report: %w", err)
	}
	var rep dayfly.Report
	if err := json.Unmarshal(data, &rep); err != nil {
		return nil, fmt.Errorf("%w: %w", errUntrue, err)
	}
	return &rep, nil
}

// verifyFor is how long a pass reads back what one report names. The next one goes on from there.
const verifyFor = 250 * time.Millisecond

// verifyStep is how much is read between two looks at the clock.
const verifyStep = 4 << 20

// verified is how far the objects of a report were read back: a note in the store between two passes.
type verified struct {
	Objects int    `json:"objects"`          // of them, those that are done
	Offset  int64  `json:"offset,omitempty"` // in the next one
	State   []byte `json:"state,omitempty"`  // of its SHA-256 up to there
}

// verifyAll reads back every object and compares sizes and SHA-256, for as long as a pass may take.
func (p *pass) verifyAll(ctx context.Context, run dayfly.Run, objects []dayfly.Object) (whole bool, err error) {
	key := fmt.Sprintf("verify/%s/%d ", run.ID, run.Attempt().Number)
	notes, err := p.Store.Notes(ctx, key, p.now())
	if err != nil {
		return false, fmt.Errorf("read how far the results are verified: %w", err)
	}
	var v verified
	if len(notes) > 0 && json.Unmarshal([]byte(notes[0].Value), &v) != nil {
		v = verified{} // from the beginning, then
	}
	until := p.now().Add(verifyFor)
	for v.Objects < len(objects) {
		done, err := p.verify(ctx, run.Attempt().Request.Task.Prefix, objects[v.Objects], &v, until)
		if err != nil {
			return false, err
		}
		if done {
			v = verified{Objects: v.Objects + 1}
		}
		if v.Objects < len(objects) && !p.now().Before(until) {
			value, err := json.Marshal(v)
			if err == nil {
				err = p.Store.PutNote(ctx, store.Note{Key: key, Value: string(value), Expires: p.now().Add(rememberFor)})
			}
			if err != nil {
				return false, fmt.Errorf("note how far the results are verified: %w", err)
			}
			return false, nil
		}
	}
	if len(notes) > 0 {
		err = p.Store.DeleteNote(ctx, key)
	}
	return err == nil, err
}

// verify goes on reading an object back from where v is, and takes note in it of how far it came. Done,
// the object's size and SHA-256 are what they should be.
func (p *pass) verify(ctx context.Context, prefix string, o dayfly.Object, v *verified, until time.Time) (done bool, err error) {
	if !strings.HasPrefix(o.Key, prefix+"out/") {
		return false, fmt.Errorf("%w: it names %s, which is not the attempt's", errUntrue, o.Key)
	}
	sum := sha256.New()
	if v.Offset > 0 && sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(v.State) != nil {
		sum, v.Offset = sha256.New(), 0
	}
	info, err := p.Bucket.Stat(ctx, o.Key)
	if err == nil && info.Size != o.Size {
		return false, fmt.Errorf("%w: %s has %d bytes and should have %d", errUntrue, o.Key, info.Size, o.Size)
	}
	var r io.ReadCloser
	if err == nil {
		r, err = p.Bucket.Get(ctx, o.Key, v.Offset, -1)
	}
	if errors.Is(err, bucket.ErrNotFound) {
		return false, fmt.Errorf("%w: %s is missing", errUntrue, o.Key)
	}
	if err != nil {
		return false, fmt.Errorf("verify %s: %w", o.Key, err)
	}
	defer r.Close()
	for {
		n, err := io.CopyN(sum, r, verifyStep)
		v.Offset += n
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, fmt.Errorf("verify %s: %w", o.Key, err)
		}
		if !p.now().Before(until) {
			v.State, err = sum.(encoding.BinaryMarshaler).MarshalBinary()
			return false, err
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != o.SHA256 {
		return false, fmt.Errorf("%w: %s has SHA-256 %s and should have %s", errUntrue, o.Key, got, o.SHA256)
	}
	return true, nil
}

// tell lets the agent know that its run is cancelled: an object it looks for, and a word where one can be had.
func (p *pass) tell(ctx context.Context, run dayfly.Run) error {
	a := run.Attempt()
	_, err := p.Bucket.Put(ctx, a.Request.Task.Prefix+dayfly.KeyCancel, strings.NewReader(run.CancelWhy), bucket.Condition{IfAbsent: true})
	if errors.Is(err, bucket.ErrExists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", dayfly.KeyCancel, err)
	}
	if c, ok := machine.As[machine.Canceler](p.Providers[a.Provider]); ok {
		if err := c.Cancel(ctx, a.Machine); err != nil {
			p.Log.Debug("tell the agent that its run is cancelled", "job", run.Job, "run", run.ID, "error", err) // it looks by itself
		}
	}
	return nil
}

// beforeEnd does what an ended run promises: the verified log stands alone, and the last success is known.
func (p *pass) beforeEnd(ctx context.Context, run dayfly.Run) error {
	a := run.Attempt()
	if a != nil && a.Report != nil {
		for o, err := range p.Bucket.List(ctx, a.Request.Task.Prefix+dayfly.KeyChunks, "") {
			if err == nil {
				err = p.Bucket.Delete(ctx, o.Key)
			}
			if err != nil {
				return fmt.Errorf("remove log chunks: %w", err)
			}
		}
	}
	if run.Outcome != dayfly.Succeeded {
		return nil
	}
	last, err := p.lastSuccess(ctx, run.Job, run.Shard)
	if err != nil || !run.Slot.After(last) {
		return err
	}
	return p.noteSuccess(ctx, successKey(run.Job, run.Shard), run.Slot)
}

// noteSuccess notes a slot that succeeded. Of several that this pass notes under one key at once the latest
// stays: whoever finds, after its own, that a later one was on its way stores that once more.
func (p *pass) noteSuccess(ctx context.Context, key string, slot time.Time) error {
	latest := func() time.Time {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.noted[key] = later(p.noted[key], slot)
		return p.noted[key]
	}
	var noted time.Time
	for at := latest(); at.After(noted); at = latest() {
		if err := p.Store.PutNote(ctx, store.Note{Key: key, Value: at.Format(time.RFC3339Nano)}); err != nil {
			return fmt.Errorf("note the last success: %w", err)
		}
		noted = at
	}
	return nil
}

// A key ends in a blank so that none is the beginning of another.
func successKey(job dayfly.JobName, shard dayfly.Shard) string {
	return successPrefix(job) + string(shard) + " "
}

func successPrefix(job dayfly.JobName) string { return "success/" + string(job) + "/" }

// lastSuccess is the slot of the job's latest run that succeeded; zero when there is none.
func (p *pass) lastSuccess(ctx context.Context, job dayfly.JobName, shard dayfly.Shard) (time.Time, error) {
	notes, err := p.Store.Notes(ctx, successKey(job, shard), p.now())
	if err != nil || len(notes) == 0 {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339Nano, notes[0].Value)
}

// LastSuccess is the latest slot of a job, of any of its shards, that succeeded; zero when there is none.
func LastSuccess(ctx context.Context, s store.Store, job dayfly.JobName, now time.Time) (last time.Time, err error) {
	notes, err := s.Notes(ctx, successPrefix(job), now)
	for _, n := range notes {
		if at, perr := time.Parse(time.RFC3339Nano, n.Value); perr == nil {
			last = later(last, at)
		}
	}
	return last, err
}

// forgetAttempt lets the provider forget the machine of an attempt that is over: it was observed gone. If
// that does not work now, the sweep does it later.
func (p *pass) forgetAttempt(ctx context.Context, run dayfly.Run) {
	a := run.Attempt()
	if a == nil || a.Machine == "" {
		return
	}
	if f, ok := machine.As[machine.Forgetter](p.Providers[a.Provider]); ok {
		if err := f.Forget(ctx, a.Machine); err != nil {
			p.Log.Debug("forget a machine that is gone", "machine", a.Machine, "error", err)
		}
	}
}
