package spec_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/dayfly-io/dayfly/internal/spec"
)

func TestPublishedSchemaIsThatOfTheTable(t *testing.T) {
	t.Parallel()
	made, err := spec.Generate()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("jobfile.schema.json", made, 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(spec.Schema()), string(made)); d != "" {
		t.Errorf("jobfile.schema.json is not what the table says; make docs writes it anew\n%s", d)
	}
}

// jobSchema is the schema as another program reads it; it is checked against that of schemas on the way.
var jobSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(spec.Schema()))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("urn:dayfly:jobfile", doc); err != nil {
		return nil, err
	}
	return c.Compile("urn:dayfly:jobfile")
})

// bySchema is what the schema has against a document.
func bySchema(t interface{ Fatal(...any) }, doc any) error {
	s, err := jobSchema()
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

// An exception is a rule that the loader keeps and that a JSON Schema cannot say, or not so that editors
// understand it. Where one is broken the schema is wider than the loader; it is never narrower.
type exception struct {
	what    string // for docs/jobfile.md
	example string // a job file as JSON that breaks it, and nothing that the schema knows of
	rule    spec.Rule
	paths   string // of the errors that come from it, as a pattern
	says    string // the same of their words
}

func (x exception) is(e *spec.Error) bool {
	return e.Rule == x.rule && regexp.MustCompile(x.paths).MatchString(e.Path) && regexp.MustCompile(x.says).MatchString(e.Problem)
}

var exceptions = []exception{
	{
		"the grammar of schedules, and whether they ever come",
		`{"name": "x", "run": "y", "schedule": "0 25 * * *"}`,
		spec.RuleValue, `^schedule(\[\d+\])?(\.at)?$`, ``,
	},
	{
		"from and until with no slot between them, an anchor where it means nothing",
		`{"name": "x", "run": "y", "schedule": [{"at": "@daily", "anchor": "2026-01-01T00:00:00Z"}]}`,
		spec.RuleConflict, `^schedule\[\d+\]\.(until|anchor)$`, ``,
	},
	{
		"instants that are in no calendar, or outside 1970 to 2199",
		`{"name": "x", "run": "y", "schedule": [{"at": "@daily", "from": "2026-02-30T00:00:00Z"}]}`,
		spec.RuleValue, `^schedule\[\d+\]\.(from|until|anchor)$`, ``,
	},
	{
		"how long and how large: the form is checked, the bounds are not",
		`{"name": "x", "run": "y", "timeout": "31d"}`,
		spec.RuleValue, ``, `it must be (at least \d+[dhms]|at most \d+[dhms]|from \d+[A-Z])`,
	},
	{
		"a deadline that comes before timeout and grace are over",
		`{"name": "x", "run": "y", "deadline": "1h"}`,
		spec.RuleConflict, `^deadline$`, ``,
	},
	{
		"more at_once than there are runs",
		`{"name": "x", "run": "y", "array": {"size": 2, "at_once": 3}}`,
		spec.RuleConflict, `^array\.at_once$`, ``,
	},
	{
		"a parameter's default that its enum or its bounds do not allow",
		`{"name": "x", "run": "y", "params": {"a": {"type": "int", "max": 5, "default": 6}}}`,
		spec.RuleValue, `^params\..*\.default$`, `(is (less|more) than .* allowed|is not one of .*)$`,
	},
	{
		"bounds of a parameter that leave no value",
		`{"name": "x", "run": "y", "params": {"a": {"type": "int", "min": 5, "max": 4}}}`,
		spec.RuleConflict, `^params\..*\.max$`, `^no value is allowed`,
	},
	{
		"a parameter without a default on a job with a schedule",
		`{"name": "x", "run": "y", "schedule": "@daily", "params": {"a": {"type": "int"}}}`,
		spec.RuleConflict, `^params\.`, `has no default`,
	},
	{
		"a variable that env, params and secrets set twice, and more than 1000 in all",
		`{"name": "x", "run": "y", "env": {"A": ""}, "secrets": {"A": "env:A"}}`,
		spec.RuleConflict, ``, `(would be set twice, here and by|variables; at most)`,
	},
	{
		"limits in bytes: the schema counts characters, and of each value alone",
		`{"name": "x", "run": "` + strings.Repeat("é", 40_000) + `"}`,
		spec.RuleValue, ``, `has \d+ bytes( in all)?; at most`,
	},
	{
		"the same path in files twice, spelled differently",
		`{"name": "x", "run": "y", "files": ["a", "./a"]}`,
		spec.RuleDuplicate, `^files\[\d+\]$`, ``,
	},
	{
		"characters in paths that do not print, other than control characters",
		`{"name": "x", "run": "y", "files": ["a\u2028b"]}`,
		spec.RuleValue, `^(files\[\d+\]|user_data|secrets\..*)$`, `(holds an invisible character|names nothing that file: can look up)$`,
	},
	{
		"the grammar of addresses behind https://",
		`{"name": "x", "run": "y", "notify": [{"on": ["failed"], "webhook": "https://user@example.org"}]}`,
		spec.RuleValue, `^notify\[\d+\]\.webhook$`, `(is not an https address|holds a user or password)$`,
	},
	{
		"spelling: here 3.0 and 1e3 are no whole numbers, 0b11 is no text, and True is not true",
		`{"name": "x", "run": "y", "retry": {"attempts": 3.0}}`,
		spec.RuleType, ``, `(wants [a-z0-9 ]*(number|text)[a-z0-9 ]*, found the number .*|found (True|TRUE|False|FALSE))$`,
	},
	{
		"numbers of odd spelling or with many digits: 0x1F, 1_000, amounts of money with three decimals",
		`{"name": "x", "run": "y", "budget": {"run": 1.001}}`,
		spec.RuleValue, ``, `(which programs do not agree on|not an amount of US dollars|has \d+ digits)$`,
	},
}

// beyond tells whether an error of the loader comes from a rule that the schema does not know.
func beyond(e *spec.Error) bool {
	for _, x := range exceptions {
		if x.is(e) {
			return true
		}
	}
	return false
}

// agree checks that the schema accepts a document if the loader does, and refuses it if the loader does for
// any reason that is not among the exceptions. It tells what the loader thinks.
func agree(t interface {
	Fatal(...any)
	Fatalf(string, ...any)
}, doc any, text string) bool {
	schemaErr := bySchema(t, doc)
	_, err := spec.Load("job.yaml", []byte(text))
	if err == nil {
		if schemaErr != nil {
			t.Fatalf("the schema refuses what the loader accepts:\n%.3000s\n%v", text, schemaErr)
		}
		return true
	}
	if schemaErr != nil {
		return false
	}
	for _, e := range err.(*spec.Errors).List {
		if !beyond(e) {
			t.Fatalf("the schema accepts, and the loader refuses for no reason that is listed:\n%.3000s\n%s: %s", text, e.Path, e.Problem)
		}
	}
	return false
}

// Each exception is one: the schema accepts its example, and the loader refuses it for that reason alone.
func TestSchemaIsWiderOnlyWhereItIsSaid(t *testing.T) {
	t.Parallel()
	for _, x := range exceptions {
		t.Run(x.what, func(t *testing.T) {
			t.Parallel()
			if err := bySchema(t, parsed(t, x.example)); err != nil {
				t.Errorf("the schema knows of it: %v", err)
			}
			for _, e := range refuse(t, x.example) {
				if !x.is(e) {
					t.Errorf("%s: %s: %s", e.Path, e.Rule, e.Problem)
				}
			}
		})
	}
}

func parsed(t *testing.T, text string) any {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// Patterns in the schema are read by many programs, each with regular expressions of its own.
func TestPatternsOfTheSchemaArePlain(t *testing.T) {
	t.Parallel()
	var look func(any)
	look = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				look(item)
			}
		case map[string]any:
			for key, item := range v {
				if p, ok := item.(string); ok && key == "pattern" {
					if m := regexp.MustCompile(`\(\?[^:]|\\[sSwWdDbBAzZ]|\[:|\\x\{`).FindString(p); m != "" {
						t.Errorf("%s in %s", m, p)
					}
				}
				look(item)
			}
		}
	}
	look(parsed(t, string(spec.Schema())))
}

