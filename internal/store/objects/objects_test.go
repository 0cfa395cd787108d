package objects_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/bucket/dir"
	"github.com/dayfly-io/dayfly/internal/bucket/mem"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/objects"
	"github.com/dayfly-io/dayfly/internal/store/storetest"
)

func TestInMemory(t *testing.T) {
	t.Parallel()
	storetest.Core(t, func(testing.TB) store.Store { return objects.New(mem.New(time.Now)) })
}

func TestInDirectory(t *testing.T) {
	t.Parallel()
	storetest.Core(t, func(t testing.TB) store.Store {
		b, err := dir.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return objects.New(b)
	})
}

// Whatever operation of the bucket fails, before it is done or with its reply lost: a run that is
// stored and not ended is found among the active, and none that is ended.
func TestActiveRunsUnderFaults(t *testing.T) {
	t.Parallel()
	ctx, boom := t.Context(), errors.New("boom")
	slot := time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)
	due := dayfly.Run{ID: dayfly.NewRunID("pi", slot, "", 0), Job: "pi", Slot: slot, State: dayfly.Due}
	for n := range 8 {
		for _, lost := range []bool{false, true} {
			b := mem.New(time.Now)
			s, left := objects.New(b), n
			fail := func(string, string) error {
				if left--; left == -1 {
					return boom
				}
				return nil
			}
			arm := func() {
				if left = n; lost {
					b.Fail(nil, fail)
				} else {
					b.Fail(fail, nil)
				}
			}
			check := func(what string) {
				t.Helper()
				b.Fail(nil, nil)
				r, err := s.Run(ctx, due.ID)
				there := err == nil && r.State != dayfly.Ended
				active, err := s.ActiveRuns(ctx, store.Scope{Job: "pi"})
				if err != nil || len(active) == 1 != there {
					t.Errorf("fault %d (reply lost: %v) of %s: the run is active: %v, and found %d (%v)", n+1, lost, what, there, len(active), err)
				}
			}
			arm()
			_, _ = s.InsertRuns(ctx, []dayfly.Run{due})
			check("an insert")
			if _, err := s.InsertRuns(ctx, []dayfly.Run{due}); err != nil {
				t.Fatal(err)
			}
			check("an insert, repeated")
			r, err := s.Run(ctx, due.ID)
			if err != nil {
				t.Fatal(err)
			}
			r.State = dayfly.Ended
			arm()
			_, _ = s.UpdateRun(ctx, r)
			check("the end of a run")
		}
	}
}

// A mark that comes between another's look and its change is not lost, and neither is the other's.
func TestMarkInBetween(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), mem.New(time.Now)
	s := objects.New(b)
	slot := time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)
	r := dayfly.Run{ID: dayfly.NewRunID("pi", slot, "", 0), Job: "pi", Slot: slot, State: dayfly.Ended, Attempts: []dayfly.Attempt{{Number: 1}}}
	if _, err := s.InsertRuns(ctx, []dayfly.Run{r}); err != nil {
		t.Fatal(err)
	}
	mark := func(m store.Mark) {
		t.Helper()
		m.Run = r.ID
		if err := s.MarkRemoved(ctx, []store.Mark{m}); err != nil {
			t.Error(err)
		}
	}
	b.Fail(func(op, _ string) error {
		if op == "Put" {
			b.Fail(nil, nil)
			mark(store.Mark{Results: dayfly.Removal{At: slot, Rule: "theirs"}})
		}
		return nil
	}, nil)
	mark(store.Mark{Logs: dayfly.Removal{At: slot, Rule: "ours"}})
	got, err := s.Run(ctx, r.ID)
	if err != nil || got.LogsRemoved.Rule != "ours" || got.ResultsRemoved.Rule != "theirs" {
		t.Errorf("of two marks there are %+v and %+v (%v)", got.LogsRemoved, got.ResultsRemoved, err)
	}
}

func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	for name, text := range storetest.Damages {
		for _, form := range []string{"%s", `{"rev":1,"value":%s}`} { // of the object, and of what is in it
			t.Run(name+" as "+form, func(t *testing.T) {
				t.Parallel()
				b := mem.New(time.Now)
				s := objects.New(b)
				storetest.Damaged(t, text, s, func(version string) store.Store {
					prefixes := []string{"records/jobs/a", "records/runs/a/", "records/ranges/a/"}
					if version != "" {
						prefixes = append(prefixes, "records/versions/"+version)
					}
					for _, prefix := range prefixes {
						for o, err := range b.List(t.Context(), prefix, "") {
							if err == nil {
								_, err = b.Put(t.Context(), o.Key, strings.NewReader(fmt.Sprintf(form, text)), bucket.Condition{})
							}
							if err != nil {
								t.Fatal(err)
							}
						}
					}
					return s
				})
			})
		}
	}
}
