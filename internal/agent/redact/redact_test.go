package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/dayfly-io/dayfly/internal/agent/redact"
	"github.com/dayfly-io/dayfly/internal/fuzztest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// split passes text through a Writer in pieces that end at the cuts.
func split(t testing.TB, s *redact.Set, text string, cuts ...int) string {
	t.Helper()
	var b bytes.Buffer
	w := s.NewWriter(&b)
	from := 0
	for _, c := range append(cuts, len(text)) {
		n, err := io.WriteString(w, text[from:c])
		must(t, err)
		if n != c-from {
			t.Fatalf("took %d of %d bytes", n, c-from)
		}
		from = c
	}
	must(t, w.Close())
	return b.String()
}

// naive does the same with the whole text at hand: every stretch that forms cover, overlapping ones
// as one, becomes the mark of the form that begins first, of those the longest.
func naive(secrets map[string]string, text string) string {
	type hit struct {
		from, to int
		name     string
	}
	var hits []hit
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		for _, f := range redact.FormsOf(secrets[name]) {
			for i := 0; i+len(f) <= len(text); i++ {
				if text[i:i+len(f)] == f {
					hits = append(hits, hit{i, i + len(f), name})
				}
			}
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int {
		if a.from != b.from {
			return a.from - b.from
		}
		return b.to - a.to
	})
	var b strings.Builder
	at := 0
	for i, h := range hits {
		if i == 0 || h.from >= at {
			b.WriteString(text[at:h.from] + "[secret " + h.name + "]")
		}
		at = max(at, h.to)
	}
	return b.String() + text[at:]
}

func TestFormsOfASecretAreFound(t *testing.T) {
	t.Parallel()
	const v = `p/w "é<&'+ ~日本\𝄞` + "\t"
	set := redact.Compile(map[string]string{"PW": v})
	b64 := func(before string, e *base64.Encoding) string { return e.EncodeToString([]byte(before + v + "z")) }
	for name, text := range map[string]string{
		"raw":                     v,
		"hex":                     hex.EncodeToString([]byte(v)),
		"hex in capitals":         strings.ToUpper(hex.EncodeToString([]byte(v))),
		"base64":                  base64.StdEncoding.EncodeToString([]byte(v)),
		"base64 unpadded":         base64.RawStdEncoding.EncodeToString([]byte(v)),
		"base64 for URLs":         base64.URLEncoding.EncodeToString([]byte(v)),
		"base64 of a line":        base64.StdEncoding.EncodeToString([]byte(v + "\n")),
		"URL query":               url.QueryEscape(v),
		"URL path":                url.PathEscape(v),
		"URL query, small digits": `p%2fw+%22%c3%a9%3c%26%27%2b+~%e6%97%a5%e6%9c%ac%5c%f0%9d%84%9e%09`,
		"JavaScript's URL":        `p%2Fw%20%22%C3%A9%3C%26'%2B%20~%E6%97%A5%E6%9C%AC%5C%F0%9D%84%9E%09`,
		"Python's URL":            `p/w%20%22%C3%A9%3C%26%27%2B%20~%E6%97%A5%E6%9C%AC%5C%F0%9D%84%9E%09`,
		"Go's JSON":               `p/w \"é\u003c\u0026'+ ~日本\\𝄞\t`,
		"plain JSON":              `p/w \"é<&'+ ~日本\\𝄞\t`,
		"PHP's JSON":              `p\/w \"\u00e9<&'+ ~\u65e5\u672c\\\ud834\udd1e\t`,
		"Python's JSON":           `p/w \"\u00e9<&'+ ~\u65e5\u672c\\\ud834\udd1e\t`,
		"JSON, capital digits":    `p/w \"\u00E9<&'+ ~\u65E5\u672C\\\uD834\uDD1E\t`,
		"bash -x":                 strings.ReplaceAll(v, "'", `'\''`),
		"dash -x":                 strings.ReplaceAll(v, "'", `'"'"'`),
	} {
		if got := set.String("<" + text + ">"); got != "<[secret PW]>" {
			t.Errorf("%s: %q became %q", name, text, got)
		}
	}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for _, before := range []string{"", "a", "ab", "abc", "abcd"} {
			if got := set.String(b64(before, e)); !strings.Contains(got, "[secret PW]") || len(got) > len("[secret PW]")+12 {
				t.Errorf("base64 after %q: %q became %q", before, b64(before, e), got)
			}
		}
	}
}

func TestLongSecretIsFoundInWrappedBase64(t *testing.T) {
	t.Parallel()
	v := strings.Repeat("0123456789abcdef", 20)
	set := redact.Compile(map[string]string{"KEY": v})
	enc := base64.StdEncoding.EncodeToString([]byte(v))
	for _, width := range []int{64, 76} {
		var b strings.Builder
		for rest := enc; rest != ""; {
			n := min(width, len(rest))
			b.WriteString(rest[:n] + "\n")
			rest = rest[n:]
		}
		if got := set.String(b.String()); got != "[secret KEY]\n" {
			t.Errorf("wrapped at %d: became %q", width, got)
		}
	}
}

