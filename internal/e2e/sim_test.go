package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/schedule/scheduletest"
	"github.com/dayfly-io/dayfly/internal/store"
)

var (
	simSeeds = flag.Int("sim.seeds", 20, "how many simulations")
	simFirst = flag.Uint64("sim.first", 1, "the first seed")
	simDays  = flag.Int("sim.days", 500, "how many days each simulates")
)

// simStart is a winter day; 500 days from it see both clock changes of most zones.
var simStart = time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)

// The schedules that simulated jobs pick from. Few distinct ones, so that the oracle's walk is shared.
var (
	simExprs = []string{
		"0 23 * * *", "30 2 * * *", "15 1 * * MON-FRI", "0 0 1 * *", "0 12 13 * FRI", "30 2 * * SUN", "45 3 */3 * *",
		"cron(0 23 ? * 2#1 *)", "cron(0 8 L * ? *)", "@daily", "@weekly", "rate(2 days)", "@every 31h", "59 23 28-31 * *", "H H * * *",
	}
	simZones = []string{"UTC", "Europe/Tallinn", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata"}
)

// simJob is a job of the simulation and the times from which each of its versions held.
type simJob struct {
	job      dayfly.Job
	segments []segment
	pauses   []pause
}

// pause is when a job was paused: slots after from and before until are skipped.
type pause struct{ from, until time.Time }

func (j *simJob) paused(slot time.Time) bool {
	return slices.ContainsFunc(j.pauses, func(p pause) bool { return slot.After(p.from) && slot.Before(p.until) })
}

type segment struct {
	from time.Time
	job  dayfly.Job
}

func (w *world) makeJob(i int) *simJob {
	pick := func(n int) int { return w.rng.IntN(n) }
	j := dayfly.Job{
		Name: dayfly.JobName(fmt.Sprintf("job-%d", i)), Timezone: simZones[pick(len(simZones))], Run: "true",
		CatchUp: dayfly.CatchUp{
			Policy: []dayfly.CatchUpPolicy{dayfly.CatchUpNone, dayfly.CatchUpLast, dayfly.CatchUpAll}[pick(3)],
			Within: dayfly.Seconds([]time.Duration{time.Minute, time.Hour, 24 * time.Hour, 72 * time.Hour}[pick(4)]),
		},
		Overlap:  []dayfly.Overlap{dayfly.OverlapSkip, dayfly.OverlapQueue, dayfly.OverlapReplace, dayfly.OverlapAllow}[pick(4)],
		Machine:  dayfly.MachineChoice{On: "local"},
		Timeout:  dayfly.Seconds(time.Hour),
		Deadline: dayfly.Seconds(time.Duration(5+pick(120)) * time.Minute),
		Retry:    dayfly.Retry{Attempts: 1, Backoff: dayfly.Seconds(time.Minute)},
		Limit:    dayfly.Limit{Machines: pick(3)},
	}
	if w.places.IntN(3) == 0 {
		j.Machine.On = "cloud"
	}
	if pick(4) == 0 {
		j.Array = &dayfly.Array{Size: 1 + pick(5), AtOnce: pick(4)}
	}
	if pick(4) == 0 {
		j.Jitter = dayfly.Seconds([]time.Duration{time.Second, time.Minute, 5 * time.Minute, 3 * time.Hour}[pick(4)])
	}
	if pick(3) == 0 {
		j.Retry.Attempts = 3
		j.Retry.On = []dayfly.Outcome{dayfly.Failed, dayfly.Lost, dayfly.Capacity, dayfly.TimedOut}[:1+pick(4)]
	}
	if i == 0 { // minutes, in a few hours of ten days
		for d := range 10 {
			from := simStart.AddDate(0, 0, 3+d*48).Add(time.Duration(pick(20)) * time.Hour)
			j.Schedules = append(j.Schedules, dayfly.Schedule{At: "* * * * *", From: from, Until: from.Add(4 * time.Hour)})
		}
		return &simJob{job: j}
	}
	j.Schedules = []dayfly.Schedule{{At: simExprs[pick(len(simExprs))]}}
	if pick(10) == 0 {
		j.Schedules = append(j.Schedules, dayfly.Schedule{At: simExprs[pick(len(simExprs))], Timezone: "UTC"})
	}
	return &simJob{job: j}
}

// TestSimulation is R1 and R2 (one store): the real control loop lives through 500 days of crashes, pauses,
// partitions, errors, full providers, wrong clocks and a second scheduler, and every slot that an
// independent walk over the minutes finds has exactly one record, of each shard where there are several.
func TestSimulation(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var runs, slots, faults, passes, late int
	t.Run("seeds", func(t *testing.T) {
		for i := range *simSeeds {
			seed := *simFirst + uint64(i)
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				w, n, s := simulate(t, seed, *simDays)
				mu.Lock()
				defer mu.Unlock()
				runs, slots, faults, passes, late = runs+n, slots+s, faults+w.faults, passes+w.passes, late+w.late
			})
		}
	})
	t.Logf("%d seeds × %d days: %d slots, %d runs, %d faults, %d passes, %d machines listed late", *simSeeds, *simDays, slots, runs, faults, passes, late)
}

