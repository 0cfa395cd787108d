package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dayfly-io/dayfly/internal/spec"
)

// total is a plan in one line.
func (p plan) total() string {
	text := fmt.Sprintf("Plan: %d to add, %d to change, %d to remove", p.Add, p.Change, p.Remove)
	if p.Pause > 0 {
		text += fmt.Sprintf(", %d to pause", p.Pause)
	}
	if p.Resume > 0 {
		text += fmt.Sprintf(", %d to resume", p.Resume)
	}
	return text + fmt.Sprintf(", %d unchanged", p.Unchanged)
}

// planText is a plan for people.
func (a *app) planText(p plan) string {
	var b strings.Builder
	for _, one := range p.Jobs {
		b.WriteString(a.signed(one.change) + "\n")
		for _, d := range one.Fields {
			b.WriteString(a.differenceText(d))
		}
		b.WriteString(a.comingText(one) + "\n")
	}
	b.WriteString(p.total() + "\n")
	return b.String()
}

// signed is a change as apply says it, in colour on a terminal.
func (a *app) signed(c change) string {
	text := clean(c.String())
	colour := map[string]string{"+": "32", "~": "33", "-": "31"}[c.sign()]
	if !a.outTTY || !a.colour || colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// comingText is when a job is due, for people.
func (a *app) comingText(p planned) string {
	if p.Timezone == "" {
		return ""
	}
	if p.Schedule == "" {
		return "    no schedule: it runs when it is asked to\n"
	}
	var b strings.Builder
	b.WriteString(folded(clean(p.Schedule), "    ", "      "))
	if p.Paused != "" {
		b.WriteString(folded(clean("paused "+p.Paused), "    ", "      "))
	}
	if len(p.Next) == 0 {
		b.WriteString("    nothing more comes\n")
	}
	for _, n := range p.Next {
		at := time.Time(n.At)
		fmt.Fprintf(&b, "    %s  %s  %s\n", n.local.Format(localForm), instant(at), when(at, a.now()))
	}
	for _, line := range p.Clock {
		b.WriteString(folded(line, "    the clock: ", "      "))
	}
	return b.String()
}

// differenceText is one key that differs: on one line where it fits, else line by line.
func (a *app) differenceText(d spec.Difference) string {
	line := fmt.Sprintf("    %s: %s %s %s", d.Path, cmp.Or(d.From, "(none)"), a.marks().arrow, cmp.Or(d.To, "(none)"))
	if !strings.Contains(line, "\n") && utf8.RuneCountInString(line) <= pageWidth {
		return clean(line) + "\n"
	}
	var b strings.Builder
	b.WriteString("    " + clean(d.Path) + ":\n")
	for _, l := range lineDifferences(lines(d.From), lines(d.To)) {
		b.WriteString("      " + clean(l) + "\n")
	}
	return b.String()
}

// lines are those of a text, without line ends.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// tooMany bounds the work of comparing two texts line by line.
const tooMany = 1 << 20

// lineDifferences are the lines that go (-) and come (+) between two texts; what stays in between is one line.
func lineDifferences(from, to []string) []string {
	start := 0
	for start < min(len(from), len(to)) && from[start] == to[start] {
		start++
	}
	end := 0
	for end < min(len(from), len(to))-start && from[len(from)-1-end] == to[len(to)-1-end] {
		end++
	}
	var out []string
	if start > 0 {
		out = append(out, "...")
	}
	out = append(out, changedLines(from[start:len(from)-end], to[start:len(to)-end])...)
	if end > 0 {
		out = append(out, "...")
	}
	return out
}

func changedLines(from, to []string) []string {
	var out []string
	mark := func(sign string, list []string) {
		for _, l := range list {
			out = append(out, sign+" "+l)
		}
	}
	if len(from)*len(to) > tooMany {
		mark("-", from)
		mark("+", to)
		return out
	}
	// same[i][j] is how many lines the rests from i and from j have in common, in their order.
	same := make([][]int, len(from)+1)
	for i := range same {
		same[i] = make([]int, len(to)+1)
	}
	for i := len(from) - 1; i >= 0; i-- {
		for j := len(to) - 1; j >= 0; j-- {
			if same[i][j] = max(same[i+1][j], same[i][j+1]); from[i] == to[j] {
				same[i][j] = same[i+1][j+1] + 1
			}
		}
	}
	for i, j := 0, 0; i < len(from) || j < len(to); {
		switch {
		case i < len(from) && j < len(to) && from[i] == to[j]:
			if i, j = i+1, j+1; len(out) == 0 || out[len(out)-1] != "..." {
				out = append(out, "...")
			}
		case j == len(to) || i < len(from) && same[i+1][j] >= same[i][j+1]:
			mark("-", from[i:i+1])
			i++
		default:
			mark("+", to[j:j+1])
			j++
		}
	}
	return out
}
