package local

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// start starts the job and returns its pid once its first instruction has been executed.
func (f *first) start(o order) (pid int, err error) {
	dir, work := insideDir, insideWork
	if o.Way == wayGroup {
		dir, work = o.Box, o.Work
	}
	script := filepath.Join(dir, "job")
	if err := os.WriteFile(script, []byte(o.Script), 0o755); err != nil {
		return 0, fmt.Errorf("write the job's script: %w", err)
	}
	argv := []string{"/bin/sh", "-eu", script}
	if strings.HasPrefix(o.Script, "#!") {
		argv = []string{script}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	attr := &syscall.ProcAttr{
		Dir: work, Env: o.Env, Files: []uintptr{null.Fd(), outputFD, outputFD},
		Sys: &syscall.SysProcAttr{Setsid: true},
	}
	if o.Way == wayGroup {
		attr.Sys.Pdeathsig = syscall.SIGKILL
	}
	f.ready.Wait()
	if o.Way == wayUser {
		// The job is the user, not the sandbox's builder.
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
			return 0, err
		}
	}
	pid, err = limited(o.Pids, func() (int, error) { return syscall.ForkExec(argv[0], argv, attr) })
	unix.Close(outputFD) // the job's output ends with the job
	if name := interpreter(o.Script); errors.Is(err, fs.ErrNotExist) && name != "" && !there(name, work) {
		return 0, fmt.Errorf("its first line names %s, which is not there", shown(name))
	}
	if err != nil {
		return 0, fmt.Errorf("run %s: %w", argv[0], err)
	}
	return pid, nil
}

// interpreter is what the kernel takes for it in the first line; empty where the line names none.
func interpreter(script string) string {
	line, found := strings.CutPrefix(script, "#!")
	if !found {
		return ""
	}
	line, _, _ = strings.Cut(line, "\n")
	name, _, _ := strings.Cut(strings.TrimLeft(line, " \t"), " ")
	name, _, _ = strings.Cut(name, "\t")
	return name
}