// How often things happen in a simulation.
const (
	faultsADay        = 20
	daysBetweenPauses = 1
)

func simulate(t *testing.T, seed uint64, days int) (w *world, runs, slots int) {
	w = newWorld(t, seed, simStart)
	jobs := make([]*simJob, 50)
	for i := range jobs {
		jobs[i] = w.makeJob(i)
		w.apply(jobs[i])
	}
	end := simStart.AddDate(0, 0, days)
	nextFault, nextPause := w.real, w.real
	var paused time.Time
	for w.real.Before(end) && !t.Failed() {
		if !w.real.Before(nextFault) {
			nextFault = w.real.Add(time.Duration(w.rng.ExpFloat64() * float64(24*time.Hour) / faultsADay))
			w.sweep()
			paused = later(paused, w.hit(jobs))
		}
		if !w.real.Before(nextPause) {
			nextPause = w.real.Add(time.Duration(w.people.ExpFloat64() * float64(daysBetweenPauses*24*time.Hour)))
			w.pauseOrResume(jobs[w.people.IntN(len(jobs))])
		}
		next := later(soonest(nextFault, nextPause), w.real.Add(time.Millisecond))
		if !w.real.Before(paused) {
			sum, err := w.pass()
			switch {
			case err != nil:
				next = soonest(next, w.real.Add(time.Duration(1+w.rng.IntN(60))*time.Second))
			case !sum.Next.IsZero():
				next = soonest(next, sum.Next.Add(-w.skew))
			}
			next = soonest(next, w.nextEnd())
		} else {
			next = soonest(next, paused)
		}
		w.real = later(next, w.real.Add(time.Millisecond))
	}
	w.heal()
	for range 10_000 { // progress: everything comes to its end
		if sum, err := w.pass(); err != nil {
			t.Fatalf("seed %d: pass after all faults healed: %v", seed, err)
		} else if sum.Active == 0 {
			break
		}
		w.real = w.real.Add(10 * time.Second)
	}
	return w, w.check(jobs, w.real), w.oracle(jobs, w.real)
}

