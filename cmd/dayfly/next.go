package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/store"
)

// nextFlags are the flags of next.
type nextFlags struct {
	zone, after, job, anchor string
	count                    int
	changes                  bool
	output                   string
}

// maxNext bounds --count.
const maxNext = 100_000

func (a *app) nextCommand() *cobra.Command {
	var f nextFlags
	cmd := &cobra.Command{
		Use: "next JOB|FILE | next [--tz ZONE] -- EXPR", Short: "Shows when a job or an expression is due next",
		Long: `Shows the next runs of a job, or of a job file, in its time zone and in UTC, with the schedule in words.

After -- the argument is an expression: five cron fields, a macro such as @daily or @every 90m, or
cron(...), rate(...), at(...). Then one RFC 3339 instant a line comes out, with the zone's offset; fewer
than asked for, or none, when nothing more comes.

With --clock-changes it shows instead what the clock changes of a year do to the schedule: times of day
that do not exist or come twice, and what runs for them.`,
		Example: "  dayfly next backup.yaml\n  dayfly next --tz Europe/Tallinn -- '30 3 * * *'\n  dayfly next backup --clock-changes",
	}
	var output *string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f.output = *output
		return a.next(cmd, args, f)
	}
	output = outputFlag(cmd, "text", "json")
	cmd.Flags().BoolVar(&f.changes, "clock-changes", false, "show the clock changes of the year that touch the schedule")
	cmd.Flags().StringVar(&f.zone, "tz", "UTC", "the IANA `ZONE` in which the expression is read")
	cmd.Flags().StringVar(&f.after, "after", "", "show what comes after this `RFC3339` instant (default: now)")
	cmd.Flags().IntVar(&f.count, "count", 5, "show `N` instants")
	cmd.Flags().StringVar(&f.job, "job", "", "the `NAME` of the job, which fixes H in the expression")
	cmd.Flags().StringVar(&f.anchor, "anchor", "", "the `RFC3339` instant from which @every and rate(...) count (default: 1970-01-01T00:00:00Z)")
	return cmd
}

func (a *app) next(cmd *cobra.Command, args []string, f nextFlags) error {
	after := a.now()
	if f.after != "" {
		var err error
		if after, err = time.Parse(time.RFC3339Nano, f.after); err != nil {
			return usage(cmd, "--after %q is not an RFC 3339 instant such as 2026-11-22T23:00:00Z", f.after)
		}
	}
	if f.count < 1 || f.count > maxNext {
		return usage(cmd, "--count is from 1 to %d, not %d", maxNext, f.count)
	}
	if cmd.ArgsLenAtDash() == 0 {
		if len(args) != 1 {
			return unquoted(cmd, "after -- comes one expression", args)
		}
		if _, err := os.Lstat(args[0]); err == nil && !isExpression(args[0]) {
			e := usage(cmd, "after -- comes an expression, and %s is a file", args[0])
			e.Hint = fmt.Sprintf("an expression stands between quotes, such as '%s'; a job file stands before --: dayfly next %s", someExpression, args[0])
			return e
		}
		return a.nextOfText(cmd, args[0], after, f)
	}
	if text := strings.Join(args, " "); looksDue(text) && (len(args) == 1 || isExpression(text)) {
		e := usage(cmd, "%s is an expression, and those come after --", text)
		e.Hint = "dayfly next -- '" + text + "'"
		return e
	}
	if len(args) != 1 {
		return unquoted(cmd, "next takes a job, a job file, or -- and an expression", args)
	}
	for _, name := range []string{"tz", "job", "anchor"} {
		if cmd.Flags().Changed(name) {
			return usage(cmd, "--%s is for an expression after --; a job has its own", name)
		}
	}
	return a.nextOfJob(cmd.Context(), args[0], after, f)
}

// looksDue tells whether a text was meant as an expression: it is one, or it begins like one and there is no
// such file.
func looksDue(text string) bool {
	if isExpression(text) {
		return true
	}
	begins := slices.ContainsFunc([]string{"@", "cron(", "rate(", "at("}, func(with string) bool { return strings.HasPrefix(text, with) })
	if !begins && len(strings.Fields(text)) < 5 {
		return false
	}
	_, err := os.Lstat(text)
	return errors.Is(err, fs.ErrNotExist)
}

