package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	slashpath "path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/archive"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/spec"
	"github.com/dayfly-io/dayfly/internal/store"
)

// jobFile is a job file that was found, and what came of reading it.
type jobFile struct {
	path string // as it was named or found
	abs  string
	file *spec.File // nil where err is not
	err  error
	twin bool // err is only that another file has the job
}

// isJobFile tells whether a name is that of a job file.
func isJobFile(name string) bool {
	ext := filepath.Ext(name)
	return (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(filepath.Base(name), ".")
}

// found is what the arguments FILE... or DIR name.
type found struct {
	files []jobFile
	dirs  []string // absolute

	left map[dayfly.JobName]bool // those of right files that were not taken over
}

// findJobs reads job files: those named, and those that lie in a directory that is named. A path that
// cannot be looked at is an error; what is wrong with a file is the file's.
func findJobs(paths []string) (found, error) {
	var f found
	var errs []error
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			errs = append(errs, aJobFile.missing(path, err))
			continue
		}
		if !info.IsDir() {
			f.files = append(f.files, readWhole(path))
			continue
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			errs = append(errs, unreadable(path, err))
			continue
		}
		f.dirs = append(f.dirs, abs)
		for _, e := range entries {
			if !e.IsDir() && isJobFile(e.Name()) {
				f.files = append(f.files, readWhole(filepath.Join(path, e.Name())))
			}
		}
	}
	f.refuseTwins()
	return f, errors.Join(errs...)
}

// wanted is what a file should be that a person names, as hints say it.
type wanted struct {
	name  string // instead of one that is not there
	dir   string // instead of a directory
	plain string // instead of a pipe, a device and the like
}

var (
	aJobFile = wanted{
		name:  "name a job file, with its ending .yaml or .yml, or a directory of them",
		dir:   "name one job file in it; apply, validate and serve --jobs take directories",
		plain: "a job file is a regular file; name another, or move it out of the directory",
	}
	aCrontab = wanted{
		name:  "name a crontab, such as /etc/crontab; - is standard input, and without a name crontab -l is asked",
		dir:   "name the files in it, such as /etc/cron.d/*",
		plain: "name a regular file, or - for standard input",
	}
)

func (w wanted) missing(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		e := &dayfly.Error{Code: dayfly.CodeNotFound, Message: fmt.Sprintf("there is no file or directory %s", path), Err: err}
		if e.Hint = meantFile(os.DirFS(filepath.Dir(path)), ".", filepath.Base(path)); e.Hint == "" {
			e.Hint = w.name
		}
		return e
	}
	return unreadable(path, err)
}

// meantFile asks whether the file in a directory was meant whose name differs least; "" where none is near.
func meantFile(in fs.FS, dir, name string) string {
	entries, err := fs.ReadDir(in, dir)
	if err != nil {
		return ""
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	if near := spec.Nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return ""
}

func unreadable(path string, err error) error {
	e := &dayfly.Error{Code: dayfly.CodeInternal, Message: fmt.Sprintf("read %s: %s", path, reason(err)), Err: err}
	if errors.Is(err, fs.ErrPermission) {
		e.Hint = "this user may not read it; ls -ld " + path + " shows who may"
	}
	return e
}

// reason is what is wrong with a path, without the path and the call that found it.
func reason(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

// readWhole reads one job file and looks whether what it names in files: is there and may be read, without
// reading that.
func readWhole(path string) jobFile {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return readJob(path, nil) // says what is wrong, or needs no more
	}
	defer root.Close()
	return readJob(path, func(name string) (problem, hint string) {
		at := filepath.ToSlash(filepath.Clean(name))
		err := archive.Check(root, at, archive.Limits{})
		if err == nil {
			err = readable(root.FS(), at)
		}
		if err == nil {
			return "", ""
		}
		where := at
		if p, ok := errors.AsType[*fs.PathError](err); ok && fs.ValidPath(p.Path) {
			where = p.Path
		}
		if problem = reason(err); where != at {
			problem = where + ": " + problem
		}
		switch {
		case errors.Is(err, fs.ErrPermission):
			hint = "this user may not read it; ls -ld " + where + " shows who may"
		case errors.Is(err, fs.ErrNotExist):
			hint = cmp.Or(meantFile(root.FS(), slashpath.Dir(at), slashpath.Base(at)), "names in files: begin at the directory of the job file")
		case errors.Is(err, archive.ErrLimit):
			hint = "name less, or let the job fetch what is so large"
		default:
			hint = "put a copy of what the job needs beside the job file, and name that"
		}
		return problem, hint
	})
}

// readable opens a file, or all files of a directory, as packing will.
func readable(fsys fs.FS, at string) error {
	return fs.WalkDir(fsys, at, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil || !fs.ValidPath(name) && !e.IsDir():
			return err // a name that is no UTF-8 can be packed, and no fs.FS opens it
		case !fs.ValidPath(name):
			return fs.SkipDir
		case !e.Type().IsRegular():
			return nil
		}
		f, err := fsys.Open(name)
		if err != nil {
			return err
		}
		return f.Close()
	})
}

