package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// suite writes a module of test files and returns the command that runs them
// with the real go command.
func suite(t *testing.T, files map[string]string) []string {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module example.test/m\n\ngo 1.26\n"
	for path, text := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"--", "go", "-C", dir, "test", "-json", "./..."}
}

// body makes a test file of package p out of the functions given.
func body(functions string) string {
	return "package p\n\nimport \"testing\"\n\n" + functions
}

func sumUp(t *testing.T, ci string, args ...string) (code int, out string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	getenv := func(name string) string { return map[string]string{"CI": ci}[name] }
	code = run(t.Context(), args, getenv, &stdout, &stderr)
	t.Logf("exit code %d\n%s%s", code, &stdout, &stderr)
	return code, stdout.String() + stderr.String()
}

func wantLast(t *testing.T, out, want string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if last := lines[len(lines)-1]; last != want {
		t.Errorf("the last line is %q, want %q", last, want)
	}
}

const twoSubtests = `
func TestParent(t *testing.T) {
	t.Run("one", func(t *testing.T) {})
	t.Run("two", func(t *testing.T) {})
}
`

const skips = `
func TestNeedsMoon(t *testing.T) { t.Skip("the moon is not up") }
`

func TestWhatTheSuiteSays(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		files    map[string]string
		ci       string
		wantCode bool // not zero
		wantLast string
		want     []string // regular expressions
		wantNot  []string
	}{
		{
			name:     "all pass: a test with subtests is not one more",
			files:    map[string]string{"p_test.go": body(twoSubtests + `func TestLoud(t *testing.T) { t.Log("la la la") }`)},
			wantLast: "3 passed, 0 failed, 0 skipped",
			want:     []string{`(?m)^ok  \texample.test/m\t`},
			wantNot:  []string{"la la la", "=== RUN", "failed:", "skipped:"},
		},
		{
			name: "a subtest fails: one failure, with what it wrote",
			files: map[string]string{"p_test.go": body(`
func TestParent(t *testing.T) {
	t.Run("good", func(t *testing.T) { t.Log("nobody asks") })
	t.Run("bad", func(t *testing.T) { t.Error("two and two are five") })
}`)},
			wantCode: true,
			wantLast: "1 passed, 1 failed, 0 skipped",
			want:     []string{"two and two are five", `(?m)^FAIL\texample.test/m\t`, `(?m)^  example.test/m.TestParent/bad$`},
			wantNot:  []string{"nobody asks", `(?m)^  example.test/m.TestParent$`},
		},
		{
			name: "a parent fails by itself",
			files: map[string]string{"p_test.go": body(`
func TestParent(t *testing.T) {
	t.Run("good", func(t *testing.T) {})
	t.Error("and yet")
}`)},
			wantCode: true,
			wantLast: "1 passed, 1 failed, 0 skipped",
			want:     []string{"and yet"},
		},
		{
			name:     "skipped tests stand under their reason",
			files:    map[string]string{"p_test.go": body(twoSubtests + skips)},
			wantLast: "2 passed, 0 failed, 1 skipped",
			want:     []string{`(?m)^  the moon is not up\n    example.test/m.TestNeedsMoon$`},
		},
		{
			name:     "in CI a skipped test is a failure",
			files:    map[string]string{"p_test.go": body(twoSubtests + skips)},
			ci:       "true",
			wantCode: true,
			wantLast: "2 passed, 0 failed, 1 skipped",
			want:     []string{`CI must run it`},
		},
		{
			name: "a panic ends the tests beside it as failures",
			files: map[string]string{"p_test.go": body(`
func TestWaits(t *testing.T) { t.Parallel(); select {} }
func TestPanics(t *testing.T) { t.Parallel(); panic("at the disco") }
`)},
			wantCode: true,
			wantLast: "0 passed, 2 failed, 0 skipped",
			want:     []string{"at the disco", `(?m)^  example.test/m.TestPanics$`, `(?m)^  example.test/m.TestWaits$`},
		},
		{
			name: "a package that fails without a failing test",
			files: map[string]string{
				"p_test.go":   body("import \"os\"\n\nfunc TestMain(m *testing.M) { println(\"no database\"); os.Exit(3) }"),
				"q/q_test.go": body(twoSubtests),
			},
			wantCode: true,
			wantLast: "2 passed, 1 failed, 0 skipped",
			want:     []string{"no database", `(?m)^  example.test/m \(the package itself\)$`},
		},
		{
			name:     "a package that does not build",
			files:    map[string]string{"p_test.go": body("func TestX(t *testing.T) { nonsense() }")},
			wantCode: true,
			wantLast: "0 passed, 1 failed, 0 skipped",
			want:     []string{"undefined: nonsense", "build failed"},
		},
		{
			name:     "no test at all is no success",
			files:    map[string]string{"p.go": "package p\n"},
			wantCode: true,
			wantLast: "0 passed, 0 failed, 0 skipped",
			want:     []string{"no test ran"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, out := sumUp(t, tt.ci, suite(t, tt.files)...)
			if (code != 0) != tt.wantCode {
				t.Errorf("exit code %d", code)
			}
			wantLast(t, out, tt.wantLast)
			for _, re := range tt.want {
				if !regexp.MustCompile(re).MatchString(out) {
					t.Errorf("want %q in the output", re)
				}
			}
			for _, re := range tt.wantNot {
				if regexp.MustCompile(re).MatchString(out) {
					t.Errorf("do not want %q in the output", re)
				}
			}
		})
	}
}

