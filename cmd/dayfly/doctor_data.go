package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/bucket/dir"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
)

func checkSettings(_ context.Context, p *patient) []finding {
	path := filepath.Join(p.dir, settingsFile)
	settings, text, err := readSettings(path)
	switch {
	case err != nil:
		return []finding{failed(err, "edit "+path)}
	case text == nil:
		return []finding{ok("there are none yet: the first command makes %s", path)}
	case settings.Installation == "":
		return []finding{ok("%s names no installation yet: the next command adds one", path)}
	}
	return []finding{ok("%s, installation %.8s…", path, settings.Installation)}
}

func checkDataDir(_ context.Context, p *patient) []finding {
	info, err := os.Stat(p.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		above := ancestor(p.dir)
		if err := unix.Access(above, unix.W_OK|unix.X_OK); err != nil {
			return []finding{fail("name another directory with --data DIR or DAYFLY_DATA", "%s is not there, and cannot be made: %s: %s", p.dir, above, err)}
		}
		return []finding{ok("%s is not there yet: the first command makes it", p.dir)}
	case err != nil:
		return []finding{failed(err, "name another directory with --data DIR or DAYFLY_DATA")}
	case !info.IsDir():
		return []finding{fail("name a directory with --data DIR or DAYFLY_DATA", "%s is not a directory", p.dir)}
	}
	var found []finding
	var st unix.Stat_t
	if err := unix.Stat(p.dir, &st); err == nil && int(st.Uid) != os.Geteuid() {
		found = append(found, warn(fmt.Sprintf("be user %d (sudo -u '#%d' dayfly …), or chown -R it", st.Uid, st.Uid),
			"%s belongs to user %d and this is user %d: what one of them makes the other may not change", p.dir, st.Uid, os.Geteuid()))
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		found = append(found, warn("chmod 700 "+p.dir, "%s has mode %04o: others of this host may read logs and results, or change the records", p.dir, mode))
	}
	f, err := os.CreateTemp(p.dir, halfWritten+"*")
	if err != nil {
		return append(found, failed(misplaced(fmt.Errorf("write into %s: %w", p.dir, err), ""), "make it writable"))
	}
	_, err = f.WriteString("dayfly doctor\n")
	err = errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
	if err != nil {
		return append(found, failed(fmt.Errorf("write into %s: %w", p.dir, err), makeRoom))
	}
	if len(found) > 0 {
		return found
	}
	return []finding{ok("%s, mode %04o, can be written", p.dir, info.Mode().Perm())}
}

// ancestor is the nearest directory above a path that there is.
func ancestor(path string) string {
	for !exists(path) && path != filepath.Dir(path) {
		path = filepath.Dir(path)
	}
	return path
}

// Room that is little, and next to none.
const (
	littleRoom = 1 << 30
	noRoom     = 16 << 20
)

// The disk that lasts no longer than this is worth a word.
const (
	lastsLittle = 30 * 24 * time.Hour
	lastsNot    = 2 * 24 * time.Hour
)

func checkDisk(ctx context.Context, p *patient) []finding {
	places := []string{p.dir}
	if b := p.bucketDir(); b != "" && !isWithin(b, p.dir) {
		places = append(places, b)
	}
	var found []finding
	for i, place := range places {
		at := ancestor(place)
		if err := sqlite.CheckFileSystem(at); err != nil && i == 0 { // a bucket may be anywhere
			found = append(found, failed(err, "keep the data directory on a disk of this machine (--data DIR)"))
			continue
		}
		found = append(found, p.room(ctx, at))
	}
	return found
}

// room looks at how much is free where a path is, and how long that lasts.
func (p *patient) room(ctx context.Context, at string) finding {
	var s unix.Statfs_t
	if err := unix.Statfs(at, &s); err != nil {
		return failed(fmt.Errorf("look how much room there is at %s: %w", at, err), "")
	}
	free, whole := int64(s.Bavail)*int64(s.Bsize), int64(s.Blocks)*int64(s.Bsize) //nolint:unconvert // types differ between systems
	text := fmt.Sprintf("%s free of %s at %s", size(free), size(whole), at)
	if kind := fileSystemAt(at); kind != "" {
		text += " (" + kind + ")"
	}
	mend := "make room there, or let keep: in the job files remove what is old; dayfly explain keep"
	switch {
	case free < noRoom:
		return fail(mend, "%s", text)
	case s.Files > 0 && s.Ffree < 1000:
		return fail("remove files there; each run leaves a few", "%s, and room for %d more files only", text, s.Ffree)
	}
	daily := p.daily(ctx)
	if daily > 0 {
		const most = 100 * 365 * 24 * time.Hour // a Duration cannot be much longer
		lasts := time.Duration(min(float64(free)/float64(daily)*float64(24*time.Hour), float64(most)))
		text += fmt.Sprintf("; runs left %s a day of late, which lasts for %s", size(daily), foreseen(lasts))
		switch {
		case lasts < lastsNot:
			return fail(mend, "%s", text)
		case lasts < lastsLittle:
			return warn(mend, "%s", text)
		}
	}
	if free < littleRoom {
		return warn(mend, "%s", text)
	}
	return ok("%s", text)
}

