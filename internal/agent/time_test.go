package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/agent"
	"github.com/dayfly-io/dayfly/internal/bucket"
)

// obeys is a scripted job that dies of SIGTERM at once.
func obeys() *scripted {
	return &scripted{dies: map[syscall.Signal]time.Duration{syscall.SIGTERM: 0, syscall.SIGKILL: 0}}
}

// virtual runs a story in virtual time with a scripted job.
func virtual(t *testing.T, s *scripted, story func(t *testing.T, a *attempt)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := setup(t, "")
		a.cfg.Sandbox = s
		story(t, a)
	})
}

func wantSignals(t *testing.T, s *scripted, want ...string) {
	t.Helper()
	if !slices.Equal(s.signals, want) {
		t.Errorf("signals %q, want %q", s.signals, want)
	}
}

func TestTimeoutIsTermThenKill(t *testing.T) {
	t.Parallel()
	t.Run("a job that obeys", func(t *testing.T) {
		t.Parallel()
		s := obeys()
		virtual(t, s, func(t *testing.T, a *attempt) {
			r := a.run()
			wantOutcome(t, r, dayfly.TimedOut, 143, "longer than its timeout of 30m0s")
			wantSignals(t, s, "TERM@30m0s")
			if r.Signal != "SIGTERM" || r.Usage.Wall.Duration() != 30*time.Minute {
				t.Errorf("signal %q, wall %s", r.Signal, r.Usage.Wall)
			}
		})
	})
	t.Run("a job that leaves well in its grace", func(t *testing.T) {
		t.Parallel()
		s := &scripted{runs: 30*time.Minute + 9*time.Second}
		virtual(t, s, func(t *testing.T, a *attempt) {
			wantOutcome(t, a.run(), dayfly.TimedOut, 0, "timeout")
			wantSignals(t, s, "TERM@30m0s")
		})
	})
	t.Run("a job that does not hear", func(t *testing.T) {
		t.Parallel()
		s := &scripted{dies: map[syscall.Signal]time.Duration{syscall.SIGKILL: 0}}
		virtual(t, s, func(t *testing.T, a *attempt) {
			r := a.run()
			wantOutcome(t, r, dayfly.TimedOut, 137, "timeout")
			wantSignals(t, s, "TERM@30m0s", "KILL@30m10s")
			if r.Signal != "SIGKILL" {
				t.Errorf("signal %q", r.Signal)
			}
		})
	})
	t.Run("a job that forks faster than it is killed", func(t *testing.T) {
		t.Parallel()
		s := &scripted{dies: map[syscall.Signal]time.Duration{syscall.SIGKILL: 250 * time.Millisecond}}
		virtual(t, s, func(t *testing.T, a *attempt) {
			a.run()
			wantSignals(t, s, "TERM@30m0s", "KILL@30m10s", "KILL@30m10.1s", "KILL@30m10.2s")
		})
	})
	t.Run("a job that ends in time", func(t *testing.T) {
		t.Parallel()
		s := &scripted{runs: 30*time.Minute - 1}
		virtual(t, s, func(t *testing.T, a *attempt) {
			wantOutcome(t, a.run(), dayfly.Succeeded, 0, "")
			wantSignals(t, s)
		})
	})
}

