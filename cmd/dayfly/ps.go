package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

func (a *app) psCommand() *cobra.Command {
	var jobs bool
	cmd := &cobra.Command{
		Use: "ps", Short: "Lists the runs under way, or the jobs", Args: none,
		Long:    "Lists the runs that are not ended, with what each is at; with --jobs the jobs and when they are due next.",
		Example: "  dayfly ps\n  dayfly ps --jobs -o wide",
	}
	var output *string
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if jobs {
			return a.psJobs(cmd.Context(), *output)
		}
		return a.ps(cmd.Context(), *output)
	}
	output = outputFlag(cmd)
	cmd.Flags().BoolVar(&jobs, "jobs", false, "list the jobs instead")
	return cmd
}

// activeRun is a run under way, with its machine as far as that is listed.
type activeRun struct {
	runRecord
	Phase     string `json:"phase"`
	Deadline  stamp  `json:"deadline"`
	NotBefore stamp  `json:"not_before"` // it waits until then: for its jitter, or after an attempt

	run    dayfly.Run
	shards int // how many alike this line of a table stands for, if not one
}

func (a *app) ps(ctx context.Context, output string) error {
	h, err := a.openAndGlance(ctx)
	if err != nil {
		return err
	}
	loop, err := h.Loop(ctx)
	if err != nil {
		return err
	}
	runs, broken, err := store.Readable(loop.Store.ActiveRuns(ctx, store.Scope{}))
	if err != nil {
		return fmt.Errorf("read active runs: %w", err)
	}
	rows := make([]activeRun, len(runs))
	byToken := a.machinesByToken(ctx, h)
	for i, r := range runs {
		rows[i] = activeRun{runRecord: newRecord(r), NotBefore: stamp(r.NotBefore), run: r}
		if at := r.Attempt(); at != nil && r.State != dayfly.Due {
			rows[i].Phase = byToken[at.Token].Phase
			rows[i].Deadline = stamp(at.Deadline)
		}
	}
	if output == "table" || output == "wide" {
		rows = withoutTwins(rows)
	}
	list := a.activeList()
	if len(broken) > 0 {
		list.empty = "No other run is under way."
	}
	if err := list.show(a, output, allOf(rows)); err != nil {
		return err
	}
	if err := a.sayFills(ctx, h, output); err != nil {
		return errors.Join(err, naming(broken))
	}
	jobs, brokenJobs, err := soundJobs(ctx, loop.Store)
	if err != nil {
		return err
	}
	if serve := a.toServe(h, output); serve != "" && slices.ContainsFunc(runs, waits) {
		a.say("No daemon is at work here: what waits goes on with the command that stays with it, the next run of its job, or %s.", serve)
	} else {
		a.unkept(h, output, anyDue(jobs, a.now()))
	}
	return naming(slices.Concat(broken, brokenJobs))
}

// sayFills says how far the backfills are that go on, to people.
func (a *app) sayFills(ctx context.Context, h *home, output string) error {
	if output != "table" && output != "wide" {
		return nil
	}
	fills, err := h.openFills(ctx)
	for _, f := range fills {
		a.say("%s", fillText(f))
	}
	return err
}

// waits tells whether a run waits for a machine.
func waits(r dayfly.Run) bool { return r.State == dayfly.Due }

// due tells whether a job waits for its schedule.
func due(rec store.Job, now time.Time) bool {
	return rec.Scheduled && rec.Pause(now).Why == "" && !rec.NextDue.IsZero()
}

// anyDue tells whether one of the jobs does.
func anyDue(recs []store.Job, now time.Time) bool {
	return slices.ContainsFunc(recs, func(rec store.Job) bool { return due(rec, now) })
}

// unkept says that schedules are waiting and nobody is at work who keeps them, to people.
func (a *app) unkept(h *home, output string, waiting bool) {
	if serve := a.toServe(h, output); waiting && serve != "" {
		a.say("No daemon is at work here, so nothing runs by schedule: start %s, or put it with --once into a crontab.", serve)
	}
}

// toServe is the command that brings a daemon to work, where a person is told and none is.
func (a *app) toServe(h *home, output string) string {
	if output != "table" && output != "wide" {
		return ""
	}
	if held, err := h.daemon(); err != nil || held {
		return "" // an error of it has been said, or stands in nobody's way
	}
	if a.data != "" {
		return "dayfly serve --data " + a.data
	}
	return "dayfly serve"
}

// machinesByToken is what all providers list, as far as they can.
func (a *app) machinesByToken(ctx context.Context, h *home) map[string]dayfly.Machine {
	all := map[string]dayfly.Machine{}
	for name, p := range h.loop.Providers {
		list, err := h.list(ctx, p)
		if err != nil {
			a.warn("list machines on %s: %s", name, err)
		}
		for _, m := range list.Machines {
			if m.Tags.Installation == h.settings.Installation {
				all[m.Tags.Token] = m
			}
		}
	}
	return all
}

