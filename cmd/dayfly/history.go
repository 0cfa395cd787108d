package main

import (
	"cmp"
	"context"
	"errors"
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
	shards              bool
	backfill            string
}

// How many lines a table has where nobody says: so many, or fewer once they stand for so many runs. A line of an array
// is made of all its shards, ten thousand at most.
const (
	tableLimit = 50
	tableRuns  = 300
)

// outcomes are what --outcome takes.
var outcomes = []string{"succeeded", "failed", "timed_out", "lost", "canceled", "refused", "missed", "skipped"}

func (a *app) historyCommand() *cobra.Command {
	var f historyFlags
	cmd := &cobra.Command{
		Use: "history", Short: "Lists runs, the newest slot first", Args: none,
		Long: `Lists runs, the newest slot first, ended or not. More than 16 slots in a row that were not launched are
one line: in JSON its slot is the first of them, and it has "to" and "count" as well. In a table the
shards of an array's slot are one line too; --shards shows them one by one.`,
		Example: "  dayfly history --job backup --outcome failed --since 7d\n  dayfly history --job frames --shards",
	}
	var output *string
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		filter, err := f.filter(cmd, a.now())
		if err != nil {
			return err
		}
		table := *output == "table" || *output == "wide"
		most := bounds{lines: f.limit}
		if table && !cmd.Flags().Changed("limit") {
			most = bounds{tableLimit, tableRuns}
		}
		return a.history(cmd.Context(), filter, most, table && !f.shards, *output)
	}
	output = outputFlag(cmd)
	cmd.Flags().IntVar(&f.limit, "limit", 0, fmt.Sprintf("at most `N` lines; 0 is all (default: in a table %d, of arrays as many as are made of %d runs; else all)", tableLimit, tableRuns))
	cmd.Flags().BoolVar(&f.shards, "shards", false, "in a table, a line for each shard of an array")
	cmd.Flags().StringVar(&f.job, "job", "", "only runs of this `JOB`")
	cmd.Flags().StringVar(&f.backfill, "backfill", "", "only runs of this backfill: `ID` as dayfly backfill --list shows it")
	cmd.Flags().StringVar(&f.since, "since", "", "only slots at or after this `TIME`: RFC 3339, or how long ago, such as 24h or 7d")
	choice{words: outcomes, value: &f.outcome, reads: asOutcome}.add(cmd, "outcome", "", "only runs that ended so: `OUTCOME` is "+strings.Join(outcomes, ", "))
	return cmd
}

