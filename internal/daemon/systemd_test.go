package daemon_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/daemon"
)

// listener is where systemd would listen; told gives what came, one datagram after the other.
func listener(t *testing.T, name string) (told func() string) {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return func() string {
		t.Helper()
		b := make([]byte, 4096)
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for _, p := range pairs {
			if k, v, _ := strings.Cut(p, "="); k == name {
				return v
			}
		}
		return ""
	}
}

func TestSystemd(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "sd") // short: the name of a socket has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	told := listener(t, path)
	sd := daemon.NewSystemd(env("NOTIFY_SOCKET=" + path))
	if err := sd.Notify("READY=1", "STATUS=Serving /srv"); err != nil {
		t.Fatal(err)
	}
	if got := told(); got != "READY=1\nSTATUS=Serving /srv" {
		t.Errorf("told %q", got)
	}
	if err := daemon.NewSystemd(env()).Notify("READY=1"); err != nil {
		t.Errorf("without systemd: %v", err)
	}
	if err := daemon.NewSystemd(env("NOTIFY_SOCKET=/nowhere/at/all")).Notify("READY=1"); err == nil {
		t.Error("nobody listens, and it went well")
	}
}

func TestSystemdAbstract(t *testing.T) {
	t.Parallel()
	name := fmt.Sprintf("dayfly-test-%d", os.Getpid())
	told := listener(t, "@"+name)
	if err := daemon.NewSystemd(env("NOTIFY_SOCKET=@" + name)).Notify("STOPPING=1"); err != nil {
		t.Fatal(err)
	}
	if got := told(); got != "STOPPING=1" {
		t.Errorf("told %q", got)
	}
}

// Systemd hears that the daemon is well while it is, twice as often as it has to.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "sd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	told := listener(t, path)
	if beat := daemon.NewSystemd(env("NOTIFY_SOCKET="+path, "WATCHDOG_USEC=2000000")).Beat; beat != time.Second {
		t.Errorf("a watchdog of 2 s hears every %s", beat)
	}
	if beat := daemon.NewSystemd(env("NOTIFY_SOCKET="+path, "WATCHDOG_USEC=2000000", "WATCHDOG_PID=1")).Beat; beat != 0 {
		t.Errorf("the watchdog of another process hears every %s", beat)
	}
	sd := daemon.NewSystemd(env("NOTIFY_SOCKET="+path, "WATCHDOG_USEC=20000", fmt.Sprintf("WATCHDOG_PID=%d", os.Getpid())))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	well := make(chan bool)
	go func() {
		defer close(done)
		sd.KeepAlive(ctx, func() bool {
			select {
			case is := <-well:
				return is
			case <-ctx.Done():
				return false
			}
		})
	}()
	for range 3 {
		well <- true
		if got := told(); got != "WATCHDOG=1" {
			t.Errorf("told %q", got)
		}
	}
	well <- false
	well <- false
	if err := sd.Notify("after"); err != nil {
		t.Fatal(err)
	}
	if got := told(); got != "after" {
		t.Errorf("one that is not well told %q", got)
	}
	cancel()
	<-done
}
