// Package dayfly holds the words of the program: jobs, runs, attempts, machines, reports, and which
// changes of state are legal. It uses the standard library only, does no I/O, reads no clock, and
// imports nothing of its own module, so every other package can speak it.
//
// A job says what to run, when, and on what machine. Each instant at which a job is due is a slot;
// a slot of one shard becomes one [Run]; a run asks for one machine at a time, and each asking is
// an [Attempt]. A run is ended only when the machine of its last attempt has been observed gone.
//
// # JSON
//
// The JSON of these types is a contract, in the store, in the bucket and on the command line: fields
// are only ever added, instants are RFC 3339 in UTC, lengths of time are numbers of seconds. (Only a
// job file written by a person says "90m"; that text is internal/spec's business.)
package dayfly
