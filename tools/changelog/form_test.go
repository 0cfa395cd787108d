// Package changelog checks the form of the notes in changelog/unreleased, from
// which a release makes its own. The form is described in the README there.
package changelog

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

var first = regexp.MustCompile(`^(added|changed|fixed|removed|security): \S.*[^.\s]$`)

// form returns what is wrong with a note.
func form(text string) error {
	line, rest, _ := strings.Cut(text, "\n")
	switch {
	case !first.MatchString(line):
		return errors.New("the first line is not one of added, changed, fixed, removed, security, a colon and what, without a full stop")
	case utf8.RuneCountInString(line) > 80:
		return errors.New("the first line has more than 80 characters")
	case !strings.HasPrefix(rest, "\n") || strings.TrimSpace(rest) == "":
		return errors.New("no paragraph follows after a blank line")
	}
	return nil
}

func TestNotes(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../../changelog/unreleased/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if filepath.Base(path) == "README.md" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(path) != ".md" {
			t.Errorf("%s: a note is a .md file", path)
		} else if err := form(string(text)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestForm(t *testing.T) {
	t.Parallel()
	if err := form("added: a command\n\nIt does this.\n"); err != nil {
		t.Errorf("a good note: %v", err)
	}
	for name, text := range map[string]string{
		"empty":          "",
		"another word":   "feat: a command\n\nIt does this.\n",
		"a full stop":    "added: a command.\n\nIt does this.\n",
		"too long":       "added: " + strings.Repeat("a ", 40) + "b\n\nIt does this.\n",
		"no paragraph":   "added: a command\n",
		"no blank line":  "added: a command\nIt does this.\n",
		"blank and none": "added: a command\n\n \n",
	} {
		if form(text) == nil {
			t.Errorf("%s: nothing is said to be wrong", name)
		}
	}
}
