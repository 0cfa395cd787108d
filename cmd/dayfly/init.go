package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/spec"
)

// initFlags are the flags of init, an answer each.
type initFlags struct {
	name, run, schedule, timezone, timeout string
	force, noRun                           bool
}

func (a *app) initCommand() *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use: "init [FILE]", Short: "Makes a job file, by at most five questions, and runs it once",
		Long: `Asks what a job is called, what it runs, when, in which time zone, and how long it may take; writes that
as a job file with comments (NAME.yaml, unless FILE is named), and runs it once on a machine of this
host. Each question is a flag as well; where nobody can be asked, the flags answer. Files beside the job
file that the command names go with it.`,
		Example: "  dayfly init\n  dayfly init --name backup --run ./backup.sh --schedule '0 23 * * *' --no-run",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(cmd, "%s makes one job file, not %d", cmd.CommandPath(), len(args))
			}
			file := ""
			if len(args) == 1 {
				file = args[0]
			}
			return a.initJob(cmd, file, f)
		},
	}
	cmd.Flags().StringVar(&f.name, "name", "", "the `NAME` of the job (default: that of the directory)")
	cmd.Flags().StringVar(&f.run, "run", "", "the `COMMAND` that it runs: for /bin/sh, or a script that begins with #!")
	cmd.Flags().StringVar(&f.schedule, "schedule", "", "`WHEN` it runs: cron fields, @daily, @every 90m, rate(...), at(...) (default: only by hand)")
	cmd.Flags().StringVar(&f.timezone, "timezone", "", "the `ZONE` of the schedule (default: that of this host)")
	cmd.Flags().StringVar(&f.timeout, "timeout", "", "at most so `LONG`, such as 90m (default: 1h)")
	cmd.Flags().BoolVar(&f.force, "force", false, "replace a file that is there")
	cmd.Flags().BoolVar(&f.noRun, "no-run", false, "write the file, and do not run it")
	return cmd
}

// answers are what a job file is made of.
type answers struct {
	File, Name, Run, Schedule, Timezone, Timeout string
	Files                                        []string
}

func (a *app) initJob(cmd *cobra.Command, file string, f initFlags) error {
	p := a.prompter(cmd)
	if p.in != nil {
		a.say("Five questions make a job file. Enter takes what is in brackets.")
	}
	if file != "" {
		if err := mayWrite(file, f.force); err != nil {
			return err
		}
	}
	in, err := a.interview(p, file, f)
	if err != nil {
		return err
	}
	text := in.text()
	if loaded, err := spec.Load(in.File, []byte(text)); err != nil {
		return fmt.Errorf("make a job file of these answers: %w", err)
	} else if got := strings.TrimSuffix(loaded.Job.Run, "\n"); got != strings.TrimSuffix(in.Run, "\n") {
		return &dayfly.Error{
			Code: dayfly.CodeInvalid, Message: fmt.Sprintf("the command cannot be written into a job file as it is: it would become %q", got),
			Hint: "put it into a script, and run that: --run 'sh script.sh'",
		}
	}
	if err := writeWhole(in.File, []byte(text), 0o644); err != nil {
		return unwritable(fmt.Errorf("write %s: %w", in.File, err), "name another file: dayfly init DIR/"+in.Name+".yaml")
	}
	fmt.Fprintln(a.out, in.File)
	return a.begin(cmd, in, f.noRun)
}

// mayWrite is an error where a file is that must not be replaced.
func mayWrite(file string, force bool) error {
	info, err := os.Lstat(file)
	switch {
	case err != nil || force && info.Mode().IsRegular():
		return nil
	case info.IsDir():
		return &dayfly.Error{Code: dayfly.CodeConflict, Message: file + " is a directory", Hint: "name a file in it, such as " + filepath.Join(file, "backup.yaml")}
	}
	return &dayfly.Error{Code: dayfly.CodeConflict, Message: file + " is there already", Hint: "name another file, or replace it with --force"}
}

