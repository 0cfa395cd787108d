package spec

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// reader reads one file and gathers what is wrong with it.
type reader struct {
	src       *source
	table     table
	emptyHint string // how to begin; empty where an empty file is right
	look      Look   // at what files: names; may be nil
	errs      []*Error
	more      int
	warnings  []*Error
	order     []string // paths, as they stand in the file
	places    map[string]place
}

// place is where a key and its value stand.
type place struct {
	pattern    string
	key, value span
}

// value is a value in the file, and the key it belongs to.
type value struct {
	n       *yaml.Node
	key     *yaml.Node // nil in a list and at the top
	path    string
	pattern string
}

// name is how errors speak of it.
func (v value) name() string {
	if v.path == "" {
		return "the file"
	}
	return v.path
}

// newReader cuts the text into lines and checks its limits; false means that nothing more can be read.
func newReader(name string, data []byte, t table) (*reader, bool) {
	r := &reader{table: t, places: map[string]place{}}
	src, ok := newSource(name, data, func(e *Error) { r.add(e) })
	r.src = src
	return r, ok
}

func (r *reader) add(e *Error) {
	if len(r.errs) >= MaxErrors {
		r.more++
		return
	}
	r.errs = append(r.errs, e)
}

// full tells that further errors are only counted, so that their words need not be made.
func (r *reader) full() bool { return len(r.errs) >= MaxErrors }

// fault reports an error at a place.
func (r *reader) fault(rule Rule, path string, at span, problem, hint string) {
	r.add(&Error{File: r.src.name, Line: at.line, Column: at.col, Length: at.length, Path: path, Rule: rule, Problem: problem, Suggestion: hint})
}

// bad reports that a value is not allowed.
func (r *reader) bad(v value, hint, problem string, args ...any) {
	r.fault(RuleValue, v.path, r.spanOf(v), fmt.Sprintf(problem, args...), hint)
}

// conflict reports that a value does not go together with others.
func (r *reader) conflict(v value, hint, problem string, args ...any) {
	r.fault(RuleConflict, v.path, r.spanOf(v), fmt.Sprintf(problem, args...), hint)
}

// advise warns.
func (r *reader) advise(v value, hint, problem string, args ...any) {
	if len(r.warnings) >= MaxErrors {
		return
	}
	at := r.spanOf(v)
	r.warnings = append(r.warnings, &Error{File: r.src.name, Line: at.line, Column: at.col, Length: at.length, Path: v.path, Rule: RuleAdvice, Warning: true, Problem: fmt.Sprintf(problem, args...), Suggestion: hint})
}

// wrong reports a value of the wrong type; hint may be empty.
func (r *reader) wrong(v value, want, hint string) {
	k, _ := r.table.find(v.pattern)
	if hint == "" && k.Example != "" {
		hint = "for example " + k.Example
	}
	what := found(v.n)
	if (v.path == "" || isSecretPath(v.pattern)) && v.n.Kind == yaml.ScalarNode && !isNull(v.n) {
		what = "something else" // it may be a secret
	}
	at := r.spanOf(v)
	r.add(&Error{File: r.src.name, Line: at.line, Column: at.col, Length: at.length, Path: v.path, Rule: RuleType,
		Problem: fmt.Sprintf("%s wants %s, found %s", v.name(), want, what), Suggestion: hint, Explain: explain(k)})
}

func isSecretPath(pattern string) bool { return pattern == "secrets" || pattern == "secrets.*" }

// explain is one line on a key, for errors.
func explain(k Key) string {
	if k.Path == "" {
		return ""
	}
	line := k.Path + ": " + strings.TrimSuffix(k.Doc, ".")
	if allowed := k.Allowed(); allowed != "" {
		line += ": " + allowed
	}
	line += "."
	if k.More != "" {
		line += " More: dayfly explain " + k.Path
	}
	return line
}

// found says in words what a value is.
func found(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	}
	switch {
	case isNull(n):
		return "nothing"
	case !isPlain(n):
		return fmt.Sprintf("the text %q", clip(n.Value, 40))
	case isBool(n):
		return n.Value
	case looksNumeric(n.Value):
		return "the number " + clip(n.Value, 40)
	}
	return fmt.Sprintf("the text %q", clip(n.Value, 40))
}

// spanOf is the place of a value; of its key, where the value itself is empty or a block.
func (r *reader) spanOf(v value) span {
	if v.key != nil && (isNull(v.n) && v.n.Value == "" || v.n.Kind != yaml.ScalarNode && v.n.Style&yaml.FlowStyle == 0) {
		return r.scalarSpan(v.key)
	}
	return r.scalarSpan(v.n)
}

