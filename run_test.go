package dayfly_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dayfly-io/dayfly"
)

func TestRunID(t *testing.T) {
	t.Parallel()
	slot := time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		slot  time.Time
		shard dayfly.Shard
		n     int
		want  dayfly.RunID
	}{
		{slot, "", 0, "pi-20261122T230000Z"},
		{slot, "eu-west-1", 0, "pi-20261122T230000Z.eu-west-1"},
		{slot, "17", 0, "pi-20261122T230000Z.i17"},
		{slot, "eu-west-1/17", 2, "pi-20261122T230000Z.eu-west-1.i17.n2"},
		{slot.Add(123 * time.Millisecond), "", 1, "pi-20261122T230000.123Z.n1"},
		{slot.In(time.FixedZone("", 7200)), "", 0, "pi-20261122T230000Z"},
	} {
		if got := dayfly.NewRunID("pi", c.slot, c.shard, c.n); got != c.want {
			t.Errorf("NewRunID(%s, %q, %d) = %s, want %s", c.slot, c.shard, c.n, got, c.want)
		}
	}
}

func TestRunIDIsOneToOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		job := dayfly.JobName(rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,47}`).Draw(t, "job"))
		slot := time.UnixMilli(rapid.Int64Range(0, 7258118399999).Draw(t, "slot")).UTC()
		shard := dayfly.Shard(rapid.SampledFrom([]string{"", "0", "41", "eu-west-1", "us-gov-east-1/7"}).Draw(t, "shard"))
		n := rapid.IntRange(0, 1e6).Draw(t, "n")
		id := dayfly.NewRunID(job, slot, shard, n)
		j, s, sh, m, err := id.Parse()
		if err != nil || j != job || !s.Equal(slot) || sh != shard || m != n {
			t.Fatalf("%s parses as %s, %s, %q, %d, %v", id, j, s, sh, m, err)
		}
	})
}

func TestRunIDRefuses(t *testing.T) {
	t.Parallel()
	for _, id := range []dayfly.RunID{
		"", "pi", "pi-2026", "PI-20261122T230000Z", "pi-20261322T230000Z", "pi-20261122T230000Z.n0", "pi-20261122T230000Z.n01",
		"pi-20261122T230000Z.i01", "pi-20261122T230000Z/..", "../pi-20261122T230000Z", "pi-20261122T230000Z\n",
	} {
		if _, _, _, _, err := id.Parse(); err == nil {
			t.Errorf("%q was taken for the id of a run", string(id))
		}
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, installation := range []string{"a", "b"} {
		for _, run := range []dayfly.RunID{"pi-20261122T230000Z", "pi-20261122T230000Z.n1"} {
			for attempt := range 12 {
				for choice := range 12 {
					is := fmt.Sprint(installation, run, attempt, choice)
					token := dayfly.Token(installation, run, attempt, choice)
					if was, dup := seen[token]; dup {
						t.Errorf("%s and %s have one token", was, is)
					}
					if again := dayfly.Token(installation, run, attempt, choice); again != token || len(token) != 32 {
						t.Errorf("token of %s is %s, then %s", is, token, again)
					}
					seen[token] = is
				}
			}
		}
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	states := []dayfly.State{dayfly.Due, dayfly.Launching, dayfly.Running, dayfly.Stopping, dayfly.Ended}
	var legal []string
	for _, from := range states {
		for _, to := range states {
			if from != to && from.CanBecome(to) {
				legal = append(legal, string(from)+">"+string(to))
			}
		}
		if got := from.CanBecome(from); got != (from != dayfly.Ended) {
			t.Errorf("%s may stay: %v", from, got)
		}
	}
	want := "due>launching due>ended launching>running launching>stopping running>stopping stopping>due stopping>ended"
	if got := strings.Join(legal, " "); got != want {
		t.Errorf("legal changes\n%s, want\n%s", got, want)
	}
}

func TestSecondsAreExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := dayfly.Seconds(rapid.OneOf(rapid.Int64(), rapid.Just(int64(1<<53+1))).Draw(t, "ns"))
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var got dayfly.Seconds
		if err := json.Unmarshal(b, &got); err != nil || got != s {
			t.Fatalf("%s became %s through %s (%v)", s, got, b, err)
		}
	})
}

func TestErrorCode(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("outer: %w", &dayfly.Error{Code: dayfly.CodeNotFound, Message: "no job x", Hint: "look", Err: errors.New("cause")})
	if dayfly.ErrorCode(err) != dayfly.CodeNotFound || dayfly.ErrorHint(err) != "look" || err.Error() != "outer: no job x" {
		t.Errorf("%v has code %q and hint %q", err, dayfly.ErrorCode(err), dayfly.ErrorHint(err))
	}
	if c := dayfly.ErrorCode(errors.New("x")); c != dayfly.CodeInternal {
		t.Errorf("an uncoded error has code %q", c)
	}
	if c := dayfly.ErrorCode(nil); c != "" {
		t.Errorf("no error has code %q", c)
	}
}

func TestShards(t *testing.T) {
	t.Parallel()
	for want, j := range map[string]dayfly.Job{
		`[""]`:                      {},
		`["0" "1"]`:                 {Array: &dayfly.Array{Size: 2}},
		`["eu-west-1" "us-east-1"]`: {Machine: dayfly.MachineChoice{Regions: &dayfly.Regions{Each: []string{"eu-west-1", "us-east-1"}}}},
		`["eu-west-1/0" "eu-west-1/1"]`: {
			Array: &dayfly.Array{Size: 2}, Machine: dayfly.MachineChoice{Regions: &dayfly.Regions{Each: []string{"eu-west-1"}}},
		},
	} {
		if got := fmt.Sprintf("%q", j.Shards()); got != want {
			t.Errorf("shards %s, want %s", got, want)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	a := dayfly.Job{Name: "a", Env: map[string]string{"X": "1", "Y": "2"}}
	b := dayfly.Job{Name: "a", Env: map[string]string{"Y": "2", "X": "1"}}
	if a.Version() != b.Version() {
		t.Error("the order of a map changes the version")
	}
	b.Env = map[string]string{"X": "1", "Y": "3"}
	if a.Version() == b.Version() {
		t.Error("two contents have one version")
	}
}
