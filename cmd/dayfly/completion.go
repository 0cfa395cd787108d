package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/spec"
	"github.com/dayfly-io/dayfly/internal/store"
)

// shells are those for which there is a completion script.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func (a *app) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "completion bash|zsh|fish|powershell", Short: "Prints a script that teaches a shell to complete dayfly's words",
		Long: `Prints a script that teaches a shell to complete commands, flags, and names as they are at that moment:
jobs, runs with their outcome, backfills, shards, fields, time zones. For this shell only, or for good:

  bash         source <(dayfly completion bash)
               dayfly completion bash > /etc/bash_completion.d/dayfly
  zsh          source <(dayfly completion zsh)
               dayfly completion zsh > "${fpath[1]}/_dayfly"
  fish         dayfly completion fish | source
               dayfly completion fish > ~/.config/fish/completions/dayfly.fish
  powershell   dayfly completion powershell | Out-String | Invoke-Expression

bash needs the package bash-completion.`,
		Example: "  source <(dayfly completion bash)",
		Args:    exactly(1, "a shell: "+strings.Join(shells, ", ")),
		RunE: func(cmd *cobra.Command, args []string) error {
			write := map[string]func(io.Writer) error{
				"bash":       func(w io.Writer) error { return cmd.Root().GenBashCompletionV2(w, true) },
				"zsh":        cmd.Root().GenZshCompletion,
				"fish":       func(w io.Writer) error { return cmd.Root().GenFishCompletion(w, true) },
				"powershell": cmd.Root().GenPowerShellCompletionWithDesc,
			}[args[0]]
			if write == nil {
				return usage(cmd, "%s takes %s, not %q", cmd.CommandPath(), strings.Join(shells, ", "), args[0])
			}
			return write(a.out)
		},
	}
}

// words are what may stand at a place of the command line.
type words func(ctx context.Context, l *looked, at place) []string

// place is where in the command line something is completed.
type place struct {
	cmd   *cobra.Command
	given []string // the arguments before it
	typed string
}

// is tells whether a flag that switches something on was given.
func (p place) is(flag string) bool {
	on, err := p.cmd.Flags().GetBool(flag)
	return err == nil && on
}

// completes says for each command and flag what may stand there. A name is looked up in the records, without
// making or changing any; whatever goes wrong leaves no names, and no word on it.
func (a *app) completes(root *cobra.Command) {
	one := func(w words) cobra.CompletionFunc { return a.complete(w, 1) }
	some := func(w words) cobra.CompletionFunc { return a.complete(w, 0) }
	fixed := func(list []string) cobra.CompletionFunc {
		return cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp)
	}
	folders := cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
	jobFiles := cobra.FixedCompletions([]string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt)
	zones := some(func(context.Context, *looked, place) []string { return schedule.Zones() })
	active := func(r dayfly.Run) bool { return r.State != dayfly.Ended }
	args := map[string]cobra.CompletionFunc{
		"apply": jobFiles, "plan": jobFiles, "validate": jobFiles, "init": jobFiles,
		"run": one(jobsAndFiles), "next": one(jobsAndFiles),
		"rm": some(jobs(nil)), "pause": some(jobs(func(rec store.Job) bool { return rec.Scheduled })),
		"resume": some(jobs(func(rec store.Job) bool { return rec.Held.Why != "" })),
		"logs":   one(runs(a.now, nil)), "results": one(runs(a.now, nil)),
		"backfill": one(backfillable(a.now)),
		"cancel": one(func(ctx context.Context, l *looked, at place) []string {
			return append(runs(a.now, active)(ctx, l, at), fills(a.now, true)(ctx, l, at)...)
		}),
		"watch": some(runs(a.now, nil)),
		"retry": one(runs(a.now, func(r dayfly.Run) bool { return r.State == dayfly.Ended })),
		"explain": one(func(_ context.Context, _ *looked, at place) []string {
			keys := spec.Keys()
			if at.is("settings") {
				keys = spec.SettingsKeys()
			}
			return described(keys, func(k spec.Key) (string, string) { return strings.ReplaceAll(k.Path, "[]", ""), k.Doc })
		}),
		"doctor":     fixed(checkNames()),
		"completion": fixed(shells), "crontab": nil, // nil: any file
	}
	flags := map[string]cobra.CompletionFunc{
		"job": some(jobs(nil)), "tz": zones, "timezone": zones, "data": folders, "serve --jobs": folders, "results --to": folders, "out": folders,
		"history --backfill": some(fills(a.now, false)), "shard": some(shards), "attempt": some(attempts(a.now)),
	}
	teach(root, args, flags)
}

