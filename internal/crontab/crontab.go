package crontab

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/spec"
)

// MaxSize is how many bytes of a crontab are read, maxEntries how many entries; cronie reads no more of a user's.
const (
	MaxSize    = 1 << 20
	maxEntries = 10_000
)

// The rules of notes, beside those of job files.
const (
	RuleLost    spec.Rule = "not-carried-over" // cron did it, the job file does not
	RuleDiffers spec.Rule = "differs"          // carried over, and not the same in every case
)

// File is one crontab.
type File struct {
	Name   string // how errors and notes name it
	Data   []byte
	System bool   // a user's name stands before each command, as in /etc/crontab
	User   string // whose crontab it is; of a system file: whose lines are wanted, all where it is empty
}

// Options are what crontabs do not say of themselves.
type Options struct {
	As   string                   // the user who runs dayfly
	Zone string                   // the time zone of the host, an IANA name
	Home func(user string) string // a user's home directory; "" where it is not known
	Now  time.Time                // clock changes are looked at from here on
}

// Job is one entry of a crontab as a job file.
type Job struct {
	Name     dayfly.JobName
	File     string // the crontab
	Line     int
	User     string
	Schedule string // "" where nothing is ever due
	Timezone string
	Text     []byte        // the job file
	Notes    []*spec.Error // what to know of this job
}

// Result is what became of crontabs.
type Result struct {
	Jobs  []Job
	Notes []*spec.Error // of all jobs and files, each once, sorted by file and line
}

