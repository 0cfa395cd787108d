package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// formsOf lists the texts that give a secret away; none if it is too short to look for.
func formsOf(value string) []string {
	bare := strings.TrimRight(value, "\r\n")
	if len(bare) < MinLength {
		return nil
	}
	digits := hex.EncodeToString([]byte(bare))
	out := []string{bare, digits, strings.ToUpper(digits)}
	out = append(out, urlForms(bare)...)
	out = append(out, jsonForms(bare)...)
	out = append(out, shellForms(bare)...)
	out = append(out, lineForms(bare)...)
	for _, v := range []string{bare, value, bare + "\n"} { // a line break changes base64 before it
		out = append(out, base64Forms(v)...)
	}
	out = slices.DeleteFunc(out, func(f string) bool { return len(f) < MinLength })
	slices.Sort(out)
	return slices.Compact(out)
}

// lineForms has the lines of a value, for programs that print one after the other with something between
// them, such as blanks or the time.
func lineForms(v string) (out []string) {
	for line := range strings.FieldsFuncSeq(v, func(c rune) bool { return c == '\n' || c == '\r' }) {
		if line = strings.TrimSpace(line); len(line) >= MinLine && !isFrame(line) {
			out = append(out, line)
			out = append(out, jsonForms(line)...)
		}
	}
	return out
}

// isFrame tells whether a line only says how those below it are laid out: the marks around a key in PEM,
// the name of a section, or a name of YAML or JSON whose value follows. Many texts have such lines.
func isFrame(line string) bool {
	if strings.HasPrefix(line, "-----") && strings.HasSuffix(line, "-----") {
		return true
	}
	name, frame := strings.CutSuffix(strings.TrimRight(line, " {[|>+-"), ":")
	if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
		name, frame = line[1:len(line)-1], true
	}
	return frame && strings.TrimFunc(name, inName) == ""
}

func inName(c rune) bool {
	return c < utf8.RuneSelf && (unicode.IsLetter(c) || strings.ContainsRune(`-_. "'`, c))
}

// base64Forms has what is certain of the coding of v wherever it lies in what was coded: the
// characters made of its bits alone, and at the end of the coded text those after them too.
func base64Forms(v string) (out []string) {
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for before := range 3 {
			text := enc.EncodeToString([]byte(strings.Repeat("\x00", before) + v))
			from := (before*8 + 5) / 6
			certain := (before + len(v)) * 8 / 6
			out = append(out, text[from:certain], text[from:], strings.TrimRight(text[from:], "="))
		}
	}
	for _, width := range []int{64, 76} {
		if text := base64.StdEncoding.EncodeToString([]byte(v)); len(text) > width {
			out = append(out, wrap(text, width))
		}
	}
	return out
}

func wrap(s string, width int) string {
	var b strings.Builder
	for len(s) > width {
		b.WriteString(s[:width] + "\n")
		s = s[width:]
	}
	return b.String() + s
}

// urlForms has the escapings of Go, JavaScript and Python, and of every byte, in both cases of the hex digits.
func urlForms(v string) (out []string) {
	every := func(byte) bool { return false }
	js := func(c byte) bool { return strings.IndexByte("-_.!~*'()", c) >= 0 }
	python := func(c byte) bool { return strings.IndexByte("-_.~/", c) >= 0 }
	forms := []string{url.QueryEscape(v), url.PathEscape(v), percent(v, js, true), percent(v, python, true), percent(v, every, false)}
	for _, f := range forms {
		out = append(out, f, lowerPercent(f))
	}
	return out
}

func percent(v string, plain func(byte) bool, alnum bool) string {
	var b strings.Builder
	for i := range len(v) {
		c := v[i]
		if plain(c) || alnum && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func lowerPercent(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], strings.ToLower(string(b[i+1:i+3])))
			i += 2
		}
	}
	return string(b)
}

// jsonForms has the escapings of a JSON string: with and without those for HTML, with "/" escaped,
// and with everything but ASCII escaped.
func jsonForms(v string) (out []string) {
	forms := []string{goJSON(v), asciiJSON(v)}
	forms = append(forms, unHTML(forms[0]), unHTML(strings.NewReplacer(`\\`, `\\`, `\b`, `\u0008`, `\f`, `\u000c`).Replace(forms[0])))
	for _, f := range forms {
		slashed := strings.ReplaceAll(f, "/", `\/`)
		out = append(out, f, slashed, upperEscapes(f), upperEscapes(slashed))
	}
	return out
}

func goJSON(v string) string {
	b, _ := json.Marshal(v) // a string always has a coding
	return string(b[1 : len(b)-1])
}

func unHTML(s string) string {
	return strings.NewReplacer(`\\`, `\\`, `\u003c`, "<", `\u003e`, ">", `\u0026`, "&", `\u2028`, "\u2028", `\u2029`, "\u2029").Replace(s)
}

func asciiJSON(v string) string {
	var b strings.Builder
	for _, r := range unHTML(goJSON(v)) {
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// upperEscapes is s with the hex digits of \u escapes in upper case.
func upperEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+5 < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		if b[i+1] == 'u' {
			copy(b[i+2:], strings.ToUpper(string(b[i+2:i+6])))
			i += 4
		}
		i++ // what a backslash escapes is no backslash
	}
	return string(b)
}

// shellForms has what "set -x" of dash and bash print of a value with a quote in it.
func shellForms(v string) []string {
	if !strings.Contains(v, "'") {
		return nil
	}
	return []string{strings.ReplaceAll(v, "'", `'\''`), strings.ReplaceAll(v, "'", `'"'"'`)}
}
