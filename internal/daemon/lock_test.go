package daemon_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/daemon"
)

func TestLock(t *testing.T) {
	t.Parallel()
	t.Run("is had once, and names who has it", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "daemon.lock")
		if _, held, err := daemon.Holder(path); held || err != nil {
			t.Fatalf("Holder of a lock that nobody made: %v, %v", held, err)
		}
		l, err := daemon.Acquire(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = daemon.Acquire(path)
		if dayfly.ErrorCode(err) != dayfly.CodeConflict || !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())) || dayfly.ErrorHint(err) == "" {
			t.Errorf("a second Acquire: %v", err)
		}
		if pid, held, err := daemon.Holder(path); !held || pid != os.Getpid() || err != nil {
			t.Errorf("Holder: %d, %v, %v", pid, held, err)
		}
		if err := l.Release(); err != nil {
			t.Fatal(err)
		}
		if _, held, err := daemon.Holder(path); held || err != nil {
			t.Errorf("Holder after Release: %v, %v", held, err)
		}
		again, err := daemon.Acquire(path)
		if err != nil {
			t.Fatalf("Acquire after Release: %v", err)
		}
		again.Release()
	})
	t.Run("is not kept away by those who ask", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "daemon.lock")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for range 4 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						_, _, _ = daemon.Holder(path)
					}
				}
			})
		}
		for range 20 {
			l, err := daemon.Acquire(path)
			if err != nil {
				t.Error(err)
				break
			}
			l.Release()
		}
		close(stop)
		wg.Wait()
	})
	t.Run("where none can be made is an error", func(t *testing.T) {
		t.Parallel()
		if _, err := daemon.Acquire(filepath.Join(t.TempDir(), "no", "daemon.lock")); err == nil {
			t.Error("a lock in a directory that does not exist")
		}
	})
}
