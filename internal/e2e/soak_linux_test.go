package e2e_test

import (
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// driftFrom is how long a soak must take so that a drift can be told from chance.
const driftFrom = 5 * time.Minute

// lateGoroutines may be there for a request that comes just then.
const lateGoroutines = 10

var soakFor = flag.Duration("e2e.soak", 10*time.Second, "how long TestSoakReal keeps a daemon busy; from five minutes on it looks for drift, too")

// TestSoakReal is R13 with the built binary: a daemon serves schedules while people use every command, and
// holds afterwards what it held before. Over minutes, what it holds under load must not drift either.
func TestSoakReal(t *testing.T) {
	t.Parallel()
	s := newSoak(t)
	s.load(min(*soakFor/2, time.Minute), 15) // connections, statements and caches are there from now on
	before := s.rest(func(gauged) bool { return true })
	s.load(*soakFor, 60)
	after := s.rest(func(now gauged) bool {
		return now.goroutines <= before.goroutines+lateGoroutines && now.descriptors <= before.descriptors+lateDescriptors
	})
	t.Logf("at rest: %+v before, %+v after %d runs", before, after, after.runs-before.runs)
	if *soakFor >= driftFrom {
		s.drift()
	}
}

// soak is a daemon under load.
type soak struct {
	*home
	url     string
	db      *sql.DB
	edition int

	samples []gauged // of the last load
}

// soakEnds ends the job files of a soak.
const soakEnds = "overlap: allow\ntimeout: 30s\ndeadline: 60s\nkeep: {history: 1h}\n"

// quick is the job that is edited.
func (s *soak) quick() string {
	return fmt.Sprintf("env: {EDITION: \"%d\"}\nrun: echo quick; echo 3.14159 > \"$DAYFLY_RESULTS/pi\"\n%s", s.edition, soakEnds)
}

// gauged is what the daemon says that it holds, and what there is of its database.
type gauged struct {
	heap, resident, goroutines, descriptors, pages, runs int
}

func newSoak(t *testing.T) *soak {
	s := &soak{home: newHome(t)}
	s.job("tick", "schedule: \"* * * * *\"\nmachine: {isolation: none}\nrun: echo tick\n"+soakEnds)
	s.job("shards", "schedule: \"* * * * *\"\narray: {size: 4, at_once: 2}\nrun: echo \"$DAYFLY_SHARD\" > \"$DAYFLY_RESULTS/shard\"\n"+soakEnds)
	s.job("fails", "schedule: \"* * * * *\"\nretry: {attempts: 2, on: [failed], backoff: 1s}\nmachine: {isolation: none}\nrun: exit 3\n"+soakEnds)
	s.job("quick", s.quick())
	s.job("long", "machine: {isolation: none}\nrun: exec sleep 300\ntimeout: 400s\ndeadline: 500s\n")
	s.want(0, "apply", s.jobs)
	log := filepath.Join(filepath.Dir(s.dir), "log")
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	daemon := s.command("serve", "--metrics", "127.0.0.1:0", "--jobs", s.jobs)
	daemon.Env = append(daemon.Env, "GOGC=25") // at 100 its heap is smaller than what the collector begins at
	daemon.Stdout, daemon.Stderr = out, out
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = daemon.Process.Kill(); _ = daemon.Wait() })
	await(t, time.Minute, "the daemon says where its metrics are", func() bool {
		text, _ := os.ReadFile(log)
		s.url = string(scrapeURL.Find(text))
		return s.url != ""
	})
	if s.db, err = sql.Open("sqlite", "file:"+s.dir+"/dayfly.db?mode=ro&_pragma=query_only(1)&_pragma=busy_timeout(60000)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.db.Close() })
	return s
}

// ask runs a command that must work, and says nothing of it: there are thousands.
func (s *soak) ask(args ...string) string {
	s.t.Helper()
	cmd := s.command(args...)
	var diag strings.Builder
	cmd.Stderr = &diag
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("dayfly %s: %v\n%s%s", strings.Join(args, " "), err, out, &diag)
	}
	return string(out)
}

// load lets people use the daemon for a while, and until so many runs have ended.
func (s *soak) load(d time.Duration, runs int) {
	s.ask("resume", "--all")
	s.samples = nil
	began, until := s.sample(), time.Now().Add(d)
	patience := until.Add(3 * time.Minute)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for round := 0; ; round++ {
		now := s.sample()
		s.samples = append(s.samples, now)
		if time.Now().After(until) && now.runs >= began.runs+runs {
			return
		}
		if time.Now().After(patience) {
			s.t.Fatalf("only %d runs were made", now.runs-began.runs)
		}
		s.people(round)
		<-tick.C
	}
}