// nextOfText prints the next instants of an expression.
func (a *app) nextOfText(cmd *cobra.Command, text string, after time.Time, f nextFlags) error {
	o := schedule.Options{Key: f.job}
	var err error
	if f.anchor != "" {
		if o.Anchor, err = time.Parse(time.RFC3339Nano, f.anchor); err != nil {
			return usage(cmd, "--anchor %q is not an RFC 3339 instant such as 2026-01-01T00:30:00Z", f.anchor)
		}
	}
	if f.job != "" && !dayfly.JobName(f.job).Valid() {
		return usage(cmd, "--job %q is not the name of a job", f.job)
	}
	if o.Location, err = schedule.LoadLocation(f.zone); err != nil {
		return refusedText("", err)
	}
	s, err := schedule.Parse(text, o)
	if err != nil {
		return refusedText(text, err)
	}
	for _, w := range s.Warnings() {
		a.warn("%s", w)
	}
	set := schedule.NewSet(schedule.Member{Schedule: s})
	switch {
	case f.output == "json":
		return writeJSON(a.out, upcomingOf(set, o.Location, after, f.count))
	case f.changes:
		return a.nextChanges(set, after)
	}
	return a.printInstants(s.Next, after, f.count)
}

// upcoming is what next shows, for programs: a contract, in which fields are only added.
type upcoming struct {
	Job      dayfly.JobName `json:"job,omitempty"`
	Schedule string         `json:"schedule"` // in words
	Timezone string         `json:"timezone"`
	Jitter   dayfly.Seconds `json:"jitter,omitempty"` // each begins up to so many seconds later
	Array    *dayfly.Array  `json:"array,omitempty"`
	Next     []nextRun      `json:"next"`
	Changes  []clockChange  `json:"clock_changes"` // of the year after
}

func upcomingOf(set *schedule.Set, zone *time.Location, after time.Time, count int) upcoming {
	return upcoming{Schedule: set.Describe(), Timezone: zone.String(), Next: nextRuns(set, zone, after, count), Changes: clockChanges(set, after)}
}

// nextRuns are the first instants of a set after another.
func nextRuns(set *schedule.Set, zone *time.Location, after time.Time, count int) []nextRun {
	runs := []nextRun{}
	for t, ok := set.Next(after); ok && len(runs) < count; t, ok = set.Next(t) {
		local := t.In(zone)
		runs = append(runs, nextRun{At: stamp(t), Local: local.Format(rfc3339Offset), local: local})
	}
	return runs
}

// nextChanges shows the clock changes of the year after an instant.
func (a *app) nextChanges(set *schedule.Set, after time.Time) error {
	changes := clockChanges(set, after)
	if len(changes) == 0 {
		a.say("No clock change touches it up to %s.", after.AddDate(1, 0, 0).UTC().Format(time.DateOnly))
		return nil
	}
	return a.showClockChanges(changes)
}

func (a *app) printInstants(next func(time.Time) (time.Time, bool), after time.Time, count int) error {
	for range count {
		t, ok := next(after)
		if !ok {
			return nil
		}
		if _, err := fmt.Fprintln(a.out, t.Format(time.RFC3339)); err != nil {
			return err
		}
		after = t
	}
	return nil
}

// refusedText is an expression that was refused, with a caret under each thing that is wrong with it.
func refusedText(text string, err error) error {
	first, ok := errors.AsType[*schedule.Error](err)
	if !ok {
		return &exit{exitUsage, err}
	}
	var errs []error
	for _, e := range append([]*schedule.Error{first}, first.More...) {
		message := e.Error() + underlined(text, e.Offset, e.Len)
		errs = append(errs, &dayfly.Error{Code: dayfly.CodeInvalid, Message: message, Hint: cmp.Or(e.Hint, "dayfly explain schedule says what may stand there"), Err: e})
	}
	return &exit{exitUsage, errors.Join(errs...)}
}

