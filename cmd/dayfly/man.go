package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/spf13/pflag"

	"github.com/dayfly-io/dayfly/internal/spec"
)

// manCommand is for those who package dayfly, so people do not see it.
func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Writes the manual pages", Hidden: true, Args: exactly(1, "a directory"),
		Example: "  dayfly man share/man && man -M share/man dayfly-run",
		Long: `Writes the manual pages below a directory, for man -M DIR: one for each command in man1, and dayfly.5, the
job file, in man5. Their date is that of SOURCE_DATE_EPOCH, or else of the commit that this dayfly was
built from, or else today.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			date, err := a.manDate()
			if err != nil {
				return err
			}
			pages := []manPage{{"dayfly", 5, jobFilePage(date)}}
			for _, c := range manCommands(cmd.Root()) {
				pages = append(pages, manPage{strings.ReplaceAll(c.CommandPath(), " ", "-"), 1, commandPage(c, date)})
			}
			for _, p := range pages {
				if err := p.write(args[0]); err != nil {
					return err
				}
			}
			a.say("Wrote %d pages: man -M %s dayfly", len(pages), args[0])
			return nil
		},
	}
}

// manPage is one page.
type manPage struct {
	name    string
	section int
	text    string
}

func (p manPage) write(dir string) error {
	path := filepath.Join(dir, fmt.Sprintf("man%d", p.section), fmt.Sprintf("%s.%d", p.name, p.section))
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(p.text), 0o644)
	}
	if err != nil {
		return unwritable(fmt.Errorf("write the manual page %s: %w", p.name, err), "name another directory: dayfly man DIR")
	}
	return nil
}

// manDate is the date that the pages carry.
func (a *app) manDate() (string, error) {
	if text := a.getenv("SOURCE_DATE_EPOCH"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return "", &dayfly.Error{Code: dayfly.CodeInvalid, Message: "read SOURCE_DATE_EPOCH: " + err.Error(), Hint: "it is a number of seconds since 1970, or not set", Err: err}
		}
		return time.Unix(n, 0).UTC().Format(time.DateOnly), nil
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				date, _, _ := strings.Cut(s.Value, "T")
				return date, nil
			}
		}
	}
	return a.now().UTC().Format(time.DateOnly), nil
}

// manCommands are the commands that have a page.
func manCommands(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, c := range shownBelow(cmd) {
		if !c.IsAdditionalHelpTopicCommand() && c.Name() != "help" {
			all = append(all, manCommands(c)...)
		}
	}
	return all
}

// commandPage is the page of a command.
func commandPage(cmd *cobra.Command, date string) string {
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	r := newRoff(name, 1, date)
	r.section("NAME")
	r.line(`%s \- %s`, roffText(name), roffText(cmd.Short))
	r.section("SYNOPSIS")
	use := strings.TrimSuffix(strings.TrimPrefix(cmd.UseLine(), cmd.CommandPath()), " [flags]")
	r.line(`\fB%s\fR%s`, roffText(cmd.CommandPath()), roffText(cmp.Or(use+optionsWord(cmd), " COMMAND")))
	r.section("DESCRIPTION")
	r.paragraphs(orShort(cmd))
	if below := manCommands(cmd)[1:]; len(below) > 0 {
		r.section("COMMANDS")
		for _, c := range below {
			r.item(strings.TrimPrefix(c.CommandPath(), "dayfly "), "", c.Short+".")
		}
	}
	if f := cmd.LocalNonPersistentFlags(); f.HasAvailableFlags() && cmd.HasParent() {
		r.section("OPTIONS")
		r.flags(f)
	}
	r.section("OPTIONS OF EVERY COMMAND")
	r.flags(cmd.Root().PersistentFlags())
	if cmd.HasExample() {
		r.section("EXAMPLES")
		r.example(cmd.Example)
	}
	r.section("EXIT STATUS")
	for _, c := range exitMeanings {
		r.item(strconv.Itoa(c.code), "", c.when+".")
	}
	if !cmd.HasParent() {
		r.surroundings()
	}
	r.section("SEE ALSO")
	also := `.BR dayfly (5)`
	if cmd.HasParent() {
		also = ".BR dayfly (1),\n" + also
	}
	r.line("%s", also)
	return r.b.String()
}

func optionsWord(cmd *cobra.Command) string {
	if cmd.HasParent() && cmd.LocalNonPersistentFlags().HasAvailableFlags() {
		return " [OPTIONS]"
	}
	return ""
}

// flags writes what flags do.
func (r *roff) flags(set *pflag.FlagSet) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		argument, text := pflag.UnquoteUsage(f)
		term := "--" + f.Name
		if f.Shorthand != "" {
			term = "-" + f.Shorthand + ", " + term
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "0s" {
			text += " (default: " + f.DefValue + ")"
		}
		r.item(term, argument, text+".")
	})
}

// surroundings writes which variables and files dayfly knows.
func (r *roff) surroundings() {
	r.section("ENVIRONMENT")
	r.item("DAYFLY_DATA", "", "The data directory, where --data does not name one.")
	r.item("XDG_DATA_HOME", "", "Where the data directory lies (dayfly in it), where neither does; else it is ~/.local/share/dayfly.")
	r.item("NO_COLOR", "", "Set to anything: no colours.")
	r.section("FILES")
	r.item("DATA/dayfly.yaml", "", "The settings; dayfly explain --settings lists them.")
	r.item("DATA/dayfly.db", "", "The records of jobs and runs.")
	r.item("DATA/bucket", "", "Files, logs and results.")
	r.item("DATA/machines", "", "The machines that there are.")
}

// jobFilePage is dayfly(5), made from the table of keys.
func jobFilePage(date string) string {
	r := newRoff("dayfly", 5, date)
	r.section("NAME")
	r.line(`dayfly \- the job file`)
	r.section("DESCRIPTION")
	r.paragraphs(jobFileIntro)
	r.section("EXAMPLE")
	r.example(jobFileExample)
	r.section("KEYS")
	r.text("What stands in a list is shown with [], what stands below a name of one's own with NAME.")
	for _, k := range spec.Keys() {
		r.key(k)
	}
	r.section("ENVIRONMENT OF A JOB")
	for _, v := range spec.Variables() {
		r.item(v.Name, "", v.Doc+".")
	}
	r.section("SEE ALSO")
	r.line(".BR dayfly (1),\n.BR dayfly\\-explain (1),\n.BR dayfly\\-validate (1),\n.BR dayfly\\-schema (1)")
	return r.b.String()
}

// key writes all that is known of a key.
func (r *roff) key(k spec.Key) {
	text := k.Doc
	if k.More != "" {
		text += " " + k.More
	}
	r.item(strings.ReplaceAll(k.Path, "*", "NAME"), "", text)
	r.line(".RS")
	say := func(head, text string) {
		if text != "" {
			r.line(".PP")
			r.text(head + ": " + text + ".")
		}
	}
	say("Takes", k.Form.String())
	for _, c := range k.Form.Choices() {
		r.item(c.Word, "", cmp.Or(c.Doc, "as the word says")+".")
	}
	say("Allowed", k.Form.Limits())
	if k.Required {
		say("Required", "there is no default")
	} else {
		say("Default", k.Absent())
	}
	if k.On != "" {
		say("Only for machines on", k.On)
	}
	say("Refused at apply", k.Missing)
	r.example("  " + k.Example)
	r.line(".RE")
}

const jobFileIntro = `A job file is YAML: what to run, when, and on what machine. Only name and run are required. One file is one
job; a directory of such files is applied as a whole.

Numbers are plain decimal digits, lengths of time whole numbers of d, h, m and s (90m, 1h30m, 2d), sizes a whole
number and a unit (4GiB, 500MB). Text that looks like a number or like true needs quotes. Anchors, aliases, tags and
second documents are refused, and so are keys that are not known.`

const jobFileExample = `name: backup
schedule: "0 23 * * *"
timezone: Europe/Tallinn
run: ./backup.sh > "$DAYFLY_RESULTS/backup.sql"
files: [./backup.sh]
timeout: 90m`