func (a *app) activeList() listing[activeRun] {
	attempt := func(f func(dayfly.Attempt) string) func(activeRun) string {
		return func(r activeRun) string {
			if at := r.run.Attempt(); at != nil && r.run.State != dayfly.Due {
				return f(*at)
			}
			return ""
		}
	}
	return listing[activeRun]{
		columns: []column[activeRun]{
			{head: "RUN", fit: middle | prose, cell: func(r activeRun) string {
				if r.shards > 1 {
					return fmt.Sprintf("%s: %s", groupID(r.run), plural(r.shards, "shard"))
				}
				return string(r.ID)
			}},
			{head: "STATE", cell: func(r activeRun) string { return string(r.State) }},
			{head: "PHASE", fit: spare, cell: func(r activeRun) string { return r.Phase }},
			{head: "FOR", cell: func(r activeRun) string { return coarse(a.now().Sub(began(r.run))) }},
			{head: "DEADLINE", cell: attempt(func(at dayfly.Attempt) string { return when(at.Deadline, a.now()) })},
			{head: "MACHINE", fit: short | spare, cell: attempt(func(at dayfly.Attempt) string { return string(at.Machine) })},
			{head: "REASON", fit: prose, cell: func(r activeRun) string {
				if at := time.Time(r.NotBefore); r.Reason == "" && at.After(a.now()) {
					return "begins " + when(at, a.now()) + ", by its jitter"
				}
				return r.Reason
			}},
			{head: "TRIGGER", wide: true, cell: func(r activeRun) string { return triggerText(r.runRecord) }},
			{head: "ATTEMPT", wide: true, cell: attempt(func(at dayfly.Attempt) string { return fmt.Sprint(at.Number) })},
			{head: "ISOLATION", wide: true, cell: attempt(func(at dayfly.Attempt) string { return string(at.Isolation) })},
			{head: "PARAMS", wide: true, cell: func(r activeRun) string { return paramsText(r.Params) }},
		},
		name: func(r activeRun) string { return string(r.ID) }, empty: "No run is under way.",
	}
}

// fewTwins is how many shards that wait for the same have a line each.
const fewTwins = 3

// withoutTwins puts the shards of an array that wait for the same into one line, where they are many.
func withoutTwins(rows []activeRun) []activeRun {
	type alike struct {
		of      dayfly.RunID
		trigger dayfly.Trigger
		reason  string
	}
	key := func(r activeRun) alike { return alike{groupID(r.run), r.Trigger, r.Reason} }
	waits := func(r activeRun) bool { return isShard(r.run) && r.run.State == dayfly.Due && len(r.run.Attempts) == 0 }
	n := map[alike]int{}
	for _, r := range rows {
		if waits(r) {
			n[key(r)]++
		}
	}
	var out []activeRun
	for _, r := range rows {
		if waits(r) && n[key(r)] > fewTwins {
			if r.shards = n[key(r)]; slices.ContainsFunc(out, func(o activeRun) bool { return o.shards > 1 && key(o) == key(r) }) {
				continue
			}
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(x, y activeRun) int {
		return cmp.Or(x.run.Slot.Compare(y.run.Slot), cmp.Compare(x.Job, y.Job), cmp.Compare(x.shards, y.shards), x.Shard.Compare(y.Shard))
	})
	return out
}

// triggerText is what made a run, and which backfill it was.
func triggerText(r runRecord) string {
	if r.Backfill != "" {
		return "backfill " + string(r.Backfill)
	}
	return string(r.Trigger)
}

// paramsText is the values of parameters in a line.
func paramsText(params map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(params)) {
		parts = append(parts, name+"="+params[name])
	}
	return strings.Join(parts, " ")
}

// knownJob is a job as it is listed.
type knownJob struct {
	Name        dayfly.JobName `json:"name"`
	Description string         `json:"description"`
	Schedule    string         `json:"schedule"` // in words
	Timezone    string         `json:"timezone"`
	NextDue     stamp          `json:"next_due"`
	Scheduled   bool           `json:"scheduled"` // false: known only from run FILE
	Paused      string         `json:"paused"`    // why: by whom, or because of what
	PausedUntil stamp          `json:"paused_until"`
	Source      string         `json:"source"`
	Problem     string         `json:"problem"` // what is wrong with the file, so that an older version holds
	AppliedAt   stamp          `json:"applied_at"`
	Version     string         `json:"version"`
	Last        *runRecord     `json:"last_run"`
	Jitter      dayfly.Seconds `json:"jitter"`
	Array       *dayfly.Array  `json:"array"` // null where each slot is one run

	Params map[string]dayfly.Param `json:"params"`

	shape  []string     // in words
	shards []dayfly.Run // of the last run, where it is one of an array
}

