package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// Bounds of what one pass removes; the next ones go on from there.
const (
	removeFor   = 200 * time.Millisecond
	removeItems = 1000 // objects, records, and jobs that are looked at
	removePage  = 100  // records that are read at once
)

// Between two rounds lies a tenth of the shortest time that anything is kept, within these bounds.
const (
	shortestRound = 10 * time.Minute
	longestRound  = 6 * time.Hour
)

// unusedFor is how long nothing must have referred to a version or an archive before it goes.
const unusedFor = 24 * time.Hour

// round is one turn over all that might be removed. It takes as many passes as it needs, and is a note
// in the store between them.
type round struct {
	// Seen is when the round before began, and the clock by which this one judges age: what was old
	// enough then may go. A clock that is set far ahead and back again removes nothing, unless it
	// stays wrong from one round to the next.
	Seen     time.Time      `json:"seen,omitzero"`
	Begun    time.Time      `json:"begun"`
	Next     time.Time      `json:"next,omitzero"`     // when the next one begins; zero: this one goes on
	Default  dayfly.Keep    `json:"default,omitzero"`  // the installation's, which it goes by
	Shortest dayfly.Seconds `json:"shortest,omitzero"` // of the terms it has met

	// Where it goes on.
	Step  step           `json:"step,omitzero"`
	Job   dayfly.JobName `json:"job,omitzero"`
	After string         `json:"after,omitzero"` // what is done of the step: a run, a version, a key

	Done removed `json:"done,omitzero"`
}

// removed counts.
type removed struct {
	Results  int `json:"results,omitzero"` // of so many runs
	Logs     int `json:"logs,omitzero"`    // the same
	Records  int `json:"records,omitzero"`
	Versions int `json:"versions,omitzero"`
	Archives int `json:"archives,omitzero"`
}

func (r removed) all() int { return r.Results + r.Logs + r.Records + r.Versions + r.Archives }

// step is a part of a round. Those up to stepRanges are done for each job.
type step string

const (
	stepNext     step = "" // on to the next job
	stepResults  step = "results"
	stepLogs     step = "logs"
	stepRecords  step = "records"
	stepRanges   step = "ranges"
	stepVersions step = "versions"
	stepArchives step = "archives"
	stepNotes    step = "notes"
	stepOver     step = "over"
)

// remover is a pass at a part of a round.
type remover struct {
	*pass
	round
	until time.Time
	left  int
	errs  []error // of single runs and objects; they do not stop it

	damaged []store.Damage // records, each once

	termsOf dayfly.JobName // whose terms are known
	known   dayfly.Terms
}

// remove goes on with the removal of what is old, for a little while. Each thing goes in an order that
// is safe to interrupt and to repeat: objects first, then the record's mark, or the record.
func (p *pass) remove(ctx context.Context) error {
	key := roundKey(p.scope.Job)
	r := &remover{pass: p, until: p.now().Add(removeFor), left: removeItems}
	known, err := readNote(ctx, p.Store, key, p.now(), &r.round)
	if err != nil {
		return err
	}
	if !r.begin(known) {
		p.soon(r.Next)
		return nil
	}
	before := r.Done.all()
	err = r.work(ctx)
	if r.Step == stepOver {
		r.end()
	} else {
		p.soon(p.now().Add(Look))
	}
	p.count(func(s *Summary) { s.Removed += r.Done.all() - before })
	return errors.Join(append(r.errs, err, store.OrDamaged(r.damaged), writeNote(ctx, p.Store, key, r.round, time.Time{}))...)
}

// roundKey names the note of a round over everything, or over one job.
func roundKey(job dayfly.JobName) string { return "keep/" + string(job) + " " }

// begin tells whether there is anything to do now, and begins a new round where it is time for one.
func (r *remover) begin(known bool) bool {
	now := r.now()
	switch {
	case known && now.Before(r.Begun): // the clock was set back: what it said before proves nothing
		r.round = round{}
	case known && r.Default == r.Keep && (r.Next.IsZero() || now.Before(r.Next)):
		return r.Next.IsZero()
	}
	r.round = round{Seen: r.Begun, Begun: now, Default: r.Keep}
	if r.scope.Job != "" {
		r.Job, r.Step = r.scope.Job, stepResults
	}
	return true
}

func (r *remover) end() {
	if d := r.Done; d.all() > 0 {
		r.Log.Info("removed what is old", "results", d.Results, "logs", d.Logs, "records", d.Records, "versions", d.Versions, "archives", d.Archives)
	}
	wait := longestRound
	if r.Shortest > 0 {
		wait = min(longestRound, max(shortestRound, r.Shortest.Duration()/10))
	}
	r.round = round{Seen: r.Seen, Begun: r.Begun, Next: r.Begun.Add(wait), Default: r.Default}
	r.soon(r.Next)
}

// spare tells whether this pass may go on.
func (r *remover) spare() bool { return r.left > 0 && r.now().Before(r.until) }

// work does the steps that are left, as far as it comes.
func (r *remover) work(ctx context.Context) error {
	for r.spare() && r.Step != stepOver {
		done, err := r.step(ctx)
		if err != nil {
			return err
		}
		if !done {
			return nil
		}
		r.Step, r.After = r.follows(), ""
	}
	return nil
}

