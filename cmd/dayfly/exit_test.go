package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for o, want := range map[dayfly.Outcome]int{
		dayfly.Succeeded: 0, dayfly.Failed: 5, dayfly.TimedOut: 6, dayfly.Canceled: 7, dayfly.Refused: 9,
		dayfly.Lost: 11, dayfly.Missed: 12, dayfly.Skipped: 12, "": 1,
	} {
		if got := outcomeCode(o); got != want {
			t.Errorf("outcome %q: %d, want %d", o, got, want)
		}
	}
	for err, want := range map[error]int{
		nil:                                      0,
		errors.New("anything"):                   1,
		context.Canceled:                         130,
		&exit{code: 37}:                          37,
		&dayfly.Error{Code: dayfly.CodeInvalid}:  2,
		&dayfly.Error{Code: dayfly.CodeNotFound}: 8,
		&dayfly.Error{Code: dayfly.CodeRefused}:  9,
		&dayfly.Error{Code: dayfly.CodeConflict}: 1,
		&dayfly.Error{Code: dayfly.CodeBusy}:     1,
	} {
		if got := exitCode(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
	for _, line := range []string{"    0  done", "    2  wrong usage", "   10  a machine", "  130  Ctrl-C"} {
		if !strings.Contains(exitCodes(), line) {
			t.Errorf("help does not show %q", line)
		}
	}
}

func TestRunExitCode(t *testing.T) {
	t.Parallel()
	run := func(o dayfly.Outcome, job *int, late bool) dayfly.Run {
		a := dayfly.Attempt{Deadline: t0, GoneAt: t0.Add(overdue), ExitCode: job}
		if late {
			a.GoneAt = t0.Add(overdue + time.Second)
		}
		return dayfly.Run{State: dayfly.Ended, Outcome: o, Attempts: []dayfly.Attempt{a}}
	}
	again := func(r dayfly.Run) dayfly.Run {
		r.Attempts = append(r.Attempts, run(r.Outcome, nil, false).Attempts...)
		return r
	}
	refused := run(dayfly.Refused, nil, true)
	refused.Attempts[0].Outcome = dayfly.Refused
	seven, zero := 7, 0
	for _, c := range []struct {
		name string
		run  dayfly.Run
		by   string
		want int
	}{
		{"failed, by outcome", run(dayfly.Failed, &seven, false), "outcome", 5},
		{"failed, by job", run(dayfly.Failed, &seven, false), "job", 7},
		{"succeeded, by job", run(dayfly.Succeeded, &zero, false), "job", 0},
		{"timed out with 0, by job", run(dayfly.TimedOut, &zero, false), "job", 6},
		{"failed without a code, by job", run(dayfly.Failed, nil, false), "job", 5},
		{"succeeded, and its machine was gone too late", run(dayfly.Succeeded, &zero, true), "outcome", 10},
		{"failed, and its machine was gone too late, by job", run(dayfly.Failed, &seven, true), "job", 10},
		{"succeeded, and the machine of an attempt before was gone too late", again(run(dayfly.Succeeded, &zero, true)), "outcome", 10},
		{"refused late, without a machine", refused, "outcome", 9},
		{"never launched", dayfly.Run{State: dayfly.Ended, Outcome: dayfly.Missed}, "job", 12},
	} {
		f := attachFlags{exitCode: c.by}
		if got := exitCode(f.exit(c.run)); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestNotGoneInTime(t *testing.T) {
	t.Parallel()
	run := dayfly.Run{ID: "a-1", State: dayfly.Stopping, Attempts: []dayfly.Attempt{{Machine: "local/x", Deadline: t0}}}
	at := func(now time.Time) *watch { return &watch{a: &app{now: func() time.Time { return now }}} }
	if err := at(t0.Add(overdue - time.Second)).notGone(run); err != nil {
		t.Errorf("before deadline + 5 min: %v", err)
	}
	err := at(t0.Add(overdue)).notGone(run)
	if exitCode(err) != 10 || !strings.Contains(err.Error(), "local/x of run a-1 could not be observed gone") {
		t.Errorf("at deadline + 5 min: %v", err)
	}
	run.Attempts[0].GoneAt = t0
	if err := at(t0.Add(overdue)).notGone(run); err != nil {
		t.Errorf("a machine that was observed gone: %v", err)
	}
}

// cancel tells of a machine that was gone too late as run does, also of an attempt before.
func TestCancelOfARunWhoseMachineWasGoneLate(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	h := c.home()
	job := dayfly.Job{Name: "a"}
	if err := h.store.PutVersion(c.ctx, job); err != nil {
		t.Fatal(err)
	}
	r := finished()
	r.State, r.Outcome, r.Version, r.Slot, r.Trigger = dayfly.Due, "", job.Version(), t0, dayfly.TriggerManual
	r.NotBefore, r.EndedAt = time.Now().Add(time.Hour), time.Time{}
	at := &r.Attempts[0]
	at.Provider, at.Outcome, at.Deadline = "local", dayfly.Lost, t0
	at.Request = &dayfly.Spec{Task: dayfly.Task{Script: "exit 0"}}
	at.GoneAt = t0.Add(overdue + time.Second)
	if _, err := h.store.InsertRuns(c.ctx, []dayfly.Run{r}); err != nil {
		t.Fatal(err)
	}
	_, stderr := c.want(exitNotGone, "cancel", string(r.ID))
	if !strings.Contains(stderr, "error: machine local/x of run "+string(r.ID)+" could not be observed gone by ") {
		t.Error(stderr)
	}
}

func TestErrorsEndInAHint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{&dayfly.Error{Message: "this", Hint: "that"}, "error: this\nhint: that\n"},
		{errors.Join(errors.New("one"), errors.New("two")), "error: one\nhint: dayfly doctor looks whether anything is wrong with this place\nerror: two\nhint: dayfly doctor looks whether anything is wrong with this place\n"},
		{fmt.Errorf("store a run: %w", syscall.ENOSPC), "error: store a run: no space left on device\nhint: make room on that disk and try again; what dayfly acknowledged before is safe\n"},
		{&fs.PathError{Op: "kill", Path: "/x", Err: syscall.EACCES}, "error: kill /x: permission denied\nhint: dayfly doctor looks whether anything is wrong with this place\n"},
		{misplaced(&fs.PathError{Op: "mkdir", Path: "/x", Err: syscall.EACCES}, "else"), "error: mkdir /x: permission denied\nhint: be the user whose directory it is, or name another with --data DIR or DAYFLY_DATA\n"},
		{misplaced(&fs.PathError{Op: "open", Path: "/x", Err: syscall.EROFS}, "else"), "error: open /x: read-only file system\nhint: make that file system writable, or name another directory with --data DIR or DAYFLY_DATA; history, ps, logs and results show what is there all the same\n"},
		{misplaced(&fs.PathError{Op: "mkdir", Path: "/x", Err: syscall.ENOSPC}, "else"), "error: mkdir /x: no space left on device\nhint: make room on that disk and try again; what dayfly acknowledged before is safe\n"},
		{fmt.Errorf("store a run: %w", store.ErrDisk), "error: store a run: the disk is full, read-only or fails\nhint: make room on that disk and try again; what dayfly acknowledged before is safe; if there is room, see what the system says of that disk (dmesg)\n"},
		{fmt.Errorf("store a run: %w", store.ErrOpen), "error: store a run: a file of the records cannot be opened\nhint: see whether you may write that file and those beside it (ls -la), and what the system says of that disk (dmesg)\n"},
		{&exit{2, errors.Join(&exit{2, errors.Join(errors.New("one"), errors.New("two"))}, errors.New("three"))}, "error: one\nhint: dayfly doctor looks whether anything is wrong with this place\nerror: two\nhint: dayfly doctor looks whether anything is wrong with this place\nerror: three\nhint: dayfly doctor looks whether anything is wrong with this place\n"},
		{fmt.Errorf("open: %w", store.ErrNewer), "error: open: data was written by a newer version of dayfly\nhint: use the dayfly that wrote it or a newer one, or another directory with --data DIR\n"},
		{fmt.Errorf("wait: %w", store.ErrBusy), "error: wait: store is busy\nhint: another process is at work on this data directory; try again\n"},
		{context.Canceled, "error: interrupted\n"},
		{&exit{code: 5}, ""},
		{errors.New("evil \x1b[2J"), "error: evil \\x1b[2J\nhint: dayfly doctor looks whether anything is wrong with this place\n"},
	} {
		var b bytes.Buffer
		printError(&b, c.err)
		if b.String() != c.want {
			t.Errorf("%v:\n%s", c.err, b.String())
		}
	}
}
