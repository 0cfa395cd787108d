package e2e_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/e2e/ptrace"
)

// spot is one system call of a scene, the nth of its sort that the processes in a role make, and what is
// done to it.
type spot struct {
	scene, role, sort string
	n                 int
	deed              string
}

func (p spot) String() string {
	return fmt.Sprintf("%s/%s/%s/%d/%s", p.scene, p.role, p.sort, p.n, p.deed)
}

func compareSpots(a, b spot) int {
	return cmp.Or(cmp.Compare(a.scene, b.scene), cmp.Compare(a.role, b.role), cmp.Compare(a.sort, b.sort), cmp.Compare(a.n, b.n), cmp.Compare(a.deed, b.deed))
}

// campaign plays the scenes again and again, and each time does something at another spot.
type campaign struct {
	promise, flag string
	count         int                                   // spots to draw; 0: all
	only          string                                // a regular expression for their names
	sort          func(p *trial, c *ptrace.Call) string // "": not to be harmed
	deeds         func(sort string) []string
	// strike gives who is asked about each call of a trial: whether the spot has come is the campaign's to see.
	strike func(p *trial, at spot) func(here bool, c *ptrace.Call) ptrace.Verdict
	judge  func(p *trial, at spot, struck bool)
}

// run plays it all.
func (g campaign) run(t *testing.T) {
	t.Helper()
	seed := *realSeed
	for seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed: -e2e.seed=%d", seed)
	s := newTheatre(t)
	begun := time.Now()
	spots := g.spots(s)
	heard, all, only := len(s.w.words()), len(spots), regexp.MustCompile(g.only)
	spots = slices.DeleteFunc(spots, func(p spot) bool { return !only.MatchString(p.String()) })
	if g.count > 0 {
		spots = sample(spots, g.count, rand.New(rand.NewPCG(seed, 9)))
	}
	var mu sync.Mutex
	passed, roles, deeds, outcomes := 0, map[string]int{}, map[string]int{}, map[string]int{}
	s.each(len(spots), func(i int) {
		at := spots[i]
		p, seen := g.play(s, fmt.Sprint(i), at)
		g.judge(p, at, seen >= at.n)
		if len(p.problems) > 0 {
			t.Errorf("at %s='^%s$': %s", g.flag, at, p)
		}
		mu.Lock()
		defer mu.Unlock()
		if seen < at.n {
			passed++
		}
		heard += len(p.words())
		roles[at.role]++
		deeds[at.deed]++
		for _, r := range p.runs {
			outcomes[r.Outcome]++
		}
	})
	if said := len(s.w.words()); said != heard {
		t.Errorf("jobs said %d words, and only %d were those of a run on record", said, heard)
	}
	t.Logf("%s: %d of %d spots, %d of them not come to again; %s; %s", g.promise, len(spots), all, passed, counts(deeds), counts(roles))
	t.Logf("%s: the runs %s; in %s", g.promise, counts(outcomes), time.Since(begun).Round(time.Second))
}

// play plays the scene of a spot, and tells how many calls of its sort there were.
func (g campaign) play(s *theatre, name string, at spot) (p *trial, seen int) {
	var strike func(bool, *ptrace.Call) ptrace.Verdict
	p = s.play(at.scene, name, func(p *trial, role string, c *ptrace.Call) ptrace.Verdict {
		sort := g.sort(p, c)
		if sort == "" {
			return ptrace.Pass()
		}
		here := role == at.role && sort == at.sort
		if here {
			seen++
		}
		if strike == nil {
			strike = g.strike(p, at)
		}
		return strike(here && seen == at.n, c)
	})
	return p, seen
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
func (g campaign) spots(s *theatre) (all []spot) {
	s.t.Helper()
	counted := make([]map[spot]int, len(scenes))
	s.each(len(scenes), func(i int) {
		counted[i] = map[spot]int{}
		p := s.play(scenes[i], "count-"+scenes[i], func(p *trial, role string, c *ptrace.Call) ptrace.Verdict {
			if sort := g.sort(p, c); sort != "" {
				counted[i][spot{scene: scenes[i], role: role, sort: sort}]++
			}
			return ptrace.Pass()
		})
		g.judge(p, spot{}, false)
		if len(p.problems) > 0 {
			s.t.Errorf("undisturbed: %s", p)
		}
	})
	for _, counts := range counted {
		for p, n := range counts {
			for _, p.deed = range g.deeds(p.sort) {
				for p.n = 1; p.n <= n; p.n++ {
					all = append(all, p)
				}
			}
		}
	}
	slices.SortFunc(all, compareSpots)
	return all
}

// sample draws so many spots that every sort of call in every role has its share.
func sample(all []spot, n int, rng *rand.Rand) (out []spot) {
	groups := map[spot][]spot{}
	for _, p := range all {
		kind := spot{scene: p.scene, role: p.role, sort: p.sort}
		groups[kind] = append(groups[kind], p)
	}
	kinds := slices.SortedFunc(maps.Keys(groups), compareSpots)
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
