package main

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
)

// wrongs are errors that are said all at once, as one of usage.
type wrongs []error

func (w *wrongs) add(err error) {
	if err != nil {
		*w = append(*w, err)
	}
}

func (w wrongs) join() error { return asInvalid(w) }

var dayForm = regexp.MustCompile(`^([0-9]{4})-([0-9]{2})-([0-9]{2})`)

// timeOf reads the TIME of a flag: an RFC 3339 instant, how long ago, or a day in a zone, of which it is the
// first instant or the last.
func timeOf(flag, text string, zone *time.Location, now time.Time, last bool) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	if d, ok := ago(text); ok {
		return now.Add(-d), nil
	}
	wrong := func(at, n int, problem, hint string) (time.Time, error) {
		message := fmt.Sprintf("--%s: %s%s", flag, problem, underlined(text, at, n))
		return time.Time{}, &dayfly.Error{Code: dayfly.CodeInvalid, Message: message, Hint: hint}
	}
	m := dayForm.FindStringSubmatch(text)
	if m == nil {
		return wrong(0, len(text), fmt.Sprintf("%q is no time", text), "RFC 3339 such as 2026-11-22T23:00:00Z, a day such as 2026-11-22, or how long ago, such as 36h or 90d")
	}
	day, err := time.Parse(time.DateOnly, m[0])
	if err != nil {
		month, _ := strconv.Atoi(m[2]) // digits, as the form says
		if month < 1 || month > 12 {
			return wrong(5, 2, "there is no month "+m[2], "months are 01 to 12")
		}
		year, _ := strconv.Atoi(m[1])
		first := time.Date(year, time.Month(month), 1, 0, 0, 0, 0, time.UTC)
		return wrong(8, 2, fmt.Sprintf("%s %s has no day %s", first.Month(), m[1], m[3]), fmt.Sprintf("its days are 01 to %d", first.AddDate(0, 1, -1).Day()))
	}
	if rest := text[len(m[0]):]; rest != "" {
		return wrong(len(m[0]), len(rest), fmt.Sprintf("what follows the day is no time of day with its offset: %q", rest), withOffset(text, zone))
	}
	if last {
		return dayBegins(day.AddDate(0, 0, 1), zone).Add(-time.Nanosecond), nil
	}
	return dayBegins(day, zone), nil
}

// withOffset helps with a time of day that lacks its offset.
func withOffset(text string, zone *time.Location) string {
	for _, form := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(form, text, zone); err == nil {
			return fmt.Sprintf("in %s it is %s", zone, t.Format(time.RFC3339))
		}
	}
	return "RFC 3339, such as 2026-11-22T23:00:00Z; or the day alone"
}

// dayBegins is the first instant of a day in a zone: midnight, or what the clock shows instead of it.
func dayBegins(day time.Time, zone *time.Location) time.Time {
	early, want := day.Add(-24*time.Hour), day.Format(time.DateOnly)
	n := sort.Search(48*3600, func(s int) bool {
		return early.Add(time.Duration(s)*time.Second).In(zone).Format(time.DateOnly) >= want
	})
	return early.Add(time.Duration(n) * time.Second).In(zone)
}

// nothingDone ends a command that somebody did not want after all, or did not say to want as it must be said.
func nothingDone(about, hint string) error {
	return &exit{exitError, &dayfly.Error{Code: dayfly.CodeInternal, Message: "nothing was done" + about, Hint: hint}}
}

// lookOnly is the next step of who said no.
const lookOnly = "--dry-run shows what it would do, and does not ask"

// confirm asks whether to go on. --yes answers, and must where nobody can be asked.
func (p *prompter) confirm(ask string) error {
	if yes, err := p.cmd.Flags().GetBool("yes"); err == nil && yes {
		return nil
	}
	if p.in == nil {
		e := usage(p.cmd, "--yes is missing, and nobody is there to be asked")
		e.Hint = "--yes goes on without asking"
		return e
	}
	for {
		line, err := p.line(question{ask: ask + "? [y/N]"})
		switch word := strings.ToLower(line); {
		case err != nil:
			return err
		case slices.Contains([]string{"y", "yes"}, word):
			return nil
		case slices.Contains([]string{"", "n", "no"}, word):
			return nothingDone("", lookOnly)
		}
		p.a.say("y goes on, n does nothing.")
	}
}
