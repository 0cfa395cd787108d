package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/crontab"
	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/spec"
)

func (a *app) importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import", Short: "Makes job files of what other schedulers keep",
		Long: "Makes job files of what other schedulers keep, and says what could not be carried over.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(a.importCrontabCommand())
	return cmd
}

// importFlags are the flags of import crontab.
type importFlags struct {
	user, out, zone       string
	system, dryRun, force bool
	systemSaid            bool
	output                string
}

func (a *app) importCrontabCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use: "crontab [FILE...|-]", Short: "Makes job files of the lines of a crontab",
		Long: `Makes a job file of each line of a crontab, one that means the same: schedule, time zone, environment, user,
working directory and standard input. What could not be carried over is said with the line, the reason and
what to do, and stands in the job file too. Nothing is applied, and the crontab stays as it is.

Without FILE it asks "crontab -l". Files below /etc/cron.d, and /etc/crontab, have a column with the user;
--system says so of others, --system=false that there is none. If a line is wrong nothing is written.`,
		Example: `  dayfly import crontab --out jobs                 # one's own
  dayfly import crontab /etc/crontab /etc/cron.d/*
  ssh host crontab -l | dayfly import crontab - --timezone Europe/Tallinn`,
	}
	var output *string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f.systemSaid, f.output = cmd.Flags().Changed("system"), *output
		return a.importCrontab(cmd, args, f)
	}
	output = outputFlag(cmd, "table", "json", "name")
	cmd.Flags().BoolVar(&f.system, "system", false, "the file has a column with the user (default: by its path)")
	cmd.Flags().StringVar(&f.user, "user", "", "whose crontab it is; of a system file, only the lines of this user `NAME`")
	cmd.Flags().StringVar(&f.out, "out", ".", "write the job files into this `DIR`ectory, which is made when it is missing")
	cmd.Flags().StringVar(&f.zone, "timezone", "", "the time zone of the host that the crontab is from, an IANA `ZONE` (default: this host's)")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "write nothing, only show what would be")
	cmd.Flags().BoolVar(&f.force, "force", false, "replace job files that differ")
	return cmd
}

func (a *app) importCrontab(cmd *cobra.Command, args []string, f importFlags) error {
	me, err := user.Current()
	if err != nil {
		return fmt.Errorf("find out who runs this: %w", err)
	}
	zone := f.zone
	if zone == "" {
		if zone, err = hostZone("/"); err != nil {
			return err
		}
	}
	o := crontab.Options{As: me.Username, Zone: zone, Home: homeOf, Now: a.now()}
	files, mode, err := a.crontabs(cmd.Context(), args, f, me.Username)
	if err != nil {
		return err
	}
	res, err := crontab.Import(o, files...)
	if e, ok := errors.AsType[*schedule.Error](err); ok {
		return &dayfly.Error{Code: dayfly.CodeInvalid, Message: "--timezone: " + e.Problem, Hint: e.Hint}
	}
	if err != nil {
		return &exit{exitUsage, err}
	}
	done, err := writeJobs(res.Jobs, f, mode)
	if err != nil {
		return err
	}
	return a.showImported(res, done, f)
}

// crontabs reads what the arguments name, and says who may read what is made of it: those who could read the
// crontab.
func (a *app) crontabs(ctx context.Context, args []string, f importFlags, me string) ([]crontab.File, fs.FileMode, error) {
	if len(args) == 0 {
		text, err := ownCrontab(ctx, f.user)
		return []crontab.File{{Name: "crontab", Data: text, System: f.system, User: cmp.Or(f.user, me)}}, 0o600, err
	}
	var files []crontab.File
	var errs []error
	mode := fs.FileMode(0o644)
	for _, path := range args {
		file := crontab.File{Name: path, System: f.system, User: f.user}
		var err error
		if path == "-" {
			file.Name, mode = "stdin", 0o600
			if file.Data, err = io.ReadAll(io.LimitReader(a.in, crontab.MaxSize+1)); err != nil {
				err = fmt.Errorf("read standard input: %w", err)
			}
		} else if file.Data, err = aCrontab.read(path, crontab.MaxSize+1); err == nil {
			if info, serr := os.Stat(path); serr == nil {
				mode &= info.Mode().Perm() | 0o600
			}
		}
		system, owner := crontabPlace(path)
		if !f.systemSaid {
			file.System = system
		}
		if !file.System {
			file.User = cmp.Or(file.User, owner, me)
		}
		files, errs = append(files, file), append(errs, err)
	}
	return files, mode, errors.Join(errs...)
}

