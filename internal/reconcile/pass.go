package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/store"
)

// Config is what a Reconciler works with. Settle, Machines and Parallel may be left out.
type Config struct {
	Installation string
	Store        store.Store
	Bucket       bucket.Bucket
	Providers    map[string]machine.Provider // by the name in machine.on
	Settle       map[string]time.Duration    // by provider: how long after a launch its lists may lag
	Machines     int                         // at most so many machines at once; 0: no limit
	Parallel     int                         // how many machines are acted on at once; 0: 8
	Keep         dayfly.Keep                 // how long is kept what runs leave whose job says nothing of it
	Now          func() time.Time
	Jitter       func(time.Duration) time.Duration // takes a little off a wait or adds to it
	Secret       func(reference string) (string, error)
	Log          *slog.Logger
	Watch        Watcher // nil: nobody watches
}

// Reconciler makes passes. It keeps nothing between them but versions of jobs, and may be used by several goroutines.
type Reconciler struct {
	Config
	versions *versions
}

// New checks the configuration.
func New(c Config) (*Reconciler, error) {
	if c.Installation == "" || c.Store == nil || c.Bucket == nil || c.Now == nil || c.Jitter == nil || c.Secret == nil || c.Log == nil {
		return nil, errors.New("reconcile: a field of Config is missing")
	}
	if c.Parallel <= 0 {
		c.Parallel = 8
	}
	if c.Watch == nil {
		c.Watch = nobody{}
	}
	return &Reconciler{c, &versions{}}, nil
}

// Bounds of a pass.
const (
	// ActFor is how long a pass goes on beginning new actions.
	ActFor = 5 * time.Second
	// LaunchFor is how long of that it goes on beginning attempts, when many wait: what ended meanwhile is
	// collected by the next pass, which comes at once.
	LaunchFor = time.Second
	// CallFor bounds one call to a provider.
	CallFor = 15 * time.Second
)

// Scope is what a pass looks at.
type Scope struct {
	store.Scope
	Slot   time.Time // of the job in Scope only the runs of this slot, such as one request for an array; zero: all
	Slots  bool      // make due slots into runs; only a scheduler does
	Glance bool      // launch nothing: a command that only looks has nobody who stays
	Own    bool      // whoever makes the pass asked for these runs: a secret that it cannot resolve refuses them

	// Fill makes runs of the slots of this backfill, and leaves all other runs alone; Scope.Job is its job.
	// Slots goes on with every backfill.
	Fill dayfly.BackfillID
}

// answers tells whether it is this pass that says what a run is refused for. Another process may have
// the secrets that this one has not.
func (s Scope) answers() bool { return s.Slots || s.Own }

// Summary is what a pass did.
type Summary struct {
	Pass     string    // what it is called in the log
	Next     time.Time // when to make the next pass if nothing rings; zero: nothing is expected
	Inserted int       // runs made
	Missed   int       // slots recorded as missed
	Skipped  int       // slots recorded as skipped because their job was paused
	Launched int       // attempts begun
	Ended    int       // runs ended
	Removed  int       // old results, logs, records and files removed
	Active   int       // runs in the scope that are not ended
	Waiting  int       // of them, those that are due and have no machine yet
	Oldest   time.Time // when the one of them should have been launched that has waited longest; zero: none waits
}

// pass is one turn. Its fields below mu are shared by the workers of the turn.
type pass struct {
	*Reconciler
	scope   Scope
	begun   time.Time
	seen    map[string]sighting // by provider
	closing bool                // slots that wait to be caught up are missed: their job changes

	mu       sync.Mutex
	sum      Summary
	underway map[array]bool       // of arrays that were asked for: whether a shard was ever launched
	noted    map[string]time.Time // by key: the latest slot that succeeded, noted or about to be
}

// sighting is one provider's listing.
type sighting struct {
	at       time.Time
	list     machine.Listing
	byToken  map[string]*dayfly.Machine
	provider machine.Provider
}

