package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
)

// past measures what a long history costs whoever asks it, and a daemon that begins with it.
func past(ctx context.Context, b bench) ([]figure, error) {
	h, err := b.home(ctx)
	if err != nil {
		return nil, err
	}
	if err := h.apply(h.job("hi", `run: "true"`)); err != nil {
		return nil, err
	}
	if err := h.run("run", "hi"); err != nil {
		return nil, err
	}
	n := 1000 * b.n
	if err := h.fill(n); err != nil {
		return nil, fmt.Errorf("make a history of %d runs: %w", n, err)
	}
	var worst time.Duration
	var filter string
	for _, f := range []string{
		"", "--job j07", "--outcome failed", "--outcome lost", "--outcome refused", "--since 7d", "--since 600d",
		"--job j07 --outcome failed", "--job j07 --outcome lost", "--job j07 --since 300d", "--outcome lost --since 600d",
	} {
		took, err := median(5, func() error { return h.run(append([]string{"history", "--limit", "50"}, strings.Fields(f)...)...) })
		if err != nil {
			return nil, err
		}
		if took > worst {
			worst, filter = took, strings.TrimSpace("history "+f)
		}
	}
	up, err := h.serve()
	if err := errors.Join(err, h.stop()); err != nil {
		return nil, err
	}
	return []figure{
		{what: fmt.Sprintf("%d past runs: the slowest of eleven filters: %s", n, filter), value: ms(worst), unit: "ms", gate: 100},
		{what: fmt.Sprintf("%d past runs: start-up of the daemon", n), value: up.Seconds(), unit: "s", gate: 2},
	}, nil
}

// fill adds n runs like the one there is, a minute apart and the last one now, of a hundred jobs in turn. One in
// seven has failed; one in a thousand was lost, all of one job.
func (h *home) fill(n int) (err error) {
	s, err := sqlite.Open(h.ctx, filepath.Join(h.data, "dayfly.db"), sqlite.Options{Now: time.Now})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var like dayfly.Run
	for r, err := range s.History(h.ctx, store.Filter{Limit: 1}) {
		if err != nil {
			return err
		}
		like = r
	}
	first := time.Now().Truncate(time.Minute).Add(-time.Duration(n) * time.Minute)
	const batch = 200
	for begin := 0; begin < n; begin += batch {
		var runs []dayfly.Run
		for i := begin; i < min(n, begin+batch); i++ {
			r := like
			r.Job, r.Slot, r.Trigger = dayfly.JobName(fmt.Sprintf("j%02d", i%100)), first.Add(time.Duration(i)*time.Minute), dayfly.TriggerSchedule
			r.ID, r.EndedAt, r.N, r.Rev = dayfly.NewRunID(r.Job, r.Slot, r.Shard, 0), r.Slot.Add(time.Second), 0, 0
			switch {
			case i%1000 == 13:
				r.Outcome = dayfly.Lost
			case i%7 == 0:
				r.Outcome = dayfly.Failed
			}
			r.Attempts = slices.Clone(like.Attempts)
			r.Attempts[0].Token = fmt.Sprintf("%032x", i)
			runs = append(runs, r)
		}
		if _, err := s.InsertRuns(h.ctx, runs); err != nil {
			return err
		}
	}
	return nil
}
