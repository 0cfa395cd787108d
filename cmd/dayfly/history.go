package main

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// historyFlags are the flags of history.
type historyFlags struct {
	limit               int
	job, since, outcome string
}

// tableLimit is how many lines a table has where nobody says.
const tableLimit = 50

// outcomes are what --outcome takes.
var outcomes = []string{"succeeded", "failed", "timed_out", "lost", "canceled", "refused", "missed", "skipped"}

func (a *app) historyCommand() *cobra.Command {
	var f historyFlags
	cmd := &cobra.Command{
		Use: "history", Short: "Lists runs, the newest slot first", Args: none,
		Long: `Lists runs, the newest slot first, ended or not. More than 16 slots in a row that were not launched are
one line: in JSON its slot is the first of them, and it has "to" and "count" as well.`,
	}
	var output *string
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		filter, err := f.filter(cmd, a.now())
		if err != nil {
			return err
		}
		table := *output == "table" || *output == "wide"
		if table && !cmd.Flags().Changed("limit") {
			f.limit = tableLimit
		}
		return a.history(cmd.Context(), filter, f.limit, *output)
	}
	output = outputFlag(cmd)
	cmd.Flags().IntVar(&f.limit, "limit", 0, fmt.Sprintf("at most `N` lines; 0 is all (default: %d in a table, else all)", tableLimit))
	cmd.Flags().StringVar(&f.job, "job", "", "only runs of this `JOB`")
	cmd.Flags().StringVar(&f.since, "since", "", "only slots at or after this `TIME`: RFC 3339, or how long ago, such as 24h or 7d")
	cmd.Flags().StringVar(&f.outcome, "outcome", "", "only runs that ended so: `OUTCOME` is "+strings.Join(outcomes, ", "))
	return cmd
}

func (f historyFlags) filter(cmd *cobra.Command, now time.Time) (store.Filter, error) {
	outcome := asOutcome(f.outcome)
	out := store.Filter{Job: dayfly.JobName(f.job), Outcome: outcome}
	switch {
	case f.limit < 0:
		return out, usage(cmd, "--limit is 0 or more, not %d", f.limit)
	case f.job != "" && !out.Job.Valid():
		return out, usage(cmd, "--job %q is not the name of a job", f.job)
	case f.outcome != "" && !slices.Contains(outcomes, string(outcome)):
		return out, usage(cmd, "--outcome takes %s, not %q", strings.Join(outcomes, ", "), f.outcome)
	case f.since == "":
		return out, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, f.since); err == nil {
		out.Since = t
		return out, nil
	}
	d, ok := ago(f.since)
	if !ok {
		return out, usage(cmd, "--since takes an RFC 3339 instant, or how long ago, such as 90m, 24h or 7d, not %q", f.since)
	}
	out.Since = now.Add(-d)
	return out, nil
}

// asOutcome reads an outcome as people write it: timed out, Timed-Out, cancelled.
func asOutcome(text string) dayfly.Outcome {
	word := strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(strings.TrimSpace(text)))
	if word == "cancelled" {
		return dayfly.Canceled
	}
	return dayfly.Outcome(word)
}

// ago reads 90m, 24h, 7d.
func ago(text string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err == nil
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}

func (a *app) history(ctx context.Context, f store.Filter, limit int, output string) error {
	h, err := a.open()
	if err != nil {
		return err
	}
	if err := a.glanceOver(ctx, h, store.Scope{}); err != nil {
		return err
	}
	s, err := h.Store(ctx)
	if err != nil {
		return err
	}
	if f.Job != "" {
		if err := h.knownOr(ctx, f.Job); err != nil {
			return err
		}
	}
	ranges, err := rangesOf(ctx, s, f)
	if err != nil {
		return err
	}
	shown, more := 0, false
	rows := func(yield func(pastRun, error) bool) {
		for row, err := range merged(s.History(ctx, f), ranges) {
			if limit > 0 && shown == limit {
				more = true
				return
			}
			shown++
			if !yield(row, err) {
				return
			}
		}
	}
	if err := a.historyList().show(a, output, rows); err != nil {
		return err
	}
	if more {
		a.say("There are older runs: --limit %d shows more, --limit 0 all.", limit*10)
	} else if output == "table" || output == "wide" {
		return a.sayGone(ctx, h, f.Job)
	}
	return nil
}