// Pass makes one turn over the scope, in this order: slots of the jobs that are most overdue, ends and deadlines,
// collecting, all other due slots, launches, and then, where the scope makes slots, removal of what is old. It begins
// no new action after [ActFor] and is safe to repeat, to interrupt, and to make from several processes at once. The error joins what
// went wrong with single records or locations; everything else was done all the same.
func (r *Reconciler) Pass(ctx context.Context, s Scope) (Summary, error) {
	begun := r.Now()
	name := begun.UTC().Format("20060102T150405.000Z")
	named := *r
	named.Log = r.Log.With("pass", name)
	r.versions.grow(begun)
	p := &pass{Reconciler: &named, scope: s, begun: begun, sum: Summary{Pass: name}, seen: map[string]sighting{}, underway: map[array]bool{}, noted: map[string]time.Time{}}
	active, broken, err := store.Readable(r.Store.ActiveRuns(ctx, s.Scope))
	if err != nil {
		return p.sum, fmt.Errorf("read active runs: %w", err)
	}
	if !s.Slot.IsZero() {
		active = slices.DeleteFunc(active, func(r dayfly.Run) bool { return !r.Slot.Equal(s.Slot) })
	}
	if s.Fill != "" {
		active = slices.DeleteFunc(active, func(r dayfly.Run) bool { return r.Backfill != s.Fill })
	}
	for _, run := range active {
		if len(run.Attempts) > 0 {
			p.underway[arrayOf(run)] = true
		}
	}
	errs := []error{store.OrDamaged(broken)}
	var made []dayfly.Run
	more := false
	if s.Slots { // first of all: it is soon done, and what follows calls providers
		made, more, err = p.due(ctx)
		errs = append(errs, err)
	}
	errs = append(errs, p.look(ctx, active))
	active, err = p.advanceAll(ctx, active)
	errs = append(errs, err)
	if s.Slots {
		rest, err := p.dueRest(ctx, more)
		active = slices.Concat(active, made, rest)
		errs = append(errs, err, p.nextDue(ctx))
	}
	if s.Slots || s.Fill != "" {
		made, err := p.backfills(ctx)
		active = append(active, made...)
		errs = append(errs, err)
	}
	if !s.Glance {
		active, err = p.launchAll(ctx, active)
		errs = append(errs, err)
	}
	if s.Slots && s.Run == "" && p.begins() {
		if err := p.remove(ctx); err != nil {
			errs = append(errs, fmt.Errorf("remove what is old: %w", err))
		}
	}
	p.tally(ctx, active)
	if !p.begins() { // there may be more to do
		p.soon(r.Now())
	}
	return p.sum, errors.Join(errs...)
}

// tally counts what is not ended.
func (p *pass) tally(ctx context.Context, active []dayfly.Run) {
	for _, run := range active {
		if run.State == dayfly.Ended {
			continue
		}
		p.sum.Active++
		if ready(run, p.now()) {
			p.sum.Waiting++
			job, _ := p.version(ctx, run.Version) // one that cannot be read, as is said already, has no jitter
			p.sum.Oldest = earliest(p.sum.Oldest, dueAt(job, p.Installation, run))
		}
	}
}

func (p *pass) now() time.Time { return p.Now() }

// begins tells whether the pass may still begin a new action.
func (p *pass) begins() bool { return p.Now().Sub(p.begun) < ActFor }

// soon takes note that something is due at t.
func (p *pass) soon(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sum.Next = earliest(p.sum.Next, t)
}

func (p *pass) count(f func(*Summary)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.sum)
}

func (p *pass) nextDue(ctx context.Context) error {
	next, err := p.Store.NextDue(ctx)
	if err != nil {
		return fmt.Errorf("read when the next slot is due: %w", err)
	}
	p.soon(next)
	return nil
}

// foreseeAtOnce is how many versions are read at once: as many as are kept until they are asked for, each with a script
// of 64 KiB.
const foreseeAtOnce = versionsSize / (64 << 10)

