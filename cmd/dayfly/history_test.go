package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// past fills a data directory with an ended run and a year of missed slots before it.
func past(t *testing.T, c *call) {
	t.Helper()
	h := c.home()
	if err := h.store.PutVersion(c.ctx, dayfly.Job{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	r := finished()
	r.State, r.Version = dayfly.Due, dayfly.Job{Name: "a"}.Version()
	r.Slot, r.Trigger = t0, dayfly.TriggerSchedule
	r.Attempts[0].Provider, r.Attempts[0].Request = "local", &dayfly.Spec{Task: dayfly.Task{Script: "secret stuff"}}
	if _, err := h.store.InsertRuns(c.ctx, []dayfly.Run{r}); err != nil {
		t.Fatal(err)
	}
	r.Rev, r.State = 1, dayfly.Ended
	if _, err := h.store.UpdateRun(c.ctx, r); err != nil {
		t.Fatal(err)
	}
	err := h.store.PutRange(c.ctx, dayfly.Range{
		Job: "a", From: t0.AddDate(-1, 0, 0), To: t0.Add(-time.Minute), Count: 525600, Outcome: dayfly.Missed, Reason: "found late",
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.store.PutJob(c.ctx, store.Job{Name: "a", Version: r.Version, Cursor: t0})
	if err != nil {
		t.Fatal(err)
	}
}

func TestHistoryHasTheseNames(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	past(t, c)
	stdout, _ := c.want(0, "history", "-o", "jsonl", "--outcome", "succeeded")
	var run map[string]any
	if err := json.Unmarshal([]byte(stdout), &run); err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(run))
	want := []string{"attempts", "id", "job", "n", "outcome", "params", "reason", "shard", "slot", "state", "trigger"}
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}
	attempt := run["attempts"].([]any)[0].(map[string]any)
	names = slices.Sorted(maps.Keys(attempt))
	want = []string{"exit_code", "finished_at", "gone_at", "launched_at", "machine", "number", "provider", "started_at"}
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}
	for _, form := range []string{"json", "jsonl", "yaml", "table", "wide"} {
		if out, _ := c.want(0, "history", "-o", form); strings.Contains(out, "secret stuff") {
			t.Errorf("-o %s shows the stored request", form)
		}
	}
}

func TestHistoryShowsRanges(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	past(t, c)
	c.now = func() time.Time { return t0.Add(time.Hour) }
	stdout, _ := c.want(0, "history")
	lines := strings.Split(stdout, "\n")
	if !strings.HasPrefix(lines[1], "a-20261122T230000Z") || !strings.HasPrefix(lines[2], "a: 525,600 slots missed, 2025-11-22T23:00:00Z to 2026-11-22T22:59:00Z") {
		t.Errorf("%s", stdout)
	}
	stdout, _ = c.want(0, "history", "-o", "jsonl", "--outcome", "missed")
	want := `{"id":"","job":"a","slot":"2025-11-22T23:00:00Z","shard":"","n":0,"trigger":"schedule","state":"ended","outcome":"missed","reason":"found late","attempts":[],"params":{},"to":"2026-11-22T22:59:00Z","count":525600}` + "\n"
	if stdout != want {
		t.Errorf("%s", stdout)
	}
	if stdout, _ = c.want(0, "history", "-o", "jsonl", "--outcome", "skipped"); stdout != "" {
		t.Errorf("other outcomes: %s", stdout)
	}
	if stdout, _ = c.want(0, "history", "-o", "name", "--since", "30m"); stdout != "" {
		t.Errorf("slots after the range: %s", stdout)
	}
}

func TestYAML(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	type inner struct {
		X []int `json:"x"`
	}
	rows := []map[string]any{{
		"text": `a: "b" <c>`, "none": nil, "list": []any{1, "two", inner{[]int{3}}, []int{}}, "empty": map[string]int{}, "odd key": true, "map": inner{},
	}}
	if err := writeYAMLList(&b, allOf(rows)); err != nil {
		t.Fatal(err)
	}
	want := `- empty: {}
  list:
    - 1
    - "two"
    - x:
        - 3
    - []
  map:
    x: null
  none: null
  "odd key": true
  text: "a: \"b\" <c>"
`
	if b.String() != want {
		t.Error(cmp.Diff(want, b.String()))
	}
}

// A table that nobody bounds ends after fewer lines where each is made of many runs: reading them takes a while.
func TestHistoryOfArraysIsBounded(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	h := c.home()
	for slot := range 7 {
		var runs []dayfly.Run
		for shard := range 120 {
			r := finished()
			r.Job, r.Slot, r.Shard, r.Trigger = "frames", t0.Add(time.Duration(slot)*time.Hour), dayfly.Shard(strconv.Itoa(shard)), dayfly.TriggerSchedule
			r.ID = dayfly.NewRunID(r.Job, r.Slot, r.Shard, 0)
			runs = append(runs, r)
		}
		if _, err := h.store.InsertRuns(c.ctx, runs); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []struct {
		args string
		rows int
		more string // what it says of older runs
	}{
		{"", 3, "--limit 30 "}, {"--limit 5", 5, "--limit 50 "}, {"--limit 0", 7, ""}, {"--limit 7", 7, ""},
		{"--shards", 50, "--limit 500 "}, {"-o name", 7 * 120, ""},
	} {
		stdout, stderr := c.want(0, append([]string{"history", "--job", "frames"}, strings.Fields(k.args)...)...)
		rows := strings.Count(stdout, "frames-")
		if rows != k.rows || (k.more == "") == strings.Contains(stderr, "older runs") || !strings.Contains(stderr, k.more) {
			t.Errorf("history %s has %d rows, want %d, and %q:\n%s", k.args, rows, k.rows, k.more, stderr)
		}
	}
}
