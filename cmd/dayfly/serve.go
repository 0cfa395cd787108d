package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bell"
	"github.com/dayfly-io/dayfly/internal/daemon"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	jobs, listen, metrics string
	once, moved           bool
	log                   logFlags
}

func (a *app) serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use: "serve", Short: "Keeps to the schedules: makes slots into runs and sees them to their end", Args: none,
		Long: `Keeps to the schedules of all jobs until it is told to stop (Ctrl-C, TERM), and then leaves machines under
way as they are; the next command or serve goes on with them. One serve at a time works on a data
directory.

The job files of --jobs are applied at the start. A file that changes, comes or goes is noticed within
seconds and taken over alone, when it is whole (one that is written in place among thousands of others:
within minutes); HUP takes over everything at once, also what files: names. What changed is said. A file
that is wrong is said too, and what was applied before stays; ps --jobs shows it. A job whose file has vanished
is paused.

What is older than keep says, in the job or the settings, is removed in between, a little at a time.

With --once it does what is due right now and ends, for a line in a crontab.

With --metrics Prometheus can ask how it does: docs/metrics.md says what, deploy/ has alerts and a
dashboard. With --log-format json every line on stderr is one JSON object. Under systemd it says when it is
ready, and that it is well.`,
		Example: "  dayfly serve --jobs jobs/\n  dayfly serve --jobs jobs/ --metrics :9464 --log-format json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case f.once && f.listen != "":
				return usage(cmd, "--listen is for a serve that stays; --once does not")
			case f.once && f.metrics != "":
				return usage(cmd, "--metrics is for a serve that stays; --once does not")
			}
			return a.serve(cmd.Context(), f)
		},
	}
	cmd.Flags().StringVar(&f.jobs, "jobs", "", "apply the job files in this `DIR`ectory, and keep to what they say")
	cmd.Flags().Var(address{&f.listen, "127.0.0.1:7433"}, "listen", "answer /healthz on this `ADDR`ess, such as 127.0.0.1:7433; port 0 takes a free one (default: none)")
	cmd.Flags().Var(address{&f.metrics, "127.0.0.1:9464"}, "metrics", "answer /metrics for Prometheus on this `ADDR`ess, such as 127.0.0.1:9464; without a host this one alone (default: none)")
	f.log = logFlags{format: logForms[0], level: "info"}
	choice{words: logForms, value: &f.log.format}.add(cmd, "log-format", "", "the `FORM` of the log on stderr: "+strings.Join(logForms, ", "))
	choice{words: levels, value: &f.log.level}.add(cmd, "log-level", "", "the least `LEVEL` that is logged: "+strings.Join(levels, ", "))
	cmd.Flags().BoolVar(&f.moved, "moved", false, "say that the host that served this data directory before serves it no more")
	cmd.Flags().BoolVar(&f.once, "once", false, "do what is due right now, and end")
	return cmd
}

// serve keeps to the schedules until it is told to stop. That it was told so before it was ready is no error either,
// unless it was to do something and end.
func (a *app) serve(ctx context.Context, f serveFlags) (err error) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // from the start: a HUP that comes early must not end it
	defer signal.Stop(hup)
	ready := false
	defer func() {
		if !ready && !f.once && ctx.Err() != nil && errors.Is(err, context.Canceled) {
			a.say("Stopped before it was ready.")
			err = nil
		}
	}()
	h, err := a.open()
	if err != nil {
		return err
	}
	h.log = a.serviceLog(f.log)
	if f.metrics != "" {
		h.observe()
	}
	lock, err := daemon.Acquire(h.path(lockFile))
	if err != nil {
		return misplaced(err, "")
	}
	defer lock.Release() //nolint:errcheck // the kernel takes it back in any case
	loop, err := h.Loop(ctx)
	if err != nil {
		return err
	}
	release, err := daemon.Alone(h.settings.Installation, h.dir)
	if err != nil {
		return err
	}
	defer release()
	leave, err := a.claim(ctx, h, f.moved)
	if err != nil {
		return err
	}
	defer leave()
	var jobs *jobsDir
	if f.jobs != "" {
		if jobs, err = a.newJobsDir(h, f.jobs); err != nil {
			return err
		}
		if err := jobs.all(ctx); err != nil {
			return err
		}
	}
	if f.once {
		return a.serveOnce(ctx, h, loop)
	}
	d, closeAll, err := a.newDaemon(ctx, h, loop, f)
	if err != nil {
		return err
	}
	defer closeAll()
	d.Start(ctx)
	ready = true
	a.say("Serving %s, process %d.", clean(h.dir), os.Getpid())
	sd := daemon.NewSystemd(a.getenv)
	a.tell(sd, "READY=1", "STATUS=Serving "+h.dir)
	go sd.KeepAlive(ctx, d.Turning)
	gone := serving(ctx, h, hup, jobs, a.now)
	a.tell(sd, "STOPPING=1")
	if gone == nil {
		a.say("Stopping; machines under way go on.")
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopFor)
	defer cancel()
	return errors.Join(gone, d.Stop(bounded))
}