// there tells whether a file is, for a process that begins in work.
func there(name, work string) bool {
	if !filepath.IsAbs(name) {
		name = filepath.Join(work, name)
	}
	_, err := os.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// shown is a name as it is, quoted where it has what cannot be seen, such as the end of a line of Windows.
func shown(name string) string {
	if q := strconv.Quote(name); q != `"`+name+`"` {
		return q
	}
	return name
}

// limited starts a process under a limit of the user's processes. The limit holds for the process
// from its first instruction on; this process has it only for that moment, since a Go program that
// may not start a thread dies.
func limited(pids int, start func() (int, error)) (int, error) {
	if pids == 0 {
		return start()
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &old); err != nil {
		return 0, err
	}
	limit := uint64(pids + supervisorTasks)
	soft := unix.Rlimit{Cur: min(limit, old.Max), Max: old.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, &soft); err != nil {
		return 0, fmt.Errorf("limit the job's processes: %w", err)
	}
	pid, err := start()
	if rerr := unix.Setrlimit(unix.RLIMIT_NPROC, &old); err == nil && rerr != nil {
		err = rerr
	}
	if err == nil {
		hard := unix.Rlimit{Cur: soft.Cur, Max: soft.Cur}
		if perr := unix.Prlimit(pid, unix.RLIMIT_NPROC, &hard, nil); perr != nil && !errors.Is(perr, unix.ESRCH) {
			err = fmt.Errorf("limit the job's processes: %w", perr)
		}
	}
	return pid, err
}

// spareThreads makes threads that stay idle: when the job has used up the limit of processes, this
// process must still be able to run.
func spareThreads() {
	const spare = 6
	block, free := make(chan int, spare), make([]int, 0, spare)
	for range spare {
		go func() {
			var p [2]int
			if unix.Pipe2(p[:], unix.O_CLOEXEC) != nil {
				block <- -1
				return
			}
			block <- p[1]
			var b [1]byte
			_, _ = unix.Read(p[0], b[:]) // a blocking system call has a thread to itself
			unix.Close(p[0])
		}()
	}
	for range spare {
		free = append(free, <-block)
	}
	for _, fd := range free {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// powerSwitch puts dayfly's power commands in place and listens to them.
func (f *first) powerSwitch(o *order) error {
	dir, bin := insideDir, insideBin
	if o.Way == wayGroup {
		dir, bin = o.Box, filepath.Join(o.Box, "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			return err
		}
	}
	shim := filepath.Join(bin, "power")
	if err := os.WriteFile(shim, []byte(powerShim), 0o755); err != nil {
		return fmt.Errorf("make the power commands: %w", err)
	}
	var dirs []string
	if o.Way != wayGroup {
		dirs = binDirs()
	}
	covered := true
	for _, name := range powerNames {
		if err := oneMoreName(shim, filepath.Join(bin, name)); err != nil {
			return err
		}
		covered = cover(name, shim, dirs) && covered
	}
	if !covered {
		o.Env = withPath(o.Env, bin)
	}
	if o.Try {
		return nil
	}
	asked, err := fifo(filepath.Join(dir, "power"))
	if err != nil {
		return err
	}
	answer, err := fifo(filepath.Join(dir, "answer"))
	if err != nil {
		return err
	}
	go f.servePower(asked, answer)
	return nil
}

// oneMoreName gives a file another name beside it. A link of that kind takes no file of its own, which a
// file system that makes and removes thousands of them feels.
func oneMoreName(path, other string) error {
	if os.Link(path, other) == nil {
		return nil
	}
	return os.Symlink(filepath.Base(path), other) // a file system without such links
}

// fifo makes a named pipe and opens it so that it never ends.
func fifo(path string) (*os.File, error) {
	if err := unix.Mkfifo(path, 0o666); err != nil {
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
}

// binDirs are where a host's commands are to be found, each directory once: /sbin mostly is /usr/sbin.
func binDirs() []string {
	all := []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}
	return slices.DeleteFunc(all, func(dir string) bool {
		fi, err := os.Lstat(dir)
		return err != nil || fi.Mode()&fs.ModeSymlink != 0
	})
}

// cover puts the shim over the host's own commands of that name in the directories, and tells whether
// one is to be found there and each found one is covered.
func cover(name, shim string, dirs []string) bool {
	found := false
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		fi, err := os.Lstat(path)
		if err != nil {
			continue
		}
		found = true
		if fi.Mode()&fs.ModeSymlink != 0 {
			to, err := filepath.EvalSymlinks(path)
			if err != nil {
				continue // it leads nowhere
			}
			if !slices.Contains(powerNames, filepath.Base(to)) { // one program for many names, such as busybox
				if os.Remove(path) != nil || os.Symlink(shim, path) != nil {
					return false
				}
				continue
			}
			path = to
		}
		if !sameFile(shim, path) && unix.Mount(shim, path, "", unix.MS_BIND, "") != nil {
			return false
		}
	}
	return found
}

func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// withPath puts a directory before all others in PATH.
func withPath(env []string, dir string) []string {
	env = slices.Clone(env)
	for i, e := range env {
		if rest, ok := strings.CutPrefix(e, "PATH="); ok {
			env[i] = "PATH=" + dir + ":" + rest
			return env
		}
	}
	return append(env, "PATH="+dir+":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}

// servePower obeys and answers the power commands.
func (f *first) servePower(asked, answer *os.File) {
	lines := bufio.NewScanner(asked)
	var later *time.Timer
	for lines.Scan() {
		p := parsePower(lines.Text())
		if later != nil && (p.now || p.cancel || p.after > 0) {
			later.Stop()
		}
		if p.now {
			f.powerOff()
			continue // who asked waits for an answer until it is killed
		}
		if p.after > 0 {
			later = time.AfterFunc(p.after, f.powerOff)
		}
		_, _ = fmt.Fprintf(answer, "%d %s\n", p.code, p.text)
	}
}

// powerOff ends the job well: TERM to all, KILL to who is left after the grace.
func (f *first) powerOff() {
	f.mu.Lock()
	f.end.PowerOff, f.polite = true, true
	f.mu.Unlock()
	f.kill(unix.SIGTERM)
	time.AfterFunc(f.grace, func() { f.kill(unix.SIGKILL) })
}
