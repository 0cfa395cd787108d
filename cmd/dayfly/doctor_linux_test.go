package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/daemon"
	"github.com/dayfly-io/dayfly/internal/store"
)

// finds runs checks, and gives each finding as "result why → mend".
func (c *call) finds(code int, checks ...string) string {
	c.t.Helper()
	out, _ := c.want(code, append([]string{"doctor", "-o", "json"}, checks...)...)
	var all []struct{ Check, Result, Why, Mend string }
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) == 0 {
		c.t.Fatalf("%v in %s", err, out)
	}
	var lines []string
	for _, f := range all {
		if f.Result != "ok" && f.Mend == "" {
			c.t.Errorf("%s: %s: nothing mends it", f.Check, f.Why)
		}
		lines = append(lines, f.Result+" "+f.Why+" → "+f.Mend)
	}
	return strings.Join(lines, "\n")
}

func has(t *testing.T, text string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
}

func TestDoctorOfNothing(t *testing.T) {
	t.Parallel()
	c, _ := withClock(t)
	text := c.finds(0, "settings", "data-directory", "store", "bucket", "machines", "daemon", "jobs", "files", "secrets")
	has(t, text, "ok there are none yet: the first command makes ", "is not there yet: the first command makes it", "ok there are no records yet", "is not there yet: the first run makes it")
	if exists(c.data) {
		t.Error("doctor made a data directory")
	}
}

