package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// launch measures one run after another while a daemon is at work: from the client's request, whose instant is
// the run's slot, to the job's first instruction and to the machine observed gone and recorded.
func launch(ctx context.Context, b bench) (figures []figure, err error) {
	for _, rung := range []string{"full", "none"} {
		h, err := bench{dayfly: b.dayfly, dir: filepath.Join(b.dir, rung)}.home(ctx)
		if err != nil {
			return nil, err
		}
		if err := h.apply(h.job("hi", "machine: {isolation: "+rung+"}\nrun: \":\"")); err != nil {
			return nil, err
		}
		if _, err := h.serve(); err != nil {
			return nil, err
		}
		n := max(b.n/20, 5)
		for range n {
			if err := h.run("run", "hi"); err != nil {
				return nil, errors.Join(err, h.stop())
			}
		}
		all, err := h.ended(n)
		if err = errors.Join(err, h.stop()); err != nil {
			return nil, err
		}
		first, end := from(all, slot, started), from(all, slot, gone)
		f := []figure{
			{what: rung + ": request to first instruction, p50", value: ms(percentile(first, 50)), unit: "ms", over: floorRoot},
			{what: rung + ": request to gone and recorded, p50", value: ms(percentile(end, 50)), unit: "ms", over: floorRoot},
		}
		if rung == "full" {
			f[0].gate, f[0].goal, f[1].gate, f[1].goal = 30, 10, 60, 25
		}
		figures = append(figures, f...)
	}
	return figures, nil
}

// queue measures how many runs a second there are when many wait: all of them, by the time from the first launch
// to the last machine observed gone. How long they waited before the first is no part of it; the daemon comes when
// all of them do.
func queue(ctx context.Context, b bench) ([]figure, error) {
	return crowd(ctx, b, "queued", -time.Hour, func(rung string, all []record) []figure {
		f := figure{what: fmt.Sprintf("%s: %d queued runs, first launch to last gone", rung, len(all)), unit: "/s", least: true, gate: 50, goal: 120}
		if rung == "none" {
			f.gate, f.goal = 100, 300
		}
		begin, end := all[0].Attempts[0].Launched, gone(all[0])
		for _, r := range all {
			if l := r.Attempts[0].Launched; l.Before(begin) {
				begin = l
			}
			if g := gone(r); g.After(end) {
				end = g
			}
		}
		f.value = float64(len(all)) / end.Sub(begin).Seconds()
		return []figure{f}
	})
}

// due measures how late first instructions are when many schedules are due at one instant.
func due(ctx context.Context, b bench) ([]figure, error) {
	return crowd(ctx, b, "due", 5*time.Second, func(rung string, all []record) []figure {
		late := from(all, slot, started)
		f := figure{what: fmt.Sprintf("%s: %d due at one instant, first instruction, p99", rung, len(all)), value: percentile(late, 99).Seconds(), unit: "s", gate: 12}
		if rung == "none" {
			f.gate, f.goal = 3.47, 1.75 // dkron's and supercronic's, which isolate and sync nothing
		}
		return []figure{f, {what: rung + ": the same, p50", value: percentile(late, 50).Seconds(), unit: "s"}}
	})
}

// crowd lets one run of each of many jobs be due at one instant, so long after they were applied and a daemon is
// at work; before it where it is negative.
func crowd(ctx context.Context, b bench, name string, after time.Duration, tell func(rung string, all []record) []figure) (figures []figure, err error) {
	for _, rung := range []string{"full", "none"} {
		h, err := bench{dayfly: b.dayfly, dir: filepath.Join(b.dir, rung)}.home(ctx)
		if err != nil {
			return nil, err
		}
		// Applying takes a while, the longer the more there are.
		at := time.Now().Add(after).Add(time.Duration(b.n) * 20 * time.Millisecond).UTC().Truncate(time.Second)
		if after < 0 {
			at = time.Now().Add(2 * time.Second).Add(time.Duration(b.n) * 20 * time.Millisecond).UTC().Truncate(time.Second)
		}
		for i := range b.n {
			h.job(fmt.Sprintf("%s%d", name, i), fmt.Sprintf("schedule: %q\nmachine: {isolation: %s}\nrun: \":\"", at.Format("at(2006-01-02T15:04:05)"), rung))
		}
		if err := h.apply(h.jobs); err != nil {
			return nil, err
		}
		if after < 0 { // the daemon comes when all of them wait
			time.Sleep(time.Until(at) + time.Second)
		}
		if _, err := h.serve(); err != nil {
			return nil, err
		}
		all, err := h.ended(b.n)
		if err = errors.Join(err, h.stop()); err != nil {
			return nil, err
		}
		figures = append(figures, tell(rung, all)...)
	}
	return figures, nil
}

// many measures what applied schedules cost that are not due.
func many(ctx context.Context, b bench) (figures []figure, err error) {
	for _, n := range []int{10, 100 * b.n} {
		h, err := bench{dayfly: b.dayfly, dir: filepath.Join(b.dir, fmt.Sprint(n))}.home(ctx)
		if err != nil {
			return nil, err
		}
		for i := range n {
			h.job(fmt.Sprintf("j%d", i), fmt.Sprintf("schedule: \"%d %d 1 %d *\"\nrun: \":\"", i%60, i%24, 1+(int(time.Now().Month())+5)%12))
		}
		began := time.Now()
		if err := h.apply(h.jobs); err != nil {
			return nil, err
		}
		applied := time.Since(began)
		up, err := h.serve()
		if err != nil {
			return nil, err
		}
		time.Sleep(3 * time.Second) // until it has settled
		before, _, err1 := h.used()
		const idle = 30 * time.Second
		time.Sleep(idle)
		after, rss, err2 := h.used()
		if err := errors.Join(err1, err2, h.stop()); err != nil {
			return nil, err
		}
		f := []figure{
			{what: fmt.Sprintf("%d schedules: first apply", n), value: applied.Seconds(), unit: "s", gate: 60},
			{what: fmt.Sprintf("%d schedules: start-up of the daemon", n), value: up.Seconds(), unit: "s", gate: 1},
			{what: fmt.Sprintf("%d schedules: memory of the daemon", n), value: float64(rss) / (1 << 20), unit: "MiB", gate: 120},
			{what: fmt.Sprintf("%d schedules: CPU of the idle daemon a minute", n), value: (after - before).Seconds() * float64(time.Minute/idle), unit: "s", gate: 0.1},
		}
		if n == 10 {
			f[2].gate, f[2].goal, f[3].gate, f[3].goal = 40, 25, 0.05, 0.02
		}
		figures = append(figures, f...)
	}
	return figures, nil
}
