package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/schedule"
)

// backfillFlags are the flags of backfill.
type backfillFlags struct {
	from, to, rerun       string
	atOnce                int
	newest                bool
	params                []string
	dryRun, yes, detach   bool
	list, follow, cancels bool
	output                string
}

func (a *app) backfillCommand() *cobra.Command {
	var f backfillFlags
	cmd := &cobra.Command{
		Use: "backfill JOB --from TIME", Short: "Runs a job for slots of the past",
		Long: `Runs a job for the slots that its schedule had from one time to another, as it is now: each run gets its
slot in $DAYFLY_SLOT. What it will do is shown first, and it asks before it begins. Slots that ran already
are left alone, unless --rerun says otherwise; so are those that have a run under way, and those that
dayfly serve is still going to catch up. Missed and skipped slots count as not run.

TIME is RFC 3339, a day in the job's time zone (--from is its begin, --to its end), or how long ago, such
as 36h or 90d.

The slots run one after another, the oldest first, or --at-once N where the job's overlap: allow lets them.
They come after what the schedule makes, and skip nothing. The command stays and shows how far it is.
Ctrl-C detaches: dayfly serve goes on with it, and so does --follow. ps, watch and history show its runs,
--list the backfills of the last 30 days, and --cancel ends one: it makes no more runs, and those under
way end. These take the id of a backfill, JOB@WORD, or a job, for its latest.`,
		Example: "  dayfly backfill rates --from 2026-11-01 --to 2026-11-15\n  dayfly backfill rates --from 30d --rerun failed --dry-run\n  dayfly backfill rates --cancel",
		Args: func(cmd *cobra.Command, args []string) error {
			if f.list && len(args) == 0 {
				return nil
			}
			return exactly(1, "a job")(cmd, args)
		},
	}
	var output *string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f.output = *output
		if err := f.check(cmd); err != nil {
			return err
		}
		name := strings.Join(args, "")
		switch {
		case f.list:
			return a.listBackfills(cmd.Context(), name, f.output)
		case f.follow:
			return a.followBackfill(cmd.Context(), name, f)
		case f.cancels:
			return a.cancelBackfill(cmd.Context(), name, f)
		}
		return a.backfill(cmd, name, f)
	}
	output = outputFlag(cmd)
	cmd.Flags().StringVar(&f.from, "from", "", "slots at or after this `TIME`")
	cmd.Flags().StringVar(&f.to, "to", "", "slots at or before this `TIME` (default: now)")
	f.rerun = string(reconcile.RerunNone)
	choice{words: reruns, value: &f.rerun}.add(cmd, "rerun", "", "of the slots that ran already run `WHICH` again: none, failed, all")
	cmd.Flags().IntVar(&f.atOnce, "at-once", 1, "run `N` slots at once")
	cmd.Flags().BoolVar(&f.newest, "newest-first", false, "begin with the newest slot")
	cmd.Flags().StringArrayVar(&f.params, "param", nil, "give a parameter of the job a value, as `NAME=VALUE`; once for each")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "do nothing, and show what would be done; with another form than table slot by slot")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "begin without asking")
	cmd.Flags().BoolVar(&f.detach, "detach", false, "return as soon as the request is durable, and leave it to dayfly serve")
	cmd.Flags().BoolVar(&f.list, "list", false, "list the backfills, of all jobs or one, instead")
	cmd.Flags().BoolVar(&f.follow, "follow", false, "stay with a backfill that was begun before, instead")
	cmd.Flags().BoolVar(&f.cancels, "cancel", false, "end a backfill, instead")
	_ = cmd.RegisterFlagCompletionFunc("param", a.completeParams) // an error says that there is no such flag
	return cmd
}

// reruns are what --rerun takes.
var reruns = []string{string(reconcile.RerunNone), string(reconcile.RerunFailed), string(reconcile.RerunAll)}

