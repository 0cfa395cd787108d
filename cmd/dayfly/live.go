package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bell"
	"github.com/dayfly-io/dayfly/internal/daemon"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/term"
)

func (a *app) watchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "watch [JOB|RUN...]", Short: "Shows runs and machines as they are, until you have seen enough",
		Long: `Shows the runs under way, with what each is at and by when its machine is gone, those that ended lately,
and what is due next: all, or those of the JOBs and the RUNs that are named. What is seen changes as soon
as something happens. q or Ctrl-C ends watching, and nothing else. Where only RUNs are named it ends with
the last of them.

Elsewhere than on a terminal, or with -o lines, it writes one line for each change; with -o jsonl each
change is an object.`,
		Example: "  dayfly watch\n  dayfly watch backup -o jsonl | jq .doing",
	}
	var output string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if output == "" {
			output = "lines"
			if a.outTTY && a.getenv("TERM") != "dumb" {
				output = "screen"
			}
		}
		if output == "screen" && !a.outTTY {
			return usage(cmd, "-o screen is for a terminal, and the output is none")
		}
		return a.watchLive(cmd.Context(), args, output)
	}
	choice{words: watchForms, value: &output}.add(cmd, "output", "o", "the `FORM` of the output: screen, lines, jsonl (default: screen on a terminal, else lines)")
	return cmd
}

// watchForms are what -o takes on watch.
var watchForms = []string{"screen", "lines", "jsonl"}

func (a *app) watchLive(ctx context.Context, names []string, output string) error {
	h, err := a.open()
	if err != nil {
		return err
	}
	if _, err := h.Loop(ctx); err != nil {
		return err
	}
	l, err := h.spectate(ctx, names)
	if err != nil {
		return err
	}
	ringer, err := bell.Listen(h.path("bell"))
	if err != nil {
		return fmt.Errorf("listen for the bell: %w", err)
	}
	defer ringer.Close() //nolint:errcheck // the socket goes with the process
	var show viewer
	switch output {
	case "screen":
		s, err := a.openScreen()
		if err != nil {
			return err
		}
		defer s.close()
		show = s
	case "jsonl":
		show = &lineView{a: a, said: map[dayfly.RunID]string{}, asJSON: true}
	default:
		show = &lineView{a: a, said: map[dayfly.RunID]string{}}
	}
	return l.follow(ctx, ringer.C(), show)
}

// viewer shows what is seen. What it receives from its user makes a channel ready.
type viewer interface {
	show(scene) error
	enough() <-chan struct{} // receives when the user has seen enough
	again() <-chan struct{}  // receives when the same shall be shown anew
}

// scene is what there is to see at one time.
type scene struct {
	at     time.Time
	data   string
	daemon string // which process it is; empty: there is none
	runs   []seenRun
	lately []dayfly.Run        // ended, the last one first
	news   []dayfly.Run        // of these, those that ended since the last look, in their order
	next   []store.Job         // those that are due soonest
	fills  []reconcile.Filling // that go on
	wrong  []string            // what cannot be seen, and why
}

// seenRun is a run under way, with its machine as far as that is listed.
type seenRun struct {
	dayfly.Run
	machine *dayfly.Machine
	usually time.Duration // that its job takes; 0: not known
}

// phase is what the agent is at.
func (s seenRun) phase() string {
	if s.machine == nil {
		return ""
	}
	return s.machine.Phase
}

// doing is what is being done with the run, or how it ended.
func (s seenRun) doing() string {
	text := doing[nextMilestone(s.Run, s.machine)]
	switch {
	case s.State == dayfly.Ended:
		text = stateText(s.Run)
		if s.Reason != "" {
			text += ": " + s.Reason
		}
		return text
	case s.State == dayfly.Due && s.Reason != "":
		text += ": " + s.Reason
	case !s.CancelAt.IsZero():
		text = "being cancelled, " + text
	}
	if len(s.Attempts) > 1 {
		text += fmt.Sprintf(", attempt %d", len(s.Attempts))
	}
	return text
}

