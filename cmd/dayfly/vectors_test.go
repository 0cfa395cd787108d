package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

const schedules = "../../internal/schedule/testdata/"

func TestNextGivesEveryVector(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(schedules + "vectors.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) < 179 {
		t.Fatalf("only %d vectors", len(lines))
	}
	for _, line := range lines {
		var v struct {
			Expr, TZ, After, Anchor, Key string
			Next                         []string
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		args := []string{"next", "--tz", v.TZ, "--after", v.After, "--count", "5"}
		if v.Anchor != "" {
			args = append(args, "--anchor", v.Anchor)
		}
		if v.Key != "" {
			args = append(args, "--job", v.Key)
		}
		code, stdout, stderr := newCall(t).run(append(args, "--", v.Expr)...)
		if want := strings.Join(v.Next, "\n"); code != 0 || strings.TrimSuffix(stdout, "\n") != want {
			t.Errorf("%s\nexit code %d\n%s%s", line, code, stdout, stderr)
		}
	}
}

func TestNextRefusesWhatIsInvalid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(schedules + "invalid.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) < 94 {
		t.Fatalf("only %d texts", len(lines))
	}
	for _, line := range lines {
		expr, _, _ := strings.Cut(line, "\t")
		code, stdout, stderr := newCall(t).run("next", "--tz", "UTC", "--after", "2026-11-22T00:00:00Z", "--count", "5", "--", expr)
		if code != exitUsage || stdout != "" || !strings.HasPrefix(stderr, "error: ") {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q", expr, code, stdout, stderr)
		}
	}
}
