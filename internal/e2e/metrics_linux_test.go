package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var scrapeURL = regexp.MustCompile(`http://[^ "]+/metrics`)

// TestMetricsReal scrapes a daemon as Prometheus does, and reads its log as a collector of logs does.
func TestMetricsReal(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	const secret = "correct-horse-battery"
	path := h.job("pi", "secrets: {WORD: env:PI_WORD}\nrun: |\n  test \"$WORD\" = "+`"$(printf 'correct-%s' horse-battery)"`+"; echo \"$WORD\"\ntimeout: 30s\ndeadline: 60s\n")
	bad := h.job("bad", "run: exit 3\ntimeout: 30s\ndeadline: 60s\n")
	out, err := os.Create(h.jobs + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	daemon := h.command("serve", "--metrics", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug")
	daemon.Stderr = out
	daemon.Env = append(daemon.Env, "PI_WORD="+secret)
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = daemon.Process.Kill(); _ = daemon.Wait() })
	log := func() []byte {
		text, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	await(t, time.Minute, "it says where its metrics are", func() bool { return scrapeURL.Match(log()) })
	url := string(scrapeURL.Find(log()))
	h.want(0, "run", path)
	h.want(5, "run", bad)
	var families map[string]*dto.MetricFamily
	await(t, time.Minute, "both runs are counted, and gone", func() bool {
		families = scrape(t, url)
		return count(families, "dayfly_runs_ended_total", "job_name=pi", "outcome=succeeded") == 1 &&
			count(families, "dayfly_runs_ended_total", "job_name=bad", "outcome=failed") == 1 &&
			count(families, "dayfly_machines", "location=local") == 0
	})
	for what, want := range map[string]bool{
		"the last run of bad":  count(families, "dayfly_job_last_run_failed", "job_name=bad") == 1,
		"the last run of pi":   count(families, "dayfly_job_last_run_failed", "job_name=pi") == 0,
		"launches":             count(families, "dayfly_provider_calls_total", "call=launch", "result=ok") == 2,
		"attempts":             count(families, "dayfly_attempts_begun_total", "provider=local") == 2,
		"passes":               count(families, "dayfly_passes_total", "result=ok") > 2,
		"changes of records":   count(families, "dayfly_store_commits_total", "result=ok") > 5,
		"looks of the reaper":  count(families, "dayfly_reaps_total", "result=ok") > 0,
		"when pi succeeded":    count(families, "dayfly_job_last_success_timestamp_seconds", "job_name=pi") > 1.7e9,
		"which dayfly it is":   count(families, "dayfly_build_info") == 1,
		"memory":               count(families, "process_resident_memory_bytes") > 0,
		"goroutines":           count(families, "go_goroutines") > 0,
		"one name for each":    len(families) > 50,
		"no id of a run":       !strings.Contains(labels(families), "pi-2"),
		"no name of a machine": !strings.Contains(labels(families), "local/"),
	} {
		if !want {
			t.Errorf("%s: it is not so in %s", what, labels(families))
		}
	}
	resp, err := http.Get(strings.TrimSuffix(url, "metrics") + "healthz")
	if err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("there is more than metrics where they are: %v, %v", resp, err)
	}
	if err == nil {
		resp.Body.Close()
	}
	_ = daemon.Process.Signal(os.Interrupt)
	_ = daemon.Wait()
	checkLog(t, log(), secret)
}

// checkLog reads a log in JSON.
func checkLog(t *testing.T, text []byte, secret string) {
	t.Helper()
	if bytes.Contains(text, []byte(secret)) {
		t.Error("a secret is in the log")
	}
	said := map[string]map[string]any{}
	for line := range bytes.Lines(text) {
		var r map[string]any
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if r["time"] == nil || r["level"] == nil || r["msg"] == nil {
			t.Errorf("a line has no time, level or msg: %s", line)
		}
		said[r["msg"].(string)] = r
	}
	for msg, keys := range map[string][]string{
		"attempt begun": {"job", "run", "attempt", "provider", "deadline", "pass"},
		"run ended":     {"job", "run", "outcome", "pass"},
		"run moved":     {"job", "run", "from", "to", "pass"},
	} {
		for _, key := range keys {
			if said[msg][key] == nil {
				t.Errorf("%q has no %s: %v", msg, key, said[msg])
			}
		}
	}
	if said["Stopping; machines under way go on."] == nil {
		t.Error("what is said to people is not in the log")
	}
}

func scrape(t testing.TB, url string) map[string]*dto.MetricFamily {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("scrape: %s, %v", resp.Status, err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("what is scraped cannot be read: %v", err)
	}
	for name, f := range families {
		if f.GetHelp() == "" || f.Type == nil {
			t.Errorf("%s says not what it is", name)
		}
	}
	return families
}

// count is the value of a series, -1 where there is none.
func count(families map[string]*dto.MetricFamily, name string, want ...string) float64 {
	for _, m := range families[name].GetMetric() {
		has := 0
		for _, l := range m.GetLabel() {
			for _, w := range want {
				if w == l.GetName()+"="+l.GetValue() {
					has++
				}
			}
		}
		if has == len(want) {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return -1
}

func labels(families map[string]*dto.MetricFamily) string {
	var b strings.Builder
	for name, f := range families {
		for _, m := range f.GetMetric() {
			b.WriteString(name + " " + m.String() + "\n")
		}
	}
	return b.String()
}
