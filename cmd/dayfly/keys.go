package main

import (
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// unbuffered makes a terminal give each key at once and not show it; Ctrl-C and Ctrl-Z stay signals. What
// it gives back is how it was.
func unbuffered(fd int) (*term.State, error) {
	was, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	t, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, err
	}
	t.Lflag &^= unix.ICANON | unix.ECHO
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return was, unix.IoctlSetTermios(fd, setTermios, t)
}
