package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dayfly-io/dayfly"
)

// app is one call of the program: what it was given, and what its commands share.
type app struct {
	env    []string
	in     io.Reader
	out    io.Writer // data
	err    io.Writer // messages
	outTTY bool
	errTTY bool
	colour bool
	now    func() time.Time
	hostID func() string // tells hosts apart

	data string // --data
	what string // the command, such as "dayfly run"
	home *home  // the data directory, once a command has asked for it
}

func newApp(env []string, stdin io.Reader, stdout, stderr io.Writer) *app {
	a := &app{env: env, in: stdin, out: stdout, err: fold(stderr), now: time.Now, hostID: hostID}
	a.outTTY, a.errTTY = isTerminal(stdout), isTerminal(stderr)
	a.colour = a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
	return a
}

func isTerminal(w io.Writer) bool { return widthOf(w) > 0 }

// page is stdout for text that people read.
func (a *app) page() io.Writer { return fold(a.out) }

// getenv is the value of a variable of the environment the program was given; the last one holds.
func (a *app) getenv(name string) string {
	v, _ := a.lookup(name)
	return v
}

func (a *app) lookup(name string) (value string, ok bool) {
	for _, kv := range a.env {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			value, ok = v, true
		}
	}
	return value, ok
}

// say writes a message for people.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.err, format+"\n", args...)
}

// warn writes a warning.
func (a *app) warn(format string, args ...any) {
	fmt.Fprintln(a.err, clean(fmt.Sprintf("warning: "+format, args...)))
}

// bearable writes an error that does not end the command as a warning, and what helps against it.
func (a *app) bearable(what string, err error) {
	err = a.explained(err)
	a.warn("%s%s", what, err)
	if h := hint(err); h != "" {
		a.say("hint: %s", clean(h))
	}
}

// logger is for what a command did not cause and a person should know all the same.
func (a *app) logger() *slog.Logger { return slog.New(told{a: a}) }

// told is a handler that makes warnings for people out of records. An interrupt is no news to who made it.
type told struct {
	a     *app
	about []slog.Attr
}

// Enabled implements slog.Handler.
func (told) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle implements slog.Handler.
func (t told) Handle(_ context.Context, r slog.Record) error {
	about := slices.Clone(t.about)
	r.Attrs(func(at slog.Attr) bool {
		about = append(about, at)
		return true
	})
	text := r.Message
	for _, at := range about {
		if at.Key == "pass" || at.Key == "job" { // the run says whose it is
			continue
		}
		if err, ok := at.Value.Any().(error); ok && errors.Is(err, context.Canceled) {
			return nil
		}
		text += fmt.Sprintf(", %s %s", at.Key, at.Value)
	}
	if t.a.errTTY {
		fmt.Fprint(t.a.err, "\r\x1b[K") // what a checklist has written there is written again
	}
	t.a.warn("%s", text)
	return nil
}

// WithAttrs implements slog.Handler.
func (t told) WithAttrs(more []slog.Attr) slog.Handler {
	return told{t.a, append(slices.Clone(t.about), more...)}
}

// WithGroup implements slog.Handler; a line for people has no groups.
func (t told) WithGroup(string) slog.Handler { return t }

func (a *app) close() {
	if a.home != nil {
		a.home.close()
	}
}

const about = `dayfly runs jobs on a schedule, each run on a machine that is made for it and gone after it.

A job is a YAML file: what to run, when, and on what machine. "dayfly run FILE" runs it once,
"dayfly apply DIR" makes its schedule known, "dayfly serve" keeps to it.

Data goes to stdout, messages to stderr. On a terminal tables are made to fit its width, and -o wide
shows all of them. The data directory is --data DIR, or else DAYFLY_DATA,
or else $XDG_DATA_HOME/dayfly, or else ~/.local/share/dayfly; it is made when it is missing.`

// root is the whole command line.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "dayfly", Short: "Runs jobs on a schedule, each run on a machine of its own", Long: about,
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SuggestionsMinimumDistance = 2
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(wrongFlag)
	root.PersistentFlags().StringVar(&a.data, "data", "", "the data `DIR`ectory (default: DAYFLY_DATA, or else the XDG directory)")
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) { a.what = cmd.CommandPath() }
	root.AddCommand(
		a.initCommand(), a.validateCommand(), a.importCommand(), a.nextCommand(), a.planCommand(), a.applyCommand(), a.pauseCommand(), a.resumeCommand(), a.rmCommand(), a.backfillCommand(), a.runCommand(), a.psCommand(), a.watchCommand(),
		a.logsCommand(), a.resultsCommand(), a.cancelCommand(), a.retryCommand(), a.historyCommand(),
		a.machinesCommand(), a.sweepCommand(), a.doctorCommand(), a.uninstallCommand(), a.serveCommand(), a.agentCommand(), a.versionCommand(),
		a.explainCommand(), a.schemaCommand(), a.completionCommand(), a.manCommand(), exitCodesTopic(),
	)
	a.helps(root)
	a.completes(root)
	return root
}

// wrongFlag is an error of a flag, in words for those who do not know the parser.
func wrongFlag(cmd *cobra.Command, err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if v, ok := e.GetFlag().Value.(interface {
			refusal(*cobra.Command, *pflag.Flag, string) *dayfly.Error
		}); ok {
			return v.refusal(cmd, e.GetFlag(), e.GetValue())
		}
		takes := map[string]string{"int": "a whole number", "duration": "a duration such as 90s", "bool": "true or false"}
		if kind := takes[e.GetFlag().Value.Type()]; kind != "" {
			return usage(cmd, "--%s takes %s, not %q", e.GetFlag().Name, kind, e.GetValue())
		}
	}
	return usage(cmd, "%s", err)
}

func unknownCommand(cmd *cobra.Command, name string) error {
	err := usage(cmd, "there is no command %q", name)
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		err.Hint = fmt.Sprintf("did you mean %s?", strings.Join(near, " or "))
	}
	return err
}

// exactly, atLeast and none check how many arguments a command was given.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usage(cmd, "%s takes %s, not %d arguments", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}

func atLeastOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(cmd, "%s takes %s", cmd.CommandPath(), what)
		}
		return nil
	}
}

func none(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(cmd, "%s takes no arguments; %q is one", cmd.CommandPath(), args[0])
	}
	return nil
}
