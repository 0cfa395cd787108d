package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dayfly-io/dayfly/internal/term"
)

// Formats are what [Render] can write.
func Formats() []string { return []string{"text", "json", "github", "sarif"} }

// Render writes errors, of any number of files, in one of [Formats]. Text is for people: each with
// "error:" or "warning:", position, lines with a caret, "hint:". JSON is an array with one object for
// each; github is one workflow command a line; sarif is one SARIF 2.1.0 log. No errors make an empty
// text, array, list of commands, or a log without results. Where w is a terminal, as its method
// Columns() int says, the lines that text shows of a file are as wide at most.
func Render(w io.Writer, format string, list []*Error) error {
	var b bytes.Buffer
	switch format {
	case "text":
		columns := 0
		if w, ok := w.(interface{ Columns() int }); ok {
			columns = w.Columns()
		}
		for _, e := range list {
			writeText(&b, e, severity(e)+": ", "hint: ", columns)
		}
	case "json":
		if err := writeJSON(&b, jsonErrors(list)); err != nil {
			return err
		}
	case "github":
		for _, e := range list {
			writeGitHub(&b, e)
		}
	case "sarif":
		if err := writeJSON(&b, sarifLog(list)); err != nil {
			return err
		}
	default:
		return fmt.Errorf("render errors: unknown format %q; formats are %s", format, strings.Join(Formats(), ", "))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func severity(e *Error) string {
	if e.Warning {
		return "warning"
	}
	return "error"
}

type textWriter interface {
	io.Writer
	io.StringWriter
}

func writeText(w textWriter, e *Error, prefix, hint string, columns int) {
	w.WriteString(prefix + e.Position() + ": " + e.Problem + "\n")
	writeSource(w, e, columns)
	if e.Suggestion != "" {
		w.WriteString(hint + e.Suggestion + "\n")
	}
	if e.Explain != "" {
		w.WriteString(strings.Repeat(" ", len(hint)) + e.Explain + "\n")
	}
}

// widest is how much of a line is shown where no terminal says.
const widest = 100

func writeSource(w textWriter, e *Error, columns int) {
	if len(e.Source) == 0 {
		return
	}
	digits := len(strconv.Itoa(e.Line))
	room := widest
	if columns > 0 {
		room = max(10, min(widest, columns-digits-6)) // what stands before it, and the mark that it begins elsewhere
	}
	lines := e.Source
	cut := begin(lines[len(lines)-1], e.Column, room)
	if cut > 0 {
		lines = lines[len(lines)-1:] // little would be left of the others
	}
	for i, line := range lines {
		fmt.Fprintf(w, "  %*d | %s\n", digits, e.Line-len(lines)+1+i, window(line, cut, room))
	}
	if shown, hides := strings.CutSuffix(lines[len(lines)-1], "…"); hides && e.Column > utf8.RuneCountInString(shown)+2 {
		return // somewhere in what is not shown
	}
	last := []rune(window(lines[len(lines)-1], cut, room))
	at := min(max(e.Column-1-cut, 0), len(last))
	if cut > 0 {
		at = min(at+1, len(last)) // the mark that says something is cut
	}
	length := max(1, min(e.Length, len(last)-at))
	fmt.Fprintf(w, "  %s | %s%s\n", strings.Repeat(" ", digits), pad(last[:at]), strings.Repeat("^", max(1, len(pad(last[at:min(at+length, len(last))])))))
}

// begin is how many characters are left out before what is shown of a line, so that the column is in it.
func begin(line string, column, room int) int {
	n, end, taken := 0, len(line), 0
	for i, c := range line {
		if n == column-1 {
			end = i
			break
		}
		if n++; taken < room {
			taken += cells(c)
		}
	}
	if taken < room*3/4 {
		return 0
	}
	taken = 0
	for before := line[:end]; before != ""; n-- {
		c, size := utf8.DecodeLastRuneInString(before)
		if taken += cells(c); taken >= room/2 {
			break
		}
		before = before[:len(before)-size]
	}
	return n
}

// cells is how many cells of a terminal a character takes at most. One that joins the one before it counts
// too: a line may have a million of them.
func cells(r rune) int { return max(1, term.Width(string(r))) }

// window is the part of a line that is shown, in characters that cannot drive a terminal.
func window(line string, cut, room int) string {
	var b strings.Builder
	n, taken := 0, 0
	if cut > 0 && line != "" {
		b.WriteRune('…')
	}
	for _, c := range line {
		if n++; n <= cut {
			continue
		}
		if taken += cells(c); taken >= room {
			b.WriteRune('…')
			break
		}
		b.WriteRune(c)
	}
	return strings.TrimRight(printable(b.String()), " ")
}

// pad is as many blanks as the text is wide.
func pad(text []rune) string { return strings.Repeat(" ", term.Width(string(text))) }

// printable is the text with one harmless character for each that a terminal would obey: tabs become
// blanks, everything else that does not print becomes U+FFFD.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == utf8.RuneError || !unicode.IsGraphic(r) && !unicode.Is(unicode.Mn, r):
			return '\uFFFD'
		}
		return r
	}, s)
}

func writeJSON(b *bytes.Buffer, v any) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// errorJSON is a contract: fields are only added.
type errorJSON struct {
	File       string `json:"file"`
	Line       int    `json:"line"`
	Column     int    `json:"column"`
	Length     int    `json:"length"`
	Severity   string `json:"severity"`
	Rule       Rule   `json:"rule"`
	Path       string `json:"path"`
	Problem    string `json:"problem"`
	Suggestion string `json:"suggestion"`
	Explain    string `json:"explain"`
}

func jsonErrors(list []*Error) []errorJSON {
	out := make([]errorJSON, len(list))
	for i, e := range list {
		out[i] = errorJSON{e.File, e.Line, e.Column, e.Length, severity(e), e.Rule, e.Path, e.Problem, e.Suggestion, e.Explain}
	}
	return out
}

// sentence is what is wrong and what to do, on one line.
func sentence(e *Error) string {
	if e.Suggestion == "" {
		return e.Problem
	}
	return e.Problem + "; " + e.Suggestion
}

func writeGitHub(b *bytes.Buffer, e *Error) {
	message := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	fmt.Fprintf(b, "::%s file=%s", severity(e), property.Replace(e.File))
	if e.Line > 0 {
		fmt.Fprintf(b, ",line=%d,col=%d,endColumn=%d", e.Line, e.Column, e.Column+max(e.Length, 1))
	}
	fmt.Fprintf(b, ",title=%s::%s\n", property.Replace(string(e.Rule)), message.Replace(sentence(e)))
}
