package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// event is one line of `go test -json`, as `go doc test2json` describes it.
type event struct {
	Action      string
	Package     string
	Test        string
	Output      string
	FailedBuild string
}

// name identifies a test among all packages.
type name struct{ pkg, test string }

func (n name) String() string { return n.pkg + "." + n.test }

// summary is what is known of the tests so far. Only the tests that have no
// subtests count, so that one failure is one failure; a test with subtests
// counts when it failed or was skipped and none of them did.
type summary struct {
	out     io.Writer
	verdict map[name]string   // "" while it runs, then pass, fail or skip
	text    map[name][]string // what each test wrote, until it passes
	broken  []string          // what failed without a failing test
	passed  int
	failed  []name
	skipped map[string][]name // by reason
}

func newSummary(out io.Writer) *summary {
	return &summary{
		out:     out,
		verdict: map[name]string{},
		text:    map[name][]string{},
		skipped: map[string][]name{},
	}
}

func (s *summary) add(e event) {
	n := name{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		io.WriteString(s.out, e.Output)
	case "run":
		s.verdict[n] = ""
	case "output":
		s.output(n, e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(e)
			return
		}
		s.endTest(n, e.Action)
	}
}

// chatter is what -v adds to the output and nobody needs to see.
var chatter = regexp.MustCompile(`^\s*(=== (RUN|PAUSE|CONT|NAME)|--- PASS:)`)

func (s *summary) output(n name, text string) {
	isVerdict := strings.HasPrefix(text, "ok  \t") || strings.HasPrefix(text, "FAIL\t") || strings.HasPrefix(text, "?   \t")
	switch {
	case n.test == "" && isVerdict:
		s.show(n) // what a broken package said comes before its verdict
		io.WriteString(s.out, text)
	case n.test == "" && (text == "PASS\n" || text == "FAIL\n"):
	case !chatter.MatchString(text):
		s.text[n] = append(s.text[n], text)
	}
}

// show prints what n wrote and forgets it.
func (s *summary) show(n name) {
	for _, text := range s.text[n] {
		io.WriteString(s.out, text)
	}
	delete(s.text, n)
}

func (s *summary) endTest(n name, verdict string) {
	s.verdict[n] = verdict
	if verdict == "fail" {
		s.show(n)
	}
	if verdict == "pass" {
		delete(s.text, n)
	}
}

// endPackage counts the tests of a package that has ended and forgets them.
func (s *summary) endPackage(e event) {
	tests := map[string]string{}
	for n, verdict := range s.verdict {
		if n.pkg == e.Package {
			tests[n.test] = verdict
		}
	}
	failedBefore := len(s.failed)
	for _, test := range slices.Sorted(maps.Keys(tests)) {
		n, verdict := name{e.Package, test}, tests[test]
		if verdict == "" { // it ended with the process: a panic elsewhere, a time-out, a kill
			s.show(n)
			verdict = "fail"
		}
		s.count(n, verdict, tests)
		delete(s.verdict, n)
		delete(s.text, n)
	}
	if e.Action == "fail" && len(s.failed) == failedBefore {
		s.show(name{e.Package, ""})
		s.broken = append(s.broken, e.Package+" (the package itself)")
	}
	delete(s.text, name{e.Package, ""})
}

func (s *summary) count(n name, verdict string, tests map[string]string) {
	leaf := true
	for test, v := range tests {
		if strings.HasPrefix(test, n.test+"/") {
			leaf = false
			if v == verdict || v == "" {
				return
			}
		}
	}
	switch {
	case verdict == "fail":
		s.failed = append(s.failed, n)
	case verdict == "skip":
		reason := reason(s.text[n])
		s.skipped[reason] = append(s.skipped[reason], n)
	case leaf:
		s.passed++
	}
}

// place is the "file.go:12: " before what a test says.
var place = regexp.MustCompile(`^\s+\S+\.go:\d+: `)

// reason returns the last thing a skipped test said.
func reason(text []string) string {
	said := "no reason given"
	for _, line := range text {
		if at := place.FindString(line); at != "" {
			said = strings.TrimSpace(line[len(at):])
		}
	}
	return said
}

// close prints the end of the story and returns the exit code: the commands'
// own, else 1 if there is something in it that theirs does not tell.
func (s *summary) close(code int, ci bool, allowed []string) int {
	for n, verdict := range s.verdict { // packages whose end was never reported
		if verdict == "" || verdict == "fail" {
			s.show(n)
			s.failed = append(s.failed, n)
		}
	}
	if code != 0 && len(s.failed)+len(s.broken) == 0 {
		s.broken = append(s.broken, fmt.Sprintf("exit code %d, and no test was named", code))
	}
	s.listSkips()
	s.listFailures()
	failed, lost := len(s.failed)+len(s.broken), s.lost(ci, allowed)
	if s.passed+failed == 0 {
		fmt.Fprintln(s.out, "\nno test ran")
	}
	if code == 0 && (failed+lost > 0 || s.passed == 0) {
		code = 1
	}
	skipped := 0
	for _, names := range s.skipped {
		skipped += len(names)
	}
	fmt.Fprintf(s.out, "\n%d passed, %d failed, %d skipped\n", s.passed, failed, skipped)
	return code
}

func (s *summary) listFailures() {
	if len(s.failed)+len(s.broken) > 0 {
		fmt.Fprintln(s.out, "\nfailed:")
	}
	slices.SortFunc(s.failed, func(a, b name) int { return cmp.Compare(a.String(), b.String()) })
	for _, n := range s.failed {
		fmt.Fprintf(s.out, "  %s\n", n)
	}
	for _, what := range s.broken {
		fmt.Fprintf(s.out, "  %s\n", what)
	}
}

func (s *summary) listSkips() {
	if len(s.skipped) > 0 {
		fmt.Fprintln(s.out, "\nskipped:")
	}
	for _, reason := range slices.Sorted(maps.Keys(s.skipped)) {
		fmt.Fprintf(s.out, "  %s\n", reason)
		for _, n := range s.skipped[reason] {
			fmt.Fprintf(s.out, "    %s\n", n)
		}
	}
}

// lost names the skipped tests that CI does not allow and returns their number.
func (s *summary) lost(ci bool, allowed []string) int {
	if !ci {
		return 0
	}
	lost := 0
	for _, reason := range slices.Sorted(maps.Keys(s.skipped)) {
		for _, n := range s.skipped[reason] {
			if slices.ContainsFunc(allowed, func(a string) bool {
				return n.String() == a || strings.HasPrefix(n.String(), a+"/")
			}) {
				continue
			}
			if lost++; lost == 1 {
				fmt.Fprintln(s.out, "\nskipped though CI must run it (make it run, or list it in the file of -skips with a reason):")
			}
			fmt.Fprintf(s.out, "  %s: %s\n", n, reason)
		}
	}
	return lost
}
