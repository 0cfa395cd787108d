package term_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dayfly-io/dayfly/internal/term"
)

func TestWidth(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{
		"": 0, "plain": 5, "日本": 4, "e\u0301": 1, "✔\ufe0f": 2, "👩‍👩‍👧": 2, "…": 1,
		"\x1b[31mred\x1b[0m": 3, "\x1b[38;5;208m日\x1b[0m!": 3,
	} {
		if got := term.Width(line); got != want {
			t.Errorf("%q takes %d cells, want %d", line, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line        string
		width       int
		end, middle string
	}{
		{"backup-20261123T014200Z", 23, "backup-20261123T014200Z", "backup-20261123T014200Z"},
		{"backup-20261123T014200Z", 12, "backup-2026…", "backu…14200Z"},
		{"日本語です", 6, "日本…", "日…す"},
		{"日本語です", 7, "日本語…", "日…です"},
		{"e\u0301e\u0301e\u0301", 2, "e\u0301…", "…e\u0301"},
		{"abc", 1, "…", "…"},
		{"abc", 0, "", ""},
	} {
		if got := term.Cut(c.line, c.width); got != c.end {
			t.Errorf("%q in %d is %q, want %q", c.line, c.width, got, c.end)
		}
		if got := term.CutMiddle(c.line, c.width); got != c.middle {
			t.Errorf("%q in %d is %q, cut in the middle, want %q", c.line, c.width, got, c.middle)
		}
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line   string
		indent string
		want   []string
	}{
		{"", "", []string{""}},
		{"short", "  ", []string{"short"}},
		{"one two three four", "", []string{"one two", "three four"}},
		{"hint: one two three", "      ", []string{"hint: one", "      two", "     three"}},
		{"see: 123456789", "     ", []string{"see:", " 123456789"}},
		{"  a  b  cccccc", "  ", []string{"  a  b", "  cccccc"}},
		{"see /a/very/long/path and", "  ", []string{"see", "/a/very/long/path", "  and"}},
		{"\x1b[31mfailed\x1b[0m in 1 s", "", []string{"\x1b[31mfailed\x1b[0m in", "1 s"}},
		{"日本語 日本", "", []string{"日本語", "日本"}},
		{"end   ", "", []string{"end"}},
	} {
		if got := term.Wrap(c.line, 10, c.indent); !slices.Equal(got, c.want) {
			t.Errorf("%q becomes %q, want %q", c.line, got, c.want)
		}
	}
	for line, want := range map[string][]string{
		"see /a/very/long/path": {"see", "/a/very/lo", "ng/path"}, "日本語日本語": {"日本語日本", "語"}, "one two three": {"one two", "three"},
	} {
		if got := term.Break(line, 10); !slices.Equal(got, want) {
			t.Errorf("%q is broken into %q, want %q", line, got, want)
		}
	}
}

// Nothing is lost and nothing is too wide.
func TestLinesFit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.StringOf(rapid.SampledFrom([]rune("ab/é日👧… "))).Draw(t, "line")
		width := rapid.IntRange(2, 30).Draw(t, "width")
		squeezed := strings.ReplaceAll(line, " ", "")
		for how, lines := range map[string][]string{"Wrap": term.Wrap(line, width, " "), "Break": term.Break(line, width)} {
			if got := strings.ReplaceAll(strings.Join(lines, ""), " ", ""); got != squeezed {
				t.Errorf("%s makes %q of %q", how, lines, line)
			}
			for _, l := range lines {
				if term.Width(l) > width && (how == "Break" || strings.Contains(strings.TrimSpace(l), " ")) {
					t.Errorf("%s in %d: %q is too wide", how, width, l)
				}
			}
		}
		for _, cut := range []string{term.Cut(line, width), term.CutMiddle(line, width)} {
			if term.Width(cut) > width || (cut == line) != (term.Width(line) <= width) {
				t.Errorf("%q in %d becomes %q", line, width, cut)
			}
		}
	})
}
