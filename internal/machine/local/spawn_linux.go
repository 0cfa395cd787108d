package local

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// program is how this binary is run as the first process of a sandbox.
type program struct {
	exe  *executable
	args []string // reach the init subcommand
}

// child is the supervisor's side of a first process.
type child struct {
	proc    *os.Process
	control *os.File
	words   *bufio.Scanner
	state   *os.ProcessState // once done is closed
	done    chan struct{}
	joined  []cgroup   // it was born in these
	mu      sync.Mutex // of writes to control
}

// spawn starts a first process, in those of the groups that can be joined, which then waits for its order.
// It has a death signal from a thread that lives as long as it does.
func (p program) spawn(w way, token string, output, log *os.File, ownNetwork bool, groups []cgroup) (*child, error) {
	ours, theirs, err := socketpair()
	if err != nil {
		return nil, fmt.Errorf("make the sandbox's control socket: %w", err)
	}
	defer theirs.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		ours.Close()
		return nil, err
	}
	defer null.Close()
	if output == nil {
		output = null
	}
	if log == nil {
		log = null
	}
	attr := &os.ProcAttr{
		Dir: "/",
		// Nothing of the host's environment: the job can read that of PID 1.
		Env:   []string{cores(runtime.GOMAXPROCS(0) == 1), "GOTRACEBACK=single"},
		Files: []*os.File{null, log, log, theirs, output},
		Sys:   attributes(w, ownNetwork),
	}
	argv := append(append([]string{"dayfly"}, p.args...), "--token", token)
	c := &child{control: ours, words: wordsOf(ours), done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, after the child
		var err error
		c.proc, c.joined, err = born(groups, attr, func() (*os.Process, error) { return p.exe.start(argv, attr) })
		if err != nil && c.proc != nil {
			_ = c.proc.Kill()
		}
		started <- err
		if c.proc != nil {
			c.state, _ = c.proc.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		ours.Close()
		return nil, fmt.Errorf("start the sandbox's first process: %w", err)
	}
	return c, nil
}

func socketpair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control"), nil
}

// attributes are the namespaces and credentials of a first process.
func attributes(w way, ownNetwork bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if w == wayGroup {
		return a
	}
	a.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC
	if ownNetwork {
		a.Cloneflags |= syscall.CLONE_NEWNET
	}
	if w == wayRoot {
		return a
	}
	a.Cloneflags |= syscall.CLONE_NEWUSER
	// Without a mapped root, exec would take away what the namespace gave.
	for c := range uintptr(unix.CAP_LAST_CAP + 1) {
		a.AmbientCaps = append(a.AmbientCaps, c)
	}
	if w == wayUser {
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
	}
	return a
}

// order tells the first process what to do: it may go.
func (c *child) order(o order) error {
	if o.Way == waySubuid {
		if err := mapSubids(c.proc.Pid); err != nil {
			return err
		}
	}
	return c.write(o)
}

func (c *child) write(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err = c.control.Write(append(b, '\n'))
	return err
}

// maxWord is how long a word of the first process may be: there is a job in its sandbox that may have got hold
// of it.
const maxWord = 1 << 20

// wordsOf reads words, one a line.
func wordsOf(r io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxWord)
	return s
}

// next is the next word of the first process; io.EOF when there will be none.
func (c *child) next() (w word, err error) {
	switch {
	case c.words.Scan():
		err = json.Unmarshal(c.words.Bytes(), &w)
	case c.words.Err() == nil:
		return w, io.EOF
	default:
		err = c.words.Err()
	}
	if err != nil {
		err = fmt.Errorf("listen to the sandbox's first process: %w", err)
	}
	return w, err
}

// kill ends the first process and with it its namespace, also when it is stopped.
func (c *child) kill() { _ = c.proc.Kill() } // through a pidfd; one that is no more is no error

// rebooted waits for the first process to end and tells whether that was by reboot(2) in its
// namespace, which shows as one of two signals that nothing else can end it by.
func (c *child) rebooted(w way) bool {
	<-c.done
	if c.state == nil || w == wayGroup {
		return false
	}
	ws, ok := c.state.Sys().(syscall.WaitStatus)
	return ok && ws.Signaled() && (ws.Signal() == unix.SIGINT || ws.Signal() == unix.SIGHUP)
}

// stop kills the first process and waits until it and its namespace are no more.
func (c *child) stop() {
	c.kill()
	<-c.done
	c.control.Close()
}

// runInit runs a first process that does one thing and ends.
func runInit(ctx context.Context, p program, token string, o order, ownNetwork bool) ([]string, error) {
	c, err := p.spawn(o.Way, token, nil, nil, ownNetwork, nil)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	defer context.AfterFunc(ctx, c.kill)()
	if err := c.order(o); err != nil {
		return nil, err
	}
	w, err := c.next()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("the sandbox's first process ended at once: %w", err)
	case w.Say != sayDone:
		return nil, errors.New(w.Error)
	}
	return w.Notes, nil
}

// subidError is a host that has no subordinate ids for this user, or no way to use them.
type subidError struct {
	problem, hint string
}

func (e *subidError) Error() string { return e.problem }

// mapSubids gives a new user namespace this user as its root, and the user's subordinate ids.
func mapSubids(pid int) error {
	uid, gid := os.Geteuid(), os.Getegid()
	name := strconv.Itoa(uid)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	var errs [2]error
	var wait sync.WaitGroup
	for i, m := range []struct {
		tool, file string
		id         int
	}{{"newuidmap", "/etc/subuid", uid}, {"newgidmap", "/etc/subgid", gid}} {
		wait.Go(func() { errs[i] = mapIDs(m.tool, m.file, name, pid, m.id, uid) })
	}
	wait.Wait()
	return errors.Join(errs[:]...)
}

func mapIDs(tool, file, name string, pid, id, uid int) error {
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("look for subordinate ids: %w", err)
	}
	first, count, ok := subids(string(b), name, strconv.Itoa(uid))
	if !ok {
		return &subidError{
			fmt.Sprintf("%s gives %s no subordinate ids", file, name),
			fmt.Sprintf("usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", name),
		}
	}
	path, err := exec.LookPath(tool)
	if err != nil {
		return &subidError{tool + " is not installed", "install it: apt-get install uidmap, or the package shadow-utils or shadow"}
	}
	out, err := exec.Command(path, strconv.Itoa(pid), "0", strconv.Itoa(id), "1", "1", strconv.Itoa(first), strconv.Itoa(count)).CombinedOutput()
	if err != nil {
		return &subidError{fmt.Sprintf("%s: %v: %s", tool, err, bytes.TrimSpace(out)), "see " + file + ", and that " + tool + " is setuid root"}
	}
	return nil
}

// subids finds a user's first range of subordinate ids.
func subids(text, name, id string) (first, count int, ok bool) {
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || f[0] != name && f[0] != id {
			continue
		}
		first, err1 := strconv.Atoi(f[1])
		count, err2 := strconv.Atoi(f[2])
		if err1 == nil && err2 == nil && count > 0 {
			return first, count, true
		}
	}
	return 0, 0, false
}
