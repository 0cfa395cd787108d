package main

import (
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dayfly-io/dayfly/internal/machine/local"
	"github.com/dayfly-io/dayfly/internal/spec"
)

// A command that takes the name of something offers names: what stands in capitals in its use is such a word.
func TestCommandsOfferNames(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	file := jobFileOf(t, "hello", "schedule: '@daily'\nrun: echo hello\n")
	c.want(0, "apply", file)
	c.want(0, "run", "hello")
	c.want(0, "run", "--detach", jobFileOf(t, "long", "run: sleep 600\ntimeout: 11m\n"))
	defer c.want(0, "cancel", "long")
	for _, cmd := range commands() {
		if !regexp.MustCompile(`JOB|RUN|FILE|DIR|FIELD|bash`).MatchString(cmd.Use) {
			continue
		}
		path := strings.Fields(cmd.CommandPath())[1:]
		if path[0] == "resume" {
			c.want(0, "pause", "hello")
		}
		out, _ := c.want(0, append(append([]string{"__complete"}, path...), "")...)
		if out == ":4\n" || out == ":36\n" {
			t.Errorf("%s offers nothing", cmd.CommandPath())
		}
	}
}

// What the reference says that a job finds is what it finds.
func TestVariablesOfAJob(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	out, _ := c.want(0, "run", jobFileOf(t, "env", "run: env\n"))
	var found, said []string
	for line := range strings.Lines(out) {
		if name, _, _ := strings.Cut(line, "="); strings.HasPrefix(name, "DAYFLY_") && name != local.TokenVariable {
			found = append(found, name)
		}
	}
	for _, v := range spec.Variables() {
		if strings.HasPrefix(v.Name, "DAYFLY_") {
			said = append(said, v.Name)
		} else if !strings.Contains("\n"+out, "\n"+v.Name+"=") {
			t.Errorf("there is no %s", v.Name)
		}
	}
	slices.Sort(found)
	slices.Sort(said)
	if !slices.Equal(found, said) {
		t.Errorf("a job finds %v, and the reference has %v", found, said)
	}
}

// What a flag takes is offered where there are few such words; flags for which nothing is, offer no files.
func TestFlagsOfferWords(t *testing.T) {
	t.Parallel()
	for _, cmd := range commands() {
		cmd.Root().SetOut(io.Discard)
		for _, name := range []string{"output", "job", "tz", "outcome", "format", "data", "to"} {
			if f := cmd.LocalNonPersistentFlags().Lookup(name); f == nil || f.Value.Type() == "bool" {
				continue
			}
			complete, ok := cmd.GetFlagCompletionFunc(name)
			if !ok {
				t.Errorf("%s --%s", cmd.CommandPath(), name)
				continue
			}
			cmd.SetContext(t.Context())
			if words, directive := complete(cmd, nil, ""); len(words) == 0 && directive&^36 == 0 && name != "job" {
				t.Errorf("%s --%s offers nothing", cmd.CommandPath(), name)
			}
		}
	}
}
