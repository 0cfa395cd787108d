package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestTwoFirstCommandsMakeOneInstallation(t *testing.T) {
	t.Parallel()
	for range 20 {
		data := filepath.Join(t.TempDir(), "data")
		names := make([]string, 8)
		var wg sync.WaitGroup
		for i := range names {
			wg.Go(func() {
				h, err := openHome(data)
				if err != nil {
					t.Error(err)
					return
				}
				names[i] = h.settings.Installation
			})
		}
		wg.Wait()
		for _, n := range names {
			if n == "" || n != names[0] {
				t.Fatalf("installations %q", names)
			}
		}
		left, err := os.ReadDir(data)
		if err != nil || len(left) != 1 {
			t.Errorf("%v is left, %v", left, err)
		}
	}
}

// What a killed process left half written is gone when the directory is opened next; what lies there
// else is not touched.
func TestHalfWrittenFilesAreCleared(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for _, name := range []string{".pack-1", ".new-2", ".mine", "new-3"} {
		if err := os.WriteFile(filepath.Join(data, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openHome(data); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, err := os.ReadDir(data)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if got, want := strings.Join(left, " "), ".mine "+settingsFile+" new-3"; got != want || err != nil {
		t.Errorf("%s is left, want %s; %v", got, want, err)
	}
}

func TestSettingsThatCannotBeAddedTo(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	path := filepath.Join(data, settingsFile)
	if err := os.WriteFile(path, []byte("limits: {machines: 3}\n...\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openHome(data)
	if exitCode(err) != exitUsage || !strings.Contains(hint(err), "installation: ") {
		t.Errorf("%v, hint %q", err, hint(err))
	}
	if text, _ := os.ReadFile(path); string(text) != "limits: {machines: 3}\n...\n" {
		t.Errorf("the file is now %q", text)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "file:" + path
	}
	resolve := secrets(func(name string) (string, bool) {
		return map[string]string{"SET": "value", "EMPTY": ""}[name], name == "SET" || name == "EMPTY"
	})
	for ref, want := range map[string]string{
		"env:SET": "value", "env:EMPTY": "",
		write("plain", "topsecret"):            "topsecret",
		write("newline", "topsecret\n"):        "topsecret",
		write("two newlines", "topsecret\n\n"): "topsecret\n",
		write("windows", "topsecret\r\n"):      "topsecret",
		write("empty", ""):                     "",
	} {
		if got, err := resolve(ref); got != want || err != nil {
			t.Errorf("%s: %q, %v", ref, got, err)
		}
	}
	for _, ref := range []string{
		"env:UNSET", "ssm:/prod/db", "file:" + dir, "file:" + dir + "/absent", "topsecret",
		write("nul", "topsecret\x00x"), write("large", strings.Repeat("topsecret", 10_000)),
	} {
		got, err := resolve(ref)
		if err == nil || got != "" || !strings.HasPrefix(err.Error(), ref+": ") {
			t.Errorf("%s: %q, %v", ref, got, err)
		}
		if err != nil && ref != "topsecret" && strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: the error tells the value: %v", ref, err)
		}
	}
}

func TestDataOfANewerDayfly(t *testing.T) {
	t.Parallel()
	c := newCall(t)
	c.want(0, "ps")
	db, err := sql.Open("sqlite", filepath.Join(c.data, "dayfly.db"))
	if err == nil {
		_, err = db.Exec("PRAGMA user_version = 9999")
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	_, stderr := c.want(exitError, "ps") // 9 would be a run that was refused
	if !strings.Contains(stderr, "by a newer dayfly (its schema is number 9999, this dayfly knows ") || !strings.Contains(stderr, "\nhint: use the dayfly that wrote it") {
		t.Error(stderr)
	}
}

func TestWarningsOfTheLoop(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := newApp(nil, nil, nil, &b).logger().With("run", "x")
	log.Info("attempt begun")
	log.Warn("launch of unknown outcome", "error", fmt.Errorf("make room: %w", context.Canceled))
	if b.Len() > 0 {
		t.Errorf("an interrupt and what goes well are no news: %s", b.String())
	}
	log.Warn("launch of unknown outcome", "pass", "now", "job", "x", "error", errors.New("no \x1b[2Jroom"))
	if want := "warning: launch of unknown outcome, run x, error no \\x1b[2Jroom\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
