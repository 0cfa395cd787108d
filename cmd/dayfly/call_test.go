package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// call runs the program in this process, with a data directory of the test's and a clock that may be set.
type call struct {
	t    *testing.T
	data string
	env  []string
	now  func() time.Time
	ctx  context.Context
	host string // what tells this host from others
}

func newCall(t *testing.T) *call {
	t.Helper()
	data := t.TempDir() + "/data"
	return &call{t: t, data: data, env: []string{"DAYFLY_DATA=" + data, "PATH=/usr/bin:/bin"}, now: time.Now, ctx: t.Context()}
}

// run gives back the exit code and what was written.
func (c *call) run(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = c.to(&out, &err, args...)
	return code, out.String(), err.String()
}

func (c *call) to(stdout, stderr io.Writer, args ...string) int {
	heard := &listener{to: stderr}
	a := newApp(c.env, strings.NewReader(""), stdout, heard)
	a.now, a.hostID = c.now, func() string { return c.host }
	defer func() {
		if text := heard.complaint(); text != "" {
			c.t.Errorf("dayfly %s\n%s", strings.Join(args, " "), text)
		}
	}()
	return a.execute(c.ctx, ignoring(os.Getenv(withoutFlag), args))
}

// want runs a command that must end with this exit code.
func (c *call) want(code int, args ...string) (stdout, stderr string) {
	c.t.Helper()
	got, stdout, stderr := c.run(args...)
	if got != code {
		c.t.Fatalf("dayfly %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, stdout, stderr)
	}
	return stdout, stderr
}

// home opens the data directory as commands do.
func (c *call) home() *home {
	c.t.Helper()
	a := newApp(c.env, strings.NewReader(""), io.Discard, io.Discard)
	a.now = c.now
	h, err := a.open()
	if err == nil {
		_, err = h.Loop(c.ctx)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(a.close)
	return h
}