// readJob reads one job file.
func readJob(path string, look spec.Look) jobFile {
	j := jobFile{path: path}
	if j.abs, j.err = filepath.Abs(path); j.err != nil {
		return j
	}
	text, err := aJobFile.read(path, spec.MaxSize+1) // one byte more than may be, so that the loader sees it
	if err != nil {
		j.err = err
		return j
	}
	j.file, j.err = spec.LoadLooking(path, text, look)
	return j
}

// read reads a regular file, at most so many bytes of it. Others, such as pipes, might never end.
func (w wanted) read(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, w.missing(path, err)
	}
	switch m := info.Mode(); {
	case m.IsDir():
		return nil, &dayfly.Error{Code: dayfly.CodeInvalid, Message: path + " is a directory", Hint: w.dir}
	case !m.IsRegular():
		return nil, &dayfly.Error{Code: dayfly.CodeInvalid, Message: path + " is not a regular file", Hint: w.plain}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, unreadable(path, err)
	}
	return text, nil
}

// advice is what is allowed in a file and may not be what was meant: the loader's, and what the clock adds.
func (j jobFile) advice(now time.Time) []*spec.Error {
	all := slices.Clone(j.file.Warnings)
	set, err := reconcile.Slots(j.file.Job)
	if err != nil {
		return all // the loader would have refused it
	}
	for i, m := range set.Members() {
		one := schedule.NewSet(m)
		if _, ok := one.Next(now); ok {
			continue
		}
		problem := "it is never due"
		if last, ok := one.Prev(now); ok {
			problem = "it is never due again; the last time was " + instant(last)
		}
		w := j.file.AtSchedule(i, problem, "name a time that comes, or leave the schedule out: dayfly run runs a job at any time")
		w.Warning, w.Rule = true, spec.RuleAdvice
		all = append(all, w)
	}
	return append(all, j.restless(set, now)...)
}

// restless is a jitter that may put a run behind the next one, by the next slots that there are.
func (j jobFile) restless(set *schedule.Set, now time.Time) []*spec.Error {
	jitter := j.file.Job.Jitter.Duration()
	gap := jitter + 1
	before, ok := set.Next(now)
	for range 50 {
		if !ok || jitter == 0 {
			break
		}
		var next time.Time
		if next, ok = set.Next(before); ok {
			gap, before = min(gap, next.Sub(before)), next
		}
	}
	if gap > jitter {
		return nil
	}
	w := j.file.At("jitter", fmt.Sprintf("slots come %s apart, and a run that begins up to %s later may still be active at the next, or not have begun", took(gap), took(jitter)),
		"make it shorter, or choose overlap: queue")
	w.Warning, w.Rule = true, spec.RuleAdvice
	return []*spec.Error{w}
}

// spent tells whether nothing of a job comes by schedule any more.
func (j jobFile) spent(now time.Time) bool {
	set, err := reconcile.Slots(j.file.Job)
	if err != nil {
		return true
	}
	_, more := set.Next(now)
	return !more
}

