// Package machinetest is the conformance suite of machine.Provider: what the control loop relies on,
// shown with real machines of the provider under test.
package machinetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
)

// Harness is one provider under test, with nothing on it.
type Harness struct {
	Provider machine.Provider
	// Long makes a spec, with a token of its own, of a machine that runs until it is ended; Short
	// of one that ends by itself at once.
	Long, Short func(t *testing.T) machine.Spec
	// Until waits until cond holds, or fails the test. A provider with a clock of its own moves it.
	Until func(t *testing.T, what string, cond func() bool)
	// Break makes the listing of one location fail until mend is called, and names the location.
	Break func(t *testing.T) (broken machine.Location, mend func())
}

// Run runs the suite. open gives a fresh harness and cleans up after itself.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for _, s := range []struct {
		name  string
		story func(*testing.T, Harness)
	}{
		{"a launched machine is listed with its tags", listedWithTags},
		{"the same token gives the same machine", sameToken},
		{"concurrent launches of one token make one machine", concurrent},
		{"a terminated machine is seen to be gone", terminated},
		{"terminate is idempotent and knows unknown ids", terminateTwice},
		{"a used-up token makes no second machine", usedUp},
		{"a machine that is ended before its launch is never made", endedBefore},
		{"a machine that ends by itself is seen to be gone", endsItself},
		{"a location that fails is not complete", failingLocation},
		{"only a machine that is gone can be forgotten", forgotten},
		{"nothing is launched after its deadline", overdue},
		{"an ended context is an error and not a hang", endedContext},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.story(t, open(t))
		})
	}
}

func launch(t *testing.T, h Harness, s machine.Spec) dayfly.Machine {
	t.Helper()
	m, err := h.Provider.Launch(t.Context(), s)
	if err != nil {
		t.Fatalf("launch: %v", err)
	}
	return m
}

func list(t *testing.T, h Harness) machine.Listing {
	t.Helper()
	l, err := h.Provider.List(t.Context())
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	return l
}

func terminate(t *testing.T, h Harness, id dayfly.MachineID) {
	t.Helper()
	if err := h.Provider.Terminate(t.Context(), id); err != nil {
		t.Fatalf("terminate %s: %v", id, err)
	}
}

// find gives the machine with this id, nil when it is not listed.
func find(l machine.Listing, id dayfly.MachineID) *dayfly.Machine {
	i := slices.IndexFunc(l.Machines, func(m dayfly.Machine) bool { return m.ID == id })
	if i < 0 {
		return nil
	}
	return &l.Machines[i]
}

// gone tells whether the listing proves that the machine is no more.
func gone(l machine.Listing, id dayfly.MachineID) bool {
	if m := find(l, id); m != nil {
		return m.State == dayfly.MachineTerminated
	}
	return l.IsComplete(id)
}

func awaitGone(t *testing.T, h Harness, id dayfly.MachineID) {
	t.Helper()
	h.Until(t, string(id)+" is gone", func() bool { return gone(list(t, h), id) })
}

func listedWithTags(t *testing.T, h Harness) {
	s := h.Long(t)
	m := launch(t, h, s)
	if machine.LocationOf(m.ID) == "" || !strings.HasPrefix(string(m.ID), string(machine.LocationOf(m.ID))+"/") {
		t.Errorf("id %q is not location/native-id", m.ID)
	}
	var seen *dayfly.Machine
	h.Until(t, "it is listed", func() bool { seen = find(list(t, h), m.ID); return seen != nil })
	if !seen.Tags.Deadline.Equal(s.Tags.Deadline) {
		t.Errorf("deadline tag %v, want %v", seen.Tags.Deadline, s.Tags.Deadline)
	}
	seen.Tags.Deadline = s.Tags.Deadline
	if seen.Tags != s.Tags {
		t.Errorf("tags %+v, want %+v", seen.Tags, s.Tags)
	}
	if seen.State == dayfly.MachineTerminated {
		t.Errorf("it is %s right after its launch", seen.State)
	}
}

func sameToken(t *testing.T, h Harness) {
	s := h.Long(t)
	first := launch(t, h, s)
	if again := launch(t, h, s); again.ID != first.ID {
		t.Errorf("second launch gave %s, the first %s", again.ID, first.ID)
	}
	if n := len(list(t, h).Machines); n != 1 {
		t.Errorf("%d machines, want 1", n)
	}
}

func concurrent(t *testing.T, h Harness) {
	s := h.Long(t)
	ids := make([]dayfly.MachineID, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			m, err := h.Provider.Launch(t.Context(), s)
			if err != nil {
				t.Errorf("launch: %v", err)
			}
			ids[i] = m.ID
		})
	}
	wg.Wait()
	if ids = slices.Compact(ids); len(ids) != 1 {
		t.Errorf("launches gave %v, want one machine", ids)
	}
	if n := len(list(t, h).Machines); n != 1 {
		t.Errorf("%d machines, want 1", n)
	}
}

func terminated(t *testing.T, h Harness) {
	m := launch(t, h, h.Long(t))
	other := launch(t, h, h.Long(t))
	terminate(t, h, m.ID)
	awaitGone(t, h, m.ID)
	if l := list(t, h); gone(l, other.ID) {
		t.Errorf("%s is gone too", other.ID)
	}
}

