package main

import (
	"fmt"
	"os"
	"strings"
)

// last returns the end of what a command wrote, and its error.
func last(out string, err error) string {
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	if len(lines) > 30 {
		lines = append([]string{"…"}, lines[len(lines)-30:]...)
	}
	if err != nil {
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "\n")
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}

const (
	tableBegin = "<!-- mutants: made by `make mutants WRITE=1` -->"
	tableEnd   = "<!-- mutants: end -->"
)

// renewTable writes the verdicts into the markdown file between the two marks.
func renewTable(path string, results []result) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("renew the table of mutants: %w", err)
	}
	before, rest, begun := strings.Cut(string(text), tableBegin)
	_, after, ended := strings.Cut(rest, tableEnd)
	if !begun || !ended {
		return fmt.Errorf("renew the table of mutants: %s has no lines %q and %q", path, tableBegin, tableEnd)
	}
	updated := before + tableBegin + "\n" + table(results) + tableEnd + after
	if err := os.WriteFile(path, []byte(updated), 0o644); err != nil {
		return fmt.Errorf("renew the table of mutants: %w", err)
	}
	return nil
}

// table leaves out how long it took, so that it changes only with its meaning.
func table(results []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d mutants, every one of them caught.\n\n", len(results))
	b.WriteString("| promise | mutant | what it breaks | caught by |\n|---|---|---|---|\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %s | `%s` |\n", r.promise, r.name, cell(r.why), cell(r.by))
	}
	return b.String()
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
