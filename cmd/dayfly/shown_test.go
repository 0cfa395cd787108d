package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A job that has an array and no schedule is told in words that begin with the array.
func TestArrayWithoutSchedule(t *testing.T) {
	t.Parallel()
	if got := inWords("", []string{"5 machines, 2 at once"}); got != "5 machines, 2 at once" {
		t.Errorf("%q", got)
	}
	if got := inWords("at 03:00 every day, UTC", []string{"5 machines"}); got != "at 03:00 every day, UTC; 5 machines" {
		t.Errorf("%q", got)
	}
}

// In UTC the time of day is said once.
func TestNextInUTC(t *testing.T) {
	t.Parallel()
	for zone, want := range map[string]string{
		"UTC":            `\nUTC\nMon 2026-11-23 03:00:00 \+00:00  in 3h\n`,
		"Europe/Tallinn": `\nEurope/Tallinn +UTC\nMon 2026-11-23 03:00:00 \+02:00  2026-11-23T01:00:00Z  in 60m\n`,
	} {
		c := newCall(t)
		c.now = func() time.Time { return t0.Add(time.Hour) }
		file := filepath.Join(t.TempDir(), "a.yaml")
		if err := os.WriteFile(file, []byte("name: a\nschedule: \"0 3 * * *\"\ntimezone: "+zone+"\nrun: exit\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if stdout, _ := c.want(0, "next", file, "--count", "1"); !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("%s:\n%s", zone, stdout)
		}
	}
}

// What is wrong with the settings is told in a line of its own, without lines of the file squeezed into it.
func TestDoctorOfWrongSettings(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	c.want(0, "history")
	file := filepath.Join(c.data, settingsFile)
	if err := os.WriteFile(file, []byte("installation: ABCDEFGHIJKLMNOPQRSTUVWXYZ\nlimit: 1\nkep: 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, _ := c.want(exitError, "doctor", "settings")
	for _, want := range []string{file + `:2:1: unknown field "limit"`, `; ` + file + `:3:1: unknown field "kep"`} {
		if !strings.Contains(stdout, want) {
			t.Errorf("there is no %q in\n%s", want, stdout)
		}
	}
	if strings.ContainsAny(stdout, "|^") {
		t.Errorf("lines of the file:\n%s", stdout)
	}
}
