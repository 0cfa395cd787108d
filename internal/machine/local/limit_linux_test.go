package local_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
)

// unlimited tells whether a note says that a limit is not kept.
func unlimited(o outcome, what string) bool {
	return strings.Contains(strings.Join(o.Notes, "\n"), what+" is not limited")
}

func TestMemoryIsLimited(t *testing.T) {
	t.Parallel()
	onEveryRung(t, func(t *testing.T, h *host, rung dayfly.Isolation) {
		s := h.spec("head -c 300000000 /dev/zero | tail -c 300000000 >/dev/null")
		s.Machine.Isolation, s.Machine.Memory = rung, 64<<20
		h.launch(s)
		o := h.end(s)
		if os.Geteuid() != 0 {
			if !unlimited(o, "memory") && o.Exit.Code == 0 {
				t.Errorf("nobody limits it, and nothing says so: %+v", o)
			}
			return
		}
		must(t, !unlimited(o, "memory"), "no cgroup limits memory here")
		if o.Exit.Code == 0 || !o.Exit.OutOfMemory {
			t.Errorf("it used 300 MB of 64 MiB and ended as %+v", o)
		}
	})
}

func TestCPUIsLimited(t *testing.T) {
	t.Parallel()
	onEveryRung(t, func(t *testing.T, h *host, rung dayfly.Isolation) {
		s := h.spec("while :; do :; done")
		s.Machine.Isolation, s.Machine.CPU = rung, 0.1
		s.Task.Timeout = dayfly.Seconds(time.Second)
		h.launch(s)
		o := h.end(s)
		if os.Geteuid() != 0 {
			if !unlimited(o, "cpu") {
				t.Errorf("nobody limits it, and nothing says so: %+v", o)
			}
			return
		}
		must(t, !unlimited(o, "cpu"), "no cgroup limits cpu here")
		// The builder of the sandbox is under the limit too, and a second is ten periods.
		if used := o.Exit.Usage.CPU.Duration(); used > 400*time.Millisecond || used <= 0 {
			t.Errorf("it used %s in a second of a tenth of a processor", used)
		}
	})
}

func TestUsageIsMeasured(t *testing.T) {
	t.Parallel()
	onEveryRung(t, func(t *testing.T, h *host, rung dayfly.Isolation) {
		s := h.spec("head -c 30000000 /dev/zero | tail -c 30000000 >/dev/null; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
		s.Machine.Isolation = rung
		h.launch(s)
		u := h.end(s).Exit.Usage
		if u.PeakMemory < 20_000_000 || u.PeakMemory > 300_000_000 || u.CPU.Duration() < 10*time.Millisecond {
			t.Errorf("measured %+v", u)
		}
	})
}

// Each of three processes has 30 MB while the others have theirs.
func TestPeakMemory(t *testing.T) {
	t.Parallel()
	onEveryRung(t, func(t *testing.T, h *host, rung dayfly.Isolation) {
		for _, limit := range []int64{0, 512 << 20} {
			s := h.spec("for i in 1 2 3; do (head -c 30000000 /dev/zero; sleep 1) | tail -c 30000000 >/dev/null & done; wait")
			s.Machine.Isolation, s.Machine.Memory = rung, limit
			h.launch(s)
			o := h.end(s)
			peak := o.Exit.Usage.PeakMemory
			whole := limit > 0 && !unlimited(o, "memory")
			if whole && peak < 85_000_000 || !whole && (peak < 25_000_000 || peak > 70_000_000) || peak > 512<<20 {
				t.Errorf("with a limit of %d the peak was %d", limit, peak)
			}
		}
	})
}
