package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

func job(name dayfly.JobName, next time.Time) store.Job {
	return store.Job{Name: name, Version: "v1", Scheduled: true, Source: "/jobs/" + string(name) + ".yaml",
		AppliedAt: epoch, Cursor: epoch, NextDue: next}
}

func names(jobs []store.Job) []dayfly.JobName {
	out := make([]dayfly.JobName, len(jobs))
	for i, j := range jobs {
		out[i] = j.Name
	}
	return out
}

func jobs(t *testing.T, s store.Store) {
	ctx := t.Context()
	same(t, "jobs of an empty store", must(s.Jobs(ctx))(t), nil)
	_, err := s.Job(ctx, "pi")
	wantErr(t, "a job that is not there", err, store.ErrNotFound)
	wantErr(t, "deleting it", s.DeleteJob(ctx, "pi", 1), store.ErrNotFound)

	j := job("pi", at(5))
	j.Rev = 7
	_, err = s.PutJob(ctx, j)
	wantErr(t, "changing a job that is not there", err, store.ErrStale)
	j.Rev = 0
	first := must(s.PutJob(ctx, j))(t)
	if first.Rev <= 0 {
		t.Errorf("a stored job has revision %d", first.Rev)
	}
	same(t, "job read back", must(s.Job(ctx, "pi"))(t), first)
	_, err = s.PutJob(ctx, j)
	wantErr(t, "making a job that is there", err, store.ErrStale)

	changed := first
	changed.Held = store.Pause{Why: "by hand: \"quoted\"", Since: at(8), Until: at(20)}
	changed.Vanished = store.Pause{Why: "because it is gone", Since: at(7)}
	changed.NextDue, changed.Cursor = time.Time{}, at(9)
	second := must(s.PutJob(ctx, changed))(t)
	if second.Rev <= first.Rev {
		t.Errorf("revision went from %d to %d", first.Rev, second.Rev)
	}
	changed.Rev = second.Rev
	same(t, "changed job", second, changed)
	same(t, "changed job read back", must(s.Job(ctx, "pi"))(t), second)
	_, err = s.PutJob(ctx, first)
	wantErr(t, "a change on an older revision", err, store.ErrStale)
	wantErr(t, "deleting an older revision", s.DeleteJob(ctx, "pi", first.Rev), store.ErrStale)

	for _, n := range []dayfly.JobName{"b", "a-b", "a", "z0"} {
		must(s.PutJob(ctx, job(n, at(1))))(t)
	}
	same(t, "jobs by name", names(must(s.Jobs(ctx))(t)), []dayfly.JobName{"a", "a-b", "b", "pi", "z0"})
	ok(t, s.DeleteJob(ctx, "pi", second.Rev))
	same(t, "jobs after a delete", names(must(s.Jobs(ctx))(t)), []dayfly.JobName{"a", "a-b", "b", "z0"})
	_, err = s.Job(ctx, "pi")
	wantErr(t, "a deleted job", err, store.ErrNotFound)
}

func jobReborn(t *testing.T, s store.Store) {
	ctx := t.Context()
	old := must(s.PutJob(ctx, job("pi", at(1))))(t)
	put(t, s, due("pi", at(1), "", 0))
	ok(t, s.DeleteJob(ctx, "pi", old.Rev))
	same(t, "due jobs after the delete", must(s.DueJobs(ctx, store.Scope{}, at(60), 10))(t), nil)
	if next := must(s.NextDue(ctx))(t); !next.IsZero() {
		t.Errorf("next due of no jobs: %s", next)
	}
	same(t, "the runs of a deleted job", len(must(s.ActiveRuns(ctx, store.Scope{Job: "pi"}))(t)), 1)

	again := must(s.PutJob(ctx, job("pi", at(2))))(t)
	_, err := s.PutJob(ctx, old)
	wantErr(t, "a change on a revision from before the delete", err, store.ErrStale)
	wantErr(t, "a delete of a revision from before the delete", s.DeleteJob(ctx, "pi", old.Rev), store.ErrStale)
	same(t, "the job that came back", must(s.Job(ctx, "pi"))(t), again)
}

func dueJobs(t *testing.T, s store.Store) {
	ctx := t.Context()
	if next := must(s.NextDue(ctx))(t); !next.IsZero() {
		t.Errorf("next due of an empty store: %s", next)
	}
	for name, next := range map[dayfly.JobName]time.Time{
		"c": at(1), "a": at(3), "b": at(3), "d": at(4), "e": {}, "f": at(2).Add(time.Millisecond), "old": at(-100_000_000),
	} {
		must(s.PutJob(ctx, job(name, next)))(t)
	}
	check := func(what string, scope store.Scope, now time.Time, limit int, want ...dayfly.JobName) {
		t.Helper()
		same(t, what, names(must(s.DueJobs(ctx, scope, now, limit))(t)), want)
	}
	check("due, the most overdue first", store.Scope{}, at(3), 10, "old", "c", "f", "a", "b")
	check("at most three", store.Scope{}, at(3), 3, "old", "c", "f")
	check("a millisecond too early", store.Scope{}, at(2), 10, "old", "c")
	check("one job that is due", store.Scope{Job: "a", Run: "ignored"}, at(3), 10, "a")
	check("one job that is not due", store.Scope{Job: "d"}, at(3), 10)
	check("one job that never is", store.Scope{Job: "e"}, at(3), 10)
	check("one job that is not there", store.Scope{Job: "x"}, at(3), 10)
	if next := must(s.NextDue(ctx))(t); !next.Equal(at(-100_000_000)) {
		t.Errorf("next due: %s", next)
	}

	old := must(s.Job(ctx, "old"))(t)
	old.NextDue = time.Time{}
	must(s.PutJob(ctx, old))(t)
	c := must(s.Job(ctx, "c"))(t)
	c.NextDue = at(9)
	must(s.PutJob(ctx, c))(t)
	check("after two moved on", store.Scope{}, at(3), 10, "f", "a", "b")
	if next := must(s.NextDue(ctx))(t); !next.Equal(at(2).Add(time.Millisecond)) {
		t.Errorf("next due after two moved on: %s", next)
	}
}

func jobRace(t *testing.T, s store.Store) {
	ctx := t.Context()
	winners := race(16, func(i int) bool {
		_, err := s.PutJob(ctx, job("pi", at(i)))
		return won(t, err)
	})
	if winners != 1 {
		t.Errorf("%d made the job, want 1", winners)
	}
	for range 5 {
		j := must(s.Job(ctx, "pi"))(t)
		winners := race(16, func(i int) bool {
			mine := j
			mine.Cursor = at(i)
			_, err := s.PutJob(ctx, mine)
			return won(t, err)
		})
		if winners != 1 {
			t.Errorf("%d changed revision %d, want 1", winners, j.Rev)
		}
	}
}

// race runs f n times at once and counts how often it is true.
func race(n int, f func(i int) bool) int {
	var (
		wg    sync.WaitGroup
		count atomic.Int64
		start = make(chan struct{})
	)
	for i := range n {
		wg.Go(func() {
			<-start
			if f(i) {
				count.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(count.Load())
}

// won tells a winner of a compare-and-swap from a loser; anything else is wrong.
func won(t testing.TB, err error) bool {
	if err != nil {
		wantErr(t, "losing a race", err, store.ErrStale)
	}
	return err == nil
}