// tell tells systemd, if it listens.
func (a *app) tell(sd daemon.Systemd, lines ...string) {
	if err := sd.Notify(lines...); err != nil {
		a.bearable("", err)
	}
}

// serving keeps to the job files, if there are any, until ctx ends or, which is an error, the data
// directory is gone. HUP reloads.
func serving(ctx context.Context, h *home, hup <-chan os.Signal, jobs *jobsDir, now func() time.Time) error {
	ctx, cancel := context.WithCancel(ctx)
	var files sync.WaitGroup
	defer files.Wait()
	defer cancel()
	if jobs != nil {
		files.Go(func() { jobs.watch(ctx, hup) })
		hup = nil
	}
	look := time.NewTimer(0)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup: // there is nothing to reload
		case <-look.C:
			if err := h.gone(); err != nil {
				return err
			}
			look.Reset(daemon.Tick(now()))
		}
	}
}

// stopFor is how long a daemon has to stop.
const stopFor = 5 * time.Second

// newDaemon puts the daemon together; stopped is for when it has.
func (a *app) newDaemon(ctx context.Context, h *home, loop *reconcile.Reconciler, f serveFlags) (d *daemon.Daemon, stopped func(), err error) {
	providers, err := h.Providers() // the reaper's own
	if err != nil {
		return nil, nil, err
	}
	waiter, err := bell.Listen(h.path("bell"))
	if err != nil {
		return nil, nil, fmt.Errorf("listen for the bell: %w", err)
	}
	_ = os.Remove(h.path(announceFile)) // of one that was killed
	closeAll := func() {
		_ = waiter.Close()
		_ = os.Remove(h.path(announceFile))
	}
	c := daemon.Config{
		Loop: loop, Bell: waiter.C(), Ring: h.ring, Now: a.now, Log: h.log,
		Reaper: reconcile.Reaper{Installation: h.settings.Installation, Providers: providers, Now: a.now, Log: h.log},
	}
	c.Records, _ = h.store.(store.Generational)
	defer func() {
		if err == nil {
			return
		}
		closeAll()
		for _, l := range []net.Listener{c.Listener, c.Metrics} {
			if l != nil {
				_ = l.Close()
			}
		}
	}()
	if f.listen != "" {
		if c.Listener, err = net.Listen("tcp", f.listen); err != nil {
			return nil, nil, &dayfly.Error{
				Code: dayfly.CodeInternal, Message: fmt.Sprintf("listen on %s: %s", f.listen, err), Err: err,
				Hint: "choose another --listen ADDR; port 0 takes a free one",
			}
		}
		a.say("Listening on http://%s", c.Listener.Addr())
		if err := h.announce(c.Listener.Addr().String(), a.now()); err != nil {
			return nil, nil, err
		}
	}
	if h.metrics != nil {
		if c.Metrics, err = a.listenForMetrics(f.metrics); err == nil {
			err = h.recall(ctx)
		}
		if err != nil {
			return nil, nil, err
		}
		c.Scrape, c.Watch = h.metrics.Handler(), h.metrics
	}
	d, err = daemon.New(c)
	return d, closeAll, err
}

