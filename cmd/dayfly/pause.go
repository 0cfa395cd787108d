package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// pauseFlags are the flags of pause.
type pauseFlags struct {
	all           bool
	reason, until string
}

// longestReason bounds what stands in every record of a skipped slot.
const longestReason = 200

func (a *app) pauseCommand() *cobra.Command {
	var f pauseFlags
	cmd := &cobra.Command{
		Use: "pause JOB... | pause --all", Short: "Keeps jobs from running by their schedule until they are resumed",
		Long: `Keeps jobs from running by their schedule, until dayfly resume or --until. Each slot in the meantime is
recorded as skipped, with who paused the job and why, and nothing makes up for it later. Runs that there
are go on, those that wait as well, and dayfly run JOB runs it all the same. Applying its file changes
the job and does not resume it.`,
		Example: "  dayfly pause backup --reason 'the disk is being replaced' --until 12h",
		Args:    jobsOrAll(&f.all),
	}
	var output *string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		until, err := f.end(cmd, a.now())
		if err != nil {
			return err
		}
		return a.pause(cmd.Context(), args, f, until, *output)
	}
	output = outputFlag(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "all jobs that have a schedule")
	cmd.Flags().StringVar(&f.reason, "reason", "", "why: a `TEXT` that every skipped slot's record shows")
	cmd.Flags().StringVar(&f.until, "until", "", "slots from this `TIME` on run again: RFC 3339, or how long from now, such as 12h or 7d")
	return cmd
}

func (a *app) resumeCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "resume JOB... | resume --all", Short: "Lets paused jobs run by their schedule again",
		Long: `Lets jobs run by their schedule again, from the next slot on. What was skipped stays skipped; dayfly
retry runs one of the slots after all. A job that is paused because its file has vanished is resumed by
applying it.`,
		Example: "  dayfly resume --all",
		Args:    jobsOrAll(&all),
	}
	var output *string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.resume(cmd.Context(), args, *output)
	}
	output = outputFlag(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all jobs that somebody has paused")
	return cmd
}

// jobsOrAll checks that a command is given jobs, or else --all.
func jobsOrAll(all *bool) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case *all && len(args) > 0:
			return usage(cmd, "--all is for all jobs, and %q is one", args[0])
		case !*all && len(args) == 0:
			return usage(cmd, "%s takes the name of a job, or --all", cmd.CommandPath())
		}
		return nil
	}
}

// end reads --until; zero where there is none.
func (f pauseFlags) end(cmd *cobra.Command, now time.Time) (time.Time, error) {
	if n := utf8.RuneCountInString(f.reason); n > longestReason {
		return time.Time{}, usage(cmd, "--reason has at most %d characters, not %d", longestReason, n)
	}
	if f.until == "" {
		return time.Time{}, nil
	}
	until, err := time.Parse(time.RFC3339Nano, f.until)
	if err != nil {
		d, ok := ago(f.until)
		if !ok {
			return until, usage(cmd, "--until takes an RFC 3339 instant, or how long from now, such as 90m, 12h or 7d, not %q", f.until)
		}
		until = now.Add(d)
	}
	if !until.After(now) {
		return until, usage(cmd, "--until %s is not in the future", f.until)
	}
	return until.UTC(), nil
}

func (a *app) pause(ctx context.Context, names []string, f pauseFlags, until time.Time, output string) error {
	by, reason := "by "+a.who(), strings.Join(strings.Fields(f.reason), " ")
	if reason != "" {
		by += ": " + reason
	}
	scheduled := func(rec store.Job) bool { return rec.Scheduled }
	done, err := a.eachJob(ctx, names, scheduled, func(loop *reconcile.Reconciler, name dayfly.JobName) (change, error) {
		c, err := loop.Pause(ctx, name, by, until)
		why := reason
		if !until.IsZero() {
			why = strings.TrimSuffix("until "+instant(until)+", "+reason, ", ")
		}
		return change{Job: name, Change: c, Why: why}, err
	})
	if len(done) == 0 && err == nil && output == "table" {
		a.say("No job has a schedule.")
	}
	if err := errors.Join(a.showChanges(output, done), err); err != nil {
		return err
	}
	return a.goesOn(ctx, done, output)
}

// goesOn says which runs a pause leaves as they are, to people.
func (a *app) goesOn(ctx context.Context, done []change, output string) error {
	if output != "table" && output != "wide" {
		return nil
	}
	active, _, err := store.Readable(a.home.store.ActiveRuns(ctx, store.Scope{}))
	if err != nil {
		return fmt.Errorf("read active runs: %w", err)
	}
	count := map[dayfly.JobName]int{}
	for _, r := range active {
		count[r.Job]++
	}
	for _, c := range done {
		if n := count[c.Job]; n == 1 {
			a.say("A run of %s that was there before goes on: dayfly cancel %s ends it.", c.Job, c.Job)
		} else if n > 1 {
			a.say("%d runs of %s that were there before go on: dayfly cancel RUN ends one, dayfly ps shows them.", n, c.Job)
		}
	}
	return nil
}

