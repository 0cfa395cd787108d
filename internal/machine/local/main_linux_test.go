package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/local"
)

// TestMain lets the test binary be all three: the test, the supervisor, and PID 1 of the sandboxes.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "agent" {
		switch os.Args[2] {
		case "init":
			os.Exit(local.Init(os.Args[3:]))
		case "supervise":
			os.Exit(supervise(os.Args[3:]))
		case "reboot":
			os.Exit(reboot(os.Args[3]))
		case "wait":
			time.Sleep(time.Hour)
		case "zombie":
			zombie()
		case "launch":
			os.Exit(launcher(os.Args[3:]))
		}
	}
	os.Exit(m.Run())
}

// outcome is what the test's agent writes when its work is done. The test's job writes for itself.
type outcome struct {
	Exit      machine.Exit
	Err       string
	Isolation string
	Notes     []string
	Cancelled bool
	StartedAt time.Time
}

// supervise is the smallest agent that can be: it runs the script and writes down how it ended.
func supervise(args []string) int {
	fs := flag.NewFlagSet("supervise", flag.ContinueOnError)
	dir := fs.String("machine", "", "")
	if fs.Parse(args) != nil {
		return 2
	}
	err := local.Supervise(context.Background(), local.SuperviseConfig{Machine: *dir}, work)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return 0
}

func work(ctx context.Context, w local.Work) error {
	to := w.Spec.Task.Env["TEST_DIR"] // of the host; the job cannot see it
	w.SetPhase("prepare")
	if w.Spec.Task.Env["TEST_BREAK"] == "prepare" {
		<-ctx.Done()
		return nil
	}
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(to, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		_, _ = io.Copy(log, in)
		_ = log.Close()
	}()
	if from := w.Spec.Task.Env["TEST_PUT"]; from != "" {
		if err := put(from, filepath.Join(w.Dir, "work", "reboot")); err != nil {
			return err
		}
	}
	var o outcome
	p, err := w.Sandbox.Start(ctx, machine.Command{
		Script: w.Spec.Task.Script, Env: environment(w), Output: out,
		Work: filepath.Join(w.Dir, "work"), Results: filepath.Join(w.Dir, "results"),
	})
	out.Close()
	if err != nil {
		o.Err = err.Error()
		return errors.Join(save(to, o), err)
	}
	o.StartedAt = time.Now()
	w.SetPhase("run")
	w.SetStarted(o.StartedAt)
	if w.Spec.Task.Env["TEST_CORES"] != "" {
		go sayCores(ctx, to)
	}
	ended := make(chan struct{})
	if limit := w.Spec.Task.Timeout.Duration(); limit > 0 {
		time.AfterFunc(limit, func() {
			_ = p.Signal(unix.SIGTERM)
			time.AfterFunc(w.Spec.Task.Grace.Duration(), func() { _ = p.Signal(unix.SIGKILL) })
		})
	}
	cancelled := make(chan bool, 1)
	go func() {
		select {
		case <-w.Cancel:
			cancelled <- true
			_ = p.Signal(unix.SIGKILL)
		case <-ended:
			cancelled <- false
		}
	}()
	o.Exit, err = p.Wait()
	close(ended)
	o.Cancelled = <-cancelled
	if err != nil {
		o.Err = err.Error()
	}
	<-logged
	if data, err := os.ReadDir(filepath.Join(w.Dir, "results")); err == nil && len(data) > 0 {
		if err := os.CopyFS(filepath.Join(to, "results"), os.DirFS(filepath.Join(w.Dir, "results"))); err != nil {
			o.Notes = append(o.Notes, err.Error())
		}
	}
	o.Isolation = string(w.Sandbox.Isolation())
	o.Notes = append(o.Notes, w.Sandbox.Notes()...)
	w.SetPhase("save")
	return save(to, o)
}

// sayCores waits until this process may use more than one core, and leaves a file that says so.
func sayCores(ctx context.Context, to string) {
	for tick := time.Tick(5 * time.Millisecond); runtime.GOMAXPROCS(0) == 1; {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
	}
	_ = os.WriteFile(filepath.Join(to, "cores"), nil, 0o644)
}

func environment(w local.Work) []string {
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"DAYFLY_RESULTS=" + w.InsideResults, "TEST_WORK=" + w.InsideWork,
	}
	for k, v := range w.Spec.Task.Env {
		env = append(env, k+"="+v)
	}
	for k, v := range w.Secrets {
		env = append(env, k+"="+v)
	}
	slices.Sort(env)
	return env
}

// save writes the outcome so that a reader sees all of it.
func save(dir string, o outcome) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, ".outcome")
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, "outcome"))
}

// launcher is a process that launches one machine, so that it can be killed while it does.
func launcher(args []string) int {
	var s machine.Spec
	if err := json.Unmarshal([]byte(args[1]), &s); err != nil {
		return 2
	}
	p, err := local.New(local.Config{Dir: args[0], Now: time.Now})
	if err != nil {
		return 2
	}
	m, err := p.Launch(context.Background(), s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	fmt.Println(m.ID, m.State)
	return 0
}

// put copies a program into a job's working directory.
func put(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

// reboot is run as a job, in a process namespace of its own and nowhere else.
func reboot(how string) int {
	if b, err := os.ReadFile("/proc/1/cmdline"); err != nil || !strings.HasPrefix(string(b), "dayfly\x00agent\x00init\x00") {
		return 3 // never on a host
	}
	cmd := map[string]int{"restart": unix.LINUX_REBOOT_CMD_RESTART, "halt": unix.LINUX_REBOOT_CMD_HALT, "poweroff": unix.LINUX_REBOOT_CMD_POWER_OFF}[how]
	if err := unix.Reboot(cmd); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1
}

// zombie is a process whose first thread has ended: /proc calls it a zombie, and it lives.
func zombie() {
	other := make(chan bool)
	for range 1000 { // whoever runs on another thread keeps it, until one runs on the first
		go func() {
			runtime.LockOSThread()
			if unix.Gettid() == os.Getpid() {
				fmt.Println(true)
				_, _, _ = unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
			}
			other <- true
			time.Sleep(time.Hour)
		}()
		<-other
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
