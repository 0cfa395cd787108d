package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// project makes a project in a repository of its own: a function that adds, a
// test that looks, and the patches given.
func project(t *testing.T, patches map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		".gitignore": "/bin/\n",
		"bin/huge":   "not part of the project",
		"go.mod":     "module example.test/m\n\ngo 1.26\n",
		"add.go":     "package m\n\n// Add adds.\nfunc Add(a, b int) int {\n\treturn a + b\n}\n",
		"add_test.go": `package m

import (
	"os"
	"testing"
)

func TestAdd(t *testing.T) {
	if Add(2, 3) != 5 {
		t.Fatal("two and three are not five")
	}
}

func TestAddNothing(t *testing.T) {
	if Add(2, 0) != 2 {
		t.Fatal("nothing is something")
	}
}

func TestRed(t *testing.T) { t.Fatal("always") }

func TestOnlyTheProjectIsCopied(t *testing.T) {
	if _, err := os.Stat("bin/huge"); err == nil {
		t.Fatal("an ignored file was copied")
	}
}
`,
	}
	for name, text := range patches {
		files["mutants/"+name+".patch"] = text
	}
	for path, text := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("git", "init", "-q", dir).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v\n%s", err, out)
	}
	return dir
}

// patch makes the sum something else and has the tests of the name given run.
func patch(sum string, tests ...string) string {
	text := "# promise: R1\n# why: sums | differences\n"
	for _, name := range tests {
		text += "# test: go test . -run '^" + name + "$' -count=1\n"
	}
	return text + `diff --git a/add.go b/add.go
--- a/add.go
+++ b/add.go
@@ -9,5 +9,5 @@
 
 // Add adds.
 func Add(a, b int) int {
-	return a + b
+	return ` + sum + `
 }
`
}

func runIn(t *testing.T, dir string, args ...string) (int, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), append([]string{"-root", dir}, args...), &stdout, &stderr)
	t.Logf("exit code %d\n%s%s", code, &stdout, &stderr)
	return code, stdout.String() + stderr.String()
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, patch string
		wantCode    int
		want        []string
	}{
		{"a mutant that a test notices", patch("a - b", "TestAdd"), 0, []string{" red ", "1 mutants: 1 caught, 0 not"}},
		{"a mutant that nobody notices", patch("a - b", "TestAddNothing"), 1, []string{" GREEN ", "sums | differences", "0 caught, 1 not"}},
		{"the second test line notices", patch("a - b", "TestAddNothing", "TestAdd"), 0, []string{" red "}},
		{"a mutant that does not build", patch("a -", "TestAdd"), 1, []string{" BROKEN ", "does not build"}},
		{"a test that fails without the mutant too", patch("a - b", "TestRed"), 1, []string{" BROKEN ", "already red"}},
		{"a test that does not exist", patch("a - b", "TestAbsent"), 1, []string{" BROKEN ", "no tests to run"}},
		{"a test line that is no test", strings.ReplaceAll(patch("a - b", "X"), "go test", "false"), 1, []string{" BROKEN "}},
		{"a patch that no longer applies", strings.ReplaceAll(patch("a - b", "TestAdd"), "Add adds", "Add subtracts"), 1, []string{" BROKEN ", "patch does not apply"}},
		{"the copy holds the project and no more", patch("a - b", "TestOnlyTheProjectIsCopied"), 1, []string{" GREEN "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, out := runIn(t, project(t, map[string]string{"m": tt.patch}))
			if code != tt.wantCode {
				t.Errorf("exit code %d, want %d", code, tt.wantCode)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("want %q in the output", want)
				}
			}
		})
	}
}