func (a *app) resume(ctx context.Context, names []string, output string) error {
	held := func(rec store.Job) bool { return rec.Held.Why != "" }
	done, err := a.eachJob(ctx, names, held, func(loop *reconcile.Reconciler, name dayfly.JobName) (change, error) {
		c, err := loop.Resume(ctx, name)
		if err != nil {
			return change{}, err
		}
		rec, err := loop.Store.Job(ctx, name)
		if err != nil {
			return change{}, fmt.Errorf("read job %s: %w", name, err)
		}
		done := change{Job: name, Change: c, Source: rec.Source}
		switch why := rec.Vanished.Why; {
		case why != "" && c == reconcile.Unchanged:
			return done, &dayfly.Error{
				Code: dayfly.CodeRefused, Message: fmt.Sprintf("resume job %s: it is paused %s", name, why),
				Hint: fmt.Sprintf("put the file back and run dayfly apply %s; dayfly rm %s removes the job", rec.Source, name),
			}
		case why != "":
			done.Why = "it stays paused " + why
		case due(rec, a.now()):
			done.Why = "it is due " + when(rec.NextDue, a.now())
		default:
			done.Why = "it has no slot to come"
		}
		return done, nil
	})
	if len(done) == 0 && err == nil && output == "table" {
		a.say("No job is paused.")
	}
	if err := errors.Join(a.showChanges(output, done), err); err != nil {
		return err
	}
	recs, _, err := soundJobs(ctx, a.home.store)
	if err != nil {
		return err
	}
	a.unkept(a.home, output, anyDue(recs, a.now()))
	return nil
}

// eachJob does something to each of the jobs that are named, or without names to all that are meant. One
// that goes wrong does not keep it from the others.
func (a *app) eachJob(ctx context.Context, names []string, meant func(store.Job) bool, act func(*reconcile.Reconciler, dayfly.JobName) (change, error)) ([]change, error) {
	h, err := a.open()
	if err != nil {
		return nil, err
	}
	loop, err := h.Loop(ctx)
	if err != nil {
		return nil, err
	}
	var broken []store.Damage
	if len(names) == 0 {
		var recs []store.Job
		if recs, broken, err = soundJobs(ctx, h.store); err != nil {
			return nil, err
		}
		for _, rec := range recs {
			if meant(rec) {
				names = append(names, string(rec.Name))
			}
		}
	}
	defer h.ring()
	var done []change
	var errs []error
	for _, name := range names {
		c, err := act(loop, dayfly.JobName(name))
		if dayfly.ErrorCode(err) == dayfly.CodeNotFound {
			err = notFound("job", name, h.knownJobs(ctx), "dayfly ps --jobs lists the jobs")
		}
		if errs = append(errs, err); err == nil {
			done = append(done, c)
		}
	}
	return done, errors.Join(append(errs, naming(broken))...)
}

// who is the person at the command line, as far as the system knows.
func (a *app) who() string {
	u, err := user.Current()
	if name := a.getenv("SUDO_USER"); name != "" && err == nil && u.Uid == "0" {
		return name
	}
	if err == nil && u.Username != "" {
		return u.Username
	}
	return cmp.Or(a.getenv("USER"), a.getenv("LOGNAME"), "user "+strconv.Itoa(os.Getuid()))
}

// pauseText is why a job is paused, and until when.
func pauseText(p store.Pause, now time.Time) string {
	if p.Until.IsZero() {
		return p.Why
	}
	return fmt.Sprintf("%s, until %s, %s", p.Why, instant(p.Until), when(p.Until, now))
}

// stillPaused says of a job that was applied that this is not why it is paused.
func (h *home) stillPaused(ctx context.Context, name dayfly.JobName, c reconcile.Change) string {
	if c != reconcile.Changed {
		return ""
	}
	rec, err := h.store.Job(ctx, name)
	if pause := rec.Pause(h.now()); err == nil && pause.Why != "" {
		return "it stays paused " + pauseText(pause, h.now())
	}
	return ""
}

// despitePause says that a run by hand is none of a pause's business.
func (a *app) despitePause(ctx context.Context, h *home, name dayfly.JobName) {
	rec, err := h.store.Job(ctx, name)
	if pause := rec.Pause(a.now()); err == nil && pause.Why != "" {
		a.say("Job %s is paused %s; this run is by hand and goes on all the same.", name, clean(pauseText(pause, a.now())))
	}
}
