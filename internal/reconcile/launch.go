package reconcile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/store"
)

// launchAtOnce is how many attempts are begun before their machines are asked for: meanwhile nobody else
// may begin any, and theirs grow old.
const launchAtOnce = 64

// launchAll begins an attempt for every due run that may launch, in slot order, and asks for the machines.
func (p *pass) launchAll(ctx context.Context, active []dayfly.Run) ([]dayfly.Run, error) {
	decided := map[dayfly.RunID]bool{}
	var errs []error
	first := p.now()
	if p.standstill(ctx, active) {
		return active, nil
	}
	for slices.ContainsFunc(active, func(r dayfly.Run) bool { return ready(r, p.now()) && !decided[r.ID] }) {
		if !p.begins() || p.now().Sub(first) >= LaunchFor {
			p.soon(p.now())
			break
		}
		verdicts, begun, err := p.beginSome(ctx, active, decided)
		errs = append(errs, err)
		if verdicts == nil {
			p.soon(p.now().Add(Look))
			break
		}
		active, err = p.each(begun, func(run dayfly.Run) (dayfly.Run, error) {
			if run.State != dayfly.Launching || !verdicts[run.ID].launch {
				return run, nil
			}
			if !p.begins() { // what is begun is stored; the next pass asks for the machine
				p.soon(p.now())
				return run, nil
			}
			return p.advance(ctx, run)
		})
		errs = append(errs, err)
	}
	return active, errors.Join(errs...)
}

// standstill tells whether, by what this pass has read, nothing is to be decided that is not stored already:
// all that are ready wait for the same as before. Nobody has to wait for the turn to decide then, nor to read
// anything anew; whatever has changed meanwhile rings.
func (p *pass) standstill(ctx context.Context, active []dayfly.Run) bool {
	now := p.now()
	if !slices.ContainsFunc(active, func(r dayfly.Run) bool { return ready(r, now) }) {
		return true
	}
	if p.scope.Run != "" || !p.scope.Slot.IsZero() || p.Machines > 0 && p.scope.Job != "" {
		return false // they depend on runs that are not among these
	}
	if slices.ContainsFunc(active, func(r dayfly.Run) bool { return ready(r, now) && r.Reason == "" }) {
		return false // nobody has decided on it yet
	}
	going := slices.DeleteFunc(slices.Clone(active), func(r dayfly.Run) bool { return r.State == dayfly.Ended })
	all, err := p.admitAll(ctx, going, going, nil)
	if err != nil {
		return false
	}
	for _, r := range going {
		if v, ok := all[r.ID]; ready(r, now) && (!ok || v.launch || v.skip != "" || len(v.replace) > 0 || unsaid(r, v)) {
			return false
		}
	}
	return true
}

// unsaid tells whether it is not stored yet what a run waits for.
func unsaid(r dayfly.Run, v verdict) bool { return len(r.Attempts) == 0 && r.Reason != v.wait }

// sayAtOnce is how many runs are told in one go what they wait for. It is of use to people only.
const sayAtOnce = 100

// beginSome decides what becomes of the runs that are ready, and stores it; of those that may launch, for
// so many at once. Nobody else decides meanwhile, and what others have decided before is read anew.
func (p *pass) beginSome(ctx context.Context, active []dayfly.Run, decided map[dayfly.RunID]bool) (map[dayfly.RunID]verdict, []dayfly.Run, error) {
	if s, ok := p.Store.(store.Admitter); ok {
		leave, err := s.Admission(ctx)
		if err != nil {
			return nil, active, fmt.Errorf("wait for the turn to launch: %w", err)
		}
		defer leave()
	}
	others, broken, err := store.Readable(p.others(ctx, active))
	if err != nil {
		return nil, active, err
	}
	all, err := p.admitAll(ctx, active, others, broken)
	now := map[dayfly.RunID]verdict{}
	launches, told := 0, 0
	for _, run := range active {
		v, ok := all[run.ID]
		switch {
		case decided[run.ID] || !ready(run, p.now()) || v.launch && launches == launchAtOnce:
			continue
		case v.launch:
			launches++
		}
		decided[run.ID] = true
		if !ok { // the error says why
			continue
		}
		if v.wait != "" && len(v.replace) == 0 && unsaid(run, v) {
			if told++; told > sayAtOnce { // some other time
				p.soon(p.now().Add(Look))
				continue
			}
		}
		now[run.ID] = v
	}
	begun, err2 := p.each(active, func(run dayfly.Run) (dayfly.Run, error) {
		v, ok := now[run.ID]
		if !ok {
			return run, nil
		}
		if !p.begins() {
			p.soon(p.now())
			return run, nil
		}
		return p.obey(ctx, run, v)
	})
	return now, begun, errors.Join(err, err2)
}

