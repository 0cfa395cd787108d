// Package spec reads what people write: the job file, and the settings of a data directory.
//
// It is for [Load], which turns the bytes of a job file into a [dayfly.Job] with every default filled
// in, and [LoadSettings]. Both are pure: no file is opened, no clock is read, nothing of the host is
// looked at. Whether a file named under files: exists is the packer's business; the place to say so
// is kept ([File.At]).
//
// # What it promises
//
//   - Strict. A key it does not know is an error with a suggestion, and so is a key given twice, a
//     value of the wrong type, a number that other readers would take for another number.
//   - All at once. Every error of a file is reported, sorted, each with line, column, the lines around
//     it and what to write instead. (After [MaxErrors] the rest is counted.) Only a text that is not
//     YAML at all ends at its first error.
//   - Bounded. A text of up to 1 MiB is read or refused within a second and 64 MiB. Limits are
//     checked before the YAML library sees a byte: size, encoding, control characters, the number of
//     marks that could become tokens; the depth while it scans. Anchors, aliases, merge keys, tags,
//     directives and second documents are refused.
//   - Discreet. Nothing that stands under secrets: is repeated in an error, not in its words and not in
//     the lines shown with it; nor is a value under a key that looks like one.
//
// # How values are read
//
// Scalars mean what YAML 1.2 says: no, on and yes are text. Keys that want text take text only, so
// that 1.10 never becomes 1.1; the two exceptions are the values of env and the command under run,
// where a number or a boolean is taken exactly as it is written. Numbers are plain decimal digits:
// 017, 0x1F, 1_000 and 1e9 are refused, because programs disagree on what they are. Lengths of time
// are whole numbers of d, h, m and s (90m, 1h30m, 2d), sizes a whole number and a unit (4GiB, 500MB).
// A byte order mark at the start is tolerated; carriage returns before line feeds are too.
//
// # The table
//
// [Keys] is the one table of the format (table.go). Which keys are known, what each takes and within what
// bounds, its default, the words about it in errors, in `dayfly explain`, in [Schema] and in the reference, and
// what this build does not serve: all of it is made from there, so a new key is one entry, and a field of
// [dayfly.Job] that the loader fills. Keys that are not served parse and validate in full; [File.Unserved] lists
// them, and apply refuses them with a word on what does serve them.
//
// No other package imports the YAML library.
package spec
