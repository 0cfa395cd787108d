package spec_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/dayfly-io/dayfly/internal/spec"
)

// values are what is tried at every key: right for some, and on both sides of every edge for others.
var values = []any{
	nil, true, false, json.Number("0"), json.Number("1"), json.Number("-1"), json.Number("2"), json.Number("4"), json.Number("50"),
	json.Number("100"), json.Number("101"), json.Number("10000"), json.Number("10001"), json.Number("100000"), json.Number("100001"),
	json.Number("4194304"), json.Number("4194305"), json.Number("1.5"), json.Number("0.01"), json.Number("0.009"), json.Number("1024"), json.Number("1024.5"),
	json.Number("2.00"), json.Number("0.001"), json.Number("3.0"), json.Number("1e3"), json.Number("9223372036854775807"), json.Number("9223372036854775808"),
	json.Number("999999999.99"), json.Number("1000000000"), json.Number("99999999999999999999999999"),
	"", " ", "\n", "\u0085", "\u3000", "\t", "x", "X", "-x", "a-b", "a_b", "a b", "é", "日本", "\u0000", "a\u0000b", "\u0001", "\u001b[2J", "\u007f", "\u0085x", "\u2028", "\u202e", "\u2066x", "\u200e", "\ufeff", "a\nb", "a\tb", "a\r\nb",
	"none", "last", "all", "skip", "queue", "replace", "allow", "local", "docker", "qemu", "ec2", "host", "best", "full", "partial", "on-demand", "spot", "spot-first",
	"None", "failed", "timed_out", "lost", "capacity", "succeeded", "recovered", "int", "float", "string", "bool", "true", "null", "no",
	"0s", "1s", "59m", "90m", "1h30m", "10m", "601s", "1d", "25h", "30d", "31d", "32d", "366d", "36501d", "1h1d", "1.5h", "90", "1H", "s", "-1s", "1ms", "999999999999999999d", "1000000000000000000d", "01h",
	"0B", "1B", "4MiB", "3MiB", "4GiB", "1kB", "1KB", "1KiB", "1kiB", "64TiB", "65TiB", "1g", "1 GiB", "999999999999999TB",
	"2026-01-01T00:00:00Z", "2026-01-01T00:00:30Z", "2026-01-01T00:00:00.5Z", "2026-01-01T09:00:00+02:00", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "2026-01-01", "2026-01-01 00:00:00Z", "2026-01-01t00:00:00z", "2026-01-01T9:00:00Z", "2026-01-01T00:00:00,5Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00Z", "2026-01-01T00:00:00",
	"UTC", "utc", "Local", "Europe/Tallinn", "Europe/Talin", "Etc/GMT+2", "GMT+2", "America/Argentina/Buenos_Aires",
	"@daily", "@every 90m", "@reboot", "0 23 * * *", "0 25 * * *", "0 0 30 2 *", "H H * * *", "cron(0 23 * * ? *)", "rate(5 minutes)", "at(2026-01-01T00:00:00)", " @daily ",
	"./a", "a/b", "a", ".", "./", "././", "..", "../a", "a/../b", "a/..", "...", "..a", "/", "/a", "~", "~/a", "~a", "a\\b", "a*", "a?", "[a]", "a]", "a//b", ".a", "./.",
	"env:A", "env:", "env:1", "env:A B", "file:/a", "file:a", "file:/", "file:/.", "file:/a\u0007", "file:/a\u2028", "ssm:/a", "ssm:a b", "ssm:/a:1", "secretsmanager:a/b", "secretsmanager:", "vault:a", "hunter2",
	"c8g.large", "-c8g", "eu-west-1", "eu", "EU-west-1", "debian-13-*", "ops@example.org", "ops", "a b@example.org", "a\u00a0b@example.org", "a@b.", "https://example.org/x", "HTTPS://example.org", "http://example.org", "https://", "https:///x", "https://u:p@example.org", "https://exa mple.org", "https://[::1", "#ops", "ops!", "#", "@é", "topic", "2.00", "2.001", "0.00", "1000000000", "12.", ".5",
	strings.Repeat("a", 48), strings.Repeat("a", 49), strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 255), strings.Repeat("a", 256), strings.Repeat("é", 1024), strings.Repeat("é", 1025), strings.Repeat("a/", 600), strings.Repeat("x", 65536), strings.Repeat("x", 65537), strings.Repeat("é", 40000),
	[]any{}, []any{nil}, []any{"a"}, []any{"a", "a"}, []any{"a", "./a"}, []any{"failed"}, []any{"lost", "capacity"}, []any{"failed", "failed"}, []any{"eu-west-1", "us-east-1"}, []any{"eu-west-1", "eu-west-1"}, []any{"c8g.large"}, []any{"@daily"}, []any{json.Number("1")}, []any{[]any{}},
	[]any{map[string]any{"at": "@daily"}}, []any{map[string]any{"at": "@daily", "from": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}}, []any{map[string]any{"at": "@hourly", "anchor": "2026-01-01T00:00:00Z"}}, []any{map[string]any{}}, []any{"@daily", map[string]any{"at": "@every 1h", "anchor": "2026-01-01T00:00:00Z"}},
	[]any{map[string]any{"on": []any{"failed"}, "ntfy": "t"}}, []any{map[string]any{"on": []any{"failed"}}}, []any{map[string]any{"ntfy": "t"}}, slices.Repeat([]any{"@daily"}, 100), slices.Repeat([]any{"@daily"}, 101),
	map[string]any{}, map[string]any{"x": "y"}, map[string]any{"A": "b"}, map[string]any{"A": json.Number("1")}, map[string]any{"A": nil}, map[string]any{"A": []any{}}, map[string]any{"1A": "b"}, map[string]any{"DAYFLY_A": "b"}, map[string]any{"a": "b"}, map[string]any{"": "b"}, map[string]any{"A=B": "c"},
	map[string]any{"A": "env:A"}, map[string]any{"A": "ssm:/a"}, map[string]any{"a": map[string]any{"type": "int"}}, map[string]any{"dayfly_a": map[string]any{"type": "int"}}, map[string]any{"A": map[string]any{"type": "int"}},
	map[string]any{"a": map[string]any{"type": "int", "default": json.Number("1")}}, map[string]any{"a": map[string]any{"type": "int", "default": "1"}}, map[string]any{"a": map[string]any{"type": "int", "default": json.Number("1.5")}}, map[string]any{"a": map[string]any{"type": "bool", "default": true}}, map[string]any{"a": map[string]any{"default": true}}, map[string]any{"a": map[string]any{"type": "string", "default": json.Number("1")}}, map[string]any{"a": map[string]any{"type": "float", "default": json.Number("1.5")}},
	map[string]any{"each": []any{"eu-west-1"}}, map[string]any{"each": []any{"eu-west-1"}, "first": []any{"eu-west-1"}}, map[string]any{"type": "int"}, map[string]any{"name": "debian"}, map[string]any{"name": "debian", "newest": true}, map[string]any{"owner": "amazon"}, map[string]any{"policy": "last"}, map[string]any{"policy": "last", "within": "1h"},
	map[string]any{"size": json.Number("2")}, map[string]any{"size": json.Number("2"), "at_once": json.Number("3")}, map[string]any{"attempts": json.Number("3"), "on": []any{"lost"}}, map[string]any{"on": "ec2"}, map[string]any{"machines": json.Number("1")}, map[string]any{"run": json.Number("2.00")}, map[string]any{"logs": "30d"},
}

