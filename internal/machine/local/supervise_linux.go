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
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The descriptors that a supervisor inherits.
const (
	secretsFD = 3 // a memory file: the secrets as JSON
	answerFD  = 4 // a pipe: one line for the launcher
)

// The lines a supervisor answers with. An error is any other line.
const (
	answerReady  = "ready"  // started exists, the lock is held
	answerBefore = "before" // started or closed existed before
	answerBusy   = "busy"   // another supervisor is about to start
)

// After the deadline the job is dead at once; the agent gets this long to report it, and the whole
// supervisor this long to be gone.
const (
	reportTime = 2 * time.Second
	goneTime   = 4 * time.Second
)

// lookHome is how often a supervisor looks whether its folder is still there.
const lookHome = 2 * time.Second

// Supervise is the whole life of a machine's supervisor, the process that Provider.Launch starts.
// It makes sure that it is the only one that ever starts this machine, calls work, which returns
// when the report is stored, and leaves nothing. When it returns, List shows the machine as
// terminated. It returns nil without having called work where the machine was started or closed before.
func Supervise(ctx context.Context, cfg SuperviseConfig, work func(ctx context.Context, w Work) error) error {
	nameProcess()
	s, err := newSupervisor(cfg)
	if err != nil {
		return err
	}
	ready, err := s.claim()
	if err != nil {
		s.giveUp(err)
	}
	s.answer(ready, err)
	if err != nil || ready != answerReady {
		s.lock.Close()
		return err
	}
	defer s.lock.Close()
	defer useAllCores()()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err = s.bound(cancel)
	if err == nil {
		go s.guardHome(ctx, cancel)
		err = s.work(ctx, work)
	}
	return errors.Join(err, s.leave(context.WithoutCancel(ctx), err))
}

// supervisor holds what Supervise has.
type supervisor struct {
	dir     folder
	launch  launch
	lock    *os.File
	secrets map[string]string
	cancel  chan struct{}
	sandbox *sandbox
	program program
	log     *slog.Logger
}

func newSupervisor(cfg SuperviseConfig) (*supervisor, error) {
	unix.CloseOnExec(secretsFD)
	unix.CloseOnExec(answerFD)
	s := &supervisor{dir: folder(filepath.Clean(cfg.Machine)), lock: nil, cancel: make(chan struct{}, 1), log: cfg.Log}
	s.program = program{exe: &executable{path: orExe(cfg.Exe)}, args: orInit(cfg.InitArgs)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	in := os.NewFile(secretsFD, "secrets")
	defer in.Close()
	var secrets map[string][]byte
	if err := json.NewDecoder(bufio.NewReader(in)).Decode(&secrets); err != nil {
		return nil, fmt.Errorf("read the secrets from the launcher (only a launch starts a supervisor): %w", err)
	}
	s.secrets = make(map[string]string, len(secrets))
	for name, value := range secrets {
		s.secrets[name] = string(value)
	}
	if err := s.dir.read(fileLaunch, &s.launch); err != nil {
		return nil, fmt.Errorf("read the launch: %w", err)
	}
	return s, nil
}

// claim makes this supervisor the machine's only one, or finds that it is not. What it writes is
// durable before anything is cloned.
func (s *supervisor) claim() (answer string, err error) {
	lock, ok, err := takeLock(s.dir.path(fileLock))
	if err != nil {
		return "", err
	}
	if !ok {
		return answerBusy, nil
	}
	s.lock = lock
	if over, err := s.over(); over || err != nil {
		return answerBefore, err
	}
	// Whoever launched this may have been paused until the machine was made, ended and forgotten by others.
	if spent, err := s.dir.spent(); err != nil {
		return "", err
	} else if spent {
		return answerBefore, s.dir.close("its token was used up by a machine that is forgotten")
	}
	if !time.Now().Before(s.launch.Spec.Tags.Deadline) { // the launcher had died, and was repeated too late
		return answerBefore, s.dir.close("its deadline had passed before it was launched")
	}
	// From here on Terminate may find this process by its record, Cancel may signal it.
	s.heed()
	r, err := recordOf(os.Getpid())
	if err != nil {
		return "", err
	}
	groups := planCgroups(s.dir.token(), limitsOf(s.launch.Spec).wanted())
	if err := s.started(startedFile{Supervisor: r, Cgroups: cgroupDirs(groups)}); err != nil {
		return "", err
	}
	// A Terminate that came before the record did not find this process; this finds the Terminate.
	if closed, err := s.dir.has(fileClosed); closed || err != nil {
		return answerBefore, err
	}
	s.sandbox = &sandbox{
		dir: s.dir, launch: s.launch, program: s.program, cgroups: groups,
		status: &status{dir: s.dir, warn: func(err error) { s.log.Warn("status is not stored", "error", err) }},
	}
	return answerReady, nil
}

// giveUp says why a machine that counts as started never was, before it is seen that nobody supervises it.
func (s *supervisor) giveUp(cause error) {
	if started, err := s.dir.has(fileStarted); err == nil && started && s.lock != nil {
		_ = s.dir.markClosed(because(cause)) // the launcher is told all the same
	}
}

// because is an error as the reason for a machine's end.
func because(err error) string { return "it gave up: " + strings.ReplaceAll(err.Error(), "\n", "; ") }

// over tells whether this machine was started or closed before.
func (s *supervisor) over() (bool, error) {
	started, err1 := s.dir.has(fileStarted)
	closed, err2 := s.dir.has(fileClosed)
	return started || closed, errors.Join(err1, err2)
}

// started makes the file that only one supervisor can ever make.
func (s *supervisor) started(st startedFile) error {
	b, err := json.Marshal(st)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.dir.path(fileStarted), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(b, '\n')); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return s.dir.sync(fileStarted)
}

