package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dayfly-io/dayfly"
	worker "github.com/dayfly-io/dayfly/internal/agent"
	"github.com/dayfly-io/dayfly/internal/archive"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/bucket/mem"
	"github.com/dayfly-io/dayfly/internal/fuzztest"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/fake"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/spec"
	storefake "github.com/dayfly-io/dayfly/internal/store/fake"
)

var hostileValues = flag.Int("hostile.values", 100_000, "how many values TestNothingButTheCommand tries")

// tricks are what makes values into code, where somebody builds commands from text.
var tricks = []string{
	"$(id)", "`id`", "${IFS}", "$IFS", "$((1+1))", "$'\\n'", "$\"x\"", "'", "\"", "''", "\"\"", "\\", "\\\\", "\\n", ";", ";;", "&", "&&", "|", "||", "|&", "!", "!!", "#", "~", "*", "?", "[a]", "{a,b}", "<", ">", ">>", "<<EOF", "<(id)",
	"(", ")", "{", "}", "\n", "\r", "\r\n", "\t", " ", "-", "--", "-x", "-eu", "-c", "--param", "--data=/", "=", "A=b", "%", "%s", "%n", "%d", "%00", "..", "../../etc/passwd", "/etc/passwd", "/", "./x", "\x1b[2J", "\x1b]0;x\a", "\x7f", "\b",
	"\u0085", "\u2028", "\u202e", "\u200b", "\ufeff", "\ufffd", "é", "日本", "😀", "#!/bin/sh", "#!", "exec reboot", "rm -rf /", "&& reboot", "PATH=/x", "LD_PRELOAD=/x.so", "IFS=x", "BASH_ENV=x", "ENV=/x",
	"null", "~", "true", "no", "0x1F", "1e9", "1_000", "- x", "a: b", "? x", "!!str", "&a", "*a", "<<: x", "{{.}}", "{{ x }}", "${{ x }}", "%(x)s", "\\x00", "\\u0000", "\\0", "'; drop table runs; --", "<script>", "]]>", "&amp;", "\x01", "\x1f",
}

// hostile draws values.
type hostile struct{ *rand.Rand }

func (h hostile) value() string {
	var b strings.Builder
	for range h.IntN(6) {
		switch h.IntN(10) {
		case 0:
			b.WriteRune(rune(h.IntN(0x300) + 1))
		case 1:
			if r := rune(h.IntN(unicode.MaxRune)) + 1; utf8.ValidRune(r) {
				b.WriteRune(r)
			}
		case 2:
			b.WriteString(strings.Repeat(tricks[h.IntN(len(tricks))], h.IntN(40)))
		default:
			b.WriteString(tricks[h.IntN(len(tricks))])
		}
	}
	if h.IntN(2000) == 0 {
		b.WriteString(strings.Repeat("x", 60<<10))
	}
	return b.String()
}

// bytes draws a value of any bytes but NUL, as a secret in a file may have.
func (h hostile) bytes() string {
	b := []byte(h.value())
	for range h.IntN(4) {
		b = append(b, byte(h.IntN(255)+1))
	}
	return string(b)
}

// quote writes a value into a YAML file so that it is this value.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r >= ' ' && r < 0x7f:
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String() + `"`
}

// declared is a job file and what a reader of it would expect to be executed, worked out without dayfly.
type declared struct {
	text    string
	script  string
	env     map[string]string // also what params and secrets become
	params  map[string]string // given to the run
	secrets map[string]string // values by reference
	values  int
}

// declare draws a job file with many values. The names in it are good ones: of those see TestBadNames.
func (h hostile) declare() declared {
	d := declared{env: map[string]string{}, params: map[string]string{}, secrets: map[string]string{}}
	var b strings.Builder
	d.script = "#" + h.value() + "\n" + h.value()
	fmt.Fprintf(&b, "name: hostile\nrun: %s\nenv:\n  ZERO: \"\"\n", quote(d.script))
	d.env["ZERO"] = ""
	for i := range 40 {
		name, v := fmt.Sprintf("E%d", i), h.value()
		fmt.Fprintf(&b, "  %s: %s\n", name, quote(v))
		d.env[name] = v
	}
	b.WriteString("params:\n")
	for i := range 8 {
		name, preset := fmt.Sprintf("p-%d", i), h.param()
		fmt.Fprintf(&b, "  %s: {type: string, default: %s}\n", name, quote(preset))
		v := preset
		if i%2 == 0 {
			v = h.param()
			d.params[name] = v
		}
		d.env[fmt.Sprintf("P_%d", i)] = v
	}
	b.WriteString("secrets:\n")
	for i := range 2 {
		ref := fmt.Sprintf("file:/secret/%d", i)
		fmt.Fprintf(&b, "  S%d: %s\n", i, ref)
		d.secrets[ref] = fmt.Sprintf("%016x", h.Uint64()) + h.bytes()
		d.env[fmt.Sprintf("S%d", i)] = d.secrets[ref]
	}
	d.text, d.values = b.String(), 1+40+12+2
	return d
}

