package e2e_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestExamplesReal runs every example as it stands in the tree, but for the places it names.
func TestExamplesReal(t *testing.T) {
	t.Parallel()
	stories := map[string]func(*testing.T, *home){ // by the folder of the example
		"pi": examplePi, "sqlite-backup": exampleSQLite, "postgres-backup": examplePostgres, "rotate": exampleRotate,
		"report": exampleReport, "rates": exampleRates, "checkpoint": exampleCheckpoint, "shards": exampleShards,
	}
	dirs, err := os.ReadDir("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/examples.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if stories[d.Name()] == nil {
			t.Errorf("no test runs the example %s", d.Name())
		}
		if !bytes.Contains(page, []byte("(../examples/"+d.Name()+")")) {
			t.Errorf("docs/examples.md says nothing of %s", d.Name())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(stories)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stories[name](t, newHome(t))
		})
	}
}

// needs skips a story whose program this host has not; where nothing may be skipped, that is said to be wrong.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("no %s; scripts/prepare installs it", program)
	}
}

// example copies an example and changes what must not stay as it is: each pair is a text that stands once in the
// job file, and what comes in its place. It gives the path of the job file.
func (h *home) example(name string, pairs ...string) string {
	h.t.Helper()
	dir := filepath.Join(h.jobs, name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("../../examples", name))); err != nil {
		h.t.Fatal(err)
	}
	path := filepath.Join(dir, name+".yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if n := bytes.Count(text, []byte(pairs[i])); n != 1 {
			h.t.Fatalf("%s stands %d times in %s", pairs[i], n, path)
		}
		text = bytes.Replace(text, []byte(pairs[i]), []byte(pairs[i+1]), 1)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// run runs a job to its good end, and gives its log and the directory with its results.
func (h *home) run(path string) (log, results string) {
	h.t.Helper()
	log, code := h.dayfly("run", path)
	if code != 0 {
		h.t.Fatalf("dayfly run %s: exit code %d\n%s", path, code, log)
	}
	return log, h.results(h.history()[0].ID)
}

// results copies the results of a run out.
func (h *home) results(run string) string {
	h.t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(h.dir), "results-*")
	if err != nil {
		h.t.Fatal(err)
	}
	if out, code := h.dayfly("results", run, "--to", dir); code != 0 {
		h.t.Fatalf("dayfly results %s: exit code %d\n%s", run, code, out)
	}
	return dir
}

