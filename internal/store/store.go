// Package store is the port to dayfly's records: jobs, their versions, runs, ranges and notes.
//
// It is the truth of the program. No operation needs two records to change together: each record has
// a revision, changes by compare-and-swap, and the order of changes makes the whole safe. Nothing is
// acknowledged before it would survive a power cut. Every implementation passes storetest.
package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/dayfly-io/dayfly"
)

// Errors of a Store, to be found with errors.Is.
var (
	ErrNotFound = errors.New("no such record")
	ErrStale    = errors.New("record was changed by somebody else") // compare-and-swap lost; read again
	ErrNewer    = errors.New("data was written by a newer version of dayfly")
	ErrBusy     = errors.New("store is busy") // bounded wait for another process was over
	ErrDisk     = errors.New("the disk is full, read-only or fails")
	ErrOpen     = errors.New("a file of the records cannot be opened") // nor is said why
)

// Scope is what a pass looks at: one run, one job, or, empty, everything.
type Scope struct {
	Job dayfly.JobName
	Run dayfly.RunID
}

// Store keeps the records. All methods may be used by several goroutines and processes at once. A record that
// is there and cannot be read is Damage. A list names the damaged in a *DamagedError and gives all others with it.
// A damaged record is never taken for one that is not there. Who has read it before the damage may change it by its
// revision, where the store still knows that, and so mend it; everybody else gets ErrStale or the Damage.
type Store interface {
	// PutVersion stores a version of a job under Job.Version(), also in the place of one that is damaged. It is
	// idempotent.
	PutVersion(ctx context.Context, j dayfly.Job) error
	// Version gives a stored version of a job.
	Version(ctx context.Context, version string) (dayfly.Job, error)
	// Versions gives those of these versions that are there, by their names, with few questions for many.
	Versions(ctx context.Context, versions []string) (map[string]dayfly.Job, error)

	// PutJob stores a job's record if its revision is still Job.Rev (0: it does not exist yet) and
	// gives back the record with its new revision; otherwise ErrStale.
	PutJob(ctx context.Context, j Job) (Job, error)
	Job(ctx context.Context, name dayfly.JobName) (Job, error)
	// Jobs gives every job by name.
	Jobs(ctx context.Context) ([]Job, error)
	// DeleteJob removes a job's record if its revision is still rev; its runs and versions stay.
	DeleteJob(ctx context.Context, name dayfly.JobName, rev int64) error
	// DueJobs gives jobs in the scope (Run is ignored) whose NextDue is at or before now, the most
	// overdue first, at most limit of them, the damaged included. It costs what is due, not what exists.
	// A damaged job whose NextDue cannot be told is due, after all others.
	DueJobs(ctx context.Context, s Scope, now time.Time, limit int) ([]Job, error)
	// NextDue gives the soonest NextDue of any job; zero when there is none. A damaged job counts where its
	// NextDue can be told, and is no error.
	NextDue(ctx context.Context) (time.Time, error)

	// InsertRuns stores each run whose (job, slot, shard, n) is not taken, each by itself, and tells
	// for each whether it was stored, with revision 1. One that is taken, if by a damaged run, stays as it is.
	// At most 200 at once.
	InsertRuns(ctx context.Context, runs []dayfly.Run) ([]bool, error)
	// UpdateRun stores a run if its revision is still Run.Rev and gives it back with its new one;
	// otherwise ErrStale. An ended run never changes: ErrStale.
	UpdateRun(ctx context.Context, r dayfly.Run) (dayfly.Run, error)
	Run(ctx context.Context, id dayfly.RunID) (dayfly.Run, error)
	// ActiveRuns gives the runs in the scope that are not ended, by slot, then id.
	ActiveRuns(ctx context.Context, s Scope) ([]dayfly.Run, error)
	// LastN gives the highest n of a (job, slot, shard), -1 when there is none.
	LastN(ctx context.Context, job dayfly.JobName, slot time.Time, shard dayfly.Shard) (int, error)

	// PutRange stores a range record. The same (job, from) again replaces it, unless it ends before what
	// is there: a range only grows, whoever comes late. How far a damaged one reaches is known: it is replaced
	// alike, and so mended. From and To are whole milliseconds.
	PutRange(ctx context.Context, r dayfly.Range) error
	// Ranges gives the range records of a job (empty: of all) whose To is at or after since, by job, then From.
	// Of the damaged it names those alone, too.
	Ranges(ctx context.Context, job dayfly.JobName, since time.Time) ([]dayfly.Range, error)

	// PutNote stores a small value under a key, which is UTF-8, until it expires (zero: never).
	PutNote(ctx context.Context, n Note) error
	// Notes gives the notes whose key begins with prefix and that have not expired at now, by key.
	Notes(ctx context.Context, prefix string, now time.Time) ([]Note, error)
	DeleteNote(ctx context.Context, key string) error

	// History gives runs, the newest slot first (then by id, descending). Filters combine with and. A damaged run
	// has its place and counts for the limit. Its id says its job and slot; it may be named whatever Outcome,
	// Backfill, Ended and Remains demand.
	History(ctx context.Context, f Filter) iter.Seq2[dayfly.Run, error]

	// Recorded gives the names of the jobs that have a run or a range record, whatever became of the
	// jobs, by name, after the name `after`, at most limit of them.
	Recorded(ctx context.Context, after dayfly.JobName, limit int) ([]dayfly.JobName, error)
	// MarkRemoved notes of ended runs what was removed of them. Nothing else of them changes, and a mark
	// that is there stays. Runs that are not ended or not there are passed over. At most 200 at once.
	MarkRemoved(ctx context.Context, marks []Mark) error
	// DeleteRuns removes the records of ended runs, damaged or not, each by itself. Those that are not ended
	// or not there are passed over. At most 200 at once.
	DeleteRuns(ctx context.Context, ids []dayfly.RunID) error
	// DeleteRange removes a range record; that it is not there is no error.
	DeleteRange(ctx context.Context, job dayfly.JobName, from time.Time) error

	Close() error
}

