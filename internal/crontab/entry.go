package crontab

import (
	"strings"
	"unicode/utf8"
)

// entry is one line that runs something.
type entry struct {
	line        int
	timing      timing
	at          int // the byte where the schedule begins
	length      int // of the schedule
	user        string
	command     string
	input       string // for the command's standard input
	alone       bool   // -s: not while it still runs
	description string
	env         []variable
}

// timing is when an entry is due.
type timing struct {
	macro  string // @daily and the like; then fields say the same, unless it is @reboot
	fields [5]field
}

// macros are the names that stand for five fields. In some the second field counts as a star and in others it
// does not, which matters when the clock changes.
func macros() map[string]string {
	return map[string]string{
		"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
		"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *", "@every_minute": "* * * * *",
	}
}

const reboot = "@reboot"

// cursor walks along a line.
type cursor struct {
	text string
	at   int
}

// word is the text up to the next blank.
func (c *cursor) word() (text string, at int) {
	c.skip()
	at = c.at
	for c.at < len(c.text) && c.text[c.at] != ' ' && c.text[c.at] != '\t' {
		c.at++
	}
	return c.text[at:c.at], at
}

func (c *cursor) skip() {
	for c.at < len(c.text) && (c.text[c.at] == ' ' || c.text[c.at] == '\t') {
		c.at++
	}
}

// rest is what is left of the line.
func (c *cursor) rest() string { return c.text[c.at:] }

// entry reads an entry; nil where something is wrong with it, which is reported.
func (t *table) entry(n int) *entry {
	c := &cursor{text: t.lines[n-1]}
	e := &entry{line: n, user: t.file.User}
	c.skip()
	if strings.HasPrefix(c.rest(), "-") {
		c.at++ // cron writes nothing about it to the system's log, and neither does dayfly
	}
	e.at = c.at
	before := len(t.errs)
	if strings.HasPrefix(c.rest(), "@") {
		t.macro(c, e)
	} else {
		t.fields(c, e)
	}
	if len(t.errs) > before {
		return nil
	}
	e.length = c.at - e.at
	if t.file.System && !t.user(c, e) || !t.flags(c, e) {
		return nil
	}
	text := c.rest()
	switch {
	case text == "" && t.file.System:
		t.bad(n, len(c.text), 1, "there is no command", "in a system file the user stands before the command; a user's own crontab has no such column: --system=false")
		return nil
	case text == "":
		t.bad(n, len(c.text), 1, "there is no command", "")
		return nil
	case text[0] == '*':
		t.bad(n, c.at, 1, "the command begins with a star", "five fields come before it")
		return nil
	}
	e.command, e.input = percent(text)
	if e.command == "" {
		t.bad(n, c.at, 1, "there is no command before the %", "")
		return nil
	}
	if length := utf8.RuneCountInString(text); length > debianCommand {
		t.note(RuleDiffers, n, utf8.RuneCountInString(c.text[:c.at])+1, 1, "the command has more than 998 characters; Debian's cron refuses such a line", "")
	}
	return e
}

// debianCommand is the longest command that Debian's cron runs.
const debianCommand = 998

// macro reads what begins with @.
func (t *table) macro(c *cursor, e *entry) {
	name, at := c.word()
	fields, ok := macros()[name]
	switch {
	case name == reboot:
		e.timing.macro = name
	case ok:
		e.timing.macro = name
		t.fields(&cursor{text: fields}, e)
	default:
		hint := "there are @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually and @reboot"
		if low := strings.ToLower(name); macros()[low] != "" || low == reboot {
			hint = "write " + low
		}
		t.bad(e.line, at, len(name), "cron knows no "+name, hint)
	}
}

// fields reads five fields.
func (t *table) fields(c *cursor, e *entry) {
	for i, k := range kinds() {
		text, at := c.word()
		if text == "" {
			t.bad(e.line, len(c.text), 1, "there is no "+k.name+": an entry has five fields and a command", "the fields are minute, hour, day of month, month, day of week; an environment setting has an =")
			return
		}
		f, wrong := readField(k, text, at)
		if wrong != nil {
			if i == 0 && !isDigits(text[:1]) && strings.IndexByte("*~H?", text[0]) < 0 {
				t.bad(e.line, at, len(text), "this is no entry, no comment and no environment setting", "an entry begins with five fields, a comment with #, and a setting is NAME=VALUE")
				return
			}
			t.bad(e.line, wrong.at, wrong.length, wrong.problem, wrong.hint)
		}
		e.timing.fields[i] = f
	}
}

var userName = pattern(`^[A-Za-z_][A-Za-z0-9_.-]*\$?$`)

// user reads the column with the user.
func (t *table) user(c *cursor, e *entry) bool {
	name, at := c.word()
	if name != "" && !userName().MatchString(name) {
		t.bad(e.line, at, len(name), "the user is missing: "+clip(name, 40)+" is no user's name", "a user's own crontab has no such column: --system=false")
		return false
	}
	e.user = name
	return true
}

// flags reads what cronie and OpenBSD take between the schedule and the command: -n mails only what failed, -q
// logs nothing, -s runs one at a time.
func (t *table) flags(c *cursor, e *entry) bool {
	for {
		c.skip()
		if !strings.HasPrefix(c.rest(), "-") {
			return true
		}
		flag, at := c.word()
		switch flag {
		case "-s":
			e.alone = true
		case "-n", "-q":
		default:
			t.bad(e.line, at, len(flag), clip(flag, 40)+" is no option of cron, and no command begins with -", "")
			return false
		}
	}
}

// percent takes a command and its standard input apart. In the command \% is %; in the input, which begins after
// the first bare %, each further one is the end of a line.
func percent(text string) (command, input string) {
	var parts [2]strings.Builder
	in := 0
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '%':
			parts[in].WriteByte('%')
			i++
		case text[i] == '\\' && i+1 < len(text):
			parts[in].WriteString(text[i : i+2])
			i++
		case text[i] == '%' && in == 0:
			in = 1
		case text[i] == '%':
			parts[in].WriteByte('\n')
		default:
			parts[in].WriteByte(text[i])
		}
	}
	command, input = parts[0].String(), parts[1].String()
	if input != "" && !strings.HasSuffix(input, "\n") {
		input += "\n"
	}
	return command, input
}

var (
	disabled = pattern(`^([-0-9*~,/]+|@[a-z]+)\s+\S`)
	header   = pattern(`(?i)^(m|min|minute)s?\s+h(ou)?r?s?\s`)
	drawing  = pattern(`^[|.┌│└─+]|^[*-]{2}|^(\*\s+){4}`)
)

// description is what the comments just above an entry say of it. Entries that are switched off, and the drawings
// and headings that explain the columns, are no description.
func description(above []string) string {
	var out []string
	for _, line := range above {
		text := strings.TrimSpace(strings.TrimLeft(line, "#"))
		switch {
		case header().MatchString(text), drawing().MatchString(text):
			out = nil // they end the text that explains the file
		case text == "", strings.HasPrefix(text, "DO NOT EDIT"), disabled().MatchString(text):
		default:
			out = append(out, strings.Join(strings.Fields(text), " "))
		}
	}
	return visible(strings.Join(out, "\n"), maxDescription)
}

// maxDescription is how many characters of comments are kept.
const maxDescription = 400

// visible is a text without what people cannot see, cut to so many characters.
func visible(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r != '\n' && (r == utf8.RuneError || !plain(r)) {
			return -1
		}
		return r
	}, text)
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most-1]) + "…"
	}
	return strings.TrimSpace(text)
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
