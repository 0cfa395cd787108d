package spec_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/spec"
)

// load reads a job file that must be right.
func load(t *testing.T, text string) *spec.File {
	t.Helper()
	f, err := spec.Load("job.yaml", []byte(text))
	if err != nil {
		t.Fatalf("load:\n%.2000s\n%v", text, err)
	}
	return f
}

// refuse reads a job file that must be wrong.
func refuse(t *testing.T, text string) []*spec.Error {
	t.Helper()
	f, err := spec.Load("job.yaml", []byte(text))
	if err == nil {
		t.Fatalf("accepted:\n%.2000s\nas %+v", text, f.Job)
	}
	return err.(*spec.Errors).List
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	f := load(t, "name: hello\nrun: echo hello\n")
	want := dayfly.Job{
		Name:     "hello",
		Timezone: "UTC",
		CatchUp:  dayfly.CatchUp{Policy: "last", Within: dayfly.Seconds(time.Hour)},
		Overlap:  "skip",
		Machine:  dayfly.MachineChoice{On: "local", Network: "host", Isolation: "best", Pids: 4096},
		Run:      "echo hello",
		Timeout:  dayfly.Seconds(time.Hour),
		Grace:    dayfly.Seconds(10 * time.Second),
		Deadline: dayfly.Seconds(75 * time.Minute),
		Retry:    dayfly.Retry{Attempts: 1, Backoff: dayfly.Seconds(time.Minute)},
	}
	if diff := cmp.Diff(want, f.Job); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if len(f.Warnings) != 0 || len(f.Unserved()) != 0 {
		t.Errorf("warnings %v, unserved %v", f.Warnings, f.Unserved())
	}
}

// The job file of DESIGN.md, every key of it.
func TestExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/good/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f := load(t, string(text))
	hours := func(n int) dayfly.Seconds { return dayfly.Seconds(time.Duration(n) * time.Hour) }
	want := dayfly.Job{
		Name:        "pi",
		Description: "Digits of π, every night",
		Schedules:   []dayfly.Schedule{{At: "0 23 * * *"}},
		Timezone:    "Europe/Tallinn",
		Jitter:      dayfly.Seconds(5 * time.Minute),
		CatchUp:     dayfly.CatchUp{Policy: "last", Within: hours(24)},
		Overlap:     "skip",
		Machine: dayfly.MachineChoice{
			On: "ec2", Type: []string{"c8g.4xlarge", "c7g.4xlarge"}, Market: "spot-first",
			Regions: &dayfly.Regions{Each: []string{"eu-west-1", "us-east-1"}}, Image: &dayfly.Image{Name: "debian-13"},
			CPU: 2, Memory: 4 << 30, Disk: 40 << 30, Isolation: "best",
		},
		Array:    &dayfly.Array{Size: 20, AtOnce: 5},
		Files:    []string{"./pie"},
		Setup:    "pip install mpmath",
		Env:      map[string]string{"DURATION": "60s"},
		Params:   map[string]dayfly.Param{"digits": {Type: "int", Default: json.RawMessage("1000")}},
		Secrets:  map[string]string{"DB_PASSWORD": "ssm:/prod/db"},
		Run:      `python3 -m pie "$DURATION" > "$DAYFLY_RESULTS/pi.txt"`,
		Timeout:  hours(1),
		Grace:    dayfly.Seconds(10 * time.Second),
		Deadline: dayfly.Seconds(90 * time.Minute),
		Retry:    dayfly.Retry{Attempts: 3, On: []dayfly.Outcome{"lost", "capacity"}, Backoff: dayfly.Seconds(time.Minute)},
		Notify:   []dayfly.Notify{{On: []string{"failed", "missed", "recovered", "succeeded"}, Email: "ops@example.org"}},
		Budget:   &dayfly.Budget{Run: "2.00", Month: "40.00"},
		Limit:    dayfly.Limit{Machines: 3},
		Keep:     dayfly.Keep{Results: hours(90 * 24), Logs: hours(30 * 24), History: hours(365 * 24)},
	}
	if diff := cmp.Diff(want, f.Job); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	var unserved []string
	for _, e := range f.Unserved() {
		unserved = append(unserved, e.Path)
	}
	wantUnserved := []string{
		"machine.on", "machine.type", "machine.market", "machine.regions", "machine.image",
		"machine.disk", "setup", "secrets.DB_PASSWORD", "notify", "budget",
	}
	if diff := cmp.Diff(wantUnserved, unserved); diff != "" {
		t.Errorf("unserved, -want +got\n%s", diff)
	}
}

// What is read is the same after it has been stored as JSON.
func TestGoodFilesSurviveJSON(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(names) < 3 {
		t.Fatalf("good files: %v, %v", names, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		survives(t, load(t, string(text)).Job)
	}
}

func survives(t *testing.T, j dayfly.Job) {
	t.Helper()
	b, err := json.Marshal(j)
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	var again dayfly.Job
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatalf("unmarshal: %v", err)
	}
	if diff := cmp.Diff(j, again); diff != "" {
		t.Errorf("changed on its way through JSON, -read +stored\n%s", diff)
	}
}

func TestShortTimes(t *testing.T) {
	t.Parallel()
	j := load(t, "name: x\nrun: sleep 9\ntimeout: 2s\ngrace: 1s\ndeadline: 4s\n").Job
	if j.Timeout.Duration() != 2*time.Second || j.Grace.Duration() != time.Second || j.Deadline.Duration() != 4*time.Second {
		t.Errorf("timeout %v, grace %v, deadline %v", j.Timeout, j.Grace, j.Deadline)
	}
}

