package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dayfly-io/dayfly/internal/machine/local"
	"github.com/dayfly-io/dayfly/internal/spec"
)

// A command that takes the name of something offers names: what stands in capitals in its use is such a word.
func TestCommandsOfferNames(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	file := jobFileOf(t, "hello", "schedule: '@daily'\nrun: echo hello\n")
	c.want(0, "apply", file)
	c.want(0, "run", "hello")
	c.want(0, "run", "--detach", jobFileOf(t, "long", "run: sleep 600\ntimeout: 11m\n"))
	defer c.want(0, "cancel", "long")
	for _, cmd := range commands() {
		if !regexp.MustCompile(`JOB|RUN|FILE|DIR|FIELD|bash`).MatchString(cmd.Use) {
			continue
		}
		path := strings.Fields(cmd.CommandPath())[1:]
		if path[0] == "resume" {
			c.want(0, "pause", "hello")
		}
		out, _ := c.want(0, append(append([]string{"__complete"}, path...), "")...)
		if out == ":4\n" || out == ":36\n" {
			t.Errorf("%s offers nothing", cmd.CommandPath())
		}
	}
}

// What the reference says that a job finds is what it finds.
func TestVariablesOfAJob(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	out, _ := c.want(0, "run", jobFileOf(t, "env", "run: env\n"))
	var found, said []string
	for line := range strings.Lines(out) {
		if name, _, _ := strings.Cut(line, "="); strings.HasPrefix(name, "DAYFLY_") && name != local.TokenVariable {
			found = append(found, name)
		}
	}
	for _, v := range spec.Variables() {
		if strings.HasPrefix(v.Name, "DAYFLY_") {
			said = append(said, v.Name)
		} else if !strings.Contains("\n"+out, "\n"+v.Name+"=") {
			t.Errorf("there is no %s", v.Name)
		}
	}
	slices.Sort(found)
	slices.Sort(said)
	if !slices.Equal(found, said) {
		t.Errorf("a job finds %v, and the reference has %v", found, said)
	}
}

// liveFlags are flags that take the name of something there is, with a call in which they offer it.
var liveFlags = []struct {
	flag   string
	before string // what stands before the flag, between spaces
	want   string // the beginning of a word that is offered
}{
	{"next --tz", "next", "Europe/Tallinn"},
	{"init --timezone", "init", "Europe/Tallinn"},
	{"import crontab --timezone", "import crontab", "Europe/Tallinn"},
	{"next --job", "next", "frames"},
	{"history --job", "history", "frames"},
	{"history --backfill", "history", "frames@"},
	{"run --param", "run frames", "mode="},
	{"backfill --param", "backfill frames", "mode="},
	{"run --shard", "run frames", "1"},
	{"logs --shard", "logs frames", "1"},
	{"results --shard", "results frames", "1"},
	{"cancel --shard", "cancel frames", "1"},
	{"retry --shard", "retry frames", "1"},
	{"logs --attempt", "logs --shard 1 frames", "1"},
}

// Where a flag or an argument takes the name of something there is, it offers it, and nothing where there is none.
func TestLiveNamesAreOffered(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	empty := newCall(t)
	c.want(0, "apply", jobFileOf(t, "frames", "schedule: '@daily'\nrun: 'true'\narray: {size: 2}\nparams: {mode: {type: string, default: fast}}\n"))
	c.want(0, "run", "frames")
	c.want(0, "backfill", "frames", "--from", "2d", "--yes", "--detach")
	offers := func(want string, args ...string) {
		t.Helper()
		if got := offered(c, args...); !slices.ContainsFunc(got, func(w string) bool { return strings.HasPrefix(w, want) }) {
			t.Errorf("%s offers %q, not %s", args, got, want)
		}
		if got := offered(empty, args...); want != "Europe/Tallinn" && len(got) > 0 {
			t.Errorf("%s offers %q where there is nothing", args, got)
		}
	}
	for _, l := range liveFlags {
		_, name, _ := strings.Cut(l.flag, "--")
		offers(l.want, append(strings.Fields(l.before), "--"+name, "")...)
	}
	for _, args := range []string{"backfill --follow", "backfill --cancel", "cancel"} {
		offers("frames@", append(strings.Fields(args), "")...)
	}
	offers("frames", "backfill", "--list", "")
	c.want(0, "backfill", "frames", "--cancel")
	if got := offered(c, "backfill", "--cancel", ""); len(got) > 0 {
		t.Errorf("of what has ended is offered to be cancelled: %q", got)
	}
	offers("frames@", "backfill", "--follow", "")
}

// What explain says of the settings it offers, and what it says of the job file it does not.
func TestSettingsAreOffered(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	var keys []string
	for _, k := range spec.SettingsKeys() {
		keys = append(keys, strings.ReplaceAll(k.Path, "[]", ""))
	}
	got := offered(c, "explain", "--settings", "")
	if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(keys))) {
		t.Errorf("explain --settings offers %q, want %q", got, keys)
	}
	for _, key := range got {
		c.want(0, "explain", "--settings", key)
	}
	for _, key := range offered(c, "explain", "") {
		c.want(0, "explain", key)
	}
}
