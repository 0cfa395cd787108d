package internal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/dayfly-io/dayfly"

// pkg is what `go list` says of a package, in the names used here.
type pkg struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// listed returns the packages of the module for an operating system.
func listed(t *testing.T, goos string) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("read what go list says: %v", err)
		}
		p.ImportPath = short(p.ImportPath)
		for _, imports := range [][]string{p.Imports, p.TestImports, p.XTestImports} {
			for i := range imports {
				imports[i] = short(imports[i])
			}
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) == 0 {
		t.Fatal("go list names no package")
	}
	return pkgs
}

func short(importPath string) string {
	if importPath == module {
		return "dayfly"
	}
	return strings.TrimPrefix(importPath, module+"/")
}

func ours(p string) bool {
	return p == "dayfly" || p == "internal" || strings.HasPrefix(p, "internal/") && !strings.Contains(p, ".") ||
		strings.HasPrefix(p, "cmd/") || strings.HasPrefix(p, "examples/")
}

func thirdParty(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !ours(p) && strings.Contains(first, ".")
}

// below says whether p is folder or stands in it.
func below(p, folder string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }

func isTestKit(p string) bool { return slices.Contains(testKits, p) }

// layer returns the number of the layer whose entry fits p best, or -1.
func layer(p string) int {
	found, length := -1, -1
	for i, names := range layers {
		for _, name := range names {
			if below(p, name) && len(name) > length {
				found, length = i, len(name)
			}
		}
	}
	return found
}

// plain says whether an import needs no reason: it goes down, to an adapter
// only from cmd and the tests above it, from an adapter only to its own port
// and the words.
func plain(from, to string) bool {
	f, t := layer(from), layer(to)
	switch {
	case f <= t:
		return false
	case t == adapters:
		return below(from, "cmd") || below(from, "internal/e2e")
	case f == adapters:
		return to == "dayfly" || to == path.Dir(from)
	default:
		return true
	}
}

// violations returns what is wrong with the imports of pkgs.
func violations(pkgs []pkg, edges []edge, dependencies []dependency) []string {
	var wrong []string
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, p := range pkgs {
		if p.ImportPath == "internal" || isTestKit(p.ImportPath) {
			continue
		}
		if layer(p.ImportPath) < 0 {
			complain("%s stands in no layer: give it its place in layers", p.ImportPath)
		}
		for _, to := range p.Imports {
			switch {
			case isTestKit(to):
				complain("%s imports %s, which is for tests", p.ImportPath, to)
			case ours(to) && !slices.ContainsFunc(edges, func(e edge) bool { return e.from == p.ImportPath && e.to == to }):
				complain("%s imports %s: if it must, add to edges {%q, %q, %q}", p.ImportPath, to, p.ImportPath, to, needed(p.ImportPath, to))
			case thirdParty(to):
				if err := mayUse(p.ImportPath, to, dependencies); err != nil {
					complain("%v", err)
				}
			case slices.Contains(pure, p.ImportPath) && matches(to, impure):
				complain("%s imports %s, but does no input or output", p.ImportPath, to)
			}
		}
		for _, to := range slices.Concat(p.TestImports, p.XTestImports) {
			if thirdParty(to) && !slices.ContainsFunc(dependencies, func(d dependency) bool { return below(to, d.module) }) {
				complain("the tests of %s import %s, which is not in dependencies", p.ImportPath, to)
			}
		}
	}
	for _, e := range edges {
		if e.why == "" && !plain(e.from, e.to) {
			complain("edge %s → %s does not go plainly down: it needs a reason", e.from, e.to)
		}
	}
	return wrong
}

// needed is what has to stand as the reason of an edge.
func needed(from, to string) string {
	if plain(from, to) {
		return ""
	}
	return "the reason: it does not go plainly down"
}

func mayUse(from, to string, dependencies []dependency) error {
	for _, d := range dependencies {
		if !below(to, d.module) {
			continue
		}
		if slices.ContainsFunc(d.by, func(folder string) bool { return below(from, folder) }) {
			return nil
		}
		if d.by == nil {
			return fmt.Errorf("%s imports %s, which is for tests", from, to)
		}
		return fmt.Errorf("%s imports %s, which only %s may: %s", from, to, strings.Join(d.by, ", "), d.why)
	}
	return fmt.Errorf("%s imports %s: a new dependency needs a line in dependencies", from, to)
}

