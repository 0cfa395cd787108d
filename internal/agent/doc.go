// Package agent is dayfly's part at a machine: it prepares the job, runs it, saves what it leaves,
// and says how it went.
//
// It has three phases. Prepare fetches the job's files, verifies their SHA-256 and makes the job's
// environment. Run starts the job, keeps its output, and ends it when it was cancelled, when its time
// is over, or when the machine's deadline comes near: SIGTERM to every process of it, SIGKILL after
// the grace. Save stores the results, then the whole log, reads each of them back, and at the very
// end adds the report. Then it rings.
//
// It promises:
//   - The report is the last object of an attempt. Whoever sees it finds the log and every result it
//     names in the bucket, with the size and SHA-256 it gives. Nothing that was added ever changes.
//     Only chunks of the live log are removed, on a full disk, so that the log finds room.
//   - What is live of the log is always a prefix of the log.
//   - No secret's value is in the log, in the report's reason and notes, or in an error. Results are
//     stored as the job wrote them.
//   - Nothing outside the results directory is stored, whatever the job put there. What is left out is
//     named in the report. A file that also has a name elsewhere (a hard link) is the job's own to save.
//   - A bucket that does not answer neither stops the job nor loses what it printed: everything is
//     tried again until the machine's deadline.
//   - A disk that stays full costs results and log, and not the report: after half a minute the results
//     are given up and removed, after half a minute the log is cut to what fits of its beginning. Either
//     is said in the report, and makes a job that succeeded one that failed.
//   - It returns at the latest a few seconds after the deadline, whatever hangs. Without a report the
//     run is then lost, which is for the pass to say.
//
// A machine lives once, so nothing is resumed. Where the job runs is the [machine.Sandbox]'s business,
// who may read the bucket that of the bucket, whether a secret may be used here that of the caller.
package agent
