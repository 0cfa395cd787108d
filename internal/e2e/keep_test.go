package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
	storefake "github.com/dayfly-io/dayfly/internal/store/fake"
)

// TestKeeping lets the real control loop remove what is old through months of crashes, pauses, partitions,
// wrong clocks, edits, requests, retries, removed jobs and a second scheduler. Nothing that is in use is
// ever removed, no record ever says that more is gone than is, and in the end nothing is left that may go,
// so that the records and the bucket stay as large as they are after the first weeks.
func TestKeeping(t *testing.T) {
	t.Parallel()
	for i := range *keepSeeds {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			t.Parallel()
			keepFor(t, uint64(i)+1, *keepDays)
		})
	}
}

var (
	keepSeeds = flag.Int("keep.seeds", 2, "how many simulations of removal")
	keepDays  = flag.Int("keep.days", 120, "how many days each simulates, 120 at least")
)

// simKeep is what holds for jobs that say nothing, such as those that are edited in the middle.
var simKeep = dayfly.Keep{Results: days(5), Logs: days(3), History: days(9)}

func days(n float64) dayfly.Seconds { return dayfly.Seconds(n * 24 * float64(time.Hour)) }

// wrong is by how much the simulated clocks are, and late by how much a removal may be.
const (
	wrong = 11 * time.Minute
	late  = 14 * time.Hour
)

// keeper is a world whose removals are watched.
type keeper struct {
	*world
	jobs    []*simJob
	success map[shardOf]time.Time // the latest slot that ever succeeded, by the evidence of the store
	gone    removals
}

// shardOf is one shard of a job.
type shardOf struct {
	job   dayfly.JobName
	shard dayfly.Shard
}

// removals counts what was seen to go.
type removals struct{ marks, runs, ranges, archives int }

// watched looks at what is removed before it is. The rest is the store's.
type watched struct {
	*storefake.Store
	k *keeper
}

func keepFor(t *testing.T, seed uint64, length int) {
	w := newWorld(t, seed, simStart)
	k := &keeper{world: w, success: map[shardOf]time.Time{}}
	edit := func(c *reconcile.Config) { c.Store, c.Keep = watched{w.store, k}, simKeep }
	w.one, w.two = w.reconciler(edit), w.reconciler(edit)
	w.bucket.Fail(
		func(op, key string) error {
			k.object(op, key)
			return w.strike(w.bucketDown, op, false)
		},
		func(op, _ string) error { return w.strike(w.bucketDown, op, true) },
	)
	for i := range 6 {
		k.add(i)
	}
	var sizes []int
	for range length {
		k.live(24 * time.Hour)
		sizes = append(sizes, k.size())
		if t.Failed() {
			return
		}
	}
	early, later := slices.Max(sizes[20:60]), slices.Max(sizes[len(sizes)-40:])
	if later > early*3/2 {
		t.Errorf("seed %d: there were at most %d records and objects in the first weeks, and %d in the last", seed, early, later)
	}
	w.heal()
	k.end()
	t.Logf("seed %d: %d faults; removed: %d marks, %d runs, %d ranges, %d archives; size at most %d early, %d late", seed, w.faults, k.gone.marks, k.gone.runs, k.gone.ranges, k.gone.archives, early, later)
	if g := k.gone; g.marks < 500 || g.runs < 500 || g.archives < 5 {
		t.Errorf("seed %d: only %+v were removed: that shows nothing", seed, g)
	}
}

// edited is the job that faults edit; they say nothing of what it keeps, and make an array of it now and then.
const edited = 1

// add makes a job that keeps what it leaves for a while of its own.
func (k *keeper) add(i int) {
	j := k.makeJob(i + 1)
	j.job.Schedules = []dayfly.Schedule{{At: simExprs[i%len(simExprs)]}, {At: fmt.Sprintf("%d */6 * * *", i)}}
	if i == 2 { // whose downtimes become ranges
		j.job.Schedules = append(j.job.Schedules, dayfly.Schedule{At: "7 * * * *"})
	}
	if j.job.Array != nil {
		j.job.Array.Size = min(2, j.job.Array.Size)
	}
	if i != edited {
		j.job.Keep = dayfly.Keep{Results: days(float64(1 + k.rng.IntN(6))), Logs: days(0.1 + 4*k.rng.Float64()), History: days(float64(2 + k.rng.IntN(9)))}
	}
	k.pack(j)
	k.world.apply(j)
	k.jobs = append(k.jobs, j)
}