// takeOver applies the job files of a directory and says what changed. What is wrong with single files
// is said and does not stop it; that the directory cannot be read does.
func (a *app) takeOver(ctx context.Context, h *home, dir string) (found, error) {
	f, err := findJobs([]string{dir})
	if err != nil {
		return f, err
	}
	from := dir
	if dir == "." {
		from = "the current directory"
	}
	bad := 0
	for i := range f.files {
		j := &f.files[i]
		if j.err == nil {
			a.advise(*j)
			j.err = j.served()
		}
		if j.err != nil {
			printError(a.err, j.err)
			a.warn("%s is not applied; what was applied before stays", j.path)
			bad++
		}
	}
	ready, wrong := f.each(func(j jobFile) (dayfly.Job, error) { return h.pack(ctx, j) })
	done, err := h.applyAll(ctx, f, ready, false)
	err = errors.Join(wrong, err)
	taken := map[dayfly.JobName]bool{}
	for _, c := range done {
		taken[c.Job] = true
		if c.sign() != "=" {
			a.say("%s", clean(c.String()))
		}
	}
	if ctx.Err() != nil { // it is told to stop: that single jobs were not applied is no news
		return f, ctx.Err()
	}
	f.left = map[dayfly.JobName]bool{}
	for _, j := range f.files {
		if j.err == nil && !taken[j.file.Job.Name] {
			f.left[j.file.Job.Name] = true
		}
	}
	bad += len(f.left)
	if bad > 0 {
		a.say("%s of %s not applied.", plural(bad, "file"), from)
	}
	if good := len(f.files) - bad; good > 0 || bad == 0 {
		a.say("Applied %s of %s.", plural(good, "file"), from)
	}
	if err != nil {
		printError(a.err, err)
	}
	return f, nil
}

// removeFor is how long serve --once goes on where all that is left to do is to remove what is old.
const removeFor = 30 * time.Second

// serveOnce makes passes until nothing is due right now.
func (a *app) serveOnce(ctx context.Context, h *home, loop *reconcile.Reconciler) error {
	r := reconcile.Reaper{Installation: h.settings.Installation, Providers: loop.Providers, Now: a.now, Log: h.log}
	_, reapErr := r.Reap(ctx)
	var all reconcile.Summary
	var damaged error
	for begun := a.now(); ; {
		sum, err := loop.Pass(ctx, reconcile.Scope{Slots: true})
		h.ringIf(sum)
		all.Inserted, all.Missed, all.Skipped = all.Inserted+sum.Inserted, all.Missed+sum.Missed, all.Skipped+sum.Skipped
		all.Launched, all.Ended, all.Active = all.Launched+sum.Launched, all.Ended+sum.Ended, sum.Active
		if damaged = nil; store.IsDamage(err) { // beside that all else was done
			damaged, err = err, nil
		}
		if err != nil {
			return errors.Join(reapErr, err)
		}
		all.Removed += sum.Removed
		if sum.Inserted+sum.Missed+sum.Skipped+sum.Launched+sum.Ended == 0 && (sum.Removed == 0 || a.now().Sub(begun) > removeFor) {
			break
		}
	}
	found, sweepErr := loop.Sweep(ctx, false)
	for _, f := range found {
		if f.Action == "ended" {
			a.warn("ended %s: an orphan, %s", f.Machine.ID, f.Why)
		}
	}
	missed := plural(all.Missed, "slot") + " missed"
	if all.Skipped > 0 {
		missed += fmt.Sprintf(", %d skipped", all.Skipped)
	}
	a.say("%s made, %s, %s launched, %d ended; %s under way.", plural(all.Inserted, "run"), missed,
		plural(all.Launched, "machine"), all.Ended, plural(all.Active, "run"))
	if all.Removed > 0 {
		a.say("Removed what is old, as keep says: %s.", plural(all.Removed, "item"))
	}
	return errors.Join(reapErr, damaged, sweepErr)
}

// announceFile says where the daemon of a data directory listens.
const announceFile = "daemon.json"

func (h *home) announce(address string, now time.Time) error {
	text, err := json.Marshal(map[string]any{"address": address, "pid": os.Getpid(), "started_at": stamp(now)})
	if err != nil {
		return err
	}
	d, err := lockDir(h.dir)
	if err != nil {
		return fmt.Errorf("announce the address: %w", err)
	}
	defer d.Close()
	return writeSynced(d, h.path(announceFile), append(text, '\n'))
}
