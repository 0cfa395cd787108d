package e2e_test

import (
	"cmp"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// layers is a set of those that end a machine at its deadline.
type layers uint8

const (
	agentLayer   layers = 1 << iota // the supervisor, on the host; off: stopped by SIGSTOP
	machineLayer                    // PID 1 of the sandbox; off: stopped by SIGSTOP
	passLayer                       // dayfly run that stays, or serve; off: never started, or killed by SIGKILL
	reaperLayer                     // dayfly sweep --deadlines --every 1s, or serve; off: the same
	allLayers    layers = 1<<iota - 1
)

func (l layers) has(one layers) bool { return l&one == one }

func (l layers) String() string {
	var names []string
	for i, name := range []string{"agent", "machine", "pass", "reaper"} {
		if l.has(1 << i) {
			names = append(names, name)
		}
	}
	return cmp.Or(strings.Join(names, "+"), "kernel")
}

const (
	// outlive is R4 on local machines: the longest that anything of a machine lives after its deadline.
	outlive = 5 * time.Second
	// kernelAt is when the kernel kills a supervisor, and so its machine, by a timer that the supervisor
	// has armed. Nothing outside can stop that timer. So a job that ended earlier than that was ended by a
	// layer that was on; and in the subset without any layer the timer is what is tested.
	kernelAt = 4 * time.Second
)

// faults are jobs that do not want to end.
var faults = []struct{ name, before, after string }{
	{"calm", "", "exec sleep 1000"},
	{"deaf", "trap '' TERM INT HUP QUIT", "while :; do sleep 5; done"},
	{"forked", "", "(setsid sleep 1000 &)\n(setsid bash -c 'trap \"\" TERM; (sleep 1000 &); sleep 1000' &)\nsleep 1000"},
	{"halted", "", "(setsid sleep 1000 &)\nkill -STOP $$"},
	{"storm", "f() { if [ $1 -gt 0 ]; then f $(($1-1)) & f $(($1-1)) & fi; sleep 1000; }", "f 4 &\nwhile :; do (setsid sleep 1 &); sleep 0.2; done"},
	{"babbling", "", "head -c 1000000 /dev/zero | tr '\\0' x\nsleep 1000"},
	// On the rung none, where no namespace ends with PID 1.
	{"bare", "", "(setsid sleep 1000 &)\n(setsid bash -c 'trap \"\" TERM; (sleep 1000 &); sleep 1000' &)\nsleep 1000"},
}

// TestLayersReal is R4: no machine outlives its deadline by more than 5 s while any one of the four
// layers lives, whichever it is, and whatever the job does.
func TestLayersReal(t *testing.T) {
	t.Parallel()
	f := &figures{of: map[layers]*figure{}, starts: make(chan struct{}, 3)}
	var wg sync.WaitGroup // they mostly wait: -parallel is for those that compute
	for on := range allLayers + 1 {
		wg.Go(func() {
			t.Run(on.String(), func(t *testing.T) { testLayers(t, f, on) })
		})
	}
	wg.Wait()
	t.Log(f)
}

// testLayers has one machine for each fault, all with the same layers on.
func testLayers(t *testing.T, f *figures, on layers) {
	s := &stage{on: on, figures: f}
	var wg sync.WaitGroup
	for i, fault := range faults {
		isolation := "best"
		if fault.name == "bare" {
			if isolation = "none"; on == 0 {
				continue // with no layer alive the next pass finds who has survived there
			}
		}
		where := s.scene(t, i)
		wg.Go(func() {
			t.Run(fault.name, func(t *testing.T) {
				job := func(life time.Duration, say string) string {
					script := strings.Join([]string{"#!/bin/bash", fault.before, say, fault.after}, "\n")
					return fmt.Sprintf("machine: {isolation: %s}\ntimeout: %s\ngrace: 1s\ndeadline: %s\nrun: |\n  %s\n",
						isolation, life-2*time.Second, life, strings.ReplaceAll(script, "\n", "\n  "))
				}
				for life := 6 * time.Second; !s.play(t, where, fault.name, life, job); life *= 2 {
					if life > time.Minute {
						t.Fatal("this host is too slow to switch layers off before a deadline")
					}
				}
			})
		})
	}
	wg.Wait()
	for _, h := range s.homes {
		await(t, 30*time.Second, "nothing is left", func() bool {
			h.dayfly("history")
			return len(h.leftovers(h.tokens...)) == 0 && len(h.machineDirs()) == 0
		})
	}
}

// stage is where the machines of one subset of layers live.
type stage struct {
	*figures
	on    layers
	homes []*place
}

// place is an installation and the tokens of the machines it had.
type place struct {
	*home
	mu     sync.Mutex
	tokens []string
}

// scene is where one run takes place, and who sees to it.
type scene struct {
	*place
	serve  *exec.Cmd // acts for this home
	detach bool      // the command that asks for the run does not stay
	kill   bool      // who acts is killed once the job runs
}

// scene makes or chooses the installation of the subset's run number i.
func (s *stage) scene(t *testing.T, i int) scene {
	fresh := func() *place {
		p := &place{home: newHome(t)}
		s.homes = append(s.homes, p)
		return p
	}
	first := func(n int) *place { // of the homes that several runs share
		for len(s.homes) <= n {
			fresh()
		}
		return s.homes[n]
	}
	switch {
	case s.on.has(passLayer | reaperLayer):
		if i < 2 {
			p := first(i)
			if i == 0 {
				p.start("serve")
			} else {
				p.start("sweep", "--deadlines", "--every", "1s")
			}
		}
		return scene{place: first(i % 2), detach: i%2 == 0}
	case s.on.has(passLayer):
		return scene{place: first(0)}
	case s.on.has(reaperLayer):
		if i == 0 {
			first(0).start("sweep", "--deadlines", "--every", "1s")
		}
		return scene{place: first(0), detach: i%2 == 0, kill: i%2 == 1}
	}
	if i%3 == 2 {
		p := fresh()
		return scene{place: p, serve: p.start("serve"), detach: true, kill: true}
	}
	return scene{place: first(0), detach: i%3 == 0, kill: i%3 == 1}
}

// play runs one job on a machine with this life and watches it go. It is false where the machine
// was so slow to start that its layers were not switched off long before its deadline.
func (s *stage) play(t *testing.T, at scene, name string, life time.Duration, job func(time.Duration, string) string) bool {
	h, w := at.in(t), newWitness(t)
	say := w.say() + "\necho \"deadline $DAYFLY_DEADLINE\" >&9"
	path := h.job(fmt.Sprintf("%s-%.0f", name, life.Seconds()), job(life, say))
	args := []string{"run", path}
	if at.detach {
		args = append(args, "--detach")
	}
	s.starts <- struct{}{}
	free := sync.OnceFunc(func() { <-s.starts })
	defer free()
	asked := time.Now()
	ask := h.start(args...)
	exited := make(chan struct{})
	go func() { _ = ask.Wait(); close(exited) }()
	defer func() { _ = ask.Process.Kill(); <-exited }()
	ran := within(life+10*time.Second, func() bool { return len(w.words()) == 2 || refused(exited, ask) })
	said := w.words()
	switch {
	case refused(exited, ask):
		t.Fatal("there is no run")
	case !ran:
		return false
	}
	deadline, err := time.Parse("deadline "+time.RFC3339Nano, said[1].Text)
	if from, to := asked.Add(life), said[0].At.Add(life); err != nil || deadline.Before(from) || deadline.After(to) {
		t.Fatalf("the job was told %q, %v; want between %s and %s", said[1].Text, err, from, to)
	}
	late := func() bool { return time.Now().After(deadline.Add(-life / 3)) }
	if late() {
		return false
	}
	m := h.machineOf(strings.Fields(said[0].Text)[0])
	at.mu.Lock()
	at.tokens = append(at.tokens, m.token)
	at.mu.Unlock()
	if at.detach {
		<-exited
	}
	s.switchOff(t, at, m, ask)
	free()
	if late() {
		return false
	}
	s.watch(t, m, said[0].Done, deadline)
	select {
	case <-exited:
	case <-time.After(10 * time.Second):
		t.Error("the dayfly run that stayed does not end with its run")
	}
	return true
}

// refused tells whether the command that asks for a run has ended without one.
func refused(exited <-chan struct{}, ask *exec.Cmd) bool {
	select {
	case <-exited:
		code := ask.ProcessState.ExitCode()
		return code == 1 || code == 2 || code == 9
	default:
		return false
	}
}

// switchOff stops the processes of every layer that is not on.
func (s *stage) switchOff(t *testing.T, at scene, m *held, ask *exec.Cmd) {
	if !s.on.has(agentLayer) {
		m.supervisor.stop(t)
	}
	if !s.on.has(machineLayer) {
		m.first.stop(t)
	}
	if at.kill {
		_ = ask.Process.Kill() // no error where it has detached
		if at.serve != nil {
			_ = at.serve.Process.Kill()
			_ = at.serve.Wait()
		}
	}
}

// watch sees the machine go, by what the kernel says, and notes when.
func (s *stage) watch(t *testing.T, m *held, job <-chan struct{}, deadline time.Time) {
	give := time.After(time.Until(deadline.Add(2 * outlive)))
	end := func(what string, over <-chan struct{}) time.Duration {
		select {
		case <-over:
			return time.Since(deadline)
		case <-give:
			t.Fatalf("%s after the deadline %s still lives", 2*outlive, what)
			return 0
		}
	}
	ended := end("a process of the job", job)
	gone := max(ended, end("PID 1", m.first.dead), end("the supervisor", m.supervisor.dead))
	limit := kernelAt
	if s.on == 0 {
		limit = outlive
	}
	switch {
	case ended >= limit:
		t.Errorf("the job ended %s after its deadline; want less than %s", ended, limit)
	case gone >= outlive:
		t.Errorf("the machine was gone %s after its deadline; want less than %s", gone, outlive)
	case ended < 0 && !s.on.has(agentLayer): // it alone begins before the deadline
		t.Errorf("the job ended %s before its deadline, and no layer that is on did that", -ended)
	}
	s.note(s.on, ended, gone)
}

// figures are what was measured, and what bounds how many machines start at once.
type figures struct {
	starts chan struct{}
	mu     sync.Mutex
	of     map[layers]*figure
}

type figure struct {
	runs        int
	ended, gone time.Duration // the latest after the deadline: of a job, of a whole machine
}

func (f *figures) note(on layers, ended, gone time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of[on] == nil {
		f.of[on] = &figure{ended: ended, gone: gone}
	}
	g := f.of[on]
	g.runs, g.ended, g.gone = g.runs+1, max(g.ended, ended), max(g.gone, gone)
}

func (f *figures) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-28s %4s  %s\n", "layers on", "runs", "latest after the deadline: job ended, machine gone")
	for on := range allLayers + 1 {
		if g := f.of[on]; g != nil {
			fmt.Fprintf(&b, "%-28s %4d  %7.2f s %7.2f s\n", on, g.runs, g.ended.Seconds(), g.gone.Seconds())
		}
	}
	return b.String()
}
