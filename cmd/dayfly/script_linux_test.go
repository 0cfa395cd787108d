package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/cmd/internal/agentmain"
	"github.com/dayfly-io/dayfly/internal/daemon"
)

// TestMain makes the test binary be dayfly when it is called so, and the processes of its machines.
func TestMain(m *testing.M) {
	if code, ok := agentmain.Main(os.Args[1:], os.Stderr); ok {
		os.Exit(code)
	}
	testscript.Main(m, map[string]func(){"dayfly": mainHeard})
}

// mainHeard is main, and ends with a code of its own where an error had no hint. On a terminal, where the
// program must see that it is one, the script listens.
func mainHeard() {
	os.Args = append(os.Args[:1:1], ignoring(os.Getenv(withoutFlag), os.Args[1:])...)
	if isTerminal(os.Stderr) {
		main()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	heard := &listener{to: os.Stderr}
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, heard)
	stop()
	if text := heard.complaint(); text != "" {
		fmt.Fprint(os.Stderr, text)
		code = 99
	}
	os.Exit(code)
}

// TestScripts runs the scripts: the real program, store, bucket and machines. Beside the usual commands
// they have
//
//	code N dayfly ...         runs dayfly, which must end with this exit code
//	start NAME dayfly ...     starts it; what it writes is kept in NAME.out and NAME.err
//	await NAME REGEXP         waits until a line of it, after those awaited before, is so
//	signal NAME SIG           sends INT, TERM, HUP, KILL, STOP or CONT
//	finish NAME N             waits for its end, with this exit code
//	tty dayfly ...            runs it on a terminal; what that showed is stdout
//	lock FILE                 takes a daemon's lock; unlock gives it back
//	get N /PATH               asks the daemon that listens; stdout is its answer
//	runid NAME FILE           puts the first run id in a file into a variable
//	fillid NAME FILE         puts the first id of a backfill in a file into a variable
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: setupScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": cmdCode, "start": cmdStart, "await": cmdAwait, "signal": cmdSignal, "finish": cmdFinish,
			"tty": cmdTTY, "lock": cmdLock, "unlock": cmdUnlock, "get": cmdGet, "runid": cmdRunID, "fillid": cmdFillID,
		},
	})
}

// script is what one script has going.
type script struct {
	procs map[string]*process
	locks []*daemon.Lock
}

type scriptKey struct{}

func setupScript(e *testscript.Env) error {
	s := &script{procs: map[string]*process{}}
	e.Values[scriptKey{}] = s
	data := filepath.Join(e.WorkDir, "data")
	e.Setenv("DAYFLY_DATA", data)
	e.Setenv("XDG_DATA_HOME", "")
	e.Setenv("NO_COLOR", "1")
	e.Setenv("LANG", "C.UTF-8")
	e.Setenv(withoutFlag, os.Getenv(withoutFlag))
	e.Defer(func() {
		for _, p := range s.procs {
			p.kill()
		}
		for _, l := range s.locks {
			_ = l.Release()
		}
		endMachines(data)
	})
	return nil
}

// endMachines leaves nothing behind of a script that failed half way.
func endMachines(data string) {
	h := &home{dir: data, now: time.Now, log: slog.New(slog.DiscardHandler)}
	providers, err := h.Providers()
	if err != nil {
		return
	}
	for _, p := range providers {
		list, _ := h.list(context.Background(), p)
		for _, m := range list.Machines {
			if m.State != dayfly.MachineTerminated {
				_ = p.Terminate(context.Background(), m.ID)
			}
		}
	}
}

// waitFor bounds every wait of a script: far more than anything takes, far less than go test's own.
const waitFor = 2 * time.Minute

// process is a dayfly in the background.
type process struct {
	cmd   *exec.Cmd
	lines chan string
	ended chan struct{} // closed when it has ended and all its lines are read
}

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	name, p := args[0], &process{lines: make(chan string, 10_000), ended: make(chan struct{})}
	path, err := exec.LookPath(args[1])
	ts.Check(err)
	p.cmd = exec.Command(path, args[2:]...)
	p.cmd.Dir = ts.Getenv("WORK")
	p.cmd.Env = scriptEnv(ts)
	var readers sync.WaitGroup
	for _, end := range []string{"out", "err"} {
		r, w, err := os.Pipe()
		ts.Check(err)
		f, err := os.Create(ts.MkAbs(name + "." + end))
		ts.Check(err)
		if end == "out" {
			p.cmd.Stdout = w
		} else {
			p.cmd.Stderr = w
		}
		readers.Go(func() { readLines(r, f, p.lines) })
		defer w.Close()
	}
	ts.Check(p.cmd.Start())
	go func() {
		readers.Wait()
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	ts.Value(scriptKey{}).(*script).procs[name] = p
}

func readLines(r, f *os.File, to chan<- string) {
	defer r.Close()
	defer f.Close()
	in := bufio.NewReader(io.TeeReader(r, f))
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			to <- strings.TrimSuffix(line, "\n")
		}
		if err != nil {
			return
		}
	}
}