// Where the deadline is near, the job is ended so early that what it leaves can be saved.
func TestTheDeadlineLeavesTimeToSave(t *testing.T) {
	t.Parallel()
	for _, left := range []time.Duration{time.Second, 10 * time.Second, time.Minute, 20 * time.Minute} {
		s := &scripted{dies: map[syscall.Signal]time.Duration{syscall.SIGKILL: 0}, output: "words\n"}
		virtual(t, s, func(t *testing.T, a *attempt) {
			a.cfg.Task.Deadline = time.Now().Add(left)
			r := a.run()
			wantOutcome(t, r, dayfly.TimedOut, 137, "the machine's deadline came before the job ended")
			if spare := a.cfg.Task.Deadline.Sub(r.SavedAt); spare < min(left/10, 15*time.Second) {
				t.Errorf("with %s to live only %s were left", left, spare)
			}
			if ran := r.FinishedAt.Sub(r.StartedAt); ran < left*7/10 {
				t.Errorf("with %s to live the job ran only %s", left, ran)
			}
			if a.log() != "words\n" {
				t.Errorf("the log is %q", a.log())
			}
		})
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	t.Run("before it began", func(t *testing.T) {
		t.Parallel()
		s := obeys()
		virtual(t, s, func(t *testing.T, a *attempt) {
			a.put(prefix+dayfly.KeyCancel, nil)
			wantOutcome(t, a.run(), dayfly.Canceled, -1, "cancelled")
			if !s.started.IsZero() {
				t.Error("the job was started")
			}
		})
	})
	t.Run("found within two seconds", func(t *testing.T) {
		t.Parallel()
		s := obeys()
		virtual(t, s, func(t *testing.T, a *attempt) {
			time.AfterFunc(5100*time.Millisecond, func() { a.put(prefix+dayfly.KeyCancel, nil) })
			wantOutcome(t, a.run(), dayfly.Canceled, 143, "cancelled")
			wantSignals(t, s, "TERM@6s")
		})
	})
	t.Run("at once when the bell rings", func(t *testing.T) {
		t.Parallel()
		s := &scripted{dies: map[syscall.Signal]time.Duration{syscall.SIGKILL: 0}}
		virtual(t, s, func(t *testing.T, a *attempt) {
			bell := make(chan struct{}, 1)
			a.cfg.Cancel = bell
			time.AfterFunc(5100*time.Millisecond, func() {
				bell <- struct{}{} // rung for nothing
				a.put(prefix+dayfly.KeyCancel, nil)
				close(bell)
			})
			wantOutcome(t, a.run(), dayfly.Canceled, 137, "cancelled")
			wantSignals(t, s, "TERM@5.1s", "KILL@15.1s")
		})
	})
	t.Run("a bell that was closed long ago", func(t *testing.T) {
		t.Parallel()
		s := obeys()
		virtual(t, s, func(t *testing.T, a *attempt) {
			bell := make(chan struct{})
			close(bell)
			a.cfg.Cancel = bell
			looks := 0
			a.watch(func(op, key string) error {
				if op == "Stat" {
					looks++
				}
				return nil
			}, nil)
			a.run()
			if looks > 1000 {
				t.Errorf("it looked %d times in half an hour", looks)
			}
		})
	})
	t.Run("while the files are fetched", func(t *testing.T) {
		t.Parallel()
		s := obeys()
		virtual(t, s, func(t *testing.T, a *attempt) {
			a.files(map[string]string{"x": "y"})
			a.watch(func(op, key string) error {
				if strings.HasPrefix(key, "files/") {
					return errors.New("slow down")
				}
				return nil
			}, nil)
			time.AfterFunc(time.Minute, func() { a.put(prefix+dayfly.KeyCancel, nil) })
			r := a.run()
			wantOutcome(t, r, dayfly.Canceled, -1, "cancelled")
			if d := r.FinishedAt.Sub(r.PreparedAt); d > time.Minute+2*time.Second {
				t.Errorf("it took %s", d)
			}
		})
	})
	t.Run("while looking fails", func(t *testing.T) {
		t.Parallel()
		s := obeys()
		virtual(t, s, func(t *testing.T, a *attempt) {
			begin := time.Now()
			a.watch(func(op, key string) error {
				if op == "Stat" && time.Since(begin) < time.Minute {
					return errors.New("slow down")
				}
				return nil
			}, nil)
			a.put(prefix+dayfly.KeyCancel, nil)
			wantOutcome(t, a.run(), dayfly.Canceled, 143, "cancelled")
			wantSignals(t, s, "TERM@1m0s")
		})
	})
	t.Run("after the timeout it is still a timeout", func(t *testing.T) {
		t.Parallel()
		s := &scripted{dies: map[syscall.Signal]time.Duration{syscall.SIGKILL: 0}}
		virtual(t, s, func(t *testing.T, a *attempt) {
			time.AfterFunc(30*time.Minute+time.Second, func() { a.put(prefix+dayfly.KeyCancel, nil) })
			wantOutcome(t, a.run(), dayfly.TimedOut, 137, "timeout")
			wantSignals(t, s, "TERM@30m0s", "KILL@30m10s")
		})
	})
}

// The bucket is away for most of the job's life. The job goes on, and all of it is stored in the end.
func TestABucketThatIsAwayStopsNothing(t *testing.T) {
	t.Parallel()
	s := &scripted{runs: 20 * time.Minute, output: "one line\n"}
	virtual(t, s, func(t *testing.T, a *attempt) {
		a.files(map[string]string{"x": "y"})
		begin := time.Now()
		a.watch(func(op, key string) error {
			if d := time.Since(begin); d > time.Second && d < 25*time.Minute || d < 500*time.Millisecond {
				return errors.New("connection refused")
			}
			return nil
		}, nil)
		r := a.run()
		wantOutcome(t, r, dayfly.Succeeded, 0, "")
		if ran := r.FinishedAt.Sub(r.StartedAt); ran != 20*time.Minute {
			t.Errorf("the job ran %s", ran)
		}
		if late := r.SavedAt.Sub(begin); late < 25*time.Minute || late > 25*time.Minute+10*time.Second {
			t.Errorf("saved after %s", late)
		}
	})
}

func TestABucketThatNeverComesBackEndsWithTheDeadline(t *testing.T) {
	t.Parallel()
	for name, hang := range map[string]bool{"it refuses": false, "it hangs": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual(t, &scripted{runs: time.Minute, output: "x"}, func(t *testing.T, a *attempt) {
				a.cfg.Bucket = &broken{Bucket: a.bucket, hang: hang}
				err := agent.Run(t.Context(), a.cfg)
				if err == nil || !strings.Contains(err.Error(), "deadline") {
					t.Errorf("got %v", err)
				}
				if late := time.Since(a.cfg.Task.Deadline); late > 3*time.Second {
					t.Errorf("it ended %s after the deadline", late)
				}
				if len(a.events) == 0 || slices.Contains(a.events, "ring") {
					t.Errorf("happened %q", a.events)
				}
			})
		})
	}
}

