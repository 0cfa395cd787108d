package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"

	tty "golang.org/x/term"

	"github.com/dayfly-io/dayfly/internal/term"
)

// widthOf is how wide a terminal is; 80 where it does not say, 0 where it is none.
func widthOf(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !tty.IsTerminal(int(f.Fd())) {
		return 0
	}
	if width, _, err := tty.GetSize(int(f.Fd())); err == nil && width > 0 {
		return max(width, narrowest)
	}
	return pageWidth
}

// narrowest is the least that anything is made to fit; the terminal breaks the rest.
const narrowest = 20

// folding is a terminal on which messages are broken between words. What moves the cursor is passed on as
// it is.
type folding struct{ to io.Writer }

// fold makes messages fit a terminal; anything else stays as it is.
func fold(w io.Writer) io.Writer {
	if widthOf(w) == 0 {
		return w
	}
	return folding{w}
}

// rewrite puts a text in the place of a terminal's last line. One that is wider could not be taken away again.
func rewrite(w io.Writer, text string) {
	if f, ok := w.(folding); ok {
		text = term.Cut(text, f.Columns()-1)
	}
	fmt.Fprint(w, "\r\x1b[K"+text)
}

// hung is text behind a head, as a line for stdout; on a terminal it goes on below itself.
func (a *app) hung(head, text string) string {
	width := widthOf(a.out)
	if width == 0 {
		return head + text + "\n"
	}
	return strings.Join(term.Wrap(head+text, width, strings.Repeat(" ", term.Width(head))), "\n") + "\n"
}

// Columns is how wide it is.
func (f folding) Columns() int { return widthOf(f.to) }

// Write takes whole messages.
func (f folding) Write(p []byte) (int, error) {
	if _, err := io.WriteString(f.to, foldLines(string(p), f.Columns())); err != nil {
		return 0, err
	}
	return len(p), nil
}

func foldLines(text string, width int) string {
	if strings.ContainsRune(text, '\r') {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		body, end := strings.TrimSuffix(line, "\n"), ""
		if body != line {
			end = "\n"
		}
		if term.Width(body) > width {
			body = strings.Join(term.Wrap(body, width, hanging(body)), "\n")
		}
		b.WriteString(body + end)
	}
	return b.String()
}

// hanging is what the lines begin with that a line goes on in: blanks below its text, which begins after a
// label such as "hint: ", a sign, or blanks.
func hanging(line string) string {
	return strings.Repeat(" ", term.Width(label().FindString(line)))
}

var label = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^ *(?:[a-z]+: +|[-+~!✓…→*] )?`) })
