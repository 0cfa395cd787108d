package term_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/dayfly-io/dayfly/internal/fuzztest"
	"github.com/dayfly-io/dayfly/internal/term"
)

// show passes text through a Writer in pieces that end at the cuts.
func show(t testing.TB, o term.Options, text string, cuts ...int) string {
	t.Helper()
	var b strings.Builder
	w := term.NewWriter(&b, o)
	from := 0
	for _, c := range append(cuts, len(text)) {
		if n, err := io.WriteString(w, text[from:c]); n != c-from || err != nil {
			t.Fatalf("took %d of %d bytes: %v", n, c-from, err)
		}
		from = c
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWhatIsShown(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain\ttext\n":                    "plain\ttext\n",
		"õ 日本 𝄞 é\n":                       "õ 日本 𝄞 é\n",
		"a\r\nb\r\n":                       "a\nb\n",
		"10%\r20%\r\n":                     `10%\r20%` + "\n",
		"end\r":                            `end\r`,
		"\r\r\n":                           `\r` + "\n",
		"x\b \b\x00\a\v\f":                 `x\x08 \x08\x00\x07\x0b\x0c`,
		"\x1b[2J\x1b[H":                    `\x1b[2J\x1b[H`,
		"\x1b[31mred\x1b[0m":               `\x1b[31mred\x1b[0m`,
		"\x1b]0;title\a":                   `\x1b]0;title\x07`,
		"\x1b]52;c;cm0gLXJm\x1b\\":         `\x1b]52;c;cm0gLXJm\x1b\`,
		"\x7f":                             `\x7f`,
		"\x9b31m":                          `\x9b31m`,
		"\u009b31m":                        `\u009b31m`,
		"\xff\xfe\xc3(":                    `\xff\xfe\xc3(`,
		"\xc3":                             `\xc3`,
		"\xed\xa0\x80":                     `\xed\xa0\x80`,
		"\xf4\x90\x80\x80":                 `\xf4\x90\x80\x80`,
		"\xc0\xaf":                         `\xc0\xaf`,
		"a\u202egnp.exe":                   `a\u202egnp.exe`,
		"pass\u200bword":                   `pass\u200bword`,
		"\ufeffbom":                        `\ufeffbom`,
		"soft\u00adhyphen":                 `soft\u00adhyphen`,
		"line\u2028break\u2029":            `line\u2028break\u2029`,
		"\U000e0041tag":                    `\U000e0041tag`,
		"\u3164\u115f\u034f":               `\u3164\u115f\u034f`,
		"a\ufe00":                          `a\ufe00`,
		"ok ✔\ufe0f":                       "ok ✔\ufe0f",
		"a" + strings.Repeat("\u0301", 10): "a" + strings.Repeat("\u0301", 8) + `\u0301\u0301`,
		`already \x1b escaped`:             `already \x1b escaped`,
		"\ufffd is a character":            "\ufffd is a character",
		"\uffff\U0010fffe":                 `\uffff\U0010fffe`,
	} {
		if got := show(t, term.Options{}, in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

func TestColoursOnRequest(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"\x1b[31mred\x1b[0m":               "\x1b[31mred\x1b[0m\x1b[0m",
		"\x1b[1;38;5;208m!":                "\x1b[1;38;5;208m!\x1b[0m",
		"\x1b[38;2;1;2;3;4m!":              "\x1b[38;2;1;2;3;4m!\x1b[0m",
		"\x1b[4:3;58:2::1:2:3m!":           "\x1b[4:3;58:2::1:2:3m!\x1b[0m",
		"\x1b[m\x1b[;m":                    "\x1b[m\x1b[;m\x1b[0m",
		"\x1b[8mhidden":                    `\x1b[8mhidden`,
		"\x1b[31;8mhidden":                 `\x1b[31;8mhidden`,
		"\x1b[5mblink":                     `\x1b[5mblink`,
		"\x1b[38m\x1b[38;5m\x1b[38;2;1;2m": `\x1b[38m\x1b[38;5m\x1b[38;2;1;2m`,
		"\x1b[2J":                          `\x1b[2J`,
		"\x1b[31":                          `\x1b[31`,
		"\x1b":                             `\x1b`,
		"\x1b\x1b[31m":                     `\x1b` + "\x1b[31m\x1b[0m",
		"\x1b[>4;2m":                       `\x1b[>4;2m`,
		"\x1b[?25l":                        `\x1b[?25l`,
		"\x1b[" + strings.Repeat("1;", 40) + "1m": `\x1b[` + strings.Repeat("1;", 40) + "1m",
		"\x1b[99999999999999999999m":              `\x1b[99999999999999999999m`,
	} {
		if got := show(t, term.Options{Colour: true}, in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

// corpus is what terminals have been driven with: T6.
func corpus() (out []string) {
	for c := range 0x20 {
		out = append(out, fmt.Sprintf("a%cb", c), string([]byte{'a', byte(c)}))
	}
	for c := 0x7f; c <= 0xa0; c++ { // as characters and as bytes
		out = append(out, string(rune(c)), string([]byte{byte(c)}), string([]byte{byte(c), '3', '1', 'm'}))
	}
	for c := byte(0x20); c < 0x7f; c++ { // every escape, every control sequence
		out = append(out, "\x1b"+string(c), "\x1b["+string(c), "\x1b[1;2"+string(c), "\x1b[?1049"+string(c))
	}
	for _, end := range []string{"\a", "\x1b\\", "\x9c", "\u009c", ""} {
		for _, body := range []string{
			"]0;title", "]2;$(reboot)", "]8;;http://evil.example/", "]52;c;ZXZpbA==", "]52;c;?", "]4;1;?", "]10;?", "]50;?", "]1337;File=inline=1:QQ==",
			"]7;file:///etc", "]9;notify", "]777;notify;a;b", "]133;A", "P+q544e", "P$qm", "P1000p%begin", "_Gf=100;AAAA", "^private", "Xstart", "k title",
		} {
			out = append(out, "\x1b"+body+end, "log\n\x1b"+body+end+"more\n")
		}
	}
	for _, r := range "\u00ad\u034f\u061c\u115f\u1160\u17b4\u180e\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\u206a\u206f\u3164\ufe00\ufeff\uffa0\ufff9\ufffa\ufffb\U000e0001\U000e0061\U000e0100\U0001d173" {
		out = append(out, "safe"+string(r)+"text")
	}
	return append(out,
		"\x1b[1A\x1b[2Ksucceeded  backup-1  12 s\n", "working\rsucceeded: machine is gone\n", "x\b\b\b\b\brm -rf\n", "\x1b[6n", "\x1b[c", "\x1b[5n", "\x1b[18t", "\x1b[21t",
		"\x1bc", "\x1b(0lqqk\x1b(B", "\x1b#8", "\x1b%G", "\x1b7\x1b[999;999H\x1b8", "\x1b[20l", "\x1b[4h", "\x1b[=1;1m", "\x1b[!p", "\x1b[?2004h", "\x1b[?1000h", "\x1b[200~evil\x1b[201~",
		"\xc2\x9b2J", "\xe2\x80", "\xe2\x80\xae\xe2", "\xf0\x9f\x98", "\xf0\x80\x80\x9b", "\xe0\x80\x9b", "\xc0\x9b", "\xc1\x9b", "\xf8\x88\x80\x80\x80", "\xed\xb0\x80",
		"</textarea><script>alert(1)</script>", "\x00\x00\x00", strings.Repeat("\x1b", 200), strings.Repeat("\u0488", 50), "e\n: dayfly: machine is gone\n", "\x0e\x0f", "\x1b[31m\x1b[32m\x1b[8m",
	)
}

// clean tells what a terminal could take for a command in what was shown.
func clean(s string, colour bool) error {
	if colour {
		for _, c := range []string{"\x1b[0m", "\x1b[m", "\x1b[31m", "\x1b[32m", "\x1b[1;2m", "\x1b[;m"} {
			s = strings.ReplaceAll(s, c, "")
		}
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
			return fmt.Errorf("byte %#x at %d", c, i)
		}
	}
	if !utf8.ValidString(s) {
		return errors.New("not UTF-8")
	}
	for _, r := range s {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && r != '\n' && r != '\t' {
			return fmt.Errorf("character %U", r)
		}
	}
	return nil
}

func TestNothingInTheCorpusDrivesATerminal(t *testing.T) {
	t.Parallel()
	list := corpus()
	if len(list) < 500 {
		t.Fatalf("the corpus has only %d entries", len(list))
	}
	for _, in := range list {
		for _, o := range []term.Options{{}, {Colour: true}} {
			whole := show(t, o, in)
			if err := clean(whole, o.Colour); err != nil {
				t.Errorf("%q (%+v) is shown as %q: %v", in, o, whole, err)
			}
			for at := range len(in) + 1 {
				if got := show(t, o, in, at); got != whole {
					t.Fatalf("%q (%+v), split at %d, is shown as %q, whole as %q", in, o, at, got, whole)
				}
			}
		}
		if got := term.Text(in); strings.ContainsAny(got, "\n\t") || clean(got, false) != nil {
			t.Errorf("%q in one line is %q", in, got)
		}
	}
}

func TestTextIsOneLine(t *testing.T) {
	t.Parallel()
	if got := term.Text("a\nb\tc\x1b[0m"); got != `a\nb\tc\x1b[0m` {
		t.Errorf("became %q", got)
	}
}

// What waits for its end is shown when the stream pauses there.
func TestFlushShowsWhatWaits(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	w := term.NewWriter(&b, term.Options{Colour: true})
	for _, c := range []struct{ in, now, flushed string }{
		{"a\r", "a", `\r`}, {"\xe2\x80", "", `\xe2\x80`}, {"\x1b[3", "", `\x1b[3`}, {"\x1b[31mred", "\x1b[31mred", "\x1b[0m"}, {"calm", "calm", ""},
	} {
		b.Reset()
		if _, err := io.WriteString(w, c.in); err != nil || b.String() != c.now {
			t.Errorf("%q is shown as %q at once, %v", c.in, b.String(), err)
		}
		b.Reset()
		if err := w.Flush(); err != nil || b.String() != c.flushed {
			t.Errorf("after %q a flush shows %q, %v", c.in, b.String(), err)
		}
	}
}

func TestAnErrorOfTheTerminalIsGiven(t *testing.T) {
	t.Parallel()
	r, p := io.Pipe()
	r.Close()
	w := term.NewWriter(p, term.Options{})
	if _, err := io.WriteString(w, "x"); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

func FuzzWriter(f *testing.F) {
	for _, s := range corpus() {
		f.Add(s, uint64(len(s)))
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		var whole string
		fuzztest.Bounded(t, func() { whole = show(t, term.Options{}, text) })
		if err := clean(whole, false); err != nil {
			t.Errorf("%q is shown as %q: %v", text, whole, err)
		}
		r := rand.New(rand.NewPCG(seed, 1))
		for _, o := range []term.Options{{}, {Colour: true}} {
			var cuts []int
			for at := r.IntN(4); at < len(text); at += r.IntN(4) {
				cuts = append(cuts, at)
			}
			if got, want := show(t, o, text, cuts...), show(t, o, text); got != want {
				t.Errorf("%q, cut at %v, is shown as %q, whole as %q", text, cuts, got, want)
			}
		}
	})
}
