package e2e_test

import (
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// TestDueAtOnceReal: of a thousand schedules that are due at one instant every slot has its record soon after,
// while people go on asking. What was recorded when is read from the database's file, by another program's way.
func TestDueAtOnceReal(t *testing.T) {
	t.Parallel()
	const jobs = 1000
	h := newHome(t)
	at := time.Now().Add(6 * time.Second).UTC().Truncate(time.Second)
	for i := range jobs {
		h.job(fmt.Sprintf("j%d", i), fmt.Sprintf("schedule: %q\nmachine: {isolation: none}\nrun: \":\"\n", at.Format("at(2006-01-02T15:04:05)")))
	}
	if out, code := h.dayfly("apply", "-o", "name", h.jobs); code != 0 {
		t.Fatalf("apply gave %d: %.200s", code, out)
	}
	h.start("serve")
	if now := time.Now(); now.After(at) {
		at = now // a host that takes so long to apply them: the slots are caught up with
	}
	db, err := sql.Open("sqlite", "file:"+h.dir+"/dayfly.db?mode=ro&_pragma=query_only(1)&_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()

	stop := make(chan struct{})
	var asking sync.WaitGroup
	for _, args := range [][]string{{"history"}, {"ps"}, {"ps", "--jobs"}} {
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					h.dayfly(args...)
				}
			}
		})
	}
	var late []time.Duration
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(late) < jobs && time.Since(at) < 2*time.Minute {
		var n int
		if err := db.QueryRow("SELECT count(*) FROM runs").Scan(&n); err != nil {
			t.Fatal(err)
		}
		for now := time.Since(at); len(late) < n; {
			late = append(late, now)
		}
		<-tick.C
	}
	close(stop)
	asking.Wait()
	if len(late) != jobs {
		t.Fatalf("%d of %d slots have a record two minutes later", len(late), jobs)
	}
	slices.Sort(late)
	t.Logf("recorded after: p50 %s, p99 %s, all %s", late[jobs/2], late[jobs*99/100], late[jobs-1])
	// What is asked for is 250 ms and 1 s; a host that is busy with other tests gets more.
	if late[jobs-1] > 30*time.Second {
		t.Errorf("the last record came after %s", late[jobs-1])
	}
}
