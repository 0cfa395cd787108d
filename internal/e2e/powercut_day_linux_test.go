package e2e_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/e2e/ptrace"
	"github.com/dayfly-io/dayfly/internal/store"
)

// newDay plays the day.
func newDay(t *testing.T) *day {
	t.Helper()
	d := &day{t: t, h: newHome(t), w: newWitness(t), out: t.TempDir()}
	d.log = newDisklog(t, filepath.Dir(d.h.dir))
	job := func(name, more, run string) string {
		return d.h.job(name, "overlap: allow\nfiles: [word]\ntimeout: 5m\ngrace: 1s\n"+more+"run: |\n  #!/bin/bash\n  exec 9<>/dev/tcp/"+strings.ReplaceAll(d.w.addr, ":", "/")+
			"\n  echo \"start $DAYFLY_RUN $DAYFLY_ATTEMPT\" >&9\n"+run)
	}
	if err := os.WriteFile(filepath.Join(d.h.jobs, "word"), []byte(performedResult), 0o600); err != nil {
		t.Fatal(err)
	}
	soon := time.Now().UTC().Add(time.Hour).Format("4 15 * * *")
	good := job("good", fmt.Sprintf("schedule: %q\n", soon), "  printf '"+performedLog[:len(performedLog)-1]+"\\n'; cp word $DAYFLY_RESULTS/a\n")
	slow := job("slow", "", "  exec sleep 100\n")
	job("gone", "", "  true\n")
	bad := job("bad", "retry: {attempts: 2, on: [failed], backoff: 1s}\n", "  exit 3\n")

	d.do("apply", d.h.jobs)
	d.do("run", good)
	d.look()
	slowRun := strings.TrimSpace(d.do("run", "--detach", "slow"))
	d.look()
	d.do("cancel", slowRun)
	d.pause("good")
	d.do("rm", "gone")
	d.claim("job gone was removed", func(ctx context.Context, s *salvage) error {
		_, err := s.store.Job(ctx, "gone")
		if err == nil {
			return errors.New("it is there")
		}
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	d.look()
	d.serve(func() {
		d.do("run", "--detach", "good")
		d.do("run", bad)
		d.do("run", "good")
		slowRun = strings.TrimSpace(d.do("run", "--detach", slow))
		d.look()
		d.do("cancel", "--no-wait", slowRun)
		d.claim("the cancel of run "+slowRun+" was taken", func(ctx context.Context, s *salvage) error {
			r, err := s.store.Run(ctx, dayfly.RunID(slowRun))
			if err == nil && r.CancelAt.IsZero() && r.State != dayfly.Ended {
				err = errors.New("there is no trace of it")
			}
			return err
		})
		await(t, time.Minute, "all runs have ended", func() bool {
			return !slices.ContainsFunc(d.history(), func(r record) bool { return r.State != "ended" })
		})
	})
	d.look()
	d.final = map[string]record{}
	for _, r := range d.history() {
		d.final[r.ID] = r
	}
	for _, over := range d.alive {
		<-over
	}
	d.log.finish()
	d.acknowledgements()
	slices.SortStableFunc(d.claims, func(a, b claim) int { return cmp.Compare(a.at, b.at) })
	return d
}

func (d *day) claim(what string, holds func(ctx context.Context, s *salvage) error) {
	d.claims = append(d.claims, claim{d.log.moment(), 0, what, holds})
}

// pause pauses a job and resumes it.
func (d *day) pause(name string) {
	d.t.Helper()
	paused := func(want bool) func(context.Context, *salvage) error {
		return func(ctx context.Context, s *salvage) error {
			rec, err := s.store.Job(ctx, dayfly.JobName(name))
			if err == nil && (rec.Held != store.Pause{}) != want {
				err = fmt.Errorf("the record says %+v", rec.Held)
			}
			return err
		}
	}
	d.do("pause", name)
	d.claim("job "+name+" was paused", paused(true))
	d.claims[len(d.claims)-1].ends = d.log.moment()
	d.do("resume", name)
	d.claim("job "+name+" was resumed", paused(false))
}

// begin begins a command on record.
func (d *day) begin(args ...string) (p *ptrace.Program, ended <-chan unix.WaitStatus, said func() (out, diag string)) {
	d.t.Helper()
	d.begun++
	var files [2]*os.File
	for i := range files {
		f, err := os.Create(filepath.Join(d.out, fmt.Sprint(d.begun, ".", i)))
		if err != nil {
			d.t.Fatal(err)
		}
		files[i] = f
	}
	p = &ptrace.Program{
		Path: d.h.bin, Args: append([]string{"dayfly"}, args...), Env: append(os.Environ(), "DAYFLY_DATA="+d.h.dir),
		Dir: d.out, Stdout: files[0], Stderr: files[1],
	}
	ended, over := d.log.run(p)
	d.alive = append(d.alive, over)
	d.t.Cleanup(func() {
		p.Kill()
		<-over
		_ = files[0].Close()
		_ = files[1].Close()
	})
	return p, ended, func() (string, string) {
		var text [2]string
		for i := range text {
			b, err := os.ReadFile(files[i].Name())
			if err != nil {
				d.t.Error(err)
			}
			text[i] = string(b)
		}
		return text[0], text[1]
	}
}

// do runs a command to its end and gives what it printed.
func (d *day) do(args ...string) string {
	d.t.Helper()
	_, ended, said := d.begin(args...)
	select {
	case ws := <-ended:
		out, diag := said()
		if code := ws.ExitStatus(); code != 0 && !(args[0] == "run" && code == 5) && !(args[0] == "cancel") {
			d.t.Fatalf("dayfly %s: exit code %d: %s%s", strings.Join(args, " "), code, out, diag)
		}
		return out
	case <-time.After(time.Minute):
		out, diag := said()
		d.t.Fatalf("dayfly %s does not come to its end: %s%s", strings.Join(args, " "), out, diag)
		return ""
	}
}

// serve does something beside a daemon on record.
func (d *day) serve(while func()) {
	d.t.Helper()
	p, ended, said := d.begin("serve")
	await(d.t, time.Minute, "the daemon serves", func() bool { _, diag := said(); return strings.Contains(diag, "Serving ") })
	while()
	p.Signal(unix.SIGTERM)
	if ws := <-ended; ws.ExitStatus() != 0 {
		_, diag := said()
		d.t.Fatalf("the daemon ended with code %d: %s", ws.ExitStatus(), diag)
	}
}

func (d *day) history() []record {
	d.t.Helper()
	all, err := records(d.do("history", "-o", "jsonl", "--limit", "0"))
	if err != nil {
		d.t.Fatal(err)
	}
	return all
}

// look asks for everything there is, and makes claims of what it is told.
func (d *day) look() {
	d.t.Helper()
	for _, r := range d.history() {
		d.claim(fmt.Sprintf("history shows run %s, %s %s", r.ID, r.State, r.Outcome), func(ctx context.Context, s *salvage) error {
			got, err := s.store.Run(ctx, dayfly.RunID(r.ID))
			if err == nil && (r.State == "ended" && (got.State != dayfly.Ended || string(got.Outcome) != r.Outcome) || len(got.Attempts) < len(r.Attempts)) {
				err = fmt.Errorf("it is %s %s after %d attempts", got.State, got.Outcome, len(got.Attempts))
			}
			return err
		})
	}
	for line := range strings.Lines(d.do("ps", "--jobs", "-o", "jsonl")) {
		var told struct{ Name, Version string }
		if err := json.Unmarshal([]byte(line), &told); err != nil {
			d.t.Fatal(err)
		}
		if told.Name == "gone" {
			continue // is removed later
		}
		d.claim("ps --jobs shows job "+told.Name, func(ctx context.Context, s *salvage) error { return s.hasJob(ctx, told.Name, told.Version) })
	}
}

// hasJob: a job that is known has its version, and that has its files.
func (s *salvage) hasJob(ctx context.Context, name, version string) error {
	rec, err := s.store.Job(ctx, dayfly.JobName(name))
	if err != nil {
		return err
	}
	if version != "" && rec.Version != version {
		return fmt.Errorf("its version is %s", rec.Version)
	}
	job, err := s.store.Version(ctx, rec.Version)
	if err != nil {
		return err
	}
	_, err = s.bucket.Stat(ctx, dayfly.FilesKey(job.FilesSHA256))
	return err
}

// acknowledgements makes claims of what commands said while they were at work.
func (d *day) acknowledgements() {
	for _, said := range d.log.told {
		for line := range strings.Lines(said.text) {
			if what, holds := d.acknowledgement(said.by, strings.TrimSpace(line)); holds != nil {
				d.claims = append(d.claims, claim{said.at, 0, what, holds})
			}
		}
	}
}

// acknowledgement is what a line of a command claims, if anything.
func (d *day) acknowledgement(by, line string) (what string, holds func(context.Context, *salvage) error) {
	if run, ok := strings.CutPrefix(line, "request recorded: "); ok {
		return "the client of run " + run + " was told that it is recorded", func(ctx context.Context, s *salvage) error {
			_, err := s.store.Run(ctx, dayfly.RunID(run))
			return err
		}
	}
	if machine, ok := strings.CutPrefix(line, "machine launched: "); ok {
		machine, _, _ = strings.Cut(machine, ",")
		return "a client was told of the launch of " + machine, func(ctx context.Context, s *salvage) error {
			return s.hasAttempt(ctx, d.final, machine)
		}
	}
	if name, ok := strings.CutSuffix(line, " added"); ok && by == "apply" && name != "+ gone" {
		name = strings.TrimPrefix(name, "+ ")
		return "apply said that job " + name + " was added", func(ctx context.Context, s *salvage) error { return s.hasJob(ctx, name, "") }
	}
	return "", nil
}

// hasAttempt: a machine that was launched is that of an attempt on record.
func (s *salvage) hasAttempt(ctx context.Context, final map[string]record, machine string) error {
	for id, r := range final {
		for i, a := range r.Attempts {
			if a.Machine != machine {
				continue
			}
			got, err := s.store.Run(ctx, dayfly.RunID(id))
			if err == nil && (len(got.Attempts) <= i || string(got.Attempts[i].Machine) != machine) {
				err = fmt.Errorf("run %s has attempts %+v", id, got.Attempts)
			}
			return err
		}
	}
	return errors.New("no run has ever had it")
}
