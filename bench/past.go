package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
)

// past measures what a long history costs whoever asks it, and a daemon that begins with it: a history of many jobs,
// and one of a single job that is an array.
func past(ctx context.Context, b bench) (figures []figure, err error) {
	n := 1000 * b.n
	for _, k := range []struct {
		of      string
		like    func(i int, r *dayfly.Run)
		filters []string
	}{
		{"a hundred jobs", ofMany, []string{
			"", "--shards", "--job j07", "--outcome failed", "--outcome lost", "--outcome refused", "--since 7d", "--since 600d",
			"--job j07 --outcome failed", "--job j07 --outcome lost", "--job j07 --since 300d", "--outcome lost --since 600d",
			"--backfill j07@OLD", "--backfill j07@NEVER",
		}},
		{"one array", ofOne, []string{
			"", "--shards", "--job j", "--job j --shards", "--outcome failed", "--outcome lost", "--outcome refused", "--since 6d",
			"--job j --outcome failed", "--job j --outcome lost --shards", "--job j --outcome refused", "--job j --since 5d --shards",
			"--backfill j@OLD", "--backfill j@OLD --shards", "--backfill j@NEVER", "--backfill j@OLD --outcome failed",
		}},
	} {
		h, err := bench{dayfly: b.dayfly, dir: filepath.Join(b.dir, k.of)}.home(ctx)
		if err != nil {
			return nil, err
		}
		if err := h.apply(h.job("hi", `run: "true"`)); err != nil {
			return nil, err
		}
		if err := h.run("run", "hi"); err != nil {
			return nil, err
		}
		if err := h.fill(n, k.like); err != nil {
			return nil, fmt.Errorf("make a history of %d runs: %w", n, err)
		}
		filter, worst, err := h.slowest(k.filters)
		if err != nil {
			return nil, err
		}
		up, err := h.serve()
		if err := errors.Join(err, h.stop()); err != nil {
			return nil, err
		}
		figures = append(figures,
			figure{what: fmt.Sprintf("%d past runs of %s: the slowest of %d filters: %s", n, k.of, len(k.filters), filter), value: ms(worst), unit: "ms", gate: 100},
			figure{what: fmt.Sprintf("%d past runs of %s: start-up of the daemon", n, k.of), value: up.Seconds(), unit: "s", gate: 2},
		)
	}
	return figures, nil
}

// slowest is the filter that dayfly history takes longest for, and how long.
func (h *home) slowest(filters []string) (filter string, worst time.Duration, err error) {
	for _, f := range filters {
		took, err := median(5, func() error { return h.run(append([]string{"history"}, strings.Fields(f)...)...) })
		if err != nil {
			return "", 0, err
		}
		if took > worst {
			worst, filter = took, strings.TrimSpace("history "+f)
		}
	}
	return filter, worst, nil
}

// ofMany takes a hundred jobs in turn, a slot each minute. Twenty runs of j07 are of a backfill of long ago.
func ofMany(i int, r *dayfly.Run) {
	r.Job = dayfly.JobName(fmt.Sprintf("j%02d", i%100))
	r.Slot = r.Slot.Add(-time.Duration(i) * time.Minute)
	if i%5000 == 7 && i < 100_000 {
		r.Backfill, r.Trigger, r.N = "j07@OLD", dayfly.TriggerBackfill, 1
	}
}

// ofOne takes one job alone, an array of a hundred shards. Two slots, far apart, are of a backfill of long ago.
func ofOne(i int, r *dayfly.Run) {
	r.Job = "j"
	r.Shard = dayfly.Shard(strconv.Itoa(i % 100))
	r.Slot = r.Slot.Add(-time.Duration(i/100) * time.Minute)
	if slot := i / 100; slot == 3 || slot == 1000 {
		r.Backfill, r.Trigger, r.N = "j@OLD", dayfly.TriggerBackfill, 1
	}
}

// fill adds n ended runs like the one there is, of the jobs and slots that as says. One in seven has failed; one in a
// thousand was lost, all of one job or shard.
func (h *home) fill(n int, as func(i int, r *dayfly.Run)) (err error) {
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
	like.Slot, like.Trigger, like.N, like.Rev = time.Now().Truncate(time.Minute), dayfly.TriggerSchedule, 0, 0
	const batch = 200
	for begin := 0; begin < n; begin += batch {
		var runs []dayfly.Run
		for i := begin; i < min(n, begin+batch); i++ {
			r := like
			as(i, &r)
			r.ID, r.EndedAt = dayfly.NewRunID(r.Job, r.Slot, r.Shard, r.N), r.Slot.Add(time.Second)
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