func matches(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		folder, isFolder := strings.CutSuffix(pattern, "/*")
		return isFolder && below(name, folder) && name != folder || name == pattern
	})
}

// reached returns everything that the packages import, directly and through
// one another, each with the package that imports it.
func reached(pkgs []pkg, from string) map[string]string {
	imports := map[string][]string{}
	for _, p := range pkgs {
		imports[p.ImportPath] = p.Imports
	}
	via := map[string]string{}
	for todo := []string{from}; len(todo) > 0; todo = todo[1:] {
		for _, to := range imports[todo[0]] {
			if _, seen := via[to]; !seen {
				via[to] = todo[0]
				todo = append(todo, to)
			}
		}
	}
	return via
}

func TestImportsGoDown(t *testing.T) {
	t.Parallel()
	used := map[edge]bool{}
	var all []pkg
	for _, goos := range []string{"linux", "darwin"} {
		pkgs := listed(t, goos)
		all = append(all, pkgs...)
		for _, wrong := range violations(pkgs, edges, dependencies) {
			t.Errorf("%s: %s", goos, wrong)
		}
		for _, p := range pkgs {
			for _, to := range p.Imports {
				used[edge{from: p.ImportPath, to: to}] = true
			}
		}
		for _, u := range unreachable {
			via := reached(pkgs, u.from)
			for _, to := range slices.Sorted(maps.Keys(via)) {
				if slices.ContainsFunc(u.to, func(no string) bool { return below(to, strings.TrimSuffix(no, "/")) }) {
					t.Errorf("%s: %s reaches %s through %s: %s", goos, u.from, to, via[to], u.why)
				}
			}
		}
	}
	for _, e := range edges {
		if !used[edge{from: e.from, to: e.to}] {
			t.Errorf("edge %s → %s is allowed and not used: remove the line", e.from, e.to)
		}
	}
	for _, line := range idle(all, dependencies) {
		t.Error(line)
	}
}

// idle returns the packages that may import a module of others and do not.
// Packages that are not there yet are left alone.
func idle(pkgs []pkg, dependencies []dependency) []string {
	var lines []string
	for _, d := range dependencies {
		for _, folder := range d.by {
			exists, uses := false, false
			for _, p := range pkgs {
				if below(p.ImportPath, folder) {
					exists = true
					uses = uses || slices.ContainsFunc(p.Imports, func(to string) bool { return below(to, d.module) })
				}
			}
			if exists && !uses {
				lines = append(lines, fmt.Sprintf("%s may import %s and does not: take it out of dependencies", folder, d.module))
			}
		}
	}
	return lines
}

func TestIdlePermissionsAreSeen(t *testing.T) {
	t.Parallel()
	pkgs := []pkg{{ImportPath: "cmd/a", Imports: []string{"example.test/m/v2"}}, {ImportPath: "internal/b"}}
	got := idle(pkgs, []dependency{{"example.test/m", []string{"cmd", "internal/b", "internal/later"}, ""}})
	if len(got) != 1 || !strings.HasPrefix(got[0], "internal/b ") {
		t.Errorf("got %q, want internal/b alone", got)
	}
}

