package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
)

// looked is a data directory that is only looked at. Nothing in it is made or changed; where there is none, there
// are no records.
type looked struct {
	home  *home // nil where there is no data directory
	store *sqlite.Store
}

// look opens the data directory to look at it.
func (a *app) look(ctx context.Context) (*looked, error) {
	where, err := a.dataDir()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(where); errors.Is(err, fs.ErrNotExist) {
		return &looked{}, nil
	}
	settings, _, err := readSettings((&home{dir: where}).path(settingsFile))
	if err != nil {
		return nil, err
	}
	l := &looked{home: &home{dir: where, settings: settings, lookup: a.lookup, now: a.now, log: a.logger()}}
	l.store, err = sqlite.OpenReadOnly(ctx, l.home.path(recordsFile), sqlite.Options{Now: a.now})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return l, nil
	case dayfly.ErrorCode(err) == dayfly.CodeRefused:
		return nil, &exit{exitError, err} // refused is how runs end
	}
	return l, err
}

// openToLook opens the data directory for a command that only shows what is there. One that cannot be written is
// shown all the same, as it was recorded: nobody can look after its runs then.
func (a *app) openToLook() (*home, error) {
	where, err := a.dataDir()
	if err != nil {
		return nil, err
	}
	why := unix.Access(where, unix.W_OK)
	if a.home != nil || why != unix.EROFS && why != unix.EACCES {
		return a.open()
	}
	h := &home{dir: where, what: a.what, lookup: a.lookup, now: a.now, log: a.logger(), readOnly: true}
	if h.settings, _, err = readSettings(h.path(settingsFile)); err != nil {
		return nil, misplaced(err, "")
	}
	if err := h.hold(); err != nil {
		return nil, err
	}
	a.warn("%s cannot be written (%s): this is what is on record, and may be out of date", where, why)
	a.home = h
	return h, nil
}

// jobs are the records of all jobs.
func (l *looked) jobs(ctx context.Context) (jobs []store.Job, damaged []store.Damage, err error) {
	if l.store == nil {
		return nil, nil, nil
	}
	return soundJobs(ctx, l.store)
}

func (l *looked) close() {
	if l.store != nil {
		_ = l.store.Close()
	}
}
