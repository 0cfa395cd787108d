package fake_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/fake"
	"github.com/dayfly-io/dayfly/internal/store/storetest"
)

func open(testing.TB) store.Store { return fake.New() }

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Core(t, open)
}

var slot = time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)

func run() dayfly.Run {
	return dayfly.Run{ID: dayfly.NewRunID("pi", slot, "", 0), Job: "pi", Slot: slot, State: dayfly.Due}
}

func TestFaultBefore(t *testing.T) {
	t.Parallel()
	s, boom := fake.New(), errors.New("boom")
	var ops []string
	s.Fail(func(op string) error { ops = append(ops, op); return boom }, nil)
	if _, err := s.InsertRuns(t.Context(), []dayfly.Run{run()}); !errors.Is(err, boom) {
		t.Errorf("insert: %v", err)
	}
	for _, err := range s.History(t.Context(), store.Filter{}) {
		if !errors.Is(err, boom) {
			t.Errorf("history: %v", err)
		}
	}
	if want := []string{"InsertRuns", "History"}; !slices.Equal(ops, want) {
		t.Errorf("operations %v, want %v", ops, want)
	}
	s.Fail(nil, nil)
	if _, err := s.Run(t.Context(), run().ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the refused insert was done: %v", err)
	}
}

func TestFaultAfter(t *testing.T) {
	t.Parallel()
	s, boom := fake.New(), errors.New("boom")
	s.Fail(nil, func(string) error { return boom })
	if stored, err := s.InsertRuns(t.Context(), []dayfly.Run{run()}); !errors.Is(err, boom) || stored != nil {
		t.Errorf("insert: %v, %v", stored, err)
	}
	s.Fail(nil, nil)
	if _, err := s.Run(t.Context(), run().ID); err != nil {
		t.Errorf("the insert whose reply was lost was not done: %v", err)
	}
}

// A simulation of years makes some 300,000 runs with half a dozen changes each.
func BenchmarkLife(b *testing.B) {
	s, ctx := fake.New(), b.Context()
	for i := range b.N {
		r := run()
		r.Slot = slot.Add(time.Duration(i) * time.Minute)
		r.ID = dayfly.NewRunID(r.Job, r.Slot, r.Shard, r.N)
		if _, err := s.InsertRuns(ctx, []dayfly.Run{r}); err != nil {
			b.Fatal(err)
		}
		for _, state := range []dayfly.State{dayfly.Launching, dayfly.Running, dayfly.Running, dayfly.Stopping, dayfly.Ended} {
			active, err := s.ActiveRuns(ctx, store.Scope{})
			if err != nil || len(active) != 1 {
				b.Fatal(len(active), err)
			}
			active[0].State = state
			if _, err := s.UpdateRun(ctx, active[0]); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := s.LastN(ctx, r.Job, r.Slot, r.Shard); err != nil {
			b.Fatal(err)
		}
	}
}

func TestIndexes(t *testing.T) {
	t.Parallel()
	storetest.Indexed(t, open)
}