// refuseTwins makes it an error of each file after the first that it has the name of another.
func (f *found) refuseTwins() {
	first := map[dayfly.JobName]string{}
	for i := range f.files {
		j := &f.files[i]
		if j.err != nil {
			continue
		}
		name := j.file.Job.Name
		other, ok := first[name]
		switch {
		case !ok:
			first[name] = j.path
		case other != j.path:
			j.refuseTwin(other)
		}
	}
}

// refuseTwin makes it an error of a file that another has its job.
func (j *jobFile) refuseTwin(other string) {
	problem := fmt.Sprintf("%q is also the name of the job in %s", j.file.Job.Name, other)
	j.err, j.twin = j.file.At("name", problem, "every job has a name of its own"), true
}

// errs is everything wrong with the files, in their order.
func (f found) errs() error {
	var errs []error
	for _, j := range f.files {
		errs = append(errs, j.err)
	}
	return errors.Join(errs...)
}

// served is an error for each key that this build does not serve.
func (j jobFile) served() error {
	var errs []error
	for _, e := range j.file.Unserved() {
		errs = append(errs, e)
	}
	return asInvalid(errs)
}

// asInvalid joins errors about a job file into one that is the caller's fault.
func asInvalid(errs []error) error {
	if err := errors.Join(errs...); err != nil {
		return &exit{exitUsage, err}
	}
	return nil
}

// pack puts the files of a job into the bucket and notes in the job which archive they are, and stores
// the job's version, so that the archive is not one that nobody needs. The same files are the same archive.
func (h *home) pack(ctx context.Context, j jobFile) (dayfly.Job, error) {
	job := j.file.Job
	if len(job.Files) == 0 {
		return job, nil
	}
	spool, err := os.CreateTemp(h.dir, halfPacked+"*")
	if err != nil {
		return job, fmt.Errorf("files of job %s: %w", job.Name, err)
	}
	_ = os.Remove(spool.Name()) // at once: whatever ends this process, nothing stays
	defer spool.Close()
	sum, err := archive.Pack(spool, filepath.Dir(j.abs), job.Files, archive.Limits{})
	if err == nil {
		_, err = spool.Seek(0, io.SeekStart)
	}
	if err != nil {
		return job, fmt.Errorf("files of job %s: %w", job.Name, err)
	}
	job.FilesSHA256 = sum.SHA256
	if err := h.refer(ctx, job, spool); err != nil {
		return job, fmt.Errorf("store the files of job %s: %w", job.Name, err)
	}
	return job, nil
}

// refer stores an archive and the version of the job that names it, and nobody removes the one before
// the other is there.
func (h *home) refer(ctx context.Context, job dayfly.Job, packed io.Reader) error {
	s, err := h.Store(ctx)
	if err != nil {
		return err
	}
	b, err := h.Bucket()
	if err != nil {
		return err
	}
	if c, ok := s.(store.Collector); ok {
		leave, err := c.Refer(ctx)
		if err != nil {
			return err
		}
		defer leave()
	}
	_, err = b.Put(ctx, dayfly.FilesKey(job.FilesSHA256), packed, bucket.Condition{IfAbsent: true})
	if err != nil && !errors.Is(err, bucket.ErrExists) {
		return err
	}
	return s.PutVersion(ctx, job)
}

// byName sorts files by the name of their job; what could not be read comes first.
func byName(a, b jobFile) int {
	name := func(j jobFile) dayfly.JobName {
		if j.file == nil {
			return ""
		}
		return j.file.Job.Name
	}
	return cmp.Or(cmp.Compare(name(a), name(b)), cmp.Compare(a.path, b.path))
}

// knownJobs are the names of all jobs, for suggestions.
func (h *home) knownJobs(ctx context.Context) []string {
	s, err := h.Store(ctx)
	if err != nil {
		return nil
	}
	jobs, _, err := soundJobs(ctx, s)
	if err != nil {
		return nil
	}
	names := make([]string, len(jobs))
	for i, j := range jobs {
		names[i] = string(j.Name)
	}
	return slices.Compact(names)
}