// begin says what there is now and what comes next, and runs the job once.
func (a *app) begin(cmd *cobra.Command, in answers, noRun bool) error {
	j := readWhole(in.File)
	if j.err != nil {
		return j.err
	}
	a.advise(j)
	set, err := reconcile.Slots(j.file.Job)
	if err != nil {
		return err
	}
	if at, comes := set.Next(a.now()); comes {
		a.say("It is due %s; next on %s, %s.", set.Describe(), at.Format(localForm), when(at, a.now()))
	}
	next := "dayfly run " + in.File + " runs it"
	if in.Schedule != "" {
		next = fmt.Sprintf("dayfly apply %s makes its schedule known, and dayfly serve keeps to it", in.File)
	}
	if noRun {
		a.say("Next: %s.", next)
		return nil
	}
	a.say("It runs once now, on a machine of its own; what it prints follows.")
	err = a.run(cmd, in.File, attachFlags{output: "text", exitCode: "outcome"}, wishFlags{})
	if e, ok := errors.AsType[*exit](err); ok && e.err == nil {
		a.say("Edit %s and try it again: dayfly run %s", in.File, in.File)
		return err
	}
	if err == nil {
		a.say("Next: %s.", next)
	}
	return err
}

// interview asks what the flags do not say.
func (a *app) interview(p *prompter, file string, f initFlags) (in answers, err error) {
	in.File = file
	in.Name, err = p.answer(question{flag: "name", ask: "Name of the job", preset: nameHere(file), check: func(name string) error {
		if !dayfly.JobName(name).Valid() {
			return &dayfly.Error{Code: dayfly.CodeInvalid, Message: fmt.Sprintf("%q cannot be the name of a job", name), Hint: "lower-case letters, digits and dashes, at most 48, such as nightly-backup"}
		}
		if file == "" {
			return mayWrite(name+".yaml", f.force)
		}
		return nil
	}})
	if err != nil {
		return in, err
	}
	if in.File == "" {
		in.File = in.Name + ".yaml"
	}
	in.Run, err = p.answer(question{flag: "run", ask: "What does it run", check: func(run string) error {
		if strings.TrimSpace(run) == "" {
			return &dayfly.Error{Code: dayfly.CodeInvalid, Message: "a job needs something to run", Hint: "for example: ./backup.sh"}
		}
		return nil
	}})
	if err != nil {
		return in, err
	}
	in.Files = named(in.Run, filepath.Dir(in.File))
	in.Schedule, err = p.answer(question{
		flag: "schedule", ask: "When (empty: only by hand)", without: true, check: checkSchedule,
		about: "When: cron fields (0 23 * * *: at 23:00 every day), @hourly, @daily, @every 90m, at(2026-12-24T18:00:00).",
	})
	if err != nil {
		return in, err
	}
	if in.Schedule != "" {
		zone, err := hostZone("/")
		if err != nil {
			zone = "UTC"
		}
		if in.Timezone, err = p.answer(question{flag: "timezone", ask: "In which time zone", preset: zone, check: checkZone}); err != nil {
			return in, err
		}
	}
	in.Timeout, err = p.answer(question{flag: "timeout", ask: "How long may it take at most", preset: "1h", check: func(text string) error {
		return checkKey("timeout: " + text)
	}})
	return in, err
}

// checkKey looks whether the loader takes a line of a job file.
func checkKey(line string) error {
	_, err := spec.Load("job.yaml", []byte("name: job\nrun: exit 0\n"+line+"\n"))
	in, _ := split(err)
	if err == nil || len(in) == 0 {
		return err
	}
	return &dayfly.Error{Code: dayfly.CodeInvalid, Message: in[0].Problem, Hint: in[0].Suggestion}
}

func checkSchedule(text string) error {
	if text == "" {
		return nil
	}
	if _, err := schedule.Parse(text, schedule.Options{Key: "job"}); err != nil {
		return refusedText(text, err)
	}
	return nil
}

func checkZone(name string) error {
	if _, err := schedule.LoadLocation(name); err != nil {
		return refusedText("", err)
	}
	return nil
}