// place makes a directory outside of the installation.
func (h *home) place(name string) string {
	h.t.Helper()
	dir := filepath.Join(filepath.Dir(h.dir), name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// names are what lies in a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// today is the day of a slot that is now.
func today(r record) string { return r.Slot.UTC().Format(time.DateOnly) }

func examplePi(t *testing.T, h *home) {
	path := h.example("pi", "DURATION: 5s", "DURATION: 1s")
	build := exec.Command("go", "build", "-o", filepath.Join(filepath.Dir(path), "bin", "pie"), "../../examples/pi/pie")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	_, results := h.run(path)
	if pi := read(t, filepath.Join(results, "pi.txt")); !strings.HasPrefix(pi, "3.14159265358979323846") {
		t.Errorf("pi.txt begins %.30q", pi)
	}
}

// exampleSQLite copies a database while somebody writes to it.
func exampleSQLite(t *testing.T, h *home) {
	needs(t, "python3")
	db := filepath.Join(h.place("app"), "app.db")
	const writer = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("pragma journal_mode=wal")
db.execute("create table pairs (a integer, b integer)")
n = 0
while True:
    db.execute("begin")
    for _ in range(50):
        db.execute("insert into pairs values (?, ?)", (n, -n))
        n += 1
    db.execute("commit")
    print(n, flush=True)
`
	w := exec.CommandContext(t.Context(), "python3", "-c", writer, db)
	out, err := w.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Process.Kill(); _ = w.Wait() }()
	var wrote sync.WaitGroup
	first := make(chan struct{})
	wrote.Go(func() {
		b := make([]byte, 4096)
		for n := 0; ; n++ {
			if _, err := out.Read(b); err != nil {
				return
			}
			if n == 0 {
				close(first)
			}
		}
	})
	<-first
	_, results := h.run(h.example("sqlite-backup", "/var/lib/app/app.db", db))
	_ = w.Process.Kill()
	wrote.Wait()
	copied := filepath.Join(results, "app-"+today(h.history()[0])+".db.gz")
	f, err := os.Open(copied)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(plain); err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(h.place("restored"), "app.db")
	write(t, restored, text.String())
	const check = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(db.execute("select count(*) > 0, count(*) % 50, sum(a + b), count(*) - count(distinct a) from pairs").fetchone(), db.execute("pragma integrity_check").fetchone())
`
	said, err := exec.Command("python3", "-c", check, restored).CombinedOutput()
	if err != nil || string(said) != "(1, 0, 0, 0) ('ok',)\n" {
		t.Errorf("the copy holds %s, %v; want whole transactions only", said, err)
	}
}

// exampleRotate rotates logs twice: what was rotated before today is packed and uploaded, once.
func exampleRotate(t *testing.T, h *home) {
	logs, archive := h.place("log"), filepath.Join(h.place("mnt"), "archive")
	write(t, filepath.Join(logs, "app.log"), "today\n")
	write(t, filepath.Join(logs, "empty.log"), "")
	write(t, filepath.Join(logs, "app.log.2026-01-01"), "long ago\n")
	write(t, filepath.Join(logs, "with blank.log.2026-01-02"), "blank\n")
	write(t, filepath.Join(logs, "ancient.log.2020-01-01.gz"), "packed before\n")
	long := time.Now().AddDate(0, -2, 0)
	if err := os.Chtimes(filepath.Join(logs, "ancient.log.2020-01-01.gz"), long, long); err != nil {
		t.Fatal(err)
	}
	path := h.example("rotate", "/var/log/app", logs, "/mnt/archive/app", archive)
	_, results := h.run(path)
	day := today(h.history()[0])
	if have, want := names(t, logs), []string{"app.log", "app.log." + day, "app.log.2026-01-01.gz", "empty.log", "with blank.log.2026-01-02.gz"}; !slices.Equal(slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(want))) {
		t.Errorf("the logs are %q, want %q", have, want)
	}
	if read(t, filepath.Join(logs, "app.log")) != "" || read(t, filepath.Join(logs, "app.log."+day)) != "today\n" {
		t.Error("today's log is not rotated")
	}
	uploaded := []string{"ancient.log.2020-01-01.gz", "app.log.2026-01-01.gz", "with blank.log.2026-01-02.gz"}
	if have := names(t, archive); !slices.Equal(have, uploaded) {
		t.Errorf("the archive holds %q, want %q", have, uploaded)
	}
	unpacked, err := exec.Command("gzip", "-dc", filepath.Join(archive, "app.log.2026-01-01.gz")).Output()
	if err != nil || string(unpacked) != "long ago\n" {
		t.Errorf("the archive's copy holds %q, %v", unpacked, err)
	}
	sums := exec.Command("sha256sum", "--check", "--strict", filepath.Join(results, "uploaded.sha256"))
	sums.Dir = archive
	if out, err := sums.CombinedOutput(); err != nil || strings.Count(string(out), ": OK") != 3 {
		t.Errorf("the list of what was uploaded: %s, %v", out, err)
	}
	if log, _ := h.run(path); strings.Contains(log, "uploaded") || read(t, filepath.Join(logs, "app.log."+day)) != "today\n" {
		t.Errorf("the second run did it again:\n%s", log)
	}
}

func exampleReport(t *testing.T, h *home) {
	needs(t, "python3")
	log, results := h.run(h.example("report"))
	if !strings.Contains(log, "7 days, 356 orders, 16228.45") {
		t.Errorf("the log is %q", log)
	}
	if have := names(t, results); !slices.Equal(have, []string{"report.html", "revenue.svg"}) {
		t.Fatalf("the results are %q", have)
	}
	svg, page := read(t, filepath.Join(results, "revenue.svg")), read(t, filepath.Join(results, "report.html"))
	if n := strings.Count(svg, `fill="#2b6cb0"`); n != 7 || !strings.Contains(page, strings.TrimSpace(svg)) || !strings.Contains(page, "the best day was 2026-11-21") {
		t.Errorf("%d bars in\n%s", n, page)
	}
}

// exampleRates fetches the day of the slot, from a server that knows days.
func exampleRates(t *testing.T, h *home) {
	needs(t, "python3")
	var mu sync.Mutex
	asked := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		day := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1/"), ".json")
		mu.Lock()
		defer mu.Unlock()
		if asked[day]++; asked[day] == 1 {
			http.Error(w, "not yet", http.StatusServiceUnavailable) // the retry gets it
			return
		}
		fmt.Fprintf(w, `{"day": %q, "rates": {"USD": 1.08, "SEK": 11.2}}`, day)
	}))
	defer server.Close()
	path := h.example("rates", "https://rates.example.org", server.URL, "backoff: 2m", "backoff: 0s")
	_, results := h.run(path)
	day := today(h.history()[0])
	if have, want := read(t, filepath.Join(results, "rates-"+day+".csv")), "day,currency,rate\r\n"+day+",SEK,11.2\r\n"+day+",USD,1.08\r\n"; have != want {
		t.Errorf("the results are %q, want %q", have, want)
	}
	wanted := map[string]int{day: 2}
	for _, args := range [][]string{
		{"apply", path},
		{"backfill", "rates", "--from", "2020-03-28", "--to", "2020-03-30", "--yes"}, // the clock changes on the second day
		{"backfill", "rates", "--from", "2020-03-28", "--to", "2020-03-30", "--yes"}, // once more there is nothing to do
	} {
		if out, code := h.dayfly(args...); code != 0 {
			t.Fatalf("dayfly %s: exit code %d\n%s", strings.Join(args, " "), code, out)
		}
	}
	for _, id := range []string{"rates-20200328T143000Z.n1", "rates-20200329T133000Z.n1", "rates-20200330T133000Z.n1"} {
		was := fmt.Sprintf("%s-%s-%s", id[6:10], id[10:12], id[12:14])
		wanted[was] = 2
		if have := read(t, filepath.Join(h.results(id), "rates-"+was+".csv")); !strings.HasPrefix(have, "day,currency,rate\r\n"+was+",") {
			t.Errorf("%s left %q", id, have)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if !maps.Equal(asked, wanted) {
		t.Errorf("asked for %v, want %v", asked, wanted)
	}
}

// exampleCheckpoint fails in the middle; the next attempt goes on there.
func exampleCheckpoint(t *testing.T, h *home) {
	needs(t, "python3")
	var mu sync.Mutex
	asked := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var page int
		if _, err := fmt.Sscanf(r.URL.Path, "/page/%d", &page); err != nil || page > 5 {
			http.NotFound(w, r)
			return
		}
		if asked[r.URL.Path]++; page == 4 && asked[r.URL.Path] < 3 {
			http.Error(w, "gone for a while", http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string][]string{"items": {fmt.Sprint("a", page), fmt.Sprint("b", page)}})
	}))
	defer server.Close()
	state := h.place("state")
	log, results := h.run(h.example("checkpoint", "https://catalogue.example.org", server.URL, "/var/lib/app/checkpoints", state, "backoff: 1m", "backoff: 0s"))
	if have, want := read(t, filepath.Join(results, "items.txt")), "a1\nb1\na2\nb2\na3\nb3\na4\nb4\na5\nb5\n"; have != want {
		t.Errorf("the items are %q, want %q", have, want)
	}
	if n := len(h.history()[0].Attempts); n != 3 || !strings.Contains(log, "attempt 3 goes on at page 4") {
		t.Errorf("%d attempts, the log of all is\n%s", n, log)
	}
	if left := names(t, state); len(left) > 0 {
		t.Errorf("%q stays behind", left)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := map[string]int{"/page/1": 1, "/page/2": 1, "/page/3": 1, "/page/4": 3, "/page/5": 1}; !maps.Equal(asked, want) {
		t.Errorf("asked for %v, want %v", asked, want)
	}
}

// exampleShards runs all parts of a job, and finds every book counted in one of them.
func exampleShards(t *testing.T, h *home) {
	out, code := h.dayfly("run", h.example("shards"))
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	dir := h.place("parts")
	counted := map[string]string{} // the book → its words and the part
	for shard := range 4 {
		if out, code := h.dayfly("results", "shards", "--shard", fmt.Sprint(shard), "--to", dir); code != 0 {
			t.Fatalf("results of shard %d: exit code %d\n%s", shard, code, out)
		}
		for line := range strings.Lines(read(t, filepath.Join(dir, fmt.Sprintf("part-%d.txt", shard)))) {
			book, words, _ := strings.Cut(strings.TrimSpace(line), " ")
			counted[book] += fmt.Sprintf("%s in %d;", words, shard)
		}
	}
	want := map[string]string{}
	for n := range 7 {
		want[fmt.Sprintf("book-%d.txt", n+1)] = fmt.Sprintf("%d in %d;", (n+1)*10, n%4)
	}
	if !maps.Equal(counted, want) {
		t.Errorf("counted %v, want %v", counted, want)
	}
}
