package spec_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dayfly-io/dayfly/internal/spec"
)

// An error and a warning of two files, in every format. The formats are contracts with other programs.
func TestFormats(t *testing.T) {
	t.Parallel()
	_, err := spec.Load("jobs/a,b: 100%.yaml", []byte("name: x\nrun: y\nmachine:\n  tipe: c8g.large\ntimeout: 5\n"))
	list := err.(*spec.Errors).List
	f, err := spec.Load("jobs/été.yaml", []byte("name: x\nrun: y\nschedule: 0 0 13 * FRI\n"))
	if err != nil {
		t.Fatal(err)
	}
	list = append(list, f.Warnings...)
	list = append(list, &spec.Error{File: "jobs/large.yaml", Rule: spec.RuleLimit, Problem: "the file has 2000000 bytes"})
	for _, format := range spec.Formats() {
		t.Run(format, func(t *testing.T) {
			var b bytes.Buffer
			if err := spec.Render(&b, format, list); err != nil {
				t.Fatal(err)
			}
			name := "testdata/formats/" + format + ".golden"
			if *update {
				if err := os.WriteFile(name, b.Bytes(), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if (format == "json" || format == "sarif") && !json.Valid(b.Bytes()) {
				t.Error("not JSON")
			}
		})
	}
}

func TestFormatsWithoutErrors(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{"text": "", "json": "[]\n", "github": ""} {
		var b bytes.Buffer
		if err := spec.Render(&b, format, nil); err != nil || b.String() != want {
			t.Errorf("%s: %q, %v", format, b.String(), err)
		}
	}
	var b bytes.Buffer
	if err := spec.Render(&b, "sarif", nil); err != nil || !strings.Contains(b.String(), `"results": []`) || !strings.Contains(b.String(), `"rules": []`) {
		t.Errorf("sarif: %s, %v", b.String(), err)
	}
}

func TestUnknownFormat(t *testing.T) {
	t.Parallel()
	if err := spec.Render(&bytes.Buffer{}, "xml", nil); err == nil || !strings.Contains(err.Error(), "text, json, github, sarif") {
		t.Errorf("got %v", err)
	}
}

// A name of a file cannot drive a terminal, nor make a second command for GitHub.
func TestNamesOfFilesAreHarmless(t *testing.T) {
	t.Parallel()
	_, err := spec.Load("a\x1b[2J\n::error::b\u202e", []byte("name: x"))
	for _, format := range spec.Formats() {
		var b bytes.Buffer
		if err := spec.Render(&b, format, err.(*spec.Errors).List); err != nil {
			t.Fatal(err)
		}
		if format == "github" && strings.Count(b.String(), "\n") != 1 || format == "text" && strings.Contains(b.String(), "\x1b") || strings.Contains(b.String(), "\n::error::b") {
			t.Errorf("%s: %q", format, b.String())
		}
	}
}

// narrow is a terminal.
type narrow struct {
	strings.Builder
	columns int
}

func (n *narrow) Columns() int { return n.columns }

// cells is how wide a line is of which 日 and 本 are the only wide characters.
func cells(line string) int {
	return utf8.RuneCountInString(line) + strings.Count(line, "日") + strings.Count(line, "本")
}

// What is shown of a line fits the terminal, and the caret stands below what is wrong.
func TestExcerptsFitATerminal(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("abcdefghi ", 20)
	for _, c := range []struct {
		line   string
		before int // characters before what is wrong
	}{{"run: " + long, 0}, {"files: [" + long + "WRONG]", 208}, {"files: [" + long + "WRONG" + long, 208}, {"# 日本日本日本日本日本日本日本日本日本日本日本日本日本日本 WRONG", 31}, {"a: WRONG", 3}} {
		for _, columns := range []int{20, 60, 80} {
			w := &narrow{columns: columns}
			e := &spec.Error{File: "a.yaml", Line: 100, Column: c.before + 1, Length: 5, Problem: "wrong", Source: []string{long, c.line}}
			if err := spec.Render(w, "text", []*spec.Error{e}); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(w.String(), "\n")
			line, carets := lines[len(lines)-3], lines[len(lines)-2]
			for _, l := range lines {
				if strings.Contains(l, " | ") && cells(l) > columns {
					t.Errorf("%d columns: %q has %d", columns, l, cells(l))
				}
			}
			wrong := []rune(c.line)[c.before : c.before+5]
			at := strings.Index(line, string(wrong))
			if at < 0 || cells(line[:at]) != strings.Index(carets, "^") || strings.Count(carets, "^") != len(wrong) {
				t.Errorf("%d columns:\n%s\n%s", columns, line, carets)
			}
		}
	}
}

// Some characters take two cells, some join those before them, and an error is short whatever its line.
func TestCaretsBelowWideCharacters(t *testing.T) {
	t.Parallel()
	for line, at := range map[string]int{
		"a: WRONG":                             3,
		"# ✅ 🚀 WRONG":                          8,
		"# 日本 WRONG":                           7,
		"# e\u0301e\u0301 WRONG":               5,
		"# 👩\u200d👩\u200d👧 WRONG":              11, // something that prints is shown for a joiner, which does not
		"# e" + strings.Repeat("\u0301", 9999): -1,
	} {
		column := len([]rune(line))
		if at >= 0 {
			column -= 4
		}
		var b strings.Builder
		e := &spec.Error{File: "a.yaml", Line: 1, Column: column, Length: 5, Problem: "wrong", Source: []string{line}}
		if err := spec.Render(&b, "text", []*spec.Error{e}); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(b.String(), "\n")
		if before := len("  1 | "); at >= 0 && lines[2] != strings.Repeat(" ", before-2)+"| "+strings.Repeat(" ", at)+"^^^^^" {
			t.Errorf("want %d cells before the caret:\n%s", at, b.String())
		}
		if b.Len() > 1000 {
			t.Errorf("an error has %d bytes", b.Len())
		}
	}
}

// A program is not a job file with hundreds of errors.
func TestWhatIsNoText(t *testing.T) {
	t.Parallel()
	program := "\x7fELF\x02\x01\x01" + strings.Repeat("\x00\x03\x00>\n\xff\x01 a: b\n", 200)
	for text, want := range map[string]string{
		program:               "a.yaml: the file is not text\n",
		"name: x\nrun: a\x00": "a.yaml:2:7: a NUL byte has no place in the file\n",
	} {
		_, err := spec.Load("a.yaml", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error()+"\n", want) || strings.Count(err.Error(), "a.yaml") != 1 {
			t.Errorf("%.20q: %v, want %s", text, err, want)
		}
	}
}