// lateRuns is for how long back, and how many, runs are looked at to see what they leave.
const (
	lateDays = 7
	lateRuns = 20_000
)

// daily is how many bytes of logs and results the runs of late left each day.
func (p *patient) daily(ctx context.Context) int64 {
	s := p.store()
	if s == nil {
		return 0
	}
	now := p.a.now()
	var all int64
	since := now.AddDate(0, 0, -lateDays)
	oldest := now
	for r, err := range store.Sound(s.History(ctx, store.Filter{Ended: true, Since: since, Limit: lateRuns}), nil) {
		if err != nil {
			return 0
		}
		for _, at := range r.Attempts {
			if at.Report == nil {
				continue
			}
			all += at.Report.Log.Size
			for _, res := range at.Report.Results {
				all += res.Size
			}
		}
		if r.Slot.Before(oldest) {
			oldest = r.Slot
		}
	}
	days := max(1, now.Sub(oldest).Hours()/24)
	return int64(float64(all) / days)
}

// home is the data directory, with its records where they can be read; nil where the settings cannot.
func (p *patient) home() *home {
	settings, _, err := readSettings(filepath.Join(p.dir, settingsFile))
	if err != nil {
		return nil
	}
	return &home{dir: p.dir, settings: settings, store: p.store()}
}

// bucketDir is where the bucket is, as far as the settings can be read.
func (p *patient) bucketDir() string {
	if h := p.home(); h != nil {
		return h.bucketDir()
	}
	return ""
}

func checkStore(ctx context.Context, p *patient) []finding {
	path := filepath.Join(p.dir, recordsFile)
	older := dayfly.ErrorCode(p.err) == dayfly.CodeRefused && !errors.Is(p.err, store.ErrNewer) && sqlite.CheckFileSystem(p.dir) == nil
	switch {
	case older:
		return []finding{warn("dayfly ps", "%s was written by an older dayfly; the next command brings it forward", path)}
	case p.err != nil:
		return []finding{failed(p.err, "restore "+path+" from a copy, or begin anew with another --data DIR")}
	case p.look.store == nil:
		return []finding{ok("there are no records yet")}
	}
	begin := p.a.now()
	err := p.look.store.Check(ctx)
	switch {
	case ctx.Err() != nil:
		return []finding{warn("sqlite3 "+path+" 'PRAGMA quick_check'", "%s opens; it is too large to be read as a whole within %s", path, checkFor)}
	case err != nil:
		return []finding{failed(err, "stop dayfly, keep a copy of "+path+", and restore one from before; runs under way end by their deadlines")}
	}
	info, err := os.Stat(path)
	if err != nil {
		return []finding{failed(err, "")}
	}
	return []finding{ok("%s, %s, is whole (read in %s)", path, size(info.Size()), took(p.a.now().Sub(begin)))}
}

func checkBucket(ctx context.Context, p *patient) []finding {
	h := p.home()
	if h == nil {
		return []finding{fail("see the check settings", "where it is cannot be read")}
	}
	where := h.bucketDir()
	if !exists(where) {
		if err := h.bucketGone(); err != nil {
			return []finding{failed(err, "")}
		}
		if err := unix.Access(ancestor(where), unix.W_OK|unix.X_OK); err != nil {
			return []finding{fail("make "+where+", or name another in "+settingsFile, "%s is not there, and cannot be made: %s", where, err)}
		}
		return []finding{ok("%s is not there yet: the first run makes it", where)}
	}
	mend := "see that " + where + " can be written: ls -ld " + where + "; df " + where
	b, err := dir.Open(where)
	if err != nil {
		return []finding{failed(fmt.Errorf("open the bucket: %w", err), mend)}
	}
	defer b.Close()
	key, text := "doctor/"+rand.Text(), []byte("dayfly doctor\n")
	if _, err := b.Put(ctx, key, bytes.NewReader(text), bucket.Condition{IfAbsent: true}); err != nil {
		return []finding{failed(fmt.Errorf("write into the bucket %s: %w", where, err), mend)}
	}
	err = readBack(ctx, b, key, text)
	if err := errors.Join(err, b.Delete(ctx, key)); err != nil {
		return []finding{failed(fmt.Errorf("bucket %s: %w", where, err), mend)}
	}
	return []finding{ok("%s can be written, read and removed from", where)}
}

func readBack(ctx context.Context, b bucket.Bucket, key string, text []byte) error {
	r, err := b.Get(ctx, key, 0, -1)
	if err != nil {
		return fmt.Errorf("read what was written: %w", err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(got, text) {
		err = errors.New("what was read is not what was written")
	}
	return err
}

// fewOf names the first of several things, and how many more there are.
func fewOf(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}
