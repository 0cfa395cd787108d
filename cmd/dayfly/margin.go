package main

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dayfly-io/dayfly/internal/term"
)

// margin puts a mark before every line of a log, on a terminal where dayfly's own lines stand too: what a
// job prints cannot pass for one of them. A line that is wider than the terminal is broken, since the
// rest of it would begin where dayfly's lines do. What is written to it is clean, and in whole characters.
type margin struct {
	w      io.Writer
	mark   string
	width  func() int
	column int    // 0: the next character begins a line
	colour string // what was set since the last reset
	out    strings.Builder
}

const (
	noColour   = "\x1b[0m"
	tabStop    = 8
	mostColour = 256 // bytes of colours that are set again on the next line
)

// Write implements io.Writer.
func (m *margin) Write(p []byte) (int, error) {
	m.out.Reset()
	width := m.width()
	for rest := string(p); rest != ""; {
		if sgr := colourAt(rest); sgr != "" {
			m.paint(sgr)
			rest = rest[len(sgr):]
			continue
		}
		_, n := utf8.DecodeRuneInString(rest)
		m.put(rest[:n], width)
		rest = rest[n:]
	}
	_, err := io.WriteString(m.w, m.out.String())
	return len(p), err
}

// colourAt is the colour sequence that a text begins with.
func colourAt(s string) string {
	if !strings.HasPrefix(s, "\x1b[") {
		return ""
	}
	end := strings.IndexByte(s, 'm')
	return s[:end+1]
}

// paint passes on a colour, at once or when the next line has begun.
func (m *margin) paint(sgr string) {
	switch m.colour += sgr; {
	case sgr == noColour || sgr == "\x1b[m":
		m.colour = ""
	case len(m.colour) > mostColour:
		m.colour = sgr
	}
	if m.column > 0 {
		m.out.WriteString(sgr)
	}
}

// put shows one character.
func (m *margin) put(c string, width int) {
	if c == "\n" {
		if m.column == 0 {
			m.begin()
		}
		m.end()
		return
	}
	wide := cells(c)
	if c == "\t" {
		wide = tabStop - m.column%tabStop
	}
	if m.column > 0 && m.column+wide > width {
		m.end()
		if c == "\t" {
			wide = 0 // as a terminal has it: no further than the edge
		}
	}
	if m.column == 0 {
		m.begin()
	}
	if c == "\t" {
		c = strings.Repeat(" ", wide)
	}
	m.out.WriteString(c)
	m.column += wide
}

// cells is how many columns a character takes at most: terminals do not agree on all of them.
func cells(c string) int {
	switch r, _ := utf8.DecodeRuneInString(c); {
	case r == 0xfe0f: // makes a wide sign of a narrow one
		return 1
	case r >= 0x1f1e6 && r <= 0x1f1ff: // half of a flag
		return 2
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	}
	return max(1, term.Width(c))
}

// finish ends a line that was begun, before anything else is written to the terminal.
func (m *margin) finish() error {
	if m.column == 0 {
		return nil
	}
	m.out.Reset()
	m.end()
	_, err := io.WriteString(m.w, m.out.String())
	return err
}

func (m *margin) begin() {
	m.out.WriteString(m.mark + m.colour)
	m.column = term.Width(m.mark)
}

func (m *margin) end() {
	if m.colour != "" {
		m.out.WriteString(noColour)
	}
	m.out.WriteByte('\n')
	m.column = 0
}
