package spec_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/spec"
)

// bad is text that must be refused: where, by which rule, and a part of the words.
type bad struct {
	text string
	at   string // line:column, or empty for the file as a whole
	rule spec.Rule
	says string
}

// What a file cannot show: characters that do not print, other encodings.
var badBytes = map[string]bad{
	"UTF-16 little, marked":    {"\xff\xfen\x00a\x00", "1:1", spec.RuleEncoding, "UTF-16"},
	"UTF-16 big, marked":       {"\xfe\xff\x00n\x00a", "1:1", spec.RuleEncoding, "UTF-16"},
	"UTF-16 little":            {"n\x00a\x00m\x00e\x00", "1:1", spec.RuleEncoding, "UTF-16"},
	"UTF-16 big":               {"\x00n\x00a\x00m\x00e", "1:1", spec.RuleEncoding, "UTF-16"},
	"UTF-32":                   {"\xff\xfe\x00\x00n\x00\x00\x00", "1:1", spec.RuleEncoding, "UTF-32"},
	"Latin-1":                  {"name: x\nrun: caf\xe9\n", "2:9", spec.RuleEncoding, "0xE9 is not UTF-8"},
	"overlong":                 {"name: \xc0\xaf\n", "1:7", spec.RuleEncoding, "0xC0 is not UTF-8"},
	"half a character":         {"name: x\nrun: \xf0\x9f", "2:6", spec.RuleEncoding, "is not UTF-8"},
	"surrogate":                {"name: \xed\xa0\x80\n", "1:7", spec.RuleEncoding, "is not UTF-8"},
	"NUL":                      {"name: x\nrun: a\x00b\n", "2:7", spec.RuleEncoding, "NUL"},
	"escape":                   {"name: x\nrun: \x1b[31mred\n", "2:6", spec.RuleEncoding, "U+001B"},
	"DEL":                      {"name: x\nrun: \x7f\n", "2:6", spec.RuleEncoding, "U+007F"},
	"C1":                       {"name: x\nrun: y # \u0085\n", "2:10", spec.RuleEncoding, "U+0085"},
	"right to left override":   {"name: x\nrun: echo \u202etac\n", "2:11", spec.RuleEncoding, "U+202E"},
	"isolate":                  {"name: x # \u2066\nrun: y\n", "1:11", spec.RuleEncoding, "U+2066"},
	"line separator":           {"name: x\ndescription: a\u2028b\n", "2:15", spec.RuleEncoding, "U+2028"},
	"byte order mark inside":   {"name: x\nrun: \ufeffy\n", "2:6", spec.RuleEncoding, "U+FEFF"},
	"two byte order marks":     {"\ufeff\ufeffname: x\n", "1:1", spec.RuleEncoding, "U+FEFF"},
	"carriage return alone":    {"name: x\rrun: y\n", "1:8", spec.RuleEncoding, "carriage return"},
	"mark before a typo":       {"\ufeffnam: x\nname: x\nrun: y\n", "1:1", spec.RuleUnknown, `"nam"`},
	"CRLF and a typo":          {"name: x\r\nrum: y\r\nrun: y\r\n", "2:1", spec.RuleUnknown, `"rum"`},
	"cron without quotes":      {"name: x\nschedule: */5 * * * *\nrun: y\n", "2:11", spec.RuleSyntax, "text that begins with * needs quotes"},
	"stars without quotes":     {"name: x\nschedule: * * * * * # all\nrun: y\n", "2:11", spec.RuleSyntax, "text that begins with * needs quotes"},
	"cron in a list":           {"name: x\nschedule:\n- \"@daily\"\n-  */5 1 * * *\nrun: y\n", "4:4", spec.RuleSyntax, "text that begins with * needs quotes"},
	"cron in a short list":     {"name: x\nschedule: [ */5 * * * *]\nrun: y\n", "2:13", spec.RuleSyntax, "text that begins with * needs quotes"},
	"a blank behind &":         {"name: x\nrun: & y\n", "2:6", spec.RuleSyntax, "text that begins with & needs quotes"},
	"a list beside its key":    {"name: x\nrun: y\nschedule: - \"@daily\"\n", "3:11", spec.RuleSyntax, "a list cannot begin here"},
	"quotes left open":         {"name: x\ndescription: \"abc\nschedule: \"@daily\"\nrun: y\n", "2:14", spec.RuleSyntax, "does not end on its line"},
	"single quotes left open":  {"name: x\nenv:\n  A: 'it''s\n  B: 'b'\nrun: y\n", "3:6", spec.RuleSyntax, "does not end on its line"},
	"quotes in a list open":    {"name: x\nfiles: [\"a\", \"b]\nschedule: \"@daily\"\nrun: y\n", "2:14", spec.RuleSyntax, "does not end on its line"},
	"quotes over two lines":    {"name: x\ndescription: \"a\n  b\"\nschedule: @daily\nrun: y\n", "4:11", spec.RuleSyntax, "text cannot begin with '@'"},
	"quotes in a script":       {"name: x\nrun: |\n  a: \"b\n  c: 'd\nschedule: \"@daily\" x\n", "5:20", spec.RuleSyntax, ""},
	"escaped NUL in a secret":  {"name: x\nrun: y\nsecrets: {A: \"env:A\\0\"}", "3:14", spec.RuleValue, "env:"},
	"escaped surrogate":        {"name: \"\\ud800\"\nrun: y\n", "1:10", spec.RuleSyntax, "escape"},
	"block of invisible text":  {"name: x\nrun: y\ndescription: \"\\u202e\"\n", "3:14", spec.RuleValue, "invisible"},
	"invisible file":           {"name: x\nrun: y\nfiles: [\"a\\u202eb\"]\n", "3:9", spec.RuleValue, "invisible"},
	"directive":                {"%TAG ! tag:x,2000:\n---\nname: x\n", "1:1", spec.RuleSyntax, "directives"},
	"directive, second":        {"name: x\nrun: y\n...\n%YAML 1.1\n---\n", "4:1", spec.RuleSyntax, "directives"},
	"one byte too many":        {strings.Repeat("#", spec.MaxSize+1), "", spec.RuleLimit, "1 MiB"},
	"a script too long":        {"name: x\nrun: " + strings.Repeat("x", 64<<10+1), "2:6", spec.RuleValue, "64 KiB"},
	"a value too long":         {"name: x\nrun: y\nenv: {A: " + strings.Repeat("x", 64<<10+1) + "}", "3:10", spec.RuleValue, "64 KiB"},
	"an environment too large": {"name: x\nrun: y\nenv:\n" + lines(5, func(i int) string { return fmt.Sprintf("  A%d: %s", i, strings.Repeat("x", 60<<10)) }), "3:1", spec.RuleValue, "256 KiB"},
	"too many variables":       {"name: x\nrun: y\nenv:\n" + lines(1001, func(i int) string { return fmt.Sprintf("  A%d: b", i) }), "1:1", spec.RuleConflict, "1001 variables"},
	"too many files":           {"name: x\nrun: y\nfiles:\n" + lines(1001, func(i int) string { return fmt.Sprintf("- f%d", i) }), "3:1", spec.RuleValue, "1001 entries"},
	"too many schedules":       {"name: x\nrun: y\nschedule:\n" + lines(101, func(int) string { return "- '@daily'" }), "3:1", spec.RuleValue, "101 entries"},
	"a path too long":          {"name: x\nrun: y\nfiles: [" + strings.Repeat("a", 1025) + "]", "3:9", spec.RuleValue, "1025 bytes"},
	"a description too long":   {"name: x\nrun: y\ndescription: " + strings.Repeat("é", 1025), "3:14", spec.RuleValue, "1025 characters"},
	"a variable's name":        {"name: x\nrun: y\nenv: {" + strings.Repeat("A", 129) + ": b}", "3:7", spec.RuleValue, "not the name"},
}

