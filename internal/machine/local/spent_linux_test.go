package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/local"
)

// TestLauncherPausedForALifetime is a launcher that was paused after it had made the machine's folder, and goes on
// after others have seen that machine to its end and forgotten it.
func TestLauncherPausedForALifetime(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.spec("echo started")
	h.launch(s)
	before := t.TempDir()
	for _, name := range []string{"tags.json", "launch.json"} {
		b, err := os.ReadFile(filepath.Join(h.dir, s.Token, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(before, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h.end(s)
	if err := h.Forget(t.Context(), h.MachineID(s)); err != nil {
		t.Fatal(err)
	}
	// The paused one's folder falls into place now, and then it starts the supervisor.
	if err := os.WriteFile(filepath.Join(before, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(h.dir, s.Token), os.DirFS(before)); err != nil {
		t.Fatal(err)
	}
	if m, err := h.Launch(t.Context(), s); !errors.Is(err, machine.ErrGone) {
		t.Errorf("launch gave %+v, %v; want ErrGone", m, err)
	}
	h.awaitState(h.MachineID(s), dayfly.MachineTerminated)
	if n := strings.Count(h.log(s), "started"); n != 1 {
		t.Errorf("the job was started %d times", n)
	}
}

// TestTerminateAfterForget is a pass that was paused while another one saw the machine to its end.
func TestTerminateAfterForget(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.spec("true")
	m := h.launch(s)
	h.end(s)
	for range 2 {
		if err := h.Forget(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
		if err := h.Terminate(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(filepath.Join(h.dir, s.Token)); !errors.Is(err, os.ErrNotExist) { // a listing would remove it
			t.Errorf("its folder is there again: %v", err)
		}
		if state := h.state(m.ID); state != "" {
			t.Errorf("it is there again, and %s", state)
		}
	}
	if _, err := h.Launch(t.Context(), s); !errors.Is(err, machine.ErrGone) {
		t.Errorf("launch gave %v; want ErrGone", err)
	}
}

// TestTerminateOfAFolderMadeAfterForget is a launcher that was paused, made the folder at last, and was killed.
func TestTerminateOfAFolderMadeAfterForget(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.spec("true")
	m := h.launch(s)
	h.end(s)
	if err := h.Forget(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(h.dir, s.Token), 0o700); err != nil {
		t.Fatal(err)
	}
	h.write(s.Token, "tags.json", s.Tags)
	h.write(s.Token, "lock", nil)
	h.awaitState(m.ID, dayfly.MachinePending)
	if err := h.Terminate(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	if state := h.state(m.ID); state != dayfly.MachineTerminated {
		t.Errorf("it was ended and is %s", state)
		if err := os.RemoveAll(filepath.Join(h.dir, s.Token)); err != nil { // nobody would wait for it in vain
			t.Error(err)
		}
	}
}

// TestTerminateInTheMiddleOfForget is a pass that found the machine just before another one forgot it, and closed it
// just after.
func TestTerminateInTheMiddleOfForget(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.spec("true")
	m := h.launch(s)
	h.end(s)
	if err := h.Forget(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(h.dir, s.Token, "closed")
	if err := errors.Join(os.Mkdir(filepath.Dir(closed), 0o700), os.WriteFile(closed, []byte("it was ended\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if state := h.state(m.ID); state != "" {
		t.Errorf("it is there again, and %s", state)
	}
	if _, err := os.Lstat(filepath.Dir(closed)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is still there: %v", err)
	}
	if _, err := h.Launch(t.Context(), s); !errors.Is(err, machine.ErrGone) {
		t.Errorf("launch gave %v; want ErrGone", err)
	}
}

func TestSpentTokensAreDroppedAfterTheirDeadline(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	now := time.Now()
	p, err := local.New(local.Config{Dir: h.dir, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	forget := func() {
		s := h.spec("true")
		h.launch(s)
		h.end(s)
		if err := p.Forget(t.Context(), h.MachineID(s)); err != nil {
			t.Fatal(err)
		}
	}
	tokens := func() int {
		all, err := filepath.Glob(filepath.Join(h.dir, ".spent", "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	forget()
	forget()
	if n := tokens(); n != 2 {
		t.Errorf("%d tokens are remembered, want 2", n)
	}
	now = now.Add(4 * time.Hour)
	forget()
	if n := tokens(); n != 0 {
		t.Errorf("%d tokens are remembered hours after their deadline", n)
	}
}
