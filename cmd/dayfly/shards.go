package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// shardFlag adds --shard to a command whose argument names a run.
func shardFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("shard", "", "of an array the run of this shard: `N` counts from 0")
}

// isShard tells whether a run is one of an array.
func isShard(r dayfly.Run) bool {
	_, index := r.Shard.Parts()
	return index >= 0
}

// oneOf finds the run that a RUN argument means, and of an array the one of a shard.
func (h *home) oneOf(ctx context.Context, name, shard string) (dayfly.Run, error) {
	all, err := h.shardsOf(ctx, name, shard)
	if err != nil || len(all) == 0 {
		return dayfly.Run{}, err
	}
	if len(all) > 1 && dayfly.JobName(name).Valid() {
		run, err := h.run(ctx, name)
		return run, err
	}
	if len(all) > 1 {
		return dayfly.Run{}, &dayfly.Error{
			Code: dayfly.CodeInvalid, Message: fmt.Sprintf("%s has %s", name, plural(len(all), "shard")), Hint: "--shard N picks one of them, such as --shard " + string(all[0].Shard),
		}
	}
	return all[0], nil
}

// shardsOf finds the runs that a RUN argument means. An id is one run. The id of an array's slot, without a
// shard, is the latest run of each shard; a job that is an array means its latest slot, one that has not
// ended if there is one.
func (h *home) shardsOf(ctx context.Context, name, shard string) ([]dayfly.Run, error) {
	s, err := h.Store(ctx)
	if err != nil {
		return nil, err
	}
	job, slot, of, n, err := dayfly.RunID(name).Parse()
	if err == nil && of == "" {
		if _, err := s.Run(ctx, dayfly.RunID(name)); errors.Is(err, store.ErrNotFound) {
			all, err := slotOf(ctx, s, job, slot, n)
			if len(all) > 0 || err != nil {
				return pick(all, name, shard, err)
			}
		}
	}
	run, err := h.run(ctx, name)
	if err != nil {
		return nil, err
	}
	if !isShard(run) || dayfly.JobName(name) != run.Job {
		return pick([]dayfly.Run{run}, name, shard, nil)
	}
	slot = run.Slot
	active, _, err := store.Readable(s.ActiveRuns(ctx, store.Scope{Job: run.Job}))
	if err != nil {
		return nil, fmt.Errorf("read active runs: %w", err)
	}
	if n := len(active); n > 0 { // whether it has machines already or not
		slot = active[n-1].Slot
	}
	all, err := slotOf(ctx, s, run.Job, slot, 0)
	return pick(all, name, shard, err)
}

// pick leaves the run of one shard, where one is named.
func pick(runs []dayfly.Run, name, shard string, err error) ([]dayfly.Run, error) {
	if err != nil || shard == "" {
		return runs, err
	}
	i := slices.IndexFunc(runs, func(r dayfly.Run) bool { return string(r.Shard) == shard })
	switch {
	case i >= 0:
		return runs[i : i+1], nil
	case len(runs) == 1 && !isShard(runs[0]):
		return nil, &dayfly.Error{Code: dayfly.CodeInvalid, Message: fmt.Sprintf("run %s has no shards: its job is no array", runs[0].ID), Hint: "leave --shard out"}
	}
	e := &dayfly.Error{Code: dayfly.CodeNotFound, Message: fmt.Sprintf("%s has no shard %q", name, shard), Hint: "leave --shard out: it names one already"}
	if len(runs) > 1 {
		e.Hint = fmt.Sprintf("there are %s to %s", runs[0].Shard, runs[len(runs)-1].Shard)
	}
	return nil, e
}

// slotOf gives the latest run of each shard of an array's slot, in the order of the shards; with an n above
// 0 those of that n.
func slotOf(ctx context.Context, s store.Store, job dayfly.JobName, slot time.Time, n int) ([]dayfly.Run, error) {
	latest := map[dayfly.Shard]dayfly.Run{}
	after := dayfly.NewRunID(job, slot.Add(time.Millisecond), "", 0)
	for r, err := range store.Sound(s.History(ctx, store.Filter{Job: job, Since: slot, Before: after}), nil) {
		if err != nil {
			return nil, fmt.Errorf("read the runs of %s at %s: %w", job, instant(slot), err)
		}
		if was, ok := latest[r.Shard]; isShard(r) && (n == 0 || r.N == n) && (!ok || r.N > was.N) {
			latest[r.Shard] = r
		}
	}
	var all []dayfly.Run
	for _, r := range latest {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b dayfly.Run) int { return a.Shard.Compare(b.Shard) })
	return all, nil
}

// oneOfMany says which shard it is that a command shows, where nobody has said so.
func (a *app) oneOfMany(run dayfly.Run, name, shard string) {
	if isShard(run) && shard == "" && dayfly.RunID(name) != run.ID {
		a.say("This is shard %s, run %s; --shard picks another.", run.Shard, run.ID)
	}
}

// shapeOf says in words what a job makes of each slot beside a run at that instant: "20 machines, 5 at once",
// "up to 5 min later".
func shapeOf(job dayfly.Job) []string {
	var parts []string
	if job.Jitter > 0 {
		parts = append(parts, "up to "+took(job.Jitter.Duration())+" later")
	}
	if text := arrayText(job); text != "" {
		parts = append(parts, text)
	}
	return parts
}

// arrayText says how many machines an array has for each slot; empty for a job that is none.
func arrayText(job dayfly.Job) string {
	if job.Array == nil {
		return ""
	}
	text := plural(job.Array.Size, "machine")
	if n := job.AtOnce(); n > 0 {
		text += fmt.Sprintf(", %s at once", number(n))
	}
	return text
}

// inWords is a schedule and the shape of its runs; either may be missing.
func inWords(schedule string, shape []string) string {
	return strings.Join(slices.DeleteFunc(append([]string{schedule}, shape...), func(part string) bool { return part == "" }), "; ")
}

// cancelAll records that runs shall end, and tells how many were still active.
func cancelAll(ctx context.Context, s store.Store, runs []dayfly.Run, why string, now time.Time) (n int, err error) {
	for _, r := range runs {
		if r.State == dayfly.Ended {
			continue
		}
		err := reconcile.Cancel(ctx, s, r.ID, why, now)
		switch {
		case err == nil:
			n++
		case dayfly.ErrorCode(err) != dayfly.CodeRefused: // it may have ended meanwhile
			return n, err
		}
	}
	return n, nil
}
