package fuzztest_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/fuzztest"
)

// judge is a test that notes what is said of it.
type judge struct {
	testing.TB
	said []string
}

func (j *judge) Errorf(format string, args ...any) {
	j.said = append(j.said, fmt.Sprintf(format, args...))
}

func TestBounded(t *testing.T) { // not parallel: it measures
	if fuzztest.Raced {
		t.Skip("the race detector costs time and memory of its own")
	}
	var kept []byte
	for name, c := range map[string]struct {
		do   func()
		says string
	}{
		"nothing":             {func() {}, ""},
		"a little":            {func() { kept = make([]byte, 1<<20) }, ""},
		"one piece too large": {func() { kept = make([]byte, fuzztest.MaxBytes+1<<20) }, "allocated"},
		"many that are given back": {func() {
			for range 70 {
				kept = make([]byte, 1<<20)
			}
		}, "allocated"},
		"too long": {func() {
			var sum [32]byte
			for from := spent(t); spent(t)-from < fuzztest.MaxTime*11/10; {
				for range 1000 {
					sum = sha256.Sum256(sum[:])
				}
			}
		}, "processors"},
	} {
		t.Run(name, func(t *testing.T) {
			j := &judge{TB: t}
			fuzztest.Bounded(j, c.do)
			if got := strings.Join(j.said, "; "); (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
				t.Errorf("it says %q, want %q", got, c.says)
			}
		})
	}
	_ = kept
}

// spent is for how long this process has used the processors.
func spent(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
