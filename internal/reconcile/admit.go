package reconcile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dayfly-io/dayfly"
)

// verdict is what becomes of a due run that is ready.
type verdict struct {
	launch  bool
	skip    string         // why it never runs
	wait    string         // what it waits for
	replace []dayfly.RunID // whom it cancels first
}

// admit decides which of a job's due runs may launch, given all active runs of the job. It is pure.
func admit(runs []dayfly.Run, policy func(version string) (dayfly.Job, error), now time.Time) (map[dayfly.RunID]verdict, error) {
	runs = slices.SortedFunc(slices.Values(runs), inTurn)
	machines := inFlight(runs)
	atOnce := map[array]int{}          // of an array's shards, those that have or may have a machine
	ahead := map[dayfly.Shard]*queue{} // of the shard, before the run in question
	for _, r := range runs {
		if ahead[r.Shard] == nil {
			ahead[r.Shard] = &queue{}
		}
		if begun(r) {
			ahead[r.Shard].runs = append(ahead[r.Shard].runs, r)
		}
		if r.State != dayfly.Due {
			atOnce[arrayOf(r)]++
		}
	}
	verdicts := map[dayfly.RunID]verdict{}
	var errs []error
	for _, r := range runs {
		if r.State != dayfly.Due {
			continue
		}
		job, err := policy(r.Version)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		v := verdict{launch: true}
		if !begun(r) {
			v = ahead[r.Shard].admit(job, r)
		}
		switch {
		case !v.launch || !ready(r, now):
		case job.AtOnce() > 0 && atOnce[arrayOf(r)] >= job.AtOnce():
			v = verdict{wait: waitsForTurn(job)}
		case job.Limit.Machines > 0 && machines >= job.Limit.Machines:
			v = verdict{wait: fmt.Sprintf("the job's limit of %d machines", job.Limit.Machines)}
		default:
			machines++
			atOnce[arrayOf(r)]++
		}
		if ready(r, now) {
			verdicts[r.ID] = v
		}
		if v.skip == "" && !begun(r) {
			ahead[r.Shard].join(r, v)
		}
	}
	return verdicts, errors.Join(errs...)
}

// inOrder is the order in which runs come: by slot first.
func inOrder(a, b dayfly.Run) int {
	return cmp.Or(a.Slot.Compare(b.Slot), cmp.Compare(a.Job, b.Job), a.Shard.Compare(b.Shard), cmp.Compare(a.N, b.N))
}

// inTurn is the order in which runs are admitted. One of the past that nobody waits for to the minute stands
// in no other's way.
func inTurn(a, b dayfly.Run) int {
	later := map[bool]int{true: 1}
	return cmp.Or(cmp.Compare(later[fills(a) && !begun(a)], later[fills(b) && !begun(b)]), inOrder(a, b))
}

// fills tells whether a run is one of a backfill.
func fills(r dayfly.Run) bool { return r.Trigger == dayfly.TriggerBackfill }

// begun tells whether a run has asked for a machine at least once.
func begun(r dayfly.Run) bool { return r.State != dayfly.Due || len(r.Attempts) > 0 }

// caughtUp tells whether a run makes up for a slot that was found late. Such runs come one after another.
func caughtUp(job dayfly.Job, r dayfly.Run) bool {
	return r.Trigger == dayfly.TriggerSchedule && r.CreatedAt.Sub(r.Slot) > job.OnTime()
}

// array is the runs of one slot that were made for one reason: the shards of an array.
type array struct {
	job     dayfly.JobName
	slot    int64
	trigger dayfly.Trigger
}

func arrayOf(r dayfly.Run) array { return array{r.Job, r.Slot.UnixMilli(), r.Trigger} }

// waitsForTurn is why a shard waits for others of its array.
func waitsForTurn(job dayfly.Job) string {
	if job.AtOnce() == 1 {
		return "its shards run one after another"
	}
	return fmt.Sprintf("at most %d shards run at once", job.AtOnce())
}

// queue is the active runs of one job and shard that come before another.
type queue struct {
	runs    []dayfly.Run
	waiting int // of them, those that may not launch now
}

func (q *queue) join(r dayfly.Run, v verdict) {
	q.runs = append(q.runs, r)
	if !v.launch {
		q.waiting++
	}
}

// admit decides of a run by the job's overlap policy alone.
func (q *queue) admit(job dayfly.Job, r dayfly.Run) verdict {
	o, late := job.Overlap, caughtUp(job, r)
	if len(q.runs) == 0 || (o == dayfly.OverlapAllow && !late) {
		return verdict{launch: true}
	}
	first := q.runs[0]
	switch {
	case late:
		return verdict{wait: "caught-up runs come one after another"}
	case fills(r):
		return verdict{wait: "another run of the job is active"}
	case o == dayfly.OverlapQueue && q.waiting >= dayfly.QueueLimit:
		return verdict{skip: fmt.Sprintf("%d runs wait already", q.waiting)}
	case o == dayfly.OverlapQueue:
		return verdict{wait: "an earlier run of the job is active"} // it names none: that would be stored again after each
	case o == dayfly.OverlapReplace:
		v := verdict{wait: fmt.Sprintf("%s is being replaced", first.ID)}
		for _, a := range q.runs {
			if a.CancelAt.IsZero() {
				v.replace = append(v.replace, a.ID)
			}
		}
		return v
	}
	return verdict{skip: fmt.Sprintf("%s was still active", first.ID)}
}