// underlined is a text below a message, with carets under n bytes of it; nothing where n is 0 or it cannot be shown.
func underlined(text string, at, n int) string {
	if n == 0 || clean(text) != text {
		return ""
	}
	return "\n  " + text + "\n  " + strings.Repeat(" ", at) + strings.Repeat("^", n)
}

// localForm is an instant in a zone, for people.
const localForm = "Mon 2006-01-02 15:04:05 -07:00"

// nextOfJob prints the next runs of a job or a job file.
func (a *app) nextOfJob(ctx context.Context, name string, after time.Time, f nextFlags) error {
	job, rec, err := a.jobOf(ctx, name)
	if err != nil {
		return err
	}
	set, err := reconcile.Slots(job)
	if err != nil {
		return refusedText("", err)
	}
	zone, err := schedule.LoadLocation(job.Timezone)
	if err != nil {
		return refusedText("", err)
	}
	if f.output == "json" {
		u := upcomingOf(set, zone, after, f.count)
		u.Job, u.Jitter, u.Array = job.Name, job.Jitter, job.Array
		return writeJSON(a.out, u)
	}
	if len(job.Schedules) == 0 {
		a.say("Job %s has no schedule; it runs when it is asked to: dayfly run %s", job.Name, name)
		return nil
	}
	fmt.Fprintf(a.page(), "%s: %s\n", job.Name, strings.Join(append([]string{set.Describe()}, shapeOf(job)...), "; "))
	for _, m := range set.Members() {
		for _, w := range m.Schedule.Warnings() {
			a.warn("%s", w)
		}
	}
	switch {
	case rec == nil:
	case rec.Pause(a.now()).Why != "":
		a.warn("the job is paused %s", pauseText(rec.Pause(a.now()), a.now()))
	case !rec.Scheduled:
		a.warn("the job was not applied; nothing runs by this schedule until dayfly apply %s", rec.Source)
	}
	if f.changes {
		return a.nextChanges(set, after)
	}
	lines := [][]string{{job.Timezone, "UTC", ""}}
	for _, n := range nextRuns(set, zone, after, f.count) {
		t := time.Time(n.At)
		line := []string{n.local.Format(localForm), instant(t), when(t, a.now())}
		if rec != nil && rec.Pause(t).Why != "" {
			line[2] += ", skipped"
		}
		if job.Timezone == "UTC" { // once is enough
			line = slices.Delete(line, 1, 2)
		}
		lines = append(lines, line)
	}
	if job.Timezone == "UTC" {
		lines[0] = slices.Delete(lines[0], 1, 2)
	}
	if len(lines) == 1 {
		a.say("Nothing more comes.")
		return nil
	}
	if err := (table{lines: lines}).write(a.out, widthOf(a.out)); err != nil {
		return err
	}
	if rec != nil {
		a.unkept(a.home, "table", due(*rec, a.now()))
	}
	return nil
}

// jobOf gives the job that a FILE or JOB argument names, and its record if it is known by name.
func (a *app) jobOf(ctx context.Context, name string) (dayfly.Job, *store.Job, error) {
	if namesFile(name) {
		j := readJob(name, nil)
		if j.err != nil {
			return dayfly.Job{}, nil, j.err
		}
		a.advise(j)
		return j.file.Job, nil, nil
	}
	h, err := a.openToLook()
	if err != nil {
		return dayfly.Job{}, nil, err
	}
	rec, err := h.job(ctx, name)
	if err != nil {
		return dayfly.Job{}, nil, err
	}
	job, err := h.store.Version(ctx, rec.Version)
	if err != nil {
		return dayfly.Job{}, nil, fmt.Errorf("read job %s: %w", name, err)
	}
	return job, &rec, nil
}

// job gives the record of a job.
func (h *home) job(ctx context.Context, name string) (store.Job, error) {
	s, err := h.Store(ctx)
	if err != nil {
		return store.Job{}, err
	}
	rec, err := s.Job(ctx, dayfly.JobName(name))
	if errors.Is(err, store.ErrNotFound) {
		return rec, notFound("job", name, h.knownJobs(ctx), "dayfly ps --jobs lists the jobs; a file is named with its ending, such as "+name+".yaml")
	}
	if err != nil {
		return rec, fmt.Errorf("read job %s: %w", name, err)
	}
	return rec, nil
}
