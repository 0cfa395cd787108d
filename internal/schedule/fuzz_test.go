package schedule_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/fuzztest"
	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/schedule/scheduletest"
)

// limit is how long any text and any instant may take. A busy machine may suspend a test for longer than that, so
// a call is slow only when it is slow three times.
const limit = 50 * time.Millisecond

func quick(t *testing.T, what string, call func()) {
	t.Helper()
	var took time.Duration
	for range 3 {
		start := time.Now()
		fuzztest.Bounded(t, call)
		if took = time.Since(start); took < limit {
			return
		}
	}
	t.Fatalf("%s took %s", what, took)
}

// FuzzParse: no text crashes or takes long, every refusal says where and why, and the texts that are taken are those
// that the second reading of the specification takes.
func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Expr, v.Key)
	}
	for _, line := range lines(f, "testdata/invalid.txt") {
		f.Add(line, "backup")
	}
	for _, text := range []string{"\xff", "0 0 * * *\n", "H(1-SUN) H(0-0)/1 H(1-31)/31 H(JAN-MAR) H(0-7)", "7-2/2 * * * 7-2/2", "@every 00001h", "@every 1h1h",
		"@every 99999999999999999999d", "rate(366 days)", "rate(527041 minutes)", "cron(0 0 ? * 3#0000000000000000005 *)", "at(2199-12-31T23:59:59)", "cron((((((", "0 0 * * 0-7/7"} {
		f.Add(text, "x")
	}
	f.Fuzz(func(t *testing.T, text, key string) {
		var s *schedule.Schedule
		var err error
		quick(t, "Parse", func() { s, err = schedule.Parse(text, schedule.Options{Key: key}) })
		if refusal := scheduletest.Check(text, key); (refusal == nil) != (err == nil) {
			t.Fatalf("Parse(%q) = %v, but the oracle says %v", text, err, refusal)
		}
		if err != nil {
			var e *schedule.Error
			if !errors.As(err, &e) || e.Field == "" || e.Problem == "" || e.Offset < 0 || e.Len < 0 || e.Offset+e.Len > len(text) {
				t.Fatalf("Parse(%q): incomplete error %#v", text, err)
			}
			return
		}
		if s.Describe() == "" {
			t.Fatalf("no words for %q", text)
		}
		again, err := schedule.Parse(s.String(), schedule.Options{Key: key})
		if err != nil || again.String() != s.String() || again.Describe() != s.Describe() {
			t.Fatalf("%q is not the same as %q: %v", s, text, err)
		}
	})
}

// FuzzNext: from no instant does any schedule crash, stand still, go back or take long.
func FuzzNext(f *testing.F) {
	for i, v := range vectors(f) {
		f.Add(v.Expr, uint(i), v.After.Unix(), v.After.UnixNano()%1e9)
	}
	f.Add("* * 29 2 */7", uint(1), int64(1<<62), int64(0))
	f.Add("cron(* * ? 2 7#5 2196)", uint(2), int64(-1<<62), int64(1))
	f.Add("cron(0 0 ? 2 7#5 *)", uint(3), date(2180, 1, 1).Unix(), int64(999_999_999))
	f.Fuzz(func(t *testing.T, text string, zone uint, sec, nsec int64) {
		loc := location(t, zones[zone%uint(len(zones))])
		s, err := schedule.Parse(text, schedule.Options{Location: loc, Key: "backup"})
		if err != nil {
			return
		}
		after := time.Unix(sec, max(0, nsec%1e9))
		var next, prev time.Time
		var ok, found bool
		quick(t, "Next", func() { next, ok = s.Next(after) })
		quick(t, "Prev", func() { prev, found = s.Prev(after) })
		quick(t, "Count", func() { s.Count(prev, next); s.Count(date(1, 1, 1), date(2300, 1, 1)) })
		if ok && !next.After(after) {
			t.Fatalf("%q in %s: Next(%s) = %s", text, loc, after, next)
		}
		if found && prev.After(after) {
			t.Fatalf("%q in %s: Prev(%s) = %s", text, loc, after, prev)
		}
		if ok && s.Count(after, next) != 1 {
			t.Fatalf("%q in %s: Count(%s, %s) = %d", text, loc, after, next, s.Count(after, next))
		}
		if ok && found && s.Count(prev, next) != 1 {
			t.Fatalf("%q in %s: Count(%s, %s) = %d", text, loc, prev, next, s.Count(prev, next))
		}
	})
}
