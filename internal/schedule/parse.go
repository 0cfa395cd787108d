package schedule

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// maxText is the length of the longest text that is read, in bytes.
const maxText = 1024

// parser reads one text. Every token it passes on is a stretch of that text, so that an error knows where it lies.
type parser struct {
	text   string
	zone   *zone
	anchor time.Time
	key    string
}

// token is a stretch of the text.
type token struct {
	text   string
	offset int
}

// cut is the part of the token from byte i up to byte j.
func (t token) cut(i, j int) token { return token{t.text[i:j], t.offset + i} }

// from is the rest of the token from byte i on.
func (t token) from(i int) token { return t.cut(i, len(t.text)) }

// trim drops the blanks at both ends.
func (t token) trim() token {
	left := len(t.text) - len(strings.TrimLeft(t.text, " \t"))
	return t.cut(left, max(left, len(strings.TrimRight(t.text, " \t"))))
}

// fields splits the token at runs of blanks.
func (t token) fields() []token {
	var parts []token
	for t = t.trim(); t.text != ""; t = t.trim() {
		end := strings.IndexAny(t.text, " \t")
		if end < 0 {
			end = len(t.text)
		}
		parts = append(parts, t.cut(0, end))
		t = t.from(end)
	}
	return parts
}

// split splits the token at every separator.
func (t token) split(separator byte) []token {
	var parts []token
	for {
		i := strings.IndexByte(t.text, separator)
		if i < 0 {
			return append(parts, t)
		}
		parts = append(parts, t.cut(0, i))
		t = t.from(i + 1)
	}
}

// refuse is the error for a token.
func refuse(field string, t token, hint, problem string, args ...any) *Error {
	return &Error{Field: field, Problem: fmt.Sprintf(problem, args...), Hint: hint, Offset: t.offset, Len: len(t.text)}
}

