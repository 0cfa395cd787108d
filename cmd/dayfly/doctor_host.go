package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/daemon"
	"github.com/dayfly-io/dayfly/internal/machine/local"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/store"
)

// aheadBy is how far behind what was recorded the clock must be to be worth a word.
const aheadBy = time.Minute

func checkClock(ctx context.Context, p *patient) []finding {
	var found []finding
	now := p.a.now()
	if synced, known := clockSynced(); known && !synced {
		found = append(found, warn("timedatectl set-ntp true, or install chrony", "the kernel says that nothing keeps it right (NTP): slots come when this clock says so"))
	}
	if s := p.store(); s != nil {
		recs, _, err := soundJobs(ctx, s) // the check store names what is damaged
		if err != nil {
			return append(found, failed(err, ""))
		}
		var ahead []string
		for _, rec := range recs {
			if rec.Scheduled && rec.Cursor.Sub(now) > aheadBy {
				ahead = append(ahead, string(rec.Name))
			}
		}
		if len(ahead) > 0 {
			found = append(found, warn("set it right; slots that are recorded already do not come again: dayfly run JOB runs one by hand",
				"it was ahead before, or is behind now: slots to come are recorded already for %s", fewOf(ahead)))
		}
		for r, err := range s.History(ctx, store.Filter{Limit: 1}) {
			if err == nil && r.CreatedAt.Sub(now) > aheadBy {
				found = append(found, fail("timedatectl, and set it right", "it is behind: run %s was made in %s", r.ID, took(r.CreatedAt.Sub(now))))
			}
		}
	}
	if len(found) == 0 {
		found = append(found, ok("%s", now.UTC().Format("2006-01-02 15:04:05 UTC")))
	}
	return found
}

func checkZones(ctx context.Context, p *patient) []finding {
	found := []finding{ok("release %s of the IANA data, dayfly's own", schedule.Release)}
	if theirs := hostZones(); theirs > schedule.Release {
		found[0] = warn("use a newer dayfly if the law of one of your zones has changed since", "dayfly's own data is release %s, and this host has %s", schedule.Release, theirs)
	}
	next, job := time.Time{}, dayfly.JobName("")
	var change clockChange
	for _, j := range p.jobs(ctx) {
		set, err := reconcile.Slots(j.version)
		if err != nil {
			continue // the check jobs says so
		}
		if all := clockChanges(set, p.a.now()); len(all) > 0 && (next.IsZero() || all[0].change.At.Before(next)) {
			next, job, change = all[0].change.At, j.rec.Name, all[0]
		}
	}
	if !next.IsZero() {
		found = append(found, ok("the next clock change that touches a schedule is on %s in %s: job %s, %s; dayfly next %s shows it",
			next.Format("2006-01-02"), change.Zone, job, change.Meaning, job))
	}
	return found
}

// hostZones is the release of the host's own time zone data; empty where it does not say.
func hostZones() string {
	text, err := os.ReadFile("/usr/share/zoneinfo/tzdata.zi")
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text[:min(len(text), 100)]), "\n")
	release, _ := strings.CutPrefix(line, "# version ")
	if len(release) < 5 || len(release) > 6 {
		return ""
	}
	return release
}

// provider gives the local provider: over the data directory's machines, or over a directory of its own
// where there are none. done removes that.
func (p *patient) provider() (l *local.Provider, done func(), err error) {
	where, done := filepath.Join(p.dir, "machines"), func() {}
	if !exists(p.dir) {
		tmp, err := os.MkdirTemp("", "dayfly-doctor-")
		if err != nil {
			return nil, done, fmt.Errorf("make a directory to try machines in: %w", err)
		}
		where, done = filepath.Join(tmp, "machines"), func() { _ = os.RemoveAll(tmp) }
	}
	l, err = local.New(local.Config{Dir: where, Now: p.a.now, Log: p.a.logger()})
	return l, done, err
}

