package crontab

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/spec"
)

// variable is an environment setting that holds.
type variable struct {
	name, value string
	line        int
}

// lookup finds the value of a variable.
func lookup(env []variable, name string) (string, bool) {
	i := slices.IndexFunc(env, func(v variable) bool { return v.name == name })
	if i < 0 {
		return "", false
	}
	return env[i].value, true
}

// blanks are what cron skips between the parts of a setting.
const blanks = " \t\v\f\r"

// setting reads NAME = VALUE; ok is false for a line that is none, which cron then takes for an entry. Quotes
// belong to a part only if it begins with one; there is no comment and no expansion.
func setting(text string) (name, value string, ok bool) {
	name, rest, quoted, ok := part(text)
	if !ok {
		return "", "", false
	}
	if !quoted {
		end := strings.IndexAny(text, "="+blanks)
		if end < 0 {
			return "", "", false
		}
		name, rest = text[:end], text[end:]
	}
	rest, found := strings.CutPrefix(strings.TrimLeft(rest, blanks), "=")
	if !found || name == "" || strings.Contains(name, "=") {
		return "", "", false
	}
	rest = strings.TrimLeft(rest, blanks)
	value, after, quoted, ok := part(rest)
	switch {
	case !ok || quoted && strings.Trim(after, blanks) != "":
		return "", "", false
	case !quoted:
		value = strings.TrimRight(rest, blanks)
	}
	return name, value, true
}

// part reads what stands between quotes, if the text begins with one; ok is false where it is left open.
func part(text string) (inside, after string, quoted, ok bool) {
	if text == "" || text[0] != '"' && text[0] != '\'' {
		return "", "", false, true
	}
	end := strings.IndexByte(text[1:], text[0])
	if end < 0 {
		return "", "", true, false
	}
	return text[1 : 1+end], text[2+end:], true, true
}

var (
	envName   = pattern(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	reference = pattern(`\$(\{?[A-Za-z_]|\()`)
	leaky     = pattern(`(?i)(^|_)(pass(word|wd)?|secret|token|api_?key|private_?key|secret_access_key)$`)
	schedules = pattern(`^[A-Za-z0-9_+:/-]*\s+[0-9*@]\S*\s+\S+\s+\S+\s+\S+`)
)

// set makes a setting hold, and says what it does not do here.
func (t *table) set(n int, name, value string) {
	lost := func(problem, hint string) { t.noteSetting(RuleLost, n, name, problem, hint) }
	differs := func(problem, hint string) { t.noteSetting(RuleDiffers, n, name, problem, hint) }
	switch {
	case name == "LOGNAME" || name == "USER":
		return // cron has the last word on these
	case !envName().MatchString(name):
		lost(fmt.Sprintf("%q is a name that shells cannot use", name), "rename it")
		return
	case strings.HasPrefix(name, "DAYFLY_"):
		lost("names that begin with DAYFLY_ are dayfly's own", "rename it")
		return
	}
	switch name {
	case "MAILTO":
		if value != "" {
			lost("cron mails what a job prints to "+value+"; dayfly keeps it, and this build sends no mail", "dayfly logs JOB shows it, dayfly history shows what failed")
		}
	case "MAILFROM":
		lost("no mail is sent, so that it has no sender", "")
	case "MLS_LEVEL":
		lost("jobs run in the security context of dayfly", "")
	case "CRON_TZ":
		if _, err := schedule.LoadLocation(value); err == nil && value != t.o.Zone {
			differs(fmt.Sprintf("the jobs below go by %s; Debian's cron does not know CRON_TZ and goes by %s", value, t.o.Zone), "if the crontab comes from Debian, remove the line and import it again")
		}
	case "TZ":
		if schedules().MatchString(value) {
			differs("cron takes the whole line for the value of TZ, so that it never runs anything", "write the schedule on a line of its own")
		}
	default:
		switch {
		case leaky().MatchString(name) && value != "":
			differs(name+" looks like a secret, and env in a job file is stored and shown", "put it into a file that only you can read, and write "+name+": file:/PATH under secrets:")
		case reference().MatchString(value) && name == "PATH":
			differs("nothing is expanded here: the value is as it is written, with its $, under cron too", "write out the directories")
		case reference().MatchString(value):
			differs("nothing is expanded here: the value is as it is written, with its $, under cron too", "")
		case strings.Contains(value, " #"):
			differs("there are no comments here: the value is all of the line, under cron too", "")
		}
	}
	t.env = hold(t.env, variable{name, value, n})
}

// hold makes a setting hold in the place of one with its name.
func hold(env []variable, v variable) []variable {
	if i := slices.IndexFunc(env, func(old variable) bool { return old.name == v.name }); i >= 0 {
		env[i] = v
		return env
	}
	return append(env, v)
}

// noteSetting is a note on a setting that does not repeat its value where that may be a secret.
func (t *table) noteSetting(rule spec.Rule, n int, name, problem, hint string) {
	text := t.lines[n-1]
	at := max(strings.Index(text, name), 0)
	e := t.about(rule, n, at, len(name), problem, hint)
	e.Warning = true
	if leaky().MatchString(name) {
		e.Source = []string{text[:at+len(name)] + "…"}
	}
	t.notes = append(t.notes, e)
}
