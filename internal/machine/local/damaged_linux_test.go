package local_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/fuzztest"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/local"
)

// soundFolder is a machine's folder as dayfly leaves it. BOOT and OUTSIDE stand for what only the test knows.
var soundFolder = []struct{ name, content string }{
	{"tags.json", `{"dayfly:installation":"test","dayfly:run":"test-20261122T230000Z","dayfly:attempt":1,"dayfly:deadline":"2026-11-22T23:01:00Z","dayfly:token":"hurt"}`},
	{"launch.json", `{"spec":{"token":"hurt","tags":{"dayfly:installation":"test","dayfly:run":"test-20261122T230000Z","dayfly:attempt":1,"dayfly:deadline":"2026-11-22T23:01:00Z","dayfly:token":"hurt"},"task":{"script":"true"}},"way":"root","hidden":["/x"],"launched_at":"2026-11-22T23:00:00Z"}`},
	{"lock", ""},
	{"started", `{"supervisor":{"pid":4194304,"start":1,"boot":"BOOT"},"cgroups":["OUTSIDE"]}`},
	{"init.json", `{"init":{"pid":4194304,"start":2,"boot":"BOOT"}}`},
	{"status.json", `{"phase":"run","started_at":"2026-11-22T23:00:01Z","notes":["x"]}`},
	{"closed", "it was ended\n"},
	{"emptied", ""},
	{"supervisor.log", "x\n"},
}

// hurtFolder makes a folder in which the bytes say of each file what became of it.
func hurtFolder(t *testing.T, dir string, program []byte, known *strings.Replacer) {
	t.Helper()
	next := func() byte {
		if len(program) == 0 {
			return 1
		}
		b := program[0]
		program = program[1:]
		return b
	}
	for _, f := range soundFolder {
		path, whole := filepath.Join(dir, f.name), known.Replace(f.content)
		var err error
		switch next() % 11 {
		case 0: // it is not there
		case 1, 2:
			err = os.WriteFile(path, []byte(whole), 0o600)
		case 3: // cut off
			err = os.WriteFile(path, []byte(whole[:min(int(next()), len(whole))]), 0o600)
		case 4: // one byte is another
			if b, i := []byte(whole), int(next()); i < len(b) {
				b[i] ^= next()
				err = os.WriteFile(path, b, 0o600)
			}
		case 5: // anything
			n := min(int(next())*4, len(program))
			err = os.WriteFile(path, []byte(known.Replace(string(program[:n]))), 0o600)
			program = program[n:]
		case 6:
			err = unix.Mkfifo(path, 0o600)
		case 7:
			if err = os.WriteFile(path, []byte(whole), 0o600); err == nil {
				err = os.Truncate(path, fuzztest.Huge)
			}
		case 8:
			err = os.MkdirAll(filepath.Join(path, "x"), 0o700)
		case 9:
			err = os.Symlink([]string{"/dev/zero", "self", "/", f.name, "tags.json"}[next()%5], path)
		case 10:
			err = unix.Mknod(path, unix.S_IFSOCK|0o600, 0)
		}
		if err != nil && os.Getenv("CI") == "true" {
			t.Fatalf("under CI=true this may not be skipped: %v", err)
		}
		if err != nil {
			t.Skip(err) // a file system without such files
		}
	}
}

