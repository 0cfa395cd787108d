package spec_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/schedule"
	"github.com/dayfly-io/dayfly/internal/spec"
)

// A default that the table names is what holds: a file that writes it out means the same as one that does not.
func TestDefaultsAreTrue(t *testing.T) {
	t.Parallel()
	homes := map[string]string{ // where a default has to stand to mean something
		"schedule[].anchor":    "schedule:\n- at: '@every 90m'\n",
		"machine.market":       "machine:\n  on: ec2\n",
		"machine.image.newest": "machine:\n  image:\n    name: debian\n",
		"retry.on":             "retry:\n  attempts: 2\n",
	}
	for _, k := range spec.Keys() {
		if k.Default == "" {
			continue
		}
		t.Run(k.Path, func(t *testing.T) {
			t.Parallel()
			parts := strings.Split(strings.ReplaceAll(k.Path, "[]", ""), ".")
			home, ok := homes[k.Path]
			if !ok {
				for i, part := range parts[:len(parts)-1] {
					home += strings.Repeat("  ", i) + part + ":\n"
				}
			}
			text := "name: x\nrun: y\n" + home + strings.Repeat("  ", len(parts)-1) + k.Name() + ": " + k.Default + "\n"
			without := "name: x\nrun: y\n"
			if ok {
				without += home
			}
			got, want := load(t, text).Job, load(t, without).Job
			if k.Path == "schedule[].anchor" { // the same slots, which is not the same record
				if a, b := firstSlot(t, got), firstSlot(t, want); a != b {
					t.Errorf("the first slot is %s, without it %s", a, b)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s: it is not %q: -without +with\n%s", k.Path, k.Default, d)
			}
		})
	}
}

// firstSlot is the first slot of 2027 of a job with one schedule.
func firstSlot(t *testing.T, j dayfly.Job) string {
	t.Helper()
	s, err := schedule.Parse(j.Schedules[0].At, schedule.Options{Anchor: j.Schedules[0].Anchor})
	if err != nil {
		t.Fatal(err)
	}
	next, _ := s.Next(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	return next.String()
}
