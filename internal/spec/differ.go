package spec

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
)

// Difference is one key in which two versions of a job differ, in the words of a job file. From or To is empty
// where that version does not have the key; text that is there is never empty.
type Difference struct {
	Path string `json:"path"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Text tells that From and To are text as it is, of one line or several; else they are values as written.
	Text bool `json:"-"`
}

// Differences compares two versions of a job, in the order of the table. Versions that are not the same differ
// in something.
func Differences(from, to dayfly.Job) []Difference {
	c := comparison{single: len(from.Schedules) <= 1 && len(to.Schedules) <= 1}
	c.mappings("", "", content(from), content(to))
	order := func(path string) int {
		top, _, _ := strings.Cut(strings.ReplaceAll(path, "[", "."), ".")
		top, _, _ = strings.Cut(top, " ")
		return slices.IndexFunc(jobKeys, func(k Key) bool { return k.Path == top })
	}
	slices.SortStableFunc(c.found, func(a, b Difference) int { return cmp.Compare(order(a.Path), order(b.Path)) })
	return c.found
}

// content is a job as programs see it, by the names of the file.
func content(j dayfly.Job) map[string]any {
	text, err := json.Marshal(j)
	if err != nil {
		panic("spec: a Job is always JSON: " + err.Error())
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	m := map[string]any{}
	if err := d.Decode(&m); err != nil {
		panic("spec: a Job is always a JSON object: " + err.Error())
	}
	for inside, outside := range map[string]string{"schedules": "schedule", "files_sha256": packedFiles} {
		if v, ok := m[inside]; ok {
			m[outside] = v
			delete(m, inside)
		}
	}
	return m
}

// packedFiles is how a difference in the contents of files: is called.
const packedFiles = "files (contents)"

type comparison struct {
	single bool // there is one schedule at most, and nobody counts it
	found  []Difference
}

// mappings compares two mappings at a path; pattern is its key in the table.
func (c *comparison) mappings(path, pattern string, from, to map[string]any) {
	names := map[string]bool{}
	for _, m := range []map[string]any{from, to} {
		for name := range m {
			names[name] = true
		}
	}
	siblings := jobKeys.children(pattern)
	for _, name := range slices.SortedFunc(maps.Keys(names), func(a, b string) int {
		return cmp.Or(cmp.Compare(slices.Index(siblings, a), slices.Index(siblings, b)), cmp.Compare(a, b))
	}) {
		key := join(pattern, name)
		if slices.Contains(siblings, "*") {
			key = join(pattern, "*")
		}
		at := join(path, name)
		if pattern == "schedule[]" && name == "at" {
			at = path // what a schedule is
		}
		c.values(at, key, from[name], to[name])
	}
}

// values compares two values, of which one may be nil.
func (c *comparison) values(path, pattern string, from, to any) {
	a, isMapA := from.(map[string]any)
	b, isMapB := to.(map[string]any)
	if isMapA && (isMapB || to == nil) || isMapB && from == nil {
		c.mappings(path, pattern, a, b)
		return
	}
	x, isListA := from.([]any)
	y, isListB := to.([]any)
	if (isListA || isListB) && ofMappings(x) && ofMappings(y) {
		c.lists(path, pattern, x, y)
		return
	}
	d := Difference{Path: path, From: written(pattern, from), To: written(pattern, to)}
	if d.From == d.To {
		return
	}
	if isText(pattern) {
		d.Text = true
		d.From, _ = from.(string)
		d.To, _ = to.(string)
	}
	c.found = append(c.found, d)
}

// isText tells whether a key holds text of several lines.
func isText(pattern string) bool {
	return pattern == "run" || pattern == "setup" || pattern == "description"
}

func ofMappings(list []any) bool {
	return !slices.ContainsFunc(list, func(v any) bool { _, ok := v.(map[string]any); return !ok })
}

// lists compares two lists of mappings. Those that stay are found first, so that one that is put between others
// is one difference.
func (c *comparison) lists(path, pattern string, from, to []any) {
	same := func(i, j int) bool { return written(pattern+"[]", from[i]) == written(pattern+"[]", to[j]) }
	i, j := 0, 0
	for _, m := range append(stay(len(from), len(to), same), [2]int{len(from), len(to)}) {
		for ; i < m[0] && j < m[1]; i, j = i+1, j+1 {
			c.mappings(c.item(path, j), pattern+"[]", from[i].(map[string]any), to[j].(map[string]any))
		}
		for ; i < m[0]; i++ {
			c.found = append(c.found, Difference{Path: c.item(path, i), From: written(pattern+"[]", from[i])})
		}
		for ; j < m[1]; j++ {
			c.found = append(c.found, Difference{Path: c.item(path, j), To: written(pattern+"[]", to[j])})
		}
		i, j = m[0]+1, m[1]+1
	}
}

func (c *comparison) item(path string, i int) string {
	if c.single && path == "schedule" {
		return path
	}
	return fmt.Sprintf("%s[%d]", path, i)
}

// stay finds a longest sequence of pairs that are the same in two lists of these lengths.
func stay(n, m int, same func(i, j int) bool) (pairs [][2]int) {
	length := make([][]int, n+1)
	for i := range length {
		length[i] = make([]int, m+1)
	}
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			if length[i][j] = max(length[i+1][j], length[i][j+1]); same(i, j) {
				length[i][j] = 1 + length[i+1][j+1]
			}
		}
	}
	for i, j := 0, 0; i < n && j < m; {
		switch {
		case same(i, j):
			pairs = append(pairs, [2]int{i, j})
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

// written is a value as a job file would have it; empty for none.
func written(pattern string, v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = written(pattern+"[]", item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case map[string]any:
		return writtenMapping(pattern, v)
	case string:
		if pattern == packedFiles {
			return "sha256 " + v[:min(len(v), 12)]
		}
		return writtenText(v)
	case json.Number:
		return writtenNumber(pattern, v)
	}
	return fmt.Sprint(v)
}

func writtenMapping(pattern string, m map[string]any) string {
	if pattern == "schedule[]" && len(m) == 1 {
		return written(pattern+".at", m["at"])
	}
	names := jobKeys.children(pattern)
	var parts []string
	for _, name := range names {
		if v, ok := m[name]; ok {
			parts = append(parts, name+": "+written(join(pattern, name), v))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// writtenText is text, between quotes where a job file would need them.
func writtenText(s string) string {
	if plainText().MatchString(s) && !looksNumeric(s) && !slices.Contains([]string{"true", "false", "null", "True", "False", "Null", "TRUE", "FALSE", "NULL"}, s) {
		return s
	}
	return quote(s)
}

var plainText = pattern(`^[A-Za-z0-9./][A-Za-z0-9._/@:+-]*$`)

// writtenNumber is a number in the words of its key.
func writtenNumber(pattern string, n json.Number) string {
	if k, ok := jobKeys.find(pattern); ok {
		switch k.Form.kind {
		case kindDuration:
			var s dayfly.Seconds
			if s.UnmarshalJSON([]byte(n)) == nil && time.Duration(s)%time.Second == 0 {
				return formatDuration(time.Duration(s))
			}
		case kindSize:
			if bytes, err := n.Int64(); err == nil {
				return formatSize(bytes)
			}
		}
	}
	return n.String()
}
