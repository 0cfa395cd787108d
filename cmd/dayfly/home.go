package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/cmd/internal/agentmain"
	"github.com/dayfly-io/dayfly/internal/bell"
	"github.com/dayfly-io/dayfly/internal/bucket/dir"
	"github.com/dayfly-io/dayfly/internal/daemon"
	"github.com/dayfly-io/dayfly/internal/durable"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/local"
	"github.com/dayfly-io/dayfly/internal/metrics"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/spec"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
)

// home is a data directory. What lies in it is opened when it is asked for.
type home struct {
	dir      string
	what     string // this process is, to others that wait for it
	settings spec.Settings
	lookup   func(string) (string, bool)
	now      func() time.Time
	log      *slog.Logger

	readOnly bool             // it is only looked at
	metrics  *metrics.Metrics // nil: nothing is counted

	held   *os.File // the directory itself
	store  store.Store
	bucket *dir.Bucket
	loop   *reconcile.Reconciler
}

// open gives the data directory, and makes it when it is missing.
func (a *app) open() (*home, error) {
	if a.home != nil {
		return a.home, nil
	}
	where, err := a.dataDir()
	if err != nil {
		return nil, err
	}
	h, err := openHome(where)
	if err != nil {
		return nil, err
	}
	if err := h.hold(); err != nil {
		return nil, err
	}
	h.what, h.lookup, h.now, h.log = a.what, a.lookup, a.now, a.logger()
	a.home = h
	return h, nil
}

// dataDir is where the data directory is: the flag, the variable, or the XDG directory.
func (a *app) dataDir() (string, error) {
	where := cmp.Or(a.data, a.getenv("DAYFLY_DATA"))
	if xdg := a.getenv("XDG_DATA_HOME"); where == "" && filepath.IsAbs(xdg) {
		where = filepath.Join(xdg, "dayfly")
	}
	if user := a.getenv("HOME"); where == "" && user != "" {
		where = filepath.Join(user, ".local", "share", "dayfly")
	}
	if where == "" {
		return "", &dayfly.Error{
			Code: dayfly.CodeInvalid, Message: "there is no data directory: neither --data, DAYFLY_DATA, XDG_DATA_HOME nor HOME is set",
			Hint: "name one with --data DIR",
		}
	}
	where, err := filepath.Abs(where)
	if err != nil {
		return "", fmt.Errorf("find the data directory: %w", err)
	}
	return where, nil
}

const settingsFile, recordsFile = "dayfly.yaml", "dayfly.db"

// openHome makes the directory and its settings if they are missing, and reads them.
func openHome(where string) (*home, error) {
	if err := durable.MkdirAll(where, 0o700, nil); err != nil {
		return nil, misplaced(fmt.Errorf("make the data directory: %w", err), "name another directory: --data DIR or DAYFLY_DATA")
	}
	h := &home{dir: where}
	path := h.path(settingsFile)
	settings, _, err := readSettings(path)
	if err == nil && settings.Installation == "" {
		settings, err = nameInstallation(where, path)
	}
	if err != nil {
		return nil, misplaced(err, "")
	}
	h.settings = settings
	h.clear()
	return h, nil
}

// misplaced adds to an error of opening the data directory how another is named: where it cannot be
// written, and where there is another hint for all else.
func misplaced(err error, otherwise string) error {
	help := otherwise
	switch {
	case dayfly.ErrorHint(err) != "":
		return err
	case errors.Is(err, syscall.EROFS):
		help = "make that file system writable, or name another directory with --data DIR or DAYFLY_DATA; history, ps, logs and results show what is there all the same"
	case hint(err) != "":
		return err
	case errors.Is(err, fs.ErrPermission):
		help = "be the user whose directory it is, or name another with --data DIR or DAYFLY_DATA"
	}
	if help == "" {
		return err
	}
	return &dayfly.Error{Code: dayfly.CodeInternal, Message: err.Error(), Hint: help, Err: err}
}

// How the names of files begin that are not whole yet.
const halfWritten, halfPacked = ".new-", ".pack-"

// clear removes half-written files of processes that were killed. Who writes one holds the directory's
// lock, and who packs needs no name.
func (h *home) clear() {
	half := func(e os.DirEntry) bool {
		return strings.HasPrefix(e.Name(), halfWritten) || strings.HasPrefix(e.Name(), halfPacked)
	}
	if entries, err := os.ReadDir(h.dir); err != nil || !slices.ContainsFunc(entries, half) {
		return
	}
	d, err := lockDir(h.dir)
	if err != nil {
		return // they are in nobody's way
	}
	defer d.Close()
	entries, _ := os.ReadDir(h.dir)
	for _, e := range entries {
		if half(e) {
			_ = os.Remove(h.path(e.Name()))
		}
	}
}

// lockDir opens the data directory and locks it until it is closed.
func lockDir(where string) (*os.File, error) {
	d, err := os.Open(where)
	if err != nil {
		return nil, fmt.Errorf("open the data directory: %w", err)
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the data directory: %w", err), d.Close())
	}
	return d, nil
}

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

// readSettings reads dayfly.yaml; one that is missing says nothing.
func readSettings(path string) (spec.Settings, []byte, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return spec.Settings{}, nil, fmt.Errorf("read the settings: %w", err)
	}
	settings, err := spec.LoadSettings(path, text)
	return settings, text, err
}