// pack gives a job an archive, as a command does before it applies the job.
func (k *keeper) pack(j *simJob) {
	k.calm(func() {
		ctx := context.Background()
		leave, err := k.store.Refer(ctx)
		if err != nil {
			return // somebody removes archives just now; then without a new one
		}
		defer leave()
		j.job.FilesSHA256 = fmt.Sprintf("%064d", k.rng.IntN(40))
		_, err = k.bucket.Put(ctx, dayfly.FilesKey(j.job.FilesSHA256), strings.NewReader("files"), bucket.Condition{IfAbsent: true})
		if err == nil || k.has(dayfly.FilesKey(j.job.FilesSHA256)) {
			err = k.store.PutVersion(ctx, j.job)
		}
		if err != nil {
			k.t.Fatal(err)
		}
	})
}

func (k *keeper) has(key string) bool {
	_, err := k.bucket.Stat(context.Background(), key)
	return err == nil
}

// live goes on for a while, as the simulation of slots does.
func (k *keeper) live(d time.Duration) {
	w := k.world
	end := w.real.Add(d)
	nextFault := w.real
	for w.real.Before(end) && !w.t.Failed() {
		if !w.real.Before(nextFault) {
			nextFault = w.real.Add(time.Duration(w.rng.ExpFloat64() * float64(24*time.Hour) / faultsADay))
			if paused := w.hit(k.jobs[:edited+1]); paused.After(w.real) && w.rng.IntN(4) == 0 {
				w.real = paused
			}
			k.people()
		}
		sum, err := w.pass()
		next := nextFault
		switch {
		case err != nil:
			next = soonest(next, w.real.Add(time.Duration(1+w.rng.IntN(60))*time.Second))
		case !sum.Next.IsZero():
			next = soonest(next, sum.Next.Add(-w.skew))
		}
		w.real = later(soonest(next, w.nextEnd()), w.real.Add(time.Millisecond))
	}
}

// people do what people do: they run jobs by hand and again, edit them, take them away and bring them back.
func (k *keeper) people() {
	ctx := context.Background()
	j := k.jobs[k.rng.IntN(len(k.jobs))]
	switch k.rng.IntN(12) {
	case 0:
		k.pack(j)
		k.world.apply(j)
	case 1:
		k.calm(func() {
			if _, err := reconcile.Request(ctx, k.store, j.job, reconcile.Wish{}, k.real); err != nil {
				k.t.Fatal(err)
			}
		})
	case 2:
		k.calm(func() {
			var ended []dayfly.RunID
			for r, err := range k.store.History(ctx, store.Filter{Job: j.job.Name, Ended: true, Oldest: true, Limit: 20}) {
				if err != nil {
					k.t.Fatal(err)
				}
				ended = append(ended, r.ID)
			}
			if len(ended) > 0 {
				if _, err := reconcile.Again(ctx, k.store, ended[k.rng.IntN(len(ended))], k.real); err != nil {
					k.t.Fatal(err)
				}
			}
		})
	case 3:
		if k.rng.IntN(10) == 0 && k.skew == 0 {
			k.calm(func() {
				if err := k.one.Remove(ctx, j.job.Name); err != nil {
					k.t.Fatal(err)
				}
			})
			if k.rng.IntN(2) == 0 {
				k.real = k.real.Add(time.Duration(k.rng.IntN(60)) * time.Hour)
			}
			k.world.apply(j)
		}
	}
}

// size is how many records and objects there are, those of the job apart that is edited.
func (k *keeper) size() (n int) {
	ctx := context.Background()
	k.calm(func() {
		prefixes := []string{dayfly.FilesKey("")}
		for _, j := range slices.Delete(slices.Clone(k.jobs), edited, edited+1) {
			prefixes = append(prefixes, "runs/"+string(j.job.Name)+"/")
			for _, err := range k.store.History(ctx, store.Filter{Job: j.job.Name}) {
				if n++; err != nil {
					k.t.Fatal(err)
				}
			}
		}
		for _, prefix := range prefixes {
			for _, err := range k.bucket.List(ctx, prefix, "") {
				if n++; err != nil {
					k.t.Fatal(err)
				}
			}
		}
		notes, err := k.store.Notes(ctx, "", k.real)
		ranges, err2 := k.store.Ranges(ctx, "", time.Time{})
		if err != nil || err2 != nil {
			k.t.Fatal(err, err2)
		}
		n += len(notes) + len(ranges)
	})
	return n
}

