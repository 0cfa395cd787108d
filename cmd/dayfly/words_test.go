package main

import (
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/spec"
)

func TestWords(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ got, want string }{
		{took(-time.Second), "0.0 s"},
		{took(240 * time.Millisecond), "0.2 s"},
		{took(9940 * time.Millisecond), "9.9 s"},
		{took(9960 * time.Millisecond), "10 s"},
		{took(59400 * time.Millisecond), "59 s"},
		{took(59700 * time.Millisecond), "1 min"},
		{took(185 * time.Second), "3 min 5 s"},
		{took(time.Hour - time.Millisecond), "1 h"},
		{took(130 * time.Minute), "2 h 10 min"},
		{took(123 * time.Hour), "5 d 3 h"},
		{foreseen(40 * time.Minute), "40 min"},
		{foreseen(71 * time.Hour), "2 d 23 h"},
		{foreseen(100 * time.Hour), "about 4 days"},
		{foreseen(61 * 24 * time.Hour), "about 2 months"},
		{foreseen(729 * 24 * time.Hour), "about 23 months"},
		{foreseen(730 * 24 * time.Hour), "about 2 years"},
		{foreseen(3649 * 24 * time.Hour), "about 9 years"},
		{foreseen(3650 * 24 * time.Hour), "more than 10 years"},
		{foreseen(36500 * 24 * time.Hour), "more than 10 years"},
		{when(now.Add(-90*time.Second), now), "90s ago"},
		{when(now.Add(3*time.Hour), now), "in 3h"},
		{when(now.Add(-72*time.Hour), now), "3d ago"},
		{when(now.Add(-30*time.Minute), now), "30m ago"},
		{when(time.Time{}, now), ""},
		{instant(now.Add(500 * time.Millisecond)), "2026-11-22T12:00:00Z"},
		{instant(time.Time{}), ""},
		{size(999), "999 B"},
		{size(1000), "1.0 kB"},
		{size(999949), "999.9 kB"},
		{size(999950), "1.0 MB"},
		{size(5 << 30), "5.4 GB"},
		{number(1), "1"},
		{number(525600), "525,600"},
		{number(1234567), "1,234,567"},
		{plural(1, "file"), "1 file"},
		{plural(0, "file"), "0 files"},
		{spoken("timed_out"), "timed out"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"backup", "pi", "report", "etl", "b"}
	for word, want := range map[string]string{
		"bakcup": "backup", "backups": "backup", "p": "pi", "repotr": "report", "database": "", "": "",
		"elt": "etl", "etk": "etl", "et": "etl", "exx": "", "abc": "", "c": "",
	} {
		if got := spec.Nearest(word, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