// Text that other YAML readers turn into something else stays as it is written.
func TestEnvironmentIsTakenAsWritten(t *testing.T) {
	t.Parallel()
	j := load(t, `
name: x
run: true
env:
  A: 1.10
  B: no
  C: 0x1F
  D: 1_000
  E: true
  F: 1e9
  G: "~"
  H: ""
  I: 2026-01-01
  J: "two\nlines"
  K: 0755
`).Job
	want := map[string]string{
		"A": "1.10", "B": "no", "C": "0x1F", "D": "1_000", "E": "true", "F": "1e9", "G": "~", "H": "", "I": "2026-01-01", "J": "two\nlines", "K": "0755",
	}
	if diff := cmp.Diff(want, j.Env); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if j.Run != "true" {
		t.Errorf("run is %q", j.Run)
	}
}

func TestScheduleForms(t *testing.T) {
	t.Parallel()
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v.UTC()
	}
	for name, c := range map[string]struct {
		text string
		want []dayfly.Schedule
	}{
		"text":             {`schedule: " 0 23 * * * "`, []dayfly.Schedule{{At: "0 23 * * *"}}},
		"H by the name":    {`schedule: H H * * *`, []dayfly.Schedule{{At: "H H * * *"}}},
		"block":            {"schedule: |\n  @daily", []dayfly.Schedule{{At: "@daily"}}},
		"list of text":     {`schedule: ["@daily", cron(0 23 * * ? *)]`, []dayfly.Schedule{{At: "@daily"}, {At: "cron(0 23 * * ? *)"}}},
		"list of mappings": {"schedule:\n- {at: '@hourly', timezone: Asia/Tokyo, from: 2026-01-01T00:00:00+02:00, until: 2027-01-01T00:00:00Z}\n- '@every 90m'\n- {at: rate(2 hours), anchor: 2026-01-01T00:30:00Z}", []dayfly.Schedule{{At: "@hourly", Timezone: "Asia/Tokyo", From: at("2025-12-31T22:00:00Z"), Until: at("2027-01-01T00:00:00Z")}, {At: "@every 90m"}, {At: "rate(2 hours)", Anchor: at("2026-01-01T00:30:00Z")}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, load(t, "name: x\nrun: y\n"+c.text).Job.Schedules); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestDefaultsThatDependOnOthers(t *testing.T) {
	t.Parallel()
	base := "name: x\nrun: y\n"
	if got := load(t, base+"timeout: 2h").Job.Deadline.Duration(); got != 2*time.Hour+15*time.Minute {
		t.Errorf("deadline %v", got)
	}
	if got := load(t, base+"retry: {attempts: 2}").Job.Retry.On; !cmp.Equal(got, []dayfly.Outcome{"lost", "capacity"}) {
		t.Errorf("retry.on %v", got)
	}
	if got := load(t, base+"catch_up: all").Job.CatchUp; got != (dayfly.CatchUp{Policy: "all", Within: dayfly.Seconds(time.Hour)}) {
		t.Errorf("catch_up %v", got)
	}
	m := load(t, base+"machine: {on: ec2}").Job.Machine
	if m.Market != "on-demand" || m.Pids != 0 || m.Isolation != "" || m.Network != "" {
		t.Errorf("a machine on ec2 has %+v", m)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, path string }{
		"both day fields":         {"schedule: 0 0 13 * FRI", "schedule"},
		"loader":                  {"env: {LD_PRELOAD: /x.so}", "env.LD_PRELOAD"},
		"secret in env":           {"env: {DB_PASSWORD: hunter2}", "env.DB_PASSWORD"},
		"within without a use":    {"catch_up: {policy: none, within: 2h}", "catch_up.within"},
		"within below on time":    {"catch_up: {within: 5s}", "catch_up.within"},
		"results outlive records": {"keep: {results: 90d, history: 30d}", "keep.results"},
		"logs for ever, and not":  {"keep: {logs: forever, history: 30d}", "keep.logs"},
		"nothing is ever retried": {"retry: {backoff: 1m}", "retry"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := load(t, "name: x\nrun: y\n"+c.text)
			if len(f.Warnings) != 1 || f.Warnings[0].Path != c.path || !f.Warnings[0].Warning || f.Warnings[0].Line != 3 || len(f.Warnings[0].Source) == 0 {
				t.Errorf("warnings %v", f.Warnings)
			}
		})
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	f := load(t, "name: x\nrun: y\nkeep: {results: forever, logs: 36h}")
	if want := (dayfly.Keep{Results: dayfly.Forever, Logs: dayfly.Seconds(36 * time.Hour)}); f.Job.Keep != want || len(f.Warnings) > 0 {
		t.Errorf("read as %+v, want %+v; warnings %v", f.Job.Keep, want, f.Warnings)
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	f := load(t, "name: x\nrun: y\nfiles:\n  - ./a\n  - ./b\n")
	e := f.At("files[1]", "./b does not exist", "make it")
	if e.Position() != "job.yaml:5:5" || e.Length != 3 || e.Source[len(e.Source)-1] != "  - ./b" {
		t.Errorf("%+v", e)
	}
	if e := f.At("grace", "p", ""); e.Position() != "job.yaml" || e.Line != 0 || e.Source != nil {
		t.Errorf("a key that does not stand in the file: %+v", e)
	}
}

func TestErrorsAreInvalidInput(t *testing.T) {
	t.Parallel()
	_, err := spec.Load("job.yaml", []byte("name: x"))
	if dayfly.ErrorCode(err) != dayfly.CodeInvalid {
		t.Errorf("code %q", dayfly.ErrorCode(err))
	}
}
