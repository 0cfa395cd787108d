package spec_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dayfly-io/dayfly/internal/spec"
)

// A key that is left out of differences would make a plan that hides what apply does.
func TestEveryKeyIsADifference(t *testing.T) {
	t.Parallel()
	also := map[string][]string{ // what changes with it
		"timeout": {"deadline"}, "machine.on": {"machine.isolation", "machine.network", "machine.pids", "machine.market"},
		"retry": {"retry.attempts", "retry.on"}, "retry.attempts": {"retry.on"},
	}
	for _, k := range spec.Keys() {
		t.Run(k.Path, func(t *testing.T) {
			t.Parallel()
			from, to := load(t, changes[k.Path].without).Job, load(t, changes[k.Path].with).Job
			for _, d := range append(spec.Differences(from, to), spec.Differences(to, from)...) {
				key, err := spec.Find(spec.Keys(), d.Path)
				if err != nil {
					t.Errorf("%+v: %v", d, err)
				}
				if key.Path != k.Path && !strings.HasPrefix(key.Path, k.Path) && !strings.HasPrefix(k.Path, key.Path) && !slices.Contains(also[k.Path], key.Path) {
					t.Errorf("%+v", d)
				}
				if d.From == d.To {
					t.Errorf("%+v is none", d)
				}
			}
			if len(spec.Differences(from, to)) == 0 || len(spec.Differences(to, from)) == 0 || len(spec.Differences(to, to)) != 0 {
				t.Errorf("%v, %v, %v", spec.Differences(from, to), spec.Differences(to, from), spec.Differences(to, to))
			}
		})
	}
}

func TestDifferences(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from, to string
		want     []spec.Difference
	}{
		"in the words of the file": {
			"timeout: 1h\nmachine: {memory: 4GiB, cpu: 0.5}\nlimit: {machines: 3}\nretry: {attempts: 3, backoff: 90s}",
			"timeout: 90m\nmachine: {memory: 512MiB, cpu: 2}\nretry: {attempts: 3, on: [failed]}\ntimezone: Asia/Tokyo",
			[]spec.Difference{
				{Path: "timezone", From: "UTC", To: "Asia/Tokyo"}, {Path: "machine.cpu", From: "0.5", To: "2"}, {Path: "machine.memory", From: "4GiB", To: "512MiB"},
				{Path: "timeout", From: "1h", To: "1h30m"}, {Path: "deadline", From: "1h15m", To: "1h45m"},
				{Path: "retry.on", From: "[lost, capacity]", To: "[failed]"}, {Path: "retry.backoff", From: "1m30s", To: "1m"}, {Path: "limit.machines", From: "3"},
			},
		},
		"one schedule": {`schedule: "0 23 * * *"`, `schedule: "0 22 * * *"`, []spec.Difference{{Path: "schedule", From: `"0 23 * * *"`, To: `"0 22 * * *"`}}},
		"a zone of its own": {`schedule: "@daily"`, `schedule: [{at: "@daily", timezone: Asia/Tokyo}]`,
			[]spec.Difference{{Path: "schedule.timezone", To: "Asia/Tokyo"}}},
		"a schedule in front": {
			`schedule: ["@daily", {at: "@hourly", from: 2026-01-01T00:00:00Z}]`, `schedule: ["0 4 * * *", "@daily", {at: "@hourly", from: 2026-01-02T00:00:00Z}]`,
			[]spec.Difference{{Path: "schedule[0]", To: `"0 4 * * *"`}, {Path: "schedule[2].from", From: "2026-01-01T00:00:00Z", To: "2026-01-02T00:00:00Z"}},
		},
		"no schedule any more": {`schedule: "@daily"`, "", []spec.Difference{{Path: "schedule", From: `"@daily"`}}},
		"names and text": {
			"env: {A: '1', B: b, C: ''}\nsecrets: {P: env:P}\ndescription: old", "env: {A: 'true', C: ' '}\nsecrets: {P: file:/p}\ndescription: new",
			[]spec.Difference{
				{Path: "description", From: "old", To: "new", Text: true}, {Path: "env.A", From: `"1"`, To: `"true"`}, {Path: "env.B", From: "b"}, {Path: "env.C", From: `""`, To: `" "`},
				{Path: "secrets.P", From: "env:P", To: "file:/p"},
			},
		},
		"who is told": {
			"notify: [{on: [failed], ntfy: a}]", "notify: [{on: [failed, missed], ntfy: a}, {on: [lost], email: a@b}]",
			[]spec.Difference{{Path: "notify[0].on", From: "[failed]", To: "[failed, missed]"}, {Path: "notify[1]", To: "{on: [lost], email: a@b}"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := spec.Differences(load(t, "name: x\nrun: y\n"+c.from).Job, load(t, "name: x\nrun: y\n"+c.to).Job)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
	from, to := load(t, "name: x\nrun: y\nfiles: [a]\n").Job, load(t, "name: x\nrun: |\n  y\n  z\nfiles: [a]\n").Job
	from.FilesSHA256, to.FilesSHA256 = strings.Repeat("1a", 32), strings.Repeat("2b", 32)
	want := []spec.Difference{{Path: "files (contents)", From: "sha256 1a1a1a1a1a1a", To: "sha256 2b2b2b2b2b2b"}, {Path: "run", From: "y", To: "y\nz\n", Text: true}}
	if d := cmp.Diff(want, spec.Differences(from, to)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}
