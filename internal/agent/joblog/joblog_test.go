package joblog_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/agent/joblog"
	"github.com/dayfly-io/dayfly/internal/agent/redact"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clock is a clock that the test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }
func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

type setup struct {
	limits  dayfly.LogLimits
	secrets map[string]string
	now     func() time.Time
	spool   *os.File
}

func (s setup) log(t testing.TB) *joblog.Log {
	t.Helper()
	if s.spool == nil {
		f, err := os.Create(filepath.Join(t.TempDir(), "spool"))
		must(t, err)
		t.Cleanup(func() { f.Close() })
		s.spool = f
	}
	if s.now == nil {
		s.now = (&clock{t: time.Unix(1e9, 0)}).now
	}
	return joblog.New(joblog.Config{Spool: s.spool, Secrets: redact.Compile(s.secrets), Limits: s.limits, Now: s.now})
}

func write(t testing.TB, l *joblog.Log, text string) {
	t.Helper()
	if n, err := io.WriteString(l, text); n != len(text) || err != nil {
		t.Fatalf("took %d of %d bytes: %v", n, len(text), err)
	}
}

func whole(t testing.TB, l *joblog.Log) string {
	t.Helper()
	b, err := io.ReadAll(l.Open())
	must(t, err)
	if int64(len(b)) != l.Size() {
		t.Fatalf("the log has %d bytes and says %d", len(b), l.Size())
	}
	return string(b)
}

func TestBytesAreKeptAsPrinted(t *testing.T) {
	t.Parallel()
	l := setup{}.log(t)
	var want strings.Builder
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		b := make([]byte, r.IntN(5000))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		want.Write(b)
		write(t, l, string(b))
	}
	l.Close()
	l.Close() // changes nothing
	if got := whole(t, l); got != want.String() {
		t.Error("other bytes came out")
	}
	if notes := l.Notes(); notes != nil {
		t.Errorf("notes of a log without cuts: %q", notes)
	}
}

// account checks that what is in the log and what its marks say is missing make up what was printed.
func account(t *testing.T, log string, printed int) (marks int) {
	t.Helper()
	sum := len(log)
	for {
		_, mark, found := strings.Cut(log, "\n[dayfly: ")
		if !found {
			break
		}
		mark, log, found = strings.Cut(mark, "]\n")
		count, why, said := strings.Cut(mark, " bytes cut here: ")
		n, err := strconv.Atoi(count)
		if !found || !said || err != nil || why == "" || n == 0 {
			t.Fatalf("the mark %.100q is not one", mark)
		}
		sum += n - len("\n[dayfly: "+mark+"]\n")
		marks++
	}
	if sum != printed {
		t.Errorf("kept and cut make %d bytes, %d were printed", sum, printed)
	}
	return marks
}

func TestSizeIsCutWithAMarkAndTheEndIsKept(t *testing.T) {
	t.Parallel()
	l := setup{limits: dayfly.LogLimits{MaxBytes: 4000}}.log(t)
	var all strings.Builder
	for i := range 1000 {
		line := fmt.Sprintf("line %d\n", i)
		all.WriteString(line)
		write(t, l, line)
	}
	l.Close()
	got := whole(t, l)
	if marks := account(t, got, all.Len()); marks != 1 {
		t.Errorf("%d marks, want 1", marks)
	}
	head, tail, _ := strings.Cut(got, "\n[dayfly: ")
	_, tail, _ = strings.Cut(tail, "]\n")
	if len(head) != 3000 || !strings.HasPrefix(all.String(), head) {
		t.Errorf("the head of %d bytes is not the first 3000", len(head))
	}
	if !strings.HasPrefix(tail, "line ") || !strings.HasSuffix(all.String(), tail) || len(tail) < 980 || len(tail) > 1000 {
		t.Errorf("the tail of %d bytes is not the last whole lines", len(tail))
	}
	if notes := l.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "a log may have 4000 bytes") {
		t.Errorf("notes: %q", notes)
	}
}

func TestLogOfExactlyTheLimitIsWhole(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3, 4, 100, 4000} {
		l := setup{limits: dayfly.LogLimits{MaxBytes: int64(n)}}.log(t)
		text := strings.Repeat("x", n)
		write(t, l, text)
		l.Close()
		if got := whole(t, l); got != text {
			t.Errorf("limit %d: became %q", n, got)
		}
		over := setup{limits: dayfly.LogLimits{MaxBytes: int64(n)}}.log(t)
		write(t, over, text+"y")
		over.Close()
		if marks := account(t, whole(t, over), n+1); marks != 1 {
			t.Errorf("limit %d, a byte more: %d marks", n, marks)
		}
	}
}