// Good files, pairs of files that differ in one key, and all that the archive of errors shows.
func TestSchemaOverFiles(t *testing.T) {
	t.Parallel()
	for name, text := range filesInTestdata(t) {
		doc, ok := asYAML12(text)
		if !ok {
			continue // no YAML, or what no JSON can be: the same key twice
		}
		if agree(t, doc, text) != strings.HasPrefix(name, "good/") {
			t.Errorf("%s: the loader thinks otherwise", name)
		}
	}
	for path, c := range changes {
		for _, text := range []string{c.without, c.with} {
			doc, ok := asYAML12(text)
			if !ok || !agree(t, doc, text) {
				t.Errorf("%s: refused:\n%s", path, text)
			}
		}
	}
}

// Words without quotes that programs take for different things: whatever the loader makes of them, to the
// schema they are what YAML 1.2 says.
func TestSchemaOverPlainWords(t *testing.T) {
	t.Parallel()
	for _, form := range []string{
		"run: y\nname: %s", "name: x\nrun: %s", "name: x\nrun: y\ndescription: %s", "name: x\nrun: y\ntimezone: %s", "name: x\nrun: y\ntimeout: %s",
		"name: x\nrun: y\noverlap: %s", "name: x\nrun: y\nmachine: {cpu: %s}", "name: x\nrun: y\nmachine: {memory: %s}", "name: x\nrun: y\nretry: {attempts: %s}",
		"name: x\nrun: y\nenv: {A: %s}", "name: x\nrun: y\nbudget: {run: %s}", "name: x\nrun: y\nparams: {a: {type: int, default: %s}}",
		"name: x\nrun: y\nparams: {a: {type: bool, default: %s}}", "name: x\nrun: y\nschedule: [{at: '@daily', from: %s}]", "name: x\nrun: y\nfiles: [%s]",
	} {
		for word := range strings.FieldsSeq("x true True TRUE false False FALSE null Null NULL ~ yes no on off y n 0 1 01 017 0o17 0x1F 0b11 1_000 1e3 1E3 1.0 1. .5 +1 -1 -0 .inf -.Inf .NaN 12:30:00 2026-01-01 2026-01-01T00:00:00Z 1h 1e 0x 1.2.3 =") {
			text := fmt.Sprintf(form, word) + "\n"
			if doc, ok := asYAML12(text); ok {
				agree(t, doc, text)
			} else if _, err := spec.Load("job.yaml", []byte(text)); err == nil && !strings.Contains(text, "env:") {
				t.Errorf("accepted, and no JSON:\n%s", text)
			}
		}
	}
}

