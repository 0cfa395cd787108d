package sqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
)

// This program is also the other processes of its tests: role says which, with its arguments.
const role = "DAYFLY_TEST_ROLE"

var roles = map[string]func(ctx context.Context, path string, args []string) error{
	"write": childWrites, "last": childWritesOn, "hold": childHolds,
}

func TestMain(m *testing.M) {
	child := roles[os.Getenv(role)]
	if child == nil {
		os.Exit(m.Run())
	}
	if err := child(context.Background(), os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// process is another process; it waits for a line on its input after it has said "ready".
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	stderr bytes.Buffer
}

func start(t testing.TB, as, path string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0], append([]string{path}, args...)...)}
	p.cmd.Env = append(os.Environ(), role+"="+as)
	p.cmd.Stderr = &p.stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewScanner(out)
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	if line := p.line(t); line != "ready" {
		t.Fatalf("the process says %q", line)
	}
	return p
}

func (p *process) line(t testing.TB) string {
	t.Helper()
	if !p.out.Scan() {
		_ = p.cmd.Wait()
		t.Fatalf("the process is gone: %s", p.stderr.String())
	}
	return p.out.Text()
}

func (p *process) tell(t testing.TB) {
	t.Helper()
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		t.Fatal(err)
	}
}

func (p *process) wait(t testing.TB) {
	t.Helper()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("process: %v: %s", err, p.stderr.String())
	}
}

func childOpen(ctx context.Context, path, holder string) (*sqlite.Store, error) {
	s, err := sqlite.Open(ctx, path, sqlite.Options{Holder: holder, Now: time.Now})
	if err == nil {
		fmt.Println("ready")
		_, err = os.Stdin.Read(make([]byte, 1))
	}
	return s, err
}

var slot = time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)

func runOf(job string, minute int) dayfly.Run {
	r := dayfly.Run{Job: dayfly.JobName(job), Slot: slot.Add(time.Duration(minute) * time.Minute), State: dayfly.Due, Trigger: dayfly.TriggerSchedule}
	r.ID = dayfly.NewRunID(r.Job, r.Slot, r.Shard, r.N)
	return r
}

// childWrites inserts and changes runs of its own, tries to insert those that all try, and says how
// many of these it got and how long the longest change took.
func childWrites(ctx context.Context, path string, args []string) error {
	s, err := childOpen(ctx, path, args[0])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	won, longest := 0, time.Duration(0)
	timed := func(f func() error) error {
		begin := time.Now()
		err := f()
		longest = max(longest, time.Since(begin))
		return err
	}
	for i := range n {
		shared, own := runOf("shared", i), runOf(args[0], i)
		shared.Reason = args[0]
		err := errors.Join(timed(func() error {
			stored, err := s.InsertRuns(ctx, []dayfly.Run{shared})
			if err == nil && stored[0] {
				won++
			}
			return err
		}), timed(func() error {
			_, err := s.InsertRuns(ctx, []dayfly.Run{own})
			return err
		}), timed(func() error {
			r, err := s.Run(ctx, own.ID)
			if err != nil {
				return err
			}
			r.State = dayfly.Launching
			_, err = s.UpdateRun(ctx, r)
			return err
		}))
		if err != nil {
			return err
		}
	}
	fmt.Println(won, longest.Milliseconds())
	return s.Close()
}

// childWritesOn writes until it is killed and says what was acknowledged: a run and its revision.
func childWritesOn(ctx context.Context, path string, args []string) error {
	s, err := childOpen(ctx, path, args[0])
	if err != nil {
		return err
	}
	for i := 0; ; i += 3 {
		batch := []dayfly.Run{runOf(args[0], i), runOf(args[0], i+1), runOf(args[0], i+2)}
		if _, err := s.InsertRuns(ctx, batch); err != nil {
			return err
		}
		for _, r := range batch {
			fmt.Println(r.ID, 1)
		}
		r, err := s.Run(ctx, batch[i%3].ID)
		if err != nil {
			return err
		}
		r.State = dayfly.Launching
		if r, err = s.UpdateRun(ctx, r); err != nil {
			return err
		}
		fmt.Println(r.ID, r.Rev)
	}
}

// childHolds stays inside a change until it is told to leave.
func childHolds(ctx context.Context, path string, args []string) error {
	s, err := childOpen(ctx, path, args[0])
	if err != nil {
		return err
	}
	err = s.Change(ctx, func(*sql.Conn) error {
		fmt.Println("inside")
		_, err := os.Stdin.Read(make([]byte, 1))
		return err
	})
	return errors.Join(err, s.Close())
}

var _ store.Store = (*sqlite.Store)(nil)
