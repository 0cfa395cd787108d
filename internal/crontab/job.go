package crontab

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/spec"
)

// defaultPath is the PATH of a crontab that names none.
const defaultPath = "/usr/bin:/bin"

// draft is a job file before it is written.
type draft struct {
	t        *table
	e        *entry
	name     dayfly.JobName
	schedule string
	zone     string
	jitter   string
	shell    string
	path     string
	as       string // the user dayfly has to become
	env      []variable
	notes    []*spec.Error
}

// job makes the job file of an entry; ok is false where there can be none, which a note says.
func (t *table) job(e *entry, names naming) (Job, bool) {
	if !utf8.ValidString(e.command + e.input) {
		t.lose(e, "the command is not UTF-8, and a job file can hold nothing else", "recode it, as with iconv -f latin1 -t utf-8, and look whether it still names the right files")
		return Job{}, false
	}
	d := &draft{t: t, e: e, name: names.take(e.command)}
	if !d.due() {
		delete(names, d.name)
		return Job{}, false
	}
	d.environment()
	d.person()
	d.surprises()
	text := d.text()
	if _, err := spec.Load(string(d.name)+".yaml", text); err != nil {
		delete(names, d.name)
		t.lose(e, "this cannot be a job file: "+firstLine(err), "put the command into a script and let the crontab call it")
		return Job{}, false
	}
	return Job{
		Name: d.name, File: t.file.Name, Line: e.line, User: e.user, Schedule: d.schedule, Timezone: d.zone,
		Text: text, Notes: d.notes,
	}, true
}

// firstLine is the first thing that is wrong.
func firstLine(err error) string {
	if e, ok := err.(*spec.Errors); ok && len(e.List) > 0 {
		return e.List[0].Problem
	}
	return err.Error()
}

// lose says that an entry has no job file.
func (t *table) lose(e *entry, problem, hint string) {
	w := t.about(RuleLost, e.line, e.at, e.length, "no job file: "+problem, hint)
	w.Warning = true
	t.notes = append(t.notes, w)
}

// note is something to know of this job.
func (d *draft) note(rule spec.Rule, problem, hint string) {
	w := d.t.about(rule, d.e.line, d.e.at, d.e.length, string(d.name)+": "+problem, hint)
	w.Warning = true
	d.t.notes = append(d.t.notes, w)
	d.notes = append(d.notes, w)
}

// noteOnce is a note that is true of several jobs.
func (d *draft) noteOnce(rule spec.Rule, problem, hint string) {
	i := slices.IndexFunc(d.t.notes, func(n *spec.Error) bool { return n.Rule == rule && n.Problem == problem })
	if i < 0 {
		w := d.t.about(rule, d.e.line, d.e.at, d.e.length, problem, hint)
		w.Warning = true
		i, d.t.notes = len(d.t.notes), append(d.t.notes, w)
	}
	d.notes = append(d.notes, d.t.notes[i])
}

// due finds the schedule and its zone; false where the entry has no job file.
func (d *draft) due() bool {
	d.zone = d.t.o.Zone
	own, by := lookup(d.e.env, "CRON_TZ")
	if by = by && own != ""; by {
		d.zone = own
	}
	loc, err := schedule.LoadLocation(d.zone)
	if err != nil {
		d.t.lose(d.e, fmt.Sprintf("CRON_TZ is %q, and dayfly goes by the names of the IANA database", clip(own, 60)), "write a name such as Europe/Tallinn")
		return false
	}
	tm := &d.e.timing
	if tm.macro == reboot {
		d.note(RuleLost, "it has no schedule: dayfly knows no start of the host", "let the system's init call dayfly run --detach "+string(d.name)+" when it starts, after dayfly apply")
		return true
	}
	text, never, ok := tm.expression(string(d.name))
	switch {
	case !ok:
		d.t.lose(d.e, "a day field that begins with a star in a list must fit together with the other day field, and dayfly has no words for that", "write the days out, and test the weekday in the command")
		return false
	case never:
		d.note(RuleDiffers, "it has no schedule: no date or time fits, so that cron never runs it either", "")
		d.ranges()
		return true
	}
	d.schedule = text
	d.ranges()
	if tm.random() {
		d.note(RuleDiffers, "cron draws a time anew whenever it starts; here the name of the job fixes it", "")
	}
	s := tm.sets(string(d.name))
	if !tm.random() {
		if text, found := tm.clockChange(&s, loc, by, d.t.o.Now); found {
			d.note(RuleDiffers, text, "")
		}
	}
	return true
}