func TestAGigabyteWithoutANewline(t *testing.T) {
	t.Parallel()
	c := &clock{t: time.Unix(1e9, 0)}
	l := setup{now: c.now}.log(t)
	block := strings.Repeat("x", 1<<20)
	for range 1 << 10 {
		write(t, l, block)
		c.add(time.Second)
	}
	l.Close()
	if marks := account(t, whole(t, l), 1<<30); marks != 1 || l.Size() > joblog.DefaultMaxBytes+200 {
		t.Errorf("%d marks, %d bytes", marks, l.Size())
	}
}

func TestRateIsCutAndRecovers(t *testing.T) {
	t.Parallel()
	c := &clock{t: time.Unix(1e9, 0)}
	l := setup{limits: dayfly.LogLimits{BytesPerSecond: 1 << 20}, now: c.now}.log(t)
	printed := 0
	say := func(s string) { printed += len(s); write(t, l, s) }
	flood := strings.Repeat(strings.Repeat("f", 63)+"\n", 1<<14) // 1 MiB
	for range 6 {
		say(flood) // 4 MiB are the burst
	}
	if got := l.Size(); got != 4<<20 {
		t.Errorf("%d bytes after the flood, want the burst", got)
	}
	c.add(900 * time.Millisecond)
	say("too early\n")
	if got := l.Size(); got != 4<<20 {
		t.Errorf("the cut ended after less than a second")
	}
	c.add(200 * time.Millisecond)
	say("calm again\n")
	if !strings.HasSuffix(whole(t, l), "calm again\n") {
		t.Error("the cut did not end after a second")
	}
	l.Close()
	got := whole(t, l)
	if marks := account(t, got, printed); marks != 1 {
		t.Errorf("%d marks, want 1", marks)
	}
	if !strings.HasSuffix(got, "f\ntoo early\ncalm again\n") || !strings.Contains(got, "more than 1048576 bytes a second") {
		t.Errorf("the end is %q", got[len(got)-200:])
	}
}

func TestAClockSetBackStopsNothing(t *testing.T) {
	t.Parallel()
	c := &clock{t: time.Unix(1e9, 0)}
	l := setup{limits: dayfly.LogLimits{BytesPerSecond: 1000}, now: c.now}.log(t)
	write(t, l, strings.Repeat("a\n", 50_000))
	c.add(-time.Hour)
	write(t, l, "x")
	c.add(5 * time.Second)
	write(t, l, "later\n")
	if !strings.HasSuffix(whole(t, l), "later\n") {
		t.Error("the cut did not end after the clock was set back")
	}
}

func TestSecretsAreNeitherInHeadNorTail(t *testing.T) {
	t.Parallel()
	l := setup{limits: dayfly.LogLimits{MaxBytes: 300}, secrets: map[string]string{"PW": "hunter2hunter3"}}.log(t)
	for range 200 {
		for _, piece := range []string{"say hun", "ter2hunt", "er3\n"} {
			write(t, l, piece)
		}
	}
	l.Close()
	got := whole(t, l)
	if strings.Contains(got, "hunt") || strings.Contains(got, "er3") || !strings.HasPrefix(got, "say [secret PW]\nsay ") || !strings.HasSuffix(got, "say [secret PW]\n") {
		t.Errorf("became %q", got)
	}
}

func TestFullDiskIsSaidAndTheEndIsKept(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("this system has no /dev/full: %v", err)
	}
	defer full.Close()
	l := setup{spool: full}.log(t)
	for range 20_000 {
		write(t, l, "all work and no play\n")
	}
	l.Close()
	got := whole(t, l)
	if marks := account(t, got, 20_000*21); marks != 1 || !strings.Contains(got, "no space left") || !strings.HasSuffix(got, "]\n"+strings.Repeat("all work and no play\n", 3120)) {
		t.Errorf("%d marks in %d bytes: %.200q", marks, len(got), got)
	}
	if notes := l.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "no space left") {
		t.Errorf("notes: %q", notes)
	}
	if n := l.Unwritten(); n != 20_000*21-3120*21 {
		t.Errorf("%d bytes were not written for want of room", n)
	}
}

// shipped collects chunks.
type shipped struct {
	mu     sync.Mutex
	chunks [][]byte
	joined []byte
}