// param is a value as long as one may be at most.
func (h hostile) param() string {
	v := h.value()
	for len(v) > dayfly.MaxParam {
		v = h.value()
	}
	return v
}

// TestNothingButTheCommand is the way of 100,000 values from job files to the very call that executes the
// job: what is executed is the script as it is written, with exactly the variables that were declared.
func TestNothingButTheCommand(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := hostile{rand.New(rand.NewPCG(seed, 8))}
	values, jobs := 0, 0
	dir := t.TempDir()
	for ; values < *hostileValues && !t.Failed(); jobs++ {
		d := h.declare()
		d.check(t, dir)
		values += d.values
	}
	t.Logf("%d values in %d jobs", values, jobs)
}

func FuzzNothingButTheCommand(f *testing.F) {
	for i := range uint64(8) {
		f.Add(i, tricks[i])
	}
	f.Fuzz(func(t *testing.T, seed uint64, value string) {
		h := hostile{rand.New(rand.NewPCG(seed, 8))}
		d := h.declare()
		if value = strings.ReplaceAll(value, "\x00", ""); utf8.ValidString(value) && len(value) < 1<<10 {
			d.text = strings.Replace(d.text, `ZERO: ""`, "ZERO: "+quote(value), 1)
			d.env["ZERO"] = value
		}
		dir := t.TempDir()
		fuzztest.Bounded(t, func() { d.check(t, dir) })
	})
}

