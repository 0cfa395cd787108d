package main

import (
	"fmt"
	"strings"
	"time"
)

// took is a length of time for people: 0.2 s, 41 s, 3 min 5 s, 2 h 10 min, 5 d 3 h.
func took(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute-500*time.Millisecond:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour-500*time.Millisecond:
		d = d.Round(time.Second)
		return two(int64(d/time.Minute), "min", int64(d%time.Minute/time.Second), "s")
	case d < 24*time.Hour-30*time.Second:
		d = d.Round(time.Minute)
		return two(int64(d/time.Hour), "h", int64(d%time.Hour/time.Minute), "min")
	}
	d = d.Round(time.Hour)
	return two(int64(d/(24*time.Hour)), "d", int64(d%(24*time.Hour)/time.Hour), "h")
}

// foreseen is a length of time for people that nobody knows exactly: about 5 months, more than 10 years.
func foreseen(d time.Duration) string {
	const day = 24 * time.Hour
	switch days := int(d / day); {
	case days >= 3650:
		return "more than 10 years"
	case days >= 730:
		return fmt.Sprintf("about %d years", days/365)
	case days >= 61:
		return fmt.Sprintf("about %d months", days*12/365)
	case days >= 3:
		return fmt.Sprintf("about %d days", days)
	}
	return took(d)
}

func two(a int64, unitA string, b int64, unitB string) string {
	if b == 0 {
		return fmt.Sprintf("%d %s", a, unitA)
	}
	return fmt.Sprintf("%d %s %d %s", a, unitA, b, unitB)
}

// coarse is a length of time in one unit, for tables.
func coarse(d time.Duration) string {
	switch {
	case d < 100*time.Second:
		return fmt.Sprintf("%ds", int(d.Round(time.Second)/time.Second))
	case d < 100*time.Minute:
		return fmt.Sprintf("%dm", int(d.Round(time.Minute)/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Round(time.Hour)/time.Hour))
	}
	return fmt.Sprintf("%dd", int(d.Round(24*time.Hour)/(24*time.Hour)))
}

// when is an instant as it stands to now: 5m ago, in 3h.
func when(t, now time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case t.After(now):
		return "in " + coarse(t.Sub(now))
	}
	return coarse(now.Sub(t)) + " ago"
}

// instant is an instant in full, in UTC.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// size is a number of bytes for people.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	for _, unit := range []string{"kB", "MB", "GB", "TB", "PB"} {
		if f /= 1000; f < 999.95 {
			return fmt.Sprintf("%.1f %s", f, unit)
		}
	}
	return fmt.Sprintf("%.1f EB", f/1000)
}

// number is a count with its thousands set off: 525,600.
func number(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// plural is "1 file", "2 files".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + one + "s"
}

// pluralVerb is "1 was", "2 were".
func pluralVerb(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// spoken is a word of the records as people say it: timed_out is timed out.
func spoken(word string) string { return strings.ReplaceAll(word, "_", " ") }
