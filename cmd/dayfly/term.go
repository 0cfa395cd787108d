package main

import (
	"io"
	"strings"

	"github.com/dayfly-io/dayfly"
)

// marks are the symbols that are shown to people: plain ones where the locale may not have others.
func (a *app) marks() marks {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToUpper(a.getenv(name)); v != "" {
			if strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8") {
				return marks{done: "✓", doing: "…", arrow: "→", margin: "│ "}
			}
			break
		}
	}
	return marks{done: "*", doing: "-", arrow: "->", margin: "| "}
}

// outcome is the word of an outcome, in colour on a terminal.
func (a *app) outcome(o dayfly.Outcome) string {
	word := spoken(string(o))
	if !a.errTTY || !a.colour {
		return word
	}
	colour := "31" // red
	switch o {
	case dayfly.Succeeded:
		colour = "32"
	case dayfly.Canceled, dayfly.Missed, dayfly.Skipped:
		colour = "33"
	}
	return "\x1b[" + colour + "m" + word + "\x1b[0m"
}

// pipe is an output whose error ends the command: nobody reads it any more.
type pipe struct{ w io.Writer }

// brokenOutput is an error in writing, which waiting does not mend.
type brokenOutput struct{ err error }

func (e *brokenOutput) Error() string { return "write the log: " + e.err.Error() }
func (e *brokenOutput) Unwrap() error { return e.err }

// Write implements io.Writer.
func (p *pipe) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	if err != nil {
		err = &brokenOutput{err}
	}
	return n, err
}
