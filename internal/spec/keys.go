package spec

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Key is one key of a file: all that is known of it. What loads a file, the errors about it, explanations,
// the schema and the reference are made from the table of these.
type Key struct {
	Path     string // machine.type; schedule[].at for keys in a list, params.*.type below a name of the user's
	Form     Form   // what it takes
	Required bool
	Default  string // what holds without it, as it would be written; empty where that cannot be written
	// Otherwise says in words what holds without it, where it has no Default.
	Otherwise string
	Doc       string // one sentence, short enough for a line in a list
	More      string // what else there is to say; may be empty
	Example   string // one line of YAML that is right
	On        string // the only provider of machines to which it means something; empty: to all
	// Missing says why this build does not serve the key; empty where it does.
	Missing string
	Since   string // the release that brought it; empty in the table is the first
}

const firstRelease = "0.1.0"

// Keys is every key of a job file, in the order of the documentation.
func Keys() []Key { return jobKeys.all() }

// SettingsKeys is every key of DATA/dayfly.yaml.
func SettingsKeys() []Key { return settingsKeys.all() }

// Name is the last part of the path.
func (k Key) Name() string {
	_, name := splitPath(k.Path)
	return name
}

// Allowed is what it may be, in words: its choices, or its limits; empty where any value of the type will do.
func (k Key) Allowed() string {
	c := k.Form.Choices()
	switch {
	case len(c) > 0 && k.Form.kind == kindDuration:
		return k.Form.Limits() + "; or " + listWords(c)
	case len(c) > 0:
		return listWords(c)
	}
	return k.Form.Limits()
}

func listWords(choices []Choice) string {
	var b strings.Builder
	for i, c := range choices {
		switch {
		case i == 0:
		case i == len(choices)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(c.Word)
	}
	return b.String()
}

// Absent says what holds where the key is not written.
func (k Key) Absent() string {
	if k.Required {
		return "none: it is required"
	}
	return cmp.Or(k.Default, k.Otherwise, "none")
}

// table is the keys of one kind of file, for looking things up.
type table []Key

func (t table) all() []Key {
	out := slices.Clone(t)
	for i := range out {
		out[i].Since = cmp.Or(out[i].Since, firstRelease)
	}
	return out
}

func (t table) find(pattern string) (Key, bool) {
	i := slices.IndexFunc(t, func(k Key) bool { return k.Path == pattern })
	if i < 0 {
		return Key{}, false
	}
	return t[i], true
}

// form is what a value at a pattern may be: a key's, or that of an entry of its list.
func (t table) form(pattern string) Form {
	if k, ok := t.find(pattern); ok {
		return k.Form
	}
	if of, ok := strings.CutSuffix(pattern, "[]"); ok {
		if f := t.form(of).of(yaml.SequenceNode); f.items != nil {
			return *f.items
		}
	}
	panic("spec: no key of the table is " + pattern)
}

// children are the keys of the mapping at a pattern.
func (t table) children(parent string) []string {
	var out []string
	for _, k := range t {
		if up, name := splitPath(k.Path); up == parent {
			out = append(out, name)
		}
	}
	return out
}

// elsewhere is the path of the first key with this name, wherever it stands; the top first.
func (t table) elsewhere(name string) string {
	if _, ok := t.find(name); ok {
		return name
	}
	for _, k := range t {
		if _, last := splitPath(k.Path); last == name && !strings.ContainsAny(k.Path, "*[") {
			return k.Path
		}
	}
	return ""
}

// synonym is our word for the word of another program.
func (t table) synonym(parent, word string) (string, bool) {
	ours, ok := synonyms[parent][word]
	if !ok {
		return "", false
	}
	_, here := t.find(join(parent, ours))
	_, there := t.find(ours)
	return ours, here || there
}

// splitPath takes machine.type apart into machine and type.
func splitPath(path string) (parent, name string) {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

// isKnownWord tells whether some key of some file has this name.
func isKnownWord(word string) bool {
	for _, t := range []table{jobKeys, settingsKeys} {
		for _, k := range t {
			if _, name := splitPath(k.Path); name == word {
				return true
			}
		}
	}
	return false
}