func (a *app) psJobs(ctx context.Context, output string) error {
	h, err := a.openAndGlance(ctx)
	if err != nil {
		return err
	}
	s, err := h.Store(ctx)
	if err != nil {
		return err
	}
	recs, broken, err := soundJobs(ctx, s)
	if err != nil {
		return err
	}
	wrong, err := h.wrongFiles(ctx)
	if err != nil {
		return err
	}
	var rows []knownJob
	for _, rec := range recs {
		k, err := known(ctx, s, rec, a.now())
		if d, bad := errors.AsType[store.Damage](err); bad { // all else of it is shown
			broken = append(broken, d)
		} else if err != nil {
			return err
		}
		k.Problem = wrong[rec.Source]
		rows = append(rows, k)
	}
	if err := a.jobList().show(a, output, allOf(rows)); err != nil {
		return err
	}
	if output == "table" || output == "wide" {
		for _, path := range slices.Sorted(maps.Keys(wrong)) {
			a.warn("%s is not applied, what was applied before stays: %s", path, wrong[path])
		}
	}
	a.aheadOf(recs)
	a.unkept(h, output, anyDue(recs, a.now()))
	return naming(broken)
}

// aheadOf names the jobs whose slots to come are recorded already, by a clock that was ahead.
func (a *app) aheadOf(recs []store.Job) {
	for _, rec := range recs {
		if !due(rec, a.now()) || rec.Cursor.Sub(a.now()) < time.Minute {
			continue
		}
		a.warn("the clock was ahead: the slots of job %s up to %s are recorded already and do not come again", rec.Name, instant(rec.Cursor))
		a.say("hint: dayfly run %s runs it by hand; under another name its slots begin now", rec.Name)
	}
}

func known(ctx context.Context, s store.Store, rec store.Job, now time.Time) (knownJob, error) {
	pause := rec.Pause(now)
	k := knownJob{
		Name: rec.Name, NextDue: stamp(rec.NextDue), Scheduled: rec.Scheduled, Paused: pause.Why, PausedUntil: stamp(pause.Until),
		Source: rec.Source, AppliedAt: stamp(rec.AppliedAt), Version: rec.Version,
	}
	for r, err := range store.Sound(s.History(ctx, store.Filter{Job: rec.Name, Ended: true, Limit: 1}), nil) {
		if err != nil {
			return k, fmt.Errorf("read the runs of job %s: %w", rec.Name, err)
		}
		last := newRecord(r)
		k.Last = &last
		if isShard(r) {
			if k.shards, err = slotOf(ctx, s, r.Job, r.Slot, 0); err != nil {
				return k, err
			}
		}
	}
	if k.Paused != "" {
		k.NextDue = stamp{}
	}
	k.Params = map[string]dayfly.Param{}
	job, err := s.Version(ctx, rec.Version)
	if err != nil {
		return k, fmt.Errorf("read job %s: %w", rec.Name, err)
	}
	k.Description, k.Timezone = job.Description, job.Timezone
	k.Jitter, k.Array, k.shape = job.Jitter, job.Array, shapeOf(job)
	if job.Params != nil {
		k.Params = job.Params
	}
	set, err := reconcile.Slots(job)
	if err != nil {
		k.Schedule = err.Error()
	} else {
		k.Schedule = set.Describe()
	}
	if k.Paused != "" {
		if first, ok := set.Next(pause.Until.Add(-time.Nanosecond)); ok && !pause.Until.IsZero() {
			k.NextDue = stamp(first)
		}
	}
	return k, nil
}

func (a *app) jobList() listing[knownJob] {
	return listing[knownJob]{
		columns: []column[knownJob]{
			{head: "JOB", fit: middle, cell: func(k knownJob) string { return string(k.Name) }},
			{head: "NEXT", fit: prose, cell: func(k knownJob) string {
				switch {
				case k.Paused != "" && !time.Time(k.NextDue).IsZero():
					return "paused, then " + when(time.Time(k.NextDue), a.now())
				case k.Paused != "":
					return "paused"
				case !k.Scheduled:
					return "not applied"
				}
				return when(time.Time(k.NextDue), a.now())
			}},
			{head: "LAST", fit: prose, cell: func(k knownJob) string {
				switch {
				case k.Last == nil:
					return ""
				case len(k.shards) > 1:
					return countsOf(k.shards) + " " + when(time.Time(k.Last.Slot), a.now())
				}
				return spoken(string(k.Last.Outcome)) + " " + when(time.Time(k.Last.Slot), a.now())
			}},
			{head: "SCHEDULE", fit: prose, cell: func(k knownJob) string {
				return inWords(strings.TrimSpace(k.Schedule), k.shape)
			}},
			{head: "PAUSED", wide: true, cell: func(k knownJob) string { return k.Paused }},
			{head: "NEXT DUE", wide: true, cell: func(k knownJob) string { return instant(time.Time(k.NextDue)) }},
			{head: "FILE", wide: true, cell: func(k knownJob) string { return k.Source }},
			{head: "PROBLEM", wide: true, cell: func(k knownJob) string { return k.Problem }},
		},
		name: func(k knownJob) string { return string(k.Name) }, empty: "No job is known. dayfly apply FILE makes one known.",
	}
}
