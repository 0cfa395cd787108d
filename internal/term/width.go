package term

import (
	"strings"

	"github.com/rivo/uniseg"
)

// Ellipsis stands for what was left out.
const Ellipsis = "…"

// Width is how many cells of a terminal a line takes. Colours (SGR) take none.
func Width(line string) int { return uniseg.StringWidth(plain(line)) }

// plain is a line without colours.
func plain(line string) string {
	if strings.IndexByte(line, escape) < 0 {
		return line
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(line, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if n := strings.IndexFunc(after, func(r rune) bool { return r != ';' && r != ':' && (r < '0' || r > '9') }); n >= 0 && after[n] == 'm' {
			after = after[n+1:]
		}
		line = after
	}
}

// Cut makes a line without colours as narrow as width: what is too much at its end becomes an ellipsis.
func Cut(line string, width int) string {
	if Width(line) <= width {
		return line
	}
	return first(line, width-1) + ellipsis(width)
}

// CutMiddle is Cut for what is known by its end as well: paths, names with a time at their end.
func CutMiddle(line string, width int) string {
	if Width(line) <= width {
		return line
	}
	start := first(line, (width-1)/2)
	return start + ellipsis(width) + last(line, width-1-Width(start))
}

func ellipsis(width int) string {
	if width < 1 {
		return ""
	}
	return Ellipsis
}

// first is as much of the beginning of a line as fits; what a person takes for one character stays whole.
func first(line string, width int) string {
	n := 0
	for rest, state := line, -1; rest != ""; {
		cluster, after, wide, next := uniseg.FirstGraphemeClusterInString(rest, state)
		if width -= wide; width < 0 {
			break
		}
		n += len(cluster)
		rest, state = after, next
	}
	return line[:n]
}

// last is as much of the end of a line as fits.
func last(line string, width int) string {
	over := Width(line) - width
	rest, state := line, -1
	for over > 0 && rest != "" {
		_, after, wide, next := uniseg.FirstGraphemeClusterInString(rest, state)
		over -= wide
		rest, state = after, next
	}
	return rest
}

// Wrap breaks a line between words, so that each of the lines fits a width; all but the first begin with
// indent, as far as the word after it leaves room for that. A word that is wider stays whole on a line of
// its own: where the terminal breaks it, it can be copied from there in one piece. Blanks at the beginning and
// between words stay.
func Wrap(line string, width int, indent string) []string {
	return wrap(line, width, indent, false)
}

// Break is Wrap for a column of a table: a word that is wider is broken too.
func Break(line string, width int) []string { return wrap(line, max(width, 2), "", true) }

func wrap(line string, width int, indent string, hard bool) []string {
	var lines []string
	now, wide := "", 0 // what stands in the line that is made, and its width
	begun := false     // there is a word in it
	for rest := line; rest != ""; {
		word := strings.TrimLeft(rest, " ")
		gap := rest[:len(rest)-len(word)]
		if end := strings.IndexByte(word, ' '); end >= 0 {
			word = word[:end]
		}
		rest = rest[len(gap)+len(word):]
		if word == "" {
			break // blanks at the end
		}
		if begun && wide+len(gap)+Width(word) > width {
			room := len(indent)
			if !hard {
				room = max(0, min(room, width-Width(word))) // a wide word begins further to the left
			}
			lines, now, wide, gap, begun = append(lines, now), indent[:room], room, "", false
		}
		now, wide = now+gap, wide+len(gap)
		for hard && wide+Width(word) > width {
			part := first(word, width-wide)
			if part == "" && wide == 0 {
				break // one character is wider than the column
			}
			lines = append(lines, now+part)
			word, now, wide = word[len(part):], indent, len(indent)
		}
		now, wide, begun = now+word, wide+Width(word), true
	}
	return append(lines, now)
}
