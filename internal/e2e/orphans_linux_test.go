package e2e_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	orphanFleets = flag.Int("orphans.fleets", 20, "how many fleets")
	orphanSeed   = flag.Uint64("orphans.seed", 0, "which fleets; 0: others each time")
)

// TestOrphansReal is R5: whatever is left of machines of ours is gone after two sweeps, and nothing
// else is touched. Each fleet is an installation with a mixture of both. The half minute between the
// two sweeps is real, and all fleets wait for it together.
func TestOrphansReal(t *testing.T) {
	t.Parallel()
	seed := *orphanSeed
	if seed == 0 {
		seed = rand.Uint64N(1 << 32)
	}
	c := &convoy{starts: make(chan struct{}, 3), ripe: make(chan struct{}), count: map[string]int{}}
	c.under.Add(*orphanFleets)
	var wg sync.WaitGroup // they mostly wait: -parallel is for those that compute
	for n := range *orphanFleets {
		wg.Go(func() {
			swept := sync.OnceFunc(c.under.Done)
			defer swept() // also where -run leaves the fleet out
			t.Run(fmt.Sprintf("fleet-%d", n), func(t *testing.T) {
				f := &fleet{convoy: c, swept: swept, n: n, rng: rand.New(rand.NewPCG(seed, uint64(n))), home: newHome(t), w: newWitness(t), leash: newLeash(t)}
				f.sail()
			})
		})
	}
	c.ripen(t)
	wg.Wait()
	var b strings.Builder
	fmt.Fprintf(&b, "%d fleets, -orphans.seed %d: %d orphans gone, %d other things as they were; fleets with", *orphanFleets, seed, c.orphans, c.others)
	for _, name := range slices.Sorted(maps.Keys(c.count)) {
		fmt.Fprintf(&b, "\n%4d  %s", c.count[name], name)
	}
	t.Log(b.String())
}

// convoy is what the fleets share.
type convoy struct {
	starts chan struct{}  // bounds how many machines start at once
	under  sync.WaitGroup // the fleets that have not swept yet
	ripe   chan struct{}  // closed when every suspicion is half a minute old

	mu              sync.Mutex
	last            *home          // to suspect something
	count           map[string]int // fleets that have a kind
	orphans, others int            // things that went and that were kept, in fleets that did as they should
}

// ripen waits until the fleet that was the last to suspect something would end it.
func (c *convoy) ripen(t *testing.T) {
	defer close(c.ripe)
	c.under.Wait()
	if c.last == nil {
		return // every fleet has failed, or has nothing to end
	}
	h := c.last.in(t)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for h.suspects() {
		<-tick.C
	}
}

// suspects tells whether a sweep would not end a machine only because it has not been suspect for long.
func (h *home) suspects() bool {
	h.t.Helper()
	out, code := h.dayfly("sweep", "--dry-run")
	if code != 0 {
		h.t.Fatalf("sweep --dry-run: exit code %d\n%s", code, out)
	}
	return strings.Contains("\n"+out, "\nsuspect ")
}

// fleet is an installation and all that lies about in it.
type fleet struct {
	*home
	*convoy
	swept      func() // to be called once it has
	n          int
	rng        *rand.Rand
	w          *witness
	leash      *leash
	other      *home // another installation; nil until it is needed
	jobs       int
	ghosts     int
	model      *held // a machine of ours that is as it should be
	things     []thing
	moved      []string // tokens of other's machines that are here
	bystanders []string // processes that leftovers may name
}

// thing is one of them.
type thing struct {
	what  string
	ours  bool              // an orphan of ours; else it must stay as it is
	token string            // of a machine of ours
	path  string            // empty: it has none
	look  string            // of path, before the first sweep
	lives []<-chan struct{} // each closed when a process of it is dead
}