func terminateTwice(t *testing.T, h Harness) {
	m := launch(t, h, h.Long(t))
	for range 3 {
		terminate(t, h, m.ID)
	}
	awaitGone(t, h, m.ID)
	terminate(t, h, m.ID)
	terminate(t, h, dayfly.MachineID(string(machine.LocationOf(m.ID))+"/"+strings.Repeat("0", 32)))
}

func usedUp(t *testing.T, h Harness) {
	s := h.Long(t)
	m := launch(t, h, s)
	terminate(t, h, m.ID)
	awaitGone(t, h, m.ID)
	if again, err := h.Provider.Launch(t.Context(), s); err == nil && again.ID != m.ID {
		t.Errorf("launch gave %s under the token of %s", again.ID, m.ID)
	} else if err != nil && !errors.Is(err, machine.ErrGone) {
		t.Errorf("launch under a used-up token: %v, want ErrGone or the same machine", err)
	}
	for _, m := range list(t, h).Machines {
		if m.State != dayfly.MachineTerminated {
			t.Errorf("%s is %s", m.ID, m.State)
		}
	}
}

func endedBefore(t *testing.T, h Harness) {
	n, ok := machine.As[machine.Namer](h.Provider)
	if !ok {
		t.Skip("not for this provider: it does not know ids beforehand")
	}
	s := h.Long(t)
	id := n.MachineID(s)
	terminate(t, h, id)
	if m, err := h.Provider.Launch(t.Context(), s); !errors.Is(err, machine.ErrGone) && m.State != dayfly.MachineTerminated {
		t.Errorf("launch gave %+v, %v; want ErrGone", m, err)
	}
	if l := list(t, h); !gone(l, id) {
		t.Errorf("it is there: %+v", find(l, id))
	}
}

func endsItself(t *testing.T, h Harness) {
	s := h.Short(t)
	m := launch(t, h, s)
	awaitGone(t, h, m.ID)
	if again, err := h.Provider.Launch(t.Context(), s); err == nil && again.ID != m.ID {
		t.Errorf("launch gave %s under the token of %s", again.ID, m.ID)
	}
	awaitGone(t, h, m.ID)
}

func failingLocation(t *testing.T, h Harness) {
	m := launch(t, h, h.Long(t))
	broken, mend := h.Break(t)
	l, err := h.Provider.List(t.Context())
	if slices.Contains(l.Complete, broken) {
		t.Errorf("location %s fails (%v) and is listed as complete", broken, err)
	}
	if gone(l, m.ID) {
		t.Error("a machine counts as gone because its location failed")
	}
	mend()
	h.Until(t, "the location is complete again", func() bool { return list(t, h).IsComplete(m.ID) })
	if gone(list(t, h), m.ID) {
		t.Error("the machine went with its location's failure")
	}
}

func forgotten(t *testing.T, h Harness) {
	f, ok := machine.As[machine.Forgetter](h.Provider)
	if !ok {
		t.Skip("not for this provider: it keeps nothing")
	}
	s := h.Long(t)
	m := launch(t, h, s)
	if err := f.Forget(t.Context(), m.ID); err == nil {
		t.Error("a running machine was forgotten")
	}
	terminate(t, h, m.ID)
	awaitGone(t, h, m.ID)
	if err := f.Forget(t.Context(), m.ID); err != nil {
		t.Fatalf("forget: %v", err)
	}
	if seen := find(list(t, h), m.ID); seen != nil {
		t.Errorf("still listed: %+v", seen)
	}
	if err := f.Forget(t.Context(), m.ID); err != nil {
		t.Errorf("forget again: %v", err)
	}
	if again, err := h.Provider.Launch(t.Context(), s); !errors.Is(err, machine.ErrGone) {
		t.Errorf("launch under a forgotten token gave %s, %v; want ErrGone", again.ID, err)
	}
	if l := list(t, h); !gone(l, m.ID) {
		t.Errorf("it is there again: %+v", find(l, m.ID))
	}
}

func overdue(t *testing.T, h Harness) {
	s := h.Long(t)
	s.Tags.Deadline = s.Tags.Deadline.AddDate(-1, 0, 0)
	s.Task.Deadline = s.Tags.Deadline
	if m, err := h.Provider.Launch(t.Context(), s); !errors.Is(err, machine.ErrGone) {
		t.Errorf("launch after the deadline gave %s, %v; want ErrGone", m.ID, err)
	}
	for _, m := range list(t, h).Machines {
		if m.State != dayfly.MachineTerminated {
			t.Errorf("%s is %s", m.ID, m.State)
		}
	}
}

func endedContext(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Provider.Launch(ctx, h.Long(t)); err == nil {
		t.Error("launch with an ended context gave no error")
	}
	for _, m := range list(t, h).Machines {
		if m.State != dayfly.MachineTerminated { // a launch of unknown outcome is allowed, a lost one is not
			terminate(t, h, m.ID)
			awaitGone(t, h, m.ID)
		}
	}
}
