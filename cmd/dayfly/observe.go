package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/metrics"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// lookupFor bounds what metrics ask of the records.
const lookupFor = 5 * time.Second

// observe makes the metrics of this data directory. It is to be called before anything of it is opened.
func (h *home) observe() {
	h.metrics = metrics.New(metrics.Config{
		Installation: h.settings.Installation, Version: version(), Now: h.now,
		Exists: func(job dayfly.JobName) bool {
			ctx, cancel := context.WithTimeout(context.Background(), lookupFor)
			defer cancel()
			_, err := h.store.Job(ctx, job)
			return !errors.Is(err, store.ErrNotFound) // in doubt it does
		},
	})
}

// committed tells the metrics of a change of the records. That somebody else was there first is no error of
// the store's.
func (h *home) committed(took time.Duration, err error) {
	if h.metrics == nil {
		return
	}
	if errors.Is(err, store.ErrStale) || errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	h.metrics.Committed(took, err)
}

// watched are providers whose calls are counted, if anything is.
func (h *home) watched(providers map[string]machine.Provider) map[string]machine.Provider {
	if h.metrics == nil {
		return providers
	}
	for name, p := range providers {
		providers[name] = machine.Watched(p, name, h.metrics, h.now)
	}
	return providers
}

// recent is how many of a job's last runs are looked through for one that says how it is.
const recent = 10

// recall takes over what the metrics say of jobs since before this process began.
func (h *home) recall(ctx context.Context) error {
	jobs, _, err := soundJobs(ctx, h.store) // what is damaged each pass says
	if err != nil {
		return err
	}
	for _, rec := range jobs[:min(len(jobs), metrics.MaxJobs)] {
		h.metrics.Known(rec.Name)
		last, err := h.lastThatCounts(ctx, rec.Name)
		if err != nil {
			return fmt.Errorf("read how job %s is for the metrics: %w", rec.Name, err)
		}
		if last.ID != "" {
			h.metrics.Latest(last)
		}
		slot, err := reconcile.LastSuccess(ctx, h.store, rec.Name, h.now())
		if err != nil {
			return fmt.Errorf("read the last success of job %s for the metrics: %w", rec.Name, err)
		}
		if !slot.IsZero() {
			h.metrics.Success(rec.Name, slot)
		}
	}
	return nil
}

// lastThatCounts is the run of the latest slot that ended, skipped and cancelled ones apart.
func (h *home) lastThatCounts(ctx context.Context, job dayfly.JobName) (last dayfly.Run, err error) {
	for run, err := range store.Sound(h.store.History(ctx, store.Filter{Job: job, Ended: true, Limit: recent}), nil) {
		if err != nil || run.Outcome != dayfly.Skipped && run.Outcome != dayfly.Canceled {
			return run, err
		}
	}
	return last, nil
}

// listenForMetrics listens where --metrics says: on this host alone, unless it names another address.
func (a *app) listenForMetrics(address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err == nil && host == "" {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &dayfly.Error{
			Code: dayfly.CodeInternal, Message: fmt.Sprintf("listen for metrics on %s: %s", address, err), Err: err,
			Hint: "choose another --metrics ADDR, such as 127.0.0.1:9464; port 0 takes a free one",
		}
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		a.warn("metrics are for everybody who reaches %s: they name the jobs, and nobody is asked who he is", l.Addr())
	}
	a.say("Metrics on http://%s/metrics", l.Addr())
	return l, nil
}
