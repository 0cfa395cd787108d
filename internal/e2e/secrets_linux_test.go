package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// confidant is an installation whose jobs are given canaries and do what they can to spread them.
type confidant struct {
	*home
	*canaries
	w     *witness
	mu    sync.Mutex
	said  map[string][]byte // what every command wrote on stdout and stderr, by its arguments
	mine  map[string]bool   // the command lines that were started with canaries in their environment
	roles map[string]int    // looks at processes of dayfly's, by what they are
}

const secretsOf = "secrets: {TOKEN: env:CANARY_TOKEN, PHRASE: env:CANARY_PHRASE, PEM: %[1]q, LONG: %[2]q}\ntimeout: 60s\ndeadline: 90s\n"

// loud prints what it was given in every way that is promised to be found, names its results after it,
// and shows it to whoever may see the end of a job.
const loud = `run: |
  #!/bin/bash
  code() { base64 "$@"; od -An -v -tx1 | tr -d ' \n'; }
  for v in "$TOKEN" "$PHRASE" "$PEM" "$LONG"; do
    printf '%s\n' "$v"
    printf '%s\n' "$v" | sed 's/^/> /'
    printf '%s' "$v" | base64
    printf '%s' "$v" | base64 -w0; echo
    printf '%s\n' "$v" | base64 >&2
    printf '%s' "$v" | od -An -v -tx1 | tr -d ' \n'; echo
    printf '%s' "${v:0:7}"; printf '%s' "${v:7:3}" >&2; printf '%s\n' "${v:10}"
  done
  head -c 262140 /dev/zero | tr '\0' x; printf '%s\n' "$TOKEN"
  cd "$DAYFLY_RESULTS"
  printf '%s' "$LONG" | gzip > packed.gz
  printf '%s' "$TOKEN" > "$TOKEN"
  mkdir "dir-$TOKEN"; date > "dir-$TOKEN/a"; date > "$(printf '%s' "$TOKEN" | base64)"
  date > "$PHRASE"; printf '%s' "$PEM" > "$PEM"
  mkfifo "fifo-$TOKEN"; ln -s "$TOKEN" "link-$TOKEN"
  set -x
  : "$TOKEN" "$PHRASE"
  exec -a "$TOKEN" bash -c 'echo "$0: no such thing: $TOKEN" >&2; exit 3'
`

// patient says that it is there and waits until it is told to go on.
const patient = `run: |
  #!/bin/bash
  %s
  echo "$TOKEN"; echo "$PEM" > "$DAYFLY_RESULTS/kept"
  read -r _ <&9
  echo "$LONG"
`

// TestSecretsReal: canaries are given to jobs that print and spread them, while everything else goes
// on or goes wrong; afterwards no ten bytes of them are in what dayfly wrote, in whatever coding.
func TestSecretsReal(t *testing.T) {
	t.Parallel()
	k := newConfidant(t)
	top := filepath.Dir(k.dir)
	refs := fmt.Sprintf(secretsOf, "file:"+k.file(t, "PEM"), "file:"+k.file(t, "LONG"))
	loudFile := k.job("loud", refs+loud)
	holdFile := k.job("hold", refs+fmt.Sprintf(patient, k.w.say()))
	stop := k.watch()

	k.ask(t, 5, "run", loudFile) // by a command alone
	daemon := k.serve(t)
	k.ask(t, 0, "apply", loudFile, holdFile)
	k.ask(t, 5, "run", "loud")
	k.ask(t, 5, "retry", "loud", "-o", "json")
	k.failing(t, refs)

	k.ask(t, 0, "run", "--detach", "hold")
	k.held(t, 1)
	k.look(t, "loud")
	k.scanDuring(t)
	k.scrape(t, daemon)
	k.crash(t, daemon.cmd.Process.Pid) // a dump of every goroutine
	again := k.serve(t)
	k.w.words()[0].let()
	k.await(t, 1)

	k.ask(t, 0, "run", "--detach", "hold")
	k.held(t, 2)
	_ = again.cmd.Process.Signal(syscall.SIGSTOP) // so that nobody tidies up what the crash left
	for _, pid := range k.supervisors() {
		k.crash(t, pid)
	}
	k.scanDuring(t)
	_ = again.cmd.Process.Signal(syscall.SIGCONT)
	k.await(t, 2)
	k.look(t, "hold")
	k.ask(t, 0, "run", "--detach", "hold")
	k.held(t, 3)
	k.ask(t, 0, "cancel", "hold")
	_ = again.cmd.Process.Signal(os.Interrupt)
	_ = again.cmd.Wait()
	stop()

	files, size := k.scan(t, k.dir, ownResults)
	f, s := k.scan(t, filepath.Join(top, "tmp"), nil)
	commands := 0
	for what, text := range k.said {
		commands++
		size += int64(len(text))
		if who := k.find(text); who != "" {
			t.Errorf("dayfly %s said %s", what, who)
		}
	}
	for _, role := range []string{"supervise", "init"} {
		if k.roles[role] == 0 {
			t.Errorf("no process was looked at that is to %s: %v", role, k.roles)
		}
	}
	k.wantMarks(t)
	t.Logf("%d windows looked for in %d files, %d outputs, %d bytes; processes looked at: %v", len(k.seen), files+f, commands, size+s, k.roles)
}