// answer tells the launcher, which may have gone away.
func (s *supervisor) answer(line string, err error) {
	if err != nil {
		line = err.Error()
	}
	out := os.NewFile(answerFD, "answer")
	_, _ = io.WriteString(out, line+"\n")
	_ = out.Close()
}

// heed listens to signals: one is a hint to look for the cancel object, the rest of a terminal that
// is gone mean nothing here.
func (s *supervisor) heed() {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGUSR1, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGPIPE)
	go func() {
		for sig := range signals {
			if sig != unix.SIGUSR1 {
				continue
			}
			select {
			case s.cancel <- struct{}{}:
			default: // it has been told and has not looked yet
			}
		}
	}()
}

// bound arms the deadline: for the job, for the agent, and with the kernel for this process.
func (s *supervisor) bound(cancel context.CancelFunc) error {
	deadline := s.launch.Spec.Tags.Deadline
	if err := killSelfAt(deadline.Add(goneTime)); err != nil {
		return fmt.Errorf("set the deadline's timers: %w", err)
	}
	timers, err := deadlineTimers(deadline)
	if err != nil {
		return fmt.Errorf("set the deadline's timers: %w", err)
	}
	for _, t := range timers {
		go func() {
			var b [8]byte
			if _, err := io.ReadFull(t, b[:]); err == nil {
				s.sandbox.expire()
				time.AfterFunc(reportTime, cancel)
			}
		}()
	}
	return nil
}

// at is where the machine's folder is now: the data directory may have been moved, with its machines going on.
func (s *supervisor) at() folder {
	path, err := os.Readlink(descriptor(s.lock))
	if dir := folder(filepath.Dir(path)); err == nil && dir.path(fileLock) == path && dir.token() == s.dir.token() {
		return dir
	}
	return s.dir // it was removed, and the name is not one any more
}

// descriptor is a path that leads to an open file in this process, whatever became of its name.
func descriptor(f *os.File) string { return descriptors + strconv.Itoa(int(f.Fd())) }

const descriptors = "/proc/self/fd/"

// named gives a path below a descriptor in the form in which other processes know it.
func named(path string) string {
	rest, ok := strings.CutPrefix(path, descriptors)
	if !ok {
		return path
	}
	fd, below, _ := strings.Cut(rest, "/")
	dir, err := os.Readlink(descriptors + fd)
	if err != nil {
		return path
	}
	return filepath.Join(dir, below)
}

// guardHome ends the machine when its folder was removed under it, with the whole data directory perhaps:
// nobody could find it then, and it would go on to its deadline. One that was moved is found at its new place.
func (s *supervisor) guardHome(ctx context.Context, cancel context.CancelFunc) {
	was := s.dir
	tick := time.NewTicker(lookHome)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var st unix.Stat_t
		if err := unix.Fstat(int(s.lock.Fd()), &st); err == nil && st.Nlink == 0 {
			s.log.Warn("the machine's folder was removed: it ends", "token", s.dir.token())
			s.sandbox.expire()
			cancel()
			return
		}
		if now := s.at(); now != was {
			s.log.Info("the machine's folder was moved", "token", s.dir.token(), "to", now)
			s.sandbox.status.move(now)
			was = now
		}
	}
}

// work hands the machine to the agent.
func (s *supervisor) work(ctx context.Context, work func(context.Context, Work) error) error {
	scratch := s.dir.path(dirScratch)
	for _, d := range []string{"work", "results"} {
		if err := os.MkdirAll(filepath.Join(scratch, d), 0o755); err != nil {
			return fmt.Errorf("make the scratch directory: %w", err)
		}
	}
	held, err := os.Open(scratch)
	if err != nil {
		return fmt.Errorf("open the scratch directory: %w", err)
	}
	defer held.Close()
	w := Work{
		Spec: s.launch.Spec, Secrets: s.secrets, Sandbox: s.sandbox, Dir: descriptor(held), Cancel: s.cancel,
		InsideWork: insideWork, InsideResults: insideResults, status: s.sandbox.status,
	}
	if s.launch.Way == wayGroup {
		w.InsideWork, w.InsideResults = filepath.Join(scratch, "work"), filepath.Join(scratch, "results")
	}
	err = work(ctx, w)
	w.SetPhase("done")
	return err
}

// leave ends and removes everything, and only then says that it is over, and what was wrong if anything was.
func (s *supervisor) leave(ctx context.Context, cause error) error {
	dir := s.at()
	s.sandbox.status.move(dir)
	err := errors.Join(s.sandbox.destroy(ctx), dir.clean(ctx, s.program))
	if err != nil {
		s.log.Error("something of the machine is left", "token", s.dir.token(), "error", err)
	}
	reason := "it ended by itself"
	if cause != nil {
		reason = because(cause)
	}
	cerr := dir.markClosed(reason)
	if errors.Is(cerr, fs.ErrNotExist) {
		cerr = nil // a Forget could not have, but somebody removed the folder
	}
	return errors.Join(err, cerr)
}

func orExe(exe string) string {
	if exe == "" {
		return DefaultExe
	}
	return exe
}

func orInit(args []string) []string {
	if len(args) == 0 {
		return []string{"agent", "init"}
	}
	return args
}
