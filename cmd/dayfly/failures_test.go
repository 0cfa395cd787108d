package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sources are the parsed files of a package, without its tests.
func sources(t *testing.T, dir string) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no sources in %s: %v", dir, err)
	}
	var out []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

// text is the value of a literal, or "".
func text(e ast.Expr) string {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(l.Value)
	if err != nil {
		return ""
	}
	return s
}

// constants are the values of the constants of a type.
func constants(files []*ast.File, typ string) []string {
	var out []string
	for _, f := range files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				if id, ok := v.Type.(*ast.Ident); ok && id.Name == typ && len(v.Values) == 1 {
					out = append(out, text(v.Values[0]))
				}
			}
		}
	}
	return out
}

// reasons are the texts that the sources of a package give as the reason of an outcome, or of waiting: to one of these
// functions, and where they are not enough to anything that is named for a reason.
func reasons(files []*ast.File, functions ...string) map[string]bool {
	out := map[string]bool{}
	var take func(e ast.Expr)
	take = func(e ast.Expr) {
		switch e := e.(type) {
		case *ast.BasicLit:
			if s := text(e); strings.Contains(s, " ") {
				out[s] = true
			}
		case *ast.BinaryExpr:
			take(e.X)
		case *ast.CallExpr: // Sprintf and the like
			if s, ok := e.Fun.(*ast.SelectorExpr); ok && len(e.Args) > 0 && (s.Sel.Name == "Sprintf" || s.Sel.Name == "Errorf") {
				take(e.Args[0])
			}
		}
	}
	named := func(name string) bool {
		return len(functions) > 1 && slices.Contains([]string{"reason", "why", "wait", "skip"}, strings.ToLower(name)) || len(functions) > 1 && strings.HasPrefix(name, "reason")
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				called := ""
				switch f := n.Fun.(type) {
				case *ast.Ident:
					called = f.Name
				case *ast.SelectorExpr:
					called = f.Sel.Name
				}
				if slices.Contains(functions, called) {
					for _, a := range n.Args {
						take(a)
					}
				}
			case *ast.AssignStmt:
				for i, l := range n.Lhs {
					name := ""
					switch l := l.(type) {
					case *ast.Ident:
						name = l.Name
					case *ast.SelectorExpr:
						name = l.Sel.Name
					}
					if named(name) && len(n.Rhs) == len(n.Lhs) {
						take(n.Rhs[i])
					}
				}
			case *ast.KeyValueExpr:
				if id, ok := n.Key.(*ast.Ident); ok && named(id.Name) {
					take(n.Value)
				}
			case *ast.ValueSpec:
				for i, id := range n.Names {
					if named(id.Name) && i < len(n.Values) {
						take(n.Values[i])
					}
				}
			}
			return true
		})
	}
	return out
}

var verb = regexp.MustCompile(`%[-+.#0-9]*[a-z]`)

// spans are what a page shows as code.
func spans(page string) []string {
	var out []string
	for _, m := range regexp.MustCompile("`([^`\n]+(?:\n[^`\n]+)?)`").FindAllStringSubmatch(page, -1) {
		out = append(out, strings.ReplaceAll(m[1], "\n", " "))
	}
	return out
}

// TestFailuresAreExplained compares docs/failures.md with the code: every outcome, code, exit code and reason is
// there, and what it calls a reason is one.
func TestFailuresAreExplained(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../../docs/failures.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(file)
	shown := spans(page)
	root := sources(t, "../..")
	for _, typ := range []string{"Outcome", "Code"} {
		all := constants(root, typ)
		if len(all) < 5 {
			t.Fatalf("the root package has %d constants of type %s", len(all), typ)
		}
		for _, c := range all {
			if !slices.Contains(shown, c) {
				t.Errorf("docs/failures.md says nothing of the %s %s", strings.ToLower(typ), c)
			}
		}
	}
	for line := range strings.Lines(exitCodes()) {
		if code := strings.Fields(line); len(code) > 0 && isNumber(code[0]) && !strings.Contains(page, "\n| "+code[0]+" |") {
			t.Errorf("docs/failures.md has no line for exit code %s", code[0])
		}
	}
	known := map[string]bool{}
	for _, dir := range []string{"reconcile", "agent", "machine/local"} {
		maps.Copy(known, reasons(sources(t, "../../internal/"+dir), "end", "stop", "failed", "Cancel"))
	}
	maps.Copy(known, reasons(sources(t, "."), "Cancel"))
	if len(known) < 15 {
		t.Fatalf("only %d reasons were found", len(known))
	}
	var all strings.Builder // the texts of all packages that a reason may come from
	for _, dir := range []string{"../../internal/reconcile", "../../internal/agent", "../../internal/machine", "../../internal/machine/local", "."} {
		for _, f := range sources(t, dir) {
			ast.Inspect(f, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok {
					all.WriteString(verb.ReplaceAllString(text(l), "…") + "\n")
				}
				return true
			})
		}
	}
	for reason := range known {
		if part := longest(verb.Split(reason, -1)); !strings.Contains(strings.Join(shown, "\n"), part) {
			t.Errorf("docs/failures.md does not explain %q", reason)
		}
	}
	for _, s := range shown {
		part := longest(strings.Split(s, "…"))
		if strings.Count(part, " ") >= 2 && !strings.ContainsAny(part, "{[-") && !strings.Contains(all.String(), part) && !strings.HasPrefix(s, "dayfly ") {
			t.Errorf("docs/failures.md explains %q, which nothing says", s)
		}
	}
}

// longest is the longest of some parts of a text, which tells it from others.
func longest(parts []string) string {
	return strings.Trim(slices.MaxFunc(parts, func(a, b string) int { return len(a) - len(b) }), " :;,")
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}
