package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
)

var t0 = time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)

func sec(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }

// finished is a run that ended well; each of its phases has a length of its own.
func finished() dayfly.Run {
	zero := 0
	return dayfly.Run{
		ID: "a-20261122T230000Z", Job: "a", State: dayfly.Ended, Outcome: dayfly.Succeeded, CreatedAt: sec(0), EndedAt: sec(60),
		Attempts: []dayfly.Attempt{{
			Number: 1, Machine: "local/x", Isolation: dayfly.IsolationFull, LaunchedAt: sec(1), StartedAt: sec(7), FinishedAt: sec(22), GoneAt: sec(59), ExitCode: &zero,
			Report: &dayfly.Report{PreparedAt: sec(3), StartedAt: sec(7), FinishedAt: sec(22), SavedAt: sec(53)},
		}},
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	r := finished()
	got := times(r, r.Attempts[0])
	want := [milestones]time.Duration{requested: 1, launched: 2, prepared: 4, ran: 15, saved: 31, gone: 6}
	for m, s := range want {
		if got[milestone(m)] != s*time.Second {
			t.Errorf("%s took %s, want %ds", doing[m], got[milestone(m)], s)
		}
	}
}

// A run that nobody collected for hours took as long as its job.
func TestOver(t *testing.T) {
	t.Parallel()
	late, unknown, refused := finished(), finished(), finished()
	late.EndedAt, late.Attempts[0].GoneAt = sec(9000), sec(9000)
	unknown.Attempts[0].FinishedAt = time.Time{}
	refused.Attempts = append(refused.Attempts, dayfly.Attempt{Number: 2, Outcome: dayfly.Refused})
	for name, c := range map[string]struct {
		run  dayfly.Run
		want time.Time
	}{"collected late": {late, sec(22)}, "its end is not known": {unknown, sec(60)}, "refused another machine": {refused, sec(22)}} {
		if got := over(c.run); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestWayOf(t *testing.T) {
	t.Parallel()
	show := func(way [milestones]bool) string {
		var words []string
		for m, ok := range way {
			if ok {
				words = append(words, reached[m])
			}
		}
		return strings.Join(words, ", ")
	}
	running := func(phase string) (dayfly.Run, *dayfly.Machine) {
		return dayfly.Run{State: dayfly.Running, Attempts: []dayfly.Attempt{{Number: 1}}}, &dayfly.Machine{Phase: phase}
	}
	refused := finished()
	refused.Attempts = []dayfly.Attempt{{Number: 1, Machine: "local/x", Outcome: dayfly.Refused, GoneAt: sec(1)}}
	between := finished()
	between.State, between.Outcome = dayfly.Due, ""
	for _, c := range []struct {
		name string
		run  dayfly.Run
		m    *dayfly.Machine
		want string
	}{
		{"due", dayfly.Run{State: dayfly.Due}, nil, "request recorded"},
		{"launching", dayfly.Run{State: dayfly.Launching, Attempts: []dayfly.Attempt{{Machine: "local/x"}}}, nil, "request recorded"},
		{"refused", refused, nil, "request recorded"},
		{"between attempts", between, nil, "request recorded, machine launched, prepared, ran, saved, machine gone"},
		{"ended", finished(), nil, "request recorded, machine launched, prepared, ran, saved, machine gone"},
	} {
		if got := show(wayOf(c.run, c.m)); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
	for phase, want := range map[string]string{
		"": "request recorded, machine launched", "prepare": "request recorded, machine launched",
		"run": "request recorded, machine launched, prepared", "save": "request recorded, machine launched, prepared, ran",
		"done": "request recorded, machine launched, prepared, ran, saved",
	} {
		if got := show(wayOf(running(phase))); got != want {
			t.Errorf("phase %q: %s", phase, got)
		}
	}
}

func TestChecklist(t *testing.T) {
	t.Parallel()
	now := sec(0)
	setup := func(tty bool) (*checklist, *bytes.Buffer) {
		var b bytes.Buffer
		return &checklist{w: &b, tty: tty, marks: marks{done: "*", doing: "-"}, now: func() time.Time { return now }, since: now,
			usual: map[milestone]time.Duration{ran: 41 * time.Second}}, &b
	}
	due := dayfly.Run{ID: "a-1", State: dayfly.Due, CreatedAt: sec(0)}
	t.Run("off a terminal each change is a line", func(t *testing.T) {
		t.Parallel()
		c, b := setup(false)
		c.update(due, nil)
		c.update(due, nil)
		waits := due
		waits.Reason = "b-1 is active"
		c.update(waits, nil)
		c.update(waits, nil)
		c.update(finished(), nil)
		want := "request recorded: a-1\nwaiting: b-1 is active\nmachine launched: local/x, isolation full\npreparing\nrunning\nsaving\nmachine gone\n"
		if b.String() != want {
			t.Errorf("%s", b)
		}
	})
	t.Run("another attempt begins anew", func(t *testing.T) {
		t.Parallel()
		c, b := setup(false)
		r := finished()
		r.State = dayfly.Due
		r.Reason = "attempt 1 lost; 2 of 3 follows"
		c.update(r, nil)
		r.State, r.Reason = dayfly.Running, ""
		r.Attempts = append(r.Attempts, dayfly.Attempt{Number: 2, Machine: "local/y"})
		c.update(r, &dayfly.Machine{Phase: "run"})
		want := "request recorded: a-20261122T230000Z\nmachine launched: local/x, isolation full\npreparing\nrunning\nsaving\nmachine gone\nwaiting: attempt 1 lost; 2 of 3 follows\nattempt 2 of run a-20261122T230000Z\nmachine launched: local/y\npreparing\nrunning\n"
		if b.String() != want {
			t.Errorf("%s", b)
		}
	})
	t.Run("on a terminal the last line is live", func(t *testing.T) {
		t.Parallel()
		c, b := setup(true)
		r := dayfly.Run{ID: "a-1", State: dayfly.Running, Attempts: []dayfly.Attempt{{Number: 1, Machine: "local/x", StartedAt: sec(1)}}}
		c.update(r, nil)
		if !strings.HasSuffix(b.String(), "\r\x1b[K- running              0.0 s  (usually 41 s)") {
			t.Errorf("%q", b)
		}
		b.Reset()
		line := &lineEnd{w: b, before: c.clear}
		c.midLine = line
		line.Write([]byte("half a"))
		c.update(r, nil)
		if b.String() != "\r\x1b[Khalf a" {
			t.Errorf("a status in the middle of a line: %q", b)
		}
		b.Reset()
		line.Write([]byte(" line\n"))
		c.update(r, nil)
		if b.String() != " line\n\r\x1b[K- running              0.0 s  (usually 41 s)" {
			t.Errorf("%q", b)
		}
		b.Reset()
		line.Write([]byte("no end"))
		c.update(finished(), nil)
		if !strings.HasPrefix(b.String(), "\r\x1b[Kno end\n* ran") || !strings.HasSuffix(b.String(), "* machine gone         6.0 s\n") {
			t.Errorf("%q", b)
		}
	})
	t.Run("words of others cannot drive the terminal", func(t *testing.T) {
		t.Parallel()
		c, b := setup(true)
		evil := due
		evil.Reason = "\x1b[2J\rsucceeded"
		c.update(evil, nil)
		if strings.Contains(strings.ReplaceAll(b.String(), "\r\x1b[K", ""), "\x1b") {
			t.Errorf("%q", b)
		}
	})
}
