package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A data directory that was copied while it was served is not served as well at its new place, unless
// somebody says that the other one is not any more.
func TestServedElsewhere(t *testing.T) {
	t.Parallel()
	c, _ := withClock(t)
	on := func(host string) *call {
		there := *c
		there.host = host
		return &there
	}
	says := func(c *call, code int, want string, args ...string) {
		t.Helper()
		if _, said := c.want(code, args...); !strings.Contains(said, want) {
			t.Errorf("dayfly %s on host %q says %q, want %q", strings.Join(args, " "), c.host, said, want)
		}
	}
	on("a").want(0, "serve", "--once")
	says(on("b"), 0, "until 2", "serve", "--once") // it was stopped there
	h := c.home()
	if err := putServed(t.Context(), h.store, served{Host: "a", Name: "castor", Since: c.now()}); err != nil {
		t.Fatal(err)
	}
	says(on("b"), 1, "error: host castor serves this installation since 2", "serve", "--once")
	says(on("b"), 1, "hint: stop dayfly there", "serve", "--listen", "127.0.0.1:0")
	on("a").want(0, "serve", "--once") // it was killed there, and starts again
	if err := putServed(t.Context(), h.store, served{Host: "a", Name: "castor", Since: c.now()}); err != nil {
		t.Fatal(err)
	}
	on("").want(0, "serve", "--once") // nothing tells this host from others
	if err := putServed(t.Context(), h.store, served{Host: "a", Name: "castor", Since: c.now()}); err != nil {
		t.Fatal(err)
	}
	says(on("b"), 0, "Host castor served this installation since 2", "serve", "--once", "--moved")
	_, said := on("b").want(0, "serve", "--once")
	if strings.Contains(said, "castor") {
		t.Errorf("the second time it says %q", said)
	}
}

// A bucket that is not mounted is not begun anew.
func TestBucketIsNotThere(t *testing.T) {
	t.Parallel()
	c, _ := withClock(t)
	bucket := filepath.Join(t.TempDir(), "mnt", "bucket")
	if err := os.MkdirAll(c.data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.data, settingsFile), []byte("installation: x\nbucket: "+bucket+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := jobFileOf(t, "pi", "run: echo 3.14\ntimeout: 20s\ndeadline: 40s\n")
	c.want(0, "run", file) // the first time it is made
	if err := os.Rename(filepath.Dir(bucket), filepath.Dir(bucket)+"-away"); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run", file}, {"logs", "pi"}, {"serve", "--once"}, {"history"}} {
		if _, said := c.want(1, args...); !strings.Contains(said, "error: the bucket "+bucket+" is not there") || !strings.Contains(said, "hint: mount or copy it there") {
			t.Errorf("dayfly %s says %q", strings.Join(args, " "), said)
		}
	}
	if _, err := os.Stat(bucket); err == nil {
		t.Error("an empty bucket was made")
	}
	if err := os.Rename(filepath.Dir(bucket)+"-away", filepath.Dir(bucket)); err != nil {
		t.Fatal(err)
	}
	if out, _ := c.want(0, "logs", "pi"); out != "3.14\n" {
		t.Errorf("when it is back the log is %q", out)
	}
}