// sail makes the fleet, sweeps twice, and once more to have what is gone forgotten.
func (f *fleet) sail() {
	f.make()
	for i, th := range f.things {
		f.things[i].look = look(th.path)
	}
	suspects := f.sweep()
	f.kept("after one sweep")
	for _, th := range f.things {
		if th.ours && deaths(th.lives) > 0 {
			f.t.Errorf("%s was ended at first sight", th.what)
		}
	}
	if suspects {
		f.mu.Lock()
		f.last = f.home
		f.mu.Unlock()
	}
	f.swept()
	<-f.ripe
	for f.suspects() { // whose half minute is not quite over
	}
	f.sweep()
	f.gone()
	f.sweep()
	for _, th := range f.things {
		if _, err := os.Lstat(th.path); th.ours && err == nil {
			f.t.Errorf("%s is still there after it was gone", th.path)
		}
	}
	f.kept("after all sweeps")
	f.land()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, th := range f.things {
		if th.ours {
			f.orphans++
		} else {
			f.others++
		}
	}
}

// sweep sweeps, and tells whether something is suspect now.
func (f *fleet) sweep() bool {
	f.t.Helper()
	out, code := f.dayfly("sweep")
	if code != 0 {
		f.t.Fatalf("sweep: exit code %d\n%s", code, out)
	}
	return strings.Contains("\n"+out, "\nsuspect ")
}

// gone checks that nothing of ours lives any more or can begin to live.
func (f *fleet) gone() {
	for _, th := range f.things {
		if !th.ours || th.token == "" {
			continue
		}
		if !within(10*time.Second, func() bool { return deaths(th.lives) == len(th.lives) && len(f.left(th.token)) == 0 }) {
			f.t.Errorf("%s: %d of %d processes are dead after two sweeps, and there is %s", th.what, deaths(th.lives), len(th.lives), f.left(th.token))
		}
		_, err1 := os.Lstat(th.path)
		_, err2 := os.Lstat(filepath.Join(th.path, "closed"))
		if err1 == nil && err2 != nil {
			f.t.Errorf("%s may still be started after two sweeps", th.what)
		}
	}
}

// left are the leftovers of a machine.
func (f *fleet) left(token string) []string {
	return slices.DeleteFunc(f.leftovers(token), func(l string) bool {
		return slices.ContainsFunc(f.bystanders, func(b string) bool { return strings.HasPrefix(l, b) })
	})
}

// kept checks that what is not an orphan of ours is as it was.
func (f *fleet) kept(when string) {
	for _, th := range f.things {
		if th.ours {
			continue
		}
		if n := deaths(th.lives); n > 0 {
			f.t.Errorf("%s: %d of the processes of %s are dead", when, n, th.what)
		}
		if now := look(th.path); now != th.look {
			f.t.Errorf("%s: %s is %q, was %q", when, th.what, now, th.look)
		}
	}
}

// land lets every job end that still runs, and sees that it had come to no harm.
func (f *fleet) land() {
	for _, token := range f.moved {
		f.rename(filepath.Join(f.machines(), token), filepath.Join(f.other.dir, "machines", token))
	}
	f.leash.letGo()
	for _, h := range []*home{f.home, f.other} {
		if h == nil {
			continue
		}
		await(f.t, time.Minute, "every job that was to be kept has succeeded", func() bool {
			return !slices.ContainsFunc(h.history(), func(r record) bool {
				kept := slices.ContainsFunc(f.things, func(th thing) bool { return !th.ours && strings.HasSuffix(th.what, " of "+r.ID) })
				return kept && r.Outcome != "succeeded"
			})
		})
	}
}

// deaths counts what is closed.
func deaths(lives []<-chan struct{}) (n int) {
	for _, over := range lives {
		select {
		case <-over:
			n++
		default:
		}
	}
	return n
}

// look is what a file or a folder looks like, but for what a machine that lives writes into its own.
func look(path string) string {
	var b strings.Builder
	_ = filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
		name, _ := filepath.Rel(path, p)
		switch {
		case err != nil:
			return nil // it was there a moment ago
		case d.IsDir() && (name == "scratch" || name == "box"):
			return filepath.SkipDir
		case name == "status.json" || name == ".status.json" || name == "supervisor.log":
			return nil
		}
		text := ""
		if d.Type().IsRegular() {
			all, _ := os.ReadFile(p)
			text = string(all)
		}
		fmt.Fprintf(&b, "%s %s %q\n", name, d.Type(), text)
		return nil
	})
	return b.String()
}