// check refuses flags that do not go together.
func (f backfillFlags) check(cmd *cobra.Command) error {
	var instead []string
	for _, name := range []string{"list", "follow", "cancel"} {
		if cmd.Flags().Changed(name) {
			instead = append(instead, name)
		}
	}
	if len(instead) > 1 {
		return usage(cmd, "--%s and --%s do not go together", instead[0], instead[1])
	}
	for _, name := range []string{"from", "to", "rerun", "at-once", "newest-first", "param", "dry-run", "yes", "detach"} {
		if len(instead) == 1 && cmd.Flags().Changed(name) && (name != "detach" || instead[0] != "cancel") {
			return usage(cmd, "--%s is for a new backfill, and --%s is about one that there is", name, instead[0])
		}
	}
	switch {
	case len(instead) == 1:
		return nil
	case f.from == "":
		e := usage(cmd, "--from is missing: from when on the job shall run")
		e.Hint = "--from 7d begins a week ago, --from 2026-11-01 with that day"
		return e
	case f.atOnce < 1:
		return usage(cmd, "--at-once is 1 or more, not %d", f.atOnce)
	}
	return nil
}

// filling is a backfill that may be begun: of which slots, and how.
type filling struct {
	job      dayfly.Job
	zone     *time.Location
	from, to time.Time
	flags    backfillFlags
	params   map[string]string
	all      []reconcile.Candidate
	each     time.Duration // that one usually takes; 0: not known
	gone     time.Time     // slots up to here may have run, and their records were removed
}

// chosen are the slots that it runs, in its order.
func (p filling) chosen() []time.Time {
	var slots []time.Time
	for _, c := range p.all {
		if c.Left == "" {
			slots = append(slots, c.Slot)
		}
	}
	if p.flags.newest {
		slices.Reverse(slots)
	}
	return slots
}

func (a *app) backfill(cmd *cobra.Command, name string, f backfillFlags) error {
	ctx := cmd.Context()
	if namesFile(name) {
		e := usage(cmd, "backfill takes the name of a job, and %s is a file", name)
		e.Hint = "dayfly apply " + name + " makes its job known"
		return e
	}
	h, p, err := a.planFill(cmd, name, f)
	if err != nil {
		return err
	}
	if f.dryRun {
		return a.showSlots(p)
	}
	slots := p.chosen()
	a.preview(a.err, p)
	if len(slots) == 0 {
		return nil
	}
	if err := a.prompter(cmd).confirm(fmt.Sprintf("Run %s", plural(len(slots), "slot"))); err != nil {
		return err
	}
	if !f.yes { // somebody may have taken their time to answer
		if slots, err = a.stillChosen(ctx, h, p, slots); err != nil {
			return err
		}
	}
	if len(slots) == 0 {
		a.say("Meanwhile all of them were run.")
		return nil
	}
	return a.beginFill(ctx, h, p, slots)
}

// stillChosen leaves the slots that would be chosen now.
func (a *app) stillChosen(ctx context.Context, h *home, p filling, slots []time.Time) ([]time.Time, error) {
	var err error
	if p.all, err = a.choose(ctx, h, p); err != nil {
		return nil, err
	}
	now := map[time.Time]bool{}
	for _, slot := range p.chosen() {
		now[slot] = true
	}
	return slices.DeleteFunc(slots, func(slot time.Time) bool { return !now[slot] }), nil
}

// planFill finds out what a backfill would do.
func (a *app) planFill(cmd *cobra.Command, name string, f backfillFlags) (h *home, p filling, err error) {
	ctx := cmd.Context()
	if f.dryRun {
		h, err = a.openToLook()
	} else {
		h, err = a.open()
	}
	if err != nil {
		return h, p, err
	}
	rec, err := h.job(ctx, name)
	if err != nil {
		return h, p, err
	}
	p.flags = f
	if p.job, err = h.store.Version(ctx, rec.Version); err != nil {
		return h, p, fmt.Errorf("read job %s: %w", name, err)
	}
	if len(p.job.Schedules) == 0 {
		return h, p, &dayfly.Error{
			Code: dayfly.CodeInvalid, Message: fmt.Sprintf("job %s has no schedule, and so no slots to run it for", name),
			Hint: "schedule: in its file gives it one; dayfly run " + name + " runs it now",
		}
	}
	if p.zone, err = schedule.LoadLocation(p.job.Timezone); err != nil {
		return h, p, refusedText("", err)
	}
	if err := p.read(cmd, a.now()); err != nil {
		return h, p, err
	}
	if !f.dryRun { // so that what ended since is known to have
		if _, err := a.makeRoom(ctx, h, p.job.Name); err != nil {
			return h, p, err
		}
	}
	if p.all, err = a.choose(ctx, h, p); err != nil {
		return h, p, err
	}
	if len(p.all) == 0 {
		return h, p, &dayfly.Error{
			Code: dayfly.CodeInvalid, Message: fmt.Sprintf("job %s has no slot from %s to %s", name, p.local(p.from), p.local(p.to)),
			Hint: fmt.Sprintf("dayfly next %s --after %s shows those that come after", name, instant(p.from)),
		}
	}
	if p.job.Array == nil {
		for m, d := range usual(ctx, h.store, p.job.Name) {
			if m != requested {
				p.each += d
			}
		}
	}
	if gone, ok, err := reconcile.GoneOf(ctx, h.store, p.job.Name, a.now()); err == nil && ok && !gone.Through.Before(p.from) {
		p.gone = gone.Through
	}
	return h, p, nil
}

