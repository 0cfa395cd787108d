package crontab_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dayfly-io/dayfly/internal/crontab"
	"github.com/dayfly-io/dayfly/internal/spec"
)

// TestScriptsDoWhatCronDoes runs what a job runs, and what cron runs for the same line: the shell of the crontab
// with -c, in the home directory, with the standard input by hand.
func TestScriptsDoWhatCronDoes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings, line string // of the crontab
		command, stdin string // what cron makes of it
	}{
		"plain":                  {line: `echo hello world`, command: `echo hello world`},
		"input":                  {line: `cat%one%two`, command: "cat", stdin: "one\ntwo\n"},
		"input that ends":        {line: `cat%one%two%`, command: "cat", stdin: "one\ntwo\n"},
		"empty lines":            {line: `cat -A%%one%%%`, command: "cat -A", stdin: "\none\n\n\n"},
		"no input":               {line: `cat; echo $?%`, command: "cat; echo $?"},
		"escaped":                {line: `echo '100\%' "\%d" \%%a\%b\c\\%d`, command: `echo '100%' "%d" %`, stdin: "a%b\\c\\\\\nd\n"},
		"blanks":                 {line: "cat -A%  one  % \ttwo", command: "cat -A", stdin: "  one  \n \ttwo\n"},
		"input is not expanded":  {line: "cat%$HOME `id` $(id) \\x END", command: "cat", stdin: "$HOME `id` $(id) \\x END\n"},
		"delimiters":             {line: "cat%END%'END'%END2% END3", command: "cat", stdin: "END\n'END'\nEND2\n END3\n"},
		"several readers":        {line: `read a; read b; echo "$b $a"; cat%1%2%3`, command: `read a; read b; echo "$b $a"; cat`, stdin: "1\n2\n3\n"},
		"goes on after errors":   {line: `false; echo "$UNSET" after; exit 3`, command: `false; echo "$UNSET" after; exit 3`},
		"where it is":            {line: `pwd; umask; echo "$HOME" "$LOGNAME" "$SHELL" "$PATH"; cd /; pwd`, command: `pwd; umask; echo "$HOME" "$LOGNAME" "$SHELL" "$PATH"; cd /; pwd`},
		"pipes and quotes":       {line: `printf 'a\nb\n' | while read -r x; do echo "<$x>"; done; echo "it's" 'a "b"' \\ $((1+2)) # end`, command: `printf 'a\nb\n' | while read -r x; do echo "<$x>"; done; echo "it's" 'a "b"' \\ $((1+2)) # end`},
		"a here-document":        {line: `cat <<EOF; echo $?%x`, command: `cat <<EOF; echo $?`, stdin: "x\n"},
		"a backslash at the end": {line: `echo a\`, command: `echo a\`},
		"blanks at the end":      {line: `echo a   `, command: `echo a   `},
		"a syntax error":         {line: `echo a; (`, command: `echo a; (`},
		"not there":              {line: `/nowhere/at-all 2> /dev/null; echo $?`, command: `/nowhere/at-all 2> /dev/null; echo $?`},
		"its own name":           {line: `echo "$0 $# $*"`, command: `echo "$0 $# $*"`},
		"its own command line":   {line: `tr '\0' '|' < /proc/self/cmdline; tr '\0' '|' < /proc/$$/cmdline`, command: `tr '\0' '|' < /proc/self/cmdline; tr '\0' '|' < /proc/$$/cmdline`},
		"settings":               {settings: "A = x  y \nB='  z'\nPATH=/bin:/usr/bin:$HOME", line: `echo "$A|$B|$PATH"; cat%in`, command: `echo "$A|$B|$PATH"; cat`, stdin: "in\n"},
		"another shell":          {settings: "SHELL=/bin/bash", line: `[[ abc == a* ]] && echo ${BASH_VERSION:+bash}; cat <<< "$SHELL"%unread`, command: `[[ abc == a* ]] && echo ${BASH_VERSION:+bash}; cat <<< "$SHELL"`, stdin: "unread\n"},
		"a program as shell":     {settings: "SHELL=/usr/bin/env", line: `true`, command: `true`},
		"tabs":                   {line: "printf '%s|' 'a\tb'", command: "printf '"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "tabs" { // the bare % ends it
				c.stdin = "s|' 'a\tb'\n"
			}
			home := t.TempDir()
			res, err := crontab.Import(
				crontab.Options{As: "alice", Zone: "UTC", Home: func(string) string { return home }, Now: theNow},
				crontab.File{Name: "crontab", User: "alice", Data: []byte(c.settings + "\n0 5 * * * " + c.line + "\n")},
			)
			if err != nil || len(res.Jobs) != 1 {
				t.Fatalf("%d jobs, %v", len(res.Jobs), err)
			}
			f, err := spec.Load("x.yaml", res.Jobs[0].Text)
			if err != nil {
				t.Fatal(err)
			}
			var env []string
			for k, v := range f.Job.Env {
				env = append(env, k+"="+v)
			}
			script := filepath.Join(t.TempDir(), "job")
			// Written by a process of its own: what this one had open for writing while another test forked is busy.
			if err := os.WriteFile(script+".text", []byte(f.Job.Run), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := exec.Command("cp", script+".text", script).Run(); err != nil {
				t.Fatal(err)
			}
			// As dayfly calls it: a directory of its own, a PATH with its own commands, nothing on standard input.
			ours := exec.Command(script)
			ours.Dir, ours.Env = t.TempDir(), append(env, "PATH=/nowhere:/usr/bin:/bin")
			have := outcome(t, ours)

			shell, path := "/bin/sh", "/usr/bin:/bin"
			if strings.Contains(c.settings, "PATH=") {
				path = "/bin:/usr/bin:$HOME"
			}
			if _, own, ok := strings.Cut(c.settings, "SHELL="); ok {
				shell = own
			}
			cron := exec.Command("/bin/sh", "-c", `umask 022; exec "$@"`, "sh", shell, "-c", c.command)
			cron.Dir, cron.Env, cron.Stdin = home, append(env, "PATH="+path), strings.NewReader(c.stdin)
			if want := outcome(t, cron); have != want {
				t.Errorf("dayfly:\n%s\ncron:\n%s\nof the script\n%s", have, want, f.Job.Run)
			}
		})
	}
}

// outcome is what a program prints, and how it ends. Shells name themselves in what they complain of.
func outcome(t *testing.T, c *exec.Cmd) string {
	t.Helper()
	var out, diag bytes.Buffer
	c.Stdout, c.Stderr = &out, &diag
	err := c.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	if c.ProcessState.ExitCode() != 0 && diag.Len() > 0 {
		diag.Reset()
		diag.WriteString("(a complaint)")
	}
	return out.String() + diag.String() + c.ProcessState.String()
}