// homes are the smallest files in which a key can stand, by the mapping it stands in.
var homes = map[string]string{
	"": `{"name": "x", "run": "y"}`, "schedule[]": `{"name": "x", "run": "y", "schedule": [{"at": "@every 90m"}]}`,
	"machine": `{"name": "x", "run": "y", "machine": {}}`, "machine.regions": `{"name": "x", "run": "y", "machine": {"regions": {}}}`,
	"machine.image": `{"name": "x", "run": "y", "machine": {"image": {"name": "debian"}}}`, "array": `{"name": "x", "run": "y", "array": {"size": 2}}`,
	"env": `{"name": "x", "run": "y", "env": {}}`, "params": `{"name": "x", "run": "y", "params": {}}`, "params.*": `{"name": "x", "run": "y", "params": {"k": {"type": "int"}}}`,
	"secrets": `{"name": "x", "run": "y", "secrets": {}}`, "retry": `{"name": "x", "run": "y", "retry": {}}`, "catch_up": `{"name": "x", "run": "y", "catch_up": {}}`,
	"notify[]": `{"name": "x", "run": "y", "notify": [{"on": ["failed"], "ntfy": "t"}]}`, "budget": `{"name": "x", "run": "y", "budget": {}}`,
	"limit": `{"name": "x", "run": "y", "limit": {}}`, "keep": `{"name": "x", "run": "y", "keep": {}}`,
}