// scriptEnv is the environment that the script has set.
func scriptEnv(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "WORK", "TMPDIR", "DAYFLY_DATA", "XDG_DATA_HOME", "NO_COLOR", "LANG", "LC_ALL", "TERM", "SECRET", withoutFlag} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

func find(ts *testscript.TestScript, name string) *process {
	p, ok := ts.Value(scriptKey{}).(*script).procs[name]
	if !ok {
		ts.Fatalf("nothing was started as %s", name)
	}
	return p
}

func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	p, want := find(ts, args[0]), regexp.MustCompile(args[1])
	timer := time.NewTimer(waitFor)
	defer timer.Stop()
	for {
		select {
		case line := <-p.lines:
			ts.Logf("%s: %s", args[0], line)
			if want.MatchString(line) {
				return
			}
		case <-p.ended:
			select {
			case line := <-p.lines:
				if want.MatchString(line) {
					return
				}
			default:
				ts.Fatalf("%s ended without a line like %s", args[0], want)
			}
		case <-timer.C:
			ts.Fatalf("%s wrote no line like %s", args[0], want)
		}
	}
}

func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{
		"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL,
		"STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT,
	}
	ts.Check(find(ts, args[0]).cmd.Process.Signal(signals[args[1]]))
}

func cmdFinish(ts *testscript.TestScript, neg bool, args []string) {
	p := find(ts, args[0])
	select {
	case <-p.ended:
	case <-time.After(waitFor):
		ts.Fatalf("%s does not end", args[0])
	}
	if got := strconv.Itoa(p.cmd.ProcessState.ExitCode()); got != args[1] {
		errText, _ := os.ReadFile(ts.MkAbs(args[0] + ".err"))
		ts.Fatalf("%s ended with %s, want %s; it said\n%s", args[0], got, args[1], errText)
	}
}

func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	if args[0] == strconv.Itoa(exitUsage) { // what is wrong with a flag shows nothing of what it does
		defer ts.Setenv(withoutFlag, ts.Getenv(withoutFlag))
		ts.Setenv(withoutFlag, "")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// cmdTTY runs a command on a pseudo-terminal of its own.
func cmdTTY(ts *testscript.TestScript, neg bool, args []string) {
	master, slave, err := pty()
	ts.Check(err)
	defer master.Close()
	path, err := exec.LookPath(args[0])
	ts.Check(err)
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir, cmd.Env = ts.Getenv("WORK"), scriptEnv(ts)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	ts.Check(cmd.Start())
	slave.Close()
	var shown strings.Builder
	_, _ = io.Copy(&shown, master) // ends with an error when the other side is closed
	if err := cmd.Wait(); (err != nil) != neg {
		ts.Fatalf("on a terminal: %v\n%s", err, shown.String())
	}
	if missing := withoutHint(shown.String()); len(missing) > 0 {
		ts.Fatalf("on a terminal no hint follows %q", missing)
	}
	_, err = ts.Stdout().Write([]byte(strings.ReplaceAll(shown.String(), "\r\n", "\n")))
	ts.Check(err)
}

func cmdLock(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o700))
	l, err := daemon.Acquire(ts.MkAbs(args[0]))
	ts.Check(err)
	s := ts.Value(scriptKey{}).(*script)
	s.locks = append(s.locks, l)
}

func cmdUnlock(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(scriptKey{}).(*script)
	for _, l := range s.locks {
		ts.Check(l.Release())
	}
	s.locks = nil
}

func cmdGet(ts *testscript.TestScript, neg bool, args []string) {
	text, err := os.ReadFile(filepath.Join(ts.Getenv("DAYFLY_DATA"), "daemon.json"))
	ts.Check(err)
	m := regexp.MustCompile(`"address":"([^"]+)"`).FindSubmatch(text)
	if m == nil {
		ts.Fatalf("daemon.json has no address: %s", text)
	}
	resp, err := http.Get("http://" + string(m[1]) + args[1])
	ts.Check(err)
	defer resp.Body.Close()
	if strconv.Itoa(resp.StatusCode) != args[0] {
		ts.Fatalf("GET %s: %s", args[1], resp.Status)
	}
	_, err = io.Copy(ts.Stdout(), resp.Body)
	ts.Check(err)
}

func cmdRunID(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile(args[1])
	id := regexp.MustCompile(`[a-z0-9-]+-[0-9]{8}T[0-9]{6}(\.[0-9]{3})?Z(\.n[0-9]+)?`).FindString(text)
	if id == "" {
		ts.Fatalf("there is no run id in %s: %s", args[1], text)
	}
	ts.Setenv(args[0], id)
}

func cmdFillID(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile(args[1])
	id := regexp.MustCompile(`[a-z0-9-]+@[A-Z2-7]+`).FindString(text)
	if id == "" {
		ts.Fatalf("there is no id of a backfill in %s: %s", args[1], text)
	}
	ts.Setenv(args[0], id)
}