func TestATestLineIsEndedInTime(t *testing.T) {
	t.Parallel()
	start := time.Now()
	v, _, err := test(t.Context(), t.TempDir(), "sleep 1000 & wait", 100*time.Millisecond)
	if v != hung || err != nil {
		t.Errorf("got %s, %v, want %s", v, err, hung)
	}
	// The sleeper holds the output open: were it still there, we should have
	// waited out WaitDelay.
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("it took %s: what the line started was not ended with it", took)
	}
	if !hung.caught() {
		t.Error("a mutant that makes the tests hang was noticed, and yet does not count as caught")
	}
}

func TestBuildErrorInTheTestsIsNoFailure(t *testing.T) {
	t.Parallel()
	const broken = `# promise: R1
# why: the test file does not compile
# test: go test . -run TestAdd -count=1
diff --git a/add_test.go b/add_test.go
--- a/add_test.go
+++ b/add_test.go
@@ -7,5 +7,5 @@
 
 func TestAdd(t *testing.T) {
-	if Add(2, 3) != 5 {
+	if Add(2, 3, 4) != 5 {
 		t.Fatal("two and three are not five")
 	}
`
	code, out := runIn(t, project(t, map[string]string{"m": broken}))
	if code != 1 || !strings.Contains(out, " BROKEN ") || !strings.Contains(out, "too many arguments") {
		t.Errorf("exit code %d, want 1, the verdict BROKEN and the compiler's words", code)
	}
}

