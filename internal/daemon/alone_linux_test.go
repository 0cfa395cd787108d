package daemon_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/daemon"
)

func TestAlone(t *testing.T) {
	t.Parallel()
	name := rand.Text()
	release, err := daemon.Alone(name, "/srv/one")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, err = daemon.Alone(name, "/srv/two")
		if dayfly.ErrorCode(err) != dayfly.CodeConflict || !strings.Contains(err.Error(), "/srv/one") || dayfly.ErrorHint(err) == "" {
			t.Fatalf("a second one: %v", err)
		}
	}
	other, err := daemon.Alone(rand.Text(), "/srv/three")
	if err != nil {
		t.Fatalf("another installation: %v", err)
	}
	other()
	release()
	release()
	again, err := daemon.Alone(name, "/srv/two")
	if err != nil {
		t.Fatalf("when the first is gone: %v", err)
	}
	again()
}
