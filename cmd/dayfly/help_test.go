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
