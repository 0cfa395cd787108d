package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// witnessVariable makes this test binary a job: it names the witness to talk to.
const witnessVariable = "E2E_WITNESS"

// staysVariable has the job stay for ever once what started it is dead.
const staysVariable = "E2E_STAYS"

// deed is what one attempt of the job does. All of it follows from the seed, the run and the attempt, so
// that a checker knows every byte without asking anybody.
type deed struct {
	log     []byte
	results map[string][]byte
	pieces  []int           // where the log is paused
	pauses  []time.Duration // for how long, by piece
	fails   bool
}

const (
	biggest  = 300_000
	failCode = 3
	longWait = 950 * time.Millisecond // for a second chunk that is not full
)

func deedOf(seed, run, attempt string) deed {
	rng := rand.New(rand.NewChaCha8(sha256.Sum256([]byte(seed + "\n" + run + "\n" + attempt))))
	size := func() int {
		edge := rng.IntN(3) - 1
		return []int{0, 1, rng.IntN(200), rng.IntN(5000), 64<<10 + edge, 256<<10 + edge, rng.IntN(biggest)}[rng.IntN(7)]
	}
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	d := deed{log: random(size()), results: map[string][]byte{}, fails: rng.IntN(12) == 0}
	for i := range rng.IntN(4) {
		d.results[[]string{"a", "b c", "sub/a", "sub/sub/d"}[(i+rng.IntN(2))%4]] = random(size())
	}
	for range 1 + rng.IntN(4) {
		pause := time.Duration(rng.IntN(60)) * time.Millisecond
		if rng.IntN(20) == 0 {
			pause = longWait
		}
		d.pieces, d.pauses = append(d.pieces, rng.IntN(len(d.log)+1)), append(d.pauses, pause)
	}
	slices.Sort(d.pieces)
	return d
}

// actAsJob is the whole job: it tells the witness that it has begun, does its deed, and tells that it is done.
func actAsJob() int {
	line, err := net.Dial("tcp", os.Getenv(witnessVariable))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	run, attempt := os.Getenv("DAYFLY_RUN"), os.Getenv("DAYFLY_ATTEMPT")
	fmt.Fprintf(line, "start %s %s\n", run, attempt)
	if os.Getenv(staysVariable) != "" {
		parent, orphaned := os.Getppid(), make(chan os.Signal, 1)
		signal.Ignore(syscall.SIGPIPE)
		signal.Notify(orphaned, syscall.SIGUSR1)
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGUSR1), 0, 0, 0); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		go func() {
			<-orphaned
			fmt.Fprintf(line, "stays %s %s\n", run, attempt)
		}()
		defer func() {
			if os.Getppid() != parent {
				<-time.After(time.Hour)
			}
		}()
		<-time.After(300 * time.Millisecond) // to be met by somebody who kills
	}
	d := deedOf(os.Getenv("E2E_SEED"), run, attempt)
	if err := d.do(os.Getenv("DAYFLY_RESULTS")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintf(line, "end %s %s\n", run, attempt)
	if d.fails {
		return failCode
	}
	return 0
}

func (d deed) do(results string) error {
	for name, content := range d.results {
		path := filepath.Join(results, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	written := 0
	for i, end := range append(slices.Clone(d.pieces), len(d.log)) {
		if _, err := os.Stdout.Write(d.log[written:end]); err != nil {
			return err
		}
		if written = end; i < len(d.pauses) {
			<-time.After(d.pauses[i]) // a job takes its time
		}
	}
	return nil
}

// saved tells what is wrong with what an attempt left in the bucket's directory.
func (d deed) saved(dir string) error {
	got, err := os.ReadFile(filepath.Join(dir, "out/log"))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, d.log) {
		return fmt.Errorf("the log has %d bytes, %d as they were printed; %d were printed", len(got), common(got, d.log), len(d.log))
	}
	found := map[string][]byte{}
	top := filepath.Join(dir, "out/results")
	err = filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err1 := filepath.Rel(top, path)
		content, err2 := os.ReadFile(path)
		found[strings.ReplaceAll(name, "%20", " ")] = content
		return errors.Join(err1, err2)
	})
	if err != nil && (len(d.results) > 0 || !errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	if !maps.EqualFunc(found, d.results, bytes.Equal) {
		return fmt.Errorf("results %v, want %v", slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(d.results)))
	}
	return nil
}

// common is how many bytes two texts begin with alike.
func common(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// chunks are the live log of an attempt as it lies in the bucket's directory right now.
func chunks(dir string) (live []byte, n int) {
	for {
		b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("out/chunks/%06d", n+1)))
		if err != nil {
			return live, n // a pass may be removing them from the first on
		}
		live, n = append(live, b...), n+1
	}
}