// parse reads the text; its first characters alone decide the dialect.
func (p *parser) parse() (*Schedule, error) {
	if err := p.checkCharacters(); err != nil {
		return nil, err
	}
	whole := token{text: p.text}.trim()
	s := &Schedule{text: whole.text, location: p.zone.location}
	var err error
	switch text := whole.text; {
	case text == "":
		err = refuse("schedule", whole, "write five fields, such as 0 23 * * *", "the text is empty")
	case text[0] == '@':
		err = p.macro(s, whole)
	case strings.HasPrefix(text, "cron("):
		err = p.bracketed(s, whole, p.cron)
	case strings.HasPrefix(text, "rate("):
		err = p.bracketed(s, whole, p.rate)
	case strings.HasPrefix(text, "at("):
		err = p.bracketed(s, whole, p.at)
	default:
		err = p.five(s, whole)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (p *parser) checkCharacters() error {
	if len(p.text) > maxText {
		return refuse("schedule", token{p.text[maxText:], maxText}, "", "the text has %d bytes, at most %d are read", len(p.text), maxText)
	}
	for i, r := range p.text {
		if (r < ' ' || r > '~') && r != '\t' {
			_, size := utf8.DecodeRuneInString(p.text[i:])
			at := token{text: p.text}.cut(i, i+size)
			return refuse("schedule", at, "", "%q is no printable ASCII character", at.text)
		}
	}
	return nil
}

// bracketed reads what cron(, rate( or at( begins.
func (p *parser) bracketed(s *Schedule, whole token, inside func(*Schedule, token) error) error {
	open, last := strings.IndexByte(whole.text, '('), len(whole.text)-1
	if whole.text[last] != ')' {
		if i := strings.LastIndexByte(whole.text, ')'); i >= 0 {
			return refuse("schedule", whole.from(i+1).trim(), "", "there is text after the closing bracket")
		}
		return refuse("schedule", whole.from(last+1), "", "the closing bracket is missing")
	}
	return inside(s, whole.cut(open+1, last).trim())
}

// five reads five fields.
func (p *parser) five(s *Schedule, whole token) error {
	parts := whole.fields()
	if err := refuseOtherStart(whole, parts[0]); err != nil {
		return err
	}
	if len(parts) != len(fiveFields) {
		return refuseFieldCount(whole, parts)
	}
	return p.fields(s, fiveFields, parts)
}

// refuseOtherStart says what the text was probably meant to be when it does not begin like a minute field.
func refuseOtherStart(whole, first token) *Error {
	lower := strings.ToLower(whole.text)
	for _, dialect := range []string{"cron", "rate", "at"} {
		rest, ok := strings.CutPrefix(lower, dialect)
		if !ok || !strings.HasPrefix(strings.TrimLeft(rest, " \t"), "(") {
			continue
		}
		at := whole.cut(0, strings.IndexByte(whole.text, '('))
		if rest[0] != '(' {
			return refuse("schedule", at, "write "+dialect+"(...)", "there is a blank before the bracket")
		}
		return refuse("schedule", at, "write "+dialect+"(...)", "cron, rate and at are lower case")
	}
	if i := strings.IndexByte(first.text, '='); i > 0 && strings.HasSuffix(strings.ToUpper(first.text[:i]), "TZ") {
		return refuse("schedule", first, "the time zone is a setting of its own, beside the schedule", "%s stands inside the schedule", first.text[:i+1])
	}
	if strings.HasPrefix(lower, "every") {
		return refuse("schedule", whole, "write @every 5m or rate(5 minutes) for an interval", "this is not a schedule in any dialect")
	}
	return nil
}

func refuseFieldCount(whole token, parts []token) *Error {
	hint := "the fields are minute, hour, day-of-month, month, day-of-week"
	if len(parts) > 5 {
		hint = "seconds are not supported; a year needs cron(...), such as cron(0 23 * * ? 2027)"
	}
	return refuse("schedule", whole, hint, "five fields are needed, not %d", len(parts))
}

// cron reads the six fields inside cron(...).
func (p *parser) cron(s *Schedule, inner token) error {
	parts := inner.fields()
	if len(parts) != len(cronFields) {
		hint := "the fields are minute, hour, day-of-month, month, day-of-week, year"
		if len(parts) == 7 {
			hint = "seconds are not supported"
		}
		return refuse("schedule", inner, hint, "six fields are needed inside cron(...), not %d", len(parts))
	}
	return p.fields(s, cronFields, parts)
}

var macros = map[string]string{
	"@hourly":   "0 * * * *",
	"@daily":    "0 0 * * *",
	"@midnight": "0 0 * * *",
	"@weekly":   "0 0 * * 0",
	"@monthly":  "0 0 1 * *",
	"@yearly":   "0 0 1 1 *",
	"@annually": "0 0 1 1 *",
}

const macroNames = "@hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, @every"

// macro reads what begins with @.
func (p *parser) macro(s *Schedule, whole token) error {
	parts := whole.fields()
	name := parts[0]
	if name.text == "@every" {
		return p.every(s, whole.from(len(name.text)).trim())
	}
	fields, ok := macros[name.text]
	if !ok {
		return refuseMacro(name)
	}
	if len(parts) > 1 {
		return refuse("macro", whole.from(len(name.text)).trim(), "", "%s stands alone", name.text)
	}
	return p.fields(s, fiveFields, token{text: fields}.fields())
}

func refuseMacro(name token) *Error {
	lower := strings.ToLower(name.text)
	switch {
	case name.text == "@":
		return refuse("macro", name, "there are "+macroNames, "the name is missing")
	case lower == "@reboot":
		return refuse("macro", name, "", "@reboot is not known: a machine made for one run has no boot of its own to wait for")
	case lower != name.text && (macros[lower] != "" || lower == "@every"):
		return refuse("macro", name, "write "+lower, "macros are lower case")
	case strings.HasPrefix(name.text, "@every") && len(name.text) > len("@every"):
		return refuse("macro", name, "write @every "+strings.TrimPrefix(name.text, "@every"), "a blank is missing after @every")
	}
	return refuse("macro", name, "there are "+macroNames, "%s is not known", name.text)
}