// FuzzFolder damages the folder of a machine: whoever looks at it, ends or forgets it is soon done and reads little,
// a machine that lives is never taken for gone nor for nobody's, another one beside it is seen as it is, and nothing
// outside the folder is touched.
func FuzzFolder(f *testing.F) {
	for i := range soundFolder {
		for kind := range byte(11) {
			program := bytes.Repeat([]byte{1}, len(soundFolder)) // the rest is as it was
			program[i] = kind
			f.Add(program, kind%2 == 0)
		}
	}
	f.Add([]byte{}, true)
	f.Add([]byte{3, 0, 3, 0, 1, 1, 1, 1, 0, 0, 1}, true) // nobody knows whose it is
	f.Add([]byte{3, 0, 3, 0, 1, 0, 1, 1, 0, 0, 1}, true) // nor that it has started
	f.Add([]byte{1, 1, 1, 5, 255, '{', '}'}, true)
	f.Add([]byte("\x00\x00\x01\x05\xff"+`{"supervisor":{"pid":-1,"start":18446744073709551615,"boot":"BOOT"},"cgroups":["OUTSIDE/dayfly-other","OUTSIDE/../dayfly-hurt","","/"]}`), false)
	f.Add(bytes.Repeat([]byte{7}, len(soundFolder)), false)
	f.Add(bytes.Repeat([]byte{6}, len(soundFolder)), false)
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, program []byte, lives bool) {
		top := t.TempDir()
		outside, dir := filepath.Join(top, "outside"), filepath.Join(top, "machines")
		for _, d := range []string{outside, filepath.Join(outside, "dayfly-other"), filepath.Join(dir, "hurt"), filepath.Join(dir, "sound")} {
			must(t, os.MkdirAll(d, 0o700) == nil, "the disk is full")
		}
		known := strings.NewReplacer("BOOT", strings.TrimSpace(string(boot)), "OUTSIDE", outside)
		hurtFolder(t, filepath.Join(dir, "hurt"), program, known)
		beside := strings.ReplaceAll(soundFolder[0].content, "hurt", "sound")
		must(t, os.WriteFile(filepath.Join(dir, "sound", "tags.json"), []byte(beside), 0o600) == nil, "the disk is full")
		lives = lives && locked(filepath.Join(dir, "hurt", "lock"), t)
		p, err := local.New(local.Config{Dir: dir, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		look := func(when string) {
			var l machine.Listing
			fuzztest.Bounded(t, func() { l, err = p.List(t.Context()) })
			seen := map[dayfly.MachineID]dayfly.Machine{}
			for _, m := range l.Machines {
				seen[m.ID] = m
			}
			if m := seen["local/sound"]; m.Tags.Run != "test-20261122T230000Z" || m.State != dayfly.MachinePending {
				t.Errorf("%s the one beside it is %+v, %v", when, m, err)
			}
			m, there := seen["local/hurt"]
			whole := len(l.Complete) > 0
			if lives && whole && (!there || m.State == dayfly.MachineTerminated || m.Tags.Token == "") {
				t.Errorf("%s it lives, and a complete list shows %+v", when, m)
			}
			if !there && whole && when == "at first" {
				t.Error("a complete list does not show it")
			}
		}
		look("at first")
		short, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		fuzztest.Bounded(t, func() {
			_ = p.Cancel(short, "local/hurt")
			_ = p.Terminate(short, "local/hurt")
		})
		look("when it was ended")
		if _, err := os.Lstat(filepath.Join(dir, "hurt", "closed")); err == nil {
			fuzztest.Bounded(t, func() { _, _ = p.Launch(t.Context(), specOf("hurt")) }) // a reply was lost
		}
		if lives {
			if p.Forget(t.Context(), "local/hurt") == nil {
				t.Error("it lives, and is forgotten")
			}
			look("when it should be forgotten")
		} else {
			fuzztest.Bounded(t, func() { _ = p.Forget(t.Context(), "local/hurt") })
			look("when it was forgotten")
		}
		if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
			t.Errorf("outside are %v now, %v", left, err)
		}
	})
}

// specOf is the launch that a folder is of.
func specOf(token string) machine.Spec {
	deadline := time.Now().Add(time.Minute)
	return machine.Spec{Token: token, Tags: dayfly.Tags{Installation: "test", Run: "test-20261122T230000Z", Attempt: 1, Deadline: deadline, Token: token}}
}

// locked locks a file as a supervisor does, until the test ends, where it is one.
func locked(path string, t *testing.T) bool {
	t.Helper()
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		t.Fatal(err)
	}
	return true
}

// TestDamagedFolderOfALivingJob: on the rung none a job outlives whoever watches it, and no damage makes it gone.
func TestDamagedFolderOfALivingJob(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"cut off": `{"supervisor":{"pi`, "empty": "", "no record": "[]"} {
		for _, files := range [][]string{{"started"}, {"init.json"}, {"started", "init.json"}, {"started", "init.json", "launch.json"}} {
			t.Run(name+" "+strings.Join(files, " "), func(t *testing.T) {
				t.Parallel()
				h := newHost(t)
				s := h.spec("echo started; exec sleep 1000")
				s.Machine.Isolation = dayfly.IsolationNone
				h.launch(s)
				h.awaitLog(s.Task.Env["TEST_DIR"], "started")
				first, supervisor := h.first(s.Token), h.supervisor(s.Token)
				for _, f := range files {
					must(t, os.WriteFile(filepath.Join(h.dir, s.Token, f), []byte(text), 0o600) == nil, "the disk is full")
				}
				h.kill(unix.SIGKILL, first) // before it can end the job
				h.kill(unix.SIGKILL, supervisor)
				h.await("both are dead", func() bool { return !lives(t, first) && !lives(t, supervisor) })
				h.awaitState(h.MachineID(s), dayfly.MachineTerminated)
				if left := jobProcesses(t, s.Token); len(left) > 0 {
					t.Errorf("it is terminated, and its job lives: %v", left)
				}
			})
		}
	}
}

// TestSoundFolder keeps what the fuzz target damages what it should be.
func TestSoundFolder(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.spec("echo started; exec sleep 1000")
	h.launch(s)
	h.awaitLog(s.Task.Env["TEST_DIR"], "started")
	for _, f := range soundFolder[:5] {
		var sample, real map[string]any
		b, err := os.ReadFile(filepath.Join(h.dir, s.Token, f.name))
		if err != nil {
			t.Fatal(err)
		}
		if f.content == "" {
			continue
		}
		if err := json.Unmarshal([]byte(f.content), &sample); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &real); err != nil {
			t.Fatal(err)
		}
		for key := range sample {
			if _, ok := real[key]; !ok && key != "cgroups" {
				t.Errorf("a real %s has no %s: %s", f.name, key, b)
			}
		}
	}
}