func lines(n int, line func(int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(line(i) + "\n")
	}
	return b.String()
}

func TestBadBytes(t *testing.T) {
	t.Parallel()
	for name, c := range badBytes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := refuse(t, c.text)[0]
			want := "job.yaml"
			if c.at != "" {
				want += ":" + c.at
			}
			if e.Position() != want || e.Rule != c.rule || !strings.Contains(e.Problem, c.says) {
				t.Errorf("want %s %s with %q, got %s %s\n%v", want, c.rule, c.says, e.Position(), e.Rule, e)
			}
			for _, r := range e.Error() {
				if r < 0x20 && r != '\n' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r == 0x2028 || r == 0xfeff {
					t.Errorf("the error itself holds %U", r)
				}
			}
		})
	}
}

// What is repeated of a file is a cron expression, never what may be a password.
func TestStarsAreRepeatedOnlyWhereTheyAreCron(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"name: x\nschedule: */5 * * * *  # often\nrun: y\n":   `put it between quotes: schedule: "*/5 * * * *"`,
		"name: x\nschedule:\n  - at: * 4 * * MON-FRI\nrun: y": `put it between quotes: - at: "* 4 * * MON-FRI"`,
		"name: x\nrun: y\nenv: {A: *a b}\n":                   `put it between quotes`,
		"name: x\nrun: y\nenv:\n  PASSWORD: *a*!b c\n":        `put it between quotes`,
		"name: x\nrun: y\nsecrets:\n  A: *1 * * * *\n":        `put it between quotes`,
	} {
		e := refuse(t, text)[0]
		if e.Suggestion != want {
			t.Errorf("%s%v", text, e)
		}
	}
}