// TestSchemaOverEveryKeyAndValue puts every value at every key. A key without a home fails.
func TestSchemaOverEveryKeyAndValue(t *testing.T) {
	t.Parallel()
	for _, k := range spec.Keys() {
		t.Run(k.Path, func(t *testing.T) {
			t.Parallel()
			parent := strings.TrimSuffix(strings.TrimSuffix(k.Path, k.Name()), ".")
			home, ok := homes[parent]
			if !ok {
				t.Fatalf("there is no file to try it in: homes[%q]", parent)
			}
			accepted := 0
			for _, v := range values {
				doc := parsed(t, home)
				m := inside(doc, parent)
				m[strings.ReplaceAll(k.Name(), "*", "k")] = v
				if k.Path == "user_data" {
					delete(m, "run")
				}
				if agree(t, doc, jsonText(t, doc)) {
					accepted++
				}
			}
			if accepted == 0 || accepted == len(values) {
				t.Errorf("%d of %d values are accepted: the list shows nothing", accepted, len(values))
			}
		})
	}
}

// inside is the mapping of a document at a pattern: the first of a list, the only one of names.
func inside(doc any, pattern string) map[string]any {
	for part := range strings.SplitSeq(pattern, ".") {
		if part == "" {
			continue
		}
		m := doc.(map[string]any)
		name, isList := strings.CutSuffix(part, "[]")
		if name == "*" {
			name = "k"
		}
		doc = m[name]
		if isList {
			doc = doc.([]any)[0]
		}
	}
	return doc.(map[string]any)
}

func jsonText(t interface{ Fatal(...any) }, doc any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		t.Fatal(err)
	}
	return escaped(b.String())
}

// escaped is JSON in which characters that people cannot see are written by number, as they have to be.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r >= 0x7f && !unicode.IsGraphic(r) || unicode.Is(unicode.Z, r) && r != ' ' {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// TestSchemaOverMutations changes valid documents here and there, and writes them as JSON or in blocks.
func TestSchemaOverMutations(t *testing.T) {
	t.Parallel()
	var sources []string
	for _, path := range slices.Sorted(maps.Keys(changes)) {
		sources = append(sources, changes[path].with)
	}
	for name, text := range filesInTestdata(t) {
		if strings.HasPrefix(name, "good/") {
			sources = append(sources, text)
		}
	}
	slices.Sort(sources)
	var names []string
	for _, k := range spec.Keys() {
		names = append(names, strings.ReplaceAll(k.Name(), "*", "K"))
	}
	accepted, tried := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			doc, ok := asYAML12(rapid.SampledFrom(sources).Draw(t, "source"))
			if !ok {
				t.Fatal("a source is no JSON")
			}
			m := mutator{t, names}
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				doc = m.change(doc, 0)
			}
			text := jsonText(t, doc)
			if top, ok := doc.(map[string]any); ok && rapid.Bool().Draw(t, "in blocks") {
				text = blocks(t, top, "")
			}
			if tried++; agree(t, doc, text) {
				accepted++
			}
		}
	})
	if accepted*10 < tried || accepted*10 > tried*9 {
		t.Errorf("of %d documents %d were accepted: the mutations show little", tried, accepted)
	}
}