func TestLineBreakAtTheEndOfASecretDoesNotMatter(t *testing.T) {
	t.Parallel()
	set := redact.Compile(map[string]string{"PW": "hunter2\r\n"})
	if got := set.String("hunter2, hunter2\n"); got != "[secret PW], [secret PW]\n" {
		t.Errorf("became %q", got)
	}
	if got := set.String(`{"msg":"hunter2\n"}`); got != `{"msg":"[secret PW]\n"}` {
		t.Errorf("became %q", got)
	}
}

// Programs print the lines of a key with something before them, or one of them in a message.
func TestLinesOfASecretAreFound(t *testing.T) {
	t.Parallel()
	const key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSeQ6tF1aY\r\n  \"q\\uot3<d\"\nA7fs==\nshrt\n-----END EC PRIVATE KEY-----\n"
	set := redact.Compile(map[string]string{"KEY": key, "PW": "  hunter22\t"})
	for text, want := range map[string]string{
		key: "[secret KEY]\n",
		"09:00 MHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSeQ6tF1aY\n09:01 A7fs==\n": "09:00 [secret KEY]\n09:01 A7fs==\n",
		strings.ReplaceAll(key, "\r\n", "\n"):                                     "-----BEGIN EC PRIVATE KEY-----\n[secret KEY]\n  [secret KEY]\nA7fs==\nshrt\n-----END EC PRIVATE KEY-----\n",
		`{"line":"\"q\\uot3\u003cd\""} {"line":"\"q\\uot3<d\""}`:                  `{"line":"[secret KEY]"} {"line":"[secret KEY]"}`,
		"echo hunter22":                  "echo [secret PW]",
		"-----BEGIN EC PRIVATE KEY-----": "-----BEGIN EC PRIVATE KEY-----",
	} {
		if got := split(t, set, text, len(text)/3, len(text)/2); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// What lays out a file of several secrets stands in many others too.
func TestFramesAreNoSecrets(t *testing.T) {
	t.Parallel()
	frames := []string{"clusters:", "- cluster:", `"private": {`, "certificate: |-", "contexts: [", "[default]", `[profile "prod"]`, "-----BEGIN CERTIFICATE-----"}
	secrets := []string{"token: abc", "hunter2hunter:", "[hunter2hunter]", "dGhpcyBpcyBh", "clusters: x", "a sentence of words", "passwort=ü:", "--------x"}
	set := redact.Compile(map[string]string{"FILE": strings.Join(append(slices.Clone(frames), secrets...), "\n  ")})
	for _, line := range frames {
		if got := set.String("> " + line); got != "> "+line {
			t.Errorf("%q became %q", line, got)
		}
	}
	for _, line := range secrets {
		if got := set.String("> " + line); got != "> [secret FILE]" {
			t.Errorf("%q became %q", line, got)
		}
	}
}

func TestShortSecretsAreNamed(t *testing.T) {
	t.Parallel()
	set := redact.Compile(map[string]string{"A": "abc", "B": "abc\n", "C": "", "D": "abcd"})
	if got := set.TooShort(); !slices.Equal(got, []string{"A", "B", "C"}) {
		t.Errorf("too short: %q", got)
	}
	if got := set.String("abc abcd"); got != "abc [secret D]" {
		t.Errorf("became %q", got)
	}
}

func TestOverlappingSecretsLeaveNothing(t *testing.T) {
	t.Parallel()
	set := redact.Compile(map[string]string{"A": "xabcdy", "B": "cdyz!", "C": "bcd1"})
	for text, want := range map[string]string{
		"-xabcdyz!-":  "-[secret A]-",
		"-xabcd1-":    "-xa[secret C]-",
		"xabcdxabcdy": "xabcd[secret A]",
		"xabcdyxabcd": "[secret A]xabcd",
		"cdycdyz!cdy": "cdy[secret B]cdy",
	} {
		if got := set.String(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	chain := redact.Compile(map[string]string{"AA": "aaaa"})
	if got := chain.String(strings.Repeat("a", 10_000) + "b"); got != "[secret AA]b" {
		t.Errorf("a chain of overlaps became %d bytes", len(got))
	}
}

// What may still become a secret stays back; what cannot any more does not.
func TestNothingIsGivenAwayEarly(t *testing.T) {
	t.Parallel()
	const secret = "correct horse"
	set := redact.Compile(map[string]string{"PW": secret})
	var b bytes.Buffer
	w := set.NewWriter(&b)
	for _, c := range []struct{ in, out string }{
		{"the pass is ", "the pass is "}, {"corr", ""}, {"ect ", ""}, {"car", "correct car"}, {"\n", "\n"},
		{"correct hors", ""}, {"e", ""}, {".", "[secret PW]."}, {"correct", ""},
	} {
		b.Reset()
		_, err := io.WriteString(w, c.in)
		must(t, err)
		if got := b.String(); got != c.out {
			t.Errorf("after %q came %q, want %q", c.in, got, c.out)
		}
	}
	b.Reset()
	must(t, w.Close())
	if b.String() != "correct" {
		t.Errorf("the end gave %q", b.String())
	}
}

// T7: 1,000 random secrets, five codings, every place to split.
func TestEverySecretInEveryCodingAtEverySplit(t *testing.T) {
	t.Parallel()
	secrets := 1000
	if testing.Short() {
		secrets = 100
	}
	r := rand.New(rand.NewPCG(7, 7))
	splits := 0
	for i := range secrets {
		v := randomSecret(r)
		set := redact.Compile(map[string]string{"S": v})
		js, err := json.Marshal(v)
		must(t, err)
		for coding, text := range map[string]string{
			"raw": v, "base64": base64.StdEncoding.EncodeToString([]byte(v)), "hex": hex.EncodeToString([]byte(v)),
			"url": url.QueryEscape(v), "json": string(js[1 : len(js)-1]),
		} {
			line := "~" + text + "~"
			for at := range len(line) + 1 {
				splits++
				if got := split(t, set, line, at); got != "~[secret S]~" {
					t.Fatalf("secret %d %q as %s, split at %d, became %q", i, v, coding, at, got)
				}
			}
		}
	}
	t.Logf("%d secrets, %d splits", secrets, splits)
}

func randomSecret(r *rand.Rand) string {
	alphabets := []string{"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", "ab", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}", "äöü€日本𝄞 "}
	a := []rune(alphabets[r.IntN(len(alphabets))])
	var b strings.Builder
	for b.Len() < redact.MinLength || r.IntN(12) > 0 {
		b.WriteRune(a[r.IntN(len(a))])
	}
	return b.String()
}

// A thousand secrets at once, the text of all of them in one stream, cut at random.
func TestAThousandSecretsInOneSet(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(8, 8))
	secrets := map[string]string{}
	var text, want strings.Builder
	for i := range 1000 {
		v := fmt.Sprintf("%x-%d", r.Uint64(), i)
		secrets[fmt.Sprintf("S%03d", i)] = v
		text.WriteString("say " + v + ".\n")
		fmt.Fprintf(&want, "say [secret S%03d].\n", i)
	}
	set := redact.Compile(secrets)
	for range 20 {
		var cuts []int
		for at := 0; at < text.Len(); at += r.IntN(200) {
			cuts = append(cuts, at)
		}
		if got := split(t, set, text.String(), cuts...); got != want.String() {
			t.Fatal("another text came out")
		}
	}
}

func FuzzWriter(f *testing.F) {
	f.Add("abcd", "cdef", "xxabcdefxx", uint64(1))
	f.Add("aaaa", "aaab", "aaaaaaaaabaa", uint64(2))
	f.Add("p<w>", "\n\n\n\n1", "p\\u003cw\\u003e cDx3Pg==", uint64(3))
	f.Fuzz(func(t *testing.T, a, b, text string, seed uint64) {
		if len(a)+len(b)+len(text) > 400 {
			return
		}
		secrets := map[string]string{"A": a, "B": b}
		want := naive(secrets, text)
		r := rand.New(rand.NewPCG(seed, 1))
		var cuts []int
		for at := r.IntN(9); at < len(text); at += r.IntN(9) {
			cuts = append(cuts, at)
		}
		var got string
		fuzztest.Bounded(t, func() { got = split(t, redact.Compile(secrets), text, cuts...) })
		if got != want {
			t.Errorf("secrets %q in %q, cut at %d: %q, want %q", secrets, text, cuts, got, want)
		}
	})
}

// The fuzz property on many small texts over few letters, where overlaps abound.
func TestWriterAgreesWithANaiveSearch(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 9))
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "abc"[r.IntN(3)]
		}
		return string(b)
	}
	for range 1000 {
		secrets := map[string]string{"A": word(4 + r.IntN(4)), "B": word(4 + r.IntN(3)), "C": word(4)}
		text := word(r.IntN(120))
		var cuts []int
		for at := r.IntN(9); at < len(text); at += r.IntN(9) {
			cuts = append(cuts, at)
		}
		if got, want := split(t, redact.Compile(secrets), text, cuts...), naive(secrets, text); got != want {
			t.Fatalf("secrets %q in %q, cut at %d: %q, want %q", secrets, text, cuts, got, want)
		}
	}
}

func BenchmarkWriter(b *testing.B) {
	set := redact.Compile(map[string]string{"A": "correct horse battery staple", "B": "AKIAIOSFODNN7EXAMPLE/x+y", "C": strings.Repeat("k", 2000) + "!"})
	text := []byte(strings.Repeat("2026-11-22T23:00:00Z INFO the quick brown fox jumps over the lazy dog 3.14159\n", 800))
	b.SetBytes(int64(len(text)))
	w := set.NewWriter(io.Discard)
	for b.Loop() {
		if _, err := w.Write(text); err != nil {
			b.Fatal(err)
		}
	}
}
