package e2e_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
)

var (
	realRuns  = flag.Int("e2e.runs", 200, "how many runs TestFinishedReal makes")
	realKills = flag.Int("e2e.kills", 200, "how often TestKilledReal kills")
	realSeed  = flag.Uint64("e2e.seed", 0, "what is drawn follows from it; 0: another one each time")
)

// What is killed.
const (
	atDaemon     = "daemon"
	atAttached   = "attached run"
	atDetached   = "run --detach"
	atLauncher   = "launcher in the middle of a launch"
	atSupervisor = "supervisor"
	atInit       = "PID 1"
	atAll        = "everything at once"
)

const (
	askers   = 6
	machines = 6 // at most at once
	unseen   = 8 // requests at most whose machine has not been seen
)

// crowd is an installation with many people at it: clients ask for runs all the time, a daemon is kept
// going, and what dayfly starts is killed at random moments.
type crowd struct {
	*home
	w     *witness
	seed  uint64
	files []string
	slots chan struct{} // taken by requests until their machine is seen

	spares       bool                             // a kill of everything leaves the jobs alone
	faults       bool                             // the bucket fails at times: commands may end with an error
	heard        func(event, run, attempt string) // told what jobs say; may be nil
	acknowledged func(run string)                 // told what clients were told; may be nil

	mu       sync.Mutex
	rng      *rand.Rand
	asks     int            // requests still to be made for certain
	plan     map[string]int // kills still to be made for certain
	allEvery int            // kills of one process come to one of everything
	kills    map[string]int
	killed   int // processes
	live     map[*proc]bool
	daemon   *proc
	asked    []*proc
	tokens   map[string]bool // of every machine whose folder was seen to appear
	waiting  map[string]bool // tokens of requests that hold a slot
	over     chan struct{}   // asks and plan are fulfilled
	all      chan struct{}   // it is time to kill everything
	strikes  sync.WaitGroup

	begun    map[string][]word // start words, by run
	overlaps []string
	again    int // starts of attempts after the first
	refused  int // commands and daemons that could not do anything
}

const retries = "retry: {attempts: 3, on: [lost], backoff: 1s}\n"

func newCrowd(t *testing.T, asks int, plan map[string]int) *crowd {
	t.Helper()
	c := &crowd{
		home: newHome(t), seed: *realSeed, asks: asks, plan: plan, kills: map[string]int{}, live: map[*proc]bool{},
		slots: make(chan struct{}, unseen), tokens: map[string]bool{}, waiting: map[string]bool{},
		over: make(chan struct{}), all: make(chan struct{}, 1), begun: map[string][]word{},
	}
	for _, n := range plan {
		c.allEvery += n
	}
	c.allEvery = c.allEvery/max(1, plan[atAll]) - 1
	for c.seed == 0 {
		c.seed = rand.Uint64()
	}
	t.Logf("seed: -e2e.seed=%d", c.seed)
	c.rng = c.random("all")
	c.w = newWitnessWho(t, c.hear)
	c.settings("")
	if err := os.MkdirAll(filepath.Join(c.dir, "machines"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := copyFile(c.deed(), "/proc/self/exe"); err != nil {
		t.Fatal(err)
	}
	does := c.does("exec "+c.deed(), "")
	c.files = []string{c.job("once", does), c.job("again", does+retries)}
	return c
}

// deed is the program of all jobs, a copy of this one.
func (c *crowd) deed() string { return filepath.Join(c.top(), "job") }

// does is what the jobs have in common, in a job file's words.
func (c *crowd) does(run, env string) string {
	return fmt.Sprintf("overlap: allow\ntimeout: 5m\ngrace: 1s\nenv: {%s: %q, E2E_SEED: %q%s}\nrun: %s\n", witnessVariable, c.w.addr, c.seedText(), env, run)
}

// top is the directory of everything that is this test's.
func (c *crowd) top() string      { return filepath.Dir(c.dir) }
func (c *crowd) seedText() string { return fmt.Sprint(c.seed) }

func (c *crowd) settings(more string) {
	text := fmt.Sprintf("installation: %s\nlimits: {machines: %d}\n%s\n", c.installation(), machines, more)
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "dayfly.yaml"), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *crowd) installation() string { return "crowd-" + c.seedText() }

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}