// mutator changes one place of a document.
type mutator struct {
	t     *rapid.T
	names []string
}

func (m mutator) change(v any, depth int) any {
	kind := rapid.IntRange(0, 9).Draw(m.t, "change")
	switch v := v.(type) {
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		switch {
		case len(keys) > 0 && kind < 6:
			k := rapid.SampledFrom(keys).Draw(m.t, "key")
			v[k] = m.change(v[k], depth+1)
			return v
		case len(keys) > 0 && kind == 6:
			delete(v, rapid.SampledFrom(keys).Draw(m.t, "key"))
			return v
		case kind < 9 || depth == 0:
			v[m.name()] = m.value()
			return v
		}
	case []any:
		switch {
		case len(v) > 0 && kind < 6:
			i := rapid.IntRange(0, len(v)-1).Draw(m.t, "item")
			v[i] = m.change(v[i], depth+1)
			return v
		case len(v) > 0 && kind == 6:
			return append(slices.Clone(v), v[rapid.IntRange(0, len(v)-1).Draw(m.t, "item")])
		case kind == 7:
			return append(slices.Clone(v), m.value())
		}
	case string:
		if kind < 5 {
			return m.letter(v)
		}
	}
	return m.value()
}

// value is one of values, the caller's to change.
func (m mutator) value() any {
	return copied(rapid.SampledFrom(values).Draw(m.t, "value"))
}

func copied(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for k, item := range v {
			m[k] = copied(item)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = copied(item)
		}
		return list
	}
	return v
}

// name is a key: one of ours, or one with a letter changed.
func (m mutator) name() string {
	name := rapid.SampledFrom(m.names).Draw(m.t, "name")
	if rapid.IntRange(0, 3).Draw(m.t, "slip") == 0 {
		name = m.letter(name)
	}
	return name
}

// letter changes a text in one place.
func (m mutator) letter(s string) string {
	r := []rune(s)
	at := rapid.IntRange(0, len(r)).Draw(m.t, "at")
	end := min(at+rapid.IntRange(0, 1).Draw(m.t, "drop"), len(r))
	put := rapid.SampledFrom([]string{"", "0", "9", "a", "Z", "-", "_", ".", "/", ":", " ", "*", "é", "s", "\t", "\n", "@", ",", "{", "#", "'", `"`, `\`, "\u0000", "\u202e"}).Draw(m.t, "put")
	return string(r[:at]) + put + string(r[end:])
}

// blocks writes a document in YAML's block style, text without quotes where that leaves it text.
func blocks(t interface{ Fatal(...any) }, v any, indent string) string {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			break
		}
		var b strings.Builder
		for _, k := range slices.Sorted(maps.Keys(v)) {
			fmt.Fprintf(&b, "%s%s:%s", indent, word(k), under(t, v[k], indent))
		}
		return b.String()
	case []any:
		if len(v) == 0 {
			break
		}
		var b strings.Builder
		for _, item := range v {
			fmt.Fprintf(&b, "%s-%s", indent, under(t, item, indent))
		}
		return b.String()
	}
	return indent + jsonText(t, v)
}

// under is a value behind a key or a dash.
func under(t interface{ Fatal(...any) }, v any, indent string) string {
	switch c := v.(type) {
	case map[string]any:
		if len(c) > 0 {
			return "\n" + blocks(t, v, indent+"  ")
		}
	case []any:
		if len(c) > 0 {
			return "\n" + blocks(t, v, indent+"  ")
		}
	case string:
		return " " + word(c) + "\n"
	}
	return " " + jsonText(t, v)
}

// word is text without quotes if that cannot be anything else to anybody.
func word(s string) string {
	plain := len(s) > 0 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./") == "" &&
		strings.ContainsAny(s, "ghijklmpqrsuvwyzGHIJKLMPQRSUVWYZ") && !strings.HasPrefix(s, "-") && !strings.HasPrefix(s, ".") && !strings.HasPrefix(s, "0")
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		plain = false
	}
	if plain {
		return s
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return escaped(string(b))
}
