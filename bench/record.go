package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"
)

// recorded measures how soon after one instant, at which many schedules are due, their slots have records, while two
// people give commands. It is read from the file of the records, whose driver the store brings along.
func recorded(ctx context.Context, b bench) (figures []figure, err error) {
	h, err := b.home(ctx)
	if err != nil {
		return nil, err
	}
	at := time.Now().Add(5*time.Second + time.Duration(b.n)*20*time.Millisecond).UTC().Truncate(time.Second)
	for i := range b.n {
		h.job(fmt.Sprintf("record%d", i), fmt.Sprintf("schedule: %q\nmachine: {isolation: none}\nrun: \":\"", at.Format("at(2006-01-02T15:04:05)")))
	}
	h.job("paused", "schedule: \"0 0 1 1 *\"\nrun: \":\"")
	if err := h.apply(h.jobs); err != nil {
		return nil, err
	}
	if _, err := h.serve(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.stop()) }()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Until(at.Add(-2 * time.Second))):
	}
	if time.Now().After(at) {
		return nil, fmt.Errorf("applying %d jobs took longer than was left for it", b.n)
	}
	stop := make(chan struct{})
	asked := make(chan error, 2)
	var people sync.WaitGroup
	for _, commands := range [][][]string{{{"history"}, {"ps"}}, {{"pause", "paused"}, {"resume", "paused"}}} {
		people.Go(func() { asked <- h.repeat(stop, commands) })
	}
	late, err := h.slots(at, b.n)
	close(stop)
	people.Wait()
	if err := errors.Join(err, <-asked, <-asked); err != nil {
		return nil, err
	}
	return []figure{
		{what: fmt.Sprintf("%d due at one instant: slot to record committed, p50", b.n), value: ms(percentile(late, 50)), unit: "ms"},
		{what: "the same, p99", value: ms(percentile(late, 99)), unit: "ms", gate: 250},
		{what: "the same, the last", value: ms(percentile(late, 100)), unit: "ms", gate: 1000},
	}, nil
}

// repeat gives commands in turn until it is told to stop.
func (h *home) repeat(stop <-chan struct{}, commands [][]string) error {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := h.run(commands[i%len(commands)]...); err != nil {
			return err
		}
	}
}

// slots waits until n slots at an instant have records, and gives how long after it each was seen.
func (h *home) slots(at time.Time, n int) (late []time.Duration, err error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(h.data, "dayfly.db")+"?mode=ro&_pragma=query_only(1)&_pragma=busy_timeout(10000)")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(late) < n {
		have := 0
		if err := db.QueryRowContext(h.ctx, "SELECT count(*) FROM runs WHERE slot = ? AND n = 0", at.UnixMicro()).Scan(&have); err != nil {
			return nil, fmt.Errorf("read the records: %w", err)
		}
		for now := time.Since(at); len(late) < have; {
			late = append(late, now)
		}
		select {
		case <-h.ctx.Done():
			return nil, h.ctx.Err()
		case <-tick.C:
		}
	}
	return late, nil
}
