package spec

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"

	"github.com/dayfly-io/dayfly/internal/schedule"
)

//go:embed jobfile.schema.json
var published []byte

// Schema is the JSON Schema (2020-12) of the job file, as it is published. It refuses nothing that [Load]
// accepts; some rules of the loader are beyond it.
func Schema() []byte { return slices.Clone(published) }

// Generate makes the schema from the table; a test compares it with the published one.
func Generate() ([]byte, error) {
	root := jobKeys.object("", mapping())
	root.Schema, root.ID = "https://json-schema.org/draft/2020-12/schema", "urn:dayfly:jobfile"
	root.Title, root.Description = "dayfly job file", "What to run, when, and on what machine. One file is one job."
	root.Defs = &properties{list: []property{{"zone", &schema{Description: "A name of the IANA time zone database, as dayfly carries it.", Enum: schedule.Zones()}}}}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(root)
	return escape(b.String()), err
}

// escape leaves no character in a JSON text that people cannot see.
func escape(text string) []byte {
	var b bytes.Buffer
	for _, r := range text {
		if r != '\n' && r != ' ' && (!unicode.IsGraphic(r) || unicode.IsSpace(r)) {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.Bytes()
}

// schema is the part of JSON Schema that is used, in the order in which it is written.
type schema struct {
	Schema      string          `json:"$schema,omitempty"`
	ID          string          `json:"$id,omitempty"`
	Title       string          `json:"title,omitempty"`
	Description string          `json:"description,omitempty"`
	Ref         string          `json:"$ref,omitempty"`
	Type        any             `json:"type,omitempty"` // a name or several
	Const       string          `json:"const,omitempty"`
	Enum        []string        `json:"enum,omitempty"`
	EnumDocs    []string        `json:"enumDescriptions,omitempty"` // no part of the standard; editors show it
	MinLength   int64           `json:"minLength,omitempty"`
	MaxLength   int64           `json:"maxLength,omitempty"`
	Pattern     string          `json:"pattern,omitempty"`
	Minimum     json.Number     `json:"minimum,omitempty"`
	Above       json.Number     `json:"exclusiveMinimum,omitempty"`
	Maximum     json.Number     `json:"maximum,omitempty"`
	MinItems    int64           `json:"minItems,omitempty"`
	MaxItems    int64           `json:"maxItems,omitempty"`
	Unique      bool            `json:"uniqueItems,omitempty"`
	Items       *schema         `json:"items,omitempty"`
	MinNames    int64           `json:"minProperties,omitempty"`
	MaxNames    int64           `json:"maxProperties,omitempty"`
	Required    []string        `json:"required,omitempty"`
	Properties  *properties     `json:"properties,omitempty"`
	Names       *schema         `json:"propertyNames,omitempty"`
	Others      any             `json:"additionalProperties,omitempty"` // false or a schema
	AnyOf       []*schema       `json:"anyOf,omitempty"`
	OneOf       []*schema       `json:"oneOf,omitempty"`
	AllOf       []*schema       `json:"allOf,omitempty"`
	Not         *schema         `json:"not,omitempty"`
	If          *schema         `json:"if,omitempty"`
	Then        *schema         `json:"then,omitempty"`
	Default     json.RawMessage `json:"default,omitempty"`
	Examples    []any           `json:"examples,omitempty"`
	Defs        *properties     `json:"$defs,omitempty"`
}

type property struct {
	name string
	is   *schema
}

// properties are written in their order.
type properties struct{ list []property }

// MarshalJSON implements json.Marshaler.
func (p *properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for i, one := range p.list {
		b.WriteString(map[bool]string{true: "{", false: ","}[i == 0] + strconv.Quote(one.name) + ":")
		if err := e.Encode(one.is); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// object is the schema of the mapping at a pattern: the keys that the table has below it, or names of the user's.
func (t table) object(pattern string, f Form) *schema {
	s := &schema{Type: "object", MinNames: f.least, MaxNames: f.most, Others: false, Properties: &properties{}}
	for _, name := range t.children(pattern) {
		k, _ := t.find(join(pattern, name))
		if name == "*" {
			s.Names = (&schema{}).patterns(f.must, f.never)
			s.Properties, s.Others = nil, t.key(k)
			return s
		}
		s.Properties.list = append(s.Properties.list, property{name, t.key(k)})
		if k.Required {
			s.Required = append(s.Required, name)
		}
	}
	return together(pattern, s)
}

// together adds the rules on keys that stand side by side, as far as they can be said.
func together(pattern string, s *schema) *schema {
	within := func(name string, is *schema) *schema {
		return &schema{Properties: &properties{[]property{{name, is}}}, Required: []string{name}}
	}
	switch pattern {
	case "":
		s.OneOf = []*schema{{Required: []string{"run"}}, {Required: []string{"user_data"}}}
		fetched := within("secrets", &schema{Others: &schema{Pattern: onAWS().String()}})
		fetched.Required = nil
		s.AllOf = []*schema{{If: within("machine", within("on", &schema{Const: onEC2})), Then: fetched}}
	case "params.*":
		for kind, is := range map[string]*schema{
			"int":    {Type: "integer", Minimum: "-9223372036854775808", Maximum: "9223372036854775807"},
			"float":  {Type: "number"},
			"string": {Type: "string"},
			"bool":   {Type: "boolean"},
		} {
			then := &schema{Properties: &properties{[]property{{"default", is}, {"enum", &schema{Items: is}}}}}
			for _, bound := range []string{"min", "max"} {
				switch kind {
				case "int":
					then.Properties.list = append(then.Properties.list, property{bound, &schema{Type: "integer"}})
				case "string", "bool":
					then.Properties.list = append(then.Properties.list, property{bound, &schema{Not: &schema{}}})
				}
			}
			if kind == "bool" {
				then.Properties.list[1].is = &schema{Not: &schema{}}
			}
			s.AllOf = append(s.AllOf, &schema{If: within("type", &schema{Const: kind}), Then: then})
		}
		slices.SortFunc(s.AllOf, func(a, b *schema) int {
			return strings.Compare(a.If.Properties.list[0].is.Const, b.If.Properties.list[0].is.Const)
		})
		for _, pair := range [][]string{{"enum", "min"}, {"enum", "max"}, {"default", "required"}} {
			s.AllOf = append(s.AllOf, &schema{Not: &schema{Required: pair}})
		}
	}
	return s
}

// key is the schema of one key, with what is said of it.
func (t table) key(k Key) *schema {
	s := t.value(k.Path, k.Form)
	s.Description = k.Doc
	if k.More != "" {
		s.Description += " " + k.More
	}
	for _, line := range []struct{ what, text string }{
		{"Allowed: ", k.Form.Limits()}, {"Without it: ", k.Otherwise}, {"Only for machines on ", k.On}, {"Refused at apply: ", k.Missing},
	} {
		if line.text != "" {
			s.Description += "\n" + line.what + line.text + "."
		}
	}
	if k.Default != "" {
		s.Default = asJSON(k.Default)
	}
	if _, example, ok := strings.Cut(k.Example, ": "); ok && !strings.Contains(k.Path, "*") {
		s.Examples = []any{asJSON(example)}
	}
	return s
}

// value is the schema of a form at a pattern.
func (t table) value(pattern string, f Form) *schema {
	if f.or != nil {
		alone, other := f, *f.or
		alone.or = nil
		return &schema{AnyOf: []*schema{t.value(pattern, alone), t.value(pattern, other)}}
	}
	switch f.kind {
	case kindMapping:
		return t.object(pattern, f)
	case kindList:
		return &schema{Type: "array", MinItems: f.least, MaxItems: f.most, Unique: f.distinct, Items: t.value(pattern+"[]", *f.items)}
	case kindZone:
		return &schema{Ref: "#/$defs/zone"}
	case kindChoice:
		s := &schema{Enum: f.words()}
		for _, c := range f.choices {
			s.EnumDocs = append(s.EnumDocs, c.Doc)
		}
		if slices.Contains(s.EnumDocs, "") {
			s.EnumDocs = nil
		}
		return s
	}
	return f.scalar()
}

// scalar is the schema of a value that has no others inside.
func (f Form) scalar() *schema {
	switch f.kind {
	case kindNumber:
		return &schema{Type: "integer", Minimum: whole(f.least), Maximum: whole(f.most)}
	case kindDecimal:
		decimal := func(n float64) json.Number { return json.Number(strconv.FormatFloat(n, 'f', -1, 64)) }
		return &schema{Type: "number", Minimum: decimal(f.low), Maximum: decimal(f.high)}
	case kindBool:
		return &schema{Type: "boolean"}
	case kindDuration:
		return (&schema{Type: "string", MinLength: int64(len("1s"))}).patterns([]expr{durations}, nil)
	case kindSize:
		return (&schema{Type: "string"}).patterns([]expr{sizes}, nil)
	case kindInstant:
		return (&schema{Type: "string"}).patterns(append([]expr{moment}, f.must...), nil)
	case kindMoney:
		written := (&schema{Type: "string"}).patterns([]expr{money}, []expr{nothing})
		return &schema{AnyOf: []*schema{{Type: "number", Above: "0", Maximum: "999999999.99"}, written}}
	}
	s := &schema{Type: "string", MaxLength: f.most}
	switch {
	case f.kind == kindScalar:
		s.Type = []string{"string", "number", "boolean"}
	case f.bools:
		s.Type = []string{"string", "boolean"}
	}
	return s.patterns(f.must, f.never)
}

func whole(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }

// patterns adds what a text must and must not match.
func (s *schema) patterns(must, never []expr) *schema {
	if len(must) > 0 {
		s.Pattern = must[0]().String()
		for _, p := range must[1:] {
			s.AllOf = append(s.AllOf, &schema{Pattern: p().String()})
		}
	}
	for _, p := range never {
		s.AllOf = append(s.AllOf, &schema{Not: &schema{Pattern: p().String()}})
	}
	return s
}

// asJSON is a value of the table as JSON. What looks like a number, true or false is one.
func asJSON(text string) json.RawMessage {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) != 1 {
		panic("spec: the table holds a value that is not YAML: " + text)
	}
	return nodeJSON(doc.Content[0])
}

func nodeJSON(n *yaml.Node) json.RawMessage {
	var b bytes.Buffer
	switch n.Kind {
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, item := range n.Content {
			b.WriteString(map[bool]string{false: ", "}[i == 0])
			b.Write(nodeJSON(item))
		}
		b.WriteByte(']')
	case yaml.MappingNode:
		b.WriteByte('{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			b.WriteString(map[bool]string{false: ", "}[i == 0] + quote(n.Content[i].Value) + ": ")
			b.Write(nodeJSON(n.Content[i+1]))
		}
		b.WriteByte('}')
	default:
		if isPlain(n) && (n.Value == "true" || n.Value == "false" || decimal().MatchString(n.Value)) {
			return json.RawMessage(n.Value)
		}
		return json.RawMessage(quote(n.Value))
	}
	return b.Bytes()
}
