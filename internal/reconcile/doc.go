// Package reconcile is the control loop: it makes slots into runs, runs into machines, and sees every
// machine to its end. [Reconciler.Pass] is one turn of it; the daemon's ticker, a command, and a test
// call the same function. What a pass knows it reads from the store, the bucket and the providers, and
// it keeps nothing between calls but versions of jobs, which never change, so that a kill at any point changes nothing.
//
// [Decide] is the pure middle: from a run and what was seen of its machine to the next step. The pass
// performs the step, tells Decide what came of it, and stores the record by compare-and-swap before
// anything that follows from it.
//
//	               no start in time, skipped, cancelled
//	 ┌──────────────────────────────────────────────────────────────┐
//	 │                                                              ▼
//	due ───────► launching ───────► running ───────► stopping ───► ended
//	 ▲  attempt      │   machine       │   report         ▲ │ machine
//	 │  stored       │   named         └─  machine gone   │ │ observed
//	 │               │                     deadline       │ │ gone
//	 │               │                     cancelled      │ │
//	 │               └──── no capacity, refused, ─────────┘ │
//	 │                     unknown, cancelled               │
//	 └──────────────────────────────────────────────────────┘
//	                         retry
//
// Also a launch that was definitely refused goes through stopping: the answer is one caller's, and
// another pass may have got the machine.
//
// # What a pass promises
//
//   - An attempt is stored before its machine is asked for, and asked for again with the same token and
//     the same bytes until the answer is definite. So a run never has two machines at once.
//   - A run is ended only when its machine was observed gone, and its log and results, if the agent
//     reported any, were read back and match the report.
//   - Every slot gets exactly one record: a run, or a place in a range record.
//   - A run's machine is judged by a listing begun after the run's record was read, and every judgement is
//     stored by compare-and-swap against that record. An orphan is judged the other way round: what might
//     be ended is listed first, what would justify keeping it is read second.
//   - What is old goes in small pieces, objects before the record says so, and never what is in use: what
//     might be removed is listed first, what would justify keeping it is read second.
//
// The [Reaper] is apart: it reads nothing but tags, and ends what is past its deadline.
package reconcile