func (s *shipped) put(_ context.Context, number int, chunk *io.SectionReader) bool {
	b, err := io.ReadAll(chunk)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || number != len(s.chunks)+1 {
		panic(fmt.Sprintf("chunk %d after %d: %v", number, len(s.chunks), err))
	}
	s.chunks, s.joined = append(s.chunks, b), append(s.joined, b...)
	return true
}

func (s *shipped) all() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.joined)
}

func TestLiveIsAPrefixAndAtMostASecondBehind(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			l := setup{now: time.Now}.log(t)
			s := &shipped{}
			done := make(chan struct{})
			go func() { defer close(done); l.Ship(t.Context(), s.put) }()
			type moment struct {
				at   time.Time
				size int64
			}
			var history []moment
			var printed bytes.Buffer
			for range 150 {
				text := strings.Repeat("0123456789abcdef", r.IntN(1<<r.IntN(13)))
				printed.WriteString(text)
				write(t, l, text)
				history = append(history, moment{time.Now(), l.Size()})
				time.Sleep(time.Duration(r.IntN(1<<r.IntN(12))) * time.Millisecond)
				synctest.Wait()
				live := s.all()
				if !bytes.HasPrefix(printed.Bytes(), live) {
					t.Fatalf("seed %d: what is live is not a prefix", seed)
				}
				for len(history) > 0 && int64(len(live)) >= history[0].size {
					history = history[1:]
				}
				if len(history) > 0 && time.Since(history[0].at) >= time.Second {
					t.Fatalf("seed %d: %d bytes are live %s after %d were printed", seed, len(live), time.Since(history[0].at), history[0].size)
				}
			}
			l.Close()
			<-done
			if got := whole(t, l); got != printed.String() || string(s.all()) != got {
				t.Fatalf("seed %d: %d bytes printed, %d in the log, %d shipped", seed, printed.Len(), len(got), len(s.all()))
			}
			for i, c := range s.chunks {
				if len(c) == 0 || len(c) > joblog.ChunkSize {
					t.Errorf("seed %d: chunk %d has %d bytes", seed, i+1, len(c))
				}
			}
		})
	}
}

func TestNoTimerRunsWithoutData(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := setup{now: time.Now}.log(t)
		s := &shipped{}
		go l.Ship(t.Context(), s.put)
		write(t, l, "one line\n")
		time.Sleep(joblog.Gather)
		synctest.Wait()
		if got := string(s.all()); got != "one line\n" {
			t.Errorf("%q is live after a moment", got)
		}
		time.Sleep(100 * time.Hour)
		if n := len(s.chunks); n != 1 {
			t.Errorf("%d chunks of one line", n)
		}
		l.Close()
	})
}

func TestASecretHalfPrintedIsNotLive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := setup{now: time.Now, secrets: map[string]string{"PW": "hunter2hunter3"}}.log(t)
		s := &shipped{}
		done := make(chan struct{})
		go func() { defer close(done); l.Ship(t.Context(), s.put) }()
		write(t, l, "pass: hunter2h")
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := string(s.all()); got != "pass: " {
			t.Errorf("live is %q", got)
		}
		write(t, l, "unter3\n")
		l.Close()
		<-done
		if got := string(s.all()); got != "pass: [secret PW]\n" {
			t.Errorf("live is %q in the end", got)
		}
	})
}

// A job that floods and then says nothing more: the cut is said while the job still runs.
func TestCutOfAJobThatFallsSilentIsSaidLive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := setup{now: time.Now, limits: dayfly.LogLimits{BytesPerSecond: 100_000}}.log(t)
		s := &shipped{}
		go l.Ship(t.Context(), s.put)
		write(t, l, strings.Repeat("flood\n", 200_000))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !bytes.Contains(s.all(), []byte("bytes cut here: more than 100000 bytes a second]\n")) || !bytes.HasSuffix(s.all(), []byte("flood\n")) {
			t.Errorf("nothing was said of the cut in %d bytes", len(s.all()))
		}
		l.Close()
	})
}

// The bucket hangs; the job goes on printing, and Ship ends with its context.
func TestTheJobDoesNotWaitForTheBucket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := setup{now: time.Now}.log(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.Ship(ctx, func(ctx context.Context, _ int, _ *io.SectionReader) bool { <-ctx.Done(); return false })
		}()
		var want strings.Builder
		for range 1000 {
			want.WriteString("going on\n")
			write(t, l, "going on\n")
			time.Sleep(time.Second)
		}
		l.Close()
		cancel()
		<-done
		if whole(t, l) != want.String() {
			t.Error("the log is not whole")
		}
	})
}
