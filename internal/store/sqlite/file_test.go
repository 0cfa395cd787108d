package sqlite_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
	"github.com/dayfly-io/dayfly/internal/store/storetest"
)

func TestPragmas(t *testing.T) {
	t.Parallel()
	s := openAt(t, filepath.Join(t.TempDir(), "dayfly.db"))
	for name, want := range map[string][2]string{ // of the writing connection, of a reading one
		"journal_mode": {"wal", "wal"},
		"synchronous":  {"2", "2"}, // FULL; a reader has the default, which is the same
		"foreign_keys": {"1", "0"},
		"busy_timeout": {"5000", "5000"},
		"query_only":   {"0", "1"},
	} {
		write, read, err := s.Pragmas(t.Context(), name)
		if got := [2]string{write, read}; err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", name, got, err, want)
		}
	}
	if _, err := s.Readers().ExecContext(t.Context(), "DELETE FROM runs"); err == nil {
		t.Error("a reading connection changed something")
	}
}

// plain is a connection that knows nothing of the turnstile, such as the sqlite3 shell's.
func plain(t testing.TB, path string) *sql.Conn {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); db.Close() })
	return conn
}

// With the default BEGIN a transaction that has read may find, when it writes, that another was
// quicker, and nothing but failing is left to it.
func TestChangeLocksFromTheBeginning(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dayfly.db")
	s := openAt(t, path)
	other := plain(t, path)
	err := s.Change(t.Context(), func(*sql.Conn) error {
		_, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE")
		if err == nil || !strings.Contains(err.Error(), "locked") {
			t.Errorf("another writer got in before the first statement: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Errorf("after the change: %v", err)
	}
}

// A writer outside the turnstile is waited for by SQLite's own means.
func TestWriterOutsideTheTurnstile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dayfly.db")
	o := options
	o.Wait = 100 * time.Millisecond
	s, err := sqlite.Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other := plain(t, path)
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.InsertRuns(t.Context(), []dayfly.Run{runOf("pi", 0)}); !errors.Is(err, store.ErrBusy) {
		t.Errorf("insert: %v, want that the store is busy", err)
	}
	if _, err := other.ExecContext(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if stored, err := s.InsertRuns(t.Context(), []dayfly.Run{runOf("pi", 0)}); err != nil || !stored[0] {
		t.Errorf("insert afterwards: %v, %v", stored, err)
	}
}

// What is acknowledged is committed: another process sees it at once.
func TestAcknowledgedIsCommitted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dayfly.db")
	s, other := openAt(t, path), openAt(t, path)
	for i := range 100 {
		r := runOf("pi", i)
		if _, err := s.InsertRuns(t.Context(), []dayfly.Run{r}); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Run(t.Context(), r.ID); err != nil {
			t.Fatalf("run %d was acknowledged, and another process: %v", i, err)
		}
	}
}

// A change that fails in the middle leaves nothing, and the next one is not in its way.
func TestChangeThatFails(t *testing.T) {
	t.Parallel()
	s := openAt(t, filepath.Join(t.TempDir(), "dayfly.db"))
	boom := errors.New("boom")
	err := s.Change(t.Context(), func(conn *sql.Conn) error {
		if _, err := conn.ExecContext(t.Context(), "INSERT INTO notes (key, value) VALUES ('k', 'v')"); err != nil {
			t.Fatal(err)
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	if notes, err := s.Notes(t.Context(), "", time.Time{}); err != nil || len(notes) != 0 {
		t.Errorf("notes: %v, %v", notes, err)
	}
	if err := s.PutNote(t.Context(), store.Note{Key: "k"}); err != nil {
		t.Error(err)
	}
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dayfly.db")
	s, err := sqlite.Open(t.Context(), path, options)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := plain(t, path).ExecContext(t.Context(), "PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	_, err = sqlite.Open(t.Context(), path, options)
	if !errors.Is(err, store.ErrNewer) || dayfly.ErrorHint(err) == "" || !strings.Contains(err.Error(), "99") {
		t.Errorf("open: %v (hint %q)", err, dayfly.ErrorHint(err))
	}
	var version int
	if err := plain(t, path).QueryRowContext(t.Context(), "PRAGMA user_version").Scan(&version); err != nil || version != 99 {
		t.Errorf("afterwards the schema is number %d (%v)", version, err)
	}
}

func TestForeignFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other, text := filepath.Join(dir, "other.db"), filepath.Join(dir, "text.db")
	if _, err := plain(t, other).ExecContext(t.Context(), "CREATE TABLE theirs (a)"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{other, text, dir} {
		before, _ := os.ReadFile(path)
		if s, err := sqlite.Open(t.Context(), path, options); err == nil {
			s.Close()
			t.Errorf("%s was taken for a store", path)
		} else if !strings.HasPrefix(err.Error(), "open store "+path) {
			t.Errorf("error of %s: %v", path, err)
		}
		if after, _ := os.ReadFile(path); !slices.Equal(before, after) {
			t.Errorf("%s was changed", path)
		}
	}
}

func TestOddPaths(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b?mode=ro&_pragma=x#%20%", "ü", "a;b", "file:x", "..."} {
		path := filepath.Join(t.TempDir(), name, name)
		s := openAt(t, path)
		if _, err := s.InsertRuns(t.Context(), []dayfly.Run{runOf("pi", 0)}); err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%q: %v, %v", path, info, err)
		}
	}
}

func TestCloseEmptiesTheJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dayfly.db")
	s := openAt(t, path)
	if _, err := s.InsertRuns(t.Context(), []dayfly.Run{runOf("pi", 0)}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-wal"); err != nil {
		t.Fatalf("there is no journal to empty: %v", err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the journal is still there: %v", err)
	}
}

// A power cut after Open must not take the file's name away, nor that of a directory it made.
func TestDirectoriesAreSynced(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	durable := map[string]bool{}
	sync := func(dir *os.File) error {
		entries, err := os.ReadDir(dir.Name())
		for _, e := range entries {
			durable[filepath.Join(dir.Name(), e.Name())] = true
		}
		return errors.Join(err, dir.Sync())
	}
	path := filepath.Join(top, "new/data/dayfly.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.WithDisk(options, sync, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for p := path; p != top; p = filepath.Dir(p) {
		if !durable[p] {
			t.Errorf("a power cut takes %s away", strings.TrimPrefix(p, top))
		}
	}

	boom := errors.New("boom")
	if s, err := sqlite.Open(t.Context(), path, sqlite.WithDisk(options, func(*os.File) error { return boom }, nil)); !errors.Is(err, boom) {
		s.Close()
		t.Errorf("open with a directory that cannot be synced: %v", err)
	}
}

func TestNetworkFileSystems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		magic   int64
		name    string
		refused string
	}{
		{0x6969, "", "NFS"}, {0xff534d42, "", "SMB"}, {0x01021997, "", "9P"}, {0x65735546, "fuse.sshfs", "SSHFS"},
		{0x65735546, "fuseblk", ""}, {0x65735546, "", ""}, {0xef53, "", ""}, {0x01021994, "", ""}, {0x9123683e, "", ""},
	} {
		path := filepath.Join(t.TempDir(), "dayfly.db")
		s, err := sqlite.Open(t.Context(), path, sqlite.WithDisk(options, nil, func(string) (int64, string, error) { return c.magic, c.name, nil }))
		if err == nil {
			s.Close()
		}
		what := fmt.Sprintf("file system %#x %s", c.magic, c.name)
		switch {
		case c.refused == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused) || dayfly.ErrorHint(err) == ""):
			t.Errorf("%s: %v, want that %s is refused, with a hint", what, err, c.refused)
		case c.refused != "":
			if _, err := os.Stat(path); err == nil {
				t.Errorf("%s: a file was made before it was refused", what)
			}
		}
	}
}

