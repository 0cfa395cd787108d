package reconcile_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/fake"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// slowly makes every look at the clock take a while, as reading much does.
func slowly(each time.Duration) func(*world, *reconcile.Config) {
	return func(w *world, c *reconcile.Config) {
		c.Now = func() time.Time {
			w.now = w.now.Add(each)
			return w.now
		}
	}
}

// large lets the job big save results that take a slow clock several passes to read back; what is stored
// of the last one may differ from what the report says.
func (w *world) large(last func([]byte) []byte) {
	w.leaves = func(s machine.Spec, r *dayfly.Report) {
		if s.Task.Job != "big" {
			return
		}
		for i, size := range []int{1, 9 << 20, 1, 10 << 20} {
			body := bytes.Repeat([]byte{byte(i)}, size)
			sum := sha256.Sum256(body)
			o := dayfly.Object{Key: s.Task.Prefix + dayfly.KeyResults + string(rune('a'+i)), Size: int64(size), SHA256: hex.EncodeToString(sum[:])}
			if i == 3 {
				body = last(body)
			}
			w.put(o.Key, body)
			r.Results = append(r.Results, dayfly.Result{Name: string(rune('a' + i)), Object: o})
		}
	}
}

func TestLargeResults(t *testing.T) {
	t.Parallel()
	t.Run("several passes read them back, and what else is due does not wait", func(t *testing.T) {
		t.Parallel()
		w := setup(t, slowly(100*time.Millisecond))
		w.large(func(b []byte) []byte { return b })
		w.live = lasting(time.Second)
		big := w.request(job("big"))
		w.until(big, dayfly.Running)
		w.now = w.now.Add(time.Minute)
		passes := 0
		for ; w.run(big).State != dayfly.Ended && passes < 100; passes++ {
			small := w.request(job("small"))
			sum := w.pass()
			if w.run(small).State == dayfly.Due {
				t.Errorf("%s was not launched", small)
			}
			if w.run(big).State == dayfly.Running && sum.Next.After(w.now) {
				t.Errorf("the next pass is due in %s, want now", sum.Next.Sub(w.now))
			}
		}
		if passes < 3 {
			t.Errorf("%d passes read back what takes longer", passes)
		}
		r := w.run(big)
		want(t, "outcome", r.Outcome, dayfly.Succeeded)
		want(t, "results", len(r.Attempt().Report.Results), 4)
		notes, err := w.store.Notes(t.Context(), "verify/", w.now)
		if err != nil || len(notes) > 0 {
			t.Errorf("notes are left: %v (%v)", notes, err)
		}
	})
	t.Run("what differs is found in whichever pass", func(t *testing.T) {
		t.Parallel()
		w := setup(t, slowly(60*time.Millisecond))
		w.large(func(b []byte) []byte { return append(b[:len(b)-1:len(b)-1], 7) })
		r := w.until(w.request(job("big")), dayfly.Ended)
		want(t, "outcome", r.Outcome, dayfly.Lost)
	})
	t.Run("a note that makes no sense begins anew", func(t *testing.T) {
		t.Parallel()
		for _, value := range []string{"", "{", `{"objects":1,"offset":5,"state":"AAAA"}`} {
			w := setup(t)
			w.large(func(b []byte) []byte { return b })
			id := w.request(job("big"))
			note := store.Note{Key: "verify/" + string(id) + "/1 ", Value: value}
			if err := w.store.PutNote(t.Context(), note); err != nil {
				t.Fatal(err)
			}
			want(t, "outcome", w.until(id, dayfly.Ended).Outcome, dayfly.Succeeded)
		}
	})
}

// lasting is a machine whose job takes so long.
func lasting(d time.Duration) func(machine.Spec) fake.Life {
	return func(machine.Spec) fake.Life { return fake.Life{Boot: time.Second, Run: d} }
}