// check takes the job through everything that touches its values.
func (d declared) check(t *testing.T, dir string) {
	t.Helper()
	ctx := t.Context()
	file, err := spec.Load("job.yaml", []byte(d.text))
	if err != nil {
		t.Fatalf("%v\n%s", err, d.text)
	}
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	store, stored := storefake.New(), mem.New(clock)
	var launched []machine.Spec
	provider := fake.New(fake.Config{Now: clock, Location: "local", Live: func(s machine.Spec) fake.Life {
		launched = append(launched, s)
		return fake.Life{Run: time.Hour}
	}})
	r, err := reconcile.New(reconcile.Config{
		Installation: "hostile", Store: store, Bucket: stored, Parallel: 1, Providers: map[string]machine.Provider{"local": provider},
		Now: clock, Jitter: func(d time.Duration) time.Duration { return d }, Log: slog.New(slog.DiscardHandler),
		Secret: func(ref string) (string, error) { return d.secrets[ref], nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = reconcile.Request(ctx, store, file.Job, reconcile.Wish{Params: d.params}, now)
	if err != nil {
		t.Fatalf("%v\n%s", err, d.text)
	}
	if _, err := r.Pass(ctx, reconcile.Scope{}); err != nil {
		t.Fatal(err)
	}
	if len(launched) != 1 {
		t.Fatalf("%d machines were launched for\n%s", len(launched), d.text)
	}
	d.atTheMachine(ctx, t, launched[0], stored, dir, now)
}

// atTheMachine is the agent's part, from what the launch stored to what the sandbox is told to execute.
func (d declared) atTheMachine(ctx context.Context, t *testing.T, launched machine.Spec, b bucket.Bucket, dir string, now time.Time) {
	t.Helper()
	text, err := json.Marshal(launched) // as it lies in the machine's folder
	if err != nil {
		t.Fatal(err)
	}
	var s machine.Spec
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	for ref, value := range d.secrets {
		if len(value) > window && strings.Contains(string(text), value) {
			t.Errorf("the launch has the secret %s", ref)
		}
	}
	box := &lookOnly{}
	err = worker.Run(ctx, worker.Config{
		Task: s.Task, Secrets: launched.Secrets, Bucket: b, Sandbox: box, Dir: dir, WorkInside: "/work", ResultsInside: "/results",
		Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	want := maps.Clone(d.env)
	maps.Copy(want, map[string]string{
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/work", "LANG": "C.UTF-8", "TZ": "UTC",
		"DAYFLY_JOB": "hostile", "DAYFLY_RUN": string(s.Task.Run), "DAYFLY_SLOT": "2026-11-23T00:00:00Z", "DAYFLY_PREVIOUS_SUCCESS": "", "DAYFLY_ATTEMPT": "1",
		"DAYFLY_SHARD": "", "DAYFLY_SHARDS": "1", "DAYFLY_REGION": "", "DAYFLY_DEADLINE": s.Task.Deadline.Format(time.RFC3339), "DAYFLY_RESULTS": "/results",
	})
	sameVariables(t, box.told.Env, want)
	if box.told.Script != d.script || filepath.Base(box.told.Work) != "work" || filepath.Base(box.told.Results) != "results" {
		t.Errorf("executed is %q, want %q", box.told.Script, d.script)
	}
}

// sameVariables compares an environment with what it should be.
func sameVariables(t *testing.T, got []string, want map[string]string) {
	t.Helper()
	var expected []string
	for name, value := range want {
		expected = append(expected, name+"="+value)
	}
	slices.Sort(expected)
	got = slices.Sorted(slices.Values(got))
	for i := range max(len(got), len(expected)) {
		if i >= len(got) || i >= len(expected) || got[i] != expected[i] {
			t.Fatalf("the environment is %.2000q, want %.2000q", got, expected)
		}
	}
}

// lookOnly is a sandbox that remembers what it was to execute.
type lookOnly struct{ told machine.Command }

func (*lookOnly) Isolation() dayfly.Isolation { return dayfly.IsolationFull }
func (*lookOnly) Notes() []string             { return nil }
func (b *lookOnly) Start(_ context.Context, c machine.Command) (machine.Process, error) {
	b.told = c
	return overAtOnce{}, nil
}

// overAtOnce is a job that has ended well.
type overAtOnce struct{}

func (overAtOnce) Signal(syscall.Signal) error { return nil }
func (overAtOnce) Wait() (machine.Exit, error) { return machine.Exit{}, nil }

// TestBadNames: what would be read as something else where it is a name is refused, and nothing is made of it.
func TestBadNames(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := hostile{rand.New(rand.NewPCG(seed, 9))}
	variable, job := regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`), regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,47}$`)
	refused := 0
	for range 600 {
		name := h.value()
		for where, c := range map[string]struct {
			text string
			good bool
		}{
			"env":         {"name: x\nrun: y\nenv: {" + quote(name) + ": v}\n", variable.MatchString(name)},
			"secrets":     {"name: x\nrun: y\nsecrets: {" + quote(name) + ": env:A}\n", variable.MatchString(name)},
			"a reference": {"name: x\nrun: y\nsecrets: {A: " + quote("env:"+name) + "}\n", variable.MatchString(name)},
			"name":        {"name: " + quote(name) + "\nrun: y\n", job.MatchString(name)},
			"isolation":   {"name: x\nrun: y\nmachine: {isolation: " + quote(name) + "}\n", false},
			"timezone":    {"name: x\nrun: y\ntimezone: " + quote(name) + "\n", false},
			"schedule":    {"name: x\nrun: y\nschedule: " + quote(name) + "\n", false},
			"NUL":         {"name: x\nrun: y\nenv: {A: " + quote(name+"\x00") + "}\n", false},
			"NUL in run":  {"name: x\nrun: " + quote(name+"\x00") + "\n", false},
		} {
			_, err := spec.Load("job.yaml", []byte(c.text))
			if (err == nil) != c.good && !(c.good && strings.HasPrefix(name, "DAYFLY_")) {
				t.Fatalf("%s: %q is taken for good: %v", where, name, err == nil)
			}
			if err != nil {
				refused++
			}
		}
	}
	t.Logf("%d refused", refused)
}

// TestFilesOfAnyName: files reach the machine under the names they have, whatever those would mean to a shell.
func TestFilesOfAnyName(t *testing.T) {
	t.Parallel()
	h := hostile{rand.New(rand.NewPCG(10, 10))}
	from, to := t.TempDir(), t.TempDir()
	want := map[string]string{}
	for i := range 500 {
		name := strings.NewReplacer("/", "_", "\x00", "").Replace(h.bytes())
		if name == "" || name == "." || name == ".." || len(name) > 200 {
			continue
		}
		name = fmt.Sprint(i%7, name) // some begin alike
		want[name] = name
		if err := os.WriteFile(filepath.Join(from, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	names := slices.Collect(maps.Keys(want))
	r, w := io.Pipe()
	go func() {
		_, err := archive.Pack(w, from, names, archive.Limits{})
		w.CloseWithError(errors.Join(err, io.EOF))
	}()
	if _, err := archive.Unpack(r, to, archive.Limits{}); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	got, err := os.ReadDir(to)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d files of %d, %v", len(got), len(want), err)
	}
	for _, e := range got {
		if text, err := os.ReadFile(filepath.Join(to, e.Name())); err != nil || string(text) != want[e.Name()] {
			t.Errorf("%q holds %q, %v", e.Name(), text, err)
		}
	}
}
