package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
)

// check looks at all that must be true now, whatever happened.
func (p *trial) check() {
	if p.traceErr != nil {
		p.wrong("trace: %w", p.traceErr)
	}
	p.checkRecord()
	p.checkStarts()
	p.checkAnswer()
	p.checkLeft()
}

// checkRecord: there is exactly one record of what was asked for, ended, and a success has what it promises.
func (p *trial) checkRecord() {
	told := p.told()
	switch {
	case len(p.runs) > 1:
		p.wrong("there are %d records of one run: %+v", len(p.runs), p.runs)
	case len(p.runs) == 1 && told != "" && p.runs[0].ID != told:
		p.wrong("run %s was acknowledged, and there is %s", told, p.runs[0].ID)
	case len(p.runs) == 0 && told != "":
		p.wrong("run %s was acknowledged, and there is no record of it", told)
	case len(p.runs) == 0 && p.scene == sceneServe:
		p.wrong("there is no record of the slot that was due")
	case len(p.runs) == 1 && p.scene == sceneServe && p.runs[0].ID != string(p.s.slot):
		p.wrong("the slot was %s, and there is run %s", p.s.slot, p.runs[0].ID)
	}
	for _, r := range p.runs {
		if r.State != "ended" || len(r.Attempts) > 1 {
			p.wrong("run %+v, want that it has ended after at most one attempt", r)
		}
		if r.Outcome == "succeeded" {
			p.checkSaved(r)
		}
	}
	db := filepath.Join(p.dir, "dayfly.db")
	if _, err := os.Stat(db); err == nil {
		for _, err := range integrityOf(p.s.t.Context(), db) {
			p.wrong("%w", err)
		}
	}
}

// told is the run that the client was told of.
func (p *trial) told() string {
	_, rest, found := strings.Cut(p.stderr, "request recorded: ")
	run, _, whole := strings.Cut(rest, "\n")
	if !found || !whole {
		return ""
	}
	return run
}

// checkSaved compares what a success has left with what the job wrote.
func (p *trial) checkSaved(r record) {
	want := deed{log: []byte(performedLog), results: map[string][]byte{"a": []byte(performedResult)}}
	dir := filepath.Join(p.dir, "bucket/runs", r.Job, r.ID, "1")
	if err := want.saved(dir); err != nil {
		p.wrong("run %s succeeded: %w", r.ID, err)
	}
	if _, n := chunks(dir); n > 0 {
		p.wrong("%d chunks are left beside the log", n)
	}
	if !slices.ContainsFunc(p.words(), func(said []string) bool { return said[0] == "end" }) {
		p.wrong("run %s succeeded, and its job never said that it was done", r.ID)
	}
}

// words are what the job said, in fields.
func (p *trial) words() (out [][]string) {
	for _, said := range p.s.w.words() {
		if f := strings.Fields(said.Text); len(f) == 4 && f[1] == p.name {
			out = append(out, f)
		}
	}
	return out
}

// checkStarts: every start was one of an attempt on record, and of each there was at most one.
func (p *trial) checkStarts() {
	seen := map[string]bool{}
	for _, said := range p.words() {
		if said[0] != "start" {
			continue
		}
		which := said[2] + " " + said[3]
		if seen[which] {
			p.wrong("run and attempt %s was started twice", which)
		}
		seen[which] = true
		if !slices.ContainsFunc(p.runs, func(r record) bool { return r.ID == said[2] && said[3] == "1" && len(r.Attempts) == 1 }) {
			p.wrong("run and attempt %s was started, and is not on record", which)
		}
	}
}

// checkAnswer: a client that lived to its end told the truth.
func (p *trial) checkAnswer() {
	if p.status.Signaled() || p.scene == sceneServe && p.status.ExitStatus() == 0 {
		return
	}
	want := -1
	if len(p.runs) == 1 {
		want = map[string]int{"succeeded": 0, "failed": 5, "refused": 9, "lost": 11}[p.runs[0].Outcome]
	}
	if code := p.status.ExitStatus(); code != want && (!p.faulty || code != 1) {
		p.wrong("%s ended with code %d, want %d: %s", p.scene, code, want, p.stderr)
	}
}

// checkLeft: nothing is left but what is kept. A supervisor has a moment to end in after it has let go of its machine.
func (p *trial) checkLeft() {
	const moment = 10 * time.Second
	var left []string
	for over := time.Now().Add(moment); ; <-time.After(20 * time.Millisecond) {
		if left = p.left(); len(left) == 0 || time.Now().After(over) {
			break
		}
	}
	for _, l := range left {
		p.wrong("left behind: %s", l)
	}
}

// left is what is there and is not kept.
func (p *trial) left() []string {
	var tokens []string
	for _, r := range p.runs {
		for _, a := range r.Attempts {
			tokens = append(tokens, strings.TrimPrefix(a.Machine, "local/"))
		}
		tokens = append(tokens, dayfly.Token(p.installation, dayfly.RunID(r.ID), 1, 0))
	}
	slices.Sort(tokens)
	left := p.leftovers(slices.Compact(tokens)...)
	if _, err := os.Stat(filepath.Join(p.dir, "machines")); err == nil {
		left = append(left, p.inMachines()...)
	}
	for _, pid := range p.processes() {
		left = append(left, fmt.Sprintf("process %d %q", pid, cmdline(pid)))
	}
	known := []string{"bell", "bucket", "machines", "daemon.lock", "dayfly.yaml"}
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		left = append(left, err.Error())
	}
	for _, e := range entries {
		if !slices.Contains(known, e.Name()) && !strings.HasPrefix(e.Name(), "dayfly.db") {
			left = append(left, "file "+e.Name())
		}
	}
	return left
}
