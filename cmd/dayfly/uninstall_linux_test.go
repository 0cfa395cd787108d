package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dayfly-io/dayfly/internal/daemon"
)

func TestUninstallAsks(t *testing.T) {
	t.Parallel()
	c, _ := withClock(t)
	c.want(0, "apply", jobFileOf(t, "daily", "schedule: \"@daily\"\nrun: echo ran\n"))
	for keys, code := range map[string]int{"\r": 1, "y\r": 1, "\x03": 130} {
		s := sit(t, c, "uninstall")
		s.sees(`This removes .*/data:`)
		s.sees(`It cannot be undone. Type data to go on: `)
		s.types(keys)
		s.sees(`nothing was done`)
		s.ends(code)
	}
	c.want(0, "ps", "--jobs")
	s := sit(t, c, "uninstall")
	s.sees(`Type data to go on: `)
	s.types("data\r")
	s.sees(`files +none; .* is gone`)
	s.ends(0)
	if _, err := os.Lstat(c.data); err == nil {
		t.Error("it is still there")
	}
}

// TestUninstallWhereSomebodyServes: one that does not stop, or that is not this user's, keeps it from anything.
func TestUninstallWhereSomebodyServes(t *testing.T) {
	t.Parallel()
	c, _ := withClock(t)
	c.want(0, "apply", jobFileOf(t, "daily", "schedule: \"@daily\"\nrun: echo ran\n"))
	l, err := daemon.Acquire(filepath.Join(c.data, lockFile))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release() //nolint:errcheck // the process ends
	// A process number that no process has: nobody knows who it is, so nobody ends it.
	if err := os.WriteFile(filepath.Join(c.data, lockFile), []byte("4194999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, said := c.want(9, "uninstall", "--yes")
	if !strings.Contains(said, "process 4194999 serves") {
		t.Error(said)
	}
	c.want(0, "ps", "--jobs", "-o", "name")
}

func TestStarters(t *testing.T) {
	t.Parallel()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	root := fstest.MapFS{
		"etc/systemd/system/dayfly.service":             file("[Service]\nExecStart=/usr/local/bin/dayfly serve --data /var/lib/dayfly\n"),
		"etc/systemd/system/other.service":              file("[Service]\n# dayfly serve\nExecStart=/usr/bin/other serve\n"),
		"home/ana/.config/systemd/user/nightly.service": file("[Service]\nExecStart=%h/bin/dayfly serve\n"),
		"etc/crontab":   file("* * * * * root /usr/local/bin/dayfly serve --once\n"),
		"etc/cron.d/no": file("#* * * * * root dayfly serve --once\n* * * * * root dayfly ps\n"),
	}
	got := startersOf(root, "/home/ana")
	want := []string{
		"/etc/systemd/system/dayfly.service: systemctl disable --now dayfly.service, then remove it",
		"/home/ana/.config/systemd/user/nightly.service: systemctl --user disable --now nightly.service, then remove it",
		"/etc/crontab: remove its line with dayfly",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
