package spec_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dayfly-io/dayfly/internal/fuzztest"
	"github.com/dayfly-io/dayfly/internal/spec"
)

// FuzzLoad: any text is read or refused, soon and without a panic; a job that is read survives being
// stored; an error points into the file and holds nothing that a terminal would obey.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/errors/*.txtar"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			f.Fatal(pattern, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			if !strings.HasSuffix(name, ".txtar") {
				f.Add(text)
				continue
			}
			_, members := split(string(text))
			for _, m := range members {
				if strings.HasSuffix(m.name, ".yaml") {
					f.Add([]byte(m.text))
				}
			}
		}
	}
	for _, c := range badBytes {
		if len(c.text) < 4096 {
			f.Add([]byte(c.text))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var file *spec.File
		var err error
		fuzztest.Bounded(t, func() { file, err = spec.Load("job.yaml", text) })
		if err == nil {
			survives(t, file.Job)
			for _, e := range append(file.Warnings, file.Unserved()...) {
				points(t, e, text)
			}
			return
		}
		for _, e := range err.(*spec.Errors).List {
			points(t, e, text)
		}
	})
}

// points checks that an error lies inside its file and can be printed.
func points(t *testing.T, e *spec.Error, text []byte) {
	t.Helper()
	lines := strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n")
	whole := len(text) > spec.MaxSize || e.Problem == "the file is not text"
	if e.Line == 0 && !whole || e.Line < 0 || e.Line > len(lines) {
		t.Fatalf("line %d of %d: %s", e.Line, len(lines), e.Problem)
	}
	if e.Line > 0 {
		if width := utf8.RuneCountInString(lines[e.Line-1]); e.Column < 1 || e.Column > width+1 || e.Length < 1 || e.Column+e.Length > width+2 {
			t.Fatalf("column %d, length %d in a line of %d: %s", e.Column, e.Length, width, e.Problem)
		}
	}
	for _, r := range e.Error() {
		if r < 0x20 && r != '\n' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			t.Fatalf("the error holds %U: %q", r, e.Error())
		}
	}
}

// FuzzSettings: the same for the settings.
func FuzzSettings(f *testing.F) {
	f.Add([]byte("installation: x\nbucket: /b\nlimits: {machines: 3}\n"))
	f.Add([]byte("ec2: {}\nnotify: 5\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s spec.Settings
		var err error
		fuzztest.Bounded(t, func() { s, err = spec.LoadSettings("dayfly.yaml", text) })
		if err != nil {
			for _, e := range err.(*spec.Errors).List {
				points(t, e, text)
			}
			return
		}
		if again, err := spec.LoadSettings("dayfly.yaml", s.Marshal()); err != nil || again != s {
			t.Fatalf("%+v became %+v, %v", s, again, err)
		}
	})
}