func TestDoctorFinds(t *testing.T) {
	t.Parallel()
	applied := func(t *testing.T, text string) (*call, *clock, string) {
		c, k := withClock(t)
		file := jobFileOf(t, "nightly", text)
		c.want(0, "apply", file)
		return c, k, file
	}
	const nightly = "schedule: \"0 23 * * *\"\nrun: exit 0\ntimeout: 20s\ndeadline: 40s\n"
	t.Run("all in order", func(t *testing.T) {
		t.Parallel()
		c, _, _ := applied(t, nightly)
		c.want(0, "run", "nightly")
		text := c.finds(0, "settings", "data-directory", "store", "bucket", "machines", "jobs", "files", "secrets")
		has(t, text, "mode 0700, can be written", "is whole (read in ", "can be written, read and removed from", "0 machines, none past its deadline, nothing left over",
			"ok 1 job applied", "ok 1 file read, none is wrong", "ok 0 secrets, all can be had here")
		if strings.Contains(text, "warn") {
			t.Error(text)
		}
		if entries, err := os.ReadDir(filepath.Join(c.data, "bucket", "doctor")); err == nil {
			t.Errorf("it left %v in the bucket", entries)
		}
	})
	t.Run("settings that are wrong", func(t *testing.T) {
		t.Parallel()
		c, _, _ := applied(t, nightly)
		if err := os.WriteFile(filepath.Join(c.data, settingsFile), []byte("installatio: x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		has(t, c.finds(1, "settings"), "fail ", `unknown field "installatio"`)
	})
	t.Run("a directory that others may read, and one that is a file", func(t *testing.T) {
		t.Parallel()
		c, _, _ := applied(t, nightly)
		if err := os.Chmod(c.data, 0o755); err != nil {
			t.Fatal(err)
		}
		has(t, c.finds(0, "data-directory"), "warn "+c.data+" has mode 0755: others of this host may read", "→ chmod 700 "+c.data)
		c.env = append(c.env, "DAYFLY_DATA="+jobFileOf(t, "file", ""))
		has(t, c.finds(1, "data-directory"), "is not a directory → name a directory")
	})
	t.Run("records that are damaged, or of a newer dayfly", func(t *testing.T) {
		t.Parallel()
		c, _, _ := applied(t, nightly)
		db := filepath.Join(c.data, recordsFile)
		text, err := os.ReadFile(db)
		if err != nil {
			t.Fatal(err)
		}
		hurt := append([]byte{}, text...)
		for i := len(hurt) / 2; i < len(hurt); i++ {
			hurt[i] ^= 0x5a
		}
		if err := os.WriteFile(db, hurt, 0o600); err != nil {
			t.Fatal(err)
		}
		has(t, c.finds(1, "store"), "fail ", "→ stop dayfly, keep a copy of "+db)
		copy(text[60:64], []byte{0, 0, 0x7f, 0}) // user_version
		if err := os.WriteFile(db, text, 0o600); err != nil {
			t.Fatal(err)
		}
		has(t, c.finds(1, "store", "jobs"), "it was written by a newer dayfly", "→ use the dayfly that wrote it, or a newer one", "warn it cannot be told while the records cannot be read → see the check store")
	})
	t.Run("a bucket that cannot be written", func(t *testing.T) {
		t.Parallel()
		c, _, _ := applied(t, nightly)
		bucket := filepath.Join(c.data, "bucket")
		if err := os.RemoveAll(bucket); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(bucket, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		has(t, c.finds(1, "bucket"), "fail ", "ls -ld "+bucket)
	})
	t.Run("a bucket that is not mounted", func(t *testing.T) {
		t.Parallel()
		c, _ := withClock(t)
		bucket := filepath.Join(t.TempDir(), "disk", "bucket")
		bucketAt(t, c, bucket)
		if err := os.Remove(bucket); err != nil {
			t.Fatal(err)
		}
		has(t, c.finds(0, "bucket"), "is not there yet: the first run makes it")
		file := jobFileOf(t, "once", "run: exit 0\n")
		lock, err := daemon.Acquire(filepath.Join(c.data, lockFile)) // so that a record is enough
		if err != nil {
			t.Fatal(err)
		}
		c.want(0, "run", "--detach", file)
		if err := errors.Join(lock.Release(), os.RemoveAll(bucket)); err != nil {
			t.Fatal(err)
		}
		c.want(exitError, "run", file)
		has(t, c.finds(1, "bucket"), "fail the bucket "+bucket+" is not there, and logs and results of earlier runs should be in it → mount or copy it there")
	})
	t.Run("a clock that was ahead", func(t *testing.T) {
		t.Parallel()
		c, k, _ := applied(t, nightly)
		k.put(100 * 24 * time.Hour)
		c.want(0, "run", "nightly")
		c.want(0, "serve", "--once")
		k.put(-100 * 24 * time.Hour)
		has(t, c.finds(1, "clock"), "warn it was ahead before, or is behind now: slots to come are recorded already for nightly", "fail it is behind: run nightly-")
	})
	t.Run("the next clock change that touches a schedule", func(t *testing.T) {
		t.Parallel()
		c, _, _ := applied(t, "schedule: \"30 2 * * *\"\ntimezone: America/New_York\nrun: exit 0\n")
		has(t, c.finds(0, "zones"), "the next clock change that touches a schedule is on 20", " in America/New_York: job nightly, ")
	})
	t.Run("machines past their deadline, and suspects", func(t *testing.T) {
		t.Parallel()
		c, k, _ := applied(t, sleeps)
		c.want(0, "run", "--detach", "nightly")
		has(t, c.finds(0, "machines"), "ok 1 machine, none past its deadline")
		k.put(time.Hour)
		has(t, c.finds(1, "machines"), "fail past the deadline: local/", "→ dayfly sweep --deadlines")
		h := c.home()
		if err := h.store.PutNote(t.Context(), store.Note{Key: "suspect/local/x ", Value: "2026-11-22T23:00:00Z"}); err != nil {
			t.Fatal(err)
		}
		has(t, c.finds(1, "machines"), "warn 1 machine noted as suspect → dayfly sweep")
	})
	t.Run("nobody at work, and somebody who does nothing", func(t *testing.T) {
		t.Parallel()
		c, k, _ := applied(t, nightly)
		has(t, c.finds(0, "daemon"), "warn none is at work: 1 job waits by schedule, and nothing runs → dayfly serve")
		lock, err := daemon.Acquire(filepath.Join(c.data, lockFile))
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Release() //nolint:errcheck // the kernel takes it back in any case
		has(t, c.finds(0, "daemon"), "keeps to the schedules of 1 job")
		k.put(25 * time.Hour)
		has(t, c.finds(1, "daemon"), "is not recorded: it makes no passes")
		if err := os.WriteFile(filepath.Join(c.data, announceFile), []byte(`{"address":"127.0.0.1:1"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		k.put(-25 * time.Hour)
		has(t, c.finds(1, "daemon"), "how it is: ", "connection refused")
	})
	t.Run("jobs that never run, are paused, or cannot be read", func(t *testing.T) {
		t.Parallel()
		c, _, _ := applied(t, nightly)
		c.want(0, "apply", jobFileOf(t, "past", "schedule: at(2020-01-02T03:04:05)\nrun: exit 0\n"), jobFileOf(t, "plain", "run: exit 0\n"))
		c.want(0, "pause", "nightly")
		h := c.home()
		if _, err := h.store.PutJob(t.Context(), store.Job{Name: "bad", Version: "gone", Scheduled: true, Source: "/bad.yaml"}); err != nil {
			t.Fatal(err)
		}
		has(t, c.finds(1, "jobs"), "4 jobs applied, 1 of them without a schedule", "warn never due again: past → dayfly next past", "warn paused: nightly → dayfly resume nightly",
			"fail job bad: read version gone", "→ dayfly apply /bad.yaml")
	})
	t.Run("a paused job without a schedule, and one whose file is gone", func(t *testing.T) {
		t.Parallel()
		c, _, file := applied(t, nightly)
		c.want(0, "apply", jobFileOf(t, "plain", "run: exit 0\n"))
		c.want(0, "pause", "plain")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		c.want(0, "apply", filepath.Dir(file))
		has(t, c.finds(0, "jobs"), "2 jobs applied, 1 of them without a schedule", "warn paused: plain → dayfly resume plain",
			"warn paused since their files are gone: nightly → put their files back, or dayfly rm nightly")
	})
	t.Run("files that are wrong or gone", func(t *testing.T) {
		t.Parallel()
		c, _, file := applied(t, nightly)
		if err := os.WriteFile(file, []byte("name: nightly\nrunn: x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		has(t, c.finds(1, "files"), "fail an older version of its job holds: "+file+":", "→ dayfly validate "+file)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		has(t, c.finds(0, "files"), "warn gone: "+file)
	})
	t.Run("secrets that cannot be had", func(t *testing.T) {
		t.Parallel()
		c, _, _ := applied(t, nightly+"secrets: {A: \"env:NOT_SET\", B: \"file:/no/such\", C: \"env:SET\"}\n")
		c.env = append(c.env, "SET=canary-of-doctor")
		text := c.finds(1, "secrets")
		has(t, text, "warn secret A of job nightly: env:NOT_SET: ", "fail secret B of job nightly: file:/no/such: ")
		if strings.Contains(text, "canary") || strings.Contains(text, "secret C") {
			t.Error(text)
		}
	})
	t.Run("isolation and limits by trying them", func(t *testing.T) {
		t.Parallel()
		c, _, _ := applied(t, nightly)
		_, out, _ := c.run("doctor", "-o", "json", "isolation", "limits")
		has(t, out, `"check": "isolation"`, `"check": "limits"`, "full ", "pids", "memory", "cpu")
		if entries, err := os.ReadDir(filepath.Join(c.data, "machines")); err != nil || len(entries) != 1 {
			t.Errorf("trying left %v, %v", entries, err) // what is remembered, and nothing else
		}
	})
}

func TestDoctorOnASmallDisk(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	onSmallDisk(t, c)
	c.want(0, "ps")
	has(t, c.finds(1, "disk"), "fail ", " free of 1.0 MB at ", "(tmpfs)", "→ make room there, or let keep:")
}

func TestDoctorSeesHowLongTheDiskLasts(t *testing.T) {
	t.Parallel()
	c, k := withClock(t)
	h := c.home()
	now := k.now()
	var runs []dayfly.Run
	for day := range 5 {
		slot := now.AddDate(0, 0, -day-1).Truncate(time.Second)
		r := dayfly.Run{ID: dayfly.NewRunID("big", slot, "", 0), Job: "big", Slot: slot, State: dayfly.Ended, Outcome: dayfly.Succeeded}
		r.Attempts = []dayfly.Attempt{{Number: 1, Report: &dayfly.Report{Log: dayfly.Object{Size: 1 << 59}, Results: []dayfly.Result{{Object: dayfly.Object{Size: 1 << 59}}}}}}
		runs = append(runs, r)
	}
	if _, err := h.store.InsertRuns(t.Context(), runs); err != nil {
		t.Fatal(err)
	}
	has(t, c.finds(1, "disk"), "runs left 1.", " EB a day of late, which lasts for 0.")
}

// TestDoctorComesToAnEnd though a check does not.
func TestDoctorComesToAnEnd(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	defer close(stuck)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	found := (&patient{}).examine(ctx, check{name: "stuck", look: func(context.Context, *patient) []finding {
		<-stuck
		return nil
	}})
	if len(found) != 1 || found[0].Result != healthFail || found[0].Check != "stuck" {
		t.Errorf("found %+v", found)
	}
}
