package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/spec"
	"github.com/dayfly-io/dayfly/internal/store"
)

// printError says what went wrong and what to do next: error: lines, then hint: lines, all at once.
func printError(w io.Writer, err error) {
	for _, err := range flatten(err) {
		printOne(w, err)
	}
}

func printOne(w io.Writer, err error) {
	if file, ok := errors.AsType[*spec.Errors](err); ok {
		_ = spec.Render(w, "text", file.List) // stderr is the last resort; nobody is left to tell
		if file.More > 0 {
			printOne(w, moreErrors(file))
		}
		return
	}
	if line, ok := errors.AsType[*spec.Error](err); ok {
		_ = spec.Render(w, "text", []*spec.Error{line})
		return
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(w, "error: interrupted")
		return
	}
	fmt.Fprintf(w, "error: %s\n", clean(strings.TrimRight(err.Error(), "\n")))
	if h := cmp.Or(hint(err), lastResort(err)); h != "" {
		fmt.Fprintf(w, "hint: %s\n", clean(h))
	}
}

// moreErrors is the error that stands for those of a file beyond what is kept.
func moreErrors(file *spec.Errors) error {
	return &dayfly.Error{Code: dayfly.CodeInvalid, Message: fmt.Sprintf("%s: %d more errors", file.List[0].File, file.More), Hint: "mend those above first"}
}

// lastResort is what helps find out about an error that has no hint: one of a kind that nobody has thought of,
// or of this place. An interrupt is no such error.
func lastResort(err error) string {
	if dayfly.ErrorCode(err) != dayfly.CodeInternal || errors.Is(err, errInterrupted) {
		return ""
	}
	return "dayfly doctor looks whether anything is wrong with this place"
}

// errInterrupted is what an interrupt says where it came before anything was done.
var errInterrupted = errors.New("interrupted")

// flatten takes joined errors apart, so that each gets its own lines.
func flatten(err error) []error {
	if e, ok := err.(*exit); ok {
		if e.err == nil {
			return nil // what there was to say has been said
		}
		return flatten(e.err)
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range j.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	return []error{err}
}

// hint is the next step: the error's own, or what helps against errors of its kind.
func hint(err error) string {
	if h := dayfly.ErrorHint(err); h != "" {
		return h
	}
	if e, ok := errors.AsType[*schedule.Error](err); ok {
		return e.Hint
	}
	switch {
	case errors.Is(err, store.ErrNewer):
		return "use the dayfly that wrote it or a newer one, or another directory with --data DIR"
	case errors.Is(err, store.ErrBusy):
		return "another process is at work on this data directory; try again"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return makeRoom
	case errors.Is(err, syscall.EROFS):
		return "make that file system writable again; what dayfly acknowledged before is safe"
	case errors.Is(err, syscall.EIO):
		return "see what the system says of that disk (dmesg); what dayfly acknowledged before is safe"
	case errors.Is(err, store.ErrDisk):
		return makeRoom + "; if there is room, see what the system says of that disk (dmesg)"
	case errors.Is(err, store.ErrOpen):
		return "see whether you may write that file and those beside it (ls -la), and what the system says of that disk (dmesg)"
	}
	return ""
}

const makeRoom = "make room on that disk and try again; what dayfly acknowledged before is safe"

// explained adds what the data directory's disk has to do with an error that does not say so itself:
// SQLite has many words for a full disk.
func (a *app) explained(err error) error {
	if a.home == nil || err == nil || dayfly.ErrorCode(err) != dayfly.CodeInternal || hint(err) != "" && !errors.Is(err, store.ErrOpen) || !isFull(a.home.dir) {
		return err
	}
	full := &dayfly.Error{Code: dayfly.CodeInternal, Message: fmt.Sprintf("%s (the disk of %s is full)", err, a.home.dir), Hint: makeRoom, Err: err}
	if e, ok := errors.AsType[*exit](err); ok {
		return &exit{e.code, full}
	}
	return full
}

// fullBelow is how little room counts as none: less than the smallest thing that dayfly writes.
const fullBelow = 64 << 10

func isFull(dir string) bool {
	var s unix.Statfs_t
	return unix.Statfs(dir, &s) == nil && s.Bavail*uint64(s.Bsize) < fullBelow
}

// unwritable adds to an error of writing at a place that a person named how to name another.
func unwritable(err error, other string) error {
	if err == nil || hint(err) != "" {
		return err
	}
	if errors.Is(err, fs.ErrPermission) {
		other = "this user may not write there; " + other
	}
	return &dayfly.Error{Code: dayfly.CodeInternal, Message: err.Error(), Hint: other, Err: err}
}

// usage is an error in how a command was called.
func usage(cmd *cobra.Command, format string, args ...any) *dayfly.Error {
	return &dayfly.Error{Code: dayfly.CodeInvalid, Message: fmt.Sprintf(format, args...), Hint: cmd.CommandPath() + " --help shows how it is used"}
}

// notFound is an error about something that there is none of, with the nearest there is.
func notFound(what, name string, known []string, hint string) error {
	e := &dayfly.Error{Code: dayfly.CodeNotFound, Message: fmt.Sprintf("there is no %s %q", what, name), Hint: hint}
	if near := spec.Nearest(name, known); near != "" {
		e.Hint = fmt.Sprintf("did you mean %s?", near)
	}
	return e
}
