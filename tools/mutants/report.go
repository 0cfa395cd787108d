package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
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

// renewTable writes the verdicts into the markdown file between the two marks. Lines of mutants that were not
// tested now stay, as long as there is a patch of that name: all are the names of all patches.
func renewTable(path string, results []result, all []string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("renew the table of mutants: %w", err)
	}
	before, rest, begun := strings.Cut(string(text), tableBegin)
	old, after, ended := strings.Cut(rest, tableEnd)
	if !begun || !ended {
		return fmt.Errorf("renew the table of mutants: %s has no lines %q and %q", path, tableBegin, tableEnd)
	}
	updated := before + tableBegin + "\n" + table(results, old, all) + tableEnd + after
	if err := os.WriteFile(path, []byte(updated), 0o644); err != nil {
		return fmt.Errorf("renew the table of mutants: %w", err)
	}
	return nil
}

// row is one line of the table.
type row struct{ promise, name, text string }

// table leaves out how long it took, so that it changes only with its meaning.
func table(results []result, old string, all []string) string {
	var rows []row
	for _, r := range results {
		text := fmt.Sprintf("| %s | %s | %s | `%s` |\n", r.promise, r.name, cell(r.why), cell(r.by))
		rows = append(rows, row{r.promise, r.name, text})
	}
	for line := range strings.Lines(old) {
		cells := strings.SplitN(line, " | ", 3)
		if len(cells) < 3 || !slices.Contains(all, cells[1]) || slices.ContainsFunc(rows, func(r row) bool { return r.name == cells[1] }) {
			continue
		}
		rows = append(rows, row{strings.TrimPrefix(cells[0], "| "), cells[1], line})
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(comparePromises(a.promise, b.promise), cmp.Compare(a.name, b.name))
	})
	var b strings.Builder
	if len(rows) < len(all) {
		fmt.Fprintf(&b, "%d of %d mutants, every one of them caught.\n\n", len(rows), len(all))
	} else {
		fmt.Fprintf(&b, "%d mutants, every one of them caught.\n\n", len(rows))
	}
	b.WriteString("| promise | mutant | what it breaks | caught by |\n|---|---|---|---|\n")
	for _, r := range rows {
		b.WriteString(r.text)
	}
	return b.String()
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
