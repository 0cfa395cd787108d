// Command pie computes digits of π for a set time: the sample job.
//
// It runs for DURATION (5s when unset), says about once a second how far it
// is, writes the digits to pi.txt in DAYFLY_RESULTS as they come and stops in
// time. It needs nothing from the machine it runs on.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

func main() {
	if err := run(os.Getenv, os.Stdout, time.Now); err != nil {
		fmt.Fprintf(os.Stderr, "pie: %v\n", err)
		os.Exit(1)
	}
}

func run(getenv func(string) string, stdout io.Writer, now func() time.Time) error {
	duration, err := duration(getenv("DURATION"))
	if err != nil {
		return err
	}
	results := getenv("DAYFLY_RESULTS")
	if results == "" {
		return errors.New("DAYFLY_RESULTS names no directory for pi.txt (dayfly sets it; by hand DAYFLY_RESULTS=. will do)")
	}
	path := filepath.Join(results, "pi.txt")
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("create the result file: %w", err)
	}
	defer file.Close()
	if err := compute(file, stdout, duration, now); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("close %s: %w", path, err)
	}
	return nil
}

func duration(text string) (time.Duration, error) {
	if text == "" {
		return 5 * time.Second, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("DURATION is %q, want a time above zero such as 5s or 10m", text)
	}
	return d, nil
}

// compute writes digits of π to out until duration is over and tells progress
// of it. It begins no block that would end too late, taking the next block to
// last as long as the one before.
func compute(out, progress io.Writer, duration time.Duration, now func() time.Time) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(progress, "computing digits of π for %s\n", duration)
	start := now()
	pi, block, count := newSpigot(), "", 0
	told, last := time.Duration(0), time.Duration(0)
	for {
		before := now()
		if count > 0 && before.Add(last).After(start.Add(duration)) {
			break
		}
		block = pi.next()
		if count == 0 {
			block = block[:1] + "." + block[1:]
			count = -1 // the point is no digit
		}
		count += len(block)
		if _, err := w.WriteString(block); err != nil {
			return fmt.Errorf("write digits: %w", err)
		}
		last = now().Sub(before)
		if elapsed := now().Sub(start); elapsed-told >= time.Second {
			told = elapsed.Truncate(time.Second)
			fmt.Fprintf(progress, "%4.1fs %8d digits …%s\n", elapsed.Seconds(), count, tail(block))
		}
	}
	w.WriteByte('\n')
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write digits: %w", err)
	}
	fmt.Fprintf(progress, "done: %d digits in %.1fs, the last ten %s\n", count, now().Sub(start).Seconds(), tail(block))
	return nil
}

// tail returns the last ten digits of a block.
func tail(block string) string { return block[len(block)-10:] }
