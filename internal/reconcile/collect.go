package reconcile

import (
	"context"
	"crypto/sha256"
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
// the report cannot be read now is an error; that it cannot be true is a problem, and final.
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
	for _, o := range objects {
		err := verify(ctx, p.Bucket, prefix, o)
		if errors.Is(err, errUntrue) {
			return Reported{Looked: true, Problem: err.Error()}, nil
		}
		if err != nil {
			return Reported{}, err
		}
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

// verify reads an object back and compares its size and SHA-256.
func verify(ctx context.Context, b bucket.Bucket, prefix string, o dayfly.Object) error {
	if !strings.HasPrefix(o.Key, prefix+"out/") {
		return fmt.Errorf("%w: it names %s, which is not the attempt's", errUntrue, o.Key)
	}
	info, err := b.Stat(ctx, o.Key)
	if err == nil && info.Size != o.Size {
		return fmt.Errorf("%w: %s has %d bytes and should have %d", errUntrue, o.Key, info.Size, o.Size)
	}
	var r io.ReadCloser
	if err == nil {
		r, err = b.Get(ctx, o.Key, 0, -1)
	}
	if errors.Is(err, bucket.ErrNotFound) {
		return fmt.Errorf("%w: %s is missing", errUntrue, o.Key)
	}
	if err != nil {
		return fmt.Errorf("verify %s: %w", o.Key, err)
	}
	defer r.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		return fmt.Errorf("verify %s: %w", o.Key, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != o.SHA256 {
		return fmt.Errorf("%w: %s has SHA-256 %s and should have %s", errUntrue, o.Key, got, o.SHA256)
	}
	return nil
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
	if c, ok := p.Providers[a.Provider].(machine.Canceler); ok {
		if err := c.Cancel(ctx, a.Machine); err != nil {
			p.Log.Debug("tell the agent that its run is cancelled", "run", run.ID, "err", err) // it looks by itself
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
	n := store.Note{Key: successKey(run.Job, run.Shard), Value: run.Slot.Format(time.RFC3339Nano)}
	if err := p.Store.PutNote(ctx, n); err != nil {
		return fmt.Errorf("note the last success: %w", err)
	}
	return nil
}

// A key ends in a blank so that none is the beginning of another.
func successKey(job dayfly.JobName, shard dayfly.Shard) string {
	return "success/" + string(job) + "/" + string(shard) + " "
}

// lastSuccess is the slot of the job's latest run that succeeded; zero when there is none.
func (p *pass) lastSuccess(ctx context.Context, job dayfly.JobName, shard dayfly.Shard) (time.Time, error) {
	notes, err := p.Store.Notes(ctx, successKey(job, shard), p.now())
	if err != nil || len(notes) == 0 {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339Nano, notes[0].Value)
}

// forgetAttempt lets the provider forget the machine of an attempt that is over: it was observed gone. If
// that does not work now, the sweep does it later.
func (p *pass) forgetAttempt(ctx context.Context, run dayfly.Run) {
	a := run.Attempt()
	if a == nil || a.Machine == "" {
		return
	}
	if f, ok := p.Providers[a.Provider].(machine.Forgetter); ok {
		if err := f.Forget(ctx, a.Machine); err != nil {
			p.Log.Debug("forget a machine that is gone", "machine", a.Machine, "err", err)
		}
	}
}
