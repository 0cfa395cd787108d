package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly/internal/term"
)

// formats are what -o takes on every list.
var formats = []string{"table", "wide", "json", "jsonl", "yaml", "name"}

// outputFlag adds -o to a list command.
func outputFlag(cmd *cobra.Command, allowed ...string) *string {
	if len(allowed) == 0 {
		allowed = formats
	}
	form := allowed[0]
	choice{words: allowed, value: &form}.add(cmd, "output", "o", "the `FORM` of the output: "+strings.Join(allowed, ", "))
	return &form
}

// column is one column of a table.
type column[T any] struct {
	head string
	wide bool // only with -o wide
	cell func(T) string
	fit  fit // on a terminal that is too narrow
}

// listing is how a list of things is shown. As JSON a thing is what encoding/json makes of it.
type listing[T any] struct {
	columns []column[T]
	name    func(T) string
	empty   string // said instead of a table without lines
}

// show writes a list in the form that was asked for.
func (l listing[T]) show(a *app, format string, rows iter.Seq2[T, error]) error {
	switch format {
	case "json":
		return writeJSONList(a.out, rows)
	case "jsonl":
		return eachOf(rows, func(row T) error { return writeJSONLine(a.out, row) })
	case "yaml":
		return writeYAMLList(a.out, rows)
	case "name":
		return eachOf(rows, func(row T) error {
			_, err := fmt.Fprintln(a.out, l.name(row))
			return err
		})
	}
	return l.table(a, format == "wide", rows)
}

// table collects all lines, since the widest decides, and writes them: as wide as a terminal at most, unless
// all of it is wanted.
func (l listing[T]) table(a *app, wide bool, rows iter.Seq2[T, error]) error {
	columns := slices.DeleteFunc(slices.Clone(l.columns), func(c column[T]) bool { return c.wide && !wide })
	t := table{lines: [][]string{make([]string, len(columns))}, fits: make([]fit, len(columns))}
	for i, c := range columns {
		t.lines[0][i], t.fits[i] = c.head, c.fit
	}
	err := eachOf(rows, func(row T) error {
		line := make([]string, len(columns))
		for i, c := range columns {
			line[i] = term.Text(c.cell(row))
		}
		t.lines = append(t.lines, line)
		return nil
	})
	if err != nil {
		return err
	}
	if len(t.lines) == 1 {
		a.say("%s", l.empty)
		return nil
	}
	if wide {
		return t.write(a.out, 0)
	}
	return t.write(a.out, widthOf(a.out))
}

// eachOf calls f for every row until one of both is wrong.
func eachOf[T any](rows iter.Seq2[T, error], f func(T) error) error {
	for row, err := range rows {
		if err == nil {
			err = f(row)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// allOf is a list as rows.
func allOf[T any](list []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, row := range list {
			if !yield(row, nil) {
				return
			}
		}
	}
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

// writeJSONLine writes one object on one line.
func writeJSONLine(w io.Writer, v any) error {
	text, err := encode(v)
	if err == nil {
		_, err = w.Write(append(text, '\n'))
	}
	return err
}

// writeJSON writes one object for people to read.
func writeJSON(w io.Writer, v any) error {
	text, err := encode(v)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = w.Write(b.Bytes())
	return err
}

// writeJSONList writes an array without holding it.
func writeJSONList[T any](w io.Writer, rows iter.Seq2[T, error]) error {
	before := "[\n  "
	err := eachOf(rows, func(row T) error {
		text, err := encode(row)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		b.WriteString(before)
		if err := json.Indent(&b, text, "  ", "  "); err != nil {
			return err
		}
		before = ",\n  "
		_, err = w.Write(b.Bytes())
		return err
	})
	if err != nil {
		return err
	}
	end := "\n]\n"
	if before[0] == '[' {
		end = "[]\n"
	}
	_, err = io.WriteString(w, end)
	return err
}

// writeYAMLList writes a list in YAML's block style.
func writeYAMLList[T any](w io.Writer, rows iter.Seq2[T, error]) error {
	some := false
	err := eachOf(rows, func(row T) error {
		text, err := encode(row)
		if err != nil {
			return err
		}
		some = true
		lines, _, err := yamlLines(json.NewDecoder(bytes.NewReader(text)))
		if err != nil {
			return err
		}
		_, err = io.WriteString(w, strings.Join(dashed(lines), "\n")+"\n")
		return err
	})
	if err == nil && !some {
		_, err = io.WriteString(w, "[]\n")
	}
	return err
}

// yamlLines turns the next JSON value into lines of YAML, keys in their order; block tells whether they
// are more than one value on one line. Text stays in JSON's double quotes, which are YAML's.
func yamlLines(d *json.Decoder) (lines []string, block bool, err error) {
	d.UseNumber()
	t, err := d.Token()
	if err != nil {
		return nil, false, err
	}
	bracket, ok := t.(json.Delim)
	if !ok {
		text, err := encode(t)
		return []string{string(text)}, false, err
	}
	for d.More() {
		var key json.Token
		if bracket == '{' {
			if key, err = d.Token(); err != nil {
				return nil, false, err
			}
		}
		value, nested, err := yamlLines(d)
		if err != nil {
			return nil, false, err
		}
		if bracket == '[' {
			lines = append(lines, dashed(value)...)
		} else {
			lines = append(lines, keyed(key.(string), value, nested)...)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, false, err
	}
	if len(lines) == 0 {
		return []string{map[json.Delim]string{'{': "{}", '[': "[]"}[bracket]}, false, nil
	}
	return lines, true, nil
}

// dashed makes lines an item of a list.
func dashed(lines []string) []string {
	for i := range lines {
		if i == 0 {
			lines[i] = "- " + lines[i]
		} else {
			lines[i] = "  " + lines[i]
		}
	}
	return lines
}

// keyed puts lines under a key; a single value stands on its line.
func keyed(key string, lines []string, block bool) []string {
	if key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz_0123456789") != "" {
		quoted, _ := encode(key) // text is always JSON
		key = string(quoted)
	}
	if !block {
		return []string{key + ": " + lines[0]}
	}
	out := []string{key + ":"}
	for _, l := range lines {
		out = append(out, "  "+l)
	}
	return out
}