// follows is the step after this one.
func (r *remover) follows() step {
	switch r.Step {
	case stepResults:
		return stepLogs
	case stepLogs:
		return stepRecords
	case stepRecords:
		return stepRanges
	case stepRanges:
		if r.scope.Job != "" {
			return stepOver
		}
		return stepNext
	case stepNext:
		if r.Job == "" {
			return stepVersions
		}
		return stepResults
	case stepVersions:
		return stepArchives
	case stepArchives:
		return stepNotes
	}
	return stepOver
}

func (r *remover) step(ctx context.Context) (done bool, err error) {
	switch r.Step {
	case stepNext:
		return true, r.next(ctx)
	case stepVersions:
		return r.unusedVersions(ctx)
	case stepArchives:
		return r.unusedArchives(ctx)
	case stepNotes:
		return true, r.notes(ctx)
	}
	terms, err := r.terms(ctx)
	if err != nil {
		r.errs = append(r.errs, err) // a job that cannot be read keeps what it has, and the others go on
	}
	if err != nil || r.Seen.IsZero() || terms == (dayfly.Terms{}) {
		r.Step = stepRanges // nothing of it goes
		return true, nil
	}
	done, err = r.ofJob(ctx, terms)
	if store.IsDamage(err) { // it may be what says that something is in use: the job keeps what it has
		r.errs = append(r.errs, fmt.Errorf("remove what is old of job %s: %w", r.Job, err))
		r.Step = stepRanges
		return true, nil
	}
	return done, err
}

// ofJob does a step for the job that the round is at.
func (r *remover) ofJob(ctx context.Context, terms dayfly.Terms) (done bool, err error) {
	switch r.Step {
	case stepResults:
		return r.runs(ctx, terms.Results)
	case stepLogs:
		return r.runs(ctx, terms.Logs)
	case stepRecords:
		return r.runs(ctx, terms.History)
	}
	return true, r.ranges(ctx, terms.History)
}

// next finds the job after this one; none is "".
func (r *remover) next(ctx context.Context) error {
	names, err := r.Store.Recorded(ctx, r.Job, 1)
	if err != nil {
		return err
	}
	if r.Job = ""; len(names) > 0 {
		r.Job = names[0]
	}
	return nil
}

// terms are what holds for the runs of the job that the round is at: what its current version says, or,
// where the job was removed, what it said last.
func (r *remover) terms(ctx context.Context) (dayfly.Terms, error) {
	if r.termsOf == r.Job {
		return r.known, nil
	}
	r.left--
	keep, err := r.keepOf(ctx, r.Job)
	if err != nil {
		return dayfly.Terms{}, fmt.Errorf("read how long the runs of job %s are kept: %w", r.Job, err)
	}
	r.termsOf, r.known = r.Job, keep.Terms(r.Keep)
	if short := dayfly.Seconds(r.known.Shortest()); short > 0 && (r.Shortest == 0 || short < r.Shortest) {
		r.Shortest = short
	}
	return r.known, nil
}

// Terms are how long what a job's runs leave is kept, as a pass sees it.
func (r *Reconciler) Terms(ctx context.Context, job dayfly.JobName) (dayfly.Terms, error) {
	p := &pass{Reconciler: r}
	keep, err := p.keepOf(ctx, job)
	return keep.Terms(r.Keep), err
}

func (p *pass) keepOf(ctx context.Context, name dayfly.JobName) (keep dayfly.Keep, err error) {
	rec, err := p.Store.Job(ctx, name)
	switch {
	case err == nil:
		job, err := p.version(ctx, rec.Version)
		return job.Keep, err
	case !errors.Is(err, store.ErrNotFound):
		return keep, err
	}
	if known, err := readNote(ctx, p.Store, lastKeepKey(name), p.now(), &keep); known || err != nil {
		return keep, err
	}
	for run, err := range p.Store.History(ctx, store.Filter{Job: name, Limit: 1}) {
		if err != nil {
			return keep, err
		}
		job, err := p.version(ctx, run.Version)
		return job.Keep, err
	}
	return keep, nil
}

// lastKeepKey names the note of what a job that was removed said last.
func lastKeepKey(job dayfly.JobName) string { return "keep-removed/" + string(job) + " " }

// readNote reads the value of the note with this very key. One that makes no sense is none.
func readNote(ctx context.Context, s store.Store, key string, now time.Time, v any) (known bool, err error) {
	notes, err := s.Notes(ctx, key, now)
	if err != nil || len(notes) == 0 || notes[0].Key != key {
		return false, err
	}
	return json.Unmarshal([]byte(notes[0].Value), v) == nil, nil
}

// writeNote writes such a note; it stays until it expires, if ever.
func writeNote(ctx context.Context, s store.Store, key string, v any, expires time.Time) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write note %s: %w", key, err)
	}
	return s.PutNote(ctx, store.Note{Key: key, Value: string(value), Expires: expires})
}

// hurry makes the next pass look at once for what is old: what is kept for how long has changed.
func (r *Reconciler) hurry(ctx context.Context) error {
	var rd round
	known, err := readNote(ctx, r.Store, roundKey(""), r.Now(), &rd)
	if err != nil || !known || rd.Next.IsZero() {
		return err
	}
	rd.Next = r.Now()
	return writeNote(ctx, r.Store, roundKey(""), rd, time.Time{})
}
