package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/spec"
)

// choice is the value of a flag that takes one of a few words. Another is refused while the command line is
// read, before anything is opened; completion offers the same words.
type choice struct {
	words    []string
	value    *string
	optional bool                // nothing may be chosen, which is said by an empty text
	reads    func(string) string // makes a word of how people write it; nil: they write it so
}

var errNoChoice = errors.New("none of its words")

// Set implements pflag.Value.
func (c choice) Set(text string) error {
	if c.reads != nil && text != "" {
		text = c.reads(text)
	}
	if !slices.Contains(c.words, text) && (text != "" || !c.optional) {
		return errNoChoice
	}
	*c.value = text
	return nil
}

// String implements pflag.Value.
func (c choice) String() string { return *c.value }

// Type implements pflag.Value.
func (choice) Type() string { return "string" }

// refusal is the error of a word that a flag does not take.
func (c choice) refusal(cmd *cobra.Command, f *pflag.Flag, text string) *dayfly.Error {
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand
	}
	e := usage(cmd, "%s takes %s, not %q", name, strings.Join(c.words, ", "), text)
	if near := spec.Nearest(text, c.words); near != "" {
		e.Hint = "did you mean " + near + "?"
	}
	return e
}

// add adds the flag to a command. What the value is by then is what it is without the flag.
func (c choice) add(cmd *cobra.Command, name, short, about string) {
	c.optional = *c.value == ""
	cmd.Flags().VarP(c, name, short, about)
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(c.words, cobra.ShellCompDirectiveNoFileComp)) // it is new
}
