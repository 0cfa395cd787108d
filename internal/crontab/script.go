package crontab

import (
	"strconv"
	"strings"
)

// defaultShell runs the commands of a crontab that names no shell.
const defaultShell = "/bin/sh"

var (
	// posix are shells that the first lines of a script mean the same to.
	posix = pattern(`^(/usr)?(/local)?/bin/(ba|da|k|mk|z|a)?sh$`)
	// selfish are commands that may look at what the shell was called with.
	selfish = pattern(`\$\{?0|BASH_EXECUTION_STRING|\b(pgrep|pkill|ps|pidof|killall)\b|/proc/`)
)

// script is what a job runs so that the command finds what it would find under cron: the home directory, cron's
// umask, its standard input, a shell that does not stop at the first error, and a PATH that leads to the host's own
// systemctl and shutdown, which a machine's PATH does not.
func (d *draft) script() string {
	var b strings.Builder
	e, first := d.e, d.shell
	apart := d.as != "" || !posix().MatchString(d.shell) || selfish().MatchString(e.command)
	if apart {
		first = defaultShell
	}
	b.WriteString("#!" + first + "\n")
	b.WriteString("export PATH=" + quoted(d.path) + "\n")
	b.WriteString(`umask 022; cd "$HOME" || exit 1` + "\n")
	if e.input != "" {
		end := delimiter(e.input)
		b.WriteString("exec <<'" + end + "'\n" + e.input + end + "\n")
	}
	if !apart {
		b.WriteString(e.command)
		return b.String()
	}
	b.WriteString("exec ")
	if d.as != "" {
		b.WriteString("/sbin/runuser -u " + d.as + " -- ")
	}
	b.WriteString(quoted(d.shell) + " -c " + quoted(e.command))
	return b.String()
}

// delimiter is a line that a text does not have.
func delimiter(text string) string {
	end := "END"
	for n := 2; strings.Contains("\n"+text, "\n"+end+"\n"); n++ {
		end = "END" + strconv.Itoa(n)
	}
	return end
}

var bare = pattern(`^[A-Za-z0-9/._:-]+$`)

// quoted is one word of the shell.
func quoted(text string) string {
	if bare().MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
