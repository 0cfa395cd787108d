package agent_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/agent"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/machine"
)

// leaving makes an attempt whose job leaves in its results what do makes there.
func leaving(t *testing.T, do func(results string)) *attempt {
	t.Helper()
	a := setup(t, "")
	a.cfg.Sandbox = &scripted{runs: time.Millisecond, atStart: func(c machine.Command) error { do(c.Results); return nil }}
	return a
}

func wantNote(t *testing.T, r dayfly.Report, parts ...string) {
	t.Helper()
	for _, n := range r.Notes {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(n, p)
		}
		if all {
			return
		}
	}
	t.Errorf("no note with %q in %q", parts, r.Notes)
}

func TestOnlyRegularFilesAreSaved(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "shadow"), []byte("not yours"), 0o600))
	a := leaving(t, func(dir string) {
		must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("mine"), 0o600))
		must(t, os.Symlink(filepath.Join(outside, "shadow"), filepath.Join(dir, "link")))
		must(t, os.Symlink("file", filepath.Join(dir, "inner")))
		must(t, os.Symlink(outside, filepath.Join(dir, "linked-dir")))
		must(t, os.Symlink("..", filepath.Join(dir, "up")))
		must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o666))
		l, err := net.Listen("unix", filepath.Join(dir, "s"))
		if err != nil { // a socket's path may be too long for this system's temporary directory
			must(t, os.Symlink("/", filepath.Join(dir, "s")))
		} else {
			t.Cleanup(func() { l.Close() })
		}
		if syscall.Mknod(filepath.Join(dir, "device"), syscall.S_IFCHR|0o666, 1<<8|5) != nil { // /dev/zero; for root only
			must(t, os.Symlink("/dev/zero", filepath.Join(dir, "device")))
		}
	})
	r := a.run()
	wantOutcome(t, r, dayfly.Succeeded, 0, "")
	sameFiles(t, a.results(r), map[string]string{"file": "mine"})
	for _, name := range []string{"link", "inner", "linked-dir", "up"} {
		wantNote(t, r, "left out", fmt.Sprintf("%q: a symbolic link", name))
	}
	wantNote(t, r, `"fifo": a FIFO`)
	wantNote(t, r, `"s": a s`)
	wantNote(t, r, `"device": a `)
}

func TestNamesOfAllKinds(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 127)
	names := []string{"plain", "with blank", "new\nline", "\xff\xfe bytes", "back\\slash", "per%cent", "~tilde", "~" + strings.Repeat("0", 64), "ünïcode", long,
		strings.Repeat("n", 255), "a/b c/d", "%41", "A", "...", "-rf", "~", "x~", strings.Repeat("d/", 300) + "deep"}
	want := map[string]string{}
	a := leaving(t, func(dir string) {
		for i, n := range names {
			want[n] = fmt.Sprint("content ", i)
			must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, n)), 0o755))
			must(t, os.WriteFile(filepath.Join(dir, n), []byte(want[n]), 0o644))
		}
	})
	r := a.run()
	sameFiles(t, a.results(r), want)
	keys := map[string]bool{}
	for _, f := range r.Results {
		if keys[f.Key] || bucket.CheckKey(f.Key) != nil {
			t.Errorf("%q has the key %q", f.Name, f.Key)
		}
		keys[f.Key] = true
		if (f.Raw != nil) != (f.Name == "\uFFFD bytes") {
			t.Errorf("%q has raw bytes %q", f.Name, f.Raw)
		}
	}
	for name, key := range map[string]string{"plain": "plain", "with blank": "with%20blank", "per%cent": "per%25cent", "~": "%7E", "x~": "x~", "a/b c/d": "a/b%20c/d"} {
		if !keys[prefix+"out/results/"+key] {
			t.Errorf("%q does not have the key %q", name, key)
		}
	}
	if len(r.Notes) > 0 {
		t.Errorf("notes %q", r.Notes)
	}
}