// ready tells whether a run wants to launch now.
func ready(r dayfly.Run, now time.Time) bool {
	return r.State == dayfly.Due && r.CancelAt.IsZero() && !now.Before(r.NotBefore)
}

// others gives all active runs that those of this pass depend on, as they are now.
func (p *pass) others(ctx context.Context, active []dayfly.Run) ([]dayfly.Run, error) {
	scope := p.scope.Scope
	switch {
	case p.Machines > 0: // the limit of machines is on all together
		scope = store.Scope{}
	case scope.Run != "":
		scope = store.Scope{Job: active[0].Job}
	}
	others, err := p.Store.ActiveRuns(ctx, scope)
	if err != nil {
		err = fmt.Errorf("read active runs: %w", err)
	}
	return others, err
}

// inFlight counts the runs that have or may have a machine.
func inFlight(runs []dayfly.Run) (n int) {
	for _, r := range runs {
		if r.State != dayfly.Due && r.State != dayfly.Ended {
			n++
		}
	}
	return n
}

// admitAll gives a verdict on each of this pass's runs that are ready. A job that cannot be read is an
// error, and does not stop the others. Where there is a limit of machines, the earliest slots come first,
// whatever their job. A broken record may be of a run that has a machine: its job waits, and the limit counts it.
func (p *pass) admitAll(ctx context.Context, active, others []dayfly.Run, broken []store.Damage) (map[dayfly.RunID]verdict, error) {
	byJob := map[dayfly.JobName][]dayfly.Run{}
	for _, r := range others {
		byJob[r.Job] = append(byJob[r.Job], r)
	}
	verdicts := map[dayfly.RunID]verdict{}
	var errs []error
	for _, d := range broken {
		if _, ours := byJob[d.Job]; ours && p.scope.Run != "" { // else it was said where the pass began
			errs = append(errs, fmt.Errorf("job %s waits: %w", d.Job, d))
		}
		delete(byJob, d.Job)
	}
	for _, name := range slices.Sorted(maps.Keys(byJob)) {
		policy := func(version string) (dayfly.Job, error) { return p.version(ctx, version) }
		vs, err := admit(byJob[name], policy, p.now())
		if err != nil {
			errs = append(errs, fmt.Errorf("job %s: %w", name, err))
		}
		maps.Copy(verdicts, vs)
	}
	// A run that is not this pass's may have nobody who launches it: it takes no room before it does.
	in := map[dayfly.RunID]bool{}
	for _, r := range active {
		in[r.ID] = true
	}
	maps.DeleteFunc(verdicts, func(id dayfly.RunID, _ verdict) bool { return !in[id] })
	if p.Machines > 0 {
		bound(verdicts, others, inFlight(others)+len(broken), p.Machines)
	}
	return verdicts, errors.Join(errs...)
}

// bound lets only so many launch that there are no more machines than the limit, the earliest slots first.
func bound(verdicts map[dayfly.RunID]verdict, runs []dayfly.Run, taken, limit int) {
	room := limit - taken
	for _, r := range slices.SortedFunc(slices.Values(runs), inTurn) {
		if !verdicts[r.ID].launch {
			continue
		}
		if room <= 0 {
			verdicts[r.ID] = verdict{wait: fmt.Sprintf("the limit of %d machines in all", limit)}
		}
		room--
	}
}