// ranges says which ranges cron's implementations do not agree on.
func (d *draft) ranges() {
	for _, f := range d.e.timing.fields {
		for _, i := range f.items {
			switch {
			case i.backwards() && i.hi == 0 && i.lo <= 7:
				d.note(RuleDiffers, fmt.Sprintf("%s %s: Debian's cron takes this range for nothing, as here, and cronie takes its 0 for a 7", f.kind.name, f.text), "write out what is meant")
			case i.backwards():
				d.note(RuleDiffers, fmt.Sprintf("%s %s: a range that runs backwards names nothing, under cron too", f.kind.name, f.text), "a range runs upwards: 22-23,0-4 instead of 22-4")
			case f.kind.name == "day of week" && i.hi == 7 && endsInZero(f.text):
				d.note(RuleDiffers, "day of week "+f.text+": Debian's cron takes a range that ends on day 0 for nothing and never runs it; here it ends on Sunday", "")
			}
		}
	}
}

func endsInZero(text string) bool {
	for one := range strings.SplitSeq(strings.ToLower(text), ",") {
		base, _, _ := strings.Cut(one, "/")
		if _, hi, ok := strings.Cut(base, "-"); ok && (hi == "sun" || hi == "0") {
			return true
		}
	}
	return false
}

// environment is what cron gives to the command.
func (d *draft) environment() {
	d.env = []variable{
		{name: "SHELL", value: defaultShell}, {name: "HOME", value: d.t.o.Home(d.e.user)}, {name: "LOGNAME", value: d.e.user},
		{name: "USER", value: d.e.user}, {name: "PATH", value: defaultPath}, {name: "TZ", value: d.t.o.Zone},
	}
	for _, v := range d.e.env {
		if !utf8.ValidString(v.value) {
			d.note(RuleLost, v.name+" is not UTF-8, and a job file can hold nothing else", "recode it")
			continue
		}
		d.env = hold(d.env, v)
	}
	d.env = slices.DeleteFunc(d.env, func(v variable) bool { return v.name == "TZ" && v.value == "UTC" }) // as always
	d.shell, _ = lookup(d.env, "SHELL")
	d.path, _ = lookup(d.env, "PATH")
	d.env = slices.DeleteFunc(d.env, func(v variable) bool { return v.name == "PATH" }) // the script has it
	if home, _ := lookup(d.env, "HOME"); home == "" {
		d.env = slices.DeleteFunc(d.env, func(v variable) bool { return v.name == "HOME" })
		d.noteOnce(RuleLost, "the home directory of "+d.e.user+" is not known here, and it is where commands begin", "write it into env: of the job file, as HOME")
	}
	d.delay()
}

// delay carries over cronie's random delay.
func (d *draft) delay() {
	delay, _ := lookup(d.e.env, "RANDOM_DELAY")
	minutes, err := strconv.Atoi(delay)
	switch {
	case delay == "" || delay == "0":
	case err != nil || minutes < 0 || minutes > 24*60:
		d.noteOnce(RuleDiffers, "RANDOM_DELAY is no number of minutes up to a day; cronie takes it for none", "")
	default:
		d.jitter = strconv.Itoa(minutes) + "m"
	}
}

// person looks whether dayfly has to become another user.
func (d *draft) person() {
	if d.e.user == d.t.o.As {
		return
	}
	d.as = d.e.user
	d.noteOnce(RuleDiffers, "what runs as "+d.as+" does so by runuser, for which dayfly itself has to run as root", "or import the crontab as "+d.as+", with --user "+d.as+", and apply it there")
}

// surprises says what becomes of processes that the command leaves behind.
func (d *draft) surprises() {
	for _, one := range commands(d.e.command) {
		words := strip(one.words)
		if one.background || len(words) > 0 && stays(words[0]) {
			d.note(RuleDiffers, "what it leaves running in the background ends with the run; under cron it would go on", "leave services to the system's init, or let the command wait for what it starts")
			return
		}
	}
}

// stays tells whether a program puts another into the background.
func stays(program string) bool {
	return strings.HasPrefix(program, "/etc/init.d/") || slices.Contains([]string{"start-stop-daemon", "daemonize", "daemon", "screen", "tmux"}, path.Base(program))
}
