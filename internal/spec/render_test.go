package spec_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

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
