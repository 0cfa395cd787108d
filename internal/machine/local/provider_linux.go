package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/durable"
	"github.com/dayfly-io/dayfly/internal/machine"
	"golang.org/x/sys/unix"
)

// Provider makes sandboxes on this host.
type Provider struct {
	cfg     Config
	program program
	rungs   rungs
	alive   atomic.Int64 // supervisors that it has started
}

var (
	_ machine.Provider  = (*Provider)(nil)
	_ machine.Namer     = (*Provider)(nil)
	_ machine.Forgetter = (*Provider)(nil)
	_ machine.Canceler  = (*Provider)(nil)
)

// New makes a provider. It touches nothing before it is asked to.
func New(cfg Config) (*Provider, error) {
	if cfg.Dir == "" || cfg.Now == nil {
		return nil, errors.New("make the local provider: it needs a directory and a clock")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("make the local provider: %w", err)
	}
	cfg.Dir, cfg.Exe = dir, orExe(cfg.Exe)
	if len(cfg.Args) == 0 {
		cfg.Args = []string{"agent", "supervise"}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Hidden = append(slices.Clone(cfg.Hidden), dir)
	p := &Provider{cfg: cfg, program: program{exe: &executable{path: cfg.Exe, open: cfg.Agent}, args: orInit(cfg.InitArgs)}}
	p.rungs = rungs{dir: dir, program: p.program}
	return p, nil
}

func (p *Provider) folder(token string) folder { return folder(filepath.Join(p.cfg.Dir, token)) }

// MachineID is known from the token alone.
func (p *Provider) MachineID(s machine.Spec) dayfly.MachineID { return idOf(s.Token) }

// Launch starts the supervisor of a machine, unless one was started before, and returns when one
// certainly was. A token that was ended before it was ever launched gives machine.ErrGone.
func (p *Provider) Launch(ctx context.Context, s machine.Spec) (dayfly.Machine, error) {
	f := p.folder(s.Token)
	if err := errors.Join(check(s), ctx.Err()); err != nil {
		return dayfly.Machine{}, fmt.Errorf("launch machine %s: %w", s.Token, err)
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		started, err1 := f.has(fileStarted)
		closed, err2 := f.has(fileClosed)
		if err := errors.Join(err1, err2); err != nil {
			return dayfly.Machine{}, fmt.Errorf("launch machine %s: %w", s.Token, err)
		}
		if started || closed {
			return p.launched(f)
		}
		made, err := p.put(ctx, f, s)
		if err != nil {
			return dayfly.Machine{}, err
		}
		answer, err := p.supervise(ctx, f, s.Secrets)
		if err != nil {
			return dayfly.Machine{}, fmt.Errorf("launch machine %s: %w", s.Token, err)
		}
		if answer == answerReady && made != nil {
			return made.machine(f.token(), dayfly.MachineRunning), nil
		}
		if answer != answerBusy {
			return p.launched(f)
		}
		select {
		case <-ctx.Done():
			return dayfly.Machine{}, fmt.Errorf("launch machine %s: %w", s.Token, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// check refuses what no repetition would make right.
func check(s machine.Spec) error {
	network := s.Machine.Network
	switch {
	case !isToken(s.Token):
		return &machine.ConfigError{Problem: fmt.Sprintf("%q is not the token of a machine", s.Token)}
	case s.Tags.Deadline.IsZero():
		return &machine.ConfigError{Problem: "a machine without a deadline is not launched"}
	case network != "" && network != "host" && network != "none":
		return &machine.ConfigError{Problem: fmt.Sprintf("there is no network %q here", network), Hint: "host or none"}
	}
	return nil
}

// put makes the machine's folder, with the rung chosen, and tells what it wrote; nil where there is one already.
func (p *Provider) put(ctx context.Context, f folder, s machine.Spec) (made *launch, err error) {
	if known, err := f.has(fileLaunch); known || err != nil {
		return nil, err
	}
	if spent, err := f.spent(); err != nil {
		return nil, err
	} else if spent {
		return nil, fmt.Errorf("launch machine %s: it is forgotten: %w", s.Token, machine.ErrGone)
	}
	if !s.Tags.Deadline.After(p.cfg.Now()) {
		if err := f.close("its deadline had passed before it was launched"); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("launch machine %s: its deadline has passed: %w", s.Token, machine.ErrGone)
	}
	if err := durable.MkdirAll(p.cfg.Dir, 0o700, nil); err != nil {
		return nil, fmt.Errorf("make the machines' folder: %w", err)
	}
	w, notes, err := p.rungs.choose(ctx, s.Machine)
	if err != nil {
		return nil, err
	}
	making, err := temporary(prefixMaking)
	if err != nil {
		return nil, err
	}
	l := launch{Spec: s, Way: w, Hidden: p.cfg.Hidden, Notes: notes, LaunchedAt: p.cfg.Now()}
	first, err := f.make(l, making)
	if !first || err != nil {
		return nil, err
	}
	return &l, nil
}

// launched is the machine of a token that was used.
func (p *Provider) launched(f folder) (dayfly.Machine, error) {
	m, err := f.machineOf()
	if err != nil {
		return m, fmt.Errorf("launch machine %s: %w", f.token(), err)
	}
	s, err := f.look()
	if err != nil {
		return m, fmt.Errorf("launch machine %s: %w", f.token(), err)
	}
	m.State, m.Reason = s.state, s.reason
	if started, err := f.has(fileStarted); err != nil || !started {
		return m, errors.Join(err, fmt.Errorf("launch machine %s: it was ended before: %w", f.token(), machine.ErrGone))
	}
	return m, nil
}

// supervise starts a supervisor and waits for its answer, not for the job. The supervisor has a
// session of its own and outlives this process.
func (p *Provider) supervise(ctx context.Context, f folder, secrets map[string]string) (answer string, err error) {
	mem, err := secretsFile(secrets)
	if err != nil {
		return "", fmt.Errorf("hand over the secrets: %w", err)
	}
	defer mem.Close()
	in, out, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer in.Close()
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return "", err
	}
	defer null.Close()
	log, err := os.OpenFile(f.path(fileLog), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer log.Close()
	argv := append(append([]string{"dayfly"}, p.cfg.Args...), "--machine", string(f))
	env := append(environment(os.Environ()), cores(p.alive.Load() >= int64(runtime.NumCPU())))
	proc, err := p.program.exe.start(argv, &os.ProcAttr{
		Dir: "/", Env: env, Files: []*os.File{null, log, log, mem, out}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return "", fmt.Errorf("start its supervisor: %w", err)
	}
	p.alive.Add(1)
	go func() { // it is nobody's zombie
		_, _ = proc.Wait()
		p.alive.Add(-1)
	}()
	out.Close()
	defer context.AfterFunc(ctx, func() { _ = in.SetReadDeadline(time.Unix(1, 0)) })()
	line, err := bufio.NewReader(in).ReadString('\n')
	switch line = strings.TrimSpace(line); {
	case ctx.Err() != nil:
		return "", fmt.Errorf("wait for its supervisor: %w", ctx.Err())
	case errors.Is(err, io.EOF):
		return "", fmt.Errorf("its supervisor ended without a word: %s", f.lastWords())
	case err != nil:
		return "", fmt.Errorf("wait for its supervisor: %w", err)
	case line != answerReady && line != answerBefore && line != answerBusy:
		return "", fmt.Errorf("its supervisor: %s", line)
	}
	return line, nil
}

// environment is what a supervisor gets of its launcher's: the rest may hold the secrets of every job,
// and could be read in each supervisor for as long as it lives. PATH becomes the job's and finds
// newuidmap, HOME says which files are the user's own, TZ dates the log.
func environment(all []string) []string {
	return slices.DeleteFunc(all, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return !slices.Contains([]string{"PATH", "HOME", "TZ"}, name)
	})
}

// secretsFile is in memory only, and gone with its last descriptor.
func secretsFile(secrets map[string]string) (*os.File, error) {
	fd, err := unix.MemfdCreate("dayfly-secrets", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	bytes := make(map[string][]byte, len(secrets)) // a value need not be UTF-8, as text in JSON is
	for name, value := range secrets {
		bytes[name] = []byte(value)
	}
	f := os.NewFile(uintptr(fd), "secrets")
	if err := json.NewEncoder(f).Encode(bytes); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// lastWords are the last of what a supervisor wrote to its log, however long that is.
func (f folder) lastWords() string {
	log, size, err := f.open(fileLog)
	if err != nil {
		return "and its log cannot be read: " + err.Error()
	}
	defer log.Close()
	const most = 500
	b, err := io.ReadAll(io.NewSectionReader(log, max(0, size-most), most))
	switch text := strings.TrimSpace(string(b)); {
	case text != "":
		return text
	case err != nil:
		return "and its log cannot be read: " + err.Error()
	}
	return "and its log is empty"
}

// List shows every machine of the folder. It is complete unless a folder could not be read. Where a
// supervisor has died before its machine it does what the supervisor would have done at its end.
func (p *Provider) List(ctx context.Context) (machine.Listing, error) {
	entries, err := os.ReadDir(p.cfg.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return machine.Listing{Complete: []machine.Location{Location}}, nil
	}
	if err != nil {
		return machine.Listing{}, fmt.Errorf("list machines: %w", err)
	}
	var l machine.Listing
	var errs []error
	for _, e := range entries {
		if ctx.Err() != nil {
			return l, errors.Join(append(errs, fmt.Errorf("list machines: %w", ctx.Err()))...)
		}
		if strings.HasPrefix(e.Name(), ".") {
			if err := p.tidy(ctx, e.Name()); err != nil {
				p.cfg.Log.Warn("remove what a process that was killed has left", "name", e.Name(), "error", err)
			}
		}
		if !e.IsDir() || !isToken(e.Name()) {
			continue // not a machine's folder
		}
		f := p.folder(e.Name())
		m, locked, err := p.see(ctx, f)
		if errors.Is(err, fs.ErrNotExist) {
			if there, herr := f.has("."); !there && herr == nil {
				continue // forgotten just now; nothing else that is missing makes a machine absent
			}
		}
		hollow, herr := f.hollow(m)
		switch err = errors.Join(err, herr); {
		case err != nil:
			errs = append(errs, fmt.Errorf("look at machine %s: %w", e.Name(), err))
		case hollow:
			if err := p.program.removeAll(ctx, string(f)); err != nil {
				p.cfg.Log.Warn("remove the folder of a machine that is forgotten", "machine", m.ID, "error", err)
			}
		default:
			l.Machines = append(l.Machines, m)
			if m.Tags.Token == "" && (locked || m.State != dayfly.MachineTerminated && m.State != dayfly.MachinePending) {
				errs = append(errs, fmt.Errorf("look at machine %s: its folder does not say whose it is", e.Name())) // it may be anybody's that is looked for
			}
		}
	}
	if len(errs) == 0 {
		l.Complete = []machine.Location{Location}
	}
	return l, errors.Join(errs...)
}

func (p *Provider) see(ctx context.Context, f folder) (m dayfly.Machine, locked bool, err error) {
	s, err := f.look()
	if err != nil {
		return m, false, err
	}
	if s.orphaned {
		short, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := f.kill(short); err != nil {
			p.cfg.Log.Warn("end what a dead supervisor left", "machine", idOf(f.token()), "error", err)
		}
	}
	m, err = f.machineOf()
	m.State, m.Reason = s.state, s.reason
	if m.State == dayfly.MachineRunning && m.Phase == "" {
		m.Phase = firstPhase // its agent has not yet said so
	}
	return m, s.locked, err
}

// firstPhase is what every agent begins with.
const firstPhase = "prepare"

// Terminate forbids every later start of the machine, kills what there is of it, and waits a little
// to see it gone and remove what it left.
func (p *Provider) Terminate(ctx context.Context, id dayfly.MachineID) error {
	token, ok := tokenOf(id)
	if !ok {
		return nil // no machine of this place
	}
	f := p.folder(token)
	if forgotten, err := f.forgotten(); forgotten || err != nil {
		return err // a pass that comes late must not make its folder again
	}
	started, err := f.has(fileStarted)
	if err != nil {
		return fmt.Errorf("end machine %s: %w", id, err)
	}
	if started { // before anything is written: the disk may be full, read-only or slow
		short, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		_ = f.kill(short) // end does it again, and reports
	}
	closeErr := f.close("it was ended")
	if closeErr != nil && !started {
		return closeErr
	}
	gone, err := f.end(ctx)
	if gone { // also where it is not closed: what is removed makes room on a full disk
		err = errors.Join(err, f.clean(ctx, p.program))
	}
	if err = errors.Join(closeErr, err); err != nil {
		return fmt.Errorf("end machine %s: %w", id, err)
	}
	return nil // if it is not gone yet, List shows it
}

// Forget removes the folder of a terminated machine with all that is left in it.
func (p *Provider) Forget(ctx context.Context, id dayfly.MachineID) error {
	token, ok := tokenOf(id)
	if !ok {
		return nil
	}
	f := p.folder(token)
	s, err := f.look()
	if err != nil {
		return fmt.Errorf("forget machine %s: %w", id, err)
	}
	there, err := f.has(".")
	if !there || err != nil {
		return err
	}
	if s.state != dayfly.MachineTerminated {
		return fmt.Errorf("forget machine %s: it is %s", id, s.state)
	}
	if err := f.clean(ctx, p.program); err != nil {
		return fmt.Errorf("forget machine %s: %w", id, err)
	}
	var tags dayfly.Tags
	if _, err := f.readable(fileTags, &tags); err != nil {
		return fmt.Errorf("forget machine %s: %w", id, err)
	}
	if err := p.spend(token, tags.Deadline); err != nil { // before the folder goes: there is always one of both
		return fmt.Errorf("forget machine %s: %w", id, err)
	}
	// By one rename: nobody sees a machine that was closed, and is not any more.
	removing, err := temporary(prefixRemoving)
	if err != nil {
		return err
	}
	going := filepath.Join(p.cfg.Dir, removing+token)
	if err := os.Rename(string(f), going); err != nil {
		return fmt.Errorf("forget machine %s: %w", id, err)
	}
	return p.program.removeAll(ctx, going)
}

// Cancel tells the agent that the cancel object may be there. A machine that is no more is no error.
func (p *Provider) Cancel(_ context.Context, id dayfly.MachineID) error {
	token, ok := tokenOf(id)
	if !ok {
		return nil
	}
	st, _, err := p.folder(token).records()
	if err != nil {
		return fmt.Errorf("tell machine %s to look for a cancel: %w", id, err)
	}
	return st.Supervisor.signal(unix.SIGUSR1)
}
