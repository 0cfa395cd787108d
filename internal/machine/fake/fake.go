// Package fake is a place machines come from that exists in memory only, for tests: its machines live
// by a clock that the test moves, and it injects the faults that real providers have: lost replies,
// late and partial lists, no capacity, refusals, machines that never end by themselves.
package fake

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
)

// Life is what a machine does when nobody interferes, counted from its launch.
type Life struct {
	Boot     time.Duration // until the job's first instruction
	Run      time.Duration // the job, from there to the machine's own end
	Immortal bool          // neither the agent nor the machine's own timer ends it
	Reason   string        // why it ended, in the provider's words
}

// Config says how the fake behaves. Now is required.
type Config struct {
	Name     string // of the provider; "fake"
	Location string // "here"
	Now      func() time.Time
	Live     func(machine.Spec) Life       // nil: machines run until they are ended
	OnEnd    func(machine.Spec, time.Time) // called once when a machine ended by itself, before it shows as terminated
	// Lag is how long after its launch a machine is missing from lists, and unknown to Terminate.
	Lag func(machine.Spec) time.Duration
	// Keeps is how long lists show a machine that is terminated; 0: until it is forgotten.
	Keeps time.Duration
	// Fault is asked before and after each call: launch, list, terminate. An error before it means
	// that nothing happened, one after it that the reply was lost.
	Fault func(op string, after bool) error
	// Partial tells whether this list breaks off: it shows every other machine only, and is not complete.
	Partial func() bool
}

// Provider is the fake. Use New.
type Provider struct {
	c Config

	mu       sync.Mutex
	machines map[string]*made     // by native id, which is the token of those that Launch made
	used     map[string]time.Time // tokens of forgotten machines, and their deadlines: from then on nobody launches under them
	launched int
}

type made struct {
	spec   machine.Spec
	m      dayfly.Machine
	life   Life
	ends   time.Time // by itself; zero: never
	closed bool      // ended before it was made
	endAt  time.Time
}

// New makes a provider without machines.
func New(c Config) *Provider {
	c.Name, c.Location = cmp.Or(c.Name, "fake"), cmp.Or(c.Location, "here")
	return &Provider{c: c, machines: map[string]*made{}, used: map[string]time.Time{}}
}

func (p *Provider) fault(op string, after bool) error {
	if p.c.Fault == nil {
		return nil
	}
	return p.c.Fault(op, after)
}

// MachineID is location/token.
func (p *Provider) MachineID(s machine.Spec) dayfly.MachineID {
	return dayfly.MachineID(p.c.Location + "/" + s.Token)
}

// Launch makes a machine, once for a token.
func (p *Provider) Launch(ctx context.Context, s machine.Spec) (dayfly.Machine, error) {
	if err := cmp.Or(ctx.Err(), p.fault("launch", false)); err != nil {
		return dayfly.Machine{}, err
	}
	if !s.Tags.Deadline.IsZero() && !p.c.Now().Before(s.Tags.Deadline) {
		return dayfly.Machine{}, fmt.Errorf("launch under token %s: its deadline has passed: %w", s.Token, machine.ErrGone)
	}
	p.mu.Lock()
	d, ok := p.machines[s.Token]
	if _, used := p.used[s.Token]; used {
		d, ok = &made{closed: true}, true
	}
	if !ok {
		now := p.c.Now()
		d = &made{spec: s, m: dayfly.Machine{
			ID: p.MachineID(s), Provider: p.c.Name, State: dayfly.MachineRunning, Tags: s.Tags, LaunchedAt: now,
		}}
		if p.c.Live != nil {
			d.life = p.c.Live(s)
			d.ends = now.Add(d.life.Boot + d.life.Run)
		}
		if p.c.Live == nil || d.life.Immortal {
			d.ends = time.Time{}
		}
		p.machines[s.Token] = d
		p.launched++
	}
	m, closed := d.m, d.closed
	p.mu.Unlock()
	if err := p.fault("launch", true); err != nil {
		return dayfly.Machine{}, err
	}
	if closed {
		return dayfly.Machine{}, fmt.Errorf("launch under token %s: %w", s.Token, machine.ErrGone)
	}
	return m, nil
}

// List shows the machines as the clock has them now, within the faults.
func (p *Provider) List(ctx context.Context) (machine.Listing, error) {
	if err := cmp.Or(ctx.Err(), p.fault("list", false)); err != nil {
		return machine.Listing{}, err
	}
	p.Settle()
	l := p.list()
	if p.c.Partial != nil && p.c.Partial() {
		l.Complete = nil
		for i := range len(l.Machines) / 2 {
			l.Machines[i] = l.Machines[2*i+1]
		}
		l.Machines = l.Machines[:len(l.Machines)/2]
	}
	return l, p.fault("list", true)
}

