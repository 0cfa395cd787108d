// Package redact keeps secrets out of text: every occurrence of a secret value becomes [secret NAME].
//
// A value is found as it is and in the forms in which programs commonly print one: base64 (both
// alphabets, padded or not, at all three alignments, wrapped at 64 or 76 columns), hex, URL-escaped,
// JSON-escaped, quoted by a shell; with and without the line break that a file of it ends in. Of one with
// several lines each is found by itself too, as it is and JSON-escaped, from MinLine bytes on and unless it
// is a frame that many texts have, such as the first line of a key in PEM.
// Overlapping occurrences become one mark, named after the one that begins first.
//
// It promises that the output depends on the input alone, never on how the input was split, and that
// no byte which may turn out to be part of a secret is given away before that is decided. It cannot
// find a value that was taken apart, compressed or encrypted, and it does not look for values shorter
// than MinLength, which would be found everywhere; [Set.TooShort] names those. The mark of one secret
// may happen to contain the value of another that reads like a mark; nothing is done about that.
package redact

import (
	"io"
	"maps"
	"slices"
	"strings"
)

// MinLength is the length in bytes from which on a secret is looked for.
const MinLength = 4

// MinLine is the length in bytes, without blanks around it, from which on one line of a secret is looked for.
const MinLine = 8

// Set is a compiled set of secrets. It is immutable and may be shared.
type Set struct {
	trie  *trie // nil: no secret to look for
	short []string
}

// Compile makes a Set of secret values by name.
func Compile(secrets map[string]string) *Set {
	s := &Set{}
	var marks []string
	var forms [][]string
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		f := formsOf(secrets[name])
		if len(f) == 0 {
			s.short = append(s.short, name)
			continue
		}
		marks = append(marks, "[secret "+name+"]")
		forms = append(forms, f)
	}
	if len(marks) > 0 {
		s.trie = newTrie(forms, marks)
	}
	return s
}

// TooShort names the secrets that are not looked for because they are shorter than MinLength.
func (s *Set) TooShort() []string { return slices.Clone(s.short) }

// String is the text with every secret replaced.
func (s *Set) String(text string) string {
	var b strings.Builder
	w := s.NewWriter(&b)
	io.WriteString(w, text) // a Builder takes everything
	w.Close()
	return b.String()
}

// NewWriter gives a Writer that passes on to w what is written to it, with every secret replaced.
func (s *Set) NewWriter(w io.Writer) *Writer { return &Writer{w: w, trie: s.trie} }

// Writer replaces secrets in a stream. It holds back the bytes that may be the beginning of a secret,
// fewer than the longest form has; Close passes them on. It is for one goroutine at a time.
type Writer struct {
	w     io.Writer
	trie  *trie
	state int32
	pos   int64  // bytes seen
	held  []byte // the last of them, not passed on yet
	marks []span // what is to be replaced, sorted, not overlapping, none passed on yet
	open  int64  // up to here a mark that was passed on covers the bytes
	out   []byte
}

// span is a stretch of the stream that a mark replaces.
type span struct {
	from, to int64
	who      int32
}

// Write takes all of p, unless passing on what is decided gives an error.
func (w *Writer) Write(p []byte) (int, error) {
	if w.trie == nil {
		return w.w.Write(p)
	}
	w.held = append(w.held, p...)
	for i, b := range p {
		if w.state == 0 && w.trie.root[b] == 0 {
			continue
		}
		w.state = w.trie.step(w.state, b)
		if n := w.trie.best[w.state]; n > 0 {
			end := w.pos + int64(i) + 1
			w.mark(span{from: end - int64(n), to: end, who: w.trie.who[w.state]})
		}
	}
	w.pos += int64(len(p))
	return len(p), w.release(w.pos - int64(w.trie.depth[w.state]))
}

// Close passes on what was held back. It does not close what the Writer writes to.
func (w *Writer) Close() error {
	if w.trie == nil {
		return nil
	}
	w.state = 0
	return w.release(w.pos)
}

// mark notes a stretch to replace. Matches come in the order of their ends.
func (w *Writer) mark(s span) {
	for len(w.marks) > 0 {
		last := w.marks[len(w.marks)-1]
		if last.to <= s.from {
			break
		}
		if last.from < s.from {
			s.from, s.who = last.from, last.who
		}
		w.marks = w.marks[:len(w.marks)-1]
	}
	w.marks = append(w.marks, s)
}

// release passes on the bytes before final: no later match can begin there.
func (w *Writer) release(final int64) error {
	at := w.pos - int64(len(w.held)) // where held begins
	w.out = w.out[:0]
	emit := func(to int64) { // up to there nothing is replaced that was not already
		if from := max(at, w.open); from < to {
			w.out = append(w.out, w.held[from-(w.pos-int64(len(w.held))):to-(w.pos-int64(len(w.held)))]...)
		}
		at = max(at, to)
	}
	done := 0
	for _, s := range w.marks {
		if s.from >= final {
			break
		}
		done++
		emit(s.from)
		if s.from >= w.open {
			w.out = append(w.out, w.trie.marks[s.who]...)
		}
		w.open = max(w.open, s.to)
	}
	emit(final)
	w.marks = slices.Delete(w.marks, 0, done)
	w.held = slices.Delete(w.held, 0, int(max(0, final-(w.pos-int64(len(w.held))))))
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.w.Write(w.out)
	return err
}
