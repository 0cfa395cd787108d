package agent_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/agent"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/machine"
)

// crowded makes the bucket lie on a full disk, together with what of the agent's directory is named.
func (a *attempt) crowded(full error, keys string, names ...string) {
	a.watch(func(op, key string) error {
		if op != "Put" || !strings.HasPrefix(key, prefix+keys) {
			return nil
		}
		for _, name := range names {
			if _, err := os.Lstat(filepath.Join(a.cfg.Dir, name)); err == nil {
				return &os.PathError{Op: "write", Path: "a bucket", Err: full}
			}
		}
		return nil
	}, nil)
}

func TestAFullDiskCostsTheResultsAndNotTheReport(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		full    error
		exit    int
		left    time.Duration // from the job's end to the deadline
		most    time.Duration // that saving may take
		outcome dayfly.Outcome
		reason  string
	}{
		"a job that succeeded": {syscall.ENOSPC, 0, time.Hour, 36 * time.Second, dayfly.Failed, "the disk was full and results were not saved"},
		"a quota":              {syscall.EDQUOT, 0, time.Hour, 36 * time.Second, dayfly.Failed, "the disk was full and results were not saved"},
		"a job that failed":    {syscall.ENOSPC, 3, time.Hour, 36 * time.Second, dayfly.Failed, "the job ended with exit code 3"},
		"a near deadline":      {syscall.ENOSPC, 0, 20 * time.Second, 18 * time.Second, dayfly.Failed, "the disk was full and results were not saved"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &scripted{runs: time.Minute, exit: machine.Exit{Code: c.exit}, output: "words\n"}
			virtual(t, s, func(t *testing.T, a *attempt) {
				files := map[string]string{}
				for i := range 50 {
					files[fmt.Sprint("big", i)] = strings.Repeat("x", 1000)
				}
				s.leaves(files)
				a.cfg.Task.Deadline = time.Now().Add(s.runs + c.left)
				a.crowded(c.full, "out/", "work", "results")
				r := a.run()
				wantOutcome(t, r, c.outcome, c.exit, c.reason)
				wantNote(t, r, "the disk was full for ")
				for _, note := range r.Notes {
					if strings.ContainsAny(note, "\n;") || strings.Contains(note, "runs/") {
						t.Errorf("a note says something twice, or in several lines: %q", note)
					}
				}
				if took := r.SavedAt.Sub(r.FinishedAt); took > c.most {
					t.Errorf("saving took %s", took)
				}
				if a.log() != "words\n" || len(r.Results) > 0 {
					t.Errorf("the log is %q, the results are %v", a.log(), r.Results)
				}
			})
		})
	}
}

// Room that comes in time, by itself or since the job's work is no longer needed, costs nothing.
func TestRoomThatComesInTime(t *testing.T) {
	t.Parallel()
	story := func(t *testing.T, before func(a *attempt, s *scripted)) dayfly.Report {
		var r dayfly.Report
		s := &scripted{runs: time.Minute, output: "words\n"}
		virtual(t, s, func(t *testing.T, a *attempt) {
			s.leaves(map[string]string{"a": "1", "b": "2"})
			before(a, s)
			r = a.run()
			wantOutcome(t, r, dayfly.Succeeded, 0, "")
			sameFiles(t, a.results(r), map[string]string{"a": "1", "b": "2"})
			if a.log() != "words\n" {
				t.Errorf("the log is %q", a.log())
			}
		})
		return r
	}
	t.Run("by itself, again and again", func(t *testing.T) {
		t.Parallel()
		story(t, func(a *attempt, s *scripted) {
			begin, turn := time.Now(), 25*time.Second
			a.watch(func(op, key string) error {
				since := time.Since(begin) - s.runs
				slow := strings.HasSuffix(key, "b")
				if op == "Put" && strings.HasPrefix(key, prefix+dayfly.KeyResults) && (since < turn || slow && since < 2*turn) {
					return syscall.ENOSPC
				}
				return nil
			}, nil)
		})
	})
	t.Run("from the job's work", func(t *testing.T) {
		t.Parallel()
		r := story(t, func(a *attempt, _ *scripted) { a.crowded(syscall.ENOSPC, dayfly.KeyResults, "work") })
		if took := r.SavedAt.Sub(r.FinishedAt); took > time.Second {
			t.Errorf("saving took %s", took)
		}
	})
	t.Run("for the log, from all that was stored and spared", func(t *testing.T) {
		t.Parallel()
		r := story(t, func(a *attempt, _ *scripted) {
			a.crowded(syscall.ENOSPC, dayfly.KeyLog, "work", "results", "spare")
		})
		if took := r.SavedAt.Sub(r.FinishedAt); took > time.Second {
			t.Errorf("saving took %s", took)
		}
	})
}

// What is removed to make room is the job's own, wherever its links point.
func TestMakingRoomFollowsNoLink(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "other"), nil, 0o644))
	s := &scripted{runs: time.Second}
	virtual(t, s, func(t *testing.T, a *attempt) {
		s.atStart = func(c machine.Command) error {
			return errors.Join(os.WriteFile(filepath.Join(c.Results, "a"), nil, 0o644),
				os.Symlink(outside, filepath.Join(c.Results, "link")),
				os.Remove(c.Work), os.Symlink(outside, c.Work))
		}
		a.crowded(syscall.ENOSPC, "out/", "work", "results")
		wantOutcome(t, a.run(), dayfly.Failed, 0, "the disk was full")
	})
	if _, err := os.Stat(filepath.Join(outside, "other")); err != nil {
		t.Error(err)
	}
}

