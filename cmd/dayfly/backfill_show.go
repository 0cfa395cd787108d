package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/term"
)

// local is an instant in the job's zone, for people.
func (p filling) local(t time.Time) string { return t.In(p.zone).Format(localForm) }

// leftWords say how many slots are left alone, and why.
var leftWords = []struct {
	left reconcile.Left
	text string
}{
	{reconcile.LeftSucceeded, "%s succeeded; --rerun all runs them again"},
	{reconcile.LeftFailed, "%s ran and did not succeed; --rerun failed runs them again"},
	{reconcile.LeftActive, "%s: a run is under way"},
	{reconcile.LeftFill, "%s: another backfill has them"},
	{reconcile.LeftSchedule, "%s: dayfly serve is going to catch them up"},
}

// preview shows what a backfill does, to people.
func (a *app) preview(w io.Writer, p filling) {
	slots := p.chosen()
	line := func(head, format string, args ...any) {
		fmt.Fprintf(w, "  %-7s %s\n", head, term.Text(fmt.Sprintf(format, args...)))
	}
	switch {
	case len(slots) == 0:
		fmt.Fprintf(w, "%s: nothing to run, %s left alone\n", p.job.Name, plural(len(p.all), "slot"))
	case len(slots) == len(p.all):
		fmt.Fprintf(w, "%s: %s run, %s\n", p.job.Name, plural(len(slots), "slot"), p.pace())
	default:
		fmt.Fprintf(w, "%s: %s of %s run, %s\n", p.job.Name, number(len(slots)), plural(len(p.all), "slot"), p.pace())
	}
	if len(slots) > 0 {
		line("first", "%s  %s", p.local(slots[0]), instant(slots[0]))
		line("last", "%s  %s", p.local(slots[len(slots)-1]), instant(slots[len(slots)-1]))
		if shape := arrayText(p.job); shape != "" {
			line("each", "%s", shape)
		}
	}
	head := "left"
	for _, l := range leftWords {
		if n := p.left(l.left); n > 0 {
			line(head, l.text, number(n))
			head = ""
		}
	}
	if !p.gone.IsZero() {
		line("but", "records up to %s were removed: those slots may have run", instant(p.gone))
	}
	if text := p.takes(len(slots)); text != "" {
		line("takes", "%s", text)
	}
	if len(p.params) > 0 && len(slots) > 0 {
		line("params", "%s", paramsText(p.params))
	}
}

// left counts the slots that are left alone for a reason.
func (p filling) left(why reconcile.Left) (n int) {
	for _, c := range p.all {
		if c.Left == why {
			n++
		}
	}
	return n
}

// pace is in which order they run, and how many at a time.
func (p filling) pace() string {
	order := "the oldest first"
	if p.flags.newest {
		order = "the newest first"
	}
	if p.flags.atOnce == 1 {
		return "one after another, " + order
	}
	return fmt.Sprintf("%s at once, %s", number(p.flags.atOnce), order)
}

// takes is how long it takes if the slots take as long as runs before did; empty where none is known.
func (p filling) takes(slots int) string {
	if p.each <= 0 || slots == 0 {
		return ""
	}
	rounds := (slots + p.flags.atOnce - 1) / p.flags.atOnce
	return fmt.Sprintf("about %s, if each takes %s as runs of it did before", took(time.Duration(rounds)*p.each), took(p.each))
}

// slotRecord is a slot of a backfill that would be begun, for programs: fields are only added.
type slotRecord struct {
	Job      dayfly.JobName    `json:"job"`
	Slot     stamp             `json:"slot"`
	Local    string            `json:"local"`
	Runs     bool              `json:"runs"`
	Left     reconcile.Left    `json:"left"` // why it does not run
	Run      dayfly.RunID      `json:"run"`  // it is left alone for this one
	Backfill dayfly.BackfillID `json:"backfill"`

	local string
}