func TestExpiredNotesGo(t *testing.T) {
	t.Parallel()
	now := slot
	o := options
	o.Now = func() time.Time { return now }
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "dayfly.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put := func(n store.Note) {
		t.Helper()
		if err := s.PutNote(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (keys []string) {
		t.Helper()
		all, err := s.Notes(t.Context(), "", time.Time{}.AddDate(1, 0, 0)) // as if nothing had expired
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range all {
			keys = append(keys, n.Key)
		}
		return keys
	}
	put(store.Note{Key: "a", Expires: slot})
	put(store.Note{Key: "b", Expires: slot.Add(time.Hour)})
	put(store.Note{Key: "c"})
	now = slot.Add(24 * time.Hour)
	put(store.Note{Key: "d"})
	if got := left(); !slices.Equal(got, []string{"b", "c", "d"}) {
		t.Errorf("notes left: %v", got)
	}
}

// Every history finds an index in the order of its answer: nothing is sorted, nothing is scanned.
func TestHistoryPlans(t *testing.T) {
	t.Parallel()
	s := openAt(t, filepath.Join(t.TempDir(), "dayfly.db"))
	for bits := range 1 << 9 {
		var f store.Filter
		want := "runs_slot"
		if bits&1 != 0 {
			f.Job, want = "pi", "runs_job"
		}
		if bits&2 != 0 {
			f.Outcome, want = dayfly.Failed, "runs_outcome"
		}
		if bits&3 == 3 {
			want = "runs_job_outcome"
		}
		if bits&4 != 0 {
			f.Since = slot
		}
		if bits&8 != 0 {
			f.Before = "pi-20261122T230000Z"
		}
		f.Ended, f.Oldest = bits&16 != 0, bits&32 != 0
		if bits&64 != 0 {
			f.Until = slot
		}
		if bits&128 != 0 {
			f.Remains = dayfly.RemainsLogs
		}
		if bits&(128+3) == 128+1 {
			want = "runs_remains"
		}
		if bits&256 != 0 {
			f.Backfill, want = "pi@SOME", "runs_backfill"
			if bits&2 != 0 {
				want = "runs_backfill_outcome"
			}
		}
		plan, err := s.HistoryPlan(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		if len(plan) != 1 || !strings.HasSuffix(strings.Split(plan[0]+" (", " (")[0], "USING INDEX "+want) {
			t.Errorf("%+v: %q, want only a walk of %s", f, plan, want)
		}
	}
}

// Nor does anything else that is asked walk through what has ended: each question is asked of an
// index that holds little else than the answer.
func TestPlans(t *testing.T) {
	t.Parallel()
	s := openAt(t, filepath.Join(t.TempDir(), "dayfly.db"))
	ctx := t.Context()
	for scope, want := range map[store.Scope]string{
		{}: "SCAN runs USING INDEX runs_active", {Job: "pi"}: "SEARCH runs USING INDEX runs_active_job (job=?)",
		{Run: "x"}: "SEARCH runs USING INDEX sqlite_autoindex_runs_1 (id=?)", {Job: "pi", Run: "x"}: "SEARCH runs USING INDEX sqlite_autoindex_runs_1 (id=?)",
	} {
		if plan, err := s.ActivePlan(ctx, scope); err != nil || len(plan) != 1 || plan[0] != want {
			t.Errorf("active runs of %+v: %q (%v), want %q", scope, plan, err, want)
		}
	}
	_, _ = s.Run(ctx, "x")
	_, _ = s.Job(ctx, "x")
	_, _ = s.Version(ctx, "x")
	_, _ = s.DueJobs(ctx, store.Scope{}, slot, 1)
	_, _ = s.DueJobs(ctx, store.Scope{Job: "x"}, slot, 1)
	_, _ = s.NextDue(ctx)
	_, _ = s.LastN(ctx, "x", slot, "")
	_, _ = s.Ranges(ctx, "x", slot)
	_, _ = s.Notes(ctx, "x", slot)
	_, _ = s.Recorded(ctx, "x", 1)
	_, _ = s.NamesFiles(ctx, "x")
	asked := s.Prepared()
	if len(asked) != 12 {
		t.Errorf("%d queries, want 12: %q", len(asked), asked)
	}
	for _, query := range asked {
		plan, err := s.Plan(ctx, query)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range plan {
			if !strings.HasPrefix(step, "SEARCH ") {
				t.Errorf("%s: %s", query, step)
			}
		}
	}
}

// A file that an older dayfly wrote has all that is needed to remove what is old, and to find a backfill's runs.
func TestOlderSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dayfly.db")
	first, err := os.ReadFile("migrations/0001_records.sql")
	if err != nil {
		t.Fatal(err)
	}
	j := dayfly.Job{Name: "pi", Run: "true", FilesSHA256: "aa"}
	ran, never, active := runOf("pi", 0), runOf("pi", 1), runOf("pi", 2)
	for _, r := range []*dayfly.Run{&ran, &never, &active} {
		r.Version, r.Attempts = j.Version(), []dayfly.Attempt{{Number: 1}}
	}
	ran.State, never.State, never.Attempts, active.Backfill = dayfly.Ended, dayfly.Ended, nil, "pi@SOME"
	conn := plain(t, path)
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := conn.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	body := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	exec(string(first) + "; PRAGMA application_id=1684109670; PRAGMA user_version=1")
	exec("INSERT INTO versions (version, body) VALUES (?, ?)", j.Version(), body(j))
	for _, r := range []dayfly.Run{ran, never, active} {
		exec("INSERT INTO runs (id, job, slot, shard, n, state, outcome, rev, body) VALUES (?, 'pi', ?, '', 0, ?, '', 1, ?)",
			string(r.ID), r.Slot.UnixMicro(), string(r.State), body(r))
	}

	s := openAt(t, path)
	var left []dayfly.RunID
	filled := 0
	for r, err := range s.History(t.Context(), store.Filter{Job: "pi", Remains: dayfly.RemainsLogs}) {
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, r.ID)
	}
	if !slices.Equal(left, []dayfly.RunID{ran.ID}) {
		t.Errorf("runs that have left something: %v, want %s", left, ran.ID)
	}
	for r, err := range s.History(t.Context(), store.Filter{Backfill: "pi@SOME"}) {
		if err != nil || r.ID != active.ID {
			t.Errorf("a run of the backfill: %s (%v), want %s alone", r.ID, err, active.ID)
		}
		filled++
	}
	if filled != 1 {
		t.Errorf("%d runs of the backfill, want 1", filled)
	}
	if named, err := s.NamesFiles(t.Context(), "aa"); !named || err != nil {
		t.Errorf("the archive of a version is named: %v, %v", named, err)
	}
	for range 2 {
		if _, n, err := s.CollectVersions(t.Context(), "", 10, slot, slot); n != 0 || err != nil {
			t.Errorf("removed %d versions that runs refer to (%v)", n, err)
		}
	}
}

