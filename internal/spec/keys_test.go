package spec_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dayfly-io/dayfly/internal/spec"
)

// change is a pair of files that differ in one key.
type change struct{ without, with string }

// set is the smallest job, without and with some lines.
func set(lines string) change { return change{"name: x\nrun: y\n", "name: x\nrun: y\n" + lines + "\n"} }

// from is the smallest job and some lines, without and with the last.
func from(lines, more string) change {
	return change{"name: x\nrun: y\n" + lines + "\n", "name: x\nrun: y\n" + lines + more + "\n"}
}

// changes has, for every key of a job file, two files that mean different jobs because of that key.
var changes = map[string]change{
	"name":                  {"name: x\nrun: y\n", "name: other\nrun: y\n"},
	"description":           set("description: words"),
	"schedule":              set("schedule: '@daily'"),
	"schedule[].at":         {"name: x\nrun: y\nschedule: [{at: '@daily'}]\n", "name: x\nrun: y\nschedule: [{at: '@hourly'}]\n"},
	"schedule[].timezone":   from("schedule:\n- at: '@daily'\n", "  timezone: Asia/Tokyo"),
	"schedule[].from":       from("schedule:\n- at: '@daily'\n", "  from: 2026-01-01T00:00:00Z"),
	"schedule[].until":      from("schedule:\n- at: '@daily'\n", "  until: 2026-01-01T00:00:00Z"),
	"schedule[].anchor":     from("schedule:\n- at: '@every 2h'\n", "  anchor: 2026-01-01T00:01:00Z"),
	"timezone":              set("timezone: Asia/Tokyo"),
	"jitter":                from("schedule: '@daily'\n", "jitter: 5m"),
	"catch_up":              set("catch_up: all"),
	"catch_up.policy":       set("catch_up: {policy: none}"),
	"catch_up.within":       set("catch_up: {within: 24h}"),
	"overlap":               set("overlap: replace"),
	"machine":               set("machine: {pids: 9}"),
	"machine.on":            set("machine: {on: docker}"),
	"machine.type":          set("machine: {type: c8g.large}"),
	"machine.market":        set("machine: {market: spot}"),
	"machine.regions":       set("machine: {regions: {first: [eu-west-1]}}"),
	"machine.regions.each":  set("machine: {regions: {each: [eu-west-1]}}"),
	"machine.regions.first": set("machine: {regions: {first: [eu-west-1]}}"),
	"machine.image":         set("machine: {image: debian-13}"),
	"machine.image.name":    set("machine: {image: {name: debian-13}}"),
	"machine.image.owner":   from("machine:\n  image:\n    name: debian-13\n", "    owner: amazon"),
	"machine.image.newest":  from("machine:\n  image:\n    name: debian-13\n", "    newest: true"),
	"machine.cpu":           set("machine: {cpu: 0.5}"),
	"machine.memory":        set("machine: {memory: 512MiB}"),
	"machine.network":       set("machine: {network: none}"),
	"machine.disk":          set("machine: {disk: 40GB}"),
	"machine.isolation":     set("machine: {isolation: none}"),
	"machine.pids":          set("machine: {pids: 64}"),
	"array":                 set("array: {size: 2}"),
	"array.size":            {"name: x\nrun: y\narray: {size: 2}\n", "name: x\nrun: y\narray: {size: 3}\n"},
	"array.at_once":         from("array:\n  size: 4\n", "  at_once: 2"),
	"files":                 set("files: [./a]"),
	"setup":                 set("setup: make"),
	"env":                   set("env: {A: b}"),
	"env.*":                 {"name: x\nrun: y\nenv: {A: b}\n", "name: x\nrun: y\nenv: {A: c}\n"},
	"params":                set("params: {a: {type: int}}"),
	"params.*":              set("params: {a: {type: int}}"),
	"params.*.type":         {"name: x\nrun: y\nparams: {a: {type: int}}\n", "name: x\nrun: y\nparams: {a: {type: float}}\n"},
	"params.*.default":      from("params:\n  a:\n    type: string\n", "    default: b"),
	"params.*.description":  from("params:\n  a:\n    type: string\n", "    description: words"),
	"params.*.required":     from("params:\n  a:\n    type: string\n", "    required: false"),
	"params.*.enum":         from("params:\n  a:\n    type: string\n", "    enum: [b, c]"),
	"params.*.min":          from("params:\n  a:\n    type: float\n", "    min: 0.5"),
	"params.*.max":          from("params:\n  a:\n    type: int\n", "    max: 5"),
	"secrets":               set("secrets: {A: env:A}"),
	"secrets.*":             {"name: x\nrun: y\nsecrets: {A: env:A}\n", "name: x\nrun: y\nsecrets: {A: file:/a}\n"},
	"run":                   {"name: x\nrun: y\n", "name: x\nrun: z\n"},
	"user_data":             {"name: x\nuser_data: ./a.sh\n", "name: x\nuser_data: ./b.sh\n"},
	"timeout":               set("timeout: 2h\ndeadline: 3h"),
	"grace":                 set("grace: 11s"),
	"deadline":              set("deadline: 2h"),
	"retry":                 set("retry: {attempts: 2}"),
	"retry.attempts":        set("retry: {attempts: 2}"),
	"retry.on":              from("retry:\n  attempts: 2\n", "  on: [failed]"),
	"retry.backoff":         from("retry:\n  attempts: 2\n", "  backoff: 5m"),
	"notify":                set("notify: [{on: [failed], ntfy: t}]"),
	"notify[].on":           {"name: x\nrun: y\nnotify: [{on: [failed], ntfy: t}]\n", "name: x\nrun: y\nnotify: [{on: [missed], ntfy: t}]\n"},
	"notify[].email":        from("notify:\n- on: [failed]\n  ntfy: t\n", "  email: a@example.org"),
	"notify[].webhook":      from("notify:\n- on: [failed]\n  ntfy: t\n", "  webhook: https://example.org/x"),
	"notify[].slack":        from("notify:\n- on: [failed]\n  ntfy: t\n", "  slack: '#ops'"),
	"notify[].ntfy":         from("notify:\n- on: [failed]\n  email: a@example.org\n", "  ntfy: t"),
	"budget":                set("budget: {run: 1}"),
	"budget.run":            set("budget: {run: 2.00}"),
	"budget.month":          set("budget: {month: '40.00'}"),
	"limit":                 set("limit: {machines: 3}"),
	"limit.machines":        set("limit: {machines: 3}"),
	"keep":                  set("keep: {logs: 1d}"),
	"keep.results":          set("keep: {results: 1d}"),
	"keep.logs":             set("keep: {logs: 1d}"),
	"keep.history":          set("keep: {history: 1d}"),
}