// The limits themselves are allowed.
func TestLimitsAreAllowed(t *testing.T) {
	t.Parallel()
	pad := strings.Repeat("#", spec.MaxSize-len("name: x\nrun: y\n"))
	load(t, "name: x\nrun: y\n"+pad)
	load(t, "name: x\nrun: "+strings.Repeat("x", 64<<10))
	load(t, "name: "+strings.Repeat("a", 48)+"\nrun: y\n")
	load(t, "name: con\nrun: y\n")
	load(t, "name: x\nrun: y\ndescription: "+strings.Repeat("é", 1024))
	load(t, "name: x\nrun: y\ntimeout: 30d\n")
	load(t, "name: x\nrun: y\ndeadline: 31d\n")
	load(t, "name: x\nrun: y\narray: {size: 10000, at_once: 10000}\nretry: {attempts: 100}\nmachine: {pids: 4194304, cpu: 1024, memory: 64TiB}")
	load(t, "name: x\nrun: y\nenv:\n"+lines(1000, func(i int) string { return fmt.Sprintf("  A%d: b", i) }))
	// A long script, full of what YAML would take for marks, is text all the same.
	script := lines(1500, func(int) string { return `  [ -n "${A:-}" ] && echo "{a: [b, c]}" > x` })
	load(t, "name: x\nrun: |\n"+script[:64<<10])
}

// heavy is text that costs a careless reader much time or memory.
func heavy() map[string]string {
	rep := func(s string, n int) string { return strings.Repeat(s, n/len(s)) }
	const mib = spec.MaxSize
	const head = "name: x\nrun: y\n"
	cut := func(s string) string { return s[:min(len(s), mib)] }
	const marks = 39_900 // a little fewer than are refused
	return map[string]string{
		"almost too many json keys":         "{" + rep(`"a":1,`, marks/4*6) + "}",
		"almost too many commas":            "[" + rep(",", marks),
		"almost too many keys":              lines(marks/2, func(i int) string { return fmt.Sprintf("k%d:", i) }),
		"almost too many anchors":           rep("&a ", marks*3),
		"almost too many aliases":           "a: &a x\nb: [" + rep("*a,", marks/2*3),
		"almost too many lists":             "[" + rep("[],", marks),
		"almost too many dashes":            rep("-\n", marks),
		"almost too many questions":         rep("?\n", marks),
		"almost too many comments":          rep("a: # b\n", marks/3*7),
		"almost too many lines":             head + "env:\n" + lines(marks/3, func(i int) string { return fmt.Sprintf("  A%d: %s", i, rep("b", 60)) }),
		"almost too many tokens of secrets": lines(marks/2-9, func(int) string { return "my_secret_token_DB: 'x" }),
		"10^6 keys":                         cut("{" + rep("a,", mib)),
		"keys":                              cut(lines(200_000, func(i int) string { return fmt.Sprintf("k%d:", i) })),
		"keys, few enough":                  cut(lines(9_000, func(i int) string { return fmt.Sprintf("k%d: 1", i) })),
		"keys on one line":                  cut("{" + lines(4_900, func(i int) string { return fmt.Sprintf("%s%d: 1,", rep("k", 200), i) }) + "}"),
		"keys on one long line":             cut("{" + strings.ReplaceAll(lines(4_900, func(i int) string { return fmt.Sprintf("%s%d: 1,", rep("k", 200), i) }), "\n", " ") + "}"),
		"escapes on one line":               cut("name: x\nrun: y\nfiles: [" + strings.ReplaceAll(lines(900, func(i int) string { return fmt.Sprintf(`"\x41%s%d",`, rep("k", 1000), i) }), "\n", " ") + "]"),
		"variables on one line":             cut(head + "env: {" + strings.ReplaceAll(lines(4_900, func(i int) string { return fmt.Sprintf("%s%d: 1,", rep("k", 100), i) }), "\n", " ") + "}"),
		"json keys":                         cut("{" + rep(`"a":1,`, mib)),
		"commas":                            cut("[" + rep(",", mib)),
		"empty lists":                       cut("[" + rep("[],", mib)),
		"10,000 deep list":                  cut(rep("[", 10_000)),
		"10,000 deep dashes":                cut(rep("- ", 20_000)),
		"10,000 deep blocks":                cut(lines(1400, func(i int) string { return rep(" ", i) + "a:" })),
		"questions":                         cut(rep("? ", mib)),
		"anchors":                           cut(rep("&a ", mib)),
		"an anchor":                         cut("a: &" + rep("x", mib)),
		"tags":                              cut(rep("!a ", mib)),
		"aliases":                           cut("a: &a x\nb: [" + rep("*a,", mib)),
		"alias bomb": "a: &a [x,x,x,x,x,x,x,x,x]\n" + lines(9, func(i int) string {
			return fmt.Sprintf("%c: &%c [%s]", 'b'+i, 'b'+i, rep(fmt.Sprintf("*%c,", 'a'+i), 27))
		}),
		"tag directives":         cut(lines(40_000, func(i int) string { return fmt.Sprintf("%%TAG !a%d! b", i) }) + "---\n"),
		"documents":              cut(rep("---\n", mib)),
		"comments":               cut(rep("# x\n", mib)),
		"comments between":       cut("a:\n" + rep("# c\n", 30_000) + "  b: 1\n" + rep("# d\n", 30_000)),
		"scalar":                 cut(head + "description: " + rep("x", mib)),
		"words":                  cut(head + "description: " + rep("x ", mib)),
		"digits":                 cut(head + "limit: {machines: " + rep("1", mib)),
		"digits, closed":         head + "limit: {machines: " + rep("1", 1_000_000) + "}",
		"digits in a timeout":    cut(head + "timeout: " + rep("1", mib)),
		"escapes":                head + `description: "` + rep(`\n`, 1_000_000) + `"`,
		"quotes":                 cut("a: '" + rep("''", mib)),
		"a long key":             cut(rep("k", mib-2) + ": "),
		"a long name":            cut("name: " + rep("x", mib)),
		"blanks":                 cut(rep(" ", mib) + "a: 1"),
		"tabs":                   cut("a:" + rep("\t", mib)),
		"lines":                  cut(rep("\n", mib)),
		"block":                  cut("run: |\n" + rep("  x\n", mib)),
		"schedules":              head + "schedule:\n" + lines(100, func(int) string { return "- '" + rep("1,", 1000) + " * * * *'" }),
		"schedule":               cut(head + "schedule: '" + rep("*", mib-60) + "'"),
		"rare schedules":         head + "schedule:\n" + lines(100, func(int) string { return "- cron(0 0 29 2 ? 2199)" }),
		"unknown zones":          head + "schedule:\n" + lines(100, func(i int) string { return fmt.Sprintf("- {at: '@daily', timezone: Europe/Nowhere%d}", i) }),
		"secrets":                cut(head + "secrets:\n" + lines(9_000, func(i int) string { return fmt.Sprintf("  A%d: x", i) })),
		"many equal signs":       cut(rep("a=", mib)),
		"many equal signs, YAML": cut("zzz: " + rep("a=", 1_000_000)),
	}
}