// ownResults are the contents of results, which are the job's own.
func ownResults(path string) bool {
	return strings.HasPrefix(path, "/bucket/runs/") && strings.Contains(path, "/out/results/") && !strings.HasSuffix(path, "/")
}

func newConfidant(t *testing.T) *confidant {
	t.Helper()
	h := newHome(t)
	if err := os.Mkdir(filepath.Join(filepath.Dir(h.dir), "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	return &confidant{home: h, canaries: newCanaries(t), w: newWitness(t), said: map[string][]byte{}, mine: map[string]bool{}, roles: map[string]int{}}
}

// file puts a value into a file of the user's, outside of what is dayfly's.
func (k *confidant) file(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(k.jobs, name+".secret")
	if err := os.WriteFile(path, []byte(k.values[name]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// given is a command with canaries in its environment, as whoever starts dayfly gives them.
func (k *confidant) given(args ...string) *exec.Cmd {
	cmd := k.command(args...)
	cmd.Env = append(cmd.Env, "CANARY_TOKEN="+k.values["TOKEN"], "CANARY_PHRASE="+k.values["PHRASE"], "TMPDIR="+filepath.Join(filepath.Dir(k.dir), "tmp"))
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mine[strings.Join(cmd.Args, "\x00")+"\x00"] = true
	return cmd
}

// ask runs a command to its end, remembers all that it said, and gives what was on stdout.
func (k *confidant) ask(t *testing.T, code int, args ...string) string {
	t.Helper()
	cmd := k.given(args...)
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	what := strings.Join(args, " ")
	k.mu.Lock()
	k.said[fmt.Sprint(len(k.said), " ", what)] = slices.Concat(out.Bytes(), diag.Bytes())
	k.mu.Unlock()
	if got := cmd.ProcessState.ExitCode(); code >= 0 && got != code {
		t.Fatalf("dayfly %s: exit code %d, want %d", what, got, code)
	}
	return out.String()
}

// served is a daemon whose output goes to a file.
type served struct {
	cmd *exec.Cmd
	out string
}

func (k *confidant) serve(t *testing.T) served {
	t.Helper()
	out, err := os.CreateTemp(filepath.Join(filepath.Dir(k.dir), "tmp"), "serve-*")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := k.given("serve", "--metrics", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	s := served{cmd, out.Name()}
	await(t, time.Minute, "the daemon serves", func() bool { return len(s.urls(t)) >= 2 })
	return s
}

var servedURL = regexp.MustCompile(`http://[0-9.:]+`)

func (s served) urls(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(s.out)
	if err != nil {
		t.Fatal(err)
	}
	return servedURL.FindAllString(string(text), -1)
}

// scrape asks what a daemon answers on its addresses.
func (k *confidant) scrape(t *testing.T, s served) {
	t.Helper()
	for _, base := range s.urls(t) {
		for _, path := range []string{"/metrics", "/healthz", "/", "/healthz?" + url.QueryEscape(k.values["TOKEN"])} {
			resp, err := http.Get(base + path)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			k.said[fmt.Sprint(resp.StatusCode, " ", base+path)] = text
		}
	}
}

// look asks in every form what dayfly knows of a job.
func (k *confidant) look(t *testing.T, job string) {
	t.Helper()
	file := filepath.Join(k.jobs, job+".yaml")
	for _, form := range []string{"table", "wide", "json", "jsonl", "yaml", "name"} {
		for _, args := range [][]string{{"ps"}, {"ps", "--jobs"}, {"history"}, {"results", job}, {"machines"}, {"doctor"}} {
			k.ask(t, -1, append(args, "-o", form)...)
		}
	}
	for _, args := range [][]string{
		{"logs", job}, {"logs", "--raw", job}, {"logs", "--attempt", "1", job}, {"explain", "secrets", "-o", "json"}, {"explain", "secrets"}, {"plan", file}, {"plan", file, "-o", "json"},
		{"validate", file}, {"next", job}, {"sweep"}, {"version"}, {"__complete", "logs", ""}, {"__complete", "run", "--param", ""}, {"results", job, "--to", filepath.Join(k.jobs, "to-"+job)},
		{"pause", job}, {"resume", job},
	} {
		k.ask(t, -1, args...)
	}
}

// failing has everything that can go wrong with a secret, and a value where a reference should be.
func (k *confidant) failing(t *testing.T, refs string) {
	t.Helper()
	value := k.values["TOKEN"]
	nul := filepath.Join(k.jobs, "nul")
	large := filepath.Join(k.jobs, "large")
	for path, text := range map[string]string{nul: value + "\x00", large: strings.Repeat(value, 2000)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"unset":       "secrets: {A: env:CANARY_TOKEN, B: env:NOT_THERE}\nrun: echo\ntimeout: 5s\ndeadline: 10s\n",
		"nul":         "secrets: {A: env:CANARY_TOKEN, B: file:" + nul + "}\nrun: echo\ntimeout: 5s\ndeadline: 10s\n",
		"large":       "secrets: {A: env:CANARY_TOKEN, B: file:" + large + "}\nrun: echo\ntimeout: 5s\ndeadline: 10s\n",
		"directory":   "secrets: {A: env:CANARY_TOKEN, B: file:" + k.jobs + "}\nrun: echo\ntimeout: 5s\ndeadline: 10s\n",
		"interpreter": refs + "run: |\n  #!/not/there\n",
	} {
		path := k.job(name, text)
		k.ask(t, -1, "run", path)
		k.ask(t, -1, "run", path, "-o", "json")
	}
	for name, text := range map[string]string{
		"literal":  "secrets: {PASSWORD: " + value + "}\nrun: echo\n",
		"list":     "secrets: [" + value + "]\nrun: echo\n",
		"name":     "secrets: {" + value + "=x: env:A}\nrun: echo\n",
		"lines":    "secrets:\n  A: |\n    " + value + "\n  B: " + value + "\nrun: echo\nunknown: 1\n",
		"unclosed": "secrets: {A: \"" + value + "\nrun: echo\n",
	} {
		path := k.job(name, text)
		for _, args := range [][]string{{"validate"}, {"validate", "-o", "json"}, {"run"}, {"apply"}, {"plan"}} {
			k.ask(t, -1, append(args, path)...)
		}
	}
}

// let tells a job that waits to go on.
func (w word) let() { _, _ = io.WriteString(w.conn, "go\n") }

func (k *confidant) held(t *testing.T, n int) {
	t.Helper()
	await(t, time.Minute, "the job waits", func() bool { return len(k.w.words()) >= n })
}

// await waits until so many runs of hold have ended.
func (k *confidant) await(t *testing.T, n int) {
	t.Helper()
	await(t, time.Minute, "the run has ended", func() bool {
		return strings.Count(k.ask(t, 0, "history", "--job", "hold", "-o", "jsonl"), `"state":"ended"`) >= n
	})
}

// scanDuring looks at what is there while a job runs: also what will be gone when it has ended.
func (k *confidant) scanDuring(t *testing.T) {
	t.Helper()
	files, _ := k.scan(t, k.dir, func(path string) bool {
		below, isMachine := strings.CutPrefix(path, "/machines/")
		_, below, _ = strings.Cut(below, "/")
		return ownResults(path) || isMachine && jobsOwn.MatchString(below)
	})
	if files < 10 {
		t.Errorf("only %d files are there", files)
	}
}

// jobsOwn are the directories of a machine that only its job writes to.
var jobsOwn = regexp.MustCompile(`^scratch/(work|results)$`)

// crash ends a process of dayfly's as a fault of its own would, with a dump of what it did.
func (k *confidant) crash(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	await(t, time.Minute, "it is gone", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || bytes.Contains(stat, []byte(") Z"))
	})
}

func (k *confidant) supervisors() (pids []int) {
	for _, pid := range k.processes() {
		if line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); bytes.Contains(line, []byte("supervise")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// watch looks at the arguments and the environment of every process of dayfly's, again and again,
// until it is told to stop. Whoever starts dayfly may put secrets into its environment; it must not
// pass them on.
func (k *confidant) watch() (stop func()) {
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(30 * time.Millisecond)
		defer tick.Stop()
		for {
			k.lookAtProcesses()
			select {
			case <-over:
				return
			case <-tick.C:
			}
		}
	}()
	return func() { close(over); <-done }
}

func (k *confidant) lookAtProcesses() {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		dir := filepath.Join("/proc", e.Name())
		if exe, err := os.Readlink(dir + "/exe"); err != nil || !strings.Contains(exe, "dayfly") {
			continue
		}
		line, _ := os.ReadFile(dir + "/cmdline")
		env, _ := os.ReadFile(dir + "/environ")
		if again, _ := os.ReadFile(dir + "/cmdline"); !bytes.Equal(line, again) {
			continue // it became another program meanwhile
		}
		if who := k.find(line); who != "" {
			k.t.Errorf("the arguments of %q have %s", line, who)
		}
		k.mu.Lock()
		given := k.mine[string(line)] // or a child of it that is no program of its own yet
		for _, role := range []string{"supervise", "init", "serve", "run"} {
			if bytes.Contains(line, []byte("\x00"+role+"\x00")) {
				k.roles[role]++
			}
		}
		k.mu.Unlock()
		if who := k.find(env); who != "" && !given {
			k.t.Errorf("the environment of %q has %s", line, who)
		}
	}
}

// wantMarks checks that the jobs did print what they were to print.
func (k *confidant) wantMarks(t *testing.T) {
	t.Helper()
	all := k.ask(t, 0, "logs", "loud")
	for name := range k.values {
		if n := strings.Count(all, "[secret "+name+"]"); n < 5 {
			t.Errorf("%s is marked %d times in the log", name, n)
		}
	}
}