// Every key fails here when it is read and then ignored, and so does a key without a case.
func TestEveryKeyCounts(t *testing.T) {
	t.Parallel()
	for _, k := range spec.Keys() {
		t.Run(k.Path, func(t *testing.T) {
			t.Parallel()
			c, ok := changes[k.Path]
			if !ok {
				t.Fatal("no case for this key")
			}
			if cmp.Equal(load(t, c.without).Job, load(t, c.with).Job) {
				t.Errorf("the key is ignored:\n%s", c.with)
			}
		})
	}
	for path := range changes {
		if !slices.ContainsFunc(spec.Keys(), func(k spec.Key) bool { return k.Path == path }) {
			t.Errorf("%s: a case for a key that is not in the table", path)
		}
	}
}

// A key that the table says is not served is refused at apply, and no other.
func TestUnservedFollowsTheTable(t *testing.T) {
	t.Parallel()
	special := map[string]string{
		"machine.on": "machines on docker are not part of this build",
	}
	for _, k := range spec.Keys() {
		t.Run(k.Path, func(t *testing.T) {
			t.Parallel()
			missing := k.Missing + special[k.Path]
			list := load(t, changes[k.Path].with).Unserved()
			if missing == "" {
				if len(list) != 0 {
					t.Errorf("refused: %v", list)
				}
				return
			}
			if len(list) != 1 || !strings.HasSuffix(list[0].Problem, missing) || list[0].Line < 2 || list[0].Rule != spec.RuleUnserved {
				t.Errorf("want one with %q, got %v", missing, list)
			}
		})
	}
	if list := load(t, "name: x\nrun: y\nsecrets: {A: ssm:/a, B: secretsmanager:b, C: env:C, D: file:/d}").Unserved(); len(list) != 2 || list[0].Path != "secrets.A" || list[1].Path != "secrets.B" {
		t.Errorf("secrets: %v", list)
	}
	if list := load(t, "name: x\nrun: y\nmachine: {on: local, network: host}").Unserved(); len(list) != 0 {
		t.Errorf("what is served: %v", list)
	}
}

// The examples of the table are shown in hints, so they must be right.
func TestExamplesAreRight(t *testing.T) {
	t.Parallel()
	last := regexp.MustCompile(`^(.*\.)?([^.]+)$`)
	for _, k := range spec.Keys() {
		key := last.FindStringSubmatch(k.Path)[2]
		if k.Doc == "" || k.Example == "" {
			t.Errorf("%s: type, doc and example are for everyone", k.Path)
		}
		if !strings.HasPrefix(k.Example, key+": ") && key != "*" {
			t.Errorf("%s: the example is %q", k.Path, k.Example)
		}
		if strings.ContainsAny(k.Path, ".[") {
			continue
		}
		base := map[string]string{
			"name": "run: y\n", "run": "name: x\n", "user_data": "name: x\n", "jitter": "name: x\nrun: y\nschedule: '@daily'\n",
		}[k.Path]
		if base == "" {
			base = "name: x\nrun: y\n"
		}
		if f := load(t, base+k.Example); len(f.Warnings) > 0 {
			t.Errorf("%s: %v", k.Path, f.Warnings)
		}
	}
}
