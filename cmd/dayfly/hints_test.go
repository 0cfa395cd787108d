package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// hintless are the errors that have no next step, and why.
var hintless = []struct{ error, why string }{
	{`^error: interrupted(; .*)?$`, "whoever presses Ctrl-C knows what comes next"},
	{`^error: this command is a part of dayfly's machines and is not for people: `, "nobody is there to read it but whoever looks into a machine"},
}

// withoutHint are the errors in what a command has said that no hint follows: after the error come the lines
// that belong to it, which are indented, and then the hint.
func withoutHint(said string) []string {
	var out []string
	open := ""
	for line := range strings.Lines(said) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "  ") {
			continue
		}
		if open != "" && !strings.HasPrefix(line, "hint: ") {
			out = append(out, open)
		}
		open = ""
		if strings.HasPrefix(line, "error: ") && !needsNoHint(line) {
			open = line
		}
	}
	if open != "" {
		out = append(out, open)
	}
	return out
}

func needsNoHint(line string) bool {
	for _, h := range hintless {
		if regexp.MustCompile(h.error).MatchString(line) {
			return true
		}
	}
	return false
}

// listener passes on what a command says, and keeps it.
type listener struct {
	to   io.Writer
	mu   sync.Mutex
	said bytes.Buffer
}

func (l *listener) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said.Write(p)
	return l.to.Write(p)
}

// complaint says which errors had no hint; it is empty where all had one.
func (l *listener) complaint() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, e := range withoutHint(l.said.String()) {
		fmt.Fprintf(&b, "TEST: no hint follows %q; docs/failures.md promises one\n", e)
	}
	return b.String()
}

func TestHintsAreMissed(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]int{
		"":                              0,
		"error: a\nhint: b\n":           0,
		"error: a":                      1,
		"error: a\nerror: b\nhint: c\n": 1,
		"error: f:1:2: a\n  1 | x\n    | ^\nhint: b\n      c\n": 0,
		"error: a\nwarning: x\nhint: b\n":                       1,
		"pending\nerror: interrupted; nothing was done\n":       0,
	} {
		if got := withoutHint(said); len(got) != want {
			t.Errorf("%q: %q, want %d", said, got, want)
		}
	}
}

// TestErrorsAreMadeWithAHint looks at errors that no test shows: whoever makes a dayfly.Error gives it a hint,
// there or later in the same function.
func TestErrorsAreMadeWithAHint(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, dir := range []string{".", "../../internal/reconcile", "../../internal/daemon", "../../internal/store/sqlite", "../../internal/machine/local"} {
		for _, f := range sources(t, dir) {
			for _, d := range f.Decls {
				with, without := hintsOf(d)
				seen += with
				for _, message := range without {
					t.Errorf("%s: an error without a hint: %s", dir, message)
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d errors were found", seen)
	}
}

// hintsOf counts the errors that a declaration makes with a hint, and gives the messages of the others.
func hintsOf(d ast.Decl) (with int, without []string) {
	later := map[string]bool{}     // variables whose hint is set by itself
	named := map[ast.Expr]string{} // what is assigned to a variable
	ast.Inspect(d, func(n ast.Node) bool {
		a, ok := n.(*ast.AssignStmt)
		if !ok {
			return true
		}
		for i, l := range a.Lhs {
			switch l := l.(type) {
			case *ast.SelectorExpr:
				if x, ok := l.X.(*ast.Ident); ok && l.Sel.Name == "Hint" {
					later[x.Name] = true
				}
			case *ast.Ident:
				if u, ok := a.Rhs[min(i, len(a.Rhs)-1)].(*ast.UnaryExpr); ok {
					named[u.X] = l.Name
				}
			}
		}
		return true
	})
	ast.Inspect(d, func(n ast.Node) bool {
		c, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		if s, ok := c.Type.(*ast.SelectorExpr); !ok || s.Sel.Name != "Error" || fmt.Sprint(s.X) != "dayfly" {
			return true
		}
		hinted := later[named[c]]
		message := ""
		for _, e := range c.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				hinted = hinted || fmt.Sprint(kv.Key) == "Hint"
				if fmt.Sprint(kv.Key) == "Message" {
					message = strings.Join(slices.Sorted(maps.Keys(textsIn(kv.Value))), " ")
				}
			}
		}
		if hinted {
			with++
		} else {
			without = append(without, message)
		}
		return true
	})
	return with, without
}

// textsIn are the literals in an expression.
func textsIn(e ast.Expr) map[string]bool {
	out := map[string]bool{}
	ast.Inspect(e, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok {
			out[text(l)] = true
		}
		return true
	})
	return out
}
