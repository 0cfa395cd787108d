package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// groups are the commands as the help of the program lists them.
var groups = []struct {
	title    string
	commands []string
}{
	{"Write jobs", []string{"init", "validate", "explain", "next", "schema", "import"}},
	{"Make them known", []string{"plan", "apply", "serve", "pause", "resume", "rm", "backfill"}},
	{"Run them and look", []string{"run", "ps", "watch", "logs", "results", "cancel", "retry", "history"}},
	{"Machines and this place", []string{"machines", "sweep", "doctor", "uninstall"}},
}

// helpCommand is `dayfly help`, which cobra's own would end with 0 where there is no such thing.
func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND|TOPIC]", Short: "Says more of a command or a topic", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd.Root(), strings.Join(args, " "))
			}
			return about.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, given []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			about, _, err := cmd.Root().Find(given)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return described(shownBelow(about), func(c *cobra.Command) (string, string) { return c.Name(), c.Short }), cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// exitCodesTopic is a topic of help, and no command.
func exitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use: "exit-codes", Short: "What the exit codes mean",
		Long: "A command tells by its exit code how it ended; run, retry and cancel tell how the run ended.\n\n" + exitCodes() +
			"\nThey are a contract: a code is never given another meaning. run --exit-code=job passes on the job's own.",
	}
}

// helps makes help of a width that fits every terminal.
func (a *app) helps(root *cobra.Command) {
	root.SetHelpCommand(a.helpCommand())
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { _, _ = io.WriteString(a.page(), helpOf(cmd)) })
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		_, err := io.WriteString(a.err, helpOf(cmd))
		return err
	})
}

// shownBelow are the commands and topics below a command that people see.
func shownBelow(cmd *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(cmd.Commands()), func(c *cobra.Command) bool { return c.Hidden })
}

// helpOf is the help of a command or topic.
func helpOf(cmd *cobra.Command) string {
	cmd.InitDefaultHelpFlag() // which only those have that were called
	var b strings.Builder
	b.WriteString(paragraphs(orShort(cmd)))
	if cmd.IsAdditionalHelpTopicCommand() {
		return b.String()
	}
	use := strings.TrimSuffix(cmd.UseLine(), " [flags]")
	if cmd.HasParent() && cmd.LocalNonPersistentFlags().HasAvailableFlags() {
		use += " [flags]"
	} else if !cmd.HasParent() {
		use += " COMMAND"
	}
	b.WriteString("\nUsage:\n" + folded(use, "  ", "      "))
	if cmd.HasExample() {
		b.WriteString("\nExamples:\n" + strings.TrimRight(cmd.Example, "\n") + "\n")
	}
	b.WriteString(belowText(cmd))
	if f := cmd.LocalNonPersistentFlags(); f.HasAvailableFlags() && cmd.HasParent() {
		b.WriteString("\nFlags:\n" + f.FlagUsagesWrapped(pageWidth))
	}
	b.WriteString("\nFlags of every command:\n" + cmd.Root().PersistentFlags().FlagUsagesWrapped(pageWidth))
	b.WriteString("\nExit codes:\n" + exitCodes())
	if !cmd.HasParent() {
		b.WriteString("\ndayfly COMMAND --help says more of each.\n")
	}
	return b.String()
}

func orShort(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return cmd.Short + "."
}

// belowText lists what stands below a command, in groups where it is the program.
func belowText(cmd *cobra.Command) string {
	all := shownBelow(cmd)
	if len(all) == 0 {
		return ""
	}
	width := 0
	for _, c := range all {
		width = max(width, len(c.Name()))
	}
	var b strings.Builder
	write := func(title string, list []*cobra.Command) {
		if len(list) == 0 {
			return
		}
		b.WriteString("\n" + title + ":\n")
		for _, c := range list {
			b.WriteString(folded(c.Short, fmt.Sprintf("  %-*s  ", width, c.Name()), strings.Repeat(" ", width+4)))
		}
	}
	title := "Commands"
	if !cmd.HasParent() {
		title = "More"
		for _, g := range groups {
			var list []*cobra.Command
			for _, name := range g.commands {
				if i := slices.IndexFunc(all, func(c *cobra.Command) bool { return c.Name() == name }); i >= 0 {
					list, all = append(list, all[i]), slices.Delete(all, i, i+1)
				}
			}
			write(g.title, list)
		}
	}
	topic := func(c *cobra.Command) bool { return c.IsAdditionalHelpTopicCommand() }
	write(title, slices.DeleteFunc(slices.Clone(all), topic))
	write("Topics (dayfly help TOPIC)", slices.DeleteFunc(all, func(c *cobra.Command) bool { return !topic(c) }))
	return b.String()
}

// paragraphs folds text, paragraph by paragraph; one that is indented stays as it is.
func paragraphs(text string) string {
	var out []string
	for p := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		if strings.HasPrefix(p, "  ") || utf8.RuneCountInString(p) <= pageWidth && !strings.Contains(p, "\n") {
			out = append(out, strings.TrimRight(p, "\n")+"\n")
			continue
		}
		out = append(out, folded(p, "", ""))
	}
	return strings.Join(out, "\n")
}
