package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/durable"
)

// Trial is what came of trying one way to a rung.
type Trial struct {
	Isolation dayfly.Isolation
	Way       string // in words
	Err       error  // why it cannot be had; nil: it can
	Hint      string // what would make it possible
}

// TryRungs makes a sandbox that does nothing in each way that this user may take, whatever worked before. The
// highest rungs come first; the rung none needs no trial.
func (p *Provider) TryRungs(ctx context.Context) []Trial {
	p.rungs.mu.Lock()
	defer p.rungs.mu.Unlock()
	ways := []way{wayRoot, wayUser}
	if os.Geteuid() != 0 {
		ways = []way{waySubuid, wayUser}
	}
	known := p.rungs.recall()
	clear(known.Works)
	made := durable.MkdirAll(p.cfg.Dir, 0o700, nil)
	var all []Trial
	for _, w := range ways {
		t := Trial{Isolation: w.rung(), Way: w.describe(), Err: made}
		if made == nil {
			t.Err = p.rungs.try(ctx, w, known)
		}
		if t.Err != nil {
			t.Hint = hintFor(t.Err)
		}
		all = append(all, t)
	}
	return all
}

// Limit is what came of trying to limit one thing.
type Limit struct {
	What    string // pids, memory, cpu
	Version int    // of the cgroups that do it
	Err     error  // why it cannot be had; nil: it can
}

// TryLimits makes cgroups as a sandbox has them, sets their limits, and removes them.
func TryLimits(ctx context.Context) []Limit {
	l := limits{pids: dayfly.DefaultPids, memory: 64 << 20, cpu: 0.5}
	planned := planCgroups("doctor-"+strings.ToLower(rand.Text()), l.wanted())
	var all []Limit
	for _, k := range l.wanted() {
		one := Limit{What: string(k), Err: errors.New("there is no cgroup with its controller that this process may divide")}
		for _, c := range planned {
			if !slices.Contains(c.controllers, k) {
				continue
			}
			if one.Version, one.Err = 1, nil; c.v2 {
				one.Version = 2
			}
			c.controllers = []controller{k}
			missed, err := c.make(l)
			if len(missed) > 0 && err == nil {
				err = fmt.Errorf("cgroup %s does not take the limit", c.dir)
			}
			one.Err = errors.Join(err, removeCgroup(ctx, c.dir))
		}
		all = append(all, one)
	}
	return all
}