// showSlots is --dry-run.
func (a *app) showSlots(p filling) error {
	if p.flags.output == "table" {
		var b strings.Builder
		a.preview(&b, p)
		_, err := io.WriteString(a.page(), b.String())
		return err
	}
	rows := make([]slotRecord, len(p.all))
	for i, c := range p.all {
		rows[i] = slotRecord{
			Job: p.job.Name, Slot: stamp(c.Slot), Local: c.Slot.In(p.zone).Format(rfc3339Offset), Runs: c.Left == "",
			Left: c.Left, Run: c.Run, Backfill: c.Fill, local: p.local(c.Slot),
		}
	}
	if p.flags.newest {
		slices.Reverse(rows)
	}
	if p.flags.output == "name" {
		rows = slices.DeleteFunc(rows, func(r slotRecord) bool { return !r.Runs })
	}
	return listing[slotRecord]{
		columns: []column[slotRecord]{
			{head: "SLOT", cell: func(r slotRecord) string { return instant(time.Time(r.Slot)) }},
			{head: strings.ToUpper(p.job.Timezone), fit: spare, cell: func(r slotRecord) string { return r.local }},
			{head: "RUNS", fit: prose, cell: func(r slotRecord) string {
				if r.Runs {
					return "yes"
				}
				return "no: " + string(r.Left)
			}},
			{head: "FOR", fit: middle, cell: func(r slotRecord) string { return cmp.Or(string(r.Run), string(r.Backfill)) }},
		},
		name: func(r slotRecord) string { return instant(time.Time(r.Slot)) },
	}.show(a, p.flags.output, allOf(rows))
}

// fillRecord is a backfill for programs: fields are only added.
type fillRecord struct {
	ID       dayfly.BackfillID `json:"id"`
	Job      dayfly.JobName    `json:"job"`
	State    string            `json:"state"` // running, canceling, ended, canceled
	Slots    int               `json:"slots"`
	Done     int               `json:"done"` // of them have their runs, ended or not
	First    stamp             `json:"first"`
	Last     stamp             `json:"last"`
	AtOnce   int               `json:"at_once"`
	Params   map[string]string `json:"params"`
	Version  string            `json:"version"`
	By       string            `json:"by"`
	Created  stamp             `json:"created_at"`
	CancelAt stamp             `json:"cancel_at"`
	EndedAt  stamp             `json:"ended_at"`
}

func newFill(f reconcile.Filling) fillRecord {
	v := fillRecord{
		ID: f.ID, Job: f.Job, State: "running", Slots: f.Count(), Done: f.Done, First: stamp(f.Slot(0)), Last: stamp(f.Slot(f.Count() - 1)),
		AtOnce: f.AtOnce, Params: f.Params, Version: f.Version, By: f.By, Created: stamp(f.CreatedAt), CancelAt: stamp(f.CancelAt), EndedAt: stamp(f.EndedAt),
	}
	if v.Params == nil {
		v.Params = map[string]string{}
	}
	switch {
	case !f.CancelAt.IsZero() && !f.EndedAt.IsZero():
		v.State = "canceled"
	case !f.CancelAt.IsZero():
		v.State = "canceling"
	case !f.EndedAt.IsZero():
		v.State = "ended"
	}
	return v
}

func (a *app) fillList() listing[fillRecord] {
	return listing[fillRecord]{
		columns: []column[fillRecord]{
			{head: "BACKFILL", fit: middle, cell: func(f fillRecord) string { return string(f.ID) }},
			{head: "STATE", cell: func(f fillRecord) string { return f.State }},
			{head: "BEGUN", cell: func(f fillRecord) string { return fmt.Sprintf("%s of %s", number(f.Done), plural(f.Slots, "slot")) }},
			{head: "FIRST", fit: spare, cell: func(f fillRecord) string { return instant(time.Time(f.First)) }},
			{head: "LAST", fit: spare, cell: func(f fillRecord) string { return instant(time.Time(f.Last)) }},
			{head: "BY", wide: true, cell: func(f fillRecord) string { return f.By }},
			{head: "AT ONCE", wide: true, cell: func(f fillRecord) string { return number(f.AtOnce) }},
			{head: "REQUESTED", wide: true, cell: func(f fillRecord) string { return when(time.Time(f.Created), a.now()) }},
			{head: "ENDED", wide: true, cell: func(f fillRecord) string { return when(time.Time(f.EndedAt), a.now()) }},
			{head: "PARAMS", wide: true, cell: func(f fillRecord) string { return paramsText(f.Params) }},
		},
		name: func(f fillRecord) string { return string(f.ID) }, empty: "No backfill is known.",
	}
}

