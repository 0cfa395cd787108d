package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestLineDifferences(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, to, want string }{
		{"", "a b", "+ a|+ b"}, {"a b", "", "- a|- b"}, {"a b c", "a x c", "...|- b|+ x|..."}, {"a b c", "a b c d", "...|+ d"},
		{"a b c d e", "x b c d y", "- a|+ x|...|- e|+ y"}, {"a", "b", "- a|+ b"},
	} {
		got := strings.Join(lineDifferences(strings.Fields(c.from), strings.Fields(c.to)), "|")
		if got != c.want {
			t.Errorf("%q to %q: %s", c.from, c.to, got)
		}
	}
	long := strings.Split(strings.Repeat("a,b,c,", 1000), ",")
	if got := lineDifferences(long, append([]string{"x"}, append(long, "y")...)); len(got) < 2 {
		t.Errorf("long texts: %d lines", len(got))
	}
}

// Whatever the texts, what goes and what comes make one of the other.
func TestLineDifferencesAreWhole(t *testing.T) {
	t.Parallel()
	text := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "..."}), 0, 12)
	rapid.Check(t, func(t *rapid.T) {
		from, to := text.Draw(t, "from"), text.Draw(t, "to")
		count := map[string]int{}
		for _, l := range from {
			count[l]--
		}
		for _, l := range to {
			count[l]++
		}
		for _, l := range lineDifferences(from, to) {
			switch sign, line, _ := strings.Cut(l, " "); sign {
			case "+":
				count[line]--
			case "-":
				count[line]++
			}
		}
		for line, n := range count {
			if n != 0 {
				t.Fatalf("%v to %v: %d of %q: %s", from, to, n, line, cmp.Diff(from, to))
			}
		}
	})
}
