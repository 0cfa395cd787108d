package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/term"
)

func (a *app) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor [CHECK...]", Short: "Looks whether all that dayfly needs is in order, and says what mends it",
		Long: "Looks at this host and the data directory: all of it, or only the CHECKs that are named. Each check is ok, a\n" +
			"warning or a failure, with the reason and the command that mends it. A failure makes the exit code 1.\n" +
			"Machines are tried by making one that does nothing; nothing else is changed. A data directory that is\n" +
			"not there yet stays so.\n\nThe checks:\n\n" + checkList(),
		Example: "  dayfly doctor\n  dayfly doctor isolation limits",
	}
	var output *string
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, name := range args {
			if !slices.ContainsFunc(checks(), func(c check) bool { return c.name == name }) {
				return notFound("check", name, checkNames(), "dayfly doctor --help lists the checks")
			}
		}
		return a.doctor(cmd.Context(), args, *output)
	}
	output = outputFlag(cmd)
	return cmd
}

// health is the result of a check, from best to worst.
type health int

const (
	healthOK health = iota
	healthWarn
	healthFail
)

var healthWords = [...]string{"ok", "warn", "fail"}

// MarshalText writes the word.
func (h health) MarshalText() ([]byte, error) { return []byte(healthWords[h]), nil }

// finding is what a check found. As JSON it is a contract: fields are only added.
type finding struct {
	Check  string `json:"check"`
	Result health `json:"result"`
	Why    string `json:"why"`
	Mend   string `json:"mend"` // the command or step that mends it; empty where nothing needs to be
}

// check is one thing that is looked at. What it finds needs no Check.
type check struct {
	name string
	what string // it looks at
	look func(context.Context, *patient) []finding

	records bool // it is about what the records say
}

// checks are all there are, in the order in which they are shown.
func checks() []check {
	return []check{
		{"settings", "the settings file", checkSettings, false},
		{"data-directory", "whose it is, who may read it, whether it can be written", checkDataDir, false},
		{"disk", "file systems, room, and how long it lasts", checkDisk, false},
		{"store", "the records: whether they open and are whole", checkStore, false},
		{"bucket", "logs and results: writing, reading, removing", checkBucket, false},
		{"clock", "whether it is right, and was never ahead", checkClock, false},
		{"zones", "time zone data, and the next clock change", checkZones, false},
		{"isolation", "which kinds of machines can be made here", checkIsolation, false},
		{"limits", "whether processes, memory and CPU can be limited", checkLimits, false},
		{"machines", "what is past its deadline, suspect, or left over", checkMachines, false},
		{"daemon", "whether somebody keeps to the schedules", checkDaemon, true},
		{"jobs", "those that never run, are paused, or cannot be read", checkJobs, true},
		{"files", "job files that are wrong or gone", checkFiles, true},
		{"secrets", "whether secrets can be had here", checkSecrets, true},
	}
}

func checkNames() []string {
	var names []string
	for _, c := range checks() {
		names = append(names, c.name)
	}
	return names
}

func checkList() string {
	var b strings.Builder
	for _, c := range checks() {
		fmt.Fprintf(&b, "  %-14s  %s\n", c.name, c.what)
	}
	return strings.TrimRight(b.String(), "\n")
}

// patient is what the checks look at.
type patient struct {
	a     *app
	dir   string // the data directory
	there bool   // it exists
	look  *looked
	err   error // why the records cannot be read
}

// patient gives what there is to look at. Nothing is made.
func (a *app) patient(ctx context.Context) (*patient, error) {
	dir, err := a.dataDir()
	if err != nil {
		return nil, err
	}
	p := &patient{a: a, dir: dir, there: exists(dir), look: &looked{}}
	l, err := a.look(ctx)
	if err != nil {
		p.err = err
	} else {
		p.look = l
	}
	return p, nil
}

// store is where the records are; nil where there are none, or none that can be read.
func (p *patient) store() store.Store {
	if p.look.store == nil {
		return nil
	}
	return p.look.store
}