// random is a source of its own for each who draws, so that one's draws do not depend on another's.
func (c *crowd) random(who string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(who))
	return rand.New(rand.NewPCG(c.seed, h.Sum64()))
}

func (c *crowd) intN(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rng.IntN(n)
}

// hit counts a kill of processes that lived; the lock is held.
func (c *crowd) hit(kind string, processes int) {
	if c.killed += processes; kind == atAll {
		return // one for all of them, by who does it
	}
	c.count(kind)
}

func (c *crowd) count(kind string) {
	c.kills[kind]++
	c.plan[kind]--
	left := 0 // kills of one process
	for k, n := range c.plan {
		if k != atAll {
			left += max(0, n)
		}
	}
	if c.plan[atAll] > left/c.allEvery {
		select {
		case c.all <- struct{}{}:
		default:
		}
	}
	c.enough()
}

// enough ends the siege when everything that was planned has happened; the lock is held.
func (c *crowd) enough() {
	for _, n := range c.plan {
		if n > 0 {
			return
		}
	}
	if c.asks > 0 {
		return
	}
	select {
	case <-c.over:
	default:
		close(c.over)
	}
}

// wants draws whether a kill of a kind shall be tried now: one time in n, while some are planned.
func (c *crowd) wants(kind string, n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.plan[kind] > 0 && c.rng.IntN(n) == 0
}

// hear takes a job's words. When an attempt begins, all earlier ones of its run must be dead: their lines
// are closed by the kernel, whatever dayfly says of them.
func (c *crowd) hear(said word) {
	f := strings.Fields(said.Text)
	if len(f) != 3 {
		c.t.Errorf("a job said %q", said.Text)
		return
	}
	if f[0] == "start" {
		c.mu.Lock()
		for _, earlier := range c.begun[f[1]] {
			c.again++
			if !hungUp(earlier.conn) {
				c.overlaps = append(c.overlaps, fmt.Sprintf("%q while %q was alive", said.Text, earlier.Text))
			}
		}
		c.begun[f[1]] = append(c.begun[f[1]], said)
		c.mu.Unlock()
	}
	if c.heard != nil {
		c.heard(f[0], f[1], f[2])
	}
}

// hungUp tells whether the other end of a connection is closed by everybody who had it.
func hungUp(conn net.Conn) bool {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	up := true // a connection that we have closed had come to its end
	_ = raw.Control(func(fd uintptr) {
		polls := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(polls, 0)
		up = err == nil && n > 0
	})
	return up
}

// said tells whether a job was heard to say this of itself.
func (c *crowd) said(event, run, attempt string) bool {
	return slices.ContainsFunc(c.w.words(), func(said word) bool { return said.Text == event+" "+run+" "+attempt })
}

// besiege lets everybody in until all that was planned has happened, and ends with a kill of everything.
func (c *crowd) besiege() {
	patience := 8 * time.Minute
	for _, n := range c.plan {
		patience += time.Duration(n) * time.Second
	}
	ctx, end := context.WithTimeout(c.t.Context(), patience)
	defer end()
	stop := c.watchMachines()
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { c.keepDaemon(ctx) })
	for i := range askers {
		wg.Go(func() { c.ask(ctx, c.random(fmt.Sprint("asker ", i))) })
	}
	wg.Go(func() {
		for {
			select {
			case <-c.all:
				if c.killAll() > 0 {
					c.mu.Lock()
					c.count(atAll)
					c.mu.Unlock()
				}
			case <-c.over:
				return
			case <-ctx.Done():
				return
			}
		}
	})
	select {
	case <-c.over:
	case <-ctx.Done():
		c.t.Errorf("after %d requests and %s the plan is not fulfilled: %v", len(c.asked), counts(c.kills), c.plan)
	}
	end()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		wg.Wait()
		c.strikes.Wait()
	}()
	for left := 1; left > 0; { // until nothing is there, nor anybody who could start anything
		left = c.killAll()
		select {
		case <-gone:
		case <-time.After(10 * time.Millisecond):
			left++
		}
	}
}