// A thousand directories below one another are longer than a path may be.
func TestADeepTree(t *testing.T) {
	t.Parallel()
	a := leaving(t, func(dir string) {
		deep(t, dir, 1000, func(last *os.Root) {
			must(t, last.WriteFile("file", []byte("deep"), 0o644))
		})
	})
	r := a.run()
	sameFiles(t, a.results(r), map[string]string{strings.Repeat("directory/", 1000) + "file": "deep"})

	a = leaving(t, func(dir string) { deep(t, dir, 1100, func(*os.Root) {}) })
	r = a.run()
	wantOutcome(t, r, dayfly.Succeeded, 0, "")
	wantNote(t, r, "directories deep")
}

func deep(t *testing.T, dir string, levels int, then func(*os.Root)) {
	t.Helper()
	at, err := os.OpenRoot(dir)
	must(t, err)
	for range levels {
		must(t, at.Mkdir("directory", 0o755))
		next, err := at.OpenRoot("directory")
		must(t, err)
		must(t, at.Close())
		at = next
	}
	then(at)
	must(t, at.Close())
	t.Cleanup(func() { // too deep for the test's own clean-up
		root, err := os.OpenRoot(dir)
		must(t, err)
		defer root.Close()
		must(t, root.RemoveAll("directory"))
	})
}

func TestLimitsOfResults(t *testing.T) {
	t.Parallel()
	t.Run("a terabyte that is a hole", func(t *testing.T) {
		t.Parallel()
		a := leaving(t, func(dir string) {
			f, err := os.Create(filepath.Join(dir, "big"))
			must(t, err)
			must(t, f.Truncate(1<<40))
			must(t, f.Close())
			must(t, os.WriteFile(filepath.Join(dir, "small"), []byte("x"), 0o644))
		})
		r := a.run()
		sameFiles(t, a.results(r), map[string]string{"small": "x"})
		wantNote(t, r, `"big"`, "over the limit")
	})
	t.Run("bytes in all", func(t *testing.T) {
		t.Parallel()
		a := leaving(t, func(dir string) {
			for _, n := range []string{"a", "b", "c", "d"} {
				must(t, os.WriteFile(filepath.Join(dir, n), []byte(strings.Repeat(n, map[string]int{"c": 10}[n]+4)), 0o644))
			}
		})
		a.cfg.Task.Results.MaxBytes = 12
		r := a.run()
		sameFiles(t, a.results(r), map[string]string{"a": "aaaa", "b": "bbbb", "d": "dddd"})
		wantNote(t, r, `"c"`, "its 14 bytes are over the limit of 12")
	})
	t.Run("files in all, and notes in all", func(t *testing.T) {
		t.Parallel()
		a := leaving(t, func(dir string) {
			for i := range 100 {
				must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d", i)), nil, 0o644))
			}
		})
		a.cfg.Task.Results.MaxFiles = 3
		r := a.run()
		if len(r.Results) != 3 || len(r.Notes) > 60 {
			t.Errorf("%d results, %d notes", len(r.Results), len(r.Notes))
		}
	})
	t.Run("directories without end", func(t *testing.T) {
		t.Parallel()
		a := leaving(t, func(dir string) {
			for i := range 50 {
				must(t, os.Mkdir(filepath.Join(dir, fmt.Sprint(i)), 0o755))
			}
		})
		a.cfg.Task.Results.MaxFiles = 10
		wantNote(t, a.run(), "too many files and directories")
	})
}

func TestAFileThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root can read every file; TestAFileThatVanishes shows the same for root")
	}
	a := leaving(t, func(dir string) {
		must(t, os.WriteFile(filepath.Join(dir, "closed"), []byte("x"), 0))
		must(t, os.Mkdir(filepath.Join(dir, "closed-dir"), 0))
		must(t, os.WriteFile(filepath.Join(dir, "open"), []byte("x"), 0o600))
	})
	r := a.run()
	wantOutcome(t, r, dayfly.Succeeded, 0, "")
	sameFiles(t, a.results(r), map[string]string{"open": "x"})
	wantNote(t, r, `"closed": permission denied`)
	wantNote(t, r, `"closed-dir": permission denied`)
}

