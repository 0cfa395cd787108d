// Package schedule turns the text of a schedule into the exact instants it means.
//
// A schedule is one line of text and a time zone. [Parse] reads five cron fields (with H, a value fixed by the
// job's name), the macros @daily and the like, @every, and EventBridge's cron(...), rate(...) and at(...).
// What it refuses, it refuses with an [*Error] that names the field, what is wrong with it, where it stands and,
// where there is one, what to write instead. [Set] is the union of several schedules, each with its own bounds.
//
// # What it promises
//
// It is pure: the same text, zone, anchor and key mean the same instants on every host and at every time. Zones
// come from the copy embedded here ([LoadLocation]); the host's are never read. Values are immutable and safe
// for concurrent use. No text takes noticeable time or memory, and neither does asking for the next instant:
// [Schedule.Next] and [Schedule.Prev] do not allocate, and [Schedule.Count] does not step through what it counts.
//
// # When the clocks change
//
// Readings of the wall clock vanish (a gap) or come twice (an overlap). Two rules cover all of it; which one
// holds depends on the hours a schedule names and never on how they are spelled.
//
//   - Every-hour schedules, those that name all 24 hours, run at every real minute whose reading fits: nothing is
//     made up for in a gap, and both passes of an overlap run.
//   - Clock-time schedules, all others, run every reading they name once, at the first instant at which the wall
//     clock has come that far: in an overlap that is the first pass, in a gap the first instant after it.
//     Readings that meet in one instant are one run.
//
// The second rule is one sentence, and so is its code: [Schedule.Next] needs no case for gap or overlap, only the
// furthest reading that the clock has shown so far (see span.seen).
//
// # The calendar
//
// It ends with local year 2199. The year field of cron(...) begins with 1970, and so does at(...); five fields and
// intervals reach back to year 1. A schedule that has no date from 1970 to 2199 is refused.
//
// It leaves to others: the clock (no function here reads it), what to do about instants that were missed, jitter,
// and the job file around the text.
package schedule
