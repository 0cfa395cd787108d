package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/daemon"
	"github.com/dayfly-io/dayfly/internal/folder"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/store"
)

// jobsDir keeps a daemon's jobs to what the files of a directory say. It is for one goroutine.
type jobsDir struct {
	a      *app
	h      *home
	path   string // as it was named
	from   string // the directory, as it was named
	abs    string // the directory, absolute
	folder *folder.Folder

	has   map[string]dayfly.JobName // the job that each file has, or had when it was right, by the file's name
	whose map[dayfly.JobName]string // the file that has a job
	wrong map[string]string         // what was said of files that are wrong, by name
	twins map[string]bool           // those that are wrong only in that another has their job

	again map[string]bool           // files to be taken over that no fault of theirs kept from it
	left  map[string]dayfly.JobName // jobs that a file no longer has, and that may have to be paused
	said  string                    // what was said last to be wrong with all
}

// filesAtOnce is how many changed files are read before they are applied.
const filesAtOnce = 200

// newJobsDir watches a directory, or one file.
func (a *app) newJobsDir(h *home, path string) (*jobsDir, error) {
	w := &jobsDir{a: a, h: h, path: path, from: path}
	match := isJobFile
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		w.from = filepath.Dir(path)
		match = func(name string) bool { return name == filepath.Base(path) }
	}
	var err error
	if w.abs, err = filepath.Abs(w.from); err != nil {
		return nil, fmt.Errorf("find %s: %w", path, err)
	}
	w.folder = folder.New(w.from, match, a.now)
	return w, nil
}

// all takes over everything, whether it has changed or not.
func (w *jobsDir) all(ctx context.Context) error {
	if err := w.folder.Reset(); err != nil {
		return aJobFile.missing(w.path, err)
	}
	f, err := w.a.takeOver(ctx, w.h, w.path)
	if err != nil {
		return err
	}
	recs, _, err := soundJobs(ctx, w.h.store) // what is damaged was said
	if err != nil {
		return err
	}
	w.has, w.whose = map[string]dayfly.JobName{}, map[dayfly.JobName]string{}
	for _, rec := range recs { // the records know what a file that is wrong now had before
		if rec.Scheduled && rec.Vanished.Why == "" && filepath.Dir(rec.Source) == w.abs {
			name := filepath.Base(rec.Source)
			w.has[name], w.whose[rec.Name] = rec.Name, name
		}
	}
	w.wrong, w.twins = map[string]string{}, map[string]bool{}
	w.again, w.left = map[string]bool{}, map[string]dayfly.JobName{}
	for _, j := range f.files {
		name := filepath.Base(j.path)
		switch {
		case j.err != nil:
			w.wrong[name] = brief(j.err)
			if j.twin {
				w.twins[name] = true
			}
		case f.left[j.file.Job.Name]:
			w.again[name] = true
		}
	}
	return w.noteAll(ctx)
}

// watch takes over what changes, until ctx ends, and everything when it is asked to.
func (w *jobsDir) watch(ctx context.Context, reload <-chan os.Signal) {
	tick := time.NewTimer(daemon.Tick(w.a.now()))
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-reload:
			w.said = ""
			err = w.all(ctx)
		case <-tick.C:
			err = w.look(ctx)
			tick.Reset(daemon.Tick(w.a.now()))
		}
		if ctx.Err() == nil {
			w.sayOnce(err)
		}
	}
}

// sayOnce says an error with which jobs stay as they are, unless it was said last.
func (w *jobsDir) sayOnce(err error) {
	if err == nil {
		w.said = ""
		return
	}
	if text := err.Error(); text != w.said {
		w.said = text
		printError(w.a.err, &dayfly.Error{
			Code: dayfly.ErrorCode(err), Message: text, Err: err,
			Hint: fmt.Sprintf("the jobs stay as they are; %s is looked at again every second, and read anew on HUP: kill -HUP %d", w.path, os.Getpid()),
		})
	}
}

// look takes over what has changed since it looked last.
func (w *jobsDir) look(ctx context.Context) error {
	changed, gone, err := w.folder.Look()
	if err != nil {
		return aJobFile.missing(w.path, err)
	}
	for _, name := range gone {
		delete(w.again, name)
	}
	changed = slices.AppendSeq(changed, maps.Keys(w.again))
	slices.Sort(changed)
	changed = slices.Compact(changed)
	if len(changed)+len(gone)+len(w.left) == 0 {
		return nil
	}
	defer w.h.ring()
	clear(w.again)
	for _, name := range gone {
		w.leave(name)
		delete(w.has, name)
		delete(w.twins, name)
		w.right(ctx, name)
	}
	var errs []error
	for some := range slices.Chunk(changed, filesAtOnce) {
		errs = append(errs, w.take(ctx, some))
	}
	if waiting := slices.Sorted(maps.Keys(w.twins)); len(waiting) > 0 { // a name may have become free
		errs = append(errs, w.take(ctx, waiting))
	}
	for name, job := range w.left {
		if err := w.retire(ctx, name, job); err != nil {
			errs = append(errs, err)
			continue
		}
		delete(w.left, name)
	}
	return errors.Join(errs...)
}

// leave takes note that a file no longer has its job.
func (w *jobsDir) leave(name string) {
	job := w.has[name]
	if job == "" {
		return
	}
	w.left[name] = job
	if w.whose[job] == name {
		delete(w.whose, job)
	}
}