func checkIsolation(ctx context.Context, p *patient) []finding {
	l, done, err := p.provider()
	defer done()
	if err != nil {
		return []finding{failed(err, "")}
	}
	var found []finding
	had := false
	for _, t := range l.TryRungs(ctx) {
		if t.Err == nil {
			found = append(found, ok("%s can be had, with %s", t.Isolation, t.Way))
			had = true
			continue
		}
		f := warn(t.Hint, "%s cannot be had: %s", t.Isolation, strings.ReplaceAll(t.Err.Error(), "\n", "; "))
		found = append(found, f)
	}
	if had {
		return found
	}
	if os.Geteuid() == 0 { // then none is taken only by jobs that ask for it
		for i := range found {
			found[i].Result = healthFail
		}
		return found
	}
	return append(found, warn("see above", "jobs run without isolation here: as this user, among its other processes"))
}

func checkLimits(ctx context.Context, _ *patient) []finding {
	var found []finding
	var had []string
	for _, l := range local.TryLimits(ctx) {
		if l.Err == nil {
			had = append(had, fmt.Sprintf("%s (cgroup v%d)", l.What, l.Version))
			continue
		}
		meaning := map[string]string{
			"pids":   "a job may make as many processes as the user may",
			"memory": "memory: in job files is refused or does nothing",
			"cpu":    "cpu: in job files is refused or does nothing",
		}[l.What]
		found = append(found, warn("run dayfly as a service of systemd with Delegate=yes (systemd-run --user --scope -p Delegate=yes dayfly serve), or as root",
			"%s cannot be limited by a cgroup: %s: %s", l.What, l.Err, meaning))
	}
	if len(had) > 0 {
		found = append([]finding{ok("%s can be limited", strings.Join(had, ", "))}, found...)
	}
	if most := ownTasks(); most > 0 && most < dayfly.DefaultPids {
		found = append(found, warn("raise TasksMax= of the service, or ulimit -u", "this process may have %d processes and threads with all that it starts, fewer than one machine's %d", most, dayfly.DefaultPids))
	}
	return found
}

func checkMachines(ctx context.Context, p *patient) []finding {
	if !p.there {
		return []finding{ok("there are none")}
	}
	l, done, err := p.provider()
	defer done()
	if err != nil {
		return []finding{failed(err, "")}
	}
	list, err := l.List(ctx)
	var found []finding
	if err != nil {
		found = append(found, failed(fmt.Errorf("list machines: %w", err), "dayfly machines"))
	}
	now, alive := p.a.now(), 0
	var overdue, over, orphans []string
	for _, m := range list.Machines {
		switch {
		case m.State == dayfly.MachineTerminated:
			if p.answers(ctx, m) == answersNot {
				over = append(over, string(m.ID))
			}
			continue
		case now.After(m.Tags.Deadline.Add(overdueBy)):
			overdue = append(overdue, string(m.ID))
		case p.answers(ctx, m) == answersNot:
			orphans = append(orphans, string(m.ID))
		}
		alive++
	}
	if len(overdue) > 0 {
		found = append(found, fail("dayfly sweep --deadlines", "past the deadline: %s", fewOf(overdue)))
	}
	if len(orphans) > 0 {
		found = append(found, warn("dayfly sweep, and once more after half a minute; dayfly serve does it by itself", "no run answers for %s", fewOf(orphans)))
	}
	if len(over) > 0 {
		found = append(found, warn("dayfly sweep", "of %s that are gone something is still kept: %s", plural(len(over), "machine"), fewOf(over)))
	}
	if left := p.mounts(); len(left) > 0 {
		found = append(found, fail("umount -l "+left[0], "mounts below the data directory: %s", fewOf(left)))
	}
	if s := p.store(); s != nil {
		if notes, err := s.Notes(ctx, "suspect/", now); err == nil && len(notes) > 0 {
			found = append(found, warn("dayfly sweep", "%s noted as suspect", plural(len(notes), "machine")))
		}
	}
	if len(found) == 0 {
		found = append(found, ok("%s, none past its deadline, nothing left over", plural(alive, "machine")))
	}
	return found
}

// mounts are mount points below the machines. They mount in namespaces of their own.
func (p *patient) mounts() []string {
	real, err := filepath.EvalSymlinks(filepath.Join(p.dir, "machines"))
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(mountsIn(real), func(at string) bool { return at == real })
}

// overdueBy is how long past its deadline a local machine may be.
const overdueBy = 5 * time.Second

// answer is whether a run answers for a machine.
type answer int

const (
	answersUnknown answer = iota
	answersFor
	answersNot
)