// crontabPlace tells by the place of a file whether it is one of the system's, or else whose it is.
func crontabPlace(path string) (system bool, owner string) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return false, ""
	}
	switch dir := filepath.Dir(abs); {
	case abs == "/etc/crontab", dir == "/etc/cron.d":
		return true, ""
	case dir == "/var/spool/cron", dir == "/var/spool/cron/crontabs", dir == "/var/cron/tabs":
		return false, filepath.Base(abs)
	}
	return false, ""
}

// ownCrontab asks crontab -l.
func ownCrontab(ctx context.Context, name string) ([]byte, error) {
	args := []string{"-l"}
	if name != "" {
		args = append(args, "-u", name)
	}
	c := exec.CommandContext(ctx, "crontab", args...)
	var out, diag bytes.Buffer
	c.Stdout, c.Stderr = &out, &diag
	err := c.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, &dayfly.Error{Code: dayfly.CodeNotFound, Message: "there is no program crontab on this host", Hint: "name a file, or - for standard input: ssh host crontab -l | dayfly import crontab -", Err: err}
	case err != nil:
		said := cmp.Or(strings.TrimSpace(diag.String()), err.Error())
		return nil, &dayfly.Error{Code: dayfly.CodeNotFound, Message: "crontab -l: " + said, Hint: "name a file, such as /etc/crontab, or - for standard input", Err: err}
	}
	return out.Bytes(), nil
}

// homeOf is a user's home directory; "" where there is no such user.
func homeOf(name string) string {
	u, err := user.Lookup(name)
	if err != nil {
		return ""
	}
	return u.HomeDir
}

// hostZone is the name of the time zone of the host whose files lie below root.
func hostZone(root string) (string, error) {
	place := filepath.Join(root, "etc/localtime")
	if to, err := os.Readlink(place); err == nil {
		if _, name, ok := strings.Cut(to, "zoneinfo/"); ok {
			return strings.TrimPrefix(strings.TrimPrefix(name, "posix/"), "right/"), nil
		}
	} else if errors.Is(err, fs.ErrNotExist) {
		return "UTC", nil
	}
	if text, err := os.ReadFile(filepath.Join(root, "etc/timezone")); err == nil {
		if name := strings.TrimSpace(string(text)); name != "" {
			return name, nil
		}
	}
	return "", &dayfly.Error{Code: dayfly.CodeInvalid, Message: "the time zone of this host has no name: " + place + " is no link to one", Hint: "say it: --timezone Europe/Tallinn"}
}

// imported is one job file that was made, as JSON shows it.
type imported struct {
	Name     dayfly.JobName `json:"name"`
	Crontab  string         `json:"crontab"`
	Line     int            `json:"line"`
	User     string         `json:"user"`
	Schedule string         `json:"schedule"`
	Timezone string         `json:"timezone"`
	File     string         `json:"file"`
	Change   string         `json:"change"`
	Text     string         `json:"text"`
}

const outElsewhere = "name another directory with --out DIR"

