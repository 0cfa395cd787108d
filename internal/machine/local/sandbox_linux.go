package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"golang.org/x/sys/unix"
)

// sandbox is the supervisor's side of a sandbox: it makes the first process, records it, lets it go,
// and knows when it is gone.
type sandbox struct {
	dir     folder
	launch  launch
	program program
	cgroups []cgroup
	status  *status

	mu      sync.Mutex
	begun   bool
	expired bool
	child   *child
	notes   []string

	unlimited []controller // what no cgroup limits
	emptied   bool         // all of the job was waited for
}

var _ machine.Sandbox = (*sandbox)(nil)

func (s *sandbox) Isolation() dayfly.Isolation { return s.launch.Way.rung() }

func (s *sandbox) Notes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(slices.Clone(s.launch.Notes), s.notes...)
}

// Start makes the sandbox and begins the job in it. It may be called once.
func (s *sandbox) Start(ctx context.Context, cmd machine.Command) (machine.Process, error) {
	c, err := s.clone(cmd.Output)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, c.kill)
	notes, err := s.begin(c, cmd)
	if err != nil {
		stop()
		c.stop()
		return nil, errors.Join(ctx.Err(), err)
	}
	s.mu.Lock()
	s.notes = append(s.notes, notes...)
	all := slices.Clone(s.notes)
	s.mu.Unlock()
	if len(all) > 0 {
		s.status.set(func(f *statusFile) { f.Notes = all })
	}
	return &process{sandbox: s, child: c, ctx: ctx, release: stop}, nil
}

// clone makes the first process. That there may be one is to be read from started.
func (s *sandbox) clone(output *os.File) (*child, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.begun:
		return nil, errors.New("the sandbox has been used")
	case s.expired:
		return nil, errors.New("the machine's deadline has passed")
	}
	s.begun = true
	groups, missed := s.makeCgroups()
	c, err := s.program.spawn(s.launch.Way, s.dir.token(), output, os.Stderr, s.ownNetwork(), groups)
	if err != nil {
		return nil, err
	}
	s.child = c
	s.unlimited = append(missed, c.join(groups)...)
	return c, nil
}

func (s *sandbox) ownNetwork() bool { return s.launch.Spec.Machine.Network == "none" }

// begin records the first process, limits it, and lets it go.
func (s *sandbox) begin(c *child, cmd machine.Command) (notes []string, err error) {
	// Not synced: a power cut that could lose the record ends what it names.
	r, err := recordOf(c.proc.Pid)
	if err != nil {
		return nil, fmt.Errorf("record the sandbox's first process: %w", err)
	}
	if err := s.dir.write(fileInit, initFile{Init: &r}); err != nil {
		return nil, fmt.Errorf("record the sandbox's first process: %w", err)
	}
	spec := s.launch.Spec
	o := order{
		Way: s.launch.Way, Box: s.dir.path(dirBox), Hidden: s.launch.Hidden, Work: named(cmd.Work), Results: named(cmd.Results),
		Root: os.Geteuid() == 0, Home: home(),
		Script: cmd.Script, Env: cmd.Env, Grace: spec.Task.Grace.Duration(), Deadline: spec.Tags.Deadline, OwnNetwork: s.ownNetwork(),
	}
	if s.launch.Way == wayGroup {
		o.Env = slices.DeleteFunc(slices.Clone(o.Env), func(e string) bool { return strings.HasPrefix(e, TokenVariable+"=") })
		o.Env = append(o.Env, TokenVariable+"="+s.dir.token())
	}
	for _, m := range s.unlimited {
		if m == pidsController {
			o.Pids = limitsOf(spec).pids // root is not bound by it, an ordinary user is
			if os.Geteuid() != 0 {
				continue
			}
		}
		notes = append(notes, fmt.Sprintf("%s is not limited: there is no cgroup to limit it with", m))
	}
	if err := os.MkdirAll(o.Box, 0o700); err != nil {
		return nil, err
	}
	if err := c.order(o); err != nil {
		return nil, fmt.Errorf("order the sandbox's first process: %w", err)
	}
	w, err := c.next()
	switch {
	case errors.Is(err, io.EOF) && c.rebooted(s.launch.Way):
		return notes, nil // it began, and shut the machine down before anybody could say so
	case err != nil:
		return nil, fmt.Errorf("the sandbox's first process ended: %w", err)
	case w.Say != sayStarted:
		return nil, errors.New(w.Error)
	}
	return append(notes, w.Notes...), nil
}

// home is the user's home directory, empty where there is none.
func home() string {
	h, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(h) {
		return ""
	}
	return filepath.Clean(h)
}