func TestSeveralCommandsAreOneSummary(t *testing.T) {
	t.Parallel()
	good := suite(t, map[string]string{"p_test.go": body(twoSubtests)})
	bad := suite(t, map[string]string{"p_test.go": body(`func TestBad(t *testing.T) { t.Fail() }`)})
	code, out := sumUp(t, "", append(bad, good...)...)
	if code != 1 {
		t.Errorf("exit code %d, want the 1 of the first command", code)
	}
	wantLast(t, out, "2 passed, 1 failed, 0 skipped")
}

func TestTheRunnersOwnExitCode(t *testing.T) {
	t.Parallel()
	code, out := sumUp(t, "", "--", "sh", "-c", "echo go: broken; exit 7")
	if code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	if !strings.Contains(out, "go: broken\n") {
		t.Error("what the runner said is lost")
	}
	wantLast(t, out, "0 passed, 1 failed, 0 skipped")
}

func TestTheListOfSkips(t *testing.T) {
	t.Parallel()
	list := func(text string) string {
		path := filepath.Join(t.TempDir(), "skips")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	files := func() map[string]string {
		return map[string]string{"p_test.go": body(twoSubtests + skips + `
func TestSky(t *testing.T) { t.Run("sun", func(t *testing.T) { t.Skip("it is night") }) }`)}
	}
	t.Run("lets pass what it names, subtests included", func(t *testing.T) {
		t.Parallel()
		path := list("# these need the sky\nexample.test/m.TestNeedsMoon # no moon in CI\nexample.test/m.TestSky # neither a sun\n")
		code, out := sumUp(t, "true", append([]string{"-skips", path}, suite(t, files())...)...)
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
		wantLast(t, out, "2 passed, 0 failed, 2 skipped")
	})
	t.Run("does not cover a test whose name only begins alike", func(t *testing.T) {
		t.Parallel()
		path := list("example.test/m.TestNeeds # too short\nexample.test/m.TestSky/s # too short\n")
		if code, _ := sumUp(t, "true", append([]string{"-skips", path}, suite(t, files())...)...); code == 0 {
			t.Error("exit code 0")
		}
	})
	t.Run("wants a reason", func(t *testing.T) {
		t.Parallel()
		path := list("example.test/m.TestNeedsMoon\n")
		if code, out := sumUp(t, "", append([]string{"-skips", path}, suite(t, files())...)...); code != 2 || !strings.Contains(out, "reason") {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("that is missing is an error", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "none")
		if code, _ := sumUp(t, "", append([]string{"-skips", path}, suite(t, files())...)...); code != 2 {
			t.Errorf("exit code %d", code)
		}
	})
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--"}, {"go", "test"}, {"-unknown", "--", "true"}} {
		if code, _ := sumUp(t, "", args...); code != 2 {
			t.Errorf("%q: exit code %d, want 2", args, code)
		}
	}
}
