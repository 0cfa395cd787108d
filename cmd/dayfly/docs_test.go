package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dayfly-io/dayfly/internal/spec"
)

var update = flag.Bool("update", false, "write docs/cli.md anew")

// commands are all that people see.
func commands() []*cobra.Command {
	root := newApp(nil, nil, io.Discard, io.Discard).root()
	var all []*cobra.Command
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		all = append(all, c)
		for _, below := range c.Commands() {
			if !below.Hidden && below.Name() != "help" {
				walk(below)
			}
		}
	}
	walk(root)
	return all
}

func TestDocsAreThoseOfTheProgram(t *testing.T) {
	t.Parallel()
	const path = "../../docs/cli.md"
	var b strings.Builder
	b.WriteString("# The command line\n\nThis page is written by the program: `go test ./cmd/dayfly -run TestDocs -update`.\n")
	for _, c := range commands() {
		if c.IsAdditionalHelpTopicCommand() {
			fmt.Fprintf(&b, "\n## dayfly help %s\n\n%s\n", c.Name(), c.Long)
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n```\n%s\n```\n", c.CommandPath(), c.Long+map[bool]string{true: c.Short}[c.Long == ""], c.UseLine())
		if c.Example != "" {
			fmt.Fprintf(&b, "\nFor example:\n\n```\n%s\n```\n", c.Example)
		}
		if c.HasParent() && c.HasLocalFlags() {
			b.WriteString("\n```\n" + c.LocalNonPersistentFlags().FlagUsages() + "```\n")
		}
		if !c.HasParent() {
			b.WriteString("\nFlags of every command:\n\n```\n" + c.PersistentFlags().FlagUsages() + "```\n\nExit codes:\n\n```\n" + exitCodes() + "```\n")
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(have), b.String()); d != "" {
		t.Errorf("docs/cli.md is not what the program says; -update writes it anew\n%s", d)
	}
}

func TestIssueNamesTheCommands(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range newApp(nil, nil, io.Discard, io.Discard).root().Commands() {
		names = append(names, c.Name())
	}
	for _, want := range strings.Fields("validate explain next plan apply rm run ps logs results cancel retry history machines sweep serve agent schema version") {
		if !slices.Contains(names, want) {
			t.Errorf("there is no %s", want)
		}
	}
}

// elsewhere are flags that are tested in Go, where the clock can be set.
var elsewhere = map[string]string{
	"dayfly serve --moved":     "moved_linux_test.go",
	"dayfly sweep --dry-run":   "clock_linux_test.go",
	"dayfly sweep --deadlines": "clock_linux_test.go",
	"dayfly sweep --every":     "clock_linux_test.go",
}

// TestEveryFlagHasATest looks for each flag in a line of a script that calls its command.
func TestEveryFlagHasATest(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	var text strings.Builder
	for _, s := range scripts {
		b, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
	}
	for _, c := range commands() {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" {
				return
			}
			name := c.CommandPath() + " --" + f.Name
			if file, ok := elsewhere[name]; ok {
				if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), `"--`+f.Name) {
					t.Errorf("%s is not in %s: %v", name, file, err)
				}
				return
			}
			if !calls(c, f).MatchString(text.String()) {
				t.Errorf("no script calls %s", name)
			}
		})
	}
}

// calls is a line of a script that calls a command with a flag.
func calls(c *cobra.Command, f *pflag.Flag) *regexp.Regexp {
	form := `--` + f.Name
	if f.Shorthand != "" {
		form = `(--` + f.Name + `|-` + f.Shorthand + `)`
	}
	return regexp.MustCompile(`(?m)^(! )?(exec|code \d+|tty|start \w+) ` + c.CommandPath() + ` (.* )?` + form + `\b`)
}

func TestJobOfTheReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n```yaml\n")
	job, _, found := strings.Cut(rest, "```\n")
	if !found {
		t.Fatal("the README shows no job file")
	}
	if f, err := spec.Load("README.md", []byte(job)); err != nil || len(f.Warnings)+len(f.Unserved()) > 0 {
		t.Errorf("the README's job: %v", err)
	}
}