// filesInTestdata are the job files there, by name.
func filesInTestdata(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, pattern := range []string{"good/*.yaml", "errors/*.txtar"} {
		names, err := filepath.Glob("testdata/" + pattern)
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(name, ".txtar") {
				files["good/"+name] = string(text)
				continue
			}
			_, members := split(string(text))
			for _, m := range members {
				if strings.HasSuffix(m.name, ".yaml") {
					files[name+"/"+m.name] = m.text
				}
			}
		}
	}
	return files
}

// asYAML12 is a job file as programs see it that know YAML 1.2 and nothing of dayfly. What no JSON can be is
// not read: anchors, tags, the same key twice.
func asYAML12(text string) (any, bool) {
	if strings.HasPrefix(text, "%") || strings.Contains(text, "\n---\n") {
		return nil, false // a directive or a second document, which are no part of the first
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) != 1 {
		return nil, false
	}
	return nodeAs12(doc.Content[0])
}

var (
	wholeIn12 = regexp.MustCompile(`^[-+]?[0-9]+$`)
	floatIn12 = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	basedIn12 = regexp.MustCompile(`^(0o[0-7]+|0x[0-9a-fA-F]+)$`)
	otherIn12 = regexp.MustCompile(`^([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$`)
)

func nodeAs12(n *yaml.Node) (any, bool) {
	switch n.Kind {
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			v, ok := nodeAs12(c)
			if !ok {
				return nil, false
			}
			list = append(list, v)
		}
		return list, true
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			v, ok := nodeAs12(n.Content[i+1])
			if _, twice := m[n.Content[i].Value]; twice || !ok || n.Content[i].Kind != yaml.ScalarNode {
				return nil, false
			}
			m[n.Content[i].Value] = v
		}
		return m, true
	case yaml.ScalarNode:
		if n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
			return nil, false
		}
		if n.Style&^yaml.FlowStyle != 0 {
			return n.Value, true
		}
		return plainAs12(n.Value)
	}
	return nil, false
}

func plainAs12(s string) (any, bool) {
	switch {
	case s == "" || s == "~" || s == "null" || s == "Null" || s == "NULL":
		return nil, true
	case s == "true" || s == "false" || s == "True" || s == "False" || s == "TRUE" || s == "FALSE":
		return strings.EqualFold(s, "true"), true
	case wholeIn12.MatchString(s):
		n, ok := new(big.Int).SetString(s, 10)
		return json.Number(n.String()), ok
	case floatIn12.MatchString(s):
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			return nil, false
		}
		return json.Number(r.FloatString(20)), true
	case basedIn12.MatchString(s):
		n, ok := new(big.Int).SetString(s, 0)
		return json.Number(n.String()), ok
	case otherIn12.MatchString(s):
		return nil, false // no JSON
	}
	return s, true
}