// meddling changes the results directory while it is saved: do is called before the first result is stored.
func meddling(t *testing.T, files int, do func(dir string)) *attempt {
	t.Helper()
	var dir string
	a := leaving(t, func(results string) {
		dir = results
		for i := range files {
			must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d", i)), []byte(strings.Repeat("x", 1000)), 0o644))
		}
	})
	var once sync.Once
	a.watch(func(op, key string) error {
		if op == "Put" && strings.HasPrefix(key, prefix+dayfly.KeyResults) {
			once.Do(func() { do(dir) })
		}
		return nil
	}, nil)
	return a
}

func TestAFileThatGrowsOrShrinks(t *testing.T) {
	t.Parallel()
	a := meddling(t, 40, func(dir string) {
		must(t, os.WriteFile(filepath.Join(dir, "30"), []byte(strings.Repeat("y", 5000)), 0o644))
		must(t, os.Truncate(filepath.Join(dir, "31"), 10))
	})
	r := a.run()
	got := a.results(r)
	if len(got["30"]) != 1000 || got["31"] != "xxxxxxxxxx" || len(got) != 40 {
		t.Errorf("stored %d and %d bytes of %d files", len(got["30"]), len(got["31"]), len(got))
	}
	wantNote(t, r, "take care", `"30"`, "changed while it was saved")
	wantNote(t, r, "take care", `"31"`, "changed while it was saved")
}

func TestAFileThatVanishes(t *testing.T) {
	t.Parallel()
	a := meddling(t, 40, func(dir string) { must(t, os.Remove(filepath.Join(dir, "30"))) })
	r := a.run()
	wantOutcome(t, r, dayfly.Succeeded, 0, "")
	if len(r.Results) != 39 {
		t.Errorf("%d results", len(r.Results))
	}
	wantNote(t, r, `"30": no such file`)
}

func TestALinkPutInAFilesPlace(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "shadow"), []byte("not yours"), 0o600))
	for name, target := range map[string]string{"outside": filepath.Join(outside, "shadow"), "inside": "00", "a directory": outside} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := meddling(t, 40, func(dir string) {
				must(t, os.Remove(filepath.Join(dir, "30")))
				must(t, os.Symlink(target, filepath.Join(dir, "30")))
			})
			r := a.run()
			if _, ok := a.results(r)["30"]; ok || len(r.Results) != 39 {
				t.Errorf("%d results", len(r.Results))
			}
			wantNote(t, r, `"30": it is a symbolic link`)
		})
	}
}

func TestTheResultsDirectoryItselfIsReplaced(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "shadow"), []byte("not yours"), 0o600))
	for name, do := range map[string]func(dir string) error{
		"by nothing":           func(string) error { return nil },
		"by a link":            func(dir string) error { return os.Symlink(outside, dir) },
		"by a link that stays": func(dir string) error { return os.Symlink(".", dir) },
		"by a file":            func(dir string) error { return os.WriteFile(dir, nil, 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := leaving(t, func(dir string) { must(t, errors.Join(os.Remove(dir), do(dir))) })
			r := a.run()
			wantOutcome(t, r, dayfly.Succeeded, 0, "")
			sameFiles(t, a.results(r), map[string]string{})
			wantNote(t, r, "the directory cannot be read")
		})
	}
}

// A bucket that will not have one of the results: the job succeeded, the run did not.
func TestAResultThatTheBucketRefuses(t *testing.T) {
	t.Parallel()
	a := leaving(t, func(dir string) {
		must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("1"), 0o644))
		must(t, os.WriteFile(filepath.Join(dir, "b"), []byte("2"), 0o644))
	})
	a.watch(func(op, key string) error {
		if op == "Put" && strings.HasSuffix(key, "/b") {
			return bucket.ErrKey
		}
		return nil
	}, nil)
	r := a.run()
	wantOutcome(t, r, dayfly.Failed, 0, "the job succeeded, but its results were not saved")
	sameFiles(t, a.results(r), map[string]string{"a": "1"})
}