// Whatever the text, it is read or refused in a second and 64 MiB. What is measured is everything
// that was allocated, kept or not, which is more than any limit on what is in use.
func TestHeavy(t *testing.T) { // not parallel: it measures
	if raced {
		t.Skip("the race detector costs time and memory of its own")
	}
	for name, text := range heavy() {
		t.Run(name, func(t *testing.T) {
			if len(text) > spec.MaxSize {
				t.Fatalf("%d bytes: the size alone would refuse it", len(text))
			}
			took := time.Hour
			for range 3 { // others may use the machine meanwhile; the best of three is what it takes
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := time.Now()
				_, err := spec.Load("job.yaml", []byte(text))
				took = min(took, time.Since(start))
				runtime.ReadMemStats(&after)
				if spent := after.TotalAlloc - before.TotalAlloc; spent > 64<<20 {
					t.Errorf("%d MiB", spent>>20)
				}
				if err != nil && len(err.Error()) > 1<<20 {
					t.Errorf("the error has %d bytes", len(err.Error()))
				}
				if took < time.Second/4 {
					break
				}
			}
			if took > time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestManyErrors(t *testing.T) {
	t.Parallel()
	_, err := spec.Load("job.yaml", []byte("name: x\nrun: y\n"+lines(250, func(i int) string { return fmt.Sprintf("k%d: 1", i) })))
	errs := err.(*spec.Errors)
	if len(errs.List) != spec.MaxErrors || errs.More != 150 {
		t.Errorf("%d errors and %d more", len(errs.List), errs.More)
	}
	if !strings.HasSuffix(err.Error(), "\nand 150 more") {
		t.Errorf("ends in %q", err.Error()[len(err.Error())-40:])
	}
}