func ok(format string, args ...any) finding {
	return finding{Result: healthOK, Why: fmt.Sprintf(format, args...)}
}

func warn(mend, format string, args ...any) finding {
	return finding{Result: healthWarn, Why: fmt.Sprintf(format, args...), Mend: mend}
}

func fail(mend, format string, args ...any) finding {
	return finding{Result: healthFail, Why: fmt.Sprintf(format, args...), Mend: mend}
}

// failed is a finding of an error, which knows best what helps.
func failed(err error, mend string) finding {
	in, out := split(err)
	var all []string
	for _, e := range in {
		all = append(all, e.Position()+": "+e.Problem) // its excerpt has no place in a line
	}
	for _, e := range out {
		all = append(all, strings.ReplaceAll(e.Error(), "\n", "; "))
	}
	return fail(cmp.Or(hint(err), mend), "%s", strings.Join(all, "; "))
}

// checkFor bounds one check.
const checkFor = 20 * time.Second

func (a *app) doctor(ctx context.Context, names []string, output string) error {
	p, err := a.patient(ctx)
	if err != nil {
		return err
	}
	defer p.look.close()
	var all []finding
	worst := healthOK
	for _, c := range checks() {
		if len(names) > 0 && !slices.Contains(names, c.name) {
			continue
		}
		for _, f := range p.examine(ctx, c) {
			if all = append(all, f); output == "table" {
				if err := a.printFinding(f); err != nil {
					return err
				}
			}
			worst = max(worst, f.Result)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if output != "table" {
		err = a.findingList().show(a, output, allOf(all))
	} else {
		a.sumFindings(all)
	}
	if err == nil && worst == healthFail {
		return &exit{code: exitError}
	}
	return err
}

// examine makes one check. One that does not come to an end in time is left to itself.
func (p *patient) examine(ctx context.Context, c check) []finding {
	if c.records && p.err != nil {
		return []finding{{Check: c.name, Result: healthWarn, Why: "it cannot be told while the records cannot be read", Mend: "see the check store"}}
	}
	bounded, cancel := context.WithTimeout(ctx, checkFor)
	defer cancel()
	done := make(chan []finding, 1)
	go func() { done <- c.look(bounded, p) }()
	var found []finding
	select {
	case found = <-done:
	case <-bounded.Done():
		if errors.Is(bounded.Err(), context.DeadlineExceeded) {
			found = []finding{fail("dayfly doctor "+c.name+" tries again; see what the system says of its disks (dmesg)", "it did not come to an end within %s", checkFor)}
		}
	}
	for i := range found {
		found[i].Check = c.name
	}
	return found
}

func (a *app) printFinding(f finding) error {
	word := fmt.Sprintf("%-4s", healthWords[f.Result])
	if a.outTTY && a.colour {
		word = "\x1b[" + [...]string{"32", "33", "31"}[f.Result] + "m" + word + "\x1b[0m"
	}
	text := a.hung(fmt.Sprintf("%s  %-14s  ", word, f.Check), term.Text(f.Why))
	if f.Mend != "" {
		text += a.hung(fmt.Sprintf("%-22smend: ", ""), term.Text(f.Mend))
	}
	_, err := fmt.Fprint(a.out, text)
	return err
}

func (a *app) sumFindings(all []finding) {
	var n [len(healthWords)]int
	for _, f := range all {
		n[f.Result]++
	}
	if n[healthWarn]+n[healthFail] == 0 {
		a.say("All is in order.")
		return
	}
	a.say("%s, %s.", plural(n[healthFail], "failure"), plural(n[healthWarn], "warning"))
}

func (a *app) findingList() listing[finding] {
	return listing[finding]{
		columns: []column[finding]{
			{head: "RESULT", cell: func(f finding) string { return healthWords[f.Result] }},
			{head: "CHECK", cell: func(f finding) string { return f.Check }},
			{head: "WHY", fit: prose, cell: func(f finding) string { return f.Why }},
			{head: "MEND", fit: prose, cell: func(f finding) string { return f.Mend }},
		},
		name: func(f finding) string { return f.Check }, empty: "There is nothing to check.",
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
