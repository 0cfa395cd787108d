// Package scheduletest is a second reading of the schedule specification, for tests to compare the first with.
//
// It shares no code with package schedule and takes no short cuts: it walks along real time minute by minute, looks
// at the wall clock, and asks whether the reading fits. Zones are asked of [time.Location] itself. It is slow,
// several milliseconds for a year, and it is meant to be obvious.
//
// It promises exact answers for zones whose offsets are whole minutes, which all are since 1972, and it leaves
// messages, hints and speed to the other. [Benchmark] measures how fast a reading is.
package scheduletest
