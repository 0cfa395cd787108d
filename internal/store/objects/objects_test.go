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
				storetest.Damaged(t, text, false, s, func(version string) store.Store {
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

// hurt puts a text where records are.
func hurt(t *testing.T, b *mem.Bucket, text string, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if _, err := b.Put(t.Context(), "records/"+key, strings.NewReader(text), bucket.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
}

// A text that says nothing of its revision, or that it is deleted and nothing else, is no record.
func TestRevisionsCountFromOne(t *testing.T) {
	t.Parallel()
	const id, run = "pi-20261122T230000Z", `{"id":"pi-20261122T230000Z","job":"pi","slot":"2026-11-22T23:00:00Z","state":"due"}`
	for _, text := range []string{`{"deleted":true}`, `{"rev":-1,"deleted":true}`, `{}`, `null`, `{"rev":0,"value":{"name":"pi"}}`, `{"value":` + run + `}`} {
		b := mem.New(time.Now)
		s, ctx := objects.New(b), t.Context()
		hurt(t, b, text, "jobs/pi", "runs/pi/"+id)
		_, err := s.Job(ctx, "pi")
		storetest.WantDamage(t, err, "job pi")
		_, err = s.PutJob(ctx, store.Job{Name: "pi"})
		storetest.WantDamage(t, err, "job pi")
		storetest.WantDamage(t, s.DeleteJob(ctx, "pi", 0), "job pi")
		_, err = s.Run(ctx, id)
		storetest.WantDamage(t, err, "run "+id)
	}
	b := mem.New(time.Now)
	hurt(t, b, `{"rev":1,"deleted":true,"value":`+run+`}`, "runs/pi/"+id) // a job's may say so, a run's never does
	_, err := objects.New(b).Run(t.Context(), id)
	storetest.WantDamage(t, err, "run "+id)
}

func TestDamagedNotesAreNone(t *testing.T) {
	t.Parallel()
	b := mem.New(time.Now)
	s, ctx := objects.New(b), t.Context()
	for key, text := range map[string]string{"a": `{}`, "b": `null`, "c": `{"key":"z","value":"of another"}`, "d": `{"key"`} {
		hurt(t, b, text, "notes/"+key+".")
	}
	if err := s.PutNote(ctx, store.Note{Key: "e", Value: "sound"}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutNote(ctx, store.Note{Key: "f\xff"}); err == nil {
		t.Error("a note was stored that cannot be read back")
	}
	notes, err := s.Notes(ctx, "", time.Now())
	if err != nil || len(notes) != 1 || notes[0] != (store.Note{Key: "e", Value: "sound"}) {
		t.Errorf("notes beside damaged ones: %+v, %v", notes, err)
	}
}

// Whatever becomes of the objects of a range that grows: one record is read, the longest that was stored.
func TestRangeGrowsUnderFaults(t *testing.T) {
	t.Parallel()
	ctx, boom := t.Context(), errors.New("boom")
	from := time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)
	for n := range 4 {
		for _, lost := range []bool{false, true} {
			b := mem.New(time.Now)
			s, left := objects.New(b), n
			old := dayfly.Range{Job: "pi", From: from, To: from.Add(time.Hour), Count: 1}
			grown := dayfly.Range{Job: "pi", From: from, To: from.Add(2 * time.Hour), Count: 2}
			if err := s.PutRange(ctx, old); err != nil {
				t.Fatal(err)
			}
			fail := func(string, string) error {
				if left--; left == -1 {
					return boom
				}
				return nil
			}
			if lost {
				b.Fail(nil, fail)
			} else {
				b.Fail(fail, nil)
			}
			err := s.PutRange(ctx, grown)
			b.Fail(nil, nil)
			got, rerr := s.Ranges(ctx, "pi", from)
			if rerr != nil || len(got) != 1 || err == nil && got[0] != grown || n > 0 && got[0] != grown {
				t.Errorf("fault %d (reply lost: %v): %v; the range is %+v, %v", n+1, lost, err, got, rerr)
			}
		}
	}
}

// A range that grows between the list and the look is read as it is then.
func TestRangeGrowsInBetween(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), mem.New(time.Now)
	s := objects.New(b)
	from := time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)
	grown := dayfly.Range{Job: "pi", From: from, To: from.Add(2 * time.Hour), Count: 2}
	if err := s.PutRange(ctx, dayfly.Range{Job: "pi", From: from, To: from.Add(time.Hour), Count: 1}); err != nil {
		t.Fatal(err)
	}
	b.Fail(func(op, _ string) error {
		if op != "Stat" {
			return nil
		}
		b.Fail(nil, nil)
		return s.PutRange(ctx, grown)
	}, nil)
	got, err := s.Ranges(ctx, "pi", from)
	if err != nil || len(got) != 1 || got[0] != grown {
		t.Errorf("a range that grows while it is read: %+v, %v", got, err)
	}
}

// The key says how far a range reaches; a text that says otherwise is damaged.
func TestRangeOfAnotherEnd(t *testing.T) {
	t.Parallel()
	b := mem.New(time.Now)
	hurt(t, b, `{"job":"pi","from":"2026-11-22T23:00:00Z","to":"2027-11-22T23:00:00Z"}`, "ranges/pi/20261122T230000.000Z-20261123T230000.000Z")
	got, err := objects.New(b).Ranges(t.Context(), "", time.Time{})
	storetest.WantDamage(t, err, "range pi from 2026-11-22T23:00:00Z")
	if len(got) > 0 {
		t.Errorf("ranges: %+v", got)
	}
}