func (r *reader) scalarSpan(n *yaml.Node) span {
	at := r.clamp(span{n.Line, n.Column, 1})
	if n.Kind != yaml.ScalarNode {
		return at
	}
	rest := r.src.rest(at)
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return at
	case isPlain(n) && strings.HasPrefix(rest, n.Value):
		at.length = max(1, utf8.RuneCountInString(n.Value))
	case !isPlain(n) && len(rest) > 1 && strings.HasPrefix(rest[1:], n.Value):
		at.length = 2 + utf8.RuneCountInString(n.Value)
	default: // escapes, or several lines: to the end of this one
		at.length = max(1, utf8.RuneCountInString(strings.TrimRight(rest[:min(len(rest), 512)], " \t")))
	}
	return at
}

// inside is the place of a part of a text value, by byte; of the whole where the file spells it differently.
func (r *reader) inside(v value, offset, length int) span {
	at := r.scalarSpan(v.n)
	quote := 1
	if isPlain(v.n) {
		quote = 0
	}
	rest := r.src.rest(at)
	if v.n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || len(rest) < quote || !strings.HasPrefix(rest[quote:], v.n.Value) ||
		offset < 0 || length < 0 || offset+length > len(v.n.Value) {
		return at
	}
	at.col += quote + utf8.RuneCountInString(v.n.Value[:offset])
	at.length = max(1, utf8.RuneCountInString(v.n.Value[offset:offset+length]))
	return at
}

// record remembers where a key and its value stand.
func (r *reader) record(v value) {
	p := place{pattern: v.pattern, value: r.spanOf(v)}
	if v.key != nil {
		p.key = r.scalarSpan(v.key)
	} else {
		p.key = p.value
	}
	r.order = append(r.order, v.path)
	r.places[v.path] = p
}

// finish sorts, and shows the lines of the file with each error. Only now it is known which to hide.
func (r *reader) finish() error {
	if len(r.errs)+len(r.warnings) > 0 {
		r.show(r.errs)
		r.show(r.warnings)
	}
	for _, e := range r.errs {
		if e.Suggestion == "" {
			e.Suggestion = r.nextStep(e.Path)
		}
	}
	if len(r.errs) == 0 {
		return nil
	}
	return &Errors{List: r.errs, More: r.more}
}

// nextStep is where to read what may stand at a path, for an error without a better hint. It says nothing
// that stands in the file.
func (r *reader) nextStep(path string) string {
	command, file := "dayfly explain", "a job file"
	if _, job := r.table.find("run"); !job {
		command, file = command+" --settings", "the settings"
	}
	for path != "" {
		if k, err := Find(r.table, path); err == nil {
			shown := strings.ReplaceAll(listIndex().ReplaceAllString(k.Path, ""), "*", "NAME")
			return command + " " + shown + " says what may stand there"
		}
		path = path[:max(0, strings.LastIndexByte(path, '.'))]
	}
	return command + " lists what may stand in " + file
}

func (r *reader) show(list []*Error) {
	sortErrors(list)
	for _, e := range list {
		if e.Source == nil {
			e.Source = r.src.excerpt(e.Line)
		}
	}
}

// fields is a mapping of known keys.
type fields struct {
	of     value
	values map[string]value
}

func (f fields) get(name string) (value, bool) {
	v, ok := f.values[name]
	return v, ok
}

// mapping reads a mapping whose keys are all known, and reports those that are not, that come twice
// or have no value. A required key that is missing is reported too.
func (r *reader) mapping(v value) (fields, bool) {
	if v.n.Kind != yaml.MappingNode {
		r.wrong(v, r.form(v).String(), "")
		return fields{}, false
	}
	f := fields{of: v, values: map[string]value{}}
	siblings := r.table.children(v.pattern)
	seen := map[string]span{}
	for key, val := range pairs(v.n) {
		name := key.Value
		child := value{val, key, join(v.path, name), join(v.pattern, name)}
		switch first, twice := seen[name]; {
		case !slices.Contains(siblings, name):
			r.unknown(v, key)
			continue
		case twice:
			r.twice(child, first)
			continue
		}
		seen[name] = r.scalarSpan(key)
		r.record(child)
		if isNull(val) {
			r.wrong(child, r.form(child).String(), "")
			continue
		}
		f.values[name] = child
	}
	for _, name := range siblings {
		k, _ := r.table.find(join(v.pattern, name))
		if _, given := seen[name]; k.Required && !given {
			r.missing(v, k)
		}
	}
	return f, true
}

