package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
)

// Eight processes write as quickly as they can: none is told that the store is busy, none waits
// long, and of all that insert the same run one wins.
func TestEightProcesses(t *testing.T) {
	t.Parallel()
	const processes, each = 8, 50
	path := filepath.Join(t.TempDir(), "dayfly.db")
	var all []*process
	for i := range processes {
		all = append(all, start(t, "write", path, fmt.Sprintf("p%d", i), strconv.Itoa(each)))
	}
	for _, p := range all {
		p.tell(t)
	}
	won, longest := 0, 0
	for _, p := range all {
		var w, ms int
		if _, err := fmt.Sscan(p.line(t), &w, &ms); err != nil {
			t.Fatal(err)
		}
		p.wait(t)
		won, longest = won+w, max(longest, ms)
	}
	t.Logf("the longest of %d changes took %d ms", processes*each*3, longest)
	if won != each {
		t.Errorf("%d inserts of %d runs that all wanted were acknowledged", won, each)
	}
	s := openAt(t, path)
	runs, err := s.ActiveRuns(t.Context(), store.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	if want := each * (processes + 1); len(runs) != want {
		t.Errorf("there are %d runs, want %d", len(runs), want)
	}
	intact(t, s)
}

func intact(t testing.TB, s *sqlite.Store) {
	t.Helper()
	if got, _, err := s.Pragmas(t.Context(), "integrity_check"); err != nil || got != "ok" {
		t.Fatalf("integrity check: %s (%v)", got, err)
	}
}

// A process is killed in the middle of writing, again and again: what it was told is stored, is stored.
func TestKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dayfly.db")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	told := 0
	for i := range 50 {
		p := start(t, "last", path, fmt.Sprintf("k%d", i))
		p.tell(t)
		p.line(t) // it writes
		kill := time.AfterFunc(time.Duration(random.IntN(30_000))*time.Microsecond, func() { _ = p.cmd.Process.Kill() })
		acknowledged := map[dayfly.RunID]int64{}
		for p.out.Scan() {
			var (
				id  dayfly.RunID
				rev int64
			)
			if _, err := fmt.Sscan(p.out.Text(), &id, &rev); err != nil {
				break // cut in the middle of a word
			}
			acknowledged[id] = rev
		}
		kill.Stop()
		_ = p.cmd.Wait()
		if p.stderr.Len() > 0 {
			t.Fatalf("kill %d: before it the process said %s", i, p.stderr.String())
		}
		s, err := sqlite.Open(t.Context(), path, options)
		if err != nil {
			t.Fatalf("kill %d: %v", i, err)
		}
		intact(t, s)
		for id, rev := range acknowledged {
			if r, err := s.Run(t.Context(), id); err != nil || r.Rev < rev {
				t.Errorf("kill %d: revision %d of run %s was acknowledged, and there is %d (%v)", i, rev, id, r.Rev, err)
			}
		}
		told += len(acknowledged)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d runs were acknowledged before 50 kills", told)
	if told < 50 {
		t.Errorf("only %d runs were acknowledged: the kills came too early to show anything", told)
	}
}

func TestHolderIsNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dayfly.db")
	p := start(t, "hold", path, "dayfly serve --data x")
	o := options
	o.Wait = 200 * time.Millisecond
	s, err := sqlite.Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p.tell(t)
	if line := p.line(t); line != "inside" {
		t.Fatal(line)
	}

	check := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, store.ErrBusy) || dayfly.ErrorCode(err) != dayfly.CodeBusy {
			t.Fatalf("%s: %v, want that the store is busy", what, err)
		}
		for _, word := range []string{strconv.Itoa(p.cmd.Process.Pid), "dayfly serve --data x"} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q does not name %s", what, err, word)
			}
		}
	}
	_, err = s.InsertRuns(t.Context(), []dayfly.Run{runOf("pi", 0)})
	check("insert", err)
	_, err = s.InsertRuns(t.Context(), []dayfly.Run{runOf("pi", 0)})
	check("insert again", err)
	_, err = sqlite.Open(t.Context(), path, o)
	check("open", err)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.InsertRuns(ctx, []dayfly.Run{runOf("pi", 0)}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrBusy) {
		t.Errorf("insert with a deadline of its own: %v", err)
	}
	if runs, err := s.ActiveRuns(t.Context(), store.Scope{}); err != nil || len(runs) != 0 {
		t.Errorf("a reader beside a writer: %v, %v", runs, err)
	}
	p.tell(t)
	p.wait(t)
	if stored, err := s.InsertRuns(t.Context(), []dayfly.Run{runOf("pi", 0)}); err != nil || !stored[0] {
		t.Errorf("insert when the other has left: %v, %v", stored, err)
	}
}

// Who decides what may launch does it alone, and does not keep others from writing meanwhile.
func TestAdmission(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dayfly.db")
	one := openAt(t, path)
	o := options
	o.Wait, o.Holder = 50*time.Millisecond, "other"
	other, err := sqlite.Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	leave, err := one.Admission(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Admission(t.Context()); !errors.Is(err, store.ErrBusy) || !strings.Contains(err.Error(), "launching") {
		t.Errorf("admission beside another: %v, want that somebody is launching", err)
	}
	if _, err := other.InsertRuns(t.Context(), []dayfly.Run{runOf("pi", 0)}); err != nil {
		t.Errorf("a change beside an admission: %v", err)
	}
	leave()
	leave, err = other.Admission(t.Context())
	if err != nil {
		t.Fatalf("admission when the other has left: %v", err)
	}
	leave()
}