// Collector is a Store that can tell what nothing refers to any more, so that it need not be kept.
type Collector interface {
	// Refer is for who is about to store a version that names an archive of files, from before it looks
	// for the archive until the version is stored: no archive is removed meanwhile, in any process. It
	// waits for a bounded time (then ErrBusy).
	Refer(ctx context.Context) (leave func(), err error)
	// Collect is for who removes archives: nobody is inside Refer meanwhile. It does not wait: ErrBusy.
	Collect(ctx context.Context) (leave func(), err error)
	// CollectVersions looks at the versions after `after`, at most limit of them, and gives the last one
	// it looked at, "" at their end. A version is in use while a job or a run refers to it. It
	// removes those that it has found unused before, at or before the instant `unused`, and ever since.
	// PutVersion counts as a use.
	CollectVersions(ctx context.Context, after string, limit int, now, unused time.Time) (last string, removed int, err error)
	// NamesFiles tells whether a version names the archive with this SHA-256.
	NamesFiles(ctx context.Context, sha256 string) (bool, error)
}

// Mark says what was removed of an ended run; a zero Removal says nothing.
type Mark struct {
	Run           dayfly.RunID
	Results, Logs dayfly.Removal
}

// Admitter is a Store that processes use at once without a lease between them. Whether a run may launch
// depends on other runs, and no compare-and-swap on its own record sees those.
type Admitter interface {
	// Admission lets one at a time, in all processes, decide who may launch and store it. It waits its
	// turn for a bounded time (then ErrBusy) and gives what ends it; the end of the process does too.
	Admission(ctx context.Context) (leave func(), err error)
}

// Generational is a Store that can tell cheaply whether anything may have changed.
type Generational interface {
	// Generation gives a positive number that differs from that of an earlier call where anybody, in any
	// process, has committed a change since. It means nothing to another Store, nor after this one was closed.
	Generation(ctx context.Context) (int64, error)
}

// Job is what is kept of a job beside its versions.
type Job struct {
	Name      dayfly.JobName `json:"name"`
	Version   string         `json:"version"`          // current
	Scheduled bool           `json:"scheduled"`        // false: known only from `run FILE`; makes no slots
	Source    string         `json:"source,omitempty"` // the file it was applied from, absolute
	AppliedAt time.Time      `json:"applied_at"`

	Held     Pause `json:"held,omitzero"`     // by a person; applying its file does not lift it
	Vanished Pause `json:"vanished,omitzero"` // its file is not there any more; applying it does

	// Cursor: every slot at or before it is covered by a run or a range record.
	Cursor time.Time `json:"cursor"`
	// NextDue is the first slot after Cursor, paused or not; zero: none.
	NextDue time.Time `json:"next_due,omitzero"`
	Rev     int64     `json:"-"`
}

// Pause says that a job makes no runs by schedule for now: its slots are recorded as skipped.
type Pause struct {
	Why   string    `json:"why"`            // what follows the word paused: "by ana: on holiday"; empty: it is none
	Since time.Time `json:"since"`          // slots after it are skipped
	Until time.Time `json:"until,omitzero"` // slots from it on are not; zero: until it is lifted
}

// Pause is what keeps a slot at t from being run; a person's word comes first. Its Why is empty when
// nothing does.
func (j Job) Pause(t time.Time) Pause {
	if j.Held.Why != "" && (j.Held.Until.IsZero() || t.Before(j.Held.Until)) {
		return j.Held
	}
	return j.Vanished
}

// Note is something a pass wants to remember: suspects, full pools, the last success.
type Note struct {
	Key     string    `json:"key"`
	Value   string    `json:"value"`
	Expires time.Time `json:"expires,omitzero"`
}

// Filter selects runs of the history.
type Filter struct {
	Job      dayfly.JobName
	Outcome  dayfly.Outcome
	Backfill dayfly.BackfillID // only runs of this backfill
	Since    time.Time         // slots at or after
	Until    time.Time         // slots at or before; zero: no bound
	Before   dayfly.RunID      // a cursor: only what comes after this run in the order of History
	Ended    bool              // only ended runs
	Remains  dayfly.Remains    // only ended runs of which one of these may be left
	Oldest   bool              // the oldest slot first: the order the other way round
	Limit    int               // 0: all
}