// teach gives a command and those below it their completions: a flag that of its command, or else that of all
// flags of its name. What has none is told to offer no files.
func teach(cmd *cobra.Command, args, flags map[string]cobra.CompletionFunc) {
	for _, below := range cmd.Commands() {
		teach(below, args, flags)
	}
	if f, known := args[cmd.Name()]; known {
		cmd.ValidArgsFunction = f
	} else if !cmd.HasSubCommands() {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if _, known := cmd.GetFlagCompletionFunc(f.Name); known || f.Value.Type() == "bool" {
			return
		}
		complete := flags[cmd.Name()+" --"+f.Name]
		if complete == nil {
			complete = flags[f.Name]
		}
		if complete == nil {
			complete = cobra.NoFileCompletions
		}
		_ = cmd.RegisterFlagCompletionFunc(f.Name, complete) // it has none yet, which is all that can be wrong
	})
}

// shellWaits bounds how long a shell waits for names.
const shellWaits = time.Second

// complete makes a completion of words; at most so many of them stand in the command line (0: any number).
func (a *app) complete(w words, most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		const done = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		if most > 0 && len(given) >= most {
			return nil, done
		}
		ctx, stop := context.WithTimeout(cmd.Context(), shellWaits)
		defer stop()
		l, err := a.look(ctx)
		if err != nil {
			l = &looked{}
		}
		defer l.close()
		all := slices.DeleteFunc(w(ctx, l, place{cmd, given, typed}), func(word string) bool {
			name, _, _ := strings.Cut(word, "\t")
			return !strings.HasPrefix(name, typed) || slices.Contains(given, name)
		})
		return all, done
	}
}

// described makes words of things, each with a word on what it is.
func described[T any](list []T, f func(T) (name, doc string)) []string {
	out := make([]string, len(list))
	for i, v := range list {
		name, doc := f(v)
		out[i] = cobra.CompletionWithDesc(name, strings.ReplaceAll(clean(doc), "\n", " "))
	}
	return out
}

// manyJobs are too many for anybody to read what each is for.
const manyJobs = 100

// jobs are the names of jobs, with what they are for.
func jobs(meant func(store.Job) bool) words {
	return func(ctx context.Context, l *looked, at place) []string {
		recs, _, err := l.jobs(ctx)
		if err != nil {
			return nil
		}
		recs = slices.DeleteFunc(recs, func(rec store.Job) bool {
			return !strings.HasPrefix(string(rec.Name), at.typed) || meant != nil && !meant(rec)
		})
		return described(recs, func(rec store.Job) (string, string) {
			if len(recs) > manyJobs {
				return string(rec.Name), ""
			}
			job, err := l.store.Version(ctx, rec.Version)
			if err != nil {
				return string(rec.Name), ""
			}
			doc, _, _ := strings.Cut(job.Description, "\n")
			if set, err := reconcile.Slots(job); err == nil && doc == "" {
				doc = set.Describe()
			}
			return string(rec.Name), doc
		})
	}
}

// jobsAndFiles are the names of jobs, and the job files that begin as what was typed.
func jobsAndFiles(ctx context.Context, l *looked, at place) []string {
	var all []string
	if !strings.ContainsRune(at.typed, filepath.Separator) {
		all = jobs(nil)(ctx, l, at)
	}
	files, _ := filepath.Glob(at.typed + "*.y*ml")
	for _, f := range files {
		if isJobFile(f) {
			all = append(all, f)
		}
	}
	return all
}

// fewRuns and allRuns bound how many runs are looked at.
const fewRuns, allRuns = 20, 200

// runs are the ids of runs, the newest first, with how they stand, and behind them the jobs.
func runs(now func() time.Time, meant func(dayfly.Run) bool) words {
	return func(ctx context.Context, l *looked, at place) []string {
		if l.store == nil {
			return nil
		}
		list := latestRuns(ctx, l, store.Filter{Limit: allRuns}, at.typed, meant)
		recs, _, _ := l.jobs(ctx)
		if len(list) == 0 && at.typed != "" {
			for _, rec := range recs {
				if strings.HasPrefix(at.typed, string(rec.Name)+"-") {
					list = append(list, latestRuns(ctx, l, store.Filter{Job: rec.Name, Limit: allRuns}, at.typed, meant)...)
				}
			}
		}
		ids := described(list, func(r dayfly.Run) (string, string) {
			state := cmp.Or(string(r.Outcome), string(r.State))
			return string(r.ID), fmt.Sprintf("%s, %s", spoken(state), when(r.Slot, now()))
		})
		if meant != nil { // then only jobs that have such a run
			recs = slices.DeleteFunc(recs, func(rec store.Job) bool {
				return len(latestRuns(ctx, l, store.Filter{Job: rec.Name, Limit: fewRuns}, "", meant)) == 0
			})
		}
		return append(ids, described(recs, func(rec store.Job) (string, string) { return string(rec.Name), "the latest run of this job" })...)
	}
}

// latestRuns are the newest runs that begin as what was typed.
func latestRuns(ctx context.Context, l *looked, f store.Filter, typed string, meant func(dayfly.Run) bool) []dayfly.Run {
	var list []dayfly.Run
	for r, err := range store.Sound(l.store.History(ctx, f), nil) {
		if err != nil || len(list) == fewRuns {
			break
		}
		if strings.HasPrefix(string(r.ID), typed) && (meant == nil || meant(r)) {
			list = append(list, r)
		}
	}
	return list
}