func TestAProjectThatDoesNotBuild(t *testing.T) {
	t.Parallel()
	dir := project(t, map[string]string{"m": patch("a - b", "TestAdd")})
	if err := os.WriteFile(filepath.Join(dir, "half.go"), []byte("package m\n\nfunc half() {\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, out := runIn(t, dir); code != 1 || !strings.Contains(out, "the project does not build") {
		t.Errorf("exit code %d, want 1 and the reason", code)
	}
}

func TestTheProjectStaysAsItIs(t *testing.T) {
	t.Parallel()
	dir := project(t, map[string]string{"m": patch("a - b", "TestAdd")})
	before, err := os.ReadFile(filepath.Join(dir, "add.go"))
	if err != nil {
		t.Fatal(err)
	}
	runIn(t, dir)
	after, err := os.ReadFile(filepath.Join(dir, "add.go"))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("add.go was changed (%v):\n%s", err, after)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	dir := project(t, map[string]string{"good": patch("a - b", "TestAdd"), "unseen": patch("a - b", "TestAddNothing")})
	t.Run("one of them", func(t *testing.T) {
		t.Parallel()
		code, out := runIn(t, dir, "good")
		if code != 0 || strings.Contains(out, "unseen") {
			t.Errorf("exit code %d, want 0 and nothing of the other", code)
		}
		if strings.Contains(out, " 0.0\n") {
			t.Error("the time that the mutant took is not told")
		}
	})
	t.Run("none of them", func(t *testing.T) {
		t.Parallel()
		if code, out := runIn(t, dir, "godo"); code != 1 || !strings.Contains(out, `"godo"`) {
			t.Errorf("exit code %d, want 1 and the name", code)
		}
	})
}

func TestCheckOnlyApplies(t *testing.T) {
	t.Parallel()
	stale := strings.ReplaceAll(patch("a - b", "TestAdd"), "Add adds", "Add subtracts")
	dir := project(t, map[string]string{"applies": patch("a - b", "TestAddNothing"), "stale": stale})
	code, out := runIn(t, dir, "-check")
	if code != 1 || !strings.Contains(out, "stale") || !strings.Contains(out, "2 mutants: 1 apply, 1 do not") {
		t.Errorf("exit code %d, want 1 and the one that does not apply", code)
	}
	if code, _ := runIn(t, dir, "-check", "applies"); code != 0 {
		t.Errorf("exit code %d for a patch that applies", code)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	whole := patch("a - b", "TestAdd")
	for missing, text := range map[string]string{
		"# promise": strings.Replace(whole, "# promise: R1\n", "", 1),
		"# why":     strings.Replace(whole, "# why: sums | differences\n", "# why:\n", 1),
		"# test":    strings.Replace(whole, "# test", "# tests", 1),
		"a diff":    "# promise: R1\n# why: x\n# test: go test .\n",
	} {
		t.Run(missing, func(t *testing.T) {
			t.Parallel()
			if code, out := runIn(t, project(t, map[string]string{"m": text})); code != 1 || !strings.Contains(out, "missing "+missing) {
				t.Errorf("exit code %d, want 1 and what is missing", code)
			}
		})
	}
	t.Run("no mutants at all", func(t *testing.T) {
		t.Parallel()
		if code, out := runIn(t, project(t, nil)); code != 1 || !strings.Contains(out, "holds no mutants") {
			t.Errorf("exit code %d, want 1 and a word on it", code)
		}
	})
}

func TestWritesTheTable(t *testing.T) {
	t.Parallel()
	page := func(dir, text string) string {
		path := filepath.Join(dir, "promises.md")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const frame = "before\n" + tableBegin + "\nold\n" + tableEnd + "\nafter\n"
	t.Run("when every mutant was noticed", func(t *testing.T) {
		t.Parallel()
		dir := project(t, map[string]string{"minus": patch("a - b", "TestAdd"), "times": strings.Replace(patch("a * b", "TestAdd"), "R1", "R10", 1)})
		path := page(dir, frame)
		if code, _ := runIn(t, dir, "-write", path); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		want := "before\n" + tableBegin + "\n2 mutants, every one of them caught.\n\n| promise | mutant | what it breaks | caught by |\n|---|---|---|---|\n" +
			"| R1 | minus | sums \\| differences | `go test . -run '^TestAdd$' -count=1` |\n" +
			"| R10 | times | sums \\| differences | `go test . -run '^TestAdd$' -count=1` |\n" +
			tableEnd + "\nafter\n"
		if got := read(path); got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
	})
	t.Run("but not when one was not", func(t *testing.T) {
		t.Parallel()
		dir := project(t, map[string]string{"minus": patch("a - b", "TestAddNothing")})
		path := page(dir, frame)
		if code, _ := runIn(t, dir, "-write", path); code != 1 {
			t.Errorf("exit code %d", code)
		}
		if got := read(path); got != frame {
			t.Errorf("the page was changed:\n%s", got)
		}
	})
	t.Run("and not into a page without a place for it", func(t *testing.T) {
		t.Parallel()
		dir := project(t, map[string]string{"minus": patch("a - b", "TestAdd")})
		if code, out := runIn(t, dir, "-write", page(dir, "nothing here\n")); code != 1 || !strings.Contains(out, "has no lines") {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("of some, beside what is known of others", func(t *testing.T) {
		t.Parallel()
		dir := project(t, map[string]string{"minus": patch("a - b", "TestAdd"), "times": patch("a * b", "TestAdd"), "new": patch("a / b", "TestAdd")})
		path := page(dir, "before\n"+tableBegin+"\n| R1 | gone | x | `y` |\n| R0 | times | x | `y` |\n| R1 | minus | x | `y` |\n"+tableEnd+"\nafter\n")
		if code, _ := runIn(t, dir, "-write", path, "minus"); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		want := "2 of 3 mutants, every one of them caught.\n\n| promise | mutant | what it breaks | caught by |\n|---|---|---|---|\n" +
			"| R0 | times | x | `y` |\n" +
			"| R1 | minus | sums \\| differences | `go test . -run '^TestAdd$' -count=1` |\n" + tableEnd
		if got := read(path); !strings.Contains(got, want) {
			t.Errorf("got:\n%s\nwant in it:\n%s", got, want)
		}
	})
}

func TestPromisesAreSortedByNumber(t *testing.T) {
	t.Parallel()
	if comparePromises("R2", "R10") >= 0 || comparePromises("R10", "S1") >= 0 {
		t.Error("want R2 before R10 before S1")
	}
}