// TestTheRuleSeesWhatIsWrong shows the rule packages that break it.
func TestTheRuleSeesWhatIsWrong(t *testing.T) {
	t.Parallel()
	imports := func(from string, to ...string) []pkg { return []pkg{{ImportPath: from, Imports: to}} }
	tests := []struct {
		name string
		pkgs []pkg
		more []edge
		want string // "" when nothing is wrong
	}{
		{"nothing", imports("internal/reconcile", "dayfly", "context", "internal/machine"), nil, ""},
		{"an edge that is not listed", imports("internal/store", "internal/schedule"), nil, `add to edges {"internal/store", "internal/schedule", ""}`},
		{"the core imports an adapter", imports("internal/reconcile", "internal/store/sqlite"), nil, "the reason: it does not go plainly down"},
		{"the same with a line that has no reason", imports("internal/reconcile", "internal/store/sqlite"), []edge{{"internal/reconcile", "internal/store/sqlite", ""}}, "needs a reason"},
		{"the same with a reason", imports("internal/reconcile", "internal/store/sqlite"), []edge{{"internal/reconcile", "internal/store/sqlite", "for once"}}, ""},
		{"an import that goes up", nil, []edge{{"internal/machine", "internal/reconcile", ""}}, "needs a reason"},
		{"a port imports its neighbour", nil, []edge{{"internal/store", "internal/bucket", ""}}, "needs a reason"},
		{"an adapter imports another port", nil, []edge{{"internal/store/objects", "internal/bucket", ""}}, "needs a reason"},
		{"a command imports an adapter", nil, []edge{{"cmd/dayfly", "internal/store/sqlite", ""}}, ""},
		{"a package without a place", imports("internal/util"), nil, "stands in no layer"},
		{"a test kit that ships", imports("internal/daemon", "internal/store/storetest"), nil, "for tests"},
		{"a test library that ships", imports("internal/daemon", "pgregory.net/rapid"), nil, "for tests"},
		{"the database outside of its adapter", imports("internal/daemon", "modernc.org/sqlite"), nil, "only internal/store/sqlite may"},
		{"cobra outside of cmd", imports("internal/spec", "github.com/spf13/cobra"), nil, "only cmd may"},
		{"yaml outside of spec", imports("cmd/dayfly", "go.yaml.in/yaml/v4"), nil, "only internal/spec may"},
		{"the cloud outside of its adapters", imports("internal/agent", "github.com/aws/aws-sdk-go-v2/service/s3"), nil, "only internal/machine/ec2"},
		{"a dependency nobody asked for", imports("cmd/dayfly", "github.com/pkg/errors"), nil, "a new dependency"},
		{"a test's dependency nobody asked for", []pkg{{ImportPath: "dayfly", XTestImports: []string{"github.com/stretchr/testify/assert"}}}, nil, "not in dependencies"},
		{"words that open files", imports("dayfly", "os"), nil, "no input or output"},
		{"words that call", imports("dayfly", "net/http"), nil, "no input or output"},
		{"schedules that run programs", imports("internal/schedule", "os/exec"), nil, "no input or output"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(violations(tt.pkgs, append(tt.more, edges...), dependencies), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q in it", got, tt.want)
			}
		})
	}
	t.Run("what is reached through others", func(t *testing.T) {
		t.Parallel()
		via := reached([]pkg{
			{ImportPath: "a", Imports: []string{"b"}}, {ImportPath: "b", Imports: []string{"c", "a"}}, {ImportPath: "d", Imports: []string{"e"}},
		}, "a")
		if via["c"] != "b" || via["e"] != "" {
			t.Errorf("got %v, want c through b and no e", via)
		}
	})
}

// clockReadings returns the places of a file where it asks for the time, or
// waits for it, by itself.
func clockReadings(files *token.FileSet, file *ast.File) []string {
	var places []string
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		name, ok := call.X.(*ast.Ident)
		reads := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
		if ok && name.Name == "time" && name.Obj == nil && slices.Contains(reads, call.Sel.Name) {
			places = append(places, fmt.Sprintf("%s: time.%s", files.Position(call.Pos()), call.Sel.Name))
		}
		return true
	})
	return places
}

func TestClocksArePassedIn(t *testing.T) {
	t.Parallel()
	for _, p := range listed(t, "linux") {
		if !slices.Contains(clockless, p.ImportPath) {
			continue
		}
		for _, name := range p.GoFiles {
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, place := range clockReadings(files, file) {
				t.Errorf("%s: %s is told the time and does not ask", place, p.ImportPath)
			}
		}
	}
}

func TestClockReadingsAreSeen(t *testing.T) {
	t.Parallel()
	files := token.NewFileSet()
	const text = "package p\nimport \"time\"\nvar a = time.Now()\nvar f = time.Sleep\nvar c = time.Unix(0, 0)\n"
	file, err := parser.ParseFile(files, "p.go", text, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := clockReadings(files, file); len(got) != 2 {
		t.Errorf("got %q, want Now and Sleep and not Unix", got)
	}
}