// obey does what was decided of a due run.
func (p *pass) obey(ctx context.Context, run dayfly.Run, v verdict) (dayfly.Run, error) {
	switch {
	case v.skip != "":
		return p.unlessElse(p.settle(ctx, run, end(run.Clone(), dayfly.Skipped, v.skip, p.now()).Run))
	case v.launch:
		return p.unlessElse(p.begin(ctx, run))
	}
	for _, id := range v.replace {
		if err := Cancel(ctx, p.Store, id, "replaced by "+string(run.ID), p.now()); err != nil && dayfly.ErrorCode(err) != dayfly.CodeRefused {
			return run, err
		}
		p.soon(p.now())
	}
	if unsaid(run, v) {
		waits := run.Clone()
		waits.Reason = v.wait
		return p.unlessElse(p.save(ctx, waits))
	}
	return run, nil
}

func (p *pass) unlessElse(run dayfly.Run, err error) (dayfly.Run, error) {
	if errors.Is(err, errElse) {
		p.soon(p.now().Add(Look))
		return run, nil
	}
	return run, err
}

// begin stores a new attempt: from here on the run may have a machine.
func (p *pass) begin(ctx context.Context, run dayfly.Run) (dayfly.Run, error) {
	job, err := p.version(ctx, run.Version)
	if err == nil {
		err = p.able(job)
	}
	if err != nil {
		return run, err
	}
	now := p.now()
	number := len(run.Attempts) + 1
	spec := machine.Spec{
		Token: dayfly.Token(p.Installation, run.ID, number, 0), Machine: job.Machine,
		Location: locationOf(job),
	}
	deadline := now.Add(job.Deadline.Duration())
	spec.Tags = dayfly.Tags{Installation: p.Installation, Run: run.ID, Attempt: number, Deadline: deadline, Token: spec.Token}
	spec.Task = dayfly.Task{
		Job: run.Job, Run: run.ID, Attempt: number, Slot: run.Slot, Shard: run.Shard,
		Prefix: dayfly.AttemptPrefix(run.Job, run.ID, number), Env: environment(job, run), SecretNames: slices.Sorted(maps.Keys(job.Secrets)),
		FilesSHA256: job.FilesSHA256, Script: job.Run, Timeout: job.Timeout, Grace: job.Grace, Deadline: deadline, Pids: job.Machine.Pids,
	}
	if job.Array != nil {
		spec.Task.Shards = job.Array.Size
	}
	if spec.Task.PreviousSuccess, err = p.lastSuccess(ctx, run.Job, run.Shard); err != nil {
		return run, err
	}
	a := dayfly.Attempt{
		Number: number, Provider: job.Machine.On, Token: spec.Token, Deadline: deadline, LaunchedAt: now, Request: &spec,
	}
	prov, ok := p.Providers[job.Machine.On]
	if n, can := machine.As[machine.Namer](prov); ok && can {
		a.Machine = n.MachineID(spec)
	}
	next := run.Clone()
	next.Attempts = append(next.Attempts, a)
	next.State, next.Reason, next.NotBefore = dayfly.Launching, "", time.Time{}
	stored, err := p.save(ctx, next)
	if err != nil {
		return run, err
	}
	p.count(func(s *Summary) { s.Launched++ })
	p.Watch.Begun(stored, dueAt(job, p.Installation, run))
	p.Log.Info("attempt begun", "job", stored.Job, "run", stored.ID, "attempt", number, "provider", a.Provider, "deadline", deadline)
	return stored, nil
}

// environment is the job's own, and the run's parameters under the names of their variables.
func environment(job dayfly.Job, run dayfly.Run) map[string]string {
	if len(run.Params) == 0 {
		return job.Env
	}
	env := make(map[string]string, len(job.Env)+len(run.Params))
	maps.Copy(env, job.Env)
	for name, value := range run.Params {
		env[dayfly.ParamVar(name)] = value
	}
	return env
}

