package spec

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// What a file may be at most. All of it is checked before the YAML library sees the text.
const (
	MaxSize  = 1 << 20 // bytes
	MaxDepth = 32      // lists and mappings inside one another

	// maxMarks bounds the characters that may become tokens. The library spends up to 1.3 KiB on each,
	// so this is what keeps any file below 64 MiB.
	maxMarks = 40_000
)

// source is the text of one file.
type source struct {
	name  string
	text  string
	lines []string // without line ends
	// hidden is, for a line that may hold a secret, from which byte on it is not shown.
	hidden map[int]int
	masked map[int]string // such lines as they are shown
	rulers map[int]ruler  // of long lines
}

// ruler finds columns in a long line without walking all of it each time.
type ruler struct {
	marks []int // the byte at which every 128th character begins
	width int   // in characters
}

// span is a place in a file: line and column from 1, in characters.
type span struct{ line, col, length int }

// newSource cuts a text into lines. What it finds fault with is told to report; false means that the
// text must not be read any further.
func newSource(name string, data []byte, report func(e *Error)) (*source, bool) {
	s := &source{name: name, hidden: map[int]int{}, masked: map[int]string{}, rulers: map[int]ruler{}}
	fault := func(rule Rule, at span, problem, hint string) {
		report(&Error{File: name, Line: at.line, Column: at.col, Length: at.length, Rule: rule, Problem: problem, Suggestion: hint})
	}
	if len(data) > MaxSize {
		fault(RuleLimit, span{}, fmt.Sprintf("the file has more than 1 MiB (%d bytes)", MaxSize), "put scripts and data into files of their own and name them under files:")
		return s, false
	}
	if hint := otherEncoding(data); hint != "" {
		fault(RuleEncoding, span{1, 1, 1}, "the file is "+hint+", not UTF-8", "save it as UTF-8")
		return s, false
	}
	if notText(data) {
		fault(RuleEncoding, span{}, "the file is not text", "write it in YAML, in UTF-8")
		return s, false
	}
	s.text = strings.TrimPrefix(string(data), "\uFEFF")
	s.lines = strings.Split(s.text, "\n")
	ok := true
	for i, line := range s.lines {
		s.lines[i] = strings.TrimSuffix(line, "\r")
		if col, problem, hint := badCharacter(s.lines[i]); problem != "" {
			fault(RuleEncoding, span{i + 1, col, 1}, problem, hint)
			ok = false
		}
		if strings.HasPrefix(line, "%") {
			fault(RuleSyntax, span{i + 1, 1, 1}, "directives such as %YAML and %TAG are not used here", "remove the line")
			ok = false
		}
	}
	s.hideText()
	if line := crowdedLine(s.lines); line > 0 {
		fault(RuleLimit, span{line, 1, 1}, fmt.Sprintf("the file has more than %d lines, commas, brackets and other marks of YAML", maxMarks), "put scripts and data into files of their own and name them under files:")
		ok = false
	}
	return s, ok
}

// otherEncoding names the encoding of a text that cannot be UTF-8 as a person would write it.
func otherEncoding(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE, 0, 0}), bytes.HasPrefix(data, []byte{0, 0, 0xFE, 0xFF}):
		return "UTF-32"
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}), bytes.HasPrefix(data, []byte{0xFE, 0xFF}):
		return "UTF-16"
	case len(data) >= 4 && (data[0] == 0) != (data[1] == 0) && (data[0] == 0) == (data[2] == 0) && (data[1] == 0) == (data[3] == 0):
		return "UTF-16"
	}
	return ""
}

// notText tells whether so much of a file are bytes that no text has, that each of them is not worth an error.
func notText(data []byte) bool {
	n := 0
	for _, b := range data {
		if b < ' ' && b != '\t' && b != '\n' && b != '\r' && b != '\f' && b != 0x1b {
			n++
		}
	}
	return n > 3 && n > len(data)/50
}

