package dayfly

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The types of parameters.
const (
	ParamInt    = "int"
	ParamFloat  = "float"
	ParamString = "string"
	ParamBool   = "bool"
)

// MaxParam is how many bytes a parameter's value may have.
const MaxParam = 4096

// Param is a typed value that a run may be given. It is data from end to end: the job finds it in its
// environment, and nothing on the way there is made of it.
type Param struct {
	Type        string            `json:"type"`
	Description string            `json:"description,omitempty"`
	Default     json.RawMessage   `json:"default,omitempty"`
	Required    *bool             `json:"required,omitempty"` // as it is written; Needed says what it means
	Enum        []json.RawMessage `json:"enum,omitempty"`     // nothing else is allowed
	Min         json.Number       `json:"min,omitempty"`      // of int and float
	Max         json.Number       `json:"max,omitempty"`
}

// Needed tells whether every run has to be given a value: there is no default, and nothing says that a run
// may go without.
func (p Param) Needed() bool { return len(p.Default) == 0 && (p.Required == nil || *p.Required) }

// ParamVar is the environment variable in which the job finds a parameter: digits is DIGITS, to-year TO_YEAR.
func ParamVar(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

// Value checks a text against the parameter and gives the value as the job will see it. The error says
// what is wrong with the text, as the end of a sentence, with a hint.
func (p Param) Value(text string) (string, error) {
	if hint, ok := p.typed(text); !ok {
		return "", wrongValue(hint, "%s is not %s", shown(text), p.Wants())
	}
	choices := p.Choices()
	switch {
	case len(choices) > 0 && !slices.ContainsFunc(choices, func(c string) bool { return p.compare(text, c) == 0 }):
		return "", wrongValue("", "%s is not one of %s", shown(text), strings.Join(choices, ", "))
	case p.Min != "" && p.compare(text, p.Min.String()) < 0:
		return "", wrongValue("", "%s is less than %s, the least allowed", text, p.Min)
	case p.Max != "" && p.compare(text, p.Max.String()) > 0:
		return "", wrongValue("", "%s is more than %s, the most allowed", text, p.Max)
	}
	return text, nil
}

func wrongValue(hint, format string, args ...any) error {
	return &Error{Code: CodeInvalid, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// Wants says in words what type of value the parameter takes.
func (p Param) Wants() string {
	switch p.Type {
	case ParamInt:
		return "a whole number"
	case ParamFloat:
		return "a number"
	case ParamBool:
		return "true or false"
	}
	return "text"
}

// isDecimal tells whether a text is a number as it is written everywhere: programs do not agree on 017,
// 1e3, +5 and the like.
func isDecimal(text string) bool {
	whole, rest, point := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	return len(text) <= 100 && areDigits(whole) && (len(whole) == 1 || whole[0] != '0') && (!point || areDigits(rest))
}

func areDigits(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// typed tells whether a text is a value of the parameter's type; where it is not, hint may say what is.
func (p Param) typed(text string) (hint string, ok bool) {
	switch p.Type {
	case ParamInt:
		_, err := strconv.ParseInt(text, 10, 64)
		if err == nil && isDecimal(text) {
			return "", true
		}
		return "decimal digits, such as 5000, within 64 bits", false
	case ParamFloat:
		if isDecimal(text) {
			return "", true
		}
		return "decimal digits, such as 0.25, without an exponent", false
	case ParamBool:
		return "write true or false", text == "true" || text == "false"
	case ParamString:
		switch {
		case len(text) > MaxParam:
			return fmt.Sprintf("at most %d bytes; longer data belongs into a file", MaxParam), false
		case strings.ContainsRune(text, 0) || !utf8.ValidString(text):
			return "UTF-8 without NUL characters", false
		}
		return "", true
	}
	return "", false
}

// compare orders two values of the parameter's type: numbers by what they are, text by its bytes.
func (p Param) compare(a, b string) int {
	switch p.Type {
	case ParamInt:
		x, _ := strconv.ParseInt(a, 10, 64)
		y, _ := strconv.ParseInt(b, 10, 64)
		return cmp.Compare(x, y)
	case ParamFloat:
		x, _ := strconv.ParseFloat(a, 64)
		y, _ := strconv.ParseFloat(b, 64)
		return cmp.Compare(x, y)
	}
	return strings.Compare(a, b)
}

// shown is a value in an error: quoted, and not longer than a line.
func shown(text string) string {
	if r := []rune(text); len(r) > 40 {
		text = string(r[:40]) + "…"
	}
	return strconv.Quote(text)
}

// Preset is the value of a run that is given none; ok is false where there is none.
func (p Param) Preset() (text string, ok bool) {
	return p.text(p.Default), len(p.Default) > 0
}

// Choices are the values that are allowed, where they are few; else none.
func (p Param) Choices() []string {
	out := make([]string, len(p.Enum))
	for i, raw := range p.Enum {
		out[i] = p.text(raw)
	}
	return out
}

// text is a value from JSON as the job will see it.
func (p Param) text(raw json.RawMessage) string {
	var text string
	if p.Type != ParamString || json.Unmarshal(raw, &text) != nil {
		return string(raw)
	}
	return text
}

// Values gives the value of every parameter for a run that was given these: each checked, and the
// defaults of the others. A parameter that is optional and has no default has no value.
func (j Job) Values(given map[string]string) (map[string]string, error) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		p, ok := j.Params[name]
		if !ok {
			return nil, wrongValue("", "job %s has no parameter %s", j.Name, shown(name))
		}
		if _, err := p.Value(given[name]); err != nil {
			return nil, wrongValue(ErrorHint(err), "parameter %s of job %s: %s", name, j.Name, err)
		}
	}
	var values map[string]string
	for _, name := range slices.Sorted(maps.Keys(j.Params)) {
		p := j.Params[name]
		text, ok := given[name]
		if !ok {
			text, ok = p.Preset()
		}
		switch {
		case ok && values == nil:
			values = map[string]string{name: text}
		case ok:
			values[name] = text
		case p.Needed():
			return nil, wrongValue("--param "+name+"=VALUE gives it", "job %s needs a value for its parameter %s, %s", j.Name, name, p.Wants())
		}
	}
	return values, nil
}
