package schedule_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/schedule/scheduletest"
)

var wholeSeed = flag.Uint64("schedule.seed", 0, "which random expressions; 0: others each time")

// twelve are the expressions that are read around every transition there is: all hours named and not, steps, lists,
// days of both kinds, six fields, and an interval.
var twelve = []string{
	"* * * * *", "*/15 * * * *", "0 * * * *", "30 2 * * *", "*/20 0-4 * * *", "0 */3 * * *",
	"59 23,0-3 * * *", "0 0 * * *", "15 1 25-31 3,10 *", "0,30 1,2,3 * * SUN", "cron(5 0-23/2 ? * SUNL *)", "@every 7h",
}

// change is a transition: when, and from which offset to which. All zones that have it alike read every expression
// alike around it, since none has another one within three days (TestEveryZone).
type change struct {
	at            int64
	before, after int
}

// TestEveryTransitionOfEveryZone is the whole of R10: two days before and after each transition of each zone from
// 1972 to 2050, twelve expressions and 200 random ones say what a walk along the minutes finds.
func TestEveryTransitionOfEveryZone(t *testing.T) {
	t.Parallel()
	all := map[change]*time.Location{}
	zones := 0
	for _, name := range zoneNames(t) {
		zones++
		loc := location(t, name)
		for _, at := range transitions(loc, date(1972, 2, 1), date(2051, 1, 1)) { // before it some offsets have seconds
			all[change{at.Unix(), offset(at.Add(-1), loc), offset(at, loc)}] = loc
		}
	}
	random := randomExpressions(t, 200)
	cases, slots := len(all)*len(twelve)+len(random), atomic.Int64{}
	work := make(chan func())
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for do := range work {
				do()
			}
		})
	}
	for c, loc := range all {
		from, to := time.Unix(c.at, 0).AddDate(0, 0, -2), time.Unix(c.at, 0).AddDate(0, 0, 2)
		work <- func() {
			for _, text := range twelve {
				slots.Add(int64(sameSlots(t, text, loc, from, to)))
			}
		}
	}
	for i, text := range random {
		loc := location(t, zoneNames(t)[i%zones])
		from := date(1972, 2, 1).AddDate(0, 0, i*29000/len(random))
		work <- func() { slots.Add(int64(sameSlots(t, text, loc, from, from.AddDate(0, 0, 40)))) }
	}
	close(work)
	workers.Wait()
	t.Logf("R10: %d different transitions of %d zones, %d cases, %d slots", len(all), zones, cases, slots.Load())
	if len(all) < 5000 || slots.Load() < 1_000_000 {
		t.Error("that is too little to show anything")
	}
}

// sameSlots compares the slots in (from, to] with the walk: one after another, backwards, counted, and asked for at
// instants in the middle. It gives their number.
func sameSlots(t *testing.T, text string, loc *time.Location, from, to time.Time) int {
	const key = "backup"
	s, err := schedule.Parse(text, schedule.Options{Location: loc, Key: key})
	if err != nil {
		t.Errorf("Parse(%q): %v", text, err)
		return 0
	}
	want := scheduletest.Slots(text, loc, time.Time{}, key, from, to)
	if got := follow(s, from, to); !slices.EqualFunc(got, want, time.Time.Equal) {
		t.Errorf("%q in %s after %s up to %s:\n%s", text, loc, from, to, difference(got, want))
	}
	if n := s.Count(from, to); n != len(want) {
		t.Errorf("%q in %s: Count(%s, %s) = %d, want %d", text, loc, from, to, n, len(want))
	}
	middle := from.Add(to.Sub(from) / 2) // asked in the second pass of an overlap, it goes on after the first
	for at := middle.Add(-3 * time.Hour); at.Before(middle.Add(3 * time.Hour)); at = at.Add(11 * time.Minute) {
		i, _ := slices.BinarySearchFunc(want, at.Add(1), time.Time.Compare)
		if next, ok := s.Next(at); i < len(want) && (!ok || !next.Equal(want[i])) {
			t.Errorf("%q in %s: Next(%s) = %s, want %s", text, loc, at.UTC(), next, want[i])
			break
		}
	}
	at := to
	for _, slot := range slices.Backward(want) {
		prev, ok := s.Prev(at)
		if !ok || !prev.Equal(slot) {
			t.Errorf("%q in %s: Prev(%s) = %s, want %s", text, loc, at.UTC(), prev, slot)
			break
		}
		at = prev.Add(-time.Nanosecond)
	}
	return len(want)
}

// randomExpressions are of five fields, each a value, a list, a range, a step, or a star.
func randomExpressions(t *testing.T, n int) []string {
	seed := *wholeSeed
	for seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-schedule.seed=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 10))
	field := func(lo, hi int) string {
		a, b := lo+rng.IntN(hi-lo+1), lo+rng.IntN(hi-lo+1)
		switch rng.IntN(5) {
		case 0:
			return fmt.Sprint(a)
		case 1:
			return fmt.Sprintf("%d,%d", a, b)
		case 2:
			return fmt.Sprintf("%d-%d", min(a, b), max(a, b))
		case 3:
			return fmt.Sprintf("*/%d", 1+rng.IntN(hi-lo+1))
		}
		return "*"
	}
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s %s %s %s %s", field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6))
	}
	return all
}
