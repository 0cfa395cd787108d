package storetest

import (
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

func runsOnce(t *testing.T, s store.Store) {
	ctx := t.Context()
	same(t, "an empty batch", must(s.InsertRuns(ctx, nil))(t), nil)
	a, b := due("pi", at(0), "", 0), due("pi", at(1), "", 0)
	same(t, "first insert", must(s.InsertRuns(ctx, []dayfly.Run{a}))(t), []bool{true})
	other := a
	other.Reason = "a second one"
	same(t, "insert of one taken and one not, twice",
		must(s.InsertRuns(ctx, []dayfly.Run{other, b, b}))(t), []bool{false, true, false})
	got := must(s.Run(ctx, a.ID))(t)
	if got.Reason != "" {
		t.Error("an insert changed the run that was there")
	}
	if got.Rev <= 0 {
		t.Errorf("a stored run has revision %d", got.Rev)
	}
	for _, r := range []dayfly.Run{due("pi", at(0), "", 1), due("pi", at(0), "eu-west-1", 0), due("pi", at(0), "3", 0),
		due("pi", at(0), "eu-west-1/3", 0), due("pi-2", at(0), "", 0), due("pi", at(0).Add(time.Millisecond), "", 0)} {
		same(t, "insert of "+string(r.ID), must(s.InsertRuns(ctx, []dayfly.Run{r}))(t), []bool{true})
		same(t, "second insert of "+string(r.ID), must(s.InsertRuns(ctx, []dayfly.Run{r}))(t), []bool{false})
	}
	_, err := s.Run(ctx, due("pi", at(77), "", 0).ID)
	wantErr(t, "a run that is not there", err, store.ErrNotFound)
	_, err = s.Run(ctx, "../nonsense")
	wantErr(t, "a run that cannot be", err, store.ErrNotFound)
}

func runsChecked(t *testing.T, s store.Store) {
	ctx := t.Context()
	good := due("pi", at(0), "", 0)
	for what, bad := range map[string]func(r *dayfly.Run){
		"an id of another slot":   func(r *dayfly.Run) { r.ID = due("pi", at(5), "", 0).ID },
		"a slot too fine":         func(r *dayfly.Run) { r.Slot = r.Slot.Add(time.Microsecond) },
		"no state":                func(r *dayfly.Run) { r.State = "" },
		"a shard the id lacks":    func(r *dayfly.Run) { r.Shard = "7" },
		"a number the id has not": func(r *dayfly.Run) { r.N = 2 },
	} {
		r := due("pi", at(1), "", 0)
		bad(&r)
		if _, err := s.InsertRuns(ctx, []dayfly.Run{good, r}); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	many := make([]dayfly.Run, store.MaxInsert+1)
	for i := range many {
		many[i] = due("pi", at(i), "", 0)
	}
	if _, err := s.InsertRuns(ctx, many); err == nil {
		t.Errorf("%d runs at once were taken", len(many))
	}
	same(t, "runs after refused batches", must(s.ActiveRuns(ctx, store.Scope{}))(t), nil)
	put(t, s, many[:store.MaxInsert]...)
	same(t, "a full batch", len(must(s.ActiveRuns(ctx, store.Scope{}))(t)), store.MaxInsert)
}

func insertRace(t *testing.T, s store.Store) {
	ctx := t.Context()
	for slot := range 5 {
		winners := race(16, func(i int) bool {
			r := due("pi", at(slot), "", 0)
			r.Reason = string(rune('a' + i))
			stored, err := s.InsertRuns(ctx, []dayfly.Run{r})
			if err != nil {
				t.Errorf("insert: %v", err)
			}
			return err == nil && stored[0]
		})
		if winners != 1 {
			t.Errorf("%d inserted the run of slot %d, want 1", winners, slot)
		}
	}
	same(t, "runs there are", len(must(s.ActiveRuns(ctx, store.Scope{}))(t)), 5)
}

// full is a run with every kind of thing in it.
func full() dayfly.Run {
	code := 3
	r := due("pi", at(0), "eu-west-1/3", 2)
	r.Of, r.Reason, r.State = "pi-20261122T220000Z", "line\nbreak \x00 \" ü </script>", dayfly.Running
	r.Params = map[string]string{"digits": "5000", "note": "a \"b\" </script>\n", "none": ""}
	r.NotBefore, r.CancelAt, r.CancelWhy = at(1).Add(1), at(2), "asked"
	r.Attempts = []dayfly.Attempt{{
		Number: 1, Provider: "local", Machine: "local/abc", Token: "t1", Deadline: at(90), LaunchedAt: at(1).Add(123456789),
		ExitCode: &code, Outcome: dayfly.Failed, Notes: []string{"n"}, GoneAt: at(3), Isolation: dayfly.IsolationFull,
		Report: &dayfly.Report{Run: r.ID, Attempt: 1, Outcome: dayfly.Failed, ExitCode: &code, FinishedAt: at(2), SavedAt: at(2),
			Usage:   dayfly.Usage{Wall: dayfly.Seconds(1500 * time.Millisecond), PeakMemory: 1 << 40},
			Results: []dayfly.Result{{Object: dayfly.Object{Key: "k", Size: 1, SHA256: "s"}, Name: "?", Raw: []byte{0xff, 0}}},
			Notes:   []string{"cut"}},
	}, {
		Number: 2, Token: "t2", LaunchedAt: at(5),
		Request: &dayfly.Spec{Token: "t2", Tags: dayfly.Tags{Installation: "i", Run: r.ID, Attempt: 2, Deadline: at(95)},
			Machine: dayfly.MachineChoice{On: "ec2", Type: []string{"a", "b"}, Regions: &dayfly.Regions{Each: []string{"eu-west-1"}},
				Image: &dayfly.Image{Name: "debian"}},
			Task: dayfly.Task{Job: "pi", Env: map[string]string{"A": "1"}, SecretNames: []string{"DB"}, Script: "#!/bin/sh\n"}},
	}}
	return r
}

func runsWhole(t *testing.T, s store.Store) {
	ctx := t.Context()
	want := full()
	given := full()
	given.Attempts[1].Request.Secrets = map[string]string{"DB": "hunter2"}
	put(t, s, given)
	got := must(s.Run(ctx, want.ID))(t)
	want.Rev = got.Rev
	same(t, "run with everything", got, want) // and so without the secret
	if given.Attempts[1].Request.Secrets["DB"] != "hunter2" {
		t.Error("the store took the secrets from its caller's own memory")
	}
	same(t, "the same among the active", must(s.ActiveRuns(ctx, store.Scope{}))(t), []dayfly.Run{want})
	for r, err := range s.History(ctx, store.Filter{}) {
		same(t, "the same in the history", must(r, err)(t), want)
	}
}

func runsApart(t *testing.T, s store.Store) {
	ctx := t.Context()
	want, given := full(), full()
	put(t, s, given)
	spoil := func(r dayfly.Run) {
		r.Params["digits"] = "spoiled"
		r.Attempts[0].Notes[0] = "spoiled"
		*r.Attempts[0].ExitCode = 99
		r.Attempts[0].Report.Results[0].Name = "spoiled"
		r.Attempts[1].Request.Task.Env["A"] = "spoiled"
		r.Attempts[1].Request.Machine.Type[0] = "spoiled"
		r.Attempts[1].Request.Machine.Regions.Each[0] = "spoiled"
		r.Attempts[1].Token = "spoiled"
	}
	check := func(what string) {
		t.Helper()
		got := must(s.Run(ctx, want.ID))(t)
		want.Rev = got.Rev
		same(t, "after "+what, got, want)
	}
	spoil(given)
	check("changing what was inserted")
	got := must(s.Run(ctx, want.ID))(t)
	spoil(got)
	check("changing what was read")
	spoil(must(s.ActiveRuns(ctx, store.Scope{}))(t)[0])
	check("changing what was listed")
	given = full()
	given.Rev = got.Rev
	answer := must(s.UpdateRun(ctx, given))(t)
	spoil(given)
	check("changing what was stored")
	spoil(answer)
	check("changing what an update gave back")
}

func updateRun(t *testing.T, s store.Store) {
	ctx := t.Context()
	r := due("pi", at(0), "", 0)
	r.Rev = 1
	_, err := s.UpdateRun(ctx, r)
	wantErr(t, "changing a run that is not there", err, store.ErrNotFound)
	put(t, s, r)
	first := must(s.Run(ctx, r.ID))(t)

	next := first
	next.State, next.Reason = dayfly.Launching, "because"
	next.Attempts = []dayfly.Attempt{{Number: 1, Token: "t", LaunchedAt: at(1), Deadline: at(60)}}
	second := must(s.UpdateRun(ctx, next))(t)
	if second.Rev <= first.Rev {
		t.Errorf("revision went from %d to %d", first.Rev, second.Rev)
	}
	next.Rev = second.Rev
	same(t, "changed run", second, next)
	same(t, "changed run read back", must(s.Run(ctx, r.ID))(t), next)

	for what, rev := range map[string]int64{"an older": first.Rev, "a later": second.Rev + 1, "no": 0} {
		stale := next
		stale.Rev, stale.State = rev, dayfly.Running
		_, err = s.UpdateRun(ctx, stale)
		wantErr(t, "a change on "+what+" revision", err, store.ErrStale)
	}
	same(t, "after refused changes", must(s.Run(ctx, r.ID))(t), next)
	same(t, "insert of a run that has moved on", must(s.InsertRuns(ctx, []dayfly.Run{r}))(t), []bool{false})
	same(t, "after that", must(s.Run(ctx, r.ID))(t), next)

	moved := next
	moved.Slot = at(9)
	if _, err := s.UpdateRun(ctx, moved); err == nil {
		t.Error("a run was moved to another slot")
	}
}

func endedFinal(t *testing.T, s store.Store) {
	ctx := t.Context()
	put(t, s, due("pi", at(0), "", 0), ended("pi", at(1), dayfly.Missed))
	r := must(s.Run(ctx, due("pi", at(0), "", 0).ID))(t)
	r.State, r.Outcome = dayfly.Ended, dayfly.Canceled
	r = must(s.UpdateRun(ctx, r))(t)
	for _, id := range []dayfly.RunID{r.ID, ended("pi", at(1), dayfly.Missed).ID} {
		final := must(s.Run(ctx, id))(t)
		again := final
		again.Reason = "changed afterwards"
		_, err := s.UpdateRun(ctx, again)
		wantErr(t, "changing an ended run", err, store.ErrStale)
		again.State = dayfly.Due
		_, err = s.UpdateRun(ctx, again)
		wantErr(t, "reviving an ended run", err, store.ErrStale)
		same(t, "an ended run", must(s.Run(ctx, id))(t), final)
	}
	same(t, "active runs", must(s.ActiveRuns(ctx, store.Scope{}))(t), nil)
}

func updateRace(t *testing.T, s store.Store) {
	ctx := t.Context()
	put(t, s, due("pi", at(0), "", 0))
	id := due("pi", at(0), "", 0).ID
	for range 5 {
		r := must(s.Run(ctx, id))(t)
		winners := race(16, func(i int) bool {
			mine := r
			mine.Reason = string(rune('a' + i))
			got, err := s.UpdateRun(ctx, mine)
			if err == nil && got.Reason != mine.Reason {
				t.Errorf("stored %q, got back %q", mine.Reason, got.Reason)
			}
			return won(t, err)
		})
		if winners != 1 {
			t.Errorf("%d changed revision %d, want 1", winners, r.Rev)
		}
	}
}

func activeRuns(t *testing.T, s store.Store) {
	ctx := t.Context()
	a, b, c := due("b", at(1), "", 0), due("a", at(1), "", 0), due("a", at(0), "", 1)
	d := due("a-b", at(-5), "2", 0)
	e := due("b", at(0), "", 0)
	put(t, s, a, b, c, d, e, ended("a", at(2), dayfly.Succeeded))
	check := func(what string, scope store.Scope, want ...dayfly.Run) {
		t.Helper()
		same(t, what, ids(must(s.ActiveRuns(ctx, scope))(t)), ids(want))
	}
	check("everything, by slot, then id", store.Scope{}, d, c, e, b, a)
	check("one job", store.Scope{Job: "a"}, c, b)
	check("a job without runs", store.Scope{Job: "x"})
	check("one run", store.Scope{Run: b.ID}, b)
	check("one run of its job", store.Scope{Job: "a", Run: b.ID}, b)
	check("one run of another job", store.Scope{Job: "b", Run: b.ID})
	check("a run that is not there", store.Scope{Run: due("x", at(0), "", 0).ID})
	check("a run that is ended", store.Scope{Run: ended("a", at(2), "").ID})

	for _, state := range []dayfly.State{dayfly.Launching, dayfly.Running, dayfly.Stopping} {
		r := must(s.Run(ctx, c.ID))(t)
		r.State = state
		must(s.UpdateRun(ctx, r))(t)
		check("with one "+string(state), store.Scope{Job: "a"}, c, b)
	}
	r := must(s.Run(ctx, c.ID))(t)
	r.State, r.Outcome = dayfly.Ended, dayfly.Succeeded
	must(s.UpdateRun(ctx, r))(t)
	check("after one ended", store.Scope{}, d, e, b, a)
	check("one job after one ended", store.Scope{Job: "a"}, b)
	check("the one that ended", store.Scope{Run: c.ID})
}

func lastN(t *testing.T, s store.Store) {
	ctx := t.Context()
	check := func(job dayfly.JobName, slot time.Time, shard dayfly.Shard, want int) {
		t.Helper()
		if got := must(s.LastN(ctx, job, slot, shard))(t); got != want {
			t.Errorf("last n of %s %s %q: %d, want %d", job, slot.Format(time.RFC3339), shard, got, want)
		}
	}
	check("pi", at(0), "", -1)
	put(t, s, due("pi", at(0), "", 0))
	check("pi", at(0), "", 0)
	put(t, s, due("pi", at(0), "", 2), due("pi", at(0), "", 10), due("pi", at(0), "3", 4), due("pi", at(0), "eu-west-1", 5),
		due("pi", at(0), "eu-west-1/3", 6), due("pi", at(1), "", 11), due("pi-x", at(0), "", 12), ended("pi", at(2), dayfly.Missed))
	check("pi", at(0), "", 10)
	check("pi", at(0), "3", 4)
	check("pi", at(0), "30", -1)
	check("pi", at(0), "eu-west-1", 5)
	check("pi", at(0), "eu-west-1/3", 6)
	check("pi", at(1), "", 11)
	check("pi", at(2), "", 0)
	check("pi", at(3), "", -1)
	check("p", at(0), "", -1)
}
