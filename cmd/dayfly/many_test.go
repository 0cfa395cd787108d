package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// TestExitCodeOfMany: the worst decides, in the order that the help names, and not the highest code.
func TestExitCodeOfMany(t *testing.T) {
	t.Parallel()
	three, nine := 3, 9
	run := func(o dayfly.Outcome, code *int) dayfly.Run {
		return dayfly.Run{State: dayfly.Ended, Outcome: o, Attempts: []dayfly.Attempt{{Outcome: o, ExitCode: code}}}
	}
	fine, lost, skipped := run(dayfly.Succeeded, new(int)), run(dayfly.Lost, nil), run(dayfly.Skipped, nil)
	for _, c := range []struct {
		runs []dayfly.Run
		what string
		want int
	}{
		{[]dayfly.Run{fine, fine}, "outcome", exitOK},
		{[]dayfly.Run{fine, run(dayfly.Failed, &three), lost, fine}, "outcome", exitFailed},
		{[]dayfly.Run{lost, run(dayfly.Failed, &three)}, "outcome", exitFailed},
		{[]dayfly.Run{run(dayfly.Failed, &three), run(dayfly.Failed, &nine), lost}, "job", 9},
		{[]dayfly.Run{run(dayfly.Canceled, nil), run(dayfly.TimedOut, nil), skipped}, "outcome", exitTimedOut},
		{[]dayfly.Run{skipped, run(dayfly.Refused, nil)}, "outcome", exitRefused},
		{[]dayfly.Run{fine, skipped}, "outcome", exitNotRun},
	} {
		m := &many{runs: c.runs}
		if got := exitCode(m.exit(attachFlags{exitCode: c.what})); got != c.want {
			t.Errorf("%s by %s: exit code %d, want %d", countsOf(c.runs), c.what, got, c.want)
		}
	}
}

// TestAllWait: those that ended do not keep a command from looking after what the others wait for.
func TestAllWait(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		states []dayfly.State
		want   bool
	}{
		{[]dayfly.State{dayfly.Due, dayfly.Due}, true},
		{[]dayfly.State{dayfly.Ended, dayfly.Due}, true},
		{[]dayfly.State{dayfly.Due, dayfly.Running, dayfly.Ended}, false},
		{[]dayfly.State{dayfly.Ended}, false},
		{nil, false},
	} {
		var runs []dayfly.Run
		for _, s := range c.states {
			runs = append(runs, dayfly.Run{State: s})
		}
		if got := allWait(runs); got != c.want {
			t.Errorf("%v: %v", c.states, got)
		}
	}
}

// fullAfter is a store that takes so many more runs.
type fullAfter struct {
	store.Store
	runs int
}

func (s *fullAfter) InsertRuns(ctx context.Context, runs []dayfly.Run) ([]bool, error) {
	if s.runs -= len(runs); s.runs < 0 {
		return nil, errors.New("the disk is full")
	}
	return s.Store.InsertRuns(ctx, runs)
}

// TestRetryInPart: of an array some may be requested again, and then an error comes.
func TestRetryInPart(t *testing.T) {
	t.Parallel()
	call := newCall(t)
	h := call.home()
	job := dayfly.Job{Name: "frames", Array: &dayfly.Array{Size: 3}}
	if err := h.store.PutVersion(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	was, err := reconcile.Request(t.Context(), h.store, job, reconcile.Wish{}, call.now())
	if err == nil {
		_, err = cancelAll(t.Context(), h.store, was, "a test", call.now())
	}
	if err == nil {
		_, err = h.loop.Pass(t.Context(), reconcile.Scope{Glance: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	h.store = &fullAfter{h.store, 2}
	var said bytes.Buffer
	runs, err := newApp(call.env, strings.NewReader(""), io.Discard, &said).retryAll(t.Context(), h, was)
	first, second := dayfly.NewRunID("frames", was[0].Slot, "0", 2), dayfly.NewRunID("frames", was[0].Slot, "1", 2)
	want := "Requested before that, and not taken back: " + string(first) + ", " + string(second) + ".\n"
	if err == nil || !strings.Contains(err.Error(), "the disk is full") || len(runs) > 0 || said.String() != want {
		t.Errorf("%v, %v, %s, want %s", runs, err, said.String(), want)
	}
}