// Import makes job files of crontabs. The error holds everything wrong with any of the files, each an
// [*spec.Errors]; then there is no result. An unknown zone in the options is a [*schedule.Error].
func Import(o Options, files ...File) (Result, error) {
	if _, err := schedule.LoadLocation(o.Zone); err != nil {
		return Result{}, err
	}
	var res Result
	var errs []error
	names := naming{}
	for _, f := range files {
		t := read(f, &o)
		if err := t.err(); err != nil {
			errs = append(errs, err)
			continue
		}
		for _, e := range t.entries {
			if job, ok := t.job(e, names); ok {
				res.Jobs = append(res.Jobs, job)
			}
		}
		slices.SortStableFunc(t.notes, func(a, b *spec.Error) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		res.Notes = append(res.Notes, t.notes...)
	}
	if err := errors.Join(errs...); err != nil {
		return Result{}, err
	}
	return res, nil
}

// table is one crontab while it is read.
type table struct {
	file    File
	o       *Options
	lines   []string
	env     []variable // what holds for the next entry
	above   []string   // the comments just above the next line
	entries []*entry
	errs    []*spec.Error
	notes   []*spec.Error
}

// read reads a crontab.
func read(f File, o *Options) *table {
	t := &table{file: f, o: o}
	if !t.split() {
		return t
	}
	for i := range t.lines {
		t.line(i + 1)
	}
	t.aboutMail()
	t.aboutColumns()
	return t
}

// err is everything wrong with the file.
func (t *table) err() error {
	if len(t.errs) == 0 {
		return nil
	}
	kept := t.errs[:min(len(t.errs), spec.MaxErrors)]
	return &spec.Errors{List: kept, More: len(t.errs) - len(kept)}
}

// split cuts the file into lines; false means that it cannot be read at all.
func (t *table) split() bool {
	text := string(t.file.Data)
	if len(text) > MaxSize {
		t.bad(0, 0, 0, fmt.Sprintf("the file has %d bytes; at most 1 MiB is read", len(text)), "split it")
		return false
	}
	text = strings.TrimPrefix(text, "\uFEFF")
	if strings.ContainsRune(text, 0) {
		line := 1 + strings.Count(text[:strings.IndexByte(text, 0)], "\n")
		t.bad(line, 0, 0, "the file holds a NUL byte", "save it as UTF-8")
		return false
	}
	whole, ends := strings.CutSuffix(text, "\n")
	t.lines = strings.Split(whole, "\n")
	last := t.lines[len(t.lines)-1]
	if !ends && strings.TrimSpace(last) != "" && !strings.HasPrefix(strings.TrimLeft(last, " \t"), "#") {
		t.note(RuleDiffers, len(t.lines), utf8.RuneCountInString(last)+1, 1, "the last line has no end; cron leaves such a line, or the whole file, out", "")
	}
	if n := slices.IndexFunc(t.lines, func(s string) bool { return strings.HasSuffix(s, "\r") }); n >= 0 {
		for i, s := range t.lines {
			t.lines[i] = strings.TrimSuffix(s, "\r")
		}
		t.note(RuleDiffers, n+1, utf8.RuneCountInString(t.lines[n])+1, 1, "the lines end as on Windows, which cron takes for a part of each command; here they end as they were meant to", "")
	}
	return true
}

// line reads one line.
func (t *table) line(n int) {
	text := t.lines[n-1]
	rest := strings.TrimLeft(text, " \t")
	switch {
	case rest == "":
		t.above = nil
		return
	case rest[0] == '#':
		t.above = append(t.above, rest)
		return
	}
	if name, value, ok := setting(rest); ok {
		t.set(n, name, value)
	} else if e := t.entry(n); e != nil {
		e.description = description(t.above)
		e.env = slices.Clone(t.env)
		if !t.file.System || t.file.User == "" || t.file.User == e.user {
			t.entries = append(t.entries, e)
		}
		if len(t.entries) == maxEntries+1 {
			t.bad(n, 0, 0, "the file has more than 10000 entries", "split it")
		}
	}
	t.above = nil
}

// bad is an error in length bytes of a line from byte at on.
func (t *table) bad(line, at, length int, problem, hint string) {
	t.errs = append(t.errs, t.about(spec.RuleSyntax, line, at, length, problem, cmp.Or(hint, "man 5 crontab says what may stand there")))
}

func (t *table) about(rule spec.Rule, line, at, length int, problem, hint string) *spec.Error {
	e := &spec.Error{File: t.file.Name, Rule: rule, Problem: problem, Suggestion: hint}
	if line > 0 && line <= len(t.lines) {
		text := t.lines[line-1]
		at = min(at, len(text))
		e.Line, e.Column = line, 1+utf8.RuneCountInString(text[:at])
		e.Length = max(1, utf8.RuneCountInString(text[at:min(at+length, len(text))]))
		e.Source = []string{text}
	} else if line > 0 {
		e.Line, e.Column, e.Length = line, 1, 1
	}
	return e
}

// note is something to know; column and length are in characters.
func (t *table) note(rule spec.Rule, line, column, length int, problem, hint string) *spec.Error {
	e := &spec.Error{File: t.file.Name, Line: line, Rule: rule, Warning: true, Problem: problem, Suggestion: hint}
	if line > 0 {
		e.Column, e.Length = max(column, 1), max(length, 1)
	}
	t.notes = append(t.notes, e)
	return e
}

// aboutMail says what becomes of the mail that cron would send without being told to.
func (t *table) aboutMail() {
	for _, e := range t.entries {
		if _, told := lookup(e.env, "MAILTO"); !told {
			t.note(RuleLost, 0, 0, 0, "cron mails what a job prints to its user; dayfly keeps it", "dayfly logs JOB shows it, dayfly history shows what failed")
			return
		}
	}
}

// aboutColumns asks whether a user's crontab is a system file: then each command seems to begin with a user.
func (t *table) aboutColumns() {
	if t.file.System || len(t.entries) == 0 {
		return
	}
	for _, e := range t.entries {
		first, _, _ := strings.Cut(strings.ReplaceAll(e.command, "\t", " "), " ")
		if !userName().MatchString(first) || t.o.Home(first) == "" {
			return
		}
	}
	t.note(RuleDiffers, t.entries[0].line, 1, 1, "each command begins with a user's name, as in a file that has a column with the user", "if it is such a file: --system")
}
