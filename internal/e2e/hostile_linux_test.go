package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hostileScript shows what it was executed as, and gives back the files it finds.
const hostileScript = `cat /proc/$$/environ > "$DAYFLY_RESULTS/environ"
cat /proc/$$/cmdline > "$DAYFLY_RESULTS/cmdline"
cat "$0" > "$DAYFLY_RESULTS/script"
cp -R ./names "$DAYFLY_RESULTS/"
# `

// TestNothingButTheCommandReal is TestNothingButTheCommand through the built binary and the real
// sandbox: the kernel's word for what was executed, in which environment, among which files.
func TestNothingButTheCommandReal(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := hostile{rand.New(rand.NewPCG(seed, 11))}
	place := newHome(t)
	for i := range 24 {
		d := h.declare()
		comment := strings.NewReplacer("\n", "", "\r", "").Replace(h.value())
		d.text = strings.Replace(d.text, "run: "+quote(d.script)+"\n", "run: "+quote(hostileScript+comment)+"\nfiles: [names]\n", 1)
		d.script = hostileScript + comment
		d.run(t, place, h, i)
		if t.Failed() {
			return
		}
	}
}

// run runs the job and compares what it saw.
func (d declared) run(t *testing.T, place *home, h hostile, i int) {
	t.Helper()
	dir := filepath.Join(place.jobs, fmt.Sprint(i))
	if err := os.MkdirAll(filepath.Join(dir, "names"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for ref, value := range d.secrets {
		name := filepath.Base(ref)
		write(name, value+"\n")
		d.text = strings.ReplaceAll(d.text, ref, "file:"+filepath.Join(dir, name))
		if strings.HasSuffix(value, "\r") {
			d.env["S"+name] = strings.TrimSuffix(value, "\r") // a line of Windows ends so
		}
	}
	names := map[string]bool{}
	for n := range 20 {
		name := strings.NewReplacer("/", "_").Replace(h.bytes())
		if name = fmt.Sprint(n%3, name); len(name) < 200 {
			names[name] = true
			write(filepath.Join("names", name), name)
		}
	}
	write("job.yaml", d.text)
	args := []string{"run", "-o", "json"}
	for name, value := range d.params {
		args = append(args, "--param", name+"="+value)
	}
	out, code := place.dayfly(append(args, filepath.Join(dir, "job.yaml"))...)
	var run record
	if err := json.Unmarshal([]byte(out), &run); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v in %s", code, err, out)
	}
	to := filepath.Join(dir, "out")
	if _, code := place.dayfly("results", run.ID, "--to", to); code != 0 {
		t.Fatalf("results: exit code %d", code)
	}
	d.compare(t, to, names)
}

// compare reads what the job left: what it saw, and the files it was given.
func (d declared) compare(t *testing.T, to string, names map[string]bool) {
	t.Helper()
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(to, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var env []string
	for v := range strings.SplitSeq(strings.TrimSuffix(read("environ"), "\x00"), "\x00") {
		name, _, _ := strings.Cut(v, "=")
		if _, declared := d.env[name]; !declared && (slices.Contains([]string{"PATH", "HOME", "LANG", "TZ"}, name) || strings.HasPrefix(name, "DAYFLY_")) {
			continue // dayfly's own
		}
		env = append(env, v)
	}
	sameVariables(t, env, d.env)
	if got := read("script"); got != d.script {
		t.Errorf("executed is %q, want %q", got, d.script)
	}
	argv := strings.Split(strings.TrimSuffix(read("cmdline"), "\x00"), "\x00")
	if len(argv) != 3 || argv[0] != "/bin/sh" || argv[1] != "-eu" || filepath.Base(argv[2]) != "job" {
		t.Errorf("executed is %q", argv)
	}
	entries, err := os.ReadDir(filepath.Join(to, "names"))
	if err != nil || len(entries) != len(names) {
		t.Errorf("%d files of %d came back, %v", len(entries), len(names), err)
	}
	for _, e := range entries {
		if got := read(filepath.Join("names", e.Name())); !names[e.Name()] || !bytes.Equal([]byte(got), []byte(e.Name())) {
			t.Errorf("the file %q came back with %q", e.Name(), got)
		}
	}
}
