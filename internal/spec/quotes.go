package spec

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// starred explains text that begins with * or & and has no quotes, which the library takes for an alias
// or an anchor; at is somewhere in it, and is moved to where it begins.
func (r *reader) starred(at *span) (problem, hint string) {
	line := r.src.lines[at.line-1]
	if i := r.star(*at); i >= 0 {
		at.col = 1 + utf8.RuneCountInString(line[:i])
	}
	rest := r.src.rest(*at)
	if rest == "" {
		return "a value is missing", ""
	}
	problem, hint = "text that begins with "+rest[:1]+" needs quotes", "put it between quotes"
	text := strings.TrimRight(rest, " \t")
	if i := strings.Index(text, " #"); i >= 0 {
		text = strings.TrimRight(text[:i], " \t")
	}
	_, hidden := r.src.hidden[at.line]
	if hidden || !cronLike().MatchString(text) { // a password may begin so, and is not repeated
		return problem, hint
	}
	at.length = utf8.RuneCountInString(text)
	return problem, hint + ": " + strings.TrimSpace(line[:len(line)-len(rest)]) + " " + strconv.Quote(text)
}

// star is where in the line of an error, before its place, a value without quotes begins with * or &; -1
// where none does.
func (r *reader) star(at span) int {
	before := r.src.lines[at.line-1][:r.src.offset(at.line, at.col)]
	if i := valueFrom(before, 0, "*&"); i >= 0 && !strings.ContainsAny(before[:i], `"'`) {
		return i
	}
	return -1
}

// cronLike is what can only be meant as a cron expression: five or six fields.
var cronLike = pattern(`^\*[0-9*/,A-Za-z?#-]*( +[0-9*/,A-Za-z?#-]+){4,5}$`)

// unclosed finds the quotes that were opened on a line before and are closed by those that should have
// opened others on the line of an error, before its place.
func (r *reader) unclosed(at span) (opened span, ok bool) {
	end := r.src.offset(at.line, at.col)
	block := -1 // the indent of the key of a block of text, in which quotes are nothing special
	for i := 0; i < at.line-1; i++ {
		line := r.src.lines[i]
		text := strings.TrimLeft(line, " ")
		if block >= 0 && (text == "" || len(line)-len(text) > block) {
			continue
		}
		if block = -1; blockBegins().MatchString(line) {
			block = len(line) - len(text)
			continue
		}
		if strings.HasPrefix(text, "#") {
			continue
		}
		for from := 0; ; {
			open := valueFrom(line, from, `"'`)
			if open < 0 {
				break
			}
			n, after := r.closing(i, open, at.line)
			if n == i {
				from = after
				continue
			}
			if n == at.line-1 && after <= end {
				return span{i + 1, 1 + utf8.RuneCountInString(line[:open]), 1}, true
			}
			i = n // what stands behind the quotes there is not looked at
			break
		}
	}
	return span{}, false
}

// blockBegins is a line behind which a block of text stands.
var blockBegins = pattern(`[:-] +[|>][0-9+-]*\s*(#.*)?$`)

// valueFrom is where the next value begins in a line that begins with one of these marks, or -1.
func valueFrom(line string, from int, marks string) int {
	for i := from; i < len(line); i++ {
		if strings.IndexByte(marks, line[i]) < 0 {
			continue
		}
		before := strings.TrimRight(line[:i], " ")
		if before == "" || strings.ContainsRune("[{,", rune(before[len(before)-1])) || len(before) < i && strings.ContainsRune(":-", rune(before[len(before)-1])) {
			return i
		}
	}
	return -1
}

// closing is the line, from 0, and the byte after the quotes that close those opened there; it looks no
// further than the last line.
func (r *reader) closing(i, open, last int) (line, after int) {
	quote, from := r.src.lines[i][open], open+1
	for ; i < last; i, from = i+1, 0 {
		text := r.src.lines[i]
		for j := from; j < len(text); j++ {
			switch {
			case quote == '"' && text[j] == '\\':
				j++
			case text[j] != quote:
			case quote == '\'' && j+1 < len(text) && text[j+1] == quote:
				j++
			default:
				return i, j + 1
			}
		}
	}
	return last, 0
}
