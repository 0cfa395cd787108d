package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestHelpFitsATerminal(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	for _, cmd := range commands() {
		path := strings.Fields(cmd.CommandPath())[1:]
		out, _ := c.want(0, append(path, "--help")...)
		if by, _ := c.want(0, append([]string{"help"}, path...)...); by != out {
			t.Errorf("help %s says something else", cmd.CommandPath())
		}
		for line := range strings.Lines(out) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > pageWidth {
				t.Errorf("%s: %d wide: %s", cmd.CommandPath(), n, line)
			}
		}
		if !strings.Contains(out, "130  Ctrl-C\n") {
			t.Errorf("%s: there are no exit codes", cmd.CommandPath())
		}
	}
	out, _ := c.want(0, "--help")
	for _, cmd := range shownBelow(commands()[0]) {
		if !strings.Contains(out, "\n  "+cmd.Name()+" ") {
			t.Errorf("%s is not in the help of the program", cmd.Name())
		}
	}
	if _, stderr := c.want(exitUsage, "help", "histor"); stderr != "error: there is no command \"histor\"\nhint: did you mean history?\n" {
		t.Error(stderr)
	}
}

// Whoever wants to use a command sees how: each has an example, whose flags there are.
func TestEveryCommandHasAnExample(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	for _, cmd := range commands() {
		if !cmd.HasParent() || cmd.HasSubCommands() || !cmd.Runnable() || cmd.Name() == "version" {
			continue
		}
		if !cmd.HasExample() {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Example) {
			_, call, found := strings.Cut(line, cmd.CommandPath())
			if !found {
				t.Errorf("%s: %s", cmd.CommandPath(), line)
				continue
			}
			args := strings.Fields(strings.TrimPrefix(cmd.CommandPath(), "dayfly "))
			for _, word := range strings.Fields(call) {
				if strings.ContainsAny(word, "|<>#)") || word == "--" {
					break
				}
				args = append(args, strings.Trim(word, "'"))
			}
			if code, _, said := c.run(append(args, "--help")...); code != 0 {
				t.Errorf("%s: %s", line, said)
			}
		}
	}
}
