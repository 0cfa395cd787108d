package reconcile

import (
	"path/filepath"
	"slices"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// Wanted is a job that was read from a file.
type Wanted struct {
	Job    dayfly.Job
	Source string // the file, absolute
}

// Files are what applying was given: job files and directories of them.
type Files struct {
	Jobs []Wanted
	// Says is every file that is there and the job it holds; "" where that is not known, since it is broken.
	Says map[string]dayfly.JobName
	Dirs []string // directories, absolute, all of whose files are in Says
	// Missing tells whether a file of one of Dirs is not there any more.
	Missing func(path string) bool
}

// Effect is what applying does to one job.
type Effect struct {
	Name   dayfly.JobName
	Change Change
	Source string
	Why    string // of a job whose file has vanished
	Record store.Job
	Job    dayfly.Job // what becomes current; zero where the file has vanished
}

// Preview tells what applying files does to the jobs that there are, of which stored is every one: an effect for each
// job of the files, in their order, then one for each job whose file has vanished and that is not paused for it
// yet; prune removes those. It is pure, and [Reconciler.Apply] decides by the same rule. So what it says is what
// applying does, unless the records change in between.
func Preview(stored []store.Job, f Files, prune bool, now time.Time) []Effect {
	byName := make(map[dayfly.JobName]store.Job, len(stored))
	for _, rec := range stored {
		byName[rec.Name] = rec
	}
	wanted := make(map[dayfly.JobName]bool, len(f.Jobs))
	effects := make([]Effect, 0, len(f.Jobs))
	for _, w := range f.Jobs {
		wanted[w.Job.Name] = true
		rec := byName[w.Job.Name]
		effects = append(effects, Effect{Name: w.Job.Name, Change: judge(rec, w.Job.Version(), w.Source, now), Source: w.Source, Record: rec, Job: w.Job})
	}
	for _, rec := range stored {
		if wanted[rec.Name] || !f.vanished(rec) || !prune && rec.Vanished.Why != "" {
			continue
		}
		s := Vanished(rec)
		if prune {
			s.Change = Removed
		}
		effects = append(effects, s)
	}
	return effects
}

// Vanished is what becomes of a job whose file does not have it any more.
func Vanished(rec store.Job) Effect {
	return Effect{Name: rec.Name, Change: Paused, Source: rec.Source, Why: rec.Source + " does not have it any more", Record: rec}
}

// judge tells what applying a version from a file does to a job's record.
func judge(rec store.Job, version, source string, now time.Time) Change {
	switch {
	case rec.Rev == 0 || !rec.Scheduled:
		return Added
	case rec.Vanished.Why == "" && rec.Version == version && rec.Source == source:
		return Unchanged
	case rec.Vanished.Why != "" && rec.Pause(now) == rec.Vanished:
		return Resumed
	}
	return Changed
}

// vanished tells whether a job came from one of the files or directories and is there no more. What a broken
// file says is not known, so its job stays.
func (f Files) vanished(rec store.Job) bool {
	if !rec.Scheduled {
		return false
	}
	if name, read := f.Says[rec.Source]; read {
		return name != "" && name != rec.Name
	}
	return slices.Contains(f.Dirs, filepath.Dir(rec.Source)) && f.Missing(rec.Source)
}
