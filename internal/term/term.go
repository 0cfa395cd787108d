// Package term shows text of unknown origin on a terminal without letting it drive the terminal: what
// a job printed, names of files, reasons.
//
// What it gives holds no control byte but line break and tab. Escape sequences, carriage returns,
// backspaces and the rest are shown as what they are (\x1b[2J, \r, \x08), so that nothing moves the
// cursor, rewrites what stands there, changes titles, clipboard or keys, or makes the terminal answer.
// Characters that turn the direction of text or are not seen (U+202E, U+200B, tags, fillers) are shown
// by number, bytes that are no UTF-8 as \xNN, and of marks that pile up over one letter only the first
// few are let through. A carriage return before a line break is left out: it ends a line elsewhere.
// On request colours (SGR) are let through, and nothing else of the escape sequences.
//
// The same text gives the same output however it was split. A Writer does not make a line shorter;
// Width, Cut, Wrap and Break do what is needed for that with text that is clean already. It writes to
// what it is given and does no other I/O.
package term

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	escape   = 0x1b
	maxSGR   = 64 // bytes of a colour sequence; a longer one is shown
	maxMarks = 8  // combining marks on one letter
	reset    = "\x1b[0m"
)

// Options say what is let through.
type Options struct {
	Colour bool // SGR: colours, bold, underline; what hides or blinks is left out
}

// Writer shows what is written to it. It is for one goroutine at a time.
type Writer struct {
	w        io.Writer
	colour   bool
	held     []byte // the beginning of what is not whole yet: a character, a colour, a line end
	marks    int    // combining marks since the last letter
	coloured bool   // a colour is set that was not reset
	out      []byte
}

// NewWriter gives a Writer that shows text on w.
func NewWriter(w io.Writer, o Options) *Writer { return &Writer{w: w, colour: o.Colour} }

// Write takes all of p; up to 64 bytes of it wait for what follows.
func (t *Writer) Write(p []byte) (int, error) {
	in := append(t.held, p...)
	t.out = t.out[:0]
	n := t.show(in, false)
	t.held = append(t.held[:0], in[n:]...)
	return len(p), t.pass()
}

// Flush shows what waits, as what it is, and resets colours. Call it at the end, and before anything
// else is written to the same terminal.
func (t *Writer) Flush() error {
	t.out = t.out[:0]
	t.show(t.held, true)
	t.held = t.held[:0]
	t.marks = 0
	if t.coloured {
		t.out, t.coloured = append(t.out, reset...), false
	}
	return t.pass()
}

func (t *Writer) pass() error {
	if len(t.out) == 0 {
		return nil
	}
	_, err := t.w.Write(t.out)
	return err
}

// Text is s as it may stand in one line: line breaks and tabs are shown too.
func Text(s string) string {
	var b strings.Builder
	t := NewWriter(&b, Options{})
	io.WriteString(t, s) // a Builder takes everything
	t.Flush()
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(b.String())
}

// show appends what b looks like and tells how much of it was whole. With last everything is.
func (t *Writer) show(b []byte, last bool) int {
	i := 0
	for i < len(b) {
		n := t.one(b[i:], last)
		if n == 0 {
			break
		}
		i += n
	}
	return i
}

// one shows the first character or sequence of b and gives its length; 0 when more is needed to tell.
func (t *Writer) one(b []byte, last bool) int {
	c := b[0]
	switch {
	case c == '\r':
		return t.lineEnd(b, last)
	case c == escape && t.colour:
		return t.sequence(b, last)
	case c == '\n' || c == '\t' || c >= ' ' && c < 0x7f:
		t.marks = 0
		t.out = append(t.out, c)
		return 1
	case c < utf8.RuneSelf:
		t.byte(c)
		return 1
	}
	if !last && !utf8.FullRune(b) {
		return 0
	}
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError && n == 1 {
		t.byte(c)
		return 1
	}
	t.rune(r)
	return n
}

func (t *Writer) lineEnd(b []byte, last bool) int {
	switch {
	case len(b) == 1 && !last:
		return 0
	case len(b) > 1 && b[1] == '\n':
		return 1 // the line break follows
	}
	t.out = append(t.out, `\r`...)
	return 1
}

// byte shows a byte that is not to be passed on.
func (t *Writer) byte(c byte) {
	t.marks = 0
	t.out = fmt.Appendf(t.out, `\x%02x`, c)
}

// rune shows a character outside ASCII.
func (t *Writer) rune(r rune) {
	mark := unicode.In(r, unicode.Mn, unicode.Me)
	if mark {
		t.marks++
	} else {
		t.marks = 0
	}
	switch {
	case !hidden(r) && t.marks <= maxMarks:
		t.out = utf8.AppendRune(t.out, r)
	case r > 0xffff:
		t.out = fmt.Appendf(t.out, `\U%08x`, r)
	default:
		t.out = fmt.Appendf(t.out, `\u%04x`, r)
	}
}

// hidden tells whether a character controls, turns, separates, or is not seen where it stands.
func hidden(r rune) bool {
	switch {
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Noncharacter_Code_Point):
		return true
	case r == 0xfe0e || r == 0xfe0f: // how a sign is drawn: after many an emoji
		return false
	}
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// sequence passes on a colour, and shows the escape byte of anything else.
func (t *Writer) sequence(b []byte, last bool) int {
	for i, c := range b {
		switch {
		case i == 0:
		case i == 1 && c == '[', i > 1 && i < maxSGR && (c >= '0' && c <= '9' || c == ';' || c == ':'):
		case i > 1 && i < maxSGR && c == 'm' && harmless(string(b[2:i])):
			t.out = append(t.out, b[:i+1]...)
			t.coloured = true
			return i + 1
		default:
			t.byte(escape)
			return 1
		}
	}
	if last {
		t.byte(escape)
		return 1
	}
	return 0
}

// harmless tells whether the parameters of an SGR sequence change colour and weight only.
func harmless(params string) bool {
	fields := strings.Split(params, ";")
	for i := 0; i < len(fields); i++ {
		main, _, sub := strings.Cut(fields[i], ":")
		n, err := strconv.Atoi(main)
		switch {
		case fields[i] == "":
			continue // 0
		case err != nil:
			return false
		case n == 38 || n == 48 || n == 58:
			if sub {
				continue // its colour is in the same field
			}
			skip := extended(fields[i+1:])
			if skip == 0 {
				return false
			}
			i += skip
		case n <= 4, n == 7, n == 9, n >= 21 && n <= 24, n == 27, n == 29, n >= 30 && n <= 49, n == 59, n >= 90 && n <= 107:
		default:
			return false // 5, 6, 8, 25, 28: blinking and hiding; fonts and frames
		}
	}
	return true
}

// extended is how many fields name a colour after 38, 48 or 58; 0 when they name none.
func extended(fields []string) int {
	switch {
	case len(fields) >= 2 && fields[0] == "5":
		return 2
	case len(fields) >= 4 && fields[0] == "2":
		return 4
	}
	return 0
}
