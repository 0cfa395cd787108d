package local_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/local"
	"github.com/dayfly-io/dayfly/internal/machine/machinetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	machinetest.Run(t, func(t *testing.T) machinetest.Harness {
		h := newHost(t)
		return machinetest.Harness{
			Provider: h.Provider,
			Long:     func(*testing.T) machine.Spec { return h.spec("exec sleep 1000") },
			Short:    func(*testing.T) machine.Spec { return h.spec(":") },
			Until: func(t *testing.T, what string, cond func() bool) {
				t.Helper()
				h.await(what, cond)
			},
			Break: func(t *testing.T) (machine.Location, func()) { return local.Location, h.unreadable(t) },
		}
	})
}

// unreadable keeps the tags of every machine from being read, by root too, until mend is called.
func (h *host) unreadable(t *testing.T) (mend func()) {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(h.dir, "[0-9a-f]*"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("no machines to break: %v", err)
	}
	for _, f := range folders {
		tags := filepath.Join(f, "tags.json")
		if err := os.Rename(tags, tags+".kept"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(tags, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		for _, f := range folders {
			tags := filepath.Join(f, "tags.json")
			if err := os.Remove(tags); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(tags+".kept", tags); err != nil {
				t.Fatal(err)
			}
		}
	}
}