// nextMilestone is what is being done to reach of a run.
func nextMilestone(r dayfly.Run, m *dayfly.Machine) milestone {
	switch r.State {
	case dayfly.Due:
		return requested
	case dayfly.Launching:
		return launched
	case dayfly.Stopping:
		return gone
	}
	way := wayOf(r, m)
	for i := launched; i < gone; i++ {
		if !way[i] {
			return i
		}
	}
	return gone
}

// spectator looks at runs, and remembers what it has seen.
type spectator struct {
	h      *home
	jobs   map[dayfly.JobName]bool // those that are meant
	ids    map[dayfly.RunID]bool   // as well as these runs; both empty: everything
	active map[dayfly.RunID]bool
	lately []dayfly.Run          // ended, the last one first
	known  map[dayfly.RunID]bool // of these
	usual  map[dayfly.JobName]time.Duration
}

// latelyShown is how many ended runs are remembered.
const latelyShown = 50

// spectate finds what is meant, and what ended before.
func (h *home) spectate(ctx context.Context, names []string) (l *spectator, err error) {
	l = &spectator{
		h: h, jobs: map[dayfly.JobName]bool{}, ids: map[dayfly.RunID]bool{}, known: map[dayfly.RunID]bool{},
		active: map[dayfly.RunID]bool{}, usual: map[dayfly.JobName]time.Duration{},
	}
	for _, name := range names {
		job := dayfly.JobName(name)
		if _, err := h.store.Job(ctx, job); err == nil {
			l.jobs[job] = true
			continue
		}
		run, err := h.run(ctx, name)
		if err != nil {
			return nil, err
		}
		l.ids[run.ID] = true
	}
	for id := range l.ids { // one that has ended is still to be shown
		l.active[id] = true
	}
	if l.lately, err = l.history(ctx); err != nil {
		return nil, err
	}
	for _, r := range l.lately {
		l.known[r.ID] = true
	}
	return l, nil
}

// history gives runs that have ended, of the latest slots, the last one to end first.
func (l *spectator) history(ctx context.Context) (all []dayfly.Run, err error) {
	filters := []store.Filter{{Ended: true, Limit: latelyShown}}
	if len(l.jobs)+len(l.ids) > 0 {
		filters = nil
	}
	for job := range l.jobs {
		filters = append(filters, store.Filter{Job: job, Ended: true, Limit: latelyShown})
	}
	for _, f := range filters {
		for r, err := range store.Sound(l.h.store.History(ctx, f), nil) {
			if err != nil {
				return nil, fmt.Errorf("read the runs that ended: %w", err)
			}
			all = append(all, r)
		}
	}
	slices.SortFunc(all, lastFirst)
	return all[:min(len(all), latelyShown)], nil
}

func lastFirst(x, y dayfly.Run) int {
	return cmp.Or(y.EndedAt.Compare(x.EndedAt), y.Slot.Compare(x.Slot), cmp.Compare(x.ID, y.ID))
}

func (l *spectator) means(r dayfly.Run) bool {
	return len(l.jobs)+len(l.ids) == 0 || l.jobs[r.Job] || l.ids[r.ID]
}

// over tells whether there is nothing more to see: only runs were meant, and they have ended.
func (l *spectator) over() bool {
	return len(l.ids) > 0 && len(l.jobs) == 0 && len(l.active) == 0
}

// follow looks and shows until there is nothing more to see, somebody has seen enough, or ctx ends.
func (l *spectator) follow(ctx context.Context, rung <-chan struct{}, show viewer) error {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	for {
		seen, err := l.look(ctx)
		if ctx.Err() != nil {
			return nil // being stopped is how it ends
		}
		if err != nil {
			return err
		}
		for again := true; again; {
			if err := show.show(seen); err != nil {
				return err
			}
			if l.over() {
				return nil
			}
			again = false
			timer.Reset(lookEvery)
			select {
			case <-ctx.Done():
				return nil
			case <-show.enough():
				return nil
			case <-show.again():
				again = true
			case <-rung:
			case <-timer.C:
			}
		}
	}
}

