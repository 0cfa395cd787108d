package daemon

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
)

// askFor bounds what is asked of another daemon, which may be stopped.
const askFor = time.Second

// Alone makes sure that no other daemon on this host serves the installation from another data directory, a
// copy of this one. It holds a name that the kernel takes back when the process ends; release gives it back
// before. Where another daemon of this user or of root has it, the error is a dayfly.Error with CodeConflict;
// a name that somebody else has taken proves nothing. It does not see into other network namespaces.
func Alone(installation, dir string) (release func(), err error) {
	name := "@dayfly-" + installation
	l, err := net.Listen("unix", name)
	if errors.Is(err, syscall.EADDRINUSE) {
		return func() {}, ask(name)
	}
	if err != nil {
		return nil, fmt.Errorf("make sure that no copy is served: %w", err)
	}
	go func() { // until release
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(askFor))
			_, _ = fmt.Fprintln(c, dir)
			_ = c.Close()
		}
	}()
	return sync.OnceFunc(func() { _ = l.Close() }), nil
}

// ask asks who has the name.
func ask(name string) error {
	c, err := net.DialTimeout("unix", name, askFor)
	if err != nil {
		return nil // gone already, or not for us
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return fmt.Errorf("ask who serves the installation: %w", err)
	}
	var who *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) { who, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || credErr != nil {
		return fmt.Errorf("ask who serves the installation: %w", errors.Join(err, credErr))
	}
	if who.Uid != 0 && int(who.Uid) != os.Geteuid() {
		return nil
	}
	_ = c.SetDeadline(time.Now().Add(askFor))
	line, _ := bufio.NewReader(c).ReadString('\n') // one that is stopped says nothing
	if line = strings.TrimSpace(line); line == "" {
		line = "another directory"
	}
	return &dayfly.Error{
		Code: dayfly.CodeConflict, Message: fmt.Sprintf("process %d serves this installation already, from %s: one of the two is a copy of the other, and both would run every job", who.Pid, line),
		Hint: "stop that one first, or leave the copy alone",
	}
}