// knownOr is an error when a job has neither a record nor a run nor a range record.
func (h *home) knownOr(ctx context.Context, name dayfly.JobName) error {
	for _, err := range h.store.History(ctx, store.Filter{Job: name, Limit: 1}) {
		return err
	}
	if ranges, err := h.store.Ranges(ctx, name, time.Time{}); err != nil || len(ranges) > 0 {
		return err
	}
	if _, gone, err := reconcile.GoneOf(ctx, h.store, name, h.now()); gone || err != nil {
		return err
	}
	_, err := h.job(ctx, string(name))
	return err
}

// pastRun is a run or a range record of the history.
type pastRun struct {
	runRecord
	run *dayfly.Run // nil: a range
}

// rangesOf are the range records that the filter selects, the newest first.
func rangesOf(ctx context.Context, s store.Store, f store.Filter) ([]dayfly.Range, error) {
	all, err := s.Ranges(ctx, f.Job, f.Since)
	if err != nil {
		return nil, fmt.Errorf("read range records: %w", err)
	}
	all = slices.DeleteFunc(all, func(r dayfly.Range) bool { return f.Outcome != "" && r.Outcome != f.Outcome })
	slices.SortFunc(all, func(x, y dayfly.Range) int { return y.To.Compare(x.To) })
	return all, nil
}

// merged puts range records between the runs, where their last slot belongs.
func merged(runs iter.Seq2[dayfly.Run, error], ranges []dayfly.Range) iter.Seq2[pastRun, error] {
	return func(yield func(pastRun, error) bool) {
		for r, err := range runs {
			for ; err == nil && len(ranges) > 0 && ranges[0].To.After(r.Slot); ranges = ranges[1:] {
				if !yield(pastRun{runRecord: newRange(ranges[0])}, nil) {
					return
				}
			}
			if !yield(pastRun{newRecord(r), &r}, err) {
				return
			}
		}
		for _, r := range ranges {
			if !yield(pastRun{runRecord: newRange(r)}, nil) {
				return
			}
		}
	}
}

func (a *app) historyList() listing[pastRun] {
	ofRun := func(f func(dayfly.Run) string) func(pastRun) string {
		return func(p pastRun) string {
			if p.run == nil {
				return ""
			}
			return f(*p.run)
		}
	}
	return listing[pastRun]{
		columns: []column[pastRun]{
			{head: "RUN", cell: func(p pastRun) string {
				if p.run == nil {
					return fmt.Sprintf("%s: %s %s, %s to %s", p.Job, plural(p.Count, "slot"), p.Outcome, instant(time.Time(p.Slot)), instant(time.Time(*p.To)))
				}
				return string(p.ID)
			}},
			{head: "OUTCOME", cell: func(p pastRun) string {
				if p.run == nil {
					return spoken(string(p.Outcome))
				}
				return stateText(*p.run)
			}},
			{head: "SLOT", cell: func(p pastRun) string { return when(time.Time(p.Slot), a.now()) }},
			{head: "TOOK", cell: ofRun(func(r dayfly.Run) string {
				if r.EndedAt.IsZero() || lastLaunched(r) == 0 {
					return ""
				}
				return took(over(r).Sub(began(r)))
			})},
			{head: "EXIT", cell: ofRun(func(r dayfly.Run) string {
				if at := r.Attempt(); at != nil && at.ExitCode != nil {
					return strconv.Itoa(*at.ExitCode)
				}
				return ""
			})},
			{head: "REASON", cell: func(p pastRun) string { return p.Reason }},
			{head: "TRIGGER", wide: true, cell: func(p pastRun) string { return string(p.Trigger) }},
			{head: "ATTEMPTS", wide: true, cell: ofRun(func(r dayfly.Run) string { return strconv.Itoa(len(r.Attempts)) })},
			{head: "ENDED", wide: true, cell: ofRun(func(r dayfly.Run) string { return instant(r.EndedAt) })},
			{head: "REMOVED", wide: true, cell: ofRun(removedParts)},
			{head: "MACHINE", wide: true, cell: ofRun(func(r dayfly.Run) string {
				if at := r.Attempt(); at != nil && !neverWas(*at) {
					return string(at.Machine)
				}
				return ""
			})},
		},
		name:  func(p pastRun) string { return string(p.ID) },
		empty: "No run is known.",
	}
}
