package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/dayfly-io/dayfly/internal/spec"
)

// manPages writes the pages and gives them by their names.
func manPages(t *testing.T) (dir string, pages map[string]string) {
	t.Helper()
	c := newCall(t)
	c.env = append(c.env, "SOURCE_DATE_EPOCH=1795000000")
	dir = filepath.Join(t.TempDir(), "man")
	c.want(0, "man", dir)
	pages = map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		pages[e.Name()] = string(text)
		return err
	})
	if _, made := os.Stat(c.data); err != nil || !errors.Is(made, fs.ErrNotExist) {
		t.Fatal(err, made)
	}
	return dir, pages
}

func TestManPages(t *testing.T) {
	t.Parallel()
	_, pages := manPages(t)
	for _, cmd := range commands() {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		page, ok := pages[name]
		if cmd.IsAdditionalHelpTopicCommand() == ok {
			t.Errorf("%s: there is a page: %v", name, ok)
		}
		if !ok {
			continue
		}
		delete(pages, name)
		if !strings.HasPrefix(page, ".TH "+strings.ToUpper(roffText(strings.TrimSuffix(name, ".1")))+" 1 2026-11-18 dayfly ") {
			t.Errorf("%s begins %.80q", name, page)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(page, roffText("--"+f.Name)) {
				t.Errorf("%s does not have --%s", name, f.Name)
			}
		})
		for _, code := range exitMeanings {
			if !strings.Contains(page, ".TP\n\\fB"+strconv.Itoa(code.code)+"\\fR\n") {
				t.Errorf("%s does not have the exit code %d", name, code.code)
			}
		}
	}
	jobFile := pages["dayfly.5"]
	for _, k := range spec.Keys() {
		if !strings.Contains(jobFile, ".TP\n\\fB"+roffText(strings.ReplaceAll(k.Path, "*", "NAME"))+"\\fR\n") {
			t.Errorf("dayfly.5 does not have %s", k.Path)
		}
	}
	if len(pages) != 1 {
		t.Errorf("%d pages are about nothing", len(pages)-1)
	}
	if f, err := spec.Load("dayfly.5", []byte(jobFileExample)); err != nil || len(f.Warnings)+len(f.Unserved()) > 0 {
		t.Errorf("the example: %v", err)
	}
}

// TestManPagesAreRight asks a program that knows what a manual page is.
func TestManPagesAreRight(t *testing.T) {
	t.Parallel()
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("there is no mandoc (Debian: mandoc)")
	}
	dir, pages := manPages(t)
	for name := range pages {
		section := name[strings.LastIndexByte(name, '.')+1:]
		out, err := exec.Command(mandoc, "-T", "lint", "-W", "warning", filepath.Join(dir, "man"+section, name)).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestRoffText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{".dot": `\&.dot`, "'quote": `\&'quote`, `a\nb`: `a\enb`, "--all": `\-\-all`, "a.b": "a.b"} {
		if got := roffText(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