// A record that was damaged under an older dayfly stays damaged, and keeps no file from being opened.
func TestOlderSchemaDamaged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dayfly.db")
	first, err := os.ReadFile("migrations/0001_records.sql")
	if err != nil {
		t.Fatal(err)
	}
	conn := plain(t, path)
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := conn.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(string(first) + "; PRAGMA application_id=1684109670; PRAGMA user_version=1")
	all := append(slices.Collect(maps.Values(storetest.Damages)), `{"id":"pi-20261122T230000Z","backfill":"pi@SOME","rea`)
	for i, body := range all {
		r := runOf("pi", i)
		exec("INSERT INTO versions (version, body) VALUES (?, ?)", fmt.Sprint(i), body)
		exec("INSERT INTO runs (id, job, slot, shard, n, state, outcome, rev, body) VALUES (?, 'pi', ?, '', 0, 'due', '', 1, ?)",
			string(r.ID), r.Slot.UnixMicro(), body)
	}
	_, err = openAt(t, path).ActiveRuns(t.Context(), store.Scope{})
	if d, ok := errors.AsType[*store.DamagedError](err); !ok || len(d.Records) != len(all) {
		t.Errorf("of %d damaged runs there are: %v", len(all), err)
	}
}

// Processes agree on archives: who is about to refer to one keeps the other from removing any.
func TestFilesBetweenProcesses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dayfly.db")
	o := options
	o.Wait = 50 * time.Millisecond
	other, err := sqlite.Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	s, ctx := openAt(t, path), t.Context()
	refer, err := s.Refer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Collect(ctx); !errors.Is(err, store.ErrBusy) {
		t.Errorf("collecting while another refers: %v", err)
	}
	refer()
	collect, err := s.Collect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Refer(ctx); !errors.Is(err, store.ErrBusy) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("referring while another collects: %v", err)
	}
	collect()
	refer, err = other.Refer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	refer()
}
