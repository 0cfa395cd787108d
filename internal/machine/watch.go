package machine

import (
	"context"
	"errors"
	"time"

	"github.com/dayfly-io/dayfly"
)

// Watcher is told of every call to a provider. It must return at once and may be told by several goroutines.
type Watcher interface {
	// Called tells of a call (launch, list, terminate, forget, cancel), how long it took and what came of it.
	Called(provider, call string, took time.Duration, err error)
	// Listed tells what a list showed, also one that came with an error.
	Listed(provider string, l Listing)
}

// Watched is the provider, with somebody who is told of its calls. What only some providers can do is
// found on it by [As].
func Watched(p Provider, name string, w Watcher, now func() time.Time) Provider {
	return &watched{p, name, w, now}
}

type watched struct {
	p    Provider
	name string
	w    Watcher
	now  func() time.Time
}

// As is the provider as one that can do more: a [Namer], a [Forgetter], a [Canceler]. It looks through those
// who watch it.
func As[T any](p Provider) (t T, ok bool) {
	w, is := p.(*watched)
	if !is {
		t, ok = p.(T)
		return t, ok
	}
	if _, ok = As[T](w.p); !ok {
		return t, false
	}
	t, ok = p.(T) // which passes it on, and tells
	return t, ok
}

// tell does a call and tells of it.
func tell[T any](w *watched, call string, do func() (T, error)) (T, error) {
	began := w.now()
	v, err := do()
	w.w.Called(w.name, call, w.now().Sub(began), err)
	return v, err
}

func (w *watched) Launch(ctx context.Context, s Spec) (dayfly.Machine, error) {
	return tell(w, "launch", func() (dayfly.Machine, error) { return w.p.Launch(ctx, s) })
}

func (w *watched) List(ctx context.Context) (Listing, error) {
	l, err := tell(w, "list", func() (Listing, error) { return w.p.List(ctx) })
	w.w.Listed(w.name, l)
	return l, err
}

func (w *watched) Terminate(ctx context.Context, id dayfly.MachineID) error {
	_, err := tell(w, "terminate", func() (struct{}, error) { return struct{}{}, w.p.Terminate(ctx, id) })
	return err
}

// MachineID implements Namer, for a provider that does.
func (w *watched) MachineID(s Spec) dayfly.MachineID {
	n, _ := As[Namer](w.p)
	return n.MachineID(s)
}

// Forget implements Forgetter, for a provider that does.
func (w *watched) Forget(ctx context.Context, id dayfly.MachineID) error {
	f, _ := As[Forgetter](w.p)
	_, err := tell(w, "forget", func() (struct{}, error) { return struct{}{}, f.Forget(ctx, id) })
	return err
}

// Cancel implements Canceler, for a provider that does.
func (w *watched) Cancel(ctx context.Context, id dayfly.MachineID) error {
	c, _ := As[Canceler](w.p)
	_, err := tell(w, "cancel", func() (struct{}, error) { return struct{}{}, c.Cancel(ctx, id) })
	return err
}

// Class is what an error of a provider means to the control loop, in a word: ok, capacity, config, gone, or
// unknown, which is repeated.
func Class(err error) string {
	if err == nil {
		return "ok"
	}
	if _, ok := errors.AsType[*CapacityError](err); ok {
		return "capacity"
	}
	if _, ok := errors.AsType[*ConfigError](err); ok {
		return "config"
	}
	if errors.Is(err, ErrGone) {
		return "gone"
	}
	return "unknown"
}
