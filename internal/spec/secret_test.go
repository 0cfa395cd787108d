package spec_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dayfly-io/dayfly/internal/spec"
)

// everything is all that anybody could print of an error.
func everything(t interface{ Fatal(...any) }, err error) string {
	var b bytes.Buffer
	b.WriteString(err.Error())
	for _, format := range spec.Formats() {
		if err := spec.Render(&b, format, err.(*spec.Errors).List); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range err.(*spec.Errors).List {
		b.WriteString(strings.Join(e.Source, "\n") + e.Path)
	}
	return b.String()
}

// The archive of secrets holds the ways in which a person puts a secret where it must not be.
func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/errors/secrets.txtar")
	if err != nil {
		t.Fatal(err)
	}
	_, members := split(string(text))
	for _, m := range members {
		if !strings.HasSuffix(m.name, ".yaml") {
			continue
		}
		_, err := spec.Load(m.name, []byte(m.text))
		if all := everything(t, err); strings.Contains(all, "hunter2") || strings.Contains(all, "12345") {
			t.Errorf("%s:\n%s\nis shown as\n%s", m.name, m.text, all)
		}
	}
	_, err = spec.Load("x", []byte("name: x\nrun: y\nnotify:\n- {on: [failed], slack: https://hooks.slack.com/hunter2, webhook: 'https://me:hunter2@x'}\n"))
	if strings.Contains(everything(t, err), "hunter2") {
		t.Errorf("addresses that are secrets: %v", err)
	}
}

// A secret in any spelling of secrets:, beside any mistake, is never shown.
func TestSecretsAreNeverShown(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry-9" // no name of a variable, which would be shown
	keys := []string{"secrets", "secret", "secerts", "Secrets", `"secrets"`, "'secrets'", `"s\x65crets"`, "secretz"}
	values := []string{canary, `"` + canary + `"`, "'" + canary + "'", "*" + canary, "&" + canary + " x", "!" + canary + " x", "vault:" + canary, "env:" + canary + "-", "file:" + canary, "ssm:" + canary + "!", "[" + canary + "]", "{" + canary + ": " + canary + "}", "@" + canary, canary + ": " + canary, `"` + canary, "|\n    " + canary + "\n    run: " + canary, ">\n    " + canary, `"\x20` + canary + `"`, canary + "\n    " + canary}
	shapes := []string{"%k: {A: %v, B: %v}", "%k:\n  A: %v\n  B: %v", "%k:\n  %v: x\n  A=%v: y", "%k:\n- A=%v\n- %v", "%k: %v", "%k: {\n A: %v,\n B: %v\n}", "%k: {%v, %v}", "%k:\n  A:\n    B: %v", "%k=%v", "%k:\n  A: %v\n  run: %v", "%k: [\n%v, %v]"}
	others := []string{"name: x", "run: y", "zzz: 1", "timeout: 5", "\tx: y", "a: b: c", "files: [/etc]", "run: 5", "env: {A: {}}", "- x", "machine: {on: ec2}", "env: [", "description: 'x", "# secrets: {", "schedule: 99 * * * *"}
	rapid.Check(t, func(t *rapid.T) {
		block := rapid.SampledFrom(shapes).Draw(t, "shape")
		block = strings.ReplaceAll(block, "%k", rapid.SampledFrom(keys).Draw(t, "key"))
		for strings.Contains(block, "%v") {
			block = strings.Replace(block, "%v", rapid.SampledFrom(values).Draw(t, "value"), 1)
		}
		before := rapid.SliceOfN(rapid.SampledFrom(others), 0, 3).Draw(t, "before")
		after := rapid.SliceOfN(rapid.SampledFrom(others), 0, 3).Draw(t, "after")
		text := strings.Join(append(append(before, block), after...), "\n")
		if rapid.Bool().Draw(t, "CRLF") {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		_, err := spec.Load("job.yaml", []byte(text))
		if err == nil {
			return
		}
		if all := everything(t, err); strings.Contains(all, canary) {
			t.Fatalf("\n%s\nis shown as\n%s", text, err)
		}
	})
}

// No golden file shows what stands under secrets:.
func TestGoldenFilesHoldNoSecrets(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, members := split(string(text))
		for _, m := range members {
			if strings.HasSuffix(m.name, ".txt") && strings.Contains(m.text, "hunter2") {
				t.Errorf("%s, %s: %s", name, m.name, m.text)
			}
		}
	}
}