func (f historyFlags) filter(cmd *cobra.Command, now time.Time) (store.Filter, error) {
	out := store.Filter{Job: dayfly.JobName(f.job), Outcome: dayfly.Outcome(f.outcome)}
	if f.backfill != "" {
		job := dayfly.BackfillID(f.backfill).Job()
		if job == "" || f.job != "" && f.job != string(job) {
			return out, usage(cmd, "--backfill %q is not the id of a backfill%s", f.backfill, map[bool]string{true: " of job " + f.job}[job != ""])
		}
		out.Job, out.Backfill = job, dayfly.BackfillID(f.backfill)
	}
	switch {
	case f.limit < 0:
		return out, usage(cmd, "--limit is 0 or more, not %d", f.limit)
	case f.job != "" && !out.Job.Valid():
		return out, usage(cmd, "--job %q is not the name of a job", f.job)
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
func asOutcome(text string) string {
	word := strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(strings.TrimSpace(text)))
	if word == "cancelled" {
		return string(dayfly.Canceled)
	}
	return word
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

// bounds are how much a listing shows: lines, and runs that they stand for; it ends with the line that reaches one.
type bounds struct{ lines, runs int } // 0: no bound

func (b bounds) reached(lines, runs int) bool {
	return b.lines > 0 && lines >= b.lines || b.runs > 0 && runs >= b.runs
}

func (a *app) history(ctx context.Context, f store.Filter, most bounds, together bool, output string) error {
	h, err := a.openAndGlance(ctx)
	if err != nil {
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
	ranges, broken, err := store.Readable(rangesOf(ctx, s, f))
	if err != nil {
		return err
	}
	lines, runs, more := 0, 0, false
	tell := func(d store.Damage) { broken = append(broken, d) }
	past := merged(store.Sound(s.History(ctx, f), tell), ranges)
	if together {
		past = bySlot(past)
	}
	rows := func(yield func(pastRun, error) bool) {
		for row, err := range past {
			if most.reached(lines, runs) {
				more = true
				return
			}
			lines++
			runs += max(1, len(row.shards))
			if !yield(row, err) {
				return
			}
		}
	}
	list := a.historyList()
	if f != (store.Filter{}) {
		list.empty = "No run is like that; dayfly history --limit 0 shows all there are."
	}
	shows := list.show(a, output, rows)
	if err := errors.Join(shows, naming(broken)); err != nil {
		return err
	}
	if more {
		a.say("There are older runs: --limit %d shows more, --limit 0 all.", lines*10)
	} else if output == "table" || output == "wide" {
		return a.sayGone(ctx, h, f.Job)
	}
	return nil
}

// knownOr is an error when a job has neither a record nor a run nor a range record.
func (h *home) knownOr(ctx context.Context, name dayfly.JobName) error {
	for _, err := range h.store.History(ctx, store.Filter{Job: name, Limit: 1}) {
		if store.IsDamage(err) { // it is there
			return nil
		}
		return err
	}
	ranges, damaged, err := store.Readable(h.store.Ranges(ctx, name, time.Time{}))
	if err != nil || len(damaged)+len(ranges) > 0 {
		return err
	}
	if _, gone, err := reconcile.GoneOf(ctx, h.store, name, h.now()); gone || err != nil {
		return err
	}
	_, err = h.job(ctx, string(name))
	return err
}

// pastRun is a run or a range record of the history.
type pastRun struct {
	runRecord
	run    *dayfly.Run  // nil: a range
	shards []dayfly.Run // several of an array's slot in one line; run is the first of them
}

// rangesOf are the range records that the filter selects, the newest first.
func rangesOf(ctx context.Context, s store.Store, f store.Filter) ([]dayfly.Range, error) {
	if f.Backfill != "" {
		return nil, nil // a backfill makes runs, or nothing
	}
	all, err := s.Ranges(ctx, f.Job, f.Since)
	if err != nil {
		err = fmt.Errorf("read range records: %w", err)
	}
	all = slices.DeleteFunc(all, func(r dayfly.Range) bool { return f.Outcome != "" && r.Outcome != f.Outcome })
	slices.SortFunc(all, func(x, y dayfly.Range) int { return y.To.Compare(x.To) })
	return all, err
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
			if !yield(pastRun{runRecord: newRecord(r), run: &r}, err) {
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

// bySlot puts the shards of an array's slot that were run for the same reason into one line.
func bySlot(rows iter.Seq2[pastRun, error]) iter.Seq2[pastRun, error] {
	return func(yield func(pastRun, error) bool) {
		var slot []dayfly.Run // of one array, as they come: n of several requests among one another
		flush := func() bool {
			lines := together(slot)
			slot = nil
			for _, line := range lines {
				if !yield(line, nil) {
					return false
				}
			}
			return true
		}
		for row, err := range rows {
			shard := err == nil && row.run != nil && isShard(*row.run)
			if len(slot) > 0 && (!shard || groupID(slot[0]) != groupID(*row.run)) && !flush() {
				return
			}
			if shard {
				slot = append(slot, *row.run)
			} else if !yield(row, err) {
				return
			}
		}
		flush()
	}
}

// together makes a line of the runs of one slot that have the same trigger; those that stand alone stay.
func together(slot []dayfly.Run) (lines []pastRun) {
	for _, r := range slot {
		i := slices.IndexFunc(lines, func(l pastRun) bool { return l.Trigger == r.Trigger })
		if i < 0 {
			lines = append(lines, pastRun{runRecord: newRecord(r), run: &r})
			i = len(lines) - 1
		}
		lines[i].shards = append(lines[i].shards, r)
	}
	for i := range lines {
		slices.SortFunc(lines[i].shards, func(a, b dayfly.Run) int { return a.Shard.Compare(b.Shard) })
		if len(lines[i].shards) == 1 {
			lines[i].shards = nil
		}
	}
	return lines
}

// tookTogether is how long an array took from its first launch to its last end; nothing before that.
func tookTogether(shards []dayfly.Run) string {
	var from, to time.Time
	for _, r := range shards {
		if r.EndedAt.IsZero() {
			return ""
		}
		if lastLaunched(r) == 0 {
			continue
		}
		if from.IsZero() || began(r).Before(from) {
			from = began(r)
		}
		if over(r).After(to) {
			to = over(r)
		}
	}
	if from.IsZero() {
		return ""
	}
	return took(to.Sub(from))
}

// fewShards is how many shards a line names.
const fewShards = 5

// badShards names those that ended and did not succeed, and says why: of the first, where they differ.
func badShards(shards []dayfly.Run) string {
	var bad []string
	var reason string
	reasons := map[string]bool{}
	for _, r := range shards {
		if r.State == dayfly.Ended && r.Outcome != dayfly.Succeeded {
			bad = append(bad, string(r.Shard))
			reason, reasons[r.Reason] = cmp.Or(reason, r.Reason), true
		}
	}
	if len(bad) == 0 {
		return ""
	}
	text := "shard " + bad[0]
	if len(bad) > 1 {
		text = "shards " + strings.Join(bad[:min(len(bad), fewShards)], ", ")
	}
	if more := len(bad) - fewShards; more > 0 {
		text += fmt.Sprintf(" and %s more", number(more))
	}
	if len(reasons) > 1 {
		return text + ", the first because " + reason
	}
	if len(bad) == len(shards) {
		return reason
	}
	return text + ": " + reason
}

func (a *app) historyList() listing[pastRun] {
	ofRun := func(f func(dayfly.Run) string) func(pastRun) string {
		return func(p pastRun) string {
			if p.run == nil || len(p.shards) > 0 {
				return ""
			}
			return f(*p.run)
		}
	}
	return listing[pastRun]{
		columns: []column[pastRun]{
			{head: "RUN", fit: middle | prose, cell: func(p pastRun) string {
				switch {
				case p.run == nil && p.Shards > 0:
					return fmt.Sprintf("%s: %s of %s %s, %s to %s", p.Job, plural(p.Count, "slot"), plural(p.Shards, "shard"), p.Outcome, instant(time.Time(p.Slot)), instant(time.Time(*p.To)))
				case p.run == nil:
					return fmt.Sprintf("%s: %s %s, %s to %s", p.Job, plural(p.Count, "slot"), p.Outcome, instant(time.Time(p.Slot)), instant(time.Time(*p.To)))
				case len(p.shards) > 0:
					return fmt.Sprintf("%s: %s", groupID(*p.run), plural(len(p.shards), "shard"))
				}
				return string(p.ID)
			}},
			{head: "OUTCOME", fit: prose, cell: func(p pastRun) string {
				switch {
				case p.run == nil:
					return spoken(string(p.Outcome))
				case len(p.shards) > 0:
					return countsOf(p.shards)
				}
				return stateText(*p.run)
			}},
			{head: "SLOT", cell: func(p pastRun) string { return when(time.Time(p.Slot), a.now()) }},
			{head: "TOOK", fit: spare, cell: func(p pastRun) string {
				switch {
				case len(p.shards) > 0:
					return tookTogether(p.shards)
				case p.run == nil || p.run.EndedAt.IsZero() || lastLaunched(*p.run) == 0:
					return ""
				}
				return took(over(*p.run).Sub(began(*p.run)))
			}},
			{head: "EXIT", fit: spare, cell: ofRun(func(r dayfly.Run) string {
				if at := r.Attempt(); at != nil && at.ExitCode != nil {
					return strconv.Itoa(*at.ExitCode)
				}
				return ""
			})},
			{head: "REASON", fit: prose, cell: func(p pastRun) string {
				if len(p.shards) > 0 {
					return badShards(p.shards)
				}
				return p.Reason
			}},
			{head: "TRIGGER", wide: true, cell: func(p pastRun) string { return triggerText(p.runRecord) }},
			{head: "ATTEMPTS", wide: true, cell: ofRun(func(r dayfly.Run) string { return strconv.Itoa(len(r.Attempts)) })},
			{head: "ENDED", wide: true, cell: ofRun(func(r dayfly.Run) string { return instant(r.EndedAt) })},
			{head: "REMOVED", wide: true, cell: ofRun(removedParts)},
			{head: "MACHINE", wide: true, cell: ofRun(func(r dayfly.Run) string {
				if at := r.Attempt(); at != nil && !neverWas(*at) {
					return string(at.Machine)
				}
				return ""
			})},
			{head: "PARAMS", wide: true, cell: func(p pastRun) string { return paramsText(p.Params) }},
		},
		name:  func(p pastRun) string { return string(p.ID) },
		empty: "No run is known.",
	}
}
