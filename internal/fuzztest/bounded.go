// Package fuzztest holds fuzz targets to what dayfly promises of input that somebody else made, and
// makes such input where it is no bytes: directories.
//
// [Bounded] is the promise that reading is soon over and takes little memory; every fuzz target puts
// what it tests into it. [Tree] makes any bytes a directory, and [Attacks] are the directories that
// are made on purpose; with both, an [Outside] tells whether anything but the directory was touched.
//
// It is for tests alone. What the input should become is each test's own business.
package fuzztest

import (
	"fmt"
	"runtime/metrics"
	"syscall"
	"testing"
	"time"
)

// What one input may take: the promise for any input of at most 1 MiB.
const (
	MaxBytes = 64 << 20    // allocated in all, whether it was given back or not
	MaxTime  = time.Second // of the processors, whoever else uses them
)

// patience is how long an input may take by the clock on the wall. Only what hangs takes so long.
const patience = time.Minute

// Bounded calls f and fails the test when that allocated more than MaxBytes or used the processors for
// longer than MaxTime. It counts for the whole process, so nothing else should go on in it: seeds and
// workers of a fuzz target that is not parallel are alone. Under the race detector, which costs time
// and memory of its own, nothing is counted.
//
// What hangs is ended with the process, so that a fuzzer notes the input and a test shows where.
func Bounded(t testing.TB, f func()) {
	t.Helper()
	// Not a failure of t: its goroutine is the one that hangs.
	hangs := time.AfterFunc(patience, func() { panic(fmt.Sprintf("%s: an input takes longer than %s", t.Name(), patience)) })
	defer hangs.Stop()
	bytes, busy := allocated(), processors(t)
	f()
	bytes, busy = allocated()-bytes, processors(t)-busy
	if Raced {
		return
	}
	if bytes > MaxBytes {
		t.Errorf("it allocated %d KiB, which may be %d", bytes>>10, MaxBytes>>10)
	}
	if busy > MaxTime {
		t.Errorf("it used the processors for %s, which may be %s", busy, MaxTime)
	}
}

func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// processors is for how long this process has used them.
func processors(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
