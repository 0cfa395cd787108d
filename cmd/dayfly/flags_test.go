package main

import (
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

var flagsMode = flag.String("flags", "", "a pattern of flags, such as 'history --limit': each is ignored in turn, and its tests must notice")

// withoutFlag names the flag that the program under test ignores, such as "dayfly history --limit".
const withoutFlag = "DAYFLY_TEST_WITHOUT"

// ignoring takes the flag out of a call that is to be ignored, with its value.
func ignoring(ignored string, args []string) []string {
	if ignored == "" {
		return args
	}
	root := newApp(nil, nil, io.Discard, io.Discard).root()
	cmd, _, err := root.Find(args)
	path, name, _ := strings.Cut(ignored, " --")
	if err != nil || cmd.CommandPath() != path && path != root.Name() {
		return args
	}
	f := cmd.Flag(name)
	if f == nil {
		f = root.PersistentFlags().Lookup(name)
	}
	if f == nil {
		return args
	}
	var out []string
	for i := 0; i < len(args); i++ {
		given, _, valued := strings.Cut(args[i], "=")
		switch {
		case args[i] == "--":
			return append(out, args[i:]...)
		case given != "--"+f.Name && (f.Shorthand == "" || given != "-"+f.Shorthand):
			out = append(out, args[i])
		case !valued && f.NoOptDefVal == "":
			i++
		}
	}
	return out
}

func TestFlagsAreTakenOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ ignored, args, want string }{
		{"dayfly history --limit", "history --limit 3 -o json", "history -o json"},
		{"dayfly history --output", "history --limit 3 -o json a", "history --limit 3 a"},
		{"dayfly history --output", "history --output=json a", "history a"},
		{"dayfly history --limit", "ps --limit 3", "ps --limit 3"},
		{"dayfly logs --follow", "logs -f job", "logs job"},
		{"dayfly --data", "--data /x ps --data /y", "ps"},
		{"dayfly next --tz", "next --tz UTC -- --tz", "next -- --tz"},
	} {
		if got := strings.Join(ignoring(c.ignored, strings.Fields(c.args)), " "); got != c.want {
			t.Errorf("%s without %s: %q, want %q", c.args, c.ignored, got, c.want)
		}
	}
}

// TestEveryFlagCounts ignores each flag that matches -flags, and expects one of the tests that give it to fail.
func TestEveryFlagCounts(t *testing.T) {
	if *flagsMode == "" {
		return // it takes minutes: go test ./cmd/dayfly -run TestEveryFlagCounts -flags .
	}
	wanted := regexp.MustCompile(*flagsMode)
	for _, c := range commands() {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			name := c.CommandPath() + " --" + f.Name
			if f.Name == "help" || !wanted.MatchString(name) {
				return
			}
			t.Run(name, func(t *testing.T) {
				tests := testsOf(t, name, calls(c, f))
				run := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run", tests, "-test.count=1", "-test.failfast", "-test.timeout=5m")
				run.Env = append(os.Environ(), withoutFlag+"="+name)
				began := time.Now()
				out, err := run.CombinedOutput()
				if err == nil {
					t.Errorf("nobody notices that it is ignored: %s\n%s", tests, out)
				}
				t.Logf("%s, %s", tests, time.Since(began))
			})
		})
	}
}

// testsOf is a pattern of the tests that give a flag.
func testsOf(t *testing.T, name string, calls *regexp.Regexp) string {
	t.Helper()
	if file, ok := elsewhere[name]; ok {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var tests []string
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			tests = append(tests, m[1])
		}
		return "^(" + strings.Join(tests, "|") + ")$"
	}
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	scripts = slices.DeleteFunc(scripts, func(path string) bool {
		text, err := os.ReadFile(path)
		return err != nil || !calls.Match(text)
	})
	for i, s := range scripts {
		scripts[i] = strings.TrimSuffix(filepath.Base(s), ".txtar")
	}
	return "^TestScripts$/^(" + strings.Join(scripts, "|") + ")$"
}