// writeJobs writes the job files. Every obstacle is found before the first is written.
func writeJobs(jobs []crontab.Job, f importFlags, mode fs.FileMode) ([]imported, error) {
	var done []imported
	var errs []error
	for _, j := range jobs {
		path := filepath.Join(f.out, string(j.Name)+".yaml")
		change := "new"
		there, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, syscall.ENOTDIR):
			return nil, unwritable(fmt.Errorf("write job files: %w", err), outElsewhere)
		case err != nil:
			errs = append(errs, unreadable(path, err))
		case bytes.Equal(there, j.Text):
			change = "unchanged"
		case f.force:
			change = "replaced"
		default:
			errs = append(errs, &dayfly.Error{Code: dayfly.CodeConflict, Message: path + " is there already and differs", Hint: "name another directory with --out DIR, or replace such files with --force"})
		}
		done = append(done, imported{
			Name: j.Name, Crontab: j.File, Line: j.Line, User: j.User, Schedule: j.Schedule, Timezone: j.Timezone,
			File: path, Change: change, Text: string(j.Text),
		})
	}
	if err := errors.Join(errs...); err != nil || f.dryRun || len(jobs) == 0 {
		return done, err
	}
	if err := os.MkdirAll(f.out, 0o777); err != nil {
		return nil, unwritable(fmt.Errorf("write job files: %w", err), outElsewhere)
	}
	for _, d := range done {
		if d.Change != "unchanged" {
			if err := writeWhole(d.File, []byte(d.Text), mode); err != nil {
				return nil, unwritable(fmt.Errorf("write job file: %w", err), outElsewhere)
			}
		}
	}
	return done, nil
}

// writeWhole makes a file appear with all of its content.
func writeWhole(path string, text []byte, mode fs.FileMode) error {
	part, err := os.CreateTemp(filepath.Dir(path), ".dayfly-*")
	if err != nil {
		return err
	}
	_, err = part.Write(text)
	err = errors.Join(err, part.Chmod(mode), part.Close())
	if err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part.Name()))
	}
	return nil
}

// showImported shows what was made, and what could not be carried over.
func (a *app) showImported(res crontab.Result, done []imported, f importFlags) error {
	switch f.output {
	case "json":
		var notes bytes.Buffer
		if err := spec.Render(&notes, "json", res.Notes); err != nil {
			return err
		}
		return writeJSON(a.out, struct {
			Jobs  []imported      `json:"jobs"`
			Notes json.RawMessage `json:"notes"`
		}{append([]imported{}, done...), notes.Bytes()})
	case "name":
		for _, d := range done {
			if _, err := fmt.Fprintln(a.out, d.Name); err != nil {
				return err
			}
		}
	default:
		l := listing[imported]{columns: []column[imported]{
			{head: "LINE", cell: func(d imported) string { return fmt.Sprint(d.Line) }},
			{head: "JOB", fit: middle, cell: func(d imported) string { return string(d.Name) }},
			{head: "SCHEDULE", fit: prose, cell: func(d imported) string { return cmp.Or(d.Schedule, "-") }},
			{head: "FILE", fit: middle, cell: func(d imported) string { return d.File }},
			{head: "CHANGE", cell: func(d imported) string { return d.Change }},
		}, empty: "There is no entry that could be a job."}
		if err := l.show(a, "table", allOf(done)); err != nil {
			return err
		}
	}
	if err := spec.Render(a.err, "text", res.Notes); err != nil {
		return err
	}
	a.sayImported(res, done, f)
	return nil
}

// sayImported says what comes next.
func (a *app) sayImported(res crontab.Result, done []imported, f importFlags) {
	if len(done) == 0 {
		return
	}
	lost := 0
	for _, n := range res.Notes {
		if n.Rule == crontab.RuleLost {
			lost++
		}
	}
	files := plural(len(done), "job file")
	if f.dryRun {
		a.say("%s would be in %s, %s not carried over. Nothing was written.", files, f.out, plural(lost, "thing"))
		return
	}
	a.say("%s in %s, %s not carried over; each file says which.", files, f.out, plural(lost, "thing"))
	if slices.ContainsFunc(done, func(d imported) bool { return d.Schedule != "" }) {
		a.say("Next: dayfly apply %s, and take the lines out of the crontab, or both will run them.", f.out)
	}
}
