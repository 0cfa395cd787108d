package dayfly

import (
	"strconv"
	"time"
)

// Report is the agent's last word on an attempt, the last object it adds to out/.
type Report struct {
	Run        RunID     `json:"run"`
	Attempt    int       `json:"attempt"`
	Outcome    Outcome   `json:"outcome"` // succeeded, failed, timed_out, canceled
	Reason     string    `json:"reason,omitempty"`
	ExitCode   *int      `json:"exit_code,omitempty"`  // none where the job never began
	Signal     string    `json:"signal,omitempty"`     // that ended the job, such as SIGKILL
	PreparedAt time.Time `json:"prepared_at,omitzero"` // when the agent began
	StartedAt  time.Time `json:"started_at,omitzero"`
	FinishedAt time.Time `json:"finished_at"`
	SavedAt    time.Time `json:"saved_at"`
	Usage      Usage     `json:"usage"`
	Isolation  Isolation `json:"isolation,omitempty"`
	Log        Object    `json:"log"`
	Results    []Result  `json:"results,omitempty"`
	Notes      []string  `json:"notes,omitempty"` // what was cut, left out or bound read-only
}

// Usage is what the job's processes used.
type Usage struct {
	Wall Seconds `json:"wall"`
	CPU  Seconds `json:"cpu"`
	// PeakMemory is in bytes; 0: not known. It is that of the largest process, not the sum of all. Only
	// where machine.memory is set, and a cgroup holds the machine to it, is it that of the whole machine,
	// with what the kernel cached of files for it. The least that is seen is the machine's own first process, 5 MB.
	PeakMemory int64 `json:"peak_memory"`
}

// Object is one stored object and what it must contain.
type Object struct {
	Key    string `json:"key"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Result is one file of the results directory.
type Result struct {
	Object
	Name string `json:"name"`          // slash-separated, below the results directory, valid UTF-8
	Raw  []byte `json:"raw,omitempty"` // the name's bytes, where they are not UTF-8
	Mode uint32 `json:"mode"`          // permission bits
}

// AttemptPrefix is where an attempt's objects lie in the bucket. It ends in a slash; in/ and out/ are below it.
func AttemptPrefix(job JobName, run RunID, attempt int) string {
	return RunPrefix(job, run) + strconv.Itoa(attempt) + "/"
}

// RunPrefix is where all attempts of a run lie in the bucket. It ends in a slash.
func RunPrefix(job JobName, run RunID) string {
	return "runs/" + string(job) + "/" + string(run) + "/"
}

// Keys below an attempt's prefix. The agent may read in/ and may only add to out/.
const (
	KeyTask    = "in/job.json"
	KeyCancel  = "in/cancel"
	KeyChunks  = "out/chunks/" // + six digits from 000001
	KeyLog     = "out/log"
	KeyResults = "out/results/"
	KeyReport  = "out/report.json"
)

// FilesKey is the key of the archive of a job's files.
func FilesKey(sha256 string) string { return "files/" + sha256 }
