// Package crontab turns the crontabs of Vixie cron and its heirs (Debian's cron, cronie, OpenBSD's) into job files
// that mean the same.
//
// [Import] reads users' crontabs and system files, which have a column with the user. Each line becomes one job
// file: its schedule in the crontab's zone, the environment cron would give it, and a script that is run in the
// home directory, with the text after an unescaped % on its standard input. A comment just above the line becomes
// the description.
//
// # What it promises
//
// Every job file it gives is one that internal/spec accepts. The schedule means the same minutes as under cron,
// the rule of the two day fields included; at a clock change dayfly's own rule holds, and where that makes a
// difference in the next two years, a note says so. What could not be carried over is a note with the line, the
// reason and what to do; nothing is left out without one. A line that cron itself would refuse is an error, and
// all errors of all files come at once.
//
// It is pure: who runs dayfly, the zone of the host, home directories and the time are told to it.
//
// # What cron does
//
// Where cron's implementations differ, the text of their man pages does not say what a line means, so this is
// what they were seen to do. A line is an environment setting if it can be read as one, else an entry. A setting
// holds for the entries below it, and nothing in it is expanded. A field that begins with * counts as a star, also
// with a step; if neither day field does, a date that fits one of them is enough. A range that runs backwards is
// no error and names nothing. An entry whose minute or hour is a star goes by the clock on the wall when that
// changes; all others run once for each reading, those that vanished at once after the change.
//
// It leaves to others: reading and writing files, running `crontab -l`, and asking who is who.
package crontab
