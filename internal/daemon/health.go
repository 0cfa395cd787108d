package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/dayfly-io/dayfly/internal/reconcile"
)

// stuckAfter is how long a pass may take before the daemon counts as unwell: it begins no new action
// after reconcile.ActFor, and each call it then waits for is bounded.
const stuckAfter = reconcile.ActFor + 2*reconcile.CallFor

// Health is what /healthz answers.
type Health struct {
	Status   string    `json:"status"` // ok or failing
	Started  time.Time `json:"started_at"`
	LastPass time.Time `json:"last_pass_at,omitzero"` // when the last good pass ended
	Failures int       `json:"failures"`              // failed passes in all
	Active   int       `json:"active_runs"`
	Errors   []string  `json:"errors,omitempty"` // what is wrong now
}

// health is the daemon's knowledge of itself.
type health struct {
	now func() time.Time

	mu                          sync.Mutex
	started, looked, good       time.Time
	failures, active            int
	passErr, sweepErr, reaperEr error
}

func (h *health) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.started = h.now()
	h.looked = h.started
}

func (h *health) passed(sum reconcile.Summary, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.looked = h.now()
	if h.passErr = err; err != nil {
		h.failures++
		return
	}
	h.good, h.active = h.looked, sum.Active
}

func (h *health) swept(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sweepErr = err
}

func (h *health) reaped(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reaperEr = err
}

// stuck tells how long ago the last pass ended, and whether that is too long ago. The caller holds mu.
func (h *health) stuck() (time.Duration, bool) {
	ago := h.now().Sub(h.looked)
	return ago, ago > stuckAfter
}

// Health tells how the daemon is. It is failing while its passes, sweeps or reaper do, or hang.
func (d *Daemon) Health() Health {
	h := &d.health
	h.mu.Lock()
	defer h.mu.Unlock()
	now := Health{Status: "ok", Started: h.started, LastPass: h.good, Failures: h.failures, Active: h.active}
	if ago, stuck := h.stuck(); stuck {
		now.Errors = append(now.Errors, "the last pass ended "+ago.Round(time.Second).String()+" ago")
	}
	for _, err := range []error{h.passErr, h.sweepErr, h.reaperEr} {
		if err != nil {
			now.Errors = append(now.Errors, err.Error())
		}
	}
	if len(now.Errors) > 0 {
		now.Status = "failing"
	}
	return now
}

// Bounds of a request, so that idle or endless ones hold nothing.
const (
	requestFor = 10 * time.Second
	maxHeader  = 16 << 10
)

// serve answers requests of one kind until ctx ends.
func (d *Daemon) serve(ctx context.Context, wg *sync.WaitGroup, l net.Listener, pattern string, h http.Handler) {
	mux := http.NewServeMux()
	mux.Handle(pattern, h)
	server := &http.Server{
		Handler: mux, ReadTimeout: requestFor, WriteTimeout: requestFor, IdleTimeout: requestFor, MaxHeaderBytes: maxHeader,
	}
	wg.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			d.Log.Error("answer requests", "error", err)
		}
	})
	wg.Go(func() {
		<-ctx.Done()
		_ = server.Close() // requests here are too short to wait for
	})
}

func (d *Daemon) healthz(w http.ResponseWriter, _ *http.Request) {
	now := d.Health()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if now.Status != "ok" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(now) // the client went away; nobody is left to tell
}
