package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/e2e/ptrace"
)

// The tests of this package that end in Real run the built binary over a real SQLite file, a real
// bucket directory and the real sandbox. What they believe they read from what the jobs said over a
// socket, and from /proc, mounts and cgroups: never from dayfly's own word.

// built is the binary, made once for all tests.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "dayfly-e2e-*")
	if err != nil {
		return "", err
	}
	madeFor.Store(&dir)
	bin := filepath.Join(dir, "dayfly")
	out, err := exec.Command("../../scripts/build", bin).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return bin, nil
})

// madeFor is the directory of the binary; nil as long as no test wanted it.
var madeFor atomic.Pointer[string]

func TestMain(m *testing.M) {
	ptrace.Child()
	if os.Getenv(witnessVariable) != "" {
		os.Exit(actAsJob())
	}
	code := m.Run()
	if dir := madeFor.Load(); dir != nil {
		os.RemoveAll(*dir)
	}
	os.Exit(code)
}

// home is one installation of its own.
type home struct {
	t    testing.TB
	bin  string
	dir  string // DAYFLY_DATA
	jobs string // a directory for job files
}

func newHome(t testing.TB) *home {
	t.Helper()
	h, remove := makeHome(t)
	t.Cleanup(remove)
	return h
}

// makeHome is newHome for who makes so many that they must not all lie there until the test ends.
func makeHome(t testing.TB) (h *home, remove func()) {
	t.Helper()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	top, err := os.MkdirTemp("/var/tmp", "dayfly-e2e-*")
	if err != nil {
		t.Fatal(err)
	}
	h = &home{t: t, bin: bin, dir: filepath.Join(top, "data"), jobs: filepath.Join(top, "jobs")}
	if err := os.Mkdir(h.jobs, 0o700); err != nil {
		t.Fatal(err)
	}
	return h, func() {
		for _, pid := range h.processes() { // of a test that failed
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		os.RemoveAll(top)
	}
}

// job writes a job file and gives its path.
func (h *home) job(name, text string) string {
	h.t.Helper()
	path := filepath.Join(h.jobs, name+".yaml")
	if err := os.WriteFile(path, []byte("name: "+name+"\n"+text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// command is the binary with these arguments over this installation. It is killed when the test ends.
func (h *home) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(h.t.Context(), h.bin, args...)
	cmd.Env = append(os.Environ(), "DAYFLY_DATA="+h.dir)
	return cmd
}

// dayfly runs a command to its end and gives its standard output and exit code.
func (h *home) dayfly(args ...string) (string, int) {
	h.t.Helper()
	cmd := h.command(args...)
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		h.t.Fatalf("dayfly %s: %v", strings.Join(args, " "), err)
	}
	if diag.Len() > 0 {
		h.t.Logf("dayfly %s: %s", strings.Join(args, " "), diag.String())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// start begins a command of its own process group; its output goes to a file that a failed test shows.
func (h *home) start(args ...string) *exec.Cmd {
	h.t.Helper()
	out, err := os.CreateTemp(filepath.Dir(h.dir), "out-*")
	if err != nil {
		h.t.Fatal(err)
	}
	defer out.Close()
	cmd := h.command(args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, err := os.ReadFile(out.Name()); err == nil && h.t.Failed() {
			h.t.Logf("dayfly %s:\n%s", strings.Join(args, " "), text)
		}
	})
	return cmd
}

// record is a run as history -o jsonl shows it.
type record struct {
	ID       string    `json:"id"`
	Job      string    `json:"job"`
	Slot     time.Time `json:"slot"`
	N        int       `json:"n"`
	State    string    `json:"state"`
	Outcome  string    `json:"outcome"`
	Reason   string    `json:"reason"`
	Attempts []struct {
		Number     int       `json:"number"`
		Machine    string    `json:"machine"`
		LaunchedAt time.Time `json:"launched_at"`
		GoneAt     time.Time `json:"gone_at"`
		ExitCode   *int      `json:"exit_code"`
	} `json:"attempts"`
}

func (h *home) history() []record {
	h.t.Helper()
	out, code := h.dayfly("history", "-o", "jsonl", "--limit", "0")
	if code != 0 {
		h.t.Fatalf("history: exit code %d", code)
	}
	var all []record
	for line := range strings.Lines(out) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			h.t.Fatalf("history: %v in %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

// await waits until cond holds. It looks often, and fails the test after limit.
func await(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("after %s it is not so that %s", limit, what)
		case <-tick.C:
		}
	}
}

// processes are those that have the data directory's name in their arguments or environment, this one
// apart: supervisors, sandboxes' first processes, and every job (DAYFLY_DATA is not passed to jobs, the
// machine's folder is in what they see of it).
func (h *home) processes() []int { return processesWith(filepath.Dir(h.dir)) }

func processesWith(word string) []int {
	entries, _ := os.ReadDir("/proc")
	var out []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		for _, name := range []string{"cmdline", "environ"} {
			if b, err := os.ReadFile(filepath.Join("/proc", e.Name(), name)); err == nil && bytes.Contains(b, []byte(word)) {
				out = append(out, pid)
				break
			}
		}
	}
	return out
}

// leftovers names everything of these machines' tokens that the kernel still knows: processes, mounts, cgroups, folders.
func (h *home) leftovers(tokens ...string) (left []string) {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for _, token := range tokens {
		for _, pid := range processesWith(token) {
			cmd, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			left = append(left, fmt.Sprintf("process %d %q of %s", pid, bytes.ReplaceAll(cmd, []byte{0}, []byte{' '}), token))
		}
		if bytes.Contains(mounts, []byte(token)) {
			left = append(left, "a mount of "+token)
		}
		for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/", "/sys/fs/cgroup/*/*/", "/sys/fs/cgroup/*/*/*/"} {
			dirs, _ := filepath.Glob(pattern + "dayfly-" + token)
			left = append(left, dirs...)
		}
	}
	return left
}

// word is what a job said to the witness.
type word struct {
	At   time.Time
	Text string
	Done <-chan struct{} // closed when every process that held the line is dead
	conn net.Conn
}

// witness listens to jobs. A job says a line over a socket and keeps the socket open: its end is seen
// by the kernel's word, however it comes.
type witness struct {
	addr  string
	heard func(word) // told each word before it is in words; nil: nobody
	mu    sync.Mutex
	said  []word
}

func newWitness(t testing.TB) *witness {
	t.Helper()
	return newWitnessWho(t, nil)
}

func newWitnessWho(t testing.TB, heard func(word)) *witness {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w := &witness{addr: l.Addr().String(), heard: heard}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.hear(c)
		}
	}()
	return w
}

func (w *witness) hear(c net.Conn) {
	defer c.Close()
	done := make(chan struct{})
	defer close(done)
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		said := word{At: time.Now(), Text: lines.Text(), Done: done, conn: c}
		if w.heard != nil {
			w.heard(said)
		}
		w.mu.Lock()
		w.said = append(w.said, said)
		w.mu.Unlock()
	}
}

// words are what was said so far.
func (w *witness) words() []word {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.said)
}

// say is shell text (of bash) that opens the line on descriptor 9 and says which run and attempt it is.
func (w *witness) say() string {
	host, port, _ := net.SplitHostPort(w.addr)
	return fmt.Sprintf("exec 9<>/dev/tcp/%s/%s; echo \"$DAYFLY_RUN $DAYFLY_ATTEMPT\" >&9", host, port)
}