// foresee reads the versions of jobs that will be asked for, all at once. What it does not get is read when it is
// asked for, and that tells what is wrong.
func (p *pass) foresee(ctx context.Context, jobs []store.Job) {
	var missing []string
	for _, j := range jobs {
		if _, ok := p.versions.get(j.Version); !ok {
			missing = append(missing, j.Version)
		}
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	if len(missing) < 2 {
		return
	}
	found, _ := p.Store.Versions(ctx, missing)
	for v, j := range found {
		p.versions.add(v, j)
	}
}

// version reads a version of a job.
func (p *pass) version(ctx context.Context, version string) (dayfly.Job, error) {
	if j, ok := p.versions.get(version); ok {
		return j, nil
	}
	j, err := p.Store.Version(ctx, version)
	if err != nil {
		return j, fmt.Errorf("read version %.12s: %w", version, err)
	}
	p.versions.add(version, j)
	return j, nil
}

// look lists the machines of every provider that an active run is with.
func (p *pass) look(ctx context.Context, active []dayfly.Run) error {
	want := map[string]bool{}
	for _, run := range active {
		if a := run.Attempt(); a != nil && run.State != dayfly.Due {
			want[a.Provider] = true
		}
	}
	names := slices.Sorted(maps.Keys(want))
	sights, errs := make([]sighting, len(names)), make([]error, len(names))
	p.together(len(names), func(i int) {
		prov, ok := p.Providers[names[i]]
		if !ok {
			errs[i] = fmt.Errorf("machines on %s: this build or configuration has no such provider", names[i])
			return
		}
		if sights[i], errs[i] = p.sight(ctx, prov); errs[i] != nil {
			errs[i] = fmt.Errorf("list machines on %s: %w", names[i], errs[i])
		}
	})
	for i, s := range sights {
		if s.provider != nil {
			p.seen[names[i]] = s
		}
	}
	return errors.Join(errs...)
}

func (r *Reconciler) sight(ctx context.Context, prov machine.Provider) (sighting, error) {
	ctx, cancel := context.WithTimeout(ctx, CallFor)
	defer cancel()
	s := sighting{at: r.Now(), provider: prov, byToken: map[string]*dayfly.Machine{}}
	var err error
	s.list, err = prov.List(ctx)
	for i := range s.list.Machines {
		m := &s.list.Machines[i]
		if m.Tags.Installation != r.Installation {
			continue
		}
		// A retried call can leave a dead machine and a live one under one token: the live one counts.
		if old := s.byToken[m.Tags.Token]; old == nil || old.State == dayfly.MachineTerminated {
			s.byToken[m.Tags.Token] = m
		}
	}
	return s, err
}

// each calls f for every run, a bounded number at once, and gives back what it made of them.
func (p *pass) each(runs []dayfly.Run, f func(dayfly.Run) (dayfly.Run, error)) ([]dayfly.Run, error) {
	out := make([]dayfly.Run, len(runs))
	errs := make([]error, len(runs))
	p.together(len(runs), func(i int) {
		out[i], errs[i] = f(runs[i])
		if errs[i] != nil {
			errs[i] = fmt.Errorf("run %s: %w", runs[i].ID, errs[i])
			p.soon(p.now().Add(Look))
		}
	})
	return out, errors.Join(errs...)
}

// together calls f for 0 to n-1, a bounded number at once.
func (p *pass) together(n int, f func(i int)) { p.atMost(p.Parallel, n, f) }

// stored is together for an f that does nothing but change a record. As many wait as are inserted at once: those that
// do share the store's transactions, and with few at a time a thousand cursors would cost more than a hundred syncs.
func (p *pass) stored(n int, f func(i int)) {
	limit := insertAtOnce
	if p.Parallel == 1 { // one thing after another, as was asked for
		limit = 1
	}
	p.atMost(limit, n, f)
}

func (p *pass) atMost(limit, n int, f func(i int)) {
	if min(limit, n) == 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var work errgroup.Group
	work.SetLimit(limit)
	for i := range n {
		work.Go(func() error {
			f(i)
			return nil
		})
	}
	_ = work.Wait()
}
