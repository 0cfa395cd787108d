package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/dayfly-io/dayfly"
)

// shipping sends the log while it grows.
type shipping struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// stop ends the sending; a chunk under way may or may not have been stored.
func (s shipping) stop() {
	s.cancel()
	<-s.done
}

func (a *agent) ship(ctx context.Context) shipping {
	ctx, cancel := context.WithCancel(ctx)
	s := shipping{cancel, make(chan struct{})}
	go func() {
		defer close(s.done)
		a.log.Ship(ctx, func(ctx context.Context, number int, chunk *io.SectionReader) bool {
			key := fmt.Sprintf("%s%s%06d", a.Task.Prefix, dayfly.KeyChunks, number)
			err := a.store.addLive(ctx, key, chunk)
			if err != nil && ctx.Err() == nil {
				a.Log.Error("the live log ends here; the whole log comes at the end", "error", err)
			}
			return err == nil
		})
	}()
	return s
}

// save stores what there is: the results, the log, and when both are there and read back, the report.
func (a *agent) save(ctx context.Context, end *ending, stopShipping func()) error {
	r := &a.report
	r.Outcome, r.Reason, r.ExitCode, r.Signal, r.Usage = end.outcome, end.reason, end.exit, end.signal, end.usage
	r.Isolation = a.Sandbox.Isolation()
	r.Notes = append(r.Notes, a.Sandbox.Notes()...)
	a.saveResults(ctx)
	stopShipping()
	if err := a.saveLog(ctx); err != nil {
		return err
	}
	for _, name := range a.secrets.TooShort() {
		r.Notes = append(r.Notes, fmt.Sprintf("the secret %s is too short to be looked for in the log", name))
	}
	return a.saveReport(ctx)
}

// saveReport stores the report, after everything it speaks of, and rings.
func (a *agent) saveReport(ctx context.Context) error {
	r := &a.report
	r.SavedAt = a.Now().UTC()
	r.Reason = a.secrets.String(r.Reason)
	for i, n := range r.Notes {
		r.Notes[i] = a.secrets.String(n)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	to := a.store
	to.room = &room{now: a.Now, lack: sync.OnceFunc(func() { a.clear(ctx) })}
	if _, err := to.addBytes(ctx, a.Task.Prefix+dayfly.KeyReport, b); err != nil {
		return err
	}
	if a.Ring != nil {
		a.Ring()
	}
	return nil
}

// clear makes all the room there is to make, once the log is stored.
func (a *agent) clear(ctx context.Context) {
	a.makeRoom(workDir, resultsDir, spareFile)
	if err := a.log.Discard(0); err != nil {
		a.Log.Warn("make room", "error", err)
	}
	a.dropChunks(ctx)
}

// saveResults stores the results and puts them into the report, while there is time for the rest.
func (a *agent) saveResults(ctx context.Context) {
	left := max(0, a.left()+lateness)
	ctx, stop := context.WithTimeout(ctx, left-left/5)
	defer stop()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	to := a.store
	to.room = &room{
		now: a.Now, most: min(fullTime, left/2), giveUp: giveUp,
		lack: sync.OnceFunc(func() { a.makeRoom(workDir) }),
	}
	s := &saver{store: to, prefix: a.Task.Prefix, limits: a.Task.Results, secrets: a.secrets}
	results, notes, err := s.save(ctx, a.results)
	r := &a.report
	r.Results = results
	r.Notes = append(r.Notes, notes...)
	if err == nil {
		return
	}
	r.Notes = append(r.Notes, fmt.Sprintf("results: %v", err))
	if noRoom(err) {
		a.makeRoom(resultsDir) // whoever else writes to that disk needs it too
	}
	if r.Outcome != dayfly.Succeeded {
		return
	}
	switch r.Outcome, r.Reason = dayfly.Failed, fmt.Sprintf("the job succeeded, but its results were not saved: %v", err); {
	case noRoom(err):
		r.Reason = "the job succeeded, but the disk was full and results were not saved"
	case ctx.Err() != nil:
		r.Outcome, r.Reason = dayfly.TimedOut, "the machine's deadline came before the results were saved"
	}
}