// sweep looks for orphans, in the middle of all faults. The loop promises that there never is one.
func (w *world) sweep() {
	found, _ := w.one.Sweep(context.Background(), false) // its errors are the world's
	w.dead = false
	for _, f := range found {
		if f.Action == "ended" {
			w.t.Errorf("seed %d at %s: a sweep ended a machine of %s: %s", w.seed, w.real, f.Machine.Tags.Run, f.Why)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func soonest(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}

// hit makes one fault happen. A pause is given back as the time of its end.
func (w *world) hit(jobs []*simJob) (paused time.Time) {
	w.faults++
	some := func(d time.Duration) time.Time { return w.real.Add(time.Duration(w.rng.ExpFloat64() * float64(d))) }
	switch w.rng.IntN(13) {
	case 0, 1:
		w.killIn = w.rng.IntN(100)
	case 2:
		if w.rng.IntN(40) == 0 {
			return some(30 * time.Hour)
		}
		return some(10 * time.Minute)
	case 3:
		w.storeDown = some(5 * time.Minute)
	case 4:
		w.bucketDown = some(5 * time.Minute)
	case 5:
		w.providerDown = some(5 * time.Minute)
	case 6:
		w.full = some(20 * time.Minute)
	case 7:
		w.glitch = w.rng.Float64() / 10
	case 8:
		w.glitch = 0
	case 9: // a step, and the next one brings it back
		if w.skew != 0 {
			w.setClock(0)
		} else {
			w.setClock(time.Duration(w.rng.IntN(1200)-600) * time.Second)
		}
	case 10:
		w.nestIn = w.rng.IntN(100)
	case 11:
		if w.skew == 0 && w.rng.IntN(20) == 0 {
			j := jobs[1+w.rng.IntN(len(jobs)-1)]
			edited := w.makeJob(1)
			edited.job.Name = j.job.Name
			j.job = edited.job
			w.apply(j)
		}
	case 12:
		w.partial = some(5 * time.Minute)
	}
	return time.Time{}
}

func (w *world) heal() {
	w.storeDown, w.bucketDown, w.providerDown, w.full, w.partial = time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	w.glitch, w.dead, w.killIn, w.nestIn = 0, false, -1, -1
	w.setClock(0)
	w.real = w.real.Add(time.Hour) // past any slot that a wrong clock took for due
}

// apply applies a job, or an edit of it; nothing fails meanwhile, so that it is known when it held.
func (w *world) apply(j *simJob) {
	w.calm(func() {
		if _, err := w.one.Apply(context.Background(), j.job, "sim"); err != nil {
			w.t.Fatalf("seed %d: apply: %v", w.seed, err)
		}
		rec, err := w.store.Job(context.Background(), j.job.Name)
		if err != nil {
			w.t.Fatal(err)
		}
		j.segments = append(j.segments, segment{from: rec.Cursor, job: j.job}) // a clock that ran ahead covered slots already
	})
}

// pauseOrResume is a person's doing, at a time when the clock is right; nothing fails meanwhile, so that it
// is known when it held.
func (w *world) pauseOrResume(j *simJob) {
	if w.skew != 0 {
		return
	}
	w.calm(func() {
		n := len(j.pauses)
		resume := n > 0 && w.real.Before(j.pauses[n-1].until)
		until := time.Time{}
		if w.people.IntN(3) > 0 {
			until = w.real.Add(time.Duration(w.people.ExpFloat64() * float64(3*24*time.Hour)))
		}
		var err error
		if resume {
			_, err = w.one.Resume(context.Background(), j.job.Name)
		} else {
			_, err = w.one.Pause(context.Background(), j.job.Name, "by the simulation", until)
		}
		if err != nil {
			w.t.Fatalf("seed %d: pause or resume: %v", w.seed, err)
		}
		rec, err := w.store.Job(context.Background(), j.job.Name)
		if err != nil {
			w.t.Fatal(err)
		}
		switch {
		case resume:
			j.pauses[n-1].until = soonest(j.pauses[n-1].until, rec.Cursor.Add(time.Nanosecond))
		case until.IsZero():
			j.pauses = append(j.pauses, pause{rec.Cursor, simStart.AddDate(10, 0, 0)})
		default:
			j.pauses = append(j.pauses, pause{rec.Cursor, until})
		}
	})
}

// dueSlot is a slot by the oracle, and the shards that it has.
type dueSlot struct {
	time.Time
	shards []dayfly.Shard
}

// expected are the slots of a job by the oracle.
func (j *simJob) expected(t *testing.T, until time.Time) []dueSlot {
	var all []dueSlot
	for i, s := range j.segments {
		to := until
		if i+1 < len(j.segments) {
			to = j.segments[i+1].from
		}
		for _, sch := range s.job.Schedules {
			zone := sch.Timezone
			if zone == "" {
				zone = s.job.Timezone
			}
			for _, slot := range walk(t, sch.At, zone, string(s.job.Name)) {
				inside := (sch.From.IsZero() || !slot.Before(sch.From)) && (sch.Until.IsZero() || slot.Before(sch.Until))
				if inside && slot.After(s.from) && !slot.After(to) {
					all = append(all, dueSlot{slot.UTC(), shardsOf(s.job)})
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b dueSlot) int { return a.Compare(b.Time) })
	return slices.CompactFunc(all, func(a, b dueSlot) bool { return a.Equal(b.Time) })
}

// shardsOf is what the job file says: so many of an array, else one without a name.
func shardsOf(j dayfly.Job) (all []dayfly.Shard) {
	if j.Array == nil {
		return []dayfly.Shard{""}
	}
	for i := range j.Array.Size {
		all = append(all, dayfly.Shard(fmt.Sprint(i)))
	}
	return all
}

var walks sync.Map

// walk is the oracle: every slot of the whole simulated time, found minute by minute.
func walk(t *testing.T, expr, zone, name string) []time.Time {
	if expr[0] != 'H' {
		name = ""
	}
	f, _ := walks.LoadOrStore(expr+"\n"+zone+"\n"+name, sync.OnceValue(func() []time.Time {
		loc, err := schedule.LoadLocation(zone)
		if err != nil {
			t.Error(err)
			return nil
		}
		return scheduletest.Slots(expr, loc, time.Time{}, name, simStart, simStart.AddDate(0, 0, *simDays+30))
	}))
	return f.(func() []time.Time)()
}

func (w *world) oracle(jobs []*simJob, until time.Time) (n int) {
	for _, j := range jobs {
		n += len(j.expected(w.t, until))
	}
	return n
}

// cell is where a record must be: a shard of a slot.
type cell struct {
	slot  time.Time
	shard dayfly.Shard
}

// check compares the records with the oracle's slots: each shard of each has one run or one place in a
// range, and nothing else has.
func (w *world) check(jobs []*simJob, until time.Time) (runs int) {
	for _, j := range jobs {
		slots := j.expected(w.t, until)
		records := map[cell]int{}
		for r, err := range w.store.History(context.Background(), store.Filter{Job: j.job.Name}) {
			if err != nil {
				w.t.Fatal(err)
			}
			runs++
			records[cell{r.Slot, r.Shard}]++
			w.checkRun(r)
			if got := r.Outcome == dayfly.Skipped && r.Reason == "paused by the simulation"; got != j.paused(r.Slot) {
				w.t.Errorf("seed %d: run %s: %s, %q; its job was paused: %v", w.seed, r.ID, r.Outcome, r.Reason, !got)
			}
		}
		ranges, err := w.store.Ranges(context.Background(), j.job.Name, time.Time{})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, r := range ranges {
			w.checkRange(j, r, slots, records)
		}
		for _, s := range slots {
			for _, shard := range s.shards {
				at := cell{s.Time, shard}
				if records[at] != 1 {
					w.t.Errorf("seed %d job %s: slot %s shard %q has %d records", w.seed, j.job.Name, s, shard, records[at])
				}
				delete(records, at)
			}
		}
		for at := range records {
			w.t.Errorf("seed %d job %s: a record for %s shard %q, which was never due", w.seed, j.job.Name, at.slot, at.shard)
		}
	}
	if left := w.alive(); len(left) > 0 {
		w.t.Errorf("seed %d: %d machines are left: %v", w.seed, len(left), left[0].Tags)
	}
	return runs
}

// checkRange counts what a range record covers, all shards of each slot, into records.
func (w *world) checkRange(j *simJob, r dayfly.Range, slots []dueSlot, records map[cell]int) {
	n, runs := 0, 0
	for _, s := range slots {
		if s.Before(r.From) || s.After(r.To) || records[cell{s.Time, s.shards[0]}] > 0 {
			continue
		}
		n++
		if got := r.Outcome == dayfly.Skipped; got != j.paused(s.Time) {
			w.t.Errorf("seed %d job %s: slot %s is in a range %s; its job was paused: %v", w.seed, r.Job, s, r.Outcome, !got)
		}
		for _, shard := range s.shards {
			records[cell{s.Time, shard}]++
			runs++
		}
	}
	// A pause has a run for each of its first slots.
	if n != r.Count || runs != n*max(1, r.Shards) || runs <= dayfly.RangeOver && r.Outcome != dayfly.Skipped {
		w.t.Errorf("seed %d job %s: range from %s to %s counts %d of %d shards and covers %d slots, %d runs", w.seed, r.Job, r.From, r.To, r.Count, r.Shards, n, runs)
	}
}

// checkRun compares a record with the evidence: which machines there really were.
func (w *world) checkRun(r dayfly.Run) {
	if r.State != dayfly.Ended {
		w.t.Errorf("seed %d: run %s is %s at the end", w.seed, r.ID, r.State)
		return
	}
	never := r.Outcome == dayfly.Missed || r.Outcome == dayfly.Skipped
	if r.Reason == "" && never {
		w.t.Errorf("seed %d: run %s %s without a reason", w.seed, r.ID, r.Outcome)
	}
	made := 0
	for n := range len(r.Attempts) + 2 {
		made += w.started[attemptKey(r.ID, n+1)]
	}
	if made > len(r.Attempts) || never && made > 0 || r.Outcome == dayfly.Succeeded && made == 0 {
		w.t.Errorf("seed %d: run %s %s with %d attempts had %d machines", w.seed, r.ID, r.Outcome, len(r.Attempts), made)
	}
	w.checkTimes(r)
	for i, a := range r.Attempts {
		key := attemptKey(r.ID, a.Number)
		if strings.HasPrefix(a.Reason, "the machine vanished") && w.started[key] > 0 && !w.vanished[key] && !w.stepped[key] {
			w.t.Errorf("seed %d: %s: %s, and it did not", w.seed, key, a.Reason)
		}
		if a.Number != i+1 || a.GoneAt.IsZero() {
			w.t.Errorf("seed %d: run %s attempt %d: number %d, gone %s", w.seed, r.ID, i+1, a.Number, a.GoneAt)
		}
	}
}

// checkTimes: no run is launched before its jitter allows it, and none is missed because of it.
func (w *world) checkTimes(r dayfly.Run) {
	job, err := w.store.Version(context.Background(), r.Version)
	if err != nil {
		w.t.Fatal(err)
	}
	jitter := job.Jitter.Duration()
	delay := job.Delay(simInstallation, r.Slot, r.Shard)
	if delay < 0 || delay > jitter {
		w.t.Errorf("seed %d: run %s is delayed by %s, its jitter is %s", w.seed, r.ID, delay, jitter)
	}
	from := r.Slot.Add(delay)
	if len(r.Attempts) > 0 && r.CreatedAt.Before(from) && r.Attempts[0].LaunchedAt.Before(from) {
		w.t.Errorf("seed %d: run %s was launched at %s, %s of jitter before it was to be", w.seed, r.ID, r.Attempts[0].LaunchedAt, delay)
	}
	if want := r.Slot.Add(job.CatchUp.Window() + jitter); !r.StartDeadline.Equal(want) {
		w.t.Errorf("seed %d: run %s is to start by %s, want %s", w.seed, r.ID, r.StartDeadline, want)
	}
}