// look sees what there is now. Without a daemon it first makes a pass that launches nothing, so that what
// is seen is so.
func (l *spectator) look(ctx context.Context) (scene, error) {
	s := scene{at: l.h.now(), data: l.h.dir}
	if err := l.h.gone(); err != nil {
		return s, err
	}
	pid, held, err := daemon.Holder(l.h.path(lockFile))
	switch {
	case err != nil:
		return s, err
	case held:
		s.daemon = fmt.Sprintf("process %d", pid)
	default:
		if err := l.pass(ctx); err != nil {
			s.wrong = append(s.wrong, err.Error())
		}
	}
	active, damaged, err := store.Readable(l.h.store.ActiveRuns(ctx, store.Scope{}))
	if err != nil {
		return s, fmt.Errorf("read active runs: %w", err)
	}
	for _, d := range damaged {
		s.wrong = append(s.wrong, d.Error())
	}
	active = slices.DeleteFunc(active, func(r dayfly.Run) bool { return !l.means(r) })
	if s.news, err = l.ended(ctx, active); err != nil {
		return s, err
	}
	s.lately = slices.Clone(l.lately)
	s.runs = l.withMachines(ctx, active, &s)
	if s.fills, _, err = store.Readable(l.h.openFills(ctx)); err != nil {
		return s, err
	}
	s.fills = slices.DeleteFunc(s.fills, func(f reconcile.Filling) bool { return len(l.jobs)+len(l.ids) > 0 && !l.jobs[f.Job] })
	s.next, err = l.due(ctx)
	return s, err
}

func (l *spectator) pass(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, glance)
	defer cancel()
	sum, err := l.h.loop.Pass(bounded, reconcile.Scope{Glance: true})
	l.h.ringIf(sum)
	return err
}

// ended gives the runs that have ended since the last look, in their order: those that were active then,
// and of the latest slots those that came and went in between.
func (l *spectator) ended(ctx context.Context, active []dayfly.Run) ([]dayfly.Run, error) {
	news, err := l.history(ctx)
	if err != nil {
		return nil, err
	}
	was := l.active
	l.active = map[dayfly.RunID]bool{}
	for _, r := range active {
		l.active[r.ID] = true
	}
	for id := range was {
		if l.active[id] || slices.ContainsFunc(news, func(r dayfly.Run) bool { return r.ID == id }) {
			continue
		}
		r, err := l.h.store.Run(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read run %s: %w", id, err)
		}
		news = append(news, r)
	}
	slices.SortFunc(news, lastFirst)
	shown := l.known
	l.known = map[dayfly.RunID]bool{}
	for _, r := range news {
		l.known[r.ID] = true // it comes up again
	}
	news = slices.DeleteFunc(news, func(r dayfly.Run) bool { return shown[r.ID] })
	l.lately = append(slices.Clone(news), l.lately...)
	l.lately = l.lately[:min(len(l.lately), latelyShown)]
	for _, r := range l.lately {
		l.known[r.ID] = true
	}
	slices.Reverse(news)
	return news, nil
}

// withMachines puts the machines to the runs, as far as they are listed.
func (l *spectator) withMachines(ctx context.Context, active []dayfly.Run, s *scene) []seenRun {
	byToken := map[string]*dayfly.Machine{}
	if slices.ContainsFunc(active, func(r dayfly.Run) bool { return r.State != dayfly.Due }) {
		for name, p := range l.h.loop.Providers {
			list, err := l.h.list(ctx, p)
			if err != nil {
				s.wrong = append(s.wrong, fmt.Sprintf("list machines on %s: %s", name, err))
			}
			for i, m := range list.Machines {
				if m.Tags.Installation == l.h.settings.Installation {
					byToken[m.Tags.Token] = &list.Machines[i]
				}
			}
		}
	}
	runs := make([]seenRun, len(active))
	for i, r := range active {
		runs[i] = seenRun{Run: r}
		if at := r.Attempt(); at != nil && r.State != dayfly.Due {
			runs[i].machine = byToken[at.Token]
			runs[i].usually = l.usually(ctx, r.Job)
		}
	}
	return runs
}