// named reads a mapping whose keys are names of the user's, in their order.
func (r *reader) named(v value) []value {
	if v.n.Kind != yaml.MappingNode {
		r.wrong(v, wantMapping, "")
		return nil
	}
	var out []value
	seen := map[string]span{}
	for key, val := range pairs(v.n) {
		child := value{val, key, join(v.path, key.Value), join(v.pattern, "*")}
		if first, twice := seen[key.Value]; twice {
			r.twice(child, first)
			continue
		}
		seen[key.Value] = r.scalarSpan(key)
		r.record(child)
		out = append(out, child)
	}
	return out
}

// items reads a list, with as many entries as the table allows.
func (r *reader) items(v value) []value {
	if v.n.Kind != yaml.SequenceNode {
		r.wrong(v, r.form(v).String(), "")
		return nil
	}
	switch f, n := r.bounds(v), int64(len(v.n.Content)); {
	case n > f.most:
		r.bad(v, "", "%s has %d entries; at most %d are allowed", v.name(), n, f.most)
		return nil
	case n < f.least:
		r.bad(v, "remove the key, or name at least one", "%s is an empty list", v.name())
	}
	var out []value
	for i, n := range v.n.Content {
		child := value{n, nil, fmt.Sprintf("%s[%d]", v.path, i), v.pattern + "[]"}
		r.record(child)
		out = append(out, child)
	}
	return out
}

// pairs goes over the keys and values of a mapping.
func pairs(n *yaml.Node) func(yield func(key, val *yaml.Node) bool) {
	return func(yield func(key, val *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

// form is what the table says that a value may be.
func (r *reader) form(v value) Form {
	if v.path == "" {
		return mapping()
	}
	return r.table.form(v.pattern)
}

// bounds is the part of its form that a value has to fit, by what it is in the file.
func (r *reader) bounds(v value) Form { return r.form(v).of(v.n.Kind) }

func (r *reader) unknown(in value, key *yaml.Node) {
	if r.full() {
		r.more++
		return
	}
	name := key.Value
	where := ""
	if in.path != "" {
		where = " in " + in.path
	}
	shown := showKey(name)
	hint := suggestKey(r.table, in.pattern, name)
	problem := fmt.Sprintf("unknown field %q%s", shown, where)
	if name == "<<" {
		problem = "merge keys (<<) are not used here"
	}
	e := &Error{File: r.src.name, Path: join(in.path, shown), Rule: RuleUnknown, Problem: problem, Suggestion: hint}
	at := r.scalarSpan(key)
	e.Line, e.Column, e.Length = at.line, at.col, at.length
	if k, ok := r.table.find(suggested(in.pattern, hint)); ok {
		e.Explain = explain(k)
	}
	r.add(e)
}

// showKey is what an error repeats of a key that is not known: of DB_PASSWORD=hunter2 the part before
// the sign.
func showKey(name string) string {
	shown := clip(name, 40)
	if word := keyWord().FindString(shown); isSensitive(shown) || isSecrets(word) {
		return word
	}
	return shown
}

var keyWord = pattern(`^[A-Za-z0-9_.-]*`)

// suggested is the pattern of the key that a hint names.
func suggested(parent, hint string) string {
	_, rest, ok := strings.Cut(hint, `did you mean "`)
	if !ok {
		return ""
	}
	word, _, _ := strings.Cut(rest, `"`)
	if _, ok := jobKeys.find(join(parent, word)); ok {
		return join(parent, word)
	}
	return word
}

func (r *reader) twice(v value, first span) {
	name := v.path
	if isSecretPath(v.pattern) && !envName().MatchString(v.key.Value) {
		name = "this key"
	}
	r.fault(RuleDuplicate, name, r.scalarSpan(v.key), fmt.Sprintf("%s is given twice; first at line %d", name, first.line), "remove one of them")
}

func (r *reader) missing(v value, k Key) {
	at := r.spanOf(v)
	_, name := splitPath(k.Path)
	where := ""
	if v.path != "" {
		where = " in " + v.path
	}
	r.add(&Error{File: r.src.name, Line: at.line, Column: at.col, Length: at.length, Path: join(v.path, name), Rule: RuleMissing,
		Problem: fmt.Sprintf("the required field %q is missing%s", name, where), Suggestion: "for example " + k.Example, Explain: explain(k)})
}
