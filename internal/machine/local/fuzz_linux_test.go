package local

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/dayfly-io/dayfly/internal/fuzztest"
)

// A first process that a job has got hold of may say one word without an end.
func TestAWordWithoutAnEnd(t *testing.T) { // not parallel: it measures
	tooMuch := errors.New("it was all read")
	for name, word := range map[string]string{"of text": `{"say":"`, "of blanks": " ", "of lists": "["} {
		t.Run(name, func(t *testing.T) {
			c := &child{words: wordsOf(io.MultiReader(strings.NewReader(word), io.LimitReader(xs{}, 16*maxWord), iotest.ErrReader(tooMuch)))}
			var err error
			fuzztest.Bounded(t, func() { _, err = c.next() })
			if err == nil || errors.Is(err, tooMuch) || errors.Is(err, io.EOF) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A supervisor that wrote a great deal before it died has said last why.
func TestLastWords(t *testing.T) {
	t.Parallel()
	f := folder(t.TempDir())
	log := f.path(fileLog)
	if got := f.lastWords(); !strings.Contains(got, log) {
		t.Errorf("without a log: %q", got)
	}
	for text, want := range map[string]string{
		" \n": "and its log is empty",
		strings.Repeat("warning\n", mostContent/4) + "panic: here\n": "panic: here",
	} {
		if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := f.lastWords(); !strings.HasSuffix(got, want) || len(got) > 500 {
			t.Errorf("of %d bytes the last words are %q, want %q", len(text), got, want)
		}
	}
}

type xs struct{}

func (xs) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// FuzzWords lets the first process of a sandbox say anything: each line is a word or an error, the end is the end,
// and words that are ours come through.
func FuzzWords(f *testing.F) {
	f.Add([]byte(`{"say":"started","notes":["x"]}` + "\n" + `{"say":"ended","end":{"code":0,"cpu":1,"peak":2}}` + "\n"))
	f.Add([]byte(`{"say":1}`))
	f.Add([]byte(`{"end":{"code":9223372036854775808}}` + "\n\n\n"))
	f.Add([]byte(strings.Repeat("[", 20_000)))
	f.Fuzz(func(t *testing.T, said []byte) {
		c := &child{words: wordsOf(bytes.NewReader(said))}
		lines := bytes.Count(said, []byte("\n")) + 1
		fuzztest.Bounded(t, func() {
			for range lines {
				if _, err := c.next(); errors.Is(err, io.EOF) {
					return
				}
			}
			if w, err := c.next(); err == nil {
				t.Errorf("there is the word %+v after %d lines", w, lines)
			}
		})
		c = &child{words: wordsOf(strings.NewReader(strings.ReplaceAll(string(said), "\n", " ") + "\n" + `{"say":"done"}` + "\n"))}
		_, _ = c.next()
		if w, err := c.next(); len(said) < maxWord && (err != nil || w.Say != sayDone) {
			t.Errorf("after %.100q the word is %+v, %v", said, w, err)
		}
	})
}

// FuzzKernel reads what the kernel says of mounts and processes, in which users put names of their own.
func FuzzKernel(f *testing.F) {
	f.Add([]byte("22 1 0:20 / / rw - overlay o rw\n23 22 0:21 / /proc rw - proc p rw\n24 22 0:22 /a\\040b /mnt\\012x rw,ro shared:1 - fuse.x y rw,user\n"))
	f.Add([]byte("1 99 0:0 / / rw - a b c\n2 1 0:0 / /x rw - a b c\n1 2 0:0 / /y rw - a b c\n"))
	f.Add([]byte("4 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21"))
	f.Add([]byte("4 ()"))
	f.Fuzz(func(t *testing.T, text []byte) {
		fuzztest.Bounded(t, func() {
			mounts := parseMountinfo(string(text))
			if shared := sharedMounts(mounts); len(shared) > len(mounts) {
				t.Errorf("of %d mounts %d are shared", len(mounts), len(shared))
			}
			_, _ = parseStat(text)
			_ = hasEntry(text, []byte("DAYFLY_TOKEN=x"))
		})
	})
}
