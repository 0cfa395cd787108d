package spec

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/dayfly-io/dayfly"
)

// MaxErrors is how many errors of one file are kept; further ones are counted in [Errors.More].
const MaxErrors = 100

// Rule is the kind of an error, for programs: stable words.
type Rule string

// The rules.
const (
	RuleSyntax    Rule = "syntax"        // not YAML, or YAML that job files do not use
	RuleLimit     Rule = "limit"         // too large, too deep, too many
	RuleEncoding  Rule = "encoding"      // not UTF-8, or a character that has no place in the file
	RuleUnknown   Rule = "unknown-key"   // no such key
	RuleDuplicate Rule = "duplicate-key" // given twice
	RuleType      Rule = "type"          // text where a list should be, and the like
	RuleValue     Rule = "value"         // of the right type, and not allowed
	RuleMissing   Rule = "missing-key"   // required and absent
	RuleConflict  Rule = "conflict"      // right alone, not together
	RuleUnserved  Rule = "unserved"      // valid, and not part of this build
	RuleAdvice    Rule = "advice"        // allowed, and perhaps not what was meant
)

// Error is one thing wrong with a file, or with Warning set one thing to think about.
type Error struct {
	File       string // as it was named by the caller
	Line       int    // from 1; 0 where no line is to blame
	Column     int    // from 1, in characters
	Length     int    // in characters, at least 1 where Line is set
	Path       string // of the key, such as machine.type or schedule[0].at; empty for the file
	Rule       Rule
	Warning    bool
	Problem    string   // what is wrong
	Suggestion string   // what to write instead; may be empty
	Explain    string   // what the key is for; may be empty
	Source     []string // up to three lines of the file, the last is Line; secrets are left out
}

// Error is the position, the problem, the lines with a caret, and the suggestion.
func (e *Error) Error() string {
	var b strings.Builder
	writeText(&b, e, "", "", 0)
	return strings.TrimSuffix(b.String(), "\n")
}

// Position is file:line:column, as far as known.
func (e *Error) Position() string {
	if e.Line == 0 {
		return printable(e.File)
	}
	return printable(e.File) + ":" + strconv.Itoa(e.Line) + ":" + strconv.Itoa(e.Column)
}

// Errors are all errors of one file, sorted by position. It is a [dayfly.Error] with CodeInvalid.
type Errors struct {
	List []*Error
	More int // errors beyond MaxErrors, counted only
}

// Error is every error in full.
func (e *Errors) Error() string {
	var b strings.Builder
	for _, one := range e.List {
		writeText(&b, one, "", "", 0)
	}
	if e.More > 0 {
		b.WriteString("and " + strconv.Itoa(e.More) + " more\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Unwrap makes the errors CodeInvalid at the edge.
func (e *Errors) Unwrap() error {
	return &dayfly.Error{Code: dayfly.CodeInvalid, Message: e.Error()}
}

// sortErrors sorts by position, then problem, so that the order never depends on a map.
func sortErrors(list []*Error) {
	slices.SortStableFunc(list, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Problem, b.Problem))
	})
}