// nameInstallation gives a data directory the name that all its machines will carry. It is made once,
// whoever else tries at the same time.
func nameInstallation(where, path string) (spec.Settings, error) {
	d, err := lockDir(where)
	if err != nil {
		return spec.Settings{}, err
	}
	defer d.Close()
	settings, text, err := readSettings(path)
	if err != nil || settings.Installation != "" {
		return settings, err
	}
	// Whoever made the directory may have been killed before it was durable, and all the rest hangs on that.
	if err := durable.Sync(filepath.Dir(where), nil); err != nil && !errors.Is(err, fs.ErrPermission) {
		return settings, fmt.Errorf("sync the directory above: %w", err)
	}
	settings.Installation = rand.Text()
	if len(text) == 0 {
		text = settings.Marshal()
	} else {
		text = fmt.Appendf(text, "\ninstallation: %q\n", settings.Installation)
	}
	again, err := spec.LoadSettings(path, text)
	if err != nil || again.Installation != settings.Installation {
		return settings, &dayfly.Error{
			Code: dayfly.CodeInvalid, Message: path + " has no installation, and none can be added to it",
			Hint: "add this line to it: installation: " + settings.Installation, Err: err,
		}
	}
	return settings, writeSynced(d, path, text)
}

// writeSynced puts a file into a directory that is locked, whole and for good or not at all.
func writeSynced(d *os.File, path string, text []byte) error {
	f, err := os.CreateTemp(d.Name(), halfWritten+"*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = d.Sync()
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Store opens the records.
func (h *home) Store(ctx context.Context) (store.Store, error) {
	if h.store == nil {
		open := sqlite.Open
		if h.readOnly {
			open = sqlite.OpenReadOnly
		}
		s, err := open(ctx, h.path(recordsFile), sqlite.Options{Holder: h.what, Now: h.now, Observe: h.committed})
		if dayfly.ErrorCode(err) == dayfly.CodeRefused {
			return nil, &exit{exitError, err} // refused is how runs end
		}
		if err != nil {
			return nil, misplaced(err, "")
		}
		h.store = s
	}
	return h.store, nil
}

// bucketDir is where the bucket is.
func (h *home) bucketDir() string {
	if h.settings.Bucket == "" {
		return h.path("bucket")
	}
	if filepath.IsAbs(h.settings.Bucket) {
		return h.settings.Bucket
	}
	return h.path(h.settings.Bucket)
}

// Bucket opens logs, results and archives.
func (h *home) Bucket() (*dir.Bucket, error) {
	if h.bucket == nil {
		if err := h.bucketGone(); err != nil {
			return nil, err
		}
		open := dir.Open
		if h.readOnly {
			open = dir.OpenReadOnly
		}
		b, err := open(h.bucketDir())
		if err != nil {
			return nil, misplaced(fmt.Errorf("open the bucket: %w", err), "")
		}
		h.bucket = b
	}
	return h.bucket, nil
}

// bucketGone is the error of a bucket that the settings name and that is not there although the records
// speak of what lies in it: its disk is not mounted, or stayed on another host. An empty one is not made then.
func (h *home) bucketGone() error {
	if h.settings.Bucket == "" || h.store == nil {
		return nil
	}
	if _, err := os.Stat(h.bucketDir()); !errors.Is(err, fs.ErrNotExist) {
		return nil // opening it says what is wrong, if anything is
	}
	names, err := h.store.Recorded(context.Background(), "", 1)
	if err != nil || len(names) == 0 {
		return err
	}
	return &dayfly.Error{
		Code:    dayfly.CodeInternal,
		Message: fmt.Sprintf("the bucket %s is not there, and logs and results of earlier runs should be in it", h.bucketDir()),
		Hint:    "mount or copy it there, or change bucket: in " + h.path(settingsFile) + "; mkdir " + h.bucketDir() + " begins with an empty one",
	}
}

// Providers opens where machines come from. Each call gives fresh ones, which share nothing.
func (h *home) Providers() (map[string]machine.Provider, error) {
	p, err := local.New(local.Config{
		Dir: h.path("machines"), Args: agentmain.SuperviseArgs(agentmain.Place{Data: h.dir, Bucket: h.bucketDir()}), Agent: embeddedAgent(),
		Hidden: []string{h.dir, h.bucketDir()}, Now: h.now, Log: h.log,
	})
	if err != nil {
		return nil, fmt.Errorf("open the local machines: %w", err)
	}
	return h.watched(map[string]machine.Provider{"local": p}), nil
}

// Loop opens the control loop with everything it needs.
func (h *home) Loop(ctx context.Context) (*reconcile.Reconciler, error) {
	if h.loop != nil {
		return h.loop, nil
	}
	s, err := h.Store(ctx)
	if err != nil {
		return nil, err
	}
	b, err := h.Bucket()
	if err != nil {
		return nil, err
	}
	p, err := h.Providers()
	if err != nil {
		return nil, err
	}
	var watch reconcile.Watcher
	if h.metrics != nil {
		watch = h.metrics
	}
	h.loop, err = reconcile.New(reconcile.Config{
		Installation: h.settings.Installation, Store: s, Bucket: b, Providers: p,
		Machines: h.settings.Limits.Machines, Keep: h.settings.Keep, Now: h.now, Jitter: jitter, Secret: secrets(h.lookup), Log: h.log, Watch: watch,
	})
	return h.loop, err
}

// ring tells everybody who waits on this data directory that something was committed. That nobody
// hears it costs at most the second after which they look by themselves.
func (h *home) ring() {
	bell.Ring(h.path("bell"))
}

// daemon tells whether a daemon acts for this data directory.
func (h *home) daemon() (bool, error) {
	_, held, err := daemon.Holder(h.path(lockFile))
	return held, err
}

const lockFile = "daemon.lock"

func (h *home) close() {
	var closers []io.Closer
	if h.store != nil {
		closers = append(closers, h.store)
	}
	if h.bucket != nil {
		closers = append(closers, h.bucket)
	}
	if h.held != nil {
		closers = append(closers, h.held)
	}
	for _, c := range closers {
		_ = c.Close() // what counts was synced when it was written
	}
}
