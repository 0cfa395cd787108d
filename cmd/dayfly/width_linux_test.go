package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/term"
)

// shows runs dayfly on a terminal of so many columns, and gives the lines that stay there.
func shows(t *testing.T, c *call, columns, code int, args ...string) []string {
	t.Helper()
	s := sitOn(t, c, "", uint16(columns), args...)
	s.ends(code)
	const end = "(that was all)"
	if _, err := s.slave.WriteString(end); err != nil {
		t.Fatal(err)
	}
	for patience := time.After(waitFor); !strings.HasSuffix(s.shown, end); {
		select {
		case more := <-s.seen:
			s.shown += more
		case <-patience:
			t.Fatalf("never saw the end of %q", s.shown)
		}
	}
	s.shown = strings.TrimSuffix(s.shown, end)
	text := strings.ReplaceAll(s.shown, "\r\n", "\n")
	for _, status := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' }) {
		for _, one := range strings.Split(status, "\r\x1b[K") {
			if term.Width(one) > columns && strings.Contains(strings.TrimSpace(one), " ") {
				t.Errorf("dayfly %s: a line of %d on a terminal of %d columns: %q", strings.Join(args, " "), term.Width(one), columns, one)
			}
		}
	}
	text = regexp.MustCompile(`(?m)^.*\r\x1b\[K`).ReplaceAllString(text, "")
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// asWords are the words of lines, however these were broken.
func asWords(lines []string) string {
	return strings.Join(strings.Fields(strings.Join(lines, " ")), " ")
}

// Nothing that lists and run show is wider than the terminal, however long names, paths and reasons are; a
// word that is wider than that is left to the terminal. Elsewhere than on a terminal all of it is there.
func TestWidthOfATerminal(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	long := strings.Repeat("long-", 8) + "named" // a job's name may have 48 characters
	path := strings.Repeat("a-directory/", 9) + "file.txt"
	limits := "timeout: 60s\ndeadline: 120s\n"
	saves := jobFileOf(t, long, "run: |\n  mkdir -p $DAYFLY_RESULTS/"+strings.TrimSuffix(path, "/file.txt")+"\n  echo kept > $DAYFLY_RESULTS/"+path+"\n"+limits)
	noSecret := jobFileOf(t, "secretive", "schedule: [\"0 3 * * *\", \"@every 90m\", \"5 4 1 1 *\"]\nrun: echo no\nsecrets:\n  KEY: file:/"+path+"\n"+limits)
	other := "stays-" + long[5:]
	stays := jobFileOf(t, other, "array: {size: 5, at_once: 1}\nrun: sleep 60\n"+limits)
	run := asWords(shows(t, c, 80, 0, "run", saves))
	for _, want := range []string{"✓ request recorded " + long + "-", "succeeded in ", " 1 file, stored and verified; dayfly results " + long, "observed gone at ", "; nothing is left"} {
		if !strings.Contains(run, want) {
			t.Errorf("run does not show %q in %q", want, run)
		}
	}
	if regexp.MustCompile(`[0-9a-f]{32}`).MatchString(run) {
		t.Errorf("run shows a whole id or sum: %s", run)
	}
	if told := asWords(shows(t, c, 80, exitRefused, "run", noSecret)); !strings.Contains(told, path) {
		t.Errorf("the reason is cut in %q", told)
	}
	c.want(0, "apply", noSecret)
	detached := asWords(shows(t, c, 80, 0, "run", "--detach", stays))
	if !strings.Contains(detached, "the last of their deadlines, which is in ") {
		t.Errorf("detached: %q", detached)
	}
	defer c.run("cancel", "--no-wait", other)
	for _, columns := range []int{80, 60, 33} {
		for _, list := range []struct {
			args []string
			code int
			want string
		}{
			{[]string{"ps"}, 0, "running"}, {[]string{"ps", "--jobs"}, 0, "secretive"}, {[]string{"machines"}, 0, "local/"}, {[]string{"history"}, 0, "refused"}, {[]string{"results", long}, 0, "…"},
			{[]string{"next", "secretive"}, 0, "Mon"}, {[]string{"doctor", "settings", "data-directory", "jobs", "secrets"}, exitError, "warn"}, {[]string{"plan", saves}, 0, "Plan:"},
			{[]string{"validate", saves, noSecret, stays}, 0, "is right"}, {[]string{"explain", "machine.memory"}, 0, "machine.memory"}, {[]string{"--help"}, 0, "Usage:"},
			{[]string{"uninstall", "--dry-run"}, 0, "This removes"}, {[]string{"backfill", "secretive", "--from", "1d", "--dry-run"}, 0, "secretive:"},
		} {
			if got := asWords(shows(t, c, columns, list.code, list.args...)); !strings.Contains(got, list.want) && columns > 33 {
				t.Errorf("dayfly %s on %d columns shows no %q:\n%s", list.args, columns, list.want, got)
			}
		}
	}
	for _, whole := range []struct {
		args []string
		want string
	}{{[]string{"results", long}, path}, {[]string{"results", long}, ` [0-9a-f]{64}`}, {[]string{"machines"}, `local/[0-9a-f]{32} `}, {[]string{"history"}, path}} {
		if stdout, _ := c.want(0, whole.args...); !regexp.MustCompile(whole.want).MatchString(stdout) {
			t.Errorf("%s does not show %s to a pipe:\n%s", whole.args, whole.want, stdout)
		}
	}
}