// take takes over single files. What is wrong with one is said and leaves its job as it is. The error is of
// something else, and those files come again.
func (w *jobsDir) take(ctx context.Context, names []string) error {
	files := make([]jobFile, len(names))
	for i, name := range names {
		j := readWhole(filepath.Join(w.from, name))
		if j.err == nil {
			j.err = j.served()
		}
		if j.err == nil && w.has[name] != j.file.Job.Name {
			w.leave(name)
		}
		files[i] = j
	}
	var errs []error
	for i, name := range names {
		j := files[i]
		delete(w.twins, name)
		if j.err == nil {
			job := j.file.Job.Name
			if other := w.whose[job]; other != "" && other != name {
				j.refuseTwin(filepath.Join(w.from, other))
				w.twins[name] = true
			} else {
				w.has[name], w.whose[job] = job, name
			}
		}
		switch {
		case errors.Is(j.err, fs.ErrNotExist): // it went meanwhile; the next look says so
		case j.err != nil:
			w.isWrong(ctx, name, j)
		default:
			if err := w.apply(ctx, name, j); err != nil {
				errs, w.again[name] = append(errs, err), true
			}
		}
	}
	return errors.Join(errs...)
}

// apply makes what a file says the job's current version.
func (w *jobsDir) apply(ctx context.Context, name string, j jobFile) error {
	job, err := w.h.pack(ctx, j)
	if err != nil {
		return err
	}
	c, err := w.h.loop.Apply(ctx, job, j.abs)
	if err != nil {
		return err
	}
	if w.right(ctx, name); c != reconcile.Unchanged {
		w.a.advise(j)
		w.tell(change{Job: job.Name, Change: c, Why: w.h.stillPaused(ctx, job.Name, c)})
	}
	return nil
}

// retire pauses a job that a file no longer has, if no other has it.
func (w *jobsDir) retire(ctx context.Context, name string, job dayfly.JobName) error {
	if w.whose[job] != "" {
		return nil
	}
	rec, err := w.h.store.Job(ctx, job)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read job %s: %w", job, err)
	}
	if !rec.Scheduled || rec.Source != filepath.Join(w.abs, name) {
		return nil
	}
	c, err := w.h.carryOut(ctx, reconcile.Vanished(rec))
	if err == nil && c.Change != reconcile.Unchanged {
		w.tell(c)
	}
	return err
}

func (w *jobsDir) tell(c change) { w.a.say("%s", clean(c.String())) }

// isWrong says what is wrong with a file, once, and notes it for others to see.
func (w *jobsDir) isWrong(ctx context.Context, name string, j jobFile) {
	text := brief(j.err)
	if w.twins[name] && w.wrong[name] == text { // the file has not changed
		return
	}
	w.wrong[name] = text
	printError(w.a.err, j.err)
	w.a.warn("%s is not applied; what was applied before stays", j.path)
	w.note(ctx, name)
}

// brief is the first thing that is wrong with a file, on one line.
func brief(err error) string {
	in, out := split(err)
	switch {
	case len(in) > 0:
		return in[0].Position() + ": " + in[0].Problem
	case len(out) > 0:
		return out[0].Error()
	}
	return err.Error()
}

// right takes note that a file is right, or gone.
func (w *jobsDir) right(ctx context.Context, name string) {
	if _, was := w.wrong[name]; was {
		delete(w.wrong, name)
		w.note(ctx, name)
	}
}

// wrongFile begins the keys of notes that say what is wrong with a file of --jobs.
const wrongFile = "wrong/"

// note keeps for others what is wrong with a file. That it cannot is no reason to say more.
func (w *jobsDir) note(ctx context.Context, name string) {
	key := wrongFile + filepath.Join(w.abs, name)
	if text, ok := w.wrong[name]; ok {
		_ = w.h.store.PutNote(ctx, store.Note{Key: key, Value: text})
	} else {
		_ = w.h.store.DeleteNote(ctx, key)
	}
}

// forgetWrong takes away what is noted of files that were applied.
func (h *home) forgetWrong(ctx context.Context, done []change) error {
	notes, err := h.store.Notes(ctx, wrongFile, h.now())
	if err != nil {
		return fmt.Errorf("read which files are wrong: %w", err)
	}
	for _, n := range notes {
		of := func(c change) bool {
			return c.Source == strings.TrimPrefix(n.Key, wrongFile) && c.Change != reconcile.Paused
		}
		if slices.ContainsFunc(done, of) {
			if err := h.store.DeleteNote(ctx, n.Key); err != nil {
				return fmt.Errorf("forget what was wrong with a file: %w", err)
			}
		}
	}
	return nil
}

// wrongFiles says of job files, as far as they are there, what was wrong when they were read last.
func (h *home) wrongFiles(ctx context.Context) (map[string]string, error) {
	notes, err := h.store.Notes(ctx, wrongFile, h.now())
	if err != nil {
		return nil, fmt.Errorf("read which files are wrong: %w", err)
	}
	wrong := map[string]string{}
	for _, n := range notes {
		path := strings.TrimPrefix(n.Key, wrongFile)
		if _, err := os.Lstat(path); err == nil {
			wrong[path] = n.Value
		}
	}
	return wrong, nil
}

// noteAll makes the notes those of the files that are wrong.
func (w *jobsDir) noteAll(ctx context.Context) error {
	notes, err := w.h.store.Notes(ctx, wrongFile, w.a.now())
	if err != nil {
		return fmt.Errorf("read which files are wrong: %w", err)
	}
	for _, n := range notes {
		if err := w.h.store.DeleteNote(ctx, n.Key); err != nil {
			return fmt.Errorf("forget what was wrong with a file: %w", err)
		}
	}
	for name := range w.wrong {
		w.note(ctx, name)
	}
	return nil
}