// makeCgroups makes the sandbox's cgroups, each with the controllers that limit there, and says which
// limits are had in none.
func (s *sandbox) makeCgroups() (made []cgroup, missed []controller) {
	l := limitsOf(s.launch.Spec)
	missed = l.wanted()
	for _, g := range s.cgroups {
		not, err := g.make(l)
		if err != nil {
			continue
		}
		g.controllers = slices.DeleteFunc(slices.Clone(g.controllers), func(c controller) bool { return slices.Contains(not, c) })
		made = append(made, g)
		missed = slices.DeleteFunc(missed, func(c controller) bool { return slices.Contains(g.controllers, c) })
	}
	return made, missed
}

// expire is the supervisor's own timer at the deadline. It needs nothing of PID 1, which may be stopped.
func (s *sandbox) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expired = true
	if s.child != nil {
		s.child.kill()
	}
}

// destroy ends whatever the sandbox still holds, and returns when it is dead.
func (s *sandbox) destroy(ctx context.Context) error {
	s.mu.Lock()
	c := s.child
	s.begun = true
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	c.stop()
	return s.sweep(ctx)
}

// sweep ends what no namespace ended.
func (s *sandbox) sweep(ctx context.Context) error {
	var errs []error
	for _, g := range s.cgroups {
		errs = append(errs, emptyCgroup(ctx, g.dir))
		errs = append(errs, removeCgroup(ctx, g.dir)) // here too: the folder may be gone, with the record of them
	}
	if s.launch.Way == wayGroup && !s.emptied {
		errs = append(errs, killCarriers(ctx, s.dir.token()))
	}
	return errors.Join(errs...)
}

// reaped takes note that the first process waited for everything of the job: whoever descends from it is
// its child in the end, and it had none. So nobody has to look among all processes of the host for more.
func (s *sandbox) reaped() {
	if s.launch.Way != wayGroup {
		return
	}
	s.emptied = true
	if err := s.dir.markEmptied(); err != nil {
		s.status.warn(err) // then they look
	}
}

// process is a job that has begun.
type process struct {
	sandbox *sandbox
	child   *child
	ctx     context.Context // that Start was given: it bounds the job
	release func() bool
}

// killPatience is how long the first process has to kill the others before it is killed with them.
const killPatience = time.Second

// Signal asks the first process to pass the signal on; SIGKILL reaches all in any case.
func (p *process) Signal(sig syscall.Signal) error {
	err := p.child.write(request{Signal: int(sig)})
	if sig == unix.SIGKILL {
		time.AfterFunc(killPatience, p.child.kill)
		return nil
	}
	if errors.Is(err, unix.EPIPE) || errors.Is(err, os.ErrClosed) {
		return nil // it is over
	}
	return err
}

// Wait returns when nothing of the job lives.
func (p *process) Wait() (machine.Exit, error) {
	var end *ending
	for end == nil {
		w, err := p.child.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				p.child.kill()
			}
			break
		}
		end = w.End
	}
	<-p.child.done
	p.release()
	if end != nil {
		p.sandbox.reaped()
	}
	peak, killed := memoryUsed(p.sandbox.cgroups)
	err := p.sandbox.sweep(context.WithoutCancel(p.ctx))
	exit, xerr := p.exit(end)
	exit.OutOfMemory = killed
	if peak > 0 {
		exit.Usage.PeakMemory = peak
	}
	return exit, errors.Join(err, xerr)
}

// exit says how the job ended, from the first process's last word, or from how that ended without one.
func (p *process) exit(end *ending) (machine.Exit, error) {
	st := p.child.state
	if end != nil {
		return machine.Exit{
			Code: end.Code, Signal: syscall.Signal(end.Signal), PowerOff: end.PowerOff, Expired: end.Expired,
			Usage: dayfly.Usage{CPU: end.CPU, PeakMemory: end.Peak},
		}, nil
	}
	exit := machine.Exit{Code: 128 + int(unix.SIGKILL), Signal: unix.SIGKILL}
	if st == nil {
		return exit, errors.New("wait for the sandbox's first process: it was not to be waited for")
	}
	exit.Usage.CPU = dayfly.Seconds(st.UserTime() + st.SystemTime())
	p.sandbox.mu.Lock()
	exit.Expired = p.sandbox.expired
	p.sandbox.mu.Unlock()
	switch {
	case p.child.rebooted(p.sandbox.launch.Way):
		exit.Code, exit.Signal, exit.PowerOff = 0, 0, true
		return exit, nil
	case exit.Expired:
		return exit, nil
	case p.ctx.Err() != nil:
		return exit, p.ctx.Err()
	}
	return exit, fmt.Errorf("the sandbox's first process ended early: %s", st)
}
