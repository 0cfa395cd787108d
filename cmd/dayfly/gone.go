package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/dayfly-io/dayfly"
)

// hold keeps the data directory open, so that no other can pass for it: an inode that is held is not
// used again.
func (h *home) hold() error {
	at, err := os.Open(h.dir)
	if err != nil {
		return misplaced(fmt.Errorf("open the data directory: %w", err), "")
	}
	h.held = at
	return nil
}

// gone is the error of a data directory that is no longer where it was opened, or another one now. Its
// records can still be read then, being open, and nothing that they say comes true any more: whoever
// waits for that must ask first.
func (h *home) gone() error {
	if h.held == nil {
		return nil
	}
	was, err := h.held.Stat()
	if err != nil {
		return nil // no news about the directory
	}
	is, err := os.Stat(h.dir)
	there := err == nil && os.SameFile(was, is)
	if there && h.store != nil { // it may be kept for what else lies in it
		_, err := os.Lstat(h.path(recordsFile))
		there = !errors.Is(err, fs.ErrNotExist)
	}
	if there || err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	return &dayfly.Error{
		Code: dayfly.CodeInternal, Message: fmt.Sprintf("the data directory %s is gone", h.dir), Err: errHomeGone,
		Hint: "if it was removed, its machines end by themselves within seconds; if it was moved, --data names its new place",
	}
}

// errHomeGone marks that nothing more can be said of a data directory's runs.
var errHomeGone = errors.New("the data directory is gone")