// What lies under a result's key is not ours: it is neither overwritten nor claimed.
func TestWhatOthersStoredIsNotClaimed(t *testing.T) {
	t.Parallel()
	a := leaving(t, func(dir string) { must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("mine"), 0o644)) })
	a.put(prefix+dayfly.KeyResults+"a", []byte("theirs"))
	r := a.run()
	wantOutcome(t, r, dayfly.Failed, 0, "what lies there is not what was stored")
	if len(r.Results) != 0 || string(a.get(prefix+dayfly.KeyResults+"a")) != "theirs" {
		t.Errorf("results %v", r.Results)
	}
}

// A bucket that says it has stored what it has not is found out before anything is reported.
func TestWhatIsStoredIsReadBack(t *testing.T) {
	t.Parallel()
	for _, key := range []string{dayfly.KeyResults + "a", dayfly.KeyLog, dayfly.KeyReport} {
		for name, spoil := range map[string]func([]byte) []byte{
			"half of it":  func(b []byte) []byte { return b[:len(b)/2] },
			"a wrong bit": func(b []byte) []byte { b[0] ^= 1; return b },
		} {
			t.Run(key+", "+name, func(t *testing.T) {
				t.Parallel()
				a := leaving(t, func(dir string) { must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("mine"), 0o644)) })
				a.cfg.Sandbox.(*scripted).output = "words\n"
				a.cfg.Bucket = liar{a.bucket, prefix + key, spoil}
				err := agent.Run(t.Context(), a.cfg)
				if key == dayfly.KeyResults+"a" {
					must(t, err)
					r := a.verified()
					wantOutcome(t, r, dayfly.Failed, 0, "not what was stored")
				} else if err == nil || len(a.events) == 0 || a.events[len(a.events)-1] == "ring" {
					t.Errorf("got %v; happened %q", err, a.events)
				}
			})
		}
	}
}

// liar stores something else under one key and says that all is well.
type liar struct {
	bucket.Bucket
	key   string
	spoil func([]byte) []byte
}

func (l liar) Put(ctx context.Context, key string, r io.Reader, c bucket.Condition) (bucket.Info, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return bucket.Info{}, err
	}
	if key == l.key {
		b = l.spoil(b)
	}
	return l.Bucket.Put(ctx, key, bytes.NewReader(b), c)
}

// A secret in the name of a result is in neither the report nor the bucket, and the file is there.
func TestSecretsInNamesOfResults(t *testing.T) {
	t.Parallel()
	const pw, long = `tr0ub4dor "&3"`, "abcdefghijklmnopqrstuvwxyz"
	a := leaving(t, func(dir string) {
		for i, name := range []string{
			pw, "a/" + pw + ".csv", "a/b", "[secret PW]/c", long + "/d", // a file and a directory that would become one name
			"dHIwdWI0ZG9yICImMyI=", long + long, "plain", "\xff" + pw, strings.Repeat("n", 240) + "/" + long,
			strings.Repeat("n", 240) + long[:4], strings.Repeat("m", 220) + long,
		} {
			must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
			must(t, os.WriteFile(filepath.Join(dir, name), []byte(fmt.Sprint(i)), 0o644))
		}
	})
	a.cfg.Secrets = map[string]string{"PW": pw, "LONG": long, strings.Repeat("X", 40): "mmmmmmmmmm" + long}
	r := a.run()
	wantOutcome(t, r, dayfly.Succeeded, 0, "")
	n := strings.Repeat("n", 240)
	sameFiles(t, a.results(r), map[string]string{
		"[secret PW]~2": "0", "a/[secret PW].csv": "1", "a/b": "2", "[secret PW]/c": "3", "[secret LONG]/d": "4", "[secret PW]~1": "5",
		"[secret LONG][secret LONG]": "6", "plain": "7", "\xff[secret PW]": "8", "[secret]~2": "9", n + "abcd": "10", "[secret]~1": "11",
	})
	report := string(a.get(prefix + dayfly.KeyReport))
	for _, s := range []string{"tr0ub", "dHIwd", long} {
		if strings.Contains(report, s) {
			t.Errorf("%q is in the report: %s", s, report)
		}
	}
	wantNote(t, r, `results: take care: "a/[secret PW].csv": stored under this name`)
}