// people do one thing after another, and all of them again and again.
func (s *soak) people(round int) {
	switch round % 12 {
	case 0, 2, 4, 6:
		s.ask("run", "--detach", "quick")
	case 1:
		s.ask("history", "-o", "name", "--limit", "20")
	case 3:
		s.ask("ps", "-o", "json")
	case 5:
		id := strings.TrimSpace(s.ask("run", "--detach", "-o", "name", "long"))
		s.ask("cancel", id)
	case 7:
		for id := range strings.FieldsSeq(s.ask("history", "--job", "quick", "--outcome", "succeeded", "-o", "name", "--limit", "1")) {
			s.ask("logs", id)
			s.ask("retry", "--detach", id)
		}
	case 8:
		s.edition++
		s.ask("apply", s.job("quick", s.quick()))
	case 9:
		s.ask("run", "quick")
	case 10:
		s.ask("pause", "fails")
	case 11:
		s.ask("resume", "fails")
	}
}

// rest lets the daemon come to rest, and gives what it holds then, as soon as that is enough.
func (s *soak) rest(enough func(gauged) bool) (now gauged) {
	s.t.Helper()
	s.ask("pause", "--all")
	calm := false
	defer func() {
		if !calm {
			s.t.Logf("it holds %+v", now)
		}
	}()
	await(s.t, time.Minute, "nothing is under way and the daemon holds what it held before", func() bool {
		families := scrape(s.t, s.url)
		if count(families, "dayfly_runs_active") != 0 || count(families, "dayfly_machines", "location=local") > 0 {
			return false
		}
		now = s.sample()
		for range 4 { // somebody may be at work: the least is what is there at rest
			again := s.sample()
			now.goroutines, now.descriptors = min(now.goroutines, again.goroutines), min(now.descriptors, again.descriptors)
		}
		calm = enough(now)
		return calm
	})
	return now
}

// sample asks the daemon what it holds.
func (s *soak) sample() (now gauged) {
	s.t.Helper()
	families := scrape(s.t, s.url)
	// The collector's next goal is a multiple of what was alive when it was last here; what is allocated
	// goes up and down.
	now.heap = int(count(families, "go_memstats_next_gc_bytes"))
	now.resident = int(count(families, "process_resident_memory_bytes"))
	now.goroutines = int(count(families, "go_goroutines"))
	now.descriptors = int(count(families, "process_open_fds"))
	var pages int
	err := s.db.QueryRow("PRAGMA page_count").Scan(&pages)
	if err == nil {
		err = s.db.QueryRow("SELECT count(*) FROM runs WHERE state = 'ended'").Scan(&now.runs)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	now.pages = pages
	return now
}

// drift compares the last third of the load with the first. Keep removes nothing within an hour, so the
// database may grow, by as much for each run as it did at first.
func (s *soak) drift() {
	third := len(s.samples) / 3
	first, last := s.samples[:third], s.samples[2*third:]
	middle := func(of []gauged, what func(gauged) int) float64 {
		var all []float64
		for _, one := range of {
			all = append(all, float64(what(one)))
		}
		return median(all)
	}
	perRun := func(of []gauged) float64 {
		from, to := of[0], of[len(of)-1]
		return 4096 * float64(to.pages-from.pages) / float64(to.runs-from.runs)
	}
	for _, c := range []struct {
		what        string
		first, last float64
		slack, late float64 // so much more, and besides so many
	}{
		{"bytes of heap", middle(first, func(s gauged) int { return s.heap }), middle(last, func(s gauged) int { return s.heap }), drift, 0},
		{"bytes in memory", middle(first, func(s gauged) int { return s.resident }), middle(last, func(s gauged) int { return s.resident }), driftInMemory, 0},
		{"goroutines", middle(first, func(s gauged) int { return s.goroutines }), middle(last, func(s gauged) int { return s.goroutines }), drift, 0},
		{"descriptors", middle(first, func(s gauged) int { return s.descriptors }), middle(last, func(s gauged) int { return s.descriptors }), 0, lateDescriptors},
		{"bytes of the database for each run", perRun(first), perRun(last), drift, 0},
	} {
		s.t.Logf("%s: %.0f at first, %.0f at last (%+.1f %%)", c.what, c.first, c.last, (c.last/c.first-1)*100)
		if c.last > c.first*(1+c.slack)+c.late {
			s.t.Errorf("%s: %.0f in the first third became %.0f in the last", c.what, c.first, c.last)
		}
	}
}
