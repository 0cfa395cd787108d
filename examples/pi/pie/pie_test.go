package main

import (
	"bytes"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// machin computes π to n decimals by a formula that shares nothing with the
// spigot: π/4 = 4·arctan(1/5) − arctan(1/239), in fixed point with ten digits
// to spare.
func machin(n int) string {
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)+10), nil)
	arctan := func(x int64) *big.Int {
		sum, power := new(big.Int), new(big.Int).Quo(unit, big.NewInt(x))
		square := big.NewInt(x * x)
		for k := int64(1); power.Sign() != 0; k += 2 {
			term := new(big.Int).Quo(power, big.NewInt(k))
			if k%4 == 1 {
				sum.Add(sum, term)
			} else {
				sum.Sub(sum, term)
			}
			power.Quo(power, square)
		}
		return sum
	}
	pi := new(big.Int).Mul(big.NewInt(16), arctan(5))
	pi.Sub(pi, new(big.Int).Mul(big.NewInt(4), arctan(239)))
	return pi.Text(10)[:n+1]
}

func TestDigits(t *testing.T) {
	t.Parallel()
	pi, got := newSpigot(), ""
	for len(got) < 20_000 {
		got += pi.next()
	}
	if want := "31415926535897932384626433832795028841971693993751"; got[:50] != want {
		t.Errorf("the first digits are %s, want %s", got[:50], want)
	}
	if got[762:768] != "999999" {
		t.Errorf("decimals 762 to 767 are %s, want the six nines known as the Feynman point", got[762:768])
	}
	want := machin(len(got) - 1)
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("digit %d is %c, Machin's formula says %c", i, got[i], want[i])
		}
	}
}

// TestExtractRefusesWhatIsNotDecided puts the spigot before a term that could
// still change a digit: without the bounds it would hand out digits too early.
func TestExtractRefusesWhatIsNotDecided(t *testing.T) {
	t.Parallel()
	if block, ok := newSpigot().extract(); ok {
		t.Errorf("no term was taken in and yet %s was handed out", block)
	}
}

func environ(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

// ticking returns a clock that moves on by step at each reading.
func ticking(step time.Duration) func() time.Time {
	now := time.Unix(0, 0)
	return func() time.Time {
		now = now.Add(step)
		return now
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	t.Run("writes the digits and stops in time", func(t *testing.T) {
		t.Parallel()
		dir, out := t.TempDir(), new(bytes.Buffer)
		clock := ticking(100 * time.Millisecond)
		begin := clock()
		err := run(environ(map[string]string{"DURATION": "3s", "DAYFLY_RESULTS": dir}), out, clock)
		if err != nil {
			t.Fatal(err)
		}
		if took := clock().Sub(begin); took > 3500*time.Millisecond || took < 2*time.Second {
			t.Errorf("a job of 3s took %s", took)
		}
		text, err := os.ReadFile(filepath.Join(dir, "pi.txt"))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.TrimSuffix(string(text), "\n")
		if len(got) < 1000 || strings.Replace(got, ".", "", 1) != machin(len(got)-2) || got[1] != '.' {
			t.Errorf("pi.txt holds %d characters that are not π: %.60s…", len(got), got)
		}
		if lines := strings.Count(out.String(), "s  "); lines < 2 {
			t.Errorf("want a line of progress each second, got:\n%s", out)
		}
		if want := fmt.Sprintf("done: %d digits", len(got)-1); !strings.Contains(out.String(), want) {
			t.Errorf("want %q in:\n%s", want, out)
		}
	})
	t.Run("a time shorter than one block still gives digits", func(t *testing.T) {
		t.Parallel()
		var digits bytes.Buffer
		if err := compute(&digits, new(bytes.Buffer), time.Nanosecond, ticking(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(digits.String(), "3.14159") {
			t.Errorf("got %.20s", digits.String())
		}
	})
	for _, text := range []string{"soon", "5", "-1s", "0s"} {
		t.Run("refuses DURATION="+text, func(t *testing.T) {
			t.Parallel()
			err := run(environ(map[string]string{"DURATION": text, "DAYFLY_RESULTS": t.TempDir()}), new(bytes.Buffer), time.Now)
			if err == nil || !strings.Contains(err.Error(), "DURATION") {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("says where results belong", func(t *testing.T) {
		t.Parallel()
		err := run(environ(nil), new(bytes.Buffer), time.Now)
		if err == nil || !strings.Contains(err.Error(), "DAYFLY_RESULTS") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a disk that is full is an error", func(t *testing.T) {
		t.Parallel()
		err := compute(fullDisk{}, new(bytes.Buffer), time.Nanosecond, ticking(time.Hour))
		if err == nil {
			t.Error("digits were lost without a word")
		}
	})
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, os.ErrClosed }

func BenchmarkTenThousandDigits(b *testing.B) {
	for b.Loop() {
		pi, count := newSpigot(), 0
		for count < 10_000 {
			count += len(pi.next())
		}
	}
}
