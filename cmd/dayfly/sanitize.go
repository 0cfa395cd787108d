package main

import (
	"errors"
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

// logOutput is where a log goes: a terminal gets it without what could drive it, and with a mark before
// each line where messages stand beside it, unless it is asked for raw; everything else gets its bytes.
// What is given back with it is called when the log has ended.
func (a *app) logOutput(out io.Writer, raw bool) (io.Writer, func() error) {
	if !a.outTTY || raw {
		return out, func() error { return nil }
	}
	if !a.errTTY {
		t := term.NewWriter(out, term.Options{Colour: a.colour})
		return t, t.Flush
	}
	m := &margin{w: out, mark: a.marks().margin, width: func() int { return widthOf(a.out) }}
	t := term.NewWriter(m, term.Options{Colour: a.colour})
	return t, func() error { return errors.Join(t.Flush(), m.finish()) }
}