// job is a job as it is now, terms what holds for it.
func (k *keeper) job(name dayfly.JobName) dayfly.Job {
	return k.jobs[slices.IndexFunc(k.jobs, func(j *simJob) bool { return j.job.Name == name })].job
}

func (k *keeper) terms(name dayfly.JobName) dayfly.Terms { return k.job(name).Keep.Terms(simKeep) }

// check looks whether a run may lose what a term is about.
func (k *keeper) check(id dayfly.RunID, term dayfly.Term, record bool) {
	ctx := context.Background()
	r, err := k.store.Run(ctx, id)
	if err != nil {
		return // somebody else removed it
	}
	bad := func(why string) { k.t.Errorf("seed %d at %s: run %s %s", k.seed, k.real, id, why) }
	if r.State != dayfly.Ended {
		bad("is " + string(r.State) + " and would lose something")
	}
	if left := r.EndedAt.Add(term.For).Sub(k.real); left > wrong {
		bad(fmt.Sprintf("would lose something %s too early", left))
	}
	if r.Outcome == dayfly.Succeeded && !k.success[shardOf{r.Job, r.Shard}].After(r.Slot) && slices.Contains(k.job(r.Job).Shards(), r.Shard) {
		bad("is the last success of its shard")
	}
	active, err := k.store.ActiveRuns(ctx, store.Scope{Job: r.Job})
	if err != nil {
		k.t.Fatal(err)
	}
	for _, a := range active {
		if a.Of == id {
			bad("is repeated by " + string(a.ID))
		}
	}
	if !record {
		return
	}
	if rec, err := k.store.Job(ctx, r.Job); err == nil && r.N == 0 && r.Slot.After(rec.Cursor) {
		bad("is of a slot that would become a run once more")
	}
	for _, a := range r.Attempts {
		if a.Deadline.After(k.real.Add(wrong)) {
			bad("had a machine whose token is remembered still")
		}
	}
}

// none makes sure that no object is left below a prefix.
func (k *keeper) none(prefix string) {
	for o := range k.bucket.List(context.Background(), prefix, "") {
		k.t.Errorf("seed %d at %s: a record is about to say that %s is gone", k.seed, k.real, o.Key)
	}
}

// object looks at what is about to be deleted from the bucket.
func (k *keeper) object(op, key string) {
	sum, archive := strings.CutPrefix(key, dayfly.FilesKey(""))
	if op != "Delete" || !archive {
		return
	}
	k.calm(func() {
		if named, err := k.store.NamesFiles(context.Background(), sum); named || err != nil {
			k.t.Errorf("seed %d at %s: archive %s is named (%v) and would go", k.seed, k.real, sum, err)
		}
		k.gone.archives++
	})
}

// UpdateRun takes note of successes, also of such whose reply is lost.
func (s watched) UpdateRun(ctx context.Context, r dayfly.Run) (dayfly.Run, error) {
	if r.State == dayfly.Ended && r.Outcome == dayfly.Succeeded {
		of := shardOf{r.Job, r.Shard}
		s.k.success[of] = later(s.k.success[of], r.Slot)
	}
	return s.Store.UpdateRun(ctx, r)
}

// MarkRemoved looks before it marks.
func (s watched) MarkRemoved(ctx context.Context, marks []store.Mark) error {
	s.k.calm(func() {
		for _, m := range marks {
			terms := s.k.terms(jobOf(m.Run))
			prefix := dayfly.RunPrefix(jobOf(m.Run), m.Run)
			for n := range 3 {
				if !m.Results.At.IsZero() {
					s.k.check(m.Run, terms.Results, false)
					s.k.none(fmt.Sprint(prefix, n+1, "/", dayfly.KeyResults))
				}
				if !m.Logs.At.IsZero() {
					s.k.check(m.Run, terms.Logs, false)
					s.k.none(fmt.Sprint(prefix, n+1, "/", dayfly.KeyLog))
				}
			}
			s.k.gone.marks++
		}
	})
	return s.Store.MarkRemoved(ctx, marks)
}

