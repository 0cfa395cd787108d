package reconcile_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// asked is a store that counts the questions for versions.
type asked struct {
	store.Store
	one, many atomic.Int64
	planned   atomic.Int64 // one, when runs were inserted last
}

func (s *asked) InsertRuns(ctx context.Context, runs []dayfly.Run) ([]bool, error) {
	s.planned.Store(s.one.Load())
	return s.Store.InsertRuns(ctx, runs)
}

func (s *asked) Version(ctx context.Context, version string) (dayfly.Job, error) {
	s.one.Add(1)
	return s.Store.Version(ctx, version)
}

func (s *asked) Versions(ctx context.Context, versions []string) (map[string]dayfly.Job, error) {
	s.many.Add(1)
	return s.Store.Versions(ctx, versions)
}

// asking is a world whose store counts.
func asking(t *testing.T) (*world, *asked) {
	t.Helper()
	s := &asked{}
	w := setup(t, func(w *world, c *reconcile.Config) {
		s.Store = w.store
		c.Store, c.Machines = s, 1
	})
	return w, s
}

// Versions never change: those of a crowd are read together, and none twice while it is in use.
func TestVersionsAreReadOnce(t *testing.T) {
	t.Parallel()
	w, s := asking(t)
	for _, name := range []dayfly.JobName{"a", "b", "c"} {
		w.apply(job(name, at("0 1 * * *")))
	}
	s.one.Store(0)
	for day := range 3 {
		w.now = monday.Add(time.Duration(day)*24*time.Hour + time.Hour)
		for range 5 {
			w.pass()
			w.now = w.now.Add(time.Second)
		}
	}
	want(t, "questions for one version", s.one.Load(), 0)
	want(t, "questions for several", s.many.Load(), 1)
}

// A crowd whose scripts are longer than all that is kept is read together as well: each version is used before it is
// forgotten.
func TestVersionsOfACrowdWithLongScripts(t *testing.T) {
	t.Parallel()
	w, s := asking(t)
	const crowd = 300
	for i := range crowd {
		j := job(dayfly.JobName(fmt.Sprintf("job%03d", i)), at("0 1 * * *"))
		j.Run = strings.Repeat("#", 60<<10)
		w.apply(j)
	}
	s.one.Store(0)
	s.many.Store(0)
	w.now = monday.Add(time.Hour)
	sum := w.pass()
	want(t, "runs", sum.Inserted, crowd)
	want(t, "launched", sum.Launched, 1)
	want(t, "questions for one version before all were made into runs", s.planned.Load(), 0)
	want(t, "questions for several", s.many.Load(), (crowd+63)/64)
}

// What is not used is forgotten in a minute or two, however little there is: a daemon at rest holds nothing.
func TestVersionsAreForgottenAtRest(t *testing.T) {
	t.Parallel()
	w, s := asking(t)
	first := job("first", at("0 1 * * *"))
	w.until(w.request(first), dayfly.Ended)
	for range 3 {
		w.now = w.now.Add(time.Minute)
		w.pass()
	}
	s.one.Store(0)
	w.until(w.request(first), dayfly.Ended)
	want(t, "questions for it, after three minutes", s.one.Load(), 1)
}

// What was not used for long is forgotten: else a daemon would keep all that it ever ran.
func TestVersionsAreForgotten(t *testing.T) {
	t.Parallel()
	w, s := asking(t)
	first := job("first", at("0 1 * * *"))
	w.apply(first)
	w.now = monday.Add(time.Hour)
	w.pass()
	s.one.Store(0)
	for i := range 3 { // each as large as all that is kept
		big := job("big", at("0 1 * * *"))
		big.Run = strings.Repeat("#", 9<<20+i)
		w.until(w.request(big), dayfly.Ended)
	}
	want(t, "versions read", s.one.Load(), 3)
	w.until(w.request(first), dayfly.Ended)
	want(t, "versions read, the first again", s.one.Load(), 4)
}