// keepDaemon starts a daemon whenever there is none, and kills it at random moments, the first ones included.
func (c *crowd) keepDaemon(ctx context.Context) {
	rng := c.random("daemon")
	for ctx.Err() == nil {
		p := c.begin("serve")
		c.mu.Lock()
		c.daemon = p
		c.mu.Unlock()
		var alarm <-chan time.Time
		if c.wants(atDaemon, 1) {
			alarm = time.After(time.Duration(rng.IntN([]int{100, 1200, 1200}[rng.IntN(3)])) * time.Millisecond)
		}
		select {
		case <-ctx.Done():
			c.shoot(p, atAll)
		case <-alarm:
			c.shoot(p, atDaemon)
		case <-p.ended:
		}
		<-p.ended
		switch {
		case p.signaled():
		case !c.faults:
			c.t.Errorf("the daemon ended by itself, code %d: %s", p.code(), p.diag.String())
			return
		default: // as its service manager would, it is tried again
			c.refused++
			<-time.After(100 * time.Millisecond)
		}
	}
}

// ask makes one request after another.
func (c *crowd) ask(ctx context.Context, rng *rand.Rand) {
	for {
		select {
		case <-c.over:
			return
		case <-ctx.Done():
			return
		case c.slots <- struct{}{}:
			c.request(rng)
		}
	}
}

func (c *crowd) request(rng *rand.Rand) {
	kind, within, args := atDetached, 150, []string{"run", "--detach", c.files[rng.IntN(len(c.files))]}
	if rng.IntN(3) == 0 {
		kind, within, args = atAttached, 700, []string{"run", c.files[rng.IntN(len(c.files))]}
	}
	var alarm <-chan time.Time
	if c.wants(kind, 2) {
		alarm = time.After(time.Duration(rng.IntN(within)) * time.Millisecond)
	}
	p := c.begin(args...)
	c.mu.Lock()
	c.asked = append(c.asked, p)
	c.mu.Unlock()
	for alive := true; alive; {
		select {
		case <-alarm:
			c.shoot(p, kind)
		case <-p.diag.grown:
			c.listen(p)
		case <-p.ended:
			alive = false
		}
	}
	c.listen(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.run == "" { // it came to nothing
		<-c.slots
		return
	}
	c.asks--
	c.enough()
}

// listen takes note of what a client was told: from then on the run must not be lost.
func (c *crowd) listen(p *proc) {
	_, rest, found := strings.Cut(p.diag.String(), "request recorded: ")
	run, _, whole := strings.Cut(rest, "\n")
	c.mu.Lock()
	if !found || !whole || p.run != "" {
		c.mu.Unlock()
		return
	}
	p.run = run
	token := dayfly.Token(c.installation(), dayfly.RunID(run), 1, 0)
	if c.tokens[token] {
		<-c.slots
	} else {
		c.waiting[token] = true
	}
	c.mu.Unlock()
	if c.acknowledged != nil {
		c.acknowledged(run)
	}
}

// records reads what history -o jsonl says.
func records(text string) (all []record, err error) {
	for line := range strings.Lines(text) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return nil, fmt.Errorf("history: %w in %s", err, line)
		}
		all = append(all, r)
	}
	return all, nil
}

// settle starts a last daemon, which must need no help, waits until it has seen every run to its end,
// and lets it stop.
func (c *crowd) settle() []record {
	c.t.Helper()
	p := c.begin("serve")
	var runs []record
	await(c.t, 3*time.Minute, "all runs have ended", func() bool {
		select {
		case <-p.ended:
			c.t.Fatalf("the last daemon ended: %s", p.diag.String())
		default:
		}
		runs = c.history()
		return !slices.ContainsFunc(runs, func(r record) bool { return r.State != "ended" })
	})
	_ = p.cmd.Process.Signal(unix.SIGTERM)
	<-p.ended
	if p.code() != 0 {
		c.t.Errorf("the last daemon ended with code %d: %s", p.code(), p.diag.String())
	}
	return runs
}

func counts(m map[string]int) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, fmt.Sprintf("%d %s", m[k], k))
	}
	return strings.Join(all, ", ")
}
