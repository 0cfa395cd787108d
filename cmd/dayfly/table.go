package main

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/term"
)

// fit is what may be done to a column where a terminal is too narrow for a table. -o wide shows it whole.
type fit int

const (
	short  fit = 1 << iota // ids and sums: their beginning, as far as it tells them apart
	spare                  // it is left out, the last one first
	prose                  // text is broken into lines below one another
	middle                 // one word is cut in its middle, not at its end: its end tells as much
)

// table is lines of cells, the first of them the heads.
type table struct {
	lines [][]string
	fits  []fit // of the columns; nil: nothing may be done to them but cutting
}

const (
	gap       = 2 // between columns
	shortest  = 8 // of an id
	mostLines = 4 // of a cell of prose
)

// write writes the table. On a terminal it is as wide as that at most; elsewhere its width is 0.
func (t table) write(w io.Writer, width int) error {
	var b bytes.Buffer
	widths := t.widths()
	if width > 0 && total(widths) > width {
		t = t.narrower(width)
		widths = t.squeezed(width)
	}
	for _, line := range t.lines {
		t.writeLine(&b, line, widths)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writeLine writes one line of cells, which may take several lines.
func (t table) writeLine(b *bytes.Buffer, line []string, widths []int) {
	cells := make([][]string, len(line))
	height := 1
	for i, cell := range line {
		cells[i] = t.cell(i, cell, widths[i])
		height = max(height, len(cells[i]))
	}
	for row := range height {
		var text strings.Builder
		for i := range cells {
			cell := ""
			if row < len(cells[i]) {
				cell = cells[i][row]
			}
			text.WriteString(cell + strings.Repeat(" ", widths[i]-term.Width(cell)+gap))
		}
		b.WriteString(strings.TrimRight(text.String(), " ") + "\n")
	}
}

// cell is a cell as the lines that fit its column.
func (t table) cell(column int, text string, width int) []string {
	f := t.fit(column)
	switch {
	case term.Width(text) <= width:
		return []string{text}
	case f&prose != 0 && (f&middle == 0 || strings.Contains(text, " ")):
		lines := term.Break(text, width)
		if len(lines) > mostLines {
			lines = append(lines[:mostLines-1], term.Cut(strings.Join(lines[mostLines-1:], " "), width))
		}
		return lines
	case f&middle != 0:
		return []string{term.CutMiddle(text, width)}
	}
	return []string{term.Cut(text, width)}
}

func (t table) fit(column int) fit {
	if column < len(t.fits) {
		return t.fits[column]
	}
	return 0
}

// widths are what the columns take as they are.
func (t table) widths() []int {
	widths := make([]int, len(t.lines[0]))
	for _, line := range t.lines {
		for i, cell := range line {
			widths[i] = max(widths[i], term.Width(cell))
		}
	}
	return widths
}

// words are how wide the widest word of each column is.
func (t table) words() []int {
	words := make([]int, len(t.lines[0]))
	for _, line := range t.lines {
		for i, cell := range line {
			for word := range strings.FieldsSeq(cell) {
				words[i] = max(words[i], term.Width(word))
			}
		}
	}
	return words
}

func total(widths []int) int {
	sum := gap * (len(widths) - 1)
	for _, w := range widths {
		sum += w
	}
	return sum
}

// narrower is the table with ids made short, and without as many spare columns as there is no room for.
func (t table) narrower(width int) table {
	t.lines, t.fits = slices.Clone(t.lines), slices.Clone(t.fits)
	for i := range t.lines {
		t.lines[i] = slices.Clone(t.lines[i])
	}
	for i, f := range t.fits {
		if f&short != 0 {
			t.shorten(i)
		}
	}
	for i := len(t.fits) - 1; i >= 0; i-- {
		if t.fits[i]&spare == 0 || total(t.reduced(t.widths(), width, comfortable)) <= width {
			continue
		}
		t.fits = slices.Delete(t.fits, i, i+1)
		for j := range t.lines {
			t.lines[j] = slices.Delete(t.lines[j], i, i+1)
		}
	}
	return t
}

// shorten cuts the ids of a column to beginnings of one length that tell them apart, after the last slash.
func (t table) shorten(column int) {
	ids := t.lines[1:]
	for n := shortest; ; n++ {
		whole := map[string]string{} // by beginning
		apart := true
		for _, line := range ids {
			b := beginning(line[column], n)
			if id, ok := whole[b]; ok && id != line[column] {
				apart = false
			}
			whole[b] = line[column]
		}
		if !apart {
			continue
		}
		for _, line := range ids {
			line[column] = beginning(line[column], n)
		}
		return
	}
}

// beginning is an id cut to so many characters after its last slash.
func beginning(id string, n int) string {
	from := strings.LastIndexByte(id, '/') + 1
	return id[:min(len(id), from+n)]
}

// shortMachine is how a person is told of a machine; machines and -o json say all of its id.
func shortMachine(id dayfly.MachineID) string { return beginning(string(id), shortest) }

// A floor is how narrow a column may become.
type floor func(f fit, head, word int) int // head and word are how wide its head and its widest word are

// Each of the floors counts only when the one before was not enough.
var floors = [...]floor{comfortable, legible, tight, func(fit, int, int) int { return 3 }}

// comfortable leaves everything but prose alone.
func comfortable(f fit, head, word int) int {
	switch {
	case f&prose == 0:
		return asItIs
	case f&middle != 0:
		return max(head, word)
	}
	return max(head, 20)
}

func legible(f fit, head, word int) int {
	switch {
	case f&middle != 0:
		return max(head, min(word, 32))
	case f&prose != 0:
		return max(head, 14)
	}
	return asItIs
}

func tight(f fit, head, _ int) int {
	switch {
	case f&middle != 0:
		return max(head, 20)
	case f&prose != 0:
		return max(head, 10)
	}
	return max(head, 8)
}

const asItIs = 1 << 20

// squeezed are the widths with which the table fits, if there are any.
func (t table) squeezed(width int) []int {
	widths := t.widths()
	for _, floor := range floors {
		widths = t.reduced(widths, width, floor)
	}
	return widths
}

// reduced makes the widest columns narrower, down to their floors, until all fit.
func (t table) reduced(widths []int, width int, down floor) []int {
	widths = slices.Clone(widths)
	words := t.words()
	for total(widths) > width {
		widest := -1
		for i, w := range widths {
			if w > down(t.fit(i), term.Width(t.lines[0][i]), words[i]) && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}
