package crontab

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dayfly-io/dayfly/internal/spec"
)

// text is the job file.
func (d *draft) text() []byte {
	var b strings.Builder
	d.preface(&b)
	fmt.Fprintf(&b, "name: %s\n", word(string(d.name)))
	if d.e.description != "" {
		b.WriteString("description: " + value(d.e.description, "  ") + "\n")
	}
	if d.schedule != "" {
		fmt.Fprintf(&b, "schedule: %q\ntimezone: %s\n", d.schedule, d.zone)
	}
	if d.jitter != "" {
		b.WriteString("jitter: " + d.jitter + "\n")
	}
	if d.schedule != "" {
		b.WriteString("catch_up: none # what cron was not there for, it does not make up for\n")
	}
	if d.e.alone {
		b.WriteString("overlap: skip # option -s\n")
	} else {
		b.WriteString("overlap: allow # cron does not look whether the last one still runs\n")
	}
	b.WriteString("machine:\n  isolation: none # what it changes on the host stays, as under cron\n")
	b.WriteString("timeout: 30d # cron has none; this is the longest there is\n")
	b.WriteString("env:\n")
	for _, v := range d.env {
		b.WriteString("  " + key(v.name) + ": " + value(v.value, "    ") + "\n")
	}
	b.WriteString("run: " + value(d.script(), "  ") + "\n")
	return []byte(b.String())
}

// preface says where the job comes from and what does not come with it.
func (d *draft) preface(b *strings.Builder) {
	fmt.Fprintf(b, "# Made by dayfly import crontab of %s, line %d:\n", comment(d.t.file.Name), d.e.line)
	b.WriteString("#   " + comment(clip(strings.TrimSpace(d.t.lines[d.e.line-1]), 300)) + "\n")
	about := slices.DeleteFunc(slices.Clone(d.t.notes), func(n *spec.Error) bool {
		own := slices.Contains(d.notes, n)
		return !own && (n.Line == d.e.line || n.Line > 0 && !d.under(n.Line))
	})
	for _, rule := range []struct {
		rule  spec.Rule
		title string
	}{{RuleLost, "Not carried over:"}, {RuleDiffers, "To know:"}} {
		title := rule.title
		for _, n := range about {
			if n.Rule != rule.rule {
				continue
			}
			if title != "" {
				b.WriteString("# " + title + "\n")
				title = ""
			}
			text := strings.TrimPrefix(n.Problem, string(d.name)+": ")
			if n.Line > 0 && n.Line != d.e.line && !slices.Contains(d.notes, n) {
				text = fmt.Sprintf("line %d: %s", n.Line, text)
			}
			if n.Suggestion != "" {
				text += "; " + n.Suggestion
			}
			b.WriteString(wrap(comment(text)))
		}
	}
}

// under tells whether the setting of a line holds for the entry.
func (d *draft) under(line int) bool {
	return slices.ContainsFunc(d.e.env, func(v variable) bool { return v.line == line })
}

// wrap breaks a comment into lines of a list.
func wrap(text string) string {
	var b strings.Builder
	line, lead := "#  -", "#   "
	for w := range strings.FieldsSeq(text) {
		if utf8.RuneCountInString(line)+1+utf8.RuneCountInString(w) > 80 && line != "#  -" {
			b.WriteString(line + "\n")
			line = lead
		}
		line += " " + w
	}
	return b.String() + line + "\n"
}

// comment is a text as it may stand in a comment.
func comment(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n':
			return ' '
		case r == utf8.RuneError || !plain(r):
			return '?'
		}
		return r
	}, text)
}

// plain tells whether a character may stand in a job file as it is.
func plain(r rune) bool {
	switch {
	case r < 0x20 && r != '\n' && r != '\t', r >= 0x7F && r <= 0x9F, r == 0x2028, r == 0x2029, r == 0xFEFF, r >= 0xFFFE && r <= 0xFFFF:
		return false
	case r == 0x200E, r == 0x200F, r == 0x061C, r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
		return false
	}
	return true
}

// value is a text in YAML: a block where it has several lines and can be one, else between quotes.
func value(text, indent string) string {
	if !strings.Contains(text, "\n") || strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) >= 0 || strings.HasPrefix(text, " ") || strings.HasPrefix(text, "\n") || strings.HasPrefix(text, "\t") || strings.HasSuffix(text, "\n") {
		return word(text)
	}
	var b strings.Builder
	b.WriteString("|-")
	for line := range strings.SplitSeq(text, "\n") {
		b.WriteString("\n")
		if line != "" {
			b.WriteString(indent + line)
		}
	}
	return b.String()
}

var (
	bareYAML = pattern(`^[A-Za-z/][A-Za-z0-9/._+@=,();-]*([ :][A-Za-z0-9/._+@=,();-]+)*$`)
	special  = pattern(`^(?i)(true|false|null|y|n|yes|no|on|off)$`)
)

// word is a text on one line in YAML.
func word(text string) string {
	if len(text) < 400 && bareYAML().MatchString(text) && !special().MatchString(text) {
		return text
	}
	return strconv.Quote(text) // all of its escapes are YAML's too, as long as the text is UTF-8
}

// key is the name of a variable in YAML.
func key(name string) string {
	if special().MatchString(name) {
		return strconv.Quote(name)
	}
	return name
}
