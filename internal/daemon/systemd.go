package daemon

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Systemd is how a daemon talks to the systemd that started it (sd_notify). The zero Systemd talks to nobody.
type Systemd struct {
	socket string
	Beat   time.Duration // how often it wants to hear that the daemon is well; 0: not at all
}

// NewSystemd reads what systemd said in the environment. Nothing of it is passed on to machines.
func NewSystemd(getenv func(string) string) Systemd {
	s := Systemd{socket: getenv("NOTIFY_SOCKET")}
	if name, abstract := strings.CutPrefix(s.socket, "@"); abstract {
		s.socket = "\x00" + name
	}
	pid := getenv("WATCHDOG_PID")
	if us, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		s.Beat = time.Duration(us) * time.Microsecond / 2
	}
	return s
}

// Notify tells systemd something, such as READY=1. Where nobody listens it does nothing.
func (s Systemd) Notify(lines ...string) error {
	if s.socket == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	return nil
}

// KeepAlive tells systemd that the daemon is well for as long as well says so, until ctx ends. A beat that is
// missing makes systemd start it anew.
func (s Systemd) KeepAlive(ctx context.Context, well func() bool) {
	if s.socket == "" || s.Beat == 0 {
		return
	}
	every(ctx, func() time.Duration { return s.Beat }, func() {
		if well() {
			_ = s.Notify("WATCHDOG=1") // the next one tries again
		}
	})
}

// Turning tells whether passes are being made, whatever comes of them: one that hangs is what starting the
// daemon anew would help against.
func (d *Daemon) Turning() bool {
	h := &d.health
	h.mu.Lock()
	defer h.mu.Unlock()
	_, stuck := h.stuck()
	return !stuck
}
