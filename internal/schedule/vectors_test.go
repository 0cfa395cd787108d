package schedule_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/schedule"
)

// vector is a line of testdata/vectors.jsonl.
type vector struct {
	Rule, Expr, Dialect, TZ, Anchor, Key string
	After                                time.Time
	Next                                 []string
}

func vectors(t testing.TB) []vector {
	t.Helper()
	var all []vector
	for _, line := range lines(t, "testdata/vectors.jsonl") {
		var v vector
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

func lines(t testing.TB, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []string
	for s := bufio.NewScanner(f); s.Scan(); {
		all = append(all, s.Text())
	}
	return all
}

func (v vector) parse(t testing.TB) *schedule.Schedule {
	t.Helper()
	o := schedule.Options{Location: location(t, v.TZ), Key: v.Key}
	if v.Anchor != "" {
		o.Anchor = instant(t, v.Anchor)
	}
	s, err := schedule.Parse(v.Expr, o)
	if err != nil {
		t.Fatalf("Parse(%q): %v", v.Expr, err)
	}
	return s
}

func TestVectors(t *testing.T) {
	t.Parallel()
	all := vectors(t)
	if len(all) < 179 {
		t.Fatalf("only %d vectors", len(all))
	}
	for _, v := range all {
		t.Run(v.Rule+" "+v.Expr, func(t *testing.T) {
			t.Parallel()
			s := v.parse(t)
			var got []string
			var instants []time.Time
			for at, ok := s.Next(v.After); ok && len(got) < 5; at, ok = s.Next(at) {
				got = append(got, at.Format(time.RFC3339))
				instants = append(instants, at)
			}
			if strings.Join(got, " ") != strings.Join(v.Next, " ") {
				t.Fatalf("Next of %q after %s in %s:\ngot  %v\nwant %v", v.Expr, v.After.Format(time.RFC3339), v.TZ, got, v.Next)
			}
			checkAround(t, s, v.After, instants)
		})
	}
}

// checkAround checks that Prev and Count agree with the instants that follow after.
func checkAround(t *testing.T, s *schedule.Schedule, after time.Time, instants []time.Time) {
	t.Helper()
	last := after
	for i, at := range instants {
		if n := s.Count(after, at); n != i+1 {
			t.Errorf("Count(%s, %s) = %d, want %d", after, at, n, i+1)
		}
		if n := s.Count(after, at.Add(-1)); n != i {
			t.Errorf("Count up to just before %s = %d, want %d", at, n, i)
		}
		if got, ok := s.Prev(at); !ok || !got.Equal(at) {
			t.Errorf("Prev(%s) = %s, %v", at, got, ok)
		}
		got, ok := s.Prev(at.Add(-1))
		if i > 0 && (!ok || !got.Equal(last)) {
			t.Errorf("Prev just before %s = %s, %v, want %s", at, got, ok, last)
		}
		if i == 0 && ok && got.After(after) {
			t.Errorf("Prev just before the first instant %s = %s, which Next passed over", at, got)
		}
		last = at
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	all := lines(t, "testdata/invalid.txt")
	if len(all) < 94 {
		t.Fatalf("only %d lines", len(all))
	}
	for _, line := range all {
		text, why, _ := strings.Cut(line, "\t")
		t.Run(why+" "+text, func(t *testing.T) {
			t.Parallel()
			s, err := schedule.Parse(text, schedule.Options{Key: "backup"})
			var e *schedule.Error
			if !errors.As(err, &e) {
				t.Fatalf("Parse(%q) = %v, %v; want it refused: %s", text, s, err, why)
			}
			if e.Field == "" || e.Problem == "" || e.Offset < 0 || e.Len < 0 || e.Offset+e.Len > len(text) {
				t.Errorf("Parse(%q): incomplete error %+v", text, e)
			}
			t.Logf("%-40q %v [%q] hint: %s\n  (%s)", text, e, text[e.Offset:e.Offset+e.Len], e.Hint, why)
		})
	}
}

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := schedule.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