// narrow is a bucket on a disk with room for so much of the log, and for more when the chunks are gone.
type narrow struct {
	bucket.Bucket
	chunks string // where they lie
	room   int64
	reads  bool // everything, before it looks for room
}

func (n narrow) Put(ctx context.Context, key string, r io.Reader, c bucket.Condition) (bucket.Info, error) {
	if !strings.HasSuffix(key, dayfly.KeyLog) {
		return n.Bucket.Put(ctx, key, r, c)
	}
	room := n.room
	for range n.List(ctx, n.chunks, "") {
		room = 0
	}
	b, err := io.ReadAll(io.LimitReader(r, room+1))
	if err == nil && int64(len(b)) > room {
		if n.reads {
			_, err = io.Copy(io.Discard, r)
		}
		return bucket.Info{}, errors.Join(err, syscall.ENOSPC)
	}
	return n.Bucket.Put(ctx, key, bytes.NewReader(b), c)
}

func TestAFullDiskCutsTheLog(t *testing.T) {
	t.Parallel()
	const size = 60_000 // less than a pipe holds
	printed := strings.Repeat("a line of the log..\n", size/20)
	for name, c := range map[string]struct {
		room    int64
		reads   bool
		exit    int
		left    time.Duration // from the job's end to the deadline
		outcome dayfly.Outcome
		reason  string
		kept    int
	}{
		"room for all without the chunks": {size, false, 0, time.Hour, dayfly.Succeeded, "", size},
		"room for a part":                 {size - 1, true, 0, time.Hour, dayfly.Failed, "the disk was full and its log was cut", size / 4},
		"room for a part, a failed job":   {size - 1, true, 3, time.Hour, dayfly.Failed, "the job ended with exit code 3", size / 4},
		"room for a part, a deadline":     {size - 1, true, 0, 20 * time.Second, dayfly.Failed, "the disk was full and its log was cut", size / 4},
		"room for next to nothing":        {20_000, false, 0, time.Hour, dayfly.Failed, "the disk was full and its log was cut", 0},
		"room for nothing":                {0, true, 0, time.Hour, dayfly.Failed, "the disk was full and its log was cut", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &scripted{runs: time.Minute, exit: machine.Exit{Code: c.exit}, output: printed}
			virtual(t, s, func(t *testing.T, a *attempt) {
				a.cfg.Task.Deadline = time.Now().Add(s.runs + c.left)
				a.cfg.Bucket = narrow{a.bucket, prefix + dayfly.KeyChunks, c.room, c.reads}
				r := a.run()
				wantOutcome(t, r, c.outcome, c.exit, c.reason)
				want := printed[:c.kept]
				if c.kept < size {
					wantNote(t, r, "log: the disk was full for ", fmt.Sprintf("%d bytes cut", size-c.kept))
					if c.kept > 0 {
						mark, _, _ := strings.Cut(strings.TrimPrefix(r.Notes[0], "log: "), ":")
						want += fmt.Sprintf("\n[dayfly: %d bytes cut here: %s]\n", size-c.kept, mark)
					}
				} else if len(r.Notes) > 0 {
					t.Errorf("notes of a whole log: %q", r.Notes)
				}
				if a.log() != want {
					t.Errorf("the log has %d bytes, want %d: %.100q", len(a.log()), len(want), a.log())
				}
				if took := r.SavedAt.Sub(r.FinishedAt); took > min(40*time.Second, c.left) {
					t.Errorf("saving took %s", took)
				}
			})
		})
	}
}

// The phase could not be written down on a full disk: it is said once more when there is room.
func TestThePhaseIsSaidAgainWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	virtual(t, &scripted{runs: time.Minute, output: "words\n"}, func(t *testing.T, a *attempt) {
		a.crowded(syscall.ENOSPC, dayfly.KeyLog, "spare")
		var said []string
		a.cfg.Phase = func(name string) {
			if _, err := os.Lstat(filepath.Join(a.cfg.Dir, "spare")); err != nil {
				said = append(said, name)
			}
		}
		a.run()
		if !slices.Equal(said, []string{agent.PhaseSave}) {
			t.Errorf("with room there was said %q", said)
		}
	})
}

// A report that finds no room takes that of the log, which is stored by then.
func TestTheReportHasTheRoomOfTheLog(t *testing.T) {
	t.Parallel()
	virtual(t, &scripted{runs: time.Minute, output: "words\n"}, func(t *testing.T, a *attempt) {
		a.watch(func(op, key string) error {
			if info, err := os.Stat(filepath.Join(a.cfg.Dir, "log")); op == "Put" && key == prefix+dayfly.KeyReport && (err != nil || info.Size() > 0 || len(a.live()) > 0) {
				return syscall.ENOSPC
			}
			return nil
		}, nil)
		r := a.run()
		wantOutcome(t, r, dayfly.Succeeded, 0, "")
		if a.log() != "words\n" {
			t.Errorf("the log is %q", a.log())
		}
	})
}
