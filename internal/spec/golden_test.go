package spec_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dayfly-io/dayfly/internal/spec"
)

var update = flag.Bool("update", false, "write what comes out as what is expected")

// Each archive in testdata/errors holds job files and, behind each, what a person is shown for it.
func TestErrorsAsShown(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil || len(names) < 10 {
		t.Fatalf("archives: %v, %v", names, err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			comment, members := split(string(text))
			out := comment
			for i, m := range members {
				if !strings.HasSuffix(m.name, ".yaml") {
					continue
				}
				got := shown(t, m)
				out += m.String() + got.String()
				want := "(nothing is expected here; run the test with -update)"
				if i+1 < len(members) && members[i+1].name == got.name {
					want = members[i+1].text
				}
				if diff := cmp.Diff(want, got.text); diff != "" && !*update {
					t.Errorf("%s: -want +got\n%s", m.name, diff)
				}
			}
			if *update {
				if err := os.WriteFile(name, []byte(out), 0o666); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// member is one file of an archive in the form of txtar.
type member struct{ name, text string }

func (m member) String() string { return "-- " + m.name + " --\n" + m.text }

func split(archive string) (comment string, members []member) {
	for line := range strings.Lines(archive) {
		name, ok := strings.CutPrefix(strings.TrimSuffix(line, " --\n"), "-- ")
		switch {
		case ok && strings.HasSuffix(line, " --\n"):
			members = append(members, member{name: name})
		case len(members) == 0:
			comment += line
		default:
			members[len(members)-1].text += line
		}
	}
	return comment, members
}

// shown is what a person is shown for a job file.
func shown(t *testing.T, m member) member {
	t.Helper()
	out := member{name: strings.TrimSuffix(m.name, ".yaml") + ".txt"}
	_, err := spec.Load(m.name, []byte(m.text))
	if err == nil {
		t.Errorf("%s: accepted", m.name)
		return out
	}
	list := err.(*spec.Errors).List
	for _, e := range list {
		if e.Suggestion == "" {
			t.Errorf("%s: there is no hint for: %s", m.name, e.Problem)
		}
	}
	var b strings.Builder
	if err := spec.Render(&b, "text", list); err != nil {
		t.Fatal(err)
	}
	out.text = b.String()
	return out
}
