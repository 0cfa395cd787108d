package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/spec"
)

// wishFlags are what a person may say of runs that are asked for.
type wishFlags struct {
	params []string
	shard  string
}

func (f *wishFlags) add(a *app, cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.params, "param", nil, "give a parameter of the job a value, as `NAME=VALUE`; once for each")
	cmd.Flags().StringVar(&f.shard, "shard", "", "of an array only this shard: `N` counts from 0")
	_ = cmd.RegisterFlagCompletionFunc("param", a.completeParams) // an error says that there is no such flag
	_ = cmd.RegisterFlagCompletionFunc("shard", a.completeShards)
}

// wish reads the flags as what the job allows. What is wrong with the values is said all at once.
func (f wishFlags) wish(cmd *cobra.Command, job dayfly.Job) (reconcile.Wish, error) {
	params, err := paramsOf(cmd, job, f.params)
	w := reconcile.Wish{Params: params}
	if cmd.Flags().Changed("shard") {
		shard, wrong := shardOf(job, f.shard)
		w.Shards, err = []dayfly.Shard{shard}, errors.Join(err, wrong)
	}
	return w, err
}

// paramsOf reads NAME=VALUE texts, and checks them against the job's parameters.
func paramsOf(cmd *cobra.Command, job dayfly.Job, texts []string) (map[string]string, error) {
	given := map[string]string{}
	var errs []error
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		p, known := job.Params[name]
		_, twice := given[name]
		switch {
		case !ok:
			e := usage(cmd, "--param takes NAME=VALUE, not %q", text)
			if known {
				e.Hint = paramTakes(name, p)
			}
			errs = append(errs, e)
			continue
		case !known:
			errs = append(errs, noParam(job, name))
			continue
		case twice:
			errs = append(errs, usage(cmd, "--param %s is given twice", name))
			continue
		}
		given[name] = value
		if _, err := p.Value(value); err != nil {
			errs = append(errs, &dayfly.Error{Code: dayfly.CodeInvalid, Message: "--param " + name + ": " + err.Error(), Hint: cmp.Or(dayfly.ErrorHint(err), paramTakes(name, p))})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(job.Params)) {
		if _, ok := given[name]; !ok && job.Params[name].Needed() && !slices.ContainsFunc(texts, func(t string) bool { return t == name }) {
			errs = append(errs, &dayfly.Error{
				Code: dayfly.CodeInvalid, Message: fmt.Sprintf("job %s needs a value for its parameter %s", job.Name, describeParam(name, job.Params[name])),
				Hint: "--param " + name + "=VALUE gives it",
			})
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &exit{exitUsage, err}
	}
	return given, nil
}

// noParam is the error of a parameter that the job does not have.
func noParam(job dayfly.Job, name string) error {
	e := &dayfly.Error{Code: dayfly.CodeInvalid, Message: fmt.Sprintf("job %s has no parameter %q", job.Name, name)}
	known := slices.Sorted(maps.Keys(job.Params))
	near := spec.Nearest(name, known)
	for _, k := range known {
		if strings.EqualFold(strings.ReplaceAll(name, "_", "-"), strings.ReplaceAll(k, "_", "-")) {
			near = k
		}
	}
	switch {
	case near != "":
		e.Hint = fmt.Sprintf("did you mean %s?", near)
	case len(known) == 0:
		e.Hint = "it has none; params: in its file declares them"
	default:
		e.Hint = "it has " + strings.Join(known, ", ")
	}
	return e
}

// paramTakes says what a parameter may be given.
func paramTakes(name string, p dayfly.Param) string {
	return fmt.Sprintf("--param %s=VALUE, with %s", name, strings.TrimPrefix(describeParam(name, p), name+", "))
}

// describeParam is a parameter in a line: mode, one of fast, thorough: how hard to try.
func describeParam(name string, p dayfly.Param) string {
	text := name + ", " + p.Wants()
	if choices := p.Choices(); len(choices) > 0 {
		text = name + ", one of " + strings.Join(choices, ", ")
	}
	switch {
	case p.Min != "" && p.Max != "":
		text += fmt.Sprintf(" from %s to %s", p.Min, p.Max)
	case p.Min != "":
		text += fmt.Sprintf(", at least %s", p.Min)
	case p.Max != "":
		text += fmt.Sprintf(", at most %s", p.Max)
	}
	if p.Description != "" {
		text += ": " + p.Description
	}
	return text
}

// completeParams completes the names of parameters, and the values of those that have few.
func (a *app) completeParams(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	job := a.jobLooked(cmd.Context(), args[0])
	name, _, valued := strings.Cut(begun, "=")
	if valued {
		choices := job.Params[name].Choices()
		if job.Params[name].Type == dayfly.ParamBool {
			choices = []string{"true", "false"}
		}
		for i := range choices {
			choices[i] = name + "=" + choices[i]
		}
		return choices, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(job.Params)) {
		out = append(out, cobra.CompletionWithDesc(name+"=", clean(strings.TrimPrefix(describeParam(name, job.Params[name]), name+", "))))
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeShards completes the shards of an array.
func (a *app) completeShards(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var out []string
	if len(args) > 0 {
		if job := a.jobLooked(cmd.Context(), args[0]); job.Array != nil {
			for _, shard := range job.Shards() {
				out = append(out, string(shard))
			}
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// jobLooked gives the job that a FILE or JOB argument names, and an empty one where that is not to be had. It
// makes and says nothing.
func (a *app) jobLooked(ctx context.Context, name string) (job dayfly.Job) {
	if namesFile(name) {
		if j := readJob(name, nil); j.err == nil {
			return j.file.Job
		}
		return job
	}
	ctx, stop := context.WithTimeout(ctx, shellWaits)
	defer stop()
	l, err := a.look(ctx)
	if err != nil {
		return job
	}
	defer l.close()
	if l.store == nil {
		return job
	}
	rec, err := l.store.Job(ctx, dayfly.JobName(name))
	if err == nil {
		job, err = l.store.Version(ctx, rec.Version)
	}
	if err != nil {
		return dayfly.Job{}
	}
	return job
}

// shardOf finds the shard of a job that --shard names.
func shardOf(job dayfly.Job, name string) (dayfly.Shard, error) {
	shards := job.Shards()
	if slices.Contains(shards, dayfly.Shard(name)) && name != "" {
		return dayfly.Shard(name), nil
	}
	e := &dayfly.Error{Code: dayfly.CodeInvalid, Message: fmt.Sprintf("job %s has no shard %q", job.Name, name)}
	if job.Array == nil {
		e.Message = fmt.Sprintf("job %s is no array, so it has no shards", job.Name)
		e.Hint = "leave --shard out; array: in its file makes several runs of it"
	} else {
		e.Hint = fmt.Sprintf("they are %s to %s", shards[0], shards[len(shards)-1])
	}
	return "", e
}
