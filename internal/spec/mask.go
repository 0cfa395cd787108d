package spec

import (
	"slices"
	"strings"
)

// Errors show lines of the file, and some lines hold secrets that should never have been written
// there. What follows decides by the look of the text alone what is not shown, so that it works for a
// text that is not YAML too; hideKey adds what only the parsed file can know. When in doubt, hide.

var lineKey = pattern(`^\s*["']?([A-Za-z0-9_.-]{1,200})["']?\s*:(\s|$)`)

// isSensitive tells whether a key looks like the name of a secret.
func isSensitive(key string) bool {
	if len(key) < 5 {
		return false
	}
	key = strings.ToLower(key)
	return slices.ContainsFunc([]string{
		"secret", "passw", "token", "credential",
		"apikey", "api_key", "api-key", "privatekey", "private_key", "private-key", "accesskey", "access_key", "access-key",
	}, func(word string) bool { return strings.Contains(key, word) })
}

// isSecrets tells whether a key is secrets:, or a slip for it, or spelled so that one cannot tell.
func isSecrets(key string) bool {
	if strings.Contains(key, `\`) {
		return true
	}
	key = strings.ToLower(key)
	return len(key) > 4 && len(key) < 12 && distance(key, "secrets") <= 2
}

// hideText marks the lines that may hold secrets.
func (s *source) hideText() {
	h := hider{}
	for i, line := range s.lines {
		if cut := h.line(line); cut >= 0 {
			s.hidden[i+1] = cut
		}
	}
}

// hider walks over lines and knows whether it is inside a value that is not shown.
type hider struct {
	inside bool
	all    bool // inside secrets:, which ends only where a key of the format begins again
	indent int
	child  int // the indent of the names below secrets:, -1 before the first
	open   int // brackets that are open
}

// line says from which byte on a line is not shown, or -1.
func (h *hider) line(line string) int {
	trimmed := strings.TrimSpace(line)
	indent := len(line) - len(strings.TrimLeft(line, " \t"))
	if h.inside && !h.ends(line, trimmed, indent) {
		h.open += brackets(line)
		return h.name(line, trimmed, indent)
	}
	h.inside = false
	for i := range len(line) {
		if line[i] != ':' && line[i] != '=' {
			continue
		}
		key := wordBefore(line[:i])
		all := isSecrets(key)
		if all || isSensitive(key) {
			*h = hider{inside: true, all: all, indent: indent, child: -1, open: brackets(line[i:])}
			return i + 1
		}
	}
	return -1
}

// wordBefore is the last word of a text, without quotes and what else may stand around a key.
func wordBefore(text string) string {
	text = strings.TrimRight(text[max(0, len(text)-128):], " \t\"'")
	return text[strings.LastIndexAny(text, " \t\"'{}[],:=#")+1:]
}

// brackets is how many more brackets a text opens than it closes.
func brackets(text string) int {
	n := 0
	for i := range len(text) {
		switch text[i] {
		case '{', '[':
			n++
		case '}', ']':
			n--
		}
	}
	return n
}

func (h *hider) ends(line, trimmed string, indent int) bool {
	switch {
	case trimmed == "" || strings.HasPrefix(trimmed, "#"), indent > h.indent, h.open > 0:
		return false
	case !h.all:
		return true
	}
	m := lineKey().FindStringSubmatch(line)
	return m != nil && isKnownWord(m[1])
}

// name is how much of a line inside is shown: the name of a secret, nothing else.
func (h *hider) name(line, trimmed string, indent int) int {
	if !h.all || trimmed == "" {
		return 0
	}
	if h.child < 0 {
		h.child = indent
	}
	m := lineKey().FindStringSubmatchIndex(line)
	if m == nil || indent != h.child || !envName().MatchString(line[m[2]:m[3]]) {
		return 0
	}
	return strings.IndexByte(line[m[3]:], ':') + m[3] + 1
}

// hideKey hides the value of a key of the parsed file, to just before the next key, or to the end of
// the file.
func (s *source) hideKey(key, value, next span) {
	last := len(s.lines)
	if next.line > 0 {
		last = next.line - 1
	}
	from := len(s.lines[key.line-1])
	if value.line == key.line {
		from = s.offset(value.line, value.col)
	}
	s.hide(key.line, from)
	for i := key.line + 1; i <= last; i++ {
		if _, ok := s.hidden[i]; !ok {
			s.hide(i, 0)
		}
	}
	if next.line == key.line {
		return
	}
	if next.line > 0 && next.col > 1 && strings.TrimSpace(s.lines[next.line-1][:s.offset(next.line, next.col)]) != "" {
		s.hide(next.line, 0) // the value ends in the line of the next key
	}
}

// conceal hides a value that may be a secret though its key does not say so.
func (r *reader) conceal(v value) {
	at := r.scalarSpan(v.n)
	r.src.hide(at.line, r.src.offset(at.line, at.col))
}

func (s *source) hide(line, from int) {
	if have, ok := s.hidden[line]; !ok || from < have {
		s.hidden[line] = from
	}
}