// DeleteRuns looks before it deletes.
func (s watched) DeleteRuns(ctx context.Context, ids []dayfly.RunID) error {
	s.k.calm(func() {
		for _, id := range ids {
			s.k.check(id, s.k.terms(jobOf(id)).History, true)
			s.k.none(dayfly.RunPrefix(jobOf(id), id))
			s.k.gone.runs++
		}
	})
	return s.Store.DeleteRuns(ctx, ids)
}

// DeleteRange counts.
func (s watched) DeleteRange(ctx context.Context, job dayfly.JobName, from time.Time) error {
	s.k.gone.ranges++
	return s.Store.DeleteRange(ctx, job, from)
}

func jobOf(id dayfly.RunID) dayfly.JobName {
	name, _, _, _, _ := id.Parse()
	return name
}

// end lets a calm day pass and looks whether anything is left that may go, or gone that must stay.
func (k *keeper) end() {
	ctx := context.Background()
	for end := k.real.Add(48 * time.Hour); k.real.Before(end); {
		sum, err := k.pass()
		if err != nil {
			k.t.Fatalf("seed %d: pass after all faults healed: %v", k.seed, err)
		}
		k.real = later(soonest(soonest(end, sum.Next), k.nextEnd()), k.real.Add(time.Millisecond))
	}
	known, noted := map[string]bool{}, map[shardOf]time.Time{}
	notes, err := k.store.Notes(ctx, "success/", k.real)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, n := range notes {
		parts := strings.SplitN(strings.TrimSuffix(n.Key, " "), "/", 3)
		noted[shardOf{dayfly.JobName(parts[1]), dayfly.Shard(parts[2])}], _ = time.Parse(time.RFC3339Nano, n.Value)
	}
	for r, err := range k.store.History(ctx, store.Filter{}) {
		if err != nil {
			k.t.Fatal(err)
		}
		known[dayfly.RunPrefix(r.Job, r.ID)] = true
		if _, err := k.store.Version(ctx, r.Version); err != nil {
			k.t.Errorf("seed %d: the version of run %s: %v", k.seed, r.ID, err)
		}
		terms := k.terms(r.Job)
		old := func(t dayfly.Term) bool { return t.Over(r.EndedAt, k.real.Add(-late)) }
		// What two schedulers note of the last success at once may be of the one before: it stays too.
		of := shardOf{r.Job, r.Shard}
		if r.State != dayfly.Ended || r.Outcome == dayfly.Succeeded && (r.Slot.Equal(k.success[of]) || r.Slot.Equal(noted[of])) {
			continue
		}
		if old(terms.History) || old(terms.Results) && r.Remains()&dayfly.RemainsResults != 0 || old(terms.Logs) && r.Remains()&dayfly.RemainsLogs != 0 {
			k.t.Errorf("seed %d: run %s ended %s ago and has still %d (%+v)", k.seed, r.ID, k.real.Sub(r.EndedAt), r.Remains(), terms)
		}
	}
	for o := range k.bucket.List(ctx, "runs/", "") {
		parts := strings.SplitAfterN(o.Key, "/", 4)
		if !known[strings.Join(parts[:3], "")] {
			k.t.Errorf("seed %d: %s belongs to no record", k.seed, o.Key)
		}
	}
	for o := range k.bucket.List(ctx, dayfly.FilesKey(""), "") {
		if named, err := k.store.NamesFiles(ctx, strings.TrimPrefix(o.Key, dayfly.FilesKey(""))); !named || err != nil {
			k.t.Errorf("seed %d: %s is named by no version (%v)", k.seed, o.Key, err)
		}
	}
	for _, j := range k.jobs {
		rec, err := k.store.Job(ctx, j.job.Name)
		if err == nil {
			_, err = k.store.Version(ctx, rec.Version)
		}
		if err != nil {
			k.t.Errorf("seed %d: the version of job %s: %v", k.seed, j.job.Name, err)
		}
		if files := dayfly.FilesKey(j.job.FilesSHA256); j.job.FilesSHA256 != "" && !k.has(files) {
			k.t.Errorf("seed %d: %s of job %s is gone", k.seed, files, j.job.Name)
		}
	}
}
