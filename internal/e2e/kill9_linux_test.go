package e2e_test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/e2e/ptrace"
)

var (
	kill9Count = flag.Int("e2e.kill9", 200, "at how many spots TestKill9Real kills; 0: at all of them")
	kill9Only  = flag.String("e2e.kill9.only", "", "kill only at spots whose name matches this `REGEXP`: SCENE/ROLE/CALL/N/before or after")
)

// spot is one system call of a scene: the nth of its sort that the process in a role makes.
type spot struct {
	scene, role, sort string
	n                 int
	after             bool // the kernel has done it
}

func (p spot) String() string {
	side := "before"
	if p.after {
		side = "after"
	}
	return fmt.Sprintf("%s/%s/%s/%d/%s", p.scene, p.role, p.sort, p.n, side)
}

func compare(a, b spot) int {
	return cmp.Or(cmp.Compare(a.scene, b.scene), cmp.Compare(a.role, b.role), cmp.Compare(a.sort, b.sort), cmp.Compare(a.n, b.n), cmp.Compare(a.String(), b.String()))
}

// TestKill9Real is R7 at exact system calls: a process is killed at the nth call of a sort that it makes in
// one run, on either side of the call, and a daemon that nobody harms goes on with what is left. The run has
// one record with a right outcome, its job was started at most once, a success has every byte, and nothing stays.
func TestKill9Real(t *testing.T) {
	t.Parallel()
	seed := *realSeed
	for seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed: -e2e.seed=%d", seed)
	s := newTheatre(t)
	begun := time.Now()
	spots, heard := s.spots()
	all := len(spots)
	only := regexp.MustCompile(*kill9Only)
	spots = slices.DeleteFunc(spots, func(p spot) bool { return !only.MatchString(p.String()) })
	if *kill9Count > 0 {
		spots = sample(spots, *kill9Count, rand.New(rand.NewPCG(seed, 9)))
	}
	var mu sync.Mutex
	var passed atomic.Int64 // spots that this run did not come to
	kills, outcomes := map[string]int{}, map[string]int{}
	s.each(len(spots), func(i int) {
		at := spots[i]
		var seen int
		trial := s.play(at.scene, fmt.Sprint(i), func(role string, c *ptrace.Call) ptrace.Verdict {
			if role != at.role || sortOf(c) != at.sort {
				return ptrace.Pass()
			}
			if seen++; seen != at.n {
				return ptrace.Pass()
			}
			if at.after {
				return ptrace.KillAfter()
			}
			return ptrace.KillBefore()
		})
		trial.checkOutcome(at.role, seen >= at.n)
		if len(trial.problems) > 0 {
			t.Errorf("kill -9 at -e2e.kill9.only='^%s$': %s", at, trial)
		}
		if seen < at.n {
			passed.Add(1)
		}
		mu.Lock()
		defer mu.Unlock()
		heard += len(trial.words())
		kills[at.role]++
		for _, r := range trial.runs {
			outcomes[r.Outcome]++
		}
	})
	if said := len(s.w.words()); said != heard {
		t.Errorf("jobs said %d words, and only %d were those of a run on record", said, heard)
	}
	t.Logf("R7: %d of %d spots, %d of them not come to again; %s", len(spots), all, passed.Load(), counts(kills))
	t.Logf("R7: the runs %s; in %s", counts(outcomes), time.Since(begun).Round(time.Second))
}

// each does something n times, a few at a time.
func (s *theatre) each(n int, do func(i int)) {
	const atOnce = 4 // more than there are processors: much of it is waiting for the disk
	var wg sync.WaitGroup
	var next atomic.Int64
	for range atOnce {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}

// spots plays each scene undisturbed, and names every spot there is.
func (s *theatre) spots() (all []spot, heard int) {
	s.t.Helper()
	counted := make([]map[spot]int, len(scenes))
	s.each(len(scenes), func(i int) {
		counted[i] = map[spot]int{}
		p := s.play(scenes[i], "count-"+scenes[i], func(role string, c *ptrace.Call) ptrace.Verdict {
			if sort := sortOf(c); sort != "" {
				counted[i][spot{scene: scenes[i], role: role, sort: sort}]++
			}
			return ptrace.Pass()
		})
		p.checkOutcome("", false)
		if len(p.problems) > 0 {
			s.t.Errorf("undisturbed: %s", p)
		}
	})
	for _, counts := range counted {
		for p, n := range counts {
			for p.n = 1; p.n <= n; p.n++ {
				before, after := p, p
				after.after = true
				all = append(all, before, after)
			}
		}
	}
	slices.SortFunc(all, compare)
	return all, len(s.w.words())
}

// sample draws so many spots that every sort of call in every role has its share.
func sample(all []spot, n int, rng *rand.Rand) (out []spot) {
	groups := map[spot][]spot{}
	for _, p := range all {
		kind := spot{scene: p.scene, role: p.role, sort: p.sort}
		groups[kind] = append(groups[kind], p)
	}
	kinds := slices.SortedFunc(maps.Keys(groups), compare)
	for _, k := range kinds {
		rng.Shuffle(len(groups[k]), func(i, j int) { groups[k][i], groups[k][j] = groups[k][j], groups[k][i] })
	}
	for len(out) < n && len(kinds) > 0 {
		rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
		kinds = slices.DeleteFunc(kinds, func(k spot) bool {
			if len(out) < n && len(groups[k]) > 0 {
				out, groups[k] = append(out, groups[k][0]), groups[k][1:]
			}
			return len(groups[k]) == 0
		})
	}
	return out
}

// checkOutcome: only who has the run in hand can make it end otherwise than well.
func (p *trial) checkOutcome(role string, struck bool) {
	right := []string{"succeeded"}
	if struck {
		switch strings.TrimSuffix(role, "'s child") {
		case atSupervisor, atInit, "helper":
			right = append(right, "lost", "failed")
		}
	}
	for _, r := range p.runs {
		if !slices.Contains(right, r.Outcome) {
			p.wrong("the run ended %s: %s", r.Outcome, r.Reason)
		}
	}
}