func locationOf(job dayfly.Job) string {
	if r := job.Machine.Regions; r != nil && len(r.First) > 0 {
		return r.First[0]
	}
	return job.Machine.On
}

// retryLaunch is how soon a launch of unknown outcome is repeated.
const retryLaunch = 2 * time.Second

// launch asks the provider for the machine of the stored request, and records the answer. A definite no
// is ours alone: another pass may have asked for the same machine and got it. So it leads to stopping as
// everything does, and the machine must be observed gone.
func (p *pass) launch(ctx context.Context, run dayfly.Run) (dayfly.Run, error) {
	a := run.Attempt()
	m, err := p.ask(ctx, run)
	var capacity *machine.CapacityError
	var config *machine.ConfigError
	var d Decision
	switch {
	case err == nil:
		d = launched(run.Clone(), m, p.now())
	case errors.Is(err, machine.ErrGone):
		d = launched(run.Clone(), dayfly.Machine{ID: a.Machine}, p.now())
		d.Run.Reason = err.Error() // lists may say less of it, or nothing
		p.soon(p.now())            // to see what became of it
	case errors.As(err, &capacity):
		d = stop(run.Clone(), dayfly.Capacity, err.Error(), p.now())
	case errors.As(err, &config):
		d = stop(run.Clone(), dayfly.Refused, strings.TrimSuffix(config.Problem+": "+config.Hint, ": "), p.now())
	default:
		waits := run.Clone()
		waits.NotBefore, waits.Reason = p.now().Add(p.Jitter(retryLaunch)), "launch: "+err.Error()
		p.Log.Warn("launch of unknown outcome, will be repeated", "job", run.Job, "run", run.ID, "attempt", a.Number, "error", err)
		return p.save(ctx, waits)
	}
	return p.settle(ctx, run, d.Run)
}

// ask writes what the agent reads, resolves the secrets, and calls the provider.
func (p *pass) ask(ctx context.Context, run dayfly.Run) (dayfly.Machine, error) {
	a := run.Attempt()
	prov, ok := p.Providers[a.Provider]
	if !ok {
		return dayfly.Machine{}, &machine.ConfigError{Problem: "machine.on: " + a.Provider + " is not part of this installation", Hint: "use machine.on: local"}
	}
	spec := *a.Request
	job, err := p.version(ctx, run.Version)
	if err != nil {
		return dayfly.Machine{}, err
	}
	if spec.Secrets, err = p.secrets(job); err != nil {
		return dayfly.Machine{}, &machine.ConfigError{Problem: err.Error(), Err: err}
	}
	task, err := json.Marshal(spec.Task)
	if err != nil {
		return dayfly.Machine{}, fmt.Errorf("write %s: %w", dayfly.KeyTask, err)
	}
	_, err = p.Bucket.Put(ctx, spec.Task.Prefix+dayfly.KeyTask, bytes.NewReader(task), bucket.Condition{IfAbsent: true})
	if err != nil && !errors.Is(err, bucket.ErrExists) {
		return dayfly.Machine{}, fmt.Errorf("write %s: %w", dayfly.KeyTask, err)
	}
	call, cancel := context.WithTimeout(ctx, CallFor)
	defer cancel()
	return prov.Launch(call, spec)
}

// secrets resolves what the job names.
func (p *pass) secrets(job dayfly.Job) (map[string]string, error) {
	values := make(map[string]string, len(job.Secrets))
	for name, ref := range job.Secrets {
		value, err := p.Secret(ref)
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", name, err)
		}
		values[name] = value
	}
	return values, nil
}

// able says why this pass must leave the launch to whoever asked for the run: it has not what the run needs.
func (p *pass) able(job dayfly.Job) error {
	if p.scope.answers() {
		return nil // then that is the run's answer
	}
	if _, err := p.secrets(job); err != nil {
		return fmt.Errorf("not launched from here: %w", err)
	}
	return nil
}
