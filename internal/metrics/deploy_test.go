package metrics_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/dayfly-io/dayfly/internal/metrics"
)

var update = flag.Bool("update", false, "write docs/metrics.md as it should be")

// family is one metric as it is exported.
type family struct {
	kind, help string
	labels     []string
}

// exported is every metric of dayfly's own, with a series of each.
func exported(t *testing.T) map[string]family {
	t.Helper()
	m, _ := setup()
	everything(m)
	return gathered(t, m)
}

func gathered(t *testing.T, m *metrics.Metrics) map[string]family {
	t.Helper()
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]family{}
	for _, f := range families {
		labels := map[string]bool{}
		for _, one := range f.GetMetric() {
			for _, l := range one.GetLabel() {
				labels[l.GetName()] = true
			}
		}
		all[f.GetName()] = family{strings.ToLower(f.GetType().String()), f.GetHelp(), slices.Sorted(maps.Keys(labels))}
	}
	return all
}

var (
	selector = regexp.MustCompile(`\b(dayfly|go|process)_[a-z_]+(\{[^}]*\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)\s*"`)
	grouping = regexp.MustCompile(`\b(?:by|on)\s*\(([^)]*)\)`)
)

// checkExpr looks whether everything that an expression names is exported.
func checkExpr(t *testing.T, where, expr string, all map[string]family) {
	t.Helper()
	if strings.Count(expr, "(") != strings.Count(expr, ")") || strings.Count(expr, "{") != strings.Count(expr, "}") {
		t.Errorf("%s: brackets in %s", where, expr)
	}
	var labels []string // of what it names
	found := selector.FindAllString(expr, -1)
	for _, s := range found {
		name, matchers, _ := strings.Cut(s, "{")
		f, ok := all[name]
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			if base, cut := strings.CutSuffix(name, part); cut && !ok {
				if f, ok = all[base]; f.kind != "histogram" {
					ok = false
				}
				f.labels = append(slices.Clone(f.labels), "le")
			}
		}
		if !ok {
			t.Errorf("%s: there is no %s: %s", where, name, expr)
			continue
		}
		for _, m := range matcher.FindAllStringSubmatch(matchers, -1) {
			if !slices.Contains(f.labels, m[1]) {
				t.Errorf("%s: %s has no label %s: %s", where, name, m[1], expr)
			}
		}
		labels = append(labels, f.labels...)
		counter := f.kind == "counter" || f.kind == "histogram"
		if ranged := strings.Contains(expr, s+"["); counter && !ranged && !strings.Contains(expr, "label_values("+name) {
			t.Errorf("%s: %s only ever grows; it is of use in rate or increase: %s", where, name, expr)
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(g[1], ",") {
			if label = strings.TrimSpace(label); label != "instance" && !slices.Contains(labels, label) {
				t.Errorf("%s: nothing there has a label %s: %s", where, label, expr)
			}
		}
	}
	if len(found) == 0 {
		t.Errorf("%s: nothing of dayfly is in %s", where, expr)
	}
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/prometheus/dayfly.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	all, operating := exported(t), readDoc(t, "operating.md")
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			checkExpr(t, r.Alert, r.Expr, all)
			if !slices.Contains([]string{"warning", "critical"}, r.Labels["severity"]) || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s: an alert says how bad it is, what is the matter, and what to do", r.Alert)
			}
			if !strings.Contains(operating, "`"+r.Alert+"`") {
				t.Errorf("%s is not in docs/operating.md", r.Alert)
			}
		}
		if len(g.Rules) < 10 {
			t.Errorf("group %s has %d alerts", g.Name, len(g.Rules))
		}
	}
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDashboard(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/grafana/dayfly.json")
	if err != nil {
		t.Fatal(err)
	}
	type target struct {
		RefID string `json:"refId"`
		Expr  string `json:"expr"`
	}
	var board struct {
		Title      string `json:"title"`
		UID        string `json:"uid"`
		Templating struct {
			List []struct {
				Name  string `json:"name"`
				Query any    `json:"query"`
			} `json:"list"`
		} `json:"templating"`
		Annotations struct {
			List []struct {
				Expr string `json:"expr"`
			} `json:"list"`
		} `json:"annotations"`
		Panels []struct {
			ID         int      `json:"id"`
			Title      string   `json:"title"`
			Targets    []target `json:"targets"`
			Datasource struct {
				UID string `json:"uid"`
			} `json:"datasource"`
			GridPos struct{ X, Y, W, H int } `json:"gridPos"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	all := exported(t)
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("panel %d %q: its id, title, source or targets", p.ID, p.Title)
		}
		ids[p.ID] = true
		refs := map[string]bool{}
		for _, one := range p.Targets {
			checkExpr(t, p.Title, strings.ReplaceAll(one.Expr, "$__rate_interval", "5m"), all)
			if refs[one.RefID] {
				t.Errorf("%s: two targets %s", p.Title, one.RefID)
			}
			refs[one.RefID] = true
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s lies over %s, or outside", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	for _, a := range board.Annotations.List {
		checkExpr(t, "annotation", a.Expr, all)
	}
	checkExpr(t, "variable", fmt.Sprint(board.Templating.List[1].Query), all)
	if len(board.Panels) < 10 || board.UID != "dayfly" {
		t.Errorf("%d panels of %s", len(board.Panels), board.UID)
	}
}

const (
	tableBegin = "<!-- metrics: made by `go test ./internal/metrics -run TestDocs -update` -->\n"
	tableEnd   = "<!-- end -->\n"
)

// What is exported is what docs/metrics.md lists.
func TestDocs(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("\n| metric | kind | labels | what it is |\n|---|---|---|---|\n")
	all := exported(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if f := all[name]; strings.HasPrefix(name, "dayfly_") {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, f.kind, strings.Join(f.labels, ", "), f.help)
		}
	}
	b.WriteString("\n")
	text := readDoc(t, "metrics.md")
	before, rest, ok := strings.Cut(text, tableBegin)
	table, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatal("docs/metrics.md has no place for the table")
	}
	if diff := cmp.Diff(b.String(), table); diff != "" && !*update {
		t.Errorf("docs/metrics.md, -want +got\n%s", diff)
	}
	if *update {
		if err := os.WriteFile("../../docs/metrics.md", []byte(before+tableBegin+b.String()+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
