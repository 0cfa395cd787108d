package agent

import (
	"context"
	"errors"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
)

// How often the cancel object is looked for, after a look that gave no answer, and how long a look may take.
const (
	cancelEvery = 2 * time.Second
	cancelAgain = 500 * time.Millisecond
	cancelLook  = 10 * time.Second
	cancelFirst = 2 * time.Second
)

// watchCancel gives a channel that is closed when the cancel object is there: on return, if it is there
// already. It looks every two seconds, and at once when the doorbell rings, until ctx ends.
func (a *agent) watchCancel(ctx context.Context) <-chan struct{} {
	canceled := make(chan struct{})
	found, err := a.lookForCancel(ctx, cancelFirst)
	if found {
		close(canceled)
		return canceled
	}
	go func() {
		bell := a.Cancel
		timer := time.NewTimer(0)
		defer timer.Stop()
		for !found {
			wait := cancelEvery
			if err != nil {
				wait = cancelAgain
				a.Log.Debug("look for the cancel object", "error", err)
			}
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return
			case _, open := <-bell:
				if !open {
					bell = nil // it rang once and for all
				}
			case <-timer.C:
			}
			found, err = a.lookForCancel(ctx, cancelLook)
		}
		close(canceled)
	}()
	return canceled
}

func (a *agent) lookForCancel(ctx context.Context, within time.Duration) (bool, error) {
	ctx, stop := context.WithTimeout(ctx, within)
	defer stop()
	_, err := a.Bucket.Stat(ctx, a.Task.Prefix+dayfly.KeyCancel)
	if errors.Is(err, bucket.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