// read reads the flags as what the job allows. What is wrong is said all at once.
func (p *filling) read(cmd *cobra.Command, now time.Time) (err error) {
	var wrong wrongs
	p.from, err = timeOf("from", p.flags.from, p.zone, now, false)
	wrong.add(err)
	if p.to = now; p.flags.to != "" {
		p.to, err = timeOf("to", p.flags.to, p.zone, now, true)
		wrong.add(err)
	}
	if len(wrong) == 0 && p.from.After(now) {
		wrong.add(usage(cmd, "--from %s is not in the past; slots to come are the schedule's", p.flags.from))
	} else if len(wrong) == 0 && p.to.Before(p.from) {
		e := usage(cmd, "--to %s is before --from %s", p.flags.to, p.flags.from)
		e.Hint = fmt.Sprintf("from %s to %s, in %s", p.local(p.from), p.local(p.to), p.zone)
		wrong.add(e)
	}
	if p.to.After(now) {
		p.to = now
	}
	given, err := paramsOf(cmd, p.job, p.flags.params)
	wrong.add(err)
	if p.flags.atOnce > 1 && p.job.Overlap != dayfly.OverlapAllow {
		wrong.add(&dayfly.Error{
			Code: dayfly.CodeInvalid, Message: fmt.Sprintf("--at-once %d: job %s has overlap: %s, so its slots run one after another", p.flags.atOnce, p.job.Name, p.job.Overlap),
			Hint: "leave --at-once out, or apply it with overlap: allow",
		})
	}
	if err := wrong.join(); err != nil {
		return err
	}
	p.params, err = p.job.Values(given)
	return err
}

// choose gives the slots, and what becomes of each.
func (a *app) choose(ctx context.Context, h *home, p filling) ([]reconcile.Candidate, error) {
	now := a.now()
	rec, err := h.job(ctx, string(p.job.Name))
	if err != nil {
		return nil, err
	}
	return reconcile.Choose(ctx, h.store, p.job, rec, p.from, p.to, reconcile.Rerun(p.flags.rerun), now)
}

// beginFill records a backfill, and stays with it.
func (a *app) beginFill(ctx context.Context, h *home, p filling, slots []time.Time) error {
	if _, err := h.Loop(ctx); err != nil {
		return err
	}
	w, err := a.newWatch(h)
	if err != nil {
		return err
	}
	defer w.close()
	a.despitePause(ctx, h, p.job.Name)
	b := reconcile.Backfill{
		ID: dayfly.BackfillID(string(p.job.Name) + "@" + rand.Text()[:6]), Job: p.job.Name, Version: p.job.Version(), Params: p.params,
		AtOnce: p.flags.atOnce, Slots: reconcile.StepsOf(slots), By: a.who(), CreatedAt: a.now().UTC(),
	}
	if err := reconcile.Fill(context.WithoutCancel(ctx), h.store, b); err != nil { // recorded or not: nobody shall wonder
		return err
	}
	h.ring()
	a.say("backfill recorded: %s, %s", b.ID, plural(len(slots), "slot"))
	if !p.flags.detach {
		return a.stayWithFill(ctx, w, b.ID, p.flags)
	}
	if held, err := h.daemon(); err == nil && !held {
		a.say("No daemon is at work here: it begins with dayfly serve, or dayfly backfill %s --follow.", b.ID)
	}
	if p.flags.output == "table" || p.flags.output == "wide" {
		_, err = fmt.Fprintln(a.out, b.ID)
		return err
	}
	return a.showFill(ctx, h, b.ID, p.flags.output)
}
