package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// errand is a job of one line that is due once.
type errand struct {
	at   time.Time
	line string // for bash
}

// contender runs errands when they are due.
type contender struct {
	name  string
	needs string // a program, and where there is one
	from  string
	alone int           // how many errands are due each by itself,
	apart time.Duration // so far from one another; no schedule of it names an instant between
	start func(ctx context.Context, b bench, jobs []errand) (stop func() error, err error)
}

// neighbours measures the instants at which jobs of one line begin, by one observer for all: errands that are due
// alone, and many at one minute. The job says by itself when it began, to a port of this program.
func neighbours(ctx context.Context, b bench) (figures []figure, err error) {
	shell, err := exec.LookPath("bash")
	if err != nil {
		return []figure{{skipped: "neighbours: bash is not on this machine, and with it the jobs say when they began"}}, nil
	}
	for _, c := range []contender{
		{name: "bare fork and exec", alone: 15, apart: 2 * time.Second, start: bare(shell)},
		{name: "supercronic", needs: "supercronic", from: "go install github.com/aptible/supercronic@latest", alone: 15, apart: 2 * time.Second, start: supercronic(shell)},
		{name: "Debian's cron", needs: "cron", from: "apt-get install cron", alone: 2, apart: time.Minute, start: debian(shell)},
		{name: "dayfly, rung full", alone: 15, apart: 2 * time.Second, start: ours(shell, "full")},
		{name: "dayfly, rung none", alone: 15, apart: 2 * time.Second, start: ours(shell, "none")},
	} {
		if c.needs != "" {
			if _, err := exec.LookPath(c.needs); err != nil {
				figures = append(figures, figure{skipped: fmt.Sprintf("%s is not on this machine (%s)", c.needs, c.from)})
				continue
			}
		}
		f, err := c.measure(ctx, b)
		switch {
		case err != nil && c.needs != "" && ctx.Err() == nil:
			figures = append(figures, figure{skipped: fmt.Sprintf("%s: %v", c.name, err)})
		case err != nil:
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		figures = append(figures, f...)
	}
	return figures, nil
}

func (c contender) measure(ctx context.Context, b bench) (figures []figure, err error) {
	o, err := observe()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	b.dir = filepath.Join(b.dir, c.name)
	if err := os.Mkdir(b.dir, 0o755); err != nil {
		return nil, err
	}
	// Whoever has to be told of the jobs one by one needs a while.
	first := time.Now().Add(5*time.Second + time.Duration(b.n)*20*time.Millisecond).Truncate(c.apart).Add(c.apart)
	var jobs []errand
	for i := range c.alone {
		jobs = append(jobs, errand{at: first.Add(time.Duration(i) * c.apart)})
	}
	crowd := jobs[c.alone-1].at.Add(5 * time.Second).Truncate(time.Minute).Add(time.Minute)
	for range b.n {
		jobs = append(jobs, errand{at: crowd})
	}
	for i := range jobs {
		jobs[i].line = o.line(i)
	}
	stop, err := c.start(ctx, b, jobs)
	if err != nil {
		return nil, err
	}
	if now := time.Now(); !now.Before(first) {
		return nil, errors.Join(errors.New("it was not ready before the first job was due"), stop())
	}
	late, err := o.wait(ctx, jobs)
	if err := errors.Join(err, stop()); err != nil {
		return nil, err
	}
	alone, many := late[:c.alone], late[c.alone:]
	return []figure{
		{what: c.name + ": due alone, late p50", value: ms(percentile(alone, 50)), unit: "ms", over: floorExec},
		{what: fmt.Sprintf("%s: %d due in one minute, late p50", c.name, b.n), value: percentile(many, 50).Seconds(), unit: "s"},
		{what: fmt.Sprintf("%s: %d due in one minute, late p99", c.name, b.n), value: percentile(many, 99).Seconds(), unit: "s", over: fmt.Sprintf("bare fork and exec: %d due in one minute, late p99", b.n)},
	}, nil
}

// bare starts a shell for each errand, one after another, and does nothing else: nobody can be quicker that starts
// shells from one thread.
func bare(shell string) func(context.Context, bench, []errand) (func() error, error) {
	return func(ctx context.Context, _ bench, jobs []errand) (func() error, error) {
		ended := make(chan error, 1)
		go func() {
			var all []*exec.Cmd
			var err error
			for _, j := range jobs {
				time.Sleep(time.Until(j.at))
				c := exec.CommandContext(ctx, shell, "-c", j.line)
				if err = c.Start(); err != nil {
					break
				}
				all = append(all, c)
			}
			for _, c := range all {
				err = errors.Join(err, c.Wait())
			}
			ended <- err
		}()
		return func() error { return <-ended }, nil
	}
}

func supercronic(shell string) func(context.Context, bench, []errand) (func() error, error) {
	return func(ctx context.Context, b bench, jobs []errand) (func() error, error) {
		table := "SHELL=" + shell + "\n"
		for _, j := range jobs {
			table += j.at.Local().Format("5 4 15 2 1 * * ") + j.line + "\n" // second, minute, hour, day, month, weekday, year
		}
		path := filepath.Join(b.dir, "crontab")
		if err := os.WriteFile(path, []byte(table), 0o600); err != nil {
			return nil, err
		}
		return background(exec.CommandContext(ctx, "supercronic", path))
	}
}

// debian runs cron in a mount namespace in which there is one crontab and nothing that it writes is the machine's.
func debian(shell string) func(context.Context, bench, []errand) (func() error, error) {
	return func(ctx context.Context, b bench, jobs []errand) (func() error, error) {
		table := "SHELL=" + shell + "\nMAILTO=\"\"\n"
		for _, j := range jobs {
			table += j.at.Local().Format("4 15 2 1 * root ") + j.line + "\n"
		}
		path, scratch := filepath.Join(b.dir, "crontab"), filepath.Join(b.dir, "scratch")
		if err := errors.Join(os.WriteFile(path, []byte(table), 0o600), os.Mkdir(scratch, 0o700)); err != nil {
			return nil, err
		}
		program, err := exec.LookPath("cron")
		if err != nil {
			return nil, err
		}
		c := exec.CommandContext(ctx, "/proc/self/exe", asCron, scratch, path, program)
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		return background(c)
	}
}

// background starts what ends when it is told to, its log read by nobody.
func background(c *exec.Cmd) (stop func() error, err error) {
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 10 * time.Second
	if err := c.Start(); err != nil {
		return nil, err
	}
	return func() error {
		err := c.Cancel() // an error: it ended by itself
		late := time.AfterFunc(c.WaitDelay, func() { c.Process.Kill() })
		defer late.Stop()
		if ended := c.Wait(); err != nil {
			return errors.Join(err, ended)
		}
		return nil
	}, nil
}

func ours(shell, rung string) func(context.Context, bench, []errand) (func() error, error) {
	return func(ctx context.Context, b bench, jobs []errand) (func() error, error) {
		h, err := b.home(ctx)
		if err != nil {
			return nil, err
		}
		for i, j := range jobs {
			h.job(fmt.Sprintf("errand%d", i), fmt.Sprintf("schedule: %q\nmachine: {isolation: %s}\nrun: |\n  #!%s\n  %s",
				j.at.UTC().Format("at(2006-01-02T15:04:05)"), rung, shell, j.line))
		}
		if err := h.apply(h.jobs); err != nil {
			return nil, err
		}
		if _, err := h.serve(); err != nil {
			return nil, err
		}
		return func() error {
			_, err := h.ended(len(jobs))
			return errors.Join(err, h.stop())
		}, nil
	}
}
