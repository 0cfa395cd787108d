package storetest

import (
	"context"
	"math"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// Limit is what a question to an indexed store may take, whatever is stored.
const Limit = 100 * time.Millisecond

// Indexed holds a store to what an index promises: an answer costs what is in it. It is given a
// history of 20,000 runs (fewer under the race detector), or as many as DAYFLY_TEST_HISTORY says.
func Indexed(t *testing.T, open Open) {
	t.Helper()
	size := defaultSize
	if text := os.Getenv("DAYFLY_TEST_HISTORY"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		size = n
	}
	s := open(t)
	all := long(size)
	put(t, s, all...)
	active := []dayfly.Run{due("j07", at(-1), "", 1), due("j07", at(size), "", 1), due("j42", at(5), "", 1)}
	put(t, s, active...)
	for i := range 200 {
		must(s.PutJob(t.Context(), job(dayfly.JobName("job-"+strconv.Itoa(i)), at(i))))(t)
	}

	middle := all[size/2].ID
	for what, f := range map[string]store.Filter{
		"the newest":                    {},
		"of one job":                    {Job: "j07"},
		"of one outcome":                {Outcome: dayfly.Succeeded},
		"of an outcome that is rare":    {Outcome: dayfly.Lost},
		"of an outcome that is nowhere": {Outcome: dayfly.Refused},
		"of one job and outcome":        {Job: "j07", Outcome: dayfly.Failed},
		"of a job without that outcome": {Job: "j07", Outcome: dayfly.Lost},
		"of a job that has none":        {Job: "nobody"},
		"of a backfill":                 {Job: "j07", Backfill: "j07@OLD"},
		"of a backfill and an outcome":  {Job: "j07", Backfill: "j07@OLD", Outcome: dayfly.Lost},
		"of a backfill nobody knows":    {Job: "j07", Backfill: "j07@NEVER"},
		"since":                         {Since: at(size - 10)},
		"since, of one job":             {Job: "j07", Since: at(size / 3)},
		"since, of a rare outcome":      {Outcome: dayfly.Lost, Since: at(size / 3)},
		"ended":                         {Ended: true, Job: "j42"},
		"a page in the middle":          {Before: middle},
		"a page of one job":             {Before: middle, Job: "j07"},
		"a page of one job and outcome": {Before: middle, Job: "j07", Outcome: dayfly.Succeeded, Ended: true},
	} {
		f.Limit = 50
		var got []dayfly.Run
		quick(t, "history "+what, func() { got = read(t, s, f) })
		want := expectLong(all, active, f)
		same(t, "history "+what, ids(got), want)
	}

	ctx := t.Context()
	quick(t, "active runs", func() {
		same(t, "active runs", len(must(s.ActiveRuns(ctx, store.Scope{}))(t)), 3)
	})
	quick(t, "active runs of a job", func() {
		same(t, "active runs of a job", len(must(s.ActiveRuns(ctx, store.Scope{Job: "j07"}))(t)), 2)
	})
	quick(t, "due jobs", func() {
		same(t, "due jobs", len(must(s.DueJobs(ctx, store.Scope{}, at(4), 100))(t)), 5)
	})
	quick(t, "the next due instant", func() { must(s.NextDue(ctx))(t) })
	quick(t, "one run", func() { must(s.Run(ctx, middle))(t) })
	quick(t, "the last n", func() { same(t, "the last n", must(s.LastN(ctx, "j07", at(-1), ""))(t), 1) })
	slot := 0
	quick(t, "an insert", func() {
		put(t, s, due("new", at(slot), "", 0))
		slot++
	})
}

// quick asks three times: on a busy machine any one may be slow.
func quick(t testing.TB, what string, ask func()) {
	t.Helper()
	best := time.Duration(math.MaxInt64)
	for range 3 {
		begin := time.Now()
		ask()
		best = min(best, time.Since(begin))
	}
	t.Logf("%-45s %8.2f ms", what, float64(best.Microseconds())/1000)
	if best > Limit {
		t.Errorf("%s took %s, want at most %s", what, best, Limit)
	}
}

// long is a history, oldest first: a run a minute of a hundred jobs in turn. One in a thousand is lost,
// of one job only, and one in five thousand is of a backfill, of another.
func long(size int) []dayfly.Run {
	all := make([]dayfly.Run, size)
	for i := range all {
		name := dayfly.JobName("j" + strconv.Itoa(i/10%10) + strconv.Itoa(i%10))
		outcome := dayfly.Succeeded
		switch {
		case i%1000 == 13:
			outcome = dayfly.Lost // of j13
		case i%7 == 0:
			outcome = dayfly.Failed
		}
		all[i] = ended(name, at(i), outcome)
		if i%5000 == 7 {
			all[i].Backfill = "j07@OLD"
		}
		all[i].Reason = "as long as the reasons that people read usually are, or a little longer"
	}
	return all
}

// expectLong is the filter by brute force, over a history that is long.
func expectLong(all, active []dayfly.Run, f store.Filter) (out []dayfly.RunID) {
	from, cursor, _ := f.Cursor()
	both := append(append([]dayfly.Run{active[0]}, all...), active[1]) // in their order; the third is one of many at its slot
	for i := len(both) - 1; i >= 0 && len(out) < f.Limit; i-- {
		r := &both[i]
		if f.Match(r) && (!cursor || store.PositionOf(r).Compare(from) < 0) {
			out = append(out, r.ID)
		}
	}
	return out
}

// Writes measures durable changes a second, one after the other.
func Writes(b *testing.B, open Open) {
	s, ctx := open(b), context.WithoutCancel(b.Context())
	minute := 0
	batch := func(n int) func(b *testing.B) {
		return func(b *testing.B) {
			for range b.N {
				runs := make([]dayfly.Run, n)
				for i := range runs {
					runs[i] = due("pi", at(minute), "", 0)
					minute++
				}
				must(s.InsertRuns(ctx, runs))(b)
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "runs/s")
		}
	}
	b.Run("insert 1", batch(1))
	b.Run("insert 200", batch(store.MaxInsert))
	b.Run("update", func(b *testing.B) {
		r := must(s.Run(ctx, due("pi", at(0), "", 0).ID))(b)
		for range b.N {
			r = must(s.UpdateRun(ctx, r))(b)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "runs/s")
	})
	b.Run("read", func(b *testing.B) {
		for range b.N {
			must(s.Run(ctx, due("pi", at(0), "", 0).ID))(b)
		}
	})
}
