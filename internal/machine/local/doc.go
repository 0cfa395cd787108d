// Package local makes machines out of this host: each run gets a sandbox of its own, and nothing of
// it is left when it is gone. There is no daemon and nothing to install.
//
// # Three processes
//
// The supervisor ([Supervise]) stays on the host. It holds a lock for as long as it lives, hands the
// run to the agent (a function it is given; this package knows nothing of logs, results or reports),
// and destroys what is left at the end. PID 1 of the sandbox ([Init]) builds the sandbox around
// itself, starts the job in it, reaps, and dies with the supervisor. The job is the third. All of
// them outlive the process that called [Provider.Launch]; a later one finds them by [Provider.List].
//
//	Launch ──fork──▶ supervisor ──clone──▶ PID 1 ──fork──▶ job
//	                 machines/TOKEN/lock   dies with the supervisor; its own timer
//
// # The folder of a machine
//
// DIR/TOKEN is made whole, by one rename, and holds
//
//	tags.json    what the machine is tagged with; a reaper needs no more
//	launch.json  the resolved launch, without secrets
//	lock         held by the supervisor, the proof of its life
//	started      made once, synced, before anything is cloned: the supervisor's own record
//	init.json    which process is PID 1, written before the job's first instruction
//	status.json  what the agent is at
//	emptied      on the rung none: the first process waited for everything of the job
//	closed       no supervisor may start here any more
//	scratch/     the agent's: work/, results/, spool
//	box/         the sandbox's throw-away layers and /tmp
//
// # When a machine is gone
//
// The lock is free, and PID 1 is gone by its pidfd (a zombie is not: its namespace may still hold
// threads that are dying), and the cgroups are empty, and on the rung none no process carries the
// token in its environment (nobody looks where the first process waited for all of them). A folder in
// which nothing was started proves nothing until it is closed.
// A process is only ever signalled through a pidfd, and only after its start time and boot id have
// been compared with the record: a recycled pid is never killed.
//
// # What bounds it
//
// At the deadline PID 1 ends everything in its namespace by itself; the supervisor kills PID 1 by
// itself; and a kernel timer kills the supervisor, and with it PID 1, even when both are stopped.
// Each watches the wall clock and the boot clock: whichever reaches the deadline first.
//
// # Who can read the secrets
//
// A job's secrets reach its supervisor in a memory file and the job in its environment; they are on no
// disk and in no argument. Of the launcher's own environment, which may hold every job's, a supervisor
// gets PATH, HOME and TZ, and PID 1 nothing. On the rung none a job runs as the launcher's user among the
// launcher's processes: there it can read in /proc the environment of the launcher itself, as of any
// other process of that user. Jobs that must not see one another's secrets need a higher rung.
//
// # What it leaves to others
//
// When to launch, and when to end: the control loop. (A machine whose supervisor has died while
// something of it still lives is listed as stopping, and List kills that something: nothing else
// would, on the rung none.)
package local
