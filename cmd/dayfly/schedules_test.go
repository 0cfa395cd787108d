package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dayfly-io/dayfly/internal/spec"
)

// TestDocsOnSchedules runs every command of docs/schedules.md and compares what it shows.
func TestDocsOnSchedules(t *testing.T) {
	t.Parallel()
	const path = "../../docs/schedules.md"
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := newCall(t)
	c.now = func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }
	c.env = append(c.env, "LANG=C.UTF-8")
	ran := 0
	want := regexp.MustCompile("(?s)```console\n.*?```").ReplaceAllStringFunc(string(have), func(block string) string {
		out := "```console\n"
		for line := range strings.Lines(block) {
			command, ok := strings.CutPrefix(line, "$ dayfly ")
			if !ok {
				continue
			}
			_, stdout, stderr := c.run(shellWords(command)...)
			out += line + stdout + stderr
			ran++
		}
		return out + "```"
	})
	if ran < 15 {
		t.Errorf("only %d commands were found", ran)
	}
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(have), want); d != "" {
		t.Errorf("-docs/schedules.md +the program; make docs writes it anew\n%s", d)
	}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(have), -1) {
		if _, err := spec.Load(path, []byte("name: x\nrun: y\n"+block[1])); err != nil {
			t.Error(err)
		}
	}
}

// shellWords are the words of a command, of which some stand between single quotes.
func shellWords(command string) []string {
	var words []string
	for i, part := range strings.Split(command, "'") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}
