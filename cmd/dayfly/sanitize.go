package main

import (
	"io"
	"strings"

	"github.com/dayfly-io/dayfly/internal/term"
)

// clean makes text of unknown origin harmless in a message, which may have several lines.
func clean(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = term.Text(l)
	}
	return strings.Join(lines, "\n")
}

// logOutput is where a log goes: a terminal gets it without what could drive it, unless it is asked for
// raw; everything else gets its bytes. What is given back with it is called when the log has ended.
func (a *app) logOutput(out io.Writer, raw bool) (io.Writer, func() error) {
	if !a.outTTY || raw {
		return out, func() error { return nil }
	}
	t := term.NewWriter(out, term.Options{Colour: a.colour})
	return t, t.Flush
}