// openFills are the backfills that go on.
func (h *home) openFills(ctx context.Context) ([]reconcile.Filling, error) {
	all, err := reconcile.Fillings(ctx, h.store, "", h.now())
	return slices.DeleteFunc(all, func(f reconcile.Filling) bool { return !f.EndedAt.IsZero() }), err
}

// fillText is how far a backfill is, in a line.
func fillText(f reconcile.Filling) string {
	text := fmt.Sprintf("Backfill %s: %s of %s begun", f.ID, number(f.Done), plural(f.Count(), "slot"))
	if !f.CancelAt.IsZero() {
		text += ", being cancelled"
	}
	return text
}

// listBackfills is --list.
func (a *app) listBackfills(ctx context.Context, name, output string) error {
	h, err := a.openAndGlance(ctx)
	if err != nil {
		return err
	}
	s, err := h.Store(ctx)
	if err != nil {
		return err
	}
	if name != "" {
		if err := h.knownOr(ctx, dayfly.JobName(name)); err != nil {
			return err
		}
	}
	all, damaged, err := store.Readable(reconcile.Fillings(ctx, s, dayfly.JobName(name), a.now()))
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(x, y reconcile.Filling) int { return y.CreatedAt.Compare(x.CreatedAt) })
	rows := make([]fillRecord, len(all))
	for i, f := range all {
		rows[i] = newFill(f)
	}
	return errors.Join(a.fillList().show(a, output, allOf(rows)), naming(damaged))
}

// fillNamed finds the backfill that an argument means: an id, or a job, for its latest, one that goes on if
// there is one.
func (h *home) fillNamed(ctx context.Context, name string) (best reconcile.Filling, err error) {
	s, err := h.Store(ctx)
	if err != nil {
		return best, err
	}
	all, err := reconcile.Fillings(ctx, s, "", h.now())
	if err != nil {
		return best, err
	}
	for _, f := range all {
		if string(f.ID) == name {
			return f, nil
		}
		if string(f.Job) != name {
			continue
		}
		later := cmp.Or(f.EndedAt.Compare(best.EndedAt), f.CreatedAt.Compare(best.CreatedAt)) > 0
		if best.ID == "" || f.EndedAt.IsZero() && !best.EndedAt.IsZero() || f.EndedAt.IsZero() == best.EndedAt.IsZero() && later {
			best = f
		}
	}
	if best.ID != "" {
		return best, nil
	}
	if !strings.Contains(name, "@") {
		if err := h.knownOr(ctx, dayfly.JobName(name)); err != nil {
			return best, err
		}
		return best, &dayfly.Error{
			Code: dayfly.CodeNotFound, Message: fmt.Sprintf("job %s has no backfill of the last 30 days", name), Hint: "dayfly backfill --list lists the backfills",
		}
	}
	var known []string
	for _, f := range all {
		known = append(known, string(f.ID))
	}
	return best, notFound("backfill", name, known, "dayfly backfill --list lists the backfills")
}

// showFill writes the record of a backfill to stdout; in a table there is nothing that was not said.
func (a *app) showFill(ctx context.Context, h *home, id dayfly.BackfillID, output string) error {
	if output == "table" || output == "wide" {
		return nil
	}
	f, err := h.fillNamed(ctx, string(id))
	if err != nil {
		return err
	}
	return a.fillList().show(a, output, allOf([]fillRecord{newFill(f)}))
}