// broken answers nothing.
type broken struct {
	bucket.Bucket
	hang bool
}

func (b *broken) fail(ctx context.Context) error {
	if b.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return errors.New("refused")
}

func (b *broken) Stat(ctx context.Context, _ string) (bucket.Info, error) {
	return bucket.Info{}, b.fail(ctx)
}

func (b *broken) Put(ctx context.Context, _ string, _ io.Reader, _ bucket.Condition) (bucket.Info, error) {
	return bucket.Info{}, b.fail(ctx)
}

// When the context ends, the job is killed at once and nothing is said of it.
func TestAContextThatEndsEndsTheJob(t *testing.T) {
	t.Parallel()
	s := obeys()
	virtual(t, s, func(t *testing.T, a *attempt) {
		ctx, cancel := context.WithCancel(t.Context())
		begin := time.Now()
		time.AfterFunc(time.Minute, cancel)
		if err := agent.Run(ctx, a.cfg); err == nil || !strings.Contains(err.Error(), "context canceled") {
			t.Errorf("got %v", err)
		}
		if d := time.Since(begin); d > time.Minute+time.Second {
			t.Errorf("it took %s", d)
		}
		if a.has(prefix + dayfly.KeyReport) {
			t.Error("there is a report")
		}
	})
}

func TestASandboxThatNeverEndsDoesNotHoldTheAgent(t *testing.T) {
	t.Parallel()
	virtual(t, &scripted{}, func(t *testing.T, a *attempt) {
		s := a.cfg.Sandbox.(*scripted)
		s.deaf = true
		err := agent.Run(t.Context(), a.cfg)
		if late := time.Since(a.cfg.Task.Deadline); err == nil || late > 10*time.Second {
			t.Errorf("it ended %s after the deadline with %v", late, err)
		}
		s.die(s.exit) // for the goroutine that waits
	})
}

// R6 with faults at random: errors before and after the effect, at any call.
func TestWhateverTheBucketDoesTheReportIsTrue(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		s := &scripted{runs: time.Duration(seed+1) * 700 * time.Millisecond, output: strings.Repeat("output of a job\n", int(seed)*50)}
		virtual(t, s, func(t *testing.T, a *attempt) {
			var mu sync.Mutex
			r := rand.New(rand.NewPCG(seed, 6))
			fault := func(op, key string) error {
				mu.Lock()
				defer mu.Unlock()
				if r.IntN(3) == 0 {
					return fmt.Errorf("fault of seed %d", seed)
				}
				return nil
			}
			a.files(map[string]string{"x": "y"})
			s.leaves(map[string]string{"a": "1", "b/c": strings.Repeat("2", 5000), "d e": "3"})
			a.watch(fault, fault)
			rep := a.run()
			wantOutcome(t, rep, dayfly.Succeeded, 0, "")
			if a.log() != s.output {
				t.Errorf("seed %d: the log has %d bytes, %d were printed", seed, len(a.log()), len(s.output))
			}
			sameFiles(t, a.results(rep), map[string]string{"a": "1", "b/c": strings.Repeat("2", 5000), "d e": "3"})
		})
	}
}

// Every call fails once, before or after its effect, one at a time.
func TestAFaultAtEveryCall(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		for n := 0; ; n++ {
			calls := 0
			s := &scripted{runs: 3 * time.Second, output: "output\n"}
			virtual(t, s, func(t *testing.T, a *attempt) {
				var mu sync.Mutex
				fault := func(op, key string) error {
					mu.Lock()
					defer mu.Unlock()
					if calls++; calls == n+1 {
						return fmt.Errorf("fault at call %d, %s %s", n, op, key)
					}
					return nil
				}
				a.files(map[string]string{"x": "y"})
				s.leaves(map[string]string{"a": "1", "b": "2"})
				if lost {
					a.watch(nil, fault)
				} else {
					a.watch(fault, nil)
				}
				r := a.run()
				wantOutcome(t, r, dayfly.Succeeded, 0, "")
				sameFiles(t, a.results(r), map[string]string{"a": "1", "b": "2"})
				if a.log() != "output\n" || len(r.Notes) > 0 {
					t.Errorf("call %d, lost %t: the log is %q, the notes %q", n, lost, a.log(), r.Notes)
				}
			})
			if n > calls {
				break
			}
		}
	}
}