func (p *patient) answers(ctx context.Context, m dayfly.Machine) answer {
	s := p.store()
	if s == nil {
		return answersUnknown
	}
	r, err := s.Run(ctx, m.Tags.Run)
	if err != nil {
		return answersUnknown
	}
	if r.State == dayfly.Ended || r.Attempt() == nil || r.Attempt().Token != m.Tags.Token {
		return answersNot
	}
	return answersFor
}

func checkDaemon(ctx context.Context, p *patient) []finding {
	if !p.there {
		return []finding{ok("nothing is scheduled yet")}
	}
	pid, held, err := daemon.Holder(filepath.Join(p.dir, lockFile))
	if err != nil {
		return []finding{failed(err, "")}
	}
	waiting, late := 0, time.Time{}
	now := p.a.now()
	for _, j := range p.jobs(ctx) {
		if !due(j.rec, now) {
			continue
		}
		waiting++
		if late.IsZero() || j.rec.NextDue.Before(late) {
			late = j.rec.NextDue
		}
	}
	switch {
	case held && !late.IsZero() && now.Sub(late) > dayfly.OnTime:
		return []finding{fail(fmt.Sprintf("see its log; kill %d and start dayfly serve anew", pid), "process %d is there, and a slot of %s ago is not recorded: it makes no passes", pid, took(now.Sub(late)))}
	case held && exists(filepath.Join(p.dir, announceFile)):
		return []finding{p.askDaemon(ctx, pid, waiting)}
	case held:
		return []finding{ok("process %d keeps to the schedules of %s", pid, plural(waiting, "job"))}
	case waiting > 0:
		return []finding{warn("dayfly serve, or its --once from a crontab", "none is at work: %s by schedule, and nothing runs", pluralVerb(waiting, "job waits", "jobs wait"))}
	}
	if runs := p.due(ctx); runs > 0 {
		return []finding{warn("dayfly serve, or its --once", "none is at work: %s for a machine, and only a command that stays with them goes on with them", pluralVerb(runs, "run waits", "runs wait"))}
	}
	return []finding{ok("none is at work, and nothing waits for one")}
}

// due is how many runs wait for a machine.
func (p *patient) due(ctx context.Context) (n int) {
	if p.store() == nil {
		return 0
	}
	runs, _, err := store.Readable(p.store().ActiveRuns(ctx, store.Scope{}))
	if err != nil {
		return 0 // what is wrong with the records has a check of its own
	}
	for _, r := range runs {
		if waits(r) {
			n++
		}
	}
	return n
}

// askDaemon hears what a daemon that listens says of itself.
func (p *patient) askDaemon(ctx context.Context, pid, waiting int) finding {
	text, err := os.ReadFile(filepath.Join(p.dir, announceFile))
	var at struct{ Address string }
	if err == nil {
		err = json.Unmarshal(text, &at)
	}
	if err != nil {
		return failed(fmt.Errorf("read where the daemon listens: %w", err), "")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	mend := fmt.Sprintf("see its log; kill %d and start dayfly serve anew", pid)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.Address+"/healthz", nil)
	if err != nil {
		return failed(fmt.Errorf("ask process %d how it is: %w", pid, err), mend)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return failed(fmt.Errorf("ask process %d how it is: %w", pid, err), mend)
	}
	defer resp.Body.Close()
	var says daemon.Health
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&says); err != nil {
		return failed(fmt.Errorf("hear how process %d is: %w", pid, err), mend)
	}
	if says.Status != "ok" {
		return fail(mend, "process %d is %s: %s", pid, says.Status, strings.Join(says.Errors, "; "))
	}
	return ok("process %d keeps to the schedules of %s; its last pass was %s", pid, plural(waiting, "job"), when(says.LastPass, p.a.now()))
}

// patientJob is a job with its version.
type patientJob struct {
	rec     store.Job
	version dayfly.Job
	err     error
}

// jobs gives all jobs that are applied.
func (p *patient) jobs(ctx context.Context) []patientJob {
	s := p.store()
	if s == nil {
		return nil
	}
	recs, _, err := soundJobs(ctx, s)
	if err != nil {
		return nil // the check store says so
	}
	var all []patientJob
	for _, rec := range slices.DeleteFunc(recs, func(rec store.Job) bool { return !rec.Scheduled }) {
		j := patientJob{rec: rec}
		j.version, j.err = s.Version(ctx, rec.Version)
		all = append(all, j)
	}
	return all
}