// badCharacter finds the first character of a line that has no place in a file.
func badCharacter(line string) (col int, problem, hint string) {
	for i, r := range line {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(line[i:], "\uFFFD"):
			problem, hint = fmt.Sprintf("the byte 0x%02X is not UTF-8", line[i]), "save the file as UTF-8"
		case r == 0:
			problem, hint = "a NUL byte has no place in the file", "remove it"
		case r == '\r':
			problem, hint = "a carriage return without a line feed has no place in the file", "save the file with line feeds as line ends"
		case r < 0x20 && r != '\t', r >= 0x7F && r <= 0x9F, r == 0x2028, r == 0x2029, r == 0xFEFF, r >= 0xFFFE && r <= 0xFFFF:
			problem, hint = fmt.Sprintf("the invisible character U+%04X has no place in the file", r), fmt.Sprintf("remove it, or write it as \"\\u%04X\" between double quotes", r)
		case r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
			problem, hint = fmt.Sprintf("the character U+%04X, which changes the direction of text, could hide what the file says", r), fmt.Sprintf("remove it, or write it as \"\\u%04X\" between double quotes", r)
		}
		if problem != "" {
			return 1 + utf8.RuneCountInString(line[:i]), problem, hint
		}
	}
	return 0, "", ""
}

// crowdedLine is the line in which there are too many marks, or 0. It may count too many, never too
// few: every token of YAML begins with one of these, or follows one.
func crowdedLine(lines []string) int {
	marks := 0
	for i, line := range lines {
		marks++
		start := true // of a token
		for j := range len(line) {
			c := line[j]
			switch c {
			case ',', '[', ']', '{', '}', ':':
				marks++
				start = true
			case '"', '\'':
				marks++
				start = true
			case '-', '?', '&', '*', '!', '|', '>', '#':
				if start {
					marks++
				}
				start = start && c != '#'
			case ' ', '\t':
				start = true
			default:
				start = false
			}
		}
		if marks > maxMarks {
			return i + 1
		}
	}
	return 0
}

// excerpt is the lines that are shown with an error in the given line: up to two before it that are
// not empty, and itself.
func (s *source) excerpt(line int) []string {
	if line < 1 || line > len(s.lines) {
		return nil
	}
	first := line
	for first > 1 && line-first < 2 && strings.TrimSpace(s.lines[first-2]) != "" {
		first--
	}
	var out []string
	for i := first; i <= line; i++ {
		out = append(out, s.shown(i))
	}
	return out
}

// shown is a line without what is hidden of it.
func (s *source) shown(line int) string {
	text := s.lines[line-1]
	cut, hidden := s.hidden[line]
	if !hidden || cut >= len(text) {
		return text
	}
	if _, done := s.masked[line]; !done {
		s.masked[line] = text[:cut] + "…"
	}
	return s.masked[line]
}

// rest is what the line says from a column on.
func (s *source) rest(at span) string {
	if at.line < 1 || at.line > len(s.lines) {
		return ""
	}
	return s.lines[at.line-1][s.offset(at.line, at.col):]
}

// offset is the byte at which a column begins in its line, or the line's length.
func (s *source) offset(line, col int) int {
	if line < 1 || line > len(s.lines) {
		return 0
	}
	text, from, skip := s.lines[line-1], 0, col-1
	if len(text) > 1024 {
		if k := skip / 128; k < len(s.ruler(line).marks) {
			from, skip = s.ruler(line).marks[k], skip%128
		} else {
			return len(text)
		}
	}
	for ; skip > 0 && from < len(text); skip-- {
		_, size := utf8.DecodeRuneInString(text[from:])
		from += size
	}
	return from
}

// width is how many characters a line has.
func (s *source) width(line int) int {
	if text := s.lines[line-1]; len(text) <= 1024 {
		return utf8.RuneCountInString(text)
	}
	return s.ruler(line).width
}

func (s *source) ruler(line int) ruler {
	if r, ok := s.rulers[line]; ok {
		return r
	}
	var r ruler
	for i := range s.lines[line-1] {
		if r.width%128 == 0 {
			r.marks = append(r.marks, i)
		}
		r.width++
	}
	s.rulers[line] = r
	return r
}

// clip cuts a text to about n bytes, at a character.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}
