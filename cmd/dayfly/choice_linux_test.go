package main

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// offered are the words that completion offers at the end of a command line, without what is said of each.
func offered(c *call, args ...string) []string {
	c.t.Helper()
	out, _ := c.want(0, append([]string{"__complete"}, args...)...)
	var all []string
	for line := range strings.Lines(out) {
		if word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); !strings.HasPrefix(word, ":") {
			all = append(all, word)
		}
	}
	return all
}

// eachFlag calls f for each flag of each command, with the words that call the command.
func eachFlag(f func(path []string, flag *pflag.Flag)) {
	for _, cmd := range commands() {
		cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) { f(strings.Fields(cmd.CommandPath())[1:], flag) })
	}
}

// free are flags that take a text which no list can name, and what it is.
var free = map[string]string{
	"dayfly --data": "a directory", "serve --jobs": "a directory", "results --to": "a directory", "import crontab --out": "a directory",
	"backfill --from": "a time", "backfill --to": "a time", "history --since": "a time", "pause --until": "a time",
	"next --after": "a time", "next --anchor": "a time", "init --timeout": "a duration",
	"serve --listen": "an address", "serve --metrics": "an address", "import crontab --user": "a user, of the host that the crontab is from",
	"init --name": "a new name", "init --run": "a command", "init --schedule": "a schedule", "pause --reason": "a reason",
}

// A flag that takes one of a few words offers exactly these, takes each, and refuses another at once: before
// there is even a data directory. One of which nobody has said what it takes has no place.
func TestEveryFlagOffersWhatItTakes(t *testing.T) {
	t.Parallel()
	live := map[string]bool{}
	for _, l := range liveFlags {
		live[l.flag] = true
	}
	choices := 0
	eachFlag(func(path []string, f *pflag.Flag) {
		name := strings.Join(append(slices.Clone(path), "--"+f.Name), " ")
		if len(path) == 0 {
			name = "dayfly " + name
		}
		ch, isChoice := f.Value.(choice)
		switch kind := f.Value.Type(); {
		case isChoice:
			choices++
			offersExactly(t, path, f, ch.words)
		case kind == "bool" || kind == "duration" || live[name] || free[name] != "":
		case kind == "int" && offersNothing(t, path, f):
		default:
			t.Errorf("%s is no choice: does it take one of a few words, a live name, or what else?", name)
		}
	})
	if choices < 20 {
		t.Errorf("only %d flags take one of a few words", choices)
	}
}

func offersNothing(t *testing.T, path []string, f *pflag.Flag) bool {
	t.Helper()
	return len(offered(newCall(t), append(slices.Clone(path), "--"+f.Name, "")...)) == 0
}

func offersExactly(t *testing.T, path []string, f *pflag.Flag, words []string) {
	t.Helper()
	c := newCall(t)
	with := func(args ...string) []string { return append(slices.Clone(path), args...) }
	if got := offered(c, with("--"+f.Name, "")...); !slices.Equal(got, words) {
		t.Errorf("%s --%s offers %q and takes %q", path, f.Name, got, words)
	}
	text, spoken, _ := strings.Cut(f.Usage, ": ")
	for _, word := range words {
		if !strings.Contains(spoken, word) {
			t.Errorf("%s --%s: its help does not name %s: %s: %s", path, f.Name, word, text, spoken)
		}
		c.want(0, with("--"+f.Name+"="+word, "--help")...)
	}
	_, stderr := c.want(exitUsage, with("--"+f.Name, "nonsense")...)
	for _, word := range words {
		if !strings.Contains(stderr, word) {
			t.Errorf("%s --%s nonsense: %s is not named\n%s", path, f.Name, word, stderr)
		}
	}
	if _, stderr := c.want(exitUsage, with("--"+f.Name, words[0]+"q")...); !strings.Contains(stderr, "did you mean "+words[0]+"?") {
		t.Errorf("%s --%s %sq: nothing is said to be meant\n%s", path, f.Name, words[0], stderr)
	}
	if _, err := os.Stat(c.data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s --%s nonsense: there is a data directory now: %v", path, f.Name, err)
	}
}

// A list is shown in each form that it takes, and in no two alike.
func TestEveryFormIsShown(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	file := jobFileOf(t, "hello", "schedule: '@daily'\nrun: echo hello\n")
	c.want(0, "apply", file)
	for _, args := range [][]string{
		{"ps", "--jobs"}, {"explain", "machine.cpu"}, {"plan", "--prune", file}, {"next", "hello"}, {"next", "--clock-changes", "hello"},
		{"pause", "hello"}, {"resume", "hello"}, {"doctor", "disk"}, {"apply", file}, {"backfill", "hello", "--from", "3d", "--dry-run"},
	} {
		cmd, _, err := commands()[0].Find(args)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]string{}
		for _, form := range formsOf(t, cmd) {
			out, _ := c.want(0, append(slices.Clone(args), "-o", form)...)
			if other, twice := seen[out]; twice && (form != "wide" || other != "table") && out != "" {
				t.Errorf("%s: -o %s is -o %s\n%s", args, form, other, out)
			}
			seen[out] = form
		}
	}
}

func formsOf(t *testing.T, cmd *cobra.Command) []string {
	t.Helper()
	f, ok := cmd.Flag("output").Value.(choice)
	if !ok {
		t.Fatalf("%s: -o is no choice", cmd.CommandPath())
	}
	return f.words
}

// An address that cannot be one is refused before anything is opened.
func TestWrongAddressesAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--metrics", "--listen"} {
		for _, address := range []string{"nonsense", ":notaport", "127.0.0.1", "127.0.0.1:70000", "::1:80", "[::1:80", "a host:80"} {
			c := newCall(t)
			_, stderr := c.want(exitUsage, "serve", flag, address)
			if !strings.Contains(stderr, "error: "+flag+" takes an address such as 127.0.0.1:") || !strings.Contains(stderr, address) {
				t.Errorf("%s %s: %s", flag, address, stderr)
			}
			if _, err := os.Stat(c.data); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s %s: there is a data directory now: %v", flag, address, err)
			}
		}
	}
}
