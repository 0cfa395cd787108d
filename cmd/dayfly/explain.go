package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly/internal/spec"
)

func (a *app) explainCommand() *cobra.Command {
	var settings bool
	cmd := &cobra.Command{
		Use: "explain [FIELD]", Short: "Says what a key of the job file means",
		Long: `Says of a key of the job file what it takes, what holds without it, and what it does, with an example.
Without a FIELD it lists them all. What stands in a list is named without it: schedule.at.`,
		Example: "  dayfly explain machine.memory\n  dayfly explain schedule.at",
		Args:    cobra.ArbitraryArgs,
	}
	var output *string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		keys := spec.Keys()
		if settings {
			keys = spec.SettingsKeys()
		}
		switch {
		case len(args) > 1:
			return usage(cmd, "%s takes one field, not %d", cmd.CommandPath(), len(args))
		case len(args) == 0:
			return a.explainAll(keys, *output)
		}
		k, err := spec.Find(keys, args[0])
		if err != nil {
			return err
		}
		if *output == "json" {
			return writeJSON(a.out, explained(k, keys))
		}
		_, err = io.WriteString(a.page(), explanation(k, keys))
		return err
	}
	output = outputFlag(cmd, "text", "json")
	cmd.Flags().BoolVar(&settings, "settings", false, "of the settings, DATA/dayfly.yaml, instead")
	return cmd
}

// explainAll lists all keys as a tree.
func (a *app) explainAll(keys []spec.Key, output string) error {
	if output == "json" {
		all := make([]field, len(keys))
		for i, k := range keys {
			all[i] = explained(k, keys)
		}
		return writeJSON(a.out, all)
	}
	_, err := io.WriteString(a.page(), keyTree(keys, "")+"\n* required   - not served by this build   dayfly explain FIELD says more\n")
	return err
}

// field is a key for programs: a contract, in which fields are only added.
type field struct {
	Field    string        `json:"field"`
	Type     string        `json:"type"`
	Allowed  string        `json:"allowed,omitempty"`
	Choices  []spec.Choice `json:"choices,omitempty"`
	Required bool          `json:"required"`
	Default  string        `json:"default,omitempty"`   // as it would be written
	Without  string        `json:"otherwise,omitempty"` // in words, where it cannot be written
	Doc      string        `json:"doc"`
	More     string        `json:"more,omitempty"`
	Example  string        `json:"example,omitempty"`
	Machines string        `json:"machines"` // a provider, or all
	Served   bool          `json:"served"`
	Missing  string        `json:"missing,omitempty"`
	Since    string        `json:"since"`
	Fields   []string      `json:"fields,omitempty"` // below it
}

func explained(k spec.Key, keys []spec.Key) field {
	f := field{
		Field: k.Path, Type: k.Form.String(), Allowed: k.Form.Limits(), Choices: k.Form.Choices(), Required: k.Required, Default: k.Default,
		Without: k.Otherwise, Doc: k.Doc, More: k.More, Example: k.Example, Machines: machinesOf(k), Served: k.Missing == "", Missing: k.Missing, Since: k.Since,
	}
	for _, below := range spec.Below(keys, k.Path) {
		f.Fields = append(f.Fields, below.Path)
	}
	return f
}

func machinesOf(k spec.Key) string { return cmp.Or(k.On, "all") }

// explanation is all that is known of a key, for people.
func explanation(k spec.Key, keys []spec.Key) string {
	var b strings.Builder
	b.WriteString(folded(k.Path+": "+k.Doc, "", "  "))
	if k.More != "" {
		b.WriteString("\n" + folded(k.More, "", ""))
	}
	b.WriteString("\n")
	row := func(head, text string) {
		if text != "" {
			b.WriteString(folded(text, fmt.Sprintf("  %-10s", head), strings.Repeat(" ", 12)))
		}
	}
	row("type", k.Form.String())
	width, head := 0, "allowed"
	for _, c := range k.Form.Choices() {
		width = max(width, len(c.Word))
	}
	for _, c := range k.Form.Choices() {
		lead := fmt.Sprintf("  %-10s%-*s", head, width+2, c.Word)
		b.WriteString(folded(c.Doc, lead, strings.Repeat(" ", len(lead))))
		head = ""
	}
	row(head, k.Form.Limits())
	row("default", k.Absent())
	row("machines", machinesOf(k))
	if k.Missing != "" {
		row("served", "no: "+k.Missing)
	}
	row("since", k.Since)
	row("example", k.Example)
	if below := spec.Below(keys, k.Path); len(below) > 0 {
		b.WriteString("\n" + keyTree(below, k.Path))
	}
	return b.String()
}

// keyTree lists keys with one line each, indented as in a file. They stand below a key, or at the top.
func keyTree(keys []spec.Key, below string) string {
	top := strings.Count(below, ".")
	if below != "" {
		top++
	}
	var b strings.Builder
	for _, k := range keys {
		name := strings.Repeat("  ", strings.Count(k.Path, ".")-top) + strings.ReplaceAll(k.Name(), "*", "NAME")
		mark := " "
		switch {
		case k.Missing != "":
			mark = "-"
		case k.Required:
			mark = "*"
		}
		fmt.Fprintf(&b, "%s %-13s %s\n", mark, name, k.Doc)
	}
	return b.String()
}

// pageWidth is how wide text for people is made.
const pageWidth = 80

// folded breaks text into lines of pageWidth: the first begins with one text, the others with another.
func folded(text, first, others string) string { return foldedTo(pageWidth, text, first, others) }

func foldedTo(width int, text, first, others string) string {
	var b strings.Builder
	line := first
	empty := true
	for _, word := range strings.Fields(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line, empty = others, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	return b.String()
}