func (p *Provider) list() machine.Listing {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.c.Now()
	out := machine.Listing{Complete: []machine.Location{machine.Location(p.c.Location)}}
	for _, d := range p.machines {
		if p.lags(d, now) {
			continue
		}
		m := d.m
		if p.c.Live != nil && !m.LaunchedAt.IsZero() && !now.Before(m.LaunchedAt.Add(d.life.Boot)) {
			m.StartedAt = m.LaunchedAt.Add(d.life.Boot)
			m.Phase = "run"
		}
		out.Machines = append(out.Machines, m)
	}
	slices.SortFunc(out.Machines, func(a, b dayfly.Machine) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// lags tells whether it is not known everywhere yet that there is this machine.
func (p *Provider) lags(d *made, now time.Time) bool {
	return p.c.Lag != nil && !d.closed && now.Before(d.m.LaunchedAt.Add(p.c.Lag(d.spec)))
}

// Terminate ends a machine at once, or keeps it from ever being made.
func (p *Provider) Terminate(ctx context.Context, id dayfly.MachineID) error {
	if err := cmp.Or(ctx.Err(), p.fault("terminate", false)); err != nil {
		return err
	}
	p.mu.Lock()
	native := p.native(id)
	if d, ok := p.machines[native]; ok {
		if now := p.c.Now(); !p.lags(d, now) {
			d.end(now)
		}
	} else if machine.LocationOf(id) == machine.Location(p.c.Location) {
		p.machines[native] = &made{closed: true, m: dayfly.Machine{
			ID: id, Provider: p.c.Name, State: dayfly.MachineTerminated, Tags: dayfly.Tags{Token: native},
		}}
	}
	p.mu.Unlock()
	return p.fault("terminate", true)
}

func (p *Provider) native(id dayfly.MachineID) string {
	return string(id[min(len(id), len(p.c.Location)+1):])
}

func (d *made) end(at time.Time) {
	if d.m.State != dayfly.MachineTerminated {
		d.m.State, d.m.Phase, d.endAt = dayfly.MachineTerminated, "", at
	}
}

// Forget drops a machine that is terminated. That its token is used up stays known, up to its deadline.
func (p *Provider) Forget(ctx context.Context, id dayfly.MachineID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	native := p.native(id)
	if d, ok := p.machines[native]; ok {
		if d.m.State != dayfly.MachineTerminated {
			return fmt.Errorf("forget machine %s: it is %s", id, d.m.State)
		}
		delete(p.machines, native)
		p.used[native] = d.m.Tags.Deadline
	}
	return ctx.Err()
}

// Settle ends the machines whose own end has come, as OnEnd wants to know, and drops those that were kept
// long enough.
func (p *Provider) Settle() {
	p.mu.Lock()
	var over []*made
	now := p.c.Now()
	for _, d := range p.machines {
		if d.m.State == dayfly.MachineRunning && !d.ends.IsZero() && !now.Before(d.ends) {
			over = append(over, d)
		}
	}
	slices.SortFunc(over, func(a, b *made) int {
		return cmp.Or(a.ends.Compare(b.ends), cmp.Compare(a.spec.Token, b.spec.Token))
	})
	for _, d := range over {
		if p.c.OnEnd != nil {
			p.c.OnEnd(d.spec, d.ends)
		}
		d.m.Reason = d.life.Reason
		d.end(d.ends)
	}
	for token, d := range p.machines {
		if p.c.Keeps > 0 && !d.endAt.IsZero() && !now.Before(d.endAt.Add(p.c.Keeps)) {
			delete(p.machines, token)
			p.used[token] = d.m.Tags.Deadline
		}
	}
	maps.DeleteFunc(p.used, func(_ string, deadline time.Time) bool { return !deadline.IsZero() && !now.Before(deadline) })
	p.mu.Unlock()
}

// Plant puts a machine there that no Launch made: another installation's, a half-tagged one, an old one.
func (p *Provider) Plant(m dayfly.Machine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.Provider = p.c.Name
	p.machines[p.native(m.ID)] = &made{m: m, spec: machine.Spec{Token: p.native(m.ID), Tags: m.Tags}}
}

// Kill makes a machine vanish from one moment to the next, as hardware does.
func (p *Provider) Kill(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d, ok := p.machines[token]; ok {
		d.end(p.c.Now())
	}
}

// Alive gives the machines that are not terminated, whatever lists would show.
func (p *Provider) Alive() []dayfly.Machine {
	p.Settle()
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []dayfly.Machine
	for _, d := range p.machines {
		if d.m.State != dayfly.MachineTerminated {
			out = append(out, d.m)
		}
	}
	slices.SortFunc(out, func(a, b dayfly.Machine) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// NextEnd is when the next machine ends by itself; zero when none will.
func (p *Provider) NextEnd() (next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.machines {
		if d.m.State == dayfly.MachineRunning && !d.ends.IsZero() && (next.IsZero() || d.ends.Before(next)) {
			next = d.ends
		}
	}
	return next
}

// Launched is how many machines were ever made.
func (p *Provider) Launched() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.launched
}
