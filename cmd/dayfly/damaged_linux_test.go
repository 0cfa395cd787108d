package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	has(t, said, "+ new added", named)

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

	c.hurt("UPDATE versions SET body = '{' WHERE version IN (SELECT version FROM jobs WHERE name = 'good')")
	text, said = c.want(exitError, "ps", "--jobs")
	has(t, text, "good ", "new ")
	has(t, said, named, "its record is damaged: unexpected end of JSON input")
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