// usually is how long a job runs, as it was when the first of its runs was seen.
func (l *spectator) usually(ctx context.Context, job dayfly.JobName) time.Duration {
	d, ok := l.usual[job]
	if !ok {
		d = usual(ctx, l.h.store, job)[ran]
		l.usual[job] = d
	}
	return d
}

// dueShown is how many jobs that are due next are looked up.
const dueShown = 5

// due gives the jobs that are due soonest.
func (l *spectator) due(ctx context.Context) ([]store.Job, error) {
	scopes := []store.Scope{{}}
	if len(l.jobs)+len(l.ids) > 0 {
		scopes = nil
	}
	for job := range l.jobs {
		scopes = append(scopes, store.Scope{Job: job})
	}
	var all []store.Job
	for _, s := range scopes {
		recs, _, err := store.Readable(l.h.store.DueJobs(ctx, s, l.h.now().AddDate(100, 0, 0), 4*dueShown))
		if err != nil {
			return nil, fmt.Errorf("read what is due next: %w", err)
		}
		for _, rec := range recs {
			if rec.Pause(rec.NextDue).Why == "" {
				all = append(all, rec)
			}
		}
	}
	slices.SortFunc(all, func(x, y store.Job) int { return cmp.Or(x.NextDue.Compare(y.NextDue), cmp.Compare(x.Name, y.Name)) })
	return all[:min(len(all), dueShown)], nil
}

// lineView writes a line for each change.
type lineView struct {
	a      *app
	said   map[dayfly.RunID]string
	asJSON bool
}

func (*lineView) enough() <-chan struct{} { return nil }
func (*lineView) again() <-chan struct{}  { return nil }

// seenChange is one line of watch -o jsonl.
type seenChange struct {
	At stamp `json:"at"`
	runRecord
	Phase    string `json:"phase"`
	Doing    string `json:"doing"`
	Deadline stamp  `json:"deadline"`
}

func (v *lineView) show(s scene) error {
	for _, text := range s.wrong {
		if v.said[""] != text {
			v.said[""] = text
			v.a.warn("%s", text)
		}
	}
	var all []seenRun
	for _, r := range s.news {
		all = append(all, seenRun{Run: r})
	}
	if err := v.fills(s); err != nil {
		return err
	}
	for _, r := range append(all, s.runs...) {
		is := string(r.State) + " " + r.phase() + " " + r.doing()
		if v.said[r.ID] == is {
			continue
		}
		v.said[r.ID] = is
		if err := v.line(s, r); err != nil {
			return &brokenOutput{err}
		}
	}
	return nil
}

// fills says how far the backfills are; as JSON their runs say it.
func (v *lineView) fills(s scene) error {
	for _, f := range s.fills {
		is, id := fillText(f), dayfly.RunID(f.ID)
		if v.asJSON || v.said[id] == is {
			continue
		}
		v.said[id] = is
		if _, err := fmt.Fprintf(v.a.page(), "%s %s\n", s.at.UTC().Format("15:04:05Z"), term.Text(is)); err != nil {
			return &brokenOutput{err}
		}
	}
	return nil
}

func (v *lineView) line(s scene, r seenRun) error {
	if !v.asJSON {
		_, err := fmt.Fprintf(v.a.page(), "%s %s %s\n", s.at.UTC().Format("15:04:05Z"), r.ID, term.Text(r.doing()))
		return err
	}
	c := seenChange{At: stamp(s.at), runRecord: newRecord(r.Run), Phase: r.phase(), Doing: r.doing()}
	if at := r.Attempt(); at != nil && r.State != dayfly.Due && r.State != dayfly.Ended {
		c.Deadline = stamp(at.Deadline)
	}
	return writeJSONLine(v.a.out, c)
}