// nameHere makes a name for a job of the file, or of the directory that one is in.
func nameHere(file string) string {
	base := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	if file == "" {
		here, err := os.Getwd()
		if err != nil {
			return ""
		}
		base = filepath.Base(here)
	}
	name := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(base), "-")
	name = strings.Trim(name[:min(len(name), 48)], "-")
	if !dayfly.JobName(name).Valid() {
		return "job"
	}
	return name
}

// named are the files beside the job file that a command names: they must go with the job.
func named(run, dir string) []string {
	var files []string
	for word := range strings.FieldsFuncSeq(run, func(r rune) bool { return strings.ContainsRune(" \t\n;&|<>()\"'`", r) }) {
		if filepath.IsAbs(word) || !filepath.IsLocal(word) || strings.ContainsAny(word, "$*?[\\") {
			continue
		}
		info, err := os.Lstat(filepath.Join(dir, word))
		name := "./" + filepath.ToSlash(filepath.Clean(word))
		if err == nil && info.Mode().IsRegular() && !slices.Contains(files, name) {
			files = append(files, name)
		}
	}
	return files
}

// jobTemplate is what a job file looks like. What is commented out is right as it stands.
const jobTemplate = `# A job for dayfly. "dayfly validate" says what is wrong with it, "dayfly explain" what else there is.
name: {{quote .Name}}
{{- if .Schedule}}

# When it runs; "dayfly next {{.Base}}" shows the next times.
schedule: {{quote .Schedule}}
timezone: {{quote .Timezone}}
{{- else}}

# It runs only by hand. With a schedule it runs by itself:
# schedule: "0 23 * * *"
# timezone: "Europe/Tallinn"
{{- end}}

# What it runs, for /bin/sh -eu; or a script that begins with #!. What it leaves in $DAYFLY_RESULTS is kept.
run: {{command .Run}}
{{- if .Files}}

# Files that go with it, below the directory of this one.
files: [{{list .Files}}]
{{- end}}

# After so long it gets TERM, and KILL after a grace of 10s.
timeout: {{quote .Timeout}}

# What is often wanted besides:
# retry: {attempts: 3, on: [lost, failed], backoff: 1m}
# catch_up: {policy: last, within: 24h}
# overlap: queue
# env: {TARGET: offsite}
# secrets: {PASSWORD: "file:/etc/dayfly/password"}
# keep: {results: 90d, logs: 30d}
`

// text is the job file.
func (in answers) text() string {
	t := template.Must(template.New("job").Funcs(template.FuncMap{
		"quote": quoted, "command": commandOf,
		"list": func(all []string) string {
			texts := make([]string, len(all))
			for i, s := range all {
				texts[i] = quoted(s)
			}
			return strings.Join(texts, ", ")
		},
	}).Parse(jobTemplate))
	var b strings.Builder
	data := struct {
		answers
		Base string
	}{in, filepath.Base(in.File)}
	if err := t.Execute(&b, data); err != nil {
		panic("dayfly: the template of a job file: " + err.Error()) // nothing of the answers can make it fail
	}
	return b.String()
}

// quoted is a text in YAML's double quotes, which are JSON's; a plain word stays as it is.
func quoted(text string) string {
	if plainWord.MatchString(text) && !slices.Contains([]string{"true", "false", "null"}, strings.ToLower(text)) {
		return text
	}
	b, err := json.Marshal(text)
	if err != nil {
		return `""` // text is always JSON
	}
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(b))
}

// plainWord is a text that YAML takes for text without quotes, and for nothing else.
var plainWord = regexp.MustCompile(`^(\./)?[A-Za-z][A-Za-z0-9_]*([/.-][A-Za-z0-9_]+)*$|^([0-9]+[smhd])+$`)

// commandOf is a command as a block of lines where it has several, else as a text.
func commandOf(run string) string {
	run = strings.TrimRight(run, "\n")
	odd := run != strings.TrimLeft(run, " \t\n") || strings.ContainsFunc(run, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' })
	if !strings.Contains(run, "\n") || odd {
		return quoted(run)
	}
	return "|\n  " + strings.ReplaceAll(run, "\n", "\n  ")
}
