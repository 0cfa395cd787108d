package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dayfly-io/dayfly/internal/daemon"
)

// hurt damages records of a data directory, as a disk may.
func (c *call) hurt(statement string) {
	c.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(c.data, recordsFile))
	if err == nil {
		_, err = db.ExecContext(c.ctx, statement)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		c.t.Fatal(err)
	}
}

// TestDamagedJob: a job whose record cannot be read is named by every command that would show or change all jobs,
// with the exit code of an error; it stays as it is, and the others are shown and changed all the same.
func TestDamagedJob(t *testing.T) {
	t.Parallel()
	c, _ := withClock(t)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		const rest = "schedule: \"0 23 31 12 *\"\ntimeout: 20s\ndeadline: 40s\n"
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte("name: "+name+"\n"+rest+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("bad", "run: exit 0\n")
	write("good", "run: exit 0\n")
	c.want(0, "apply", dir)
	c.hurt("UPDATE jobs SET body = substr(body, 1, 20) WHERE name = 'bad'")
	const named, hint = "job bad: its record is damaged: ", "hint: dayfly doctor"
	write("good", "run: exit 1\n")
	write("bad", "run: exit 1\n")

	text, said := c.want(exitError, "plan", dir)
	has(t, text, "~ good", "1 to change")
	if strings.Contains(text, "bad") {
		t.Errorf("the plan tells what it cannot know:\n%s", text)
	}
	has(t, said, named, hint)

	text, said = c.want(exitError, "apply", dir)
	if text != "~ good changed\n" {
		t.Errorf("apply did %q", text)
	}
	has(t, said, named, hint)

	write("new", "run: exit 0\n")
	_, said = c.want(0, "serve", "--once", "--jobs", dir)
	has(t, said, "+ new added", named, "1 file of "+dir+" not applied.", "Applied 2 files of "+dir+".")

	text, said = c.want(exitError, "ps", "--jobs")
	has(t, text, "good ", "new ")
	has(t, said, named, hint)
	_, said = c.want(exitError, "ps")
	has(t, said, named, hint)

	text, said = c.want(exitError, "pause", "--all")
	if text != "- good paused\n- new paused\n" {
		t.Errorf("pause --all did %q", text)
	}
	has(t, said, named)
	c.want(exitError, "pause", "bad")
	text, _ = c.want(exitError, "resume", "--all")
	has(t, text, "good ", "new ")

	h := c.home()
	h.observe()
	if err := h.recall(t.Context()); err != nil {
		t.Errorf("no metrics, since %v", err)
	}

	c.hurt("UPDATE versions SET body = '{' WHERE version IN (SELECT json_extract(body, '$.version') FROM jobs WHERE name = 'good')")
	text, said = c.want(exitError, "ps", "--jobs")
	has(t, text, "good ", "new ")
	has(t, said, named, "its record is damaged: unexpected end of JSON input")
}

// TestDamagedVersion: the file of a job mends its version, and without it the job can be removed.
func TestDamagedVersion(t *testing.T) {
	t.Parallel()
	c, _ := withClock(t)
	file := jobFileOf(t, "nightly", "schedule: \"0 23 31 12 *\"\nrun: exit 0\n")
	other := jobFileOf(t, "other", "schedule: \"0 23 31 12 *\"\nrun: exit 0\n")
	c.want(0, "apply", file, other)
	const hurt = "UPDATE versions SET body = '{' WHERE version IN (SELECT json_extract(body, '$.version') FROM jobs WHERE name = 'nightly')"
	c.hurt(hurt)
	if text, _ := c.want(0, "apply", file, other); text != "~ nightly changed: its version was damaged, and is whole again\n= other unchanged\n" {
		t.Errorf("apply did %q", text)
	}
	c.want(0, "ps", "--jobs")
	if text, _ := c.want(0, "apply", file); text != "= nightly unchanged\n" {
		t.Errorf("apply did %q, after it had mended the version", text)
	}
	c.hurt(hurt)
	c.want(exitError, "ps", "--jobs")
	_, said := c.want(0, "rm", "nightly")
	has(t, said, "nobody can tell which slots it had of late")
	c.want(0, "ps", "--jobs")
}

// TestDamagedRun: one run that cannot be read ends no command about others, and no daemon's start.
func TestDamagedRun(t *testing.T) {
	t.Parallel()
	c, _ := withClock(t)
	const quick = "schedule: \"0 23 31 12 *\"\nrun: echo ran\ntimeout: 20s\ndeadline: 40s\n"
	bad, good := jobFileOf(t, "bad", quick), jobFileOf(t, "good", quick)
	c.want(0, "apply", bad, good)
	c.want(0, "run", "bad")
	c.want(0, "run", "bad")
	c.hurt("UPDATE runs SET body = '{' WHERE id = (SELECT max(id) FROM runs WHERE job = 'bad')")
	if text, _ := c.want(0, "logs", "bad"); text != "ran\n" {
		t.Errorf("the log of the latest that can be read is %q", text)
	}
	h := c.home()
	h.observe()
	if err := h.recall(t.Context()); err != nil {
		t.Errorf("no metrics, since %v", err)
	}
	c.want(exitError, "history")
	c.want(0, "ps", "--jobs")
	c.hurt("UPDATE runs SET state = 'running', outcome = '' WHERE body = '{'")
	_, said := c.want(exitError, "ps")
	has(t, said, "No other run is under way.")
	c.want(0, "pause", "good")
	c.want(0, "resume", "good")
	lock, err := daemon.Acquire(filepath.Join(c.data, lockFile)) // so that a record is enough
	if err != nil {
		t.Fatal(err)
	}
	c.want(0, "run", "--detach", "good")
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	_, said = c.want(exitError, "serve", "--once") // and it does all there is to do
	has(t, said, "its record is damaged: ", "1 machine launched")
}

// TestToldToStopBeforeItIsReady: what stops a service expects it to end well whenever that is.
func TestToldToStopBeforeItIsReady(t *testing.T) {
	t.Parallel()
	c, _ := withClock(t)
	file := jobFileOf(t, "nightly", "schedule: \"0 23 31 12 *\"\nrun: exit 0\n")
	c.want(0, "ps")
	var stop context.CancelFunc
	c.ctx, stop = context.WithCancel(c.ctx)
	stop()
	if _, said := c.want(0, "serve", "--jobs", filepath.Dir(file)); said != "Stopped before it was ready.\n" {
		t.Errorf("serve said %q", said)
	}
	c.want(exitInterrupted, "serve", "--once")
}
