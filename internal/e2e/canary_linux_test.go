package e2e_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// window is how many bytes in a row give a canary away. Canaries are random: so many are no accident.
const window = 10

// canaries are secrets that were made to be looked for.
type canaries struct {
	values map[string]string
	seen   map[string]string // every window of every form of a value: whose it is, and in which form
}

// newCanaries makes values of the kinds that secrets are of.
func newCanaries(t testing.TB) *canaries {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 7))
	of := func(alphabet string, n int) string {
		all := []rune(alphabet)
		out := make([]rune, n)
		for i := range out {
			out[i] = all[rng.IntN(len(all))]
		}
		return string(out)
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	c := &canaries{seen: map[string]string{}, values: map[string]string{
		"TOKEN":  "tok_" + of(letters, 40),
		"PHRASE": of(letters+"$`\"'\\&<>% ü;*", 60),
		"PEM":    of(letters, 64) + "\n" + of(letters, 64) + "\n" + of(letters, 20),
		"LONG":   of(letters, 700),
	}}
	for name, value := range c.values {
		for form, text := range formsOfCanary(value) {
			for i := 0; i+window <= len(text); i++ {
				c.seen[text[i:i+window]] = name + " " + form
			}
		}
		for form, code := range escapes {
			c.escaped(name+" "+form, value, code)
		}
	}
	return c
}

// escaped adds the windows of a form that writes each character by itself. Ten bytes of few characters are no sign
// of a canary: every script that says >&2 has \u003e\u0026 in JSON.
func (c *canaries) escaped(who, value string, code func(string) string) {
	const fewest = 6
	var text []byte
	var of []int // for each byte, the number of its character
	for i, r := range []rune(value) {
		piece := code(string(r))
		text, of = append(text, piece...), append(of, slices.Repeat([]int{i}, len(piece))...)
	}
	for i := 0; i+window <= len(text); i++ {
		if of[i+window-1]-of[i] >= fewest-1 {
			c.seen[string(text[i:i+window])] = who
		}
	}
}

// escapes are the ways in which programs write a character that does not stand for itself.
var escapes = map[string]func(string) string{
	"JSON": func(v string) string {
		b, _ := json.Marshal(v) // a string always has a coding
		return unquoted(string(b))
	},
	"Go":          func(v string) string { return unquoted(strconv.Quote(v)) },
	"Go in ASCII": func(v string) string { return unquoted(strconv.QuoteToASCII(v)) },
	"URL":         url.QueryEscape,
	"path":        url.PathEscape,
}

func unquoted(v string) string { return v[1 : len(v)-1] }

// formsOfCanary are the ways in which a value could be written as a whole by a program that means no harm.
func formsOfCanary(v string) map[string]string {
	back := []byte(v)
	slices.Reverse(back)
	forms := map[string]string{
		"raw": v, "reversed": string(back), "hex": hex.EncodeToString([]byte(v)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(v))),
	}
	for before := range 3 { // wherever it lies in what was coded
		for name, enc := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			text := enc.EncodeToString([]byte(strings.Repeat("\x00", before) + v))
			forms[name+strconv.Itoa(before)] = text[(before*8+5)/6 : (before+len(v))*8/6]
		}
	}
	return forms
}

// find tells which canary is in a text, and where; empty if none is, not compressed either.
func (c *canaries) find(text []byte) string {
	for i := 0; i+window <= len(text); i++ {
		if who, ok := c.seen[string(text[i:i+window])]; ok {
			return who + " at " + strconv.Itoa(i)
		}
	}
	for i := 0; i+2 < len(text); i++ {
		var r io.Reader
		var err error
		switch {
		case text[i] == 0x1f && text[i+1] == 0x8b && text[i+2] == 8:
			r, err = gzip.NewReader(bytes.NewReader(text[i:]))
		case text[i] == 0x78 && (text[i+1] == 0x01 || text[i+1] == 0x9c || text[i+1] == 0xda):
			r, err = zlib.NewReader(bytes.NewReader(text[i:]))
		}
		if r == nil || err != nil {
			continue
		}
		inner, _ := io.ReadAll(io.LimitReader(r, 16<<20)) // what can be read of it
		for j := 0; j+window <= len(inner); j++ {
			if who, ok := c.seen[string(inner[j:j+window])]; ok {
				return who + " compressed at " + strconv.Itoa(i)
			}
		}
	}
	return ""
}

// scan looks into every file below a directory, and at its name. What except names is the job's own;
// the names below that are looked at all the same, unless it names a directory.
func (c *canaries) scan(t testing.TB, top string, except func(path string) bool) (files int, size int64) {
	t.Helper()
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it went while it was looked for
		}
		name := strings.TrimPrefix(path, top)
		own := except != nil && except(name)
		if own && d.IsDir() {
			return fs.SkipDir
		}
		if who := c.find([]byte(name)); who != "" {
			t.Errorf("the name of %s has %s", name, who)
		}
		if link, err := os.Readlink(path); err == nil {
			if who := c.find([]byte(link)); who != "" {
				t.Errorf("the link %s has %s", name, who)
			}
		}
		if own || !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		files, size = files+1, size+int64(len(text))
		if who := c.find(text); who != "" {
			t.Errorf("%s has %s", name, who)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, size
}
