// Command bench measures a built dayfly as its users meet it: real processes, a real data directory, the real
// sandbox. Each figure stands beside its gate and goal, and beside a floor of the same machine in the same run:
// machines differ, ratios less.
//
//	go -C bench run . [-n 1000] [-dayfly ../bin/dayfly] [start|launch|queue|due|record|many|past|neighbours]…
//
// How fast a schedule finds its next instant, beside other libraries: go -C bench test -bench Next
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// figure is one line of the table.
type figure struct {
	what       string
	value      float64
	unit       string
	gate, goal float64 // 0: none
	least      bool    // the value should be at least so much
	over       string  // what it is divided by, where that is in the table before it
	skipped    string  // instead of all others: what was not measured, and why
}

// What other figures are divided by.
const (
	floorExec = "floor: fork and exec of true, p50"
	floorRoot = "floor: namespaces, overlay and chroot by a Go re-exec, p50"
)

func (f figure) verdict() string {
	holds := func(bound float64) bool { return f.least && f.value >= bound || !f.least && f.value <= bound }
	switch {
	case f.gate == 0:
		return ""
	case f.goal != 0 && holds(f.goal):
		return "goal"
	case holds(f.gate):
		return "gate"
	}
	return "MISSED"
}

func (f figure) String() string {
	bound := func(v float64) string {
		if v == 0 {
			return ""
		}
		sign := "≤"
		if f.least {
			sign = "≥"
		}
		return fmt.Sprintf("%s %g", sign, v)
	}
	return fmt.Sprintf("%-62s %10.2f %-5s %-9s %-9s %s", f.what, f.value, f.unit, bound(f.gate), bound(f.goal), f.verdict())
}

// beside is the line, with how many times another figure it is.
func (f figure) beside(table map[string]float64) string {
	base := table[f.over]
	switch {
	case f.skipped != "":
		return "skipped: " + f.skipped
	case base == 0:
		return strings.TrimRight(f.String(), " ")
	}
	return fmt.Sprintf("%-107s %.3g × %s", f, f.value/base, strings.TrimSuffix(strings.TrimPrefix(f.over, "floor: "), ", p50"))
}

// scenario measures one thing; n is how much of it.
type scenario struct {
	name    string
	measure func(ctx context.Context, b bench) ([]figure, error)
}

// floors come first, whatever was asked for.
var scenarios = []scenario{
	{"floors", floors}, {"start", start}, {"launch", launch}, {"queue", queue}, {"due", due}, {"record", recorded}, {"many", many}, {"past", past},
	{"neighbours", neighbours},
}

// bench is what a scenario works with.
type bench struct {
	dayfly string // the binary
	n      int
	dir    string // for data directories and job files; removed at the end
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := reexec(os.Args[1:])
	if err == nil {
		err = run(ctx, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	n := flags.Int("n", 1000, "how many runs; many takes 100 times as many jobs, past 1000 times as many runs")
	binary := flags.String("dayfly", "../bin/dayfly", "the binary, from make build")
	within := flags.String("dir", "", "where data directories are made: it decides what a sync costs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	path, err := filepath.Abs(*binary)
	if err != nil {
		return err
	}
	if _, err := exec.LookPath(path); err != nil {
		return fmt.Errorf("find dayfly: %w (make build makes it)", err)
	}
	fmt.Printf("%-62s %10s %-5s %-9s %-9s\n", "", "", "", "gate", "goal")
	table := map[string]float64{}
	for _, s := range scenarios {
		if s.name != "floors" && len(flags.Args()) > 0 && !slices.Contains(flags.Args(), s.name) {
			continue
		}
		dir, err := os.MkdirTemp(*within, "dayfly-bench-")
		if err != nil {
			return err
		}
		figures, err := s.measure(ctx, bench{dayfly: path, n: *n, dir: dir})
		os.RemoveAll(dir)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		for _, f := range figures {
			fmt.Println(f.beside(table))
			table[f.what] = f.value
		}
	}
	return nil
}

// start measures how long commands take that do next to nothing, and how large the programs are.
func start(ctx context.Context, b bench) ([]figure, error) {
	h, err := b.home(ctx)
	if err != nil {
		return nil, err
	}
	version, err := median(50, func() error { return h.run("version") })
	if err != nil {
		return nil, err
	}
	if err := h.apply(h.job("hi", `run: "true"`)); err != nil {
		return nil, err
	}
	alone, err := median(max(b.n/20, 5), func() error { return h.run("run", "hi") })
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(b.dayfly)
	if err != nil {
		return nil, err
	}
	agent, err := h.agent()
	if err != nil {
		return nil, err
	}
	return []figure{
		{what: "dayfly version, p50", value: ms(version), unit: "ms", gate: 30, goal: 10, over: floorExec},
		{what: "dayfly run of true without a daemon, in all, p50", value: ms(alone), unit: "ms", gate: 80, goal: 45, over: floorRoot},
		{what: "the binary", value: mib(info.Size()), unit: "MiB", gate: 45},
		{what: "the agent in it", value: mib(agent), unit: "MiB", gate: 8},
	}, nil
}

func median(n int, f func() error) (time.Duration, error) {
	var all []time.Duration
	for range n {
		began := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		all = append(all, time.Since(began))
	}
	return percentile(all, 50), nil
}

// percentile is the smallest of which so many percent are no greater.
func percentile(all []time.Duration, percent int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	return all[min(len(all)-1, max(0, (len(all)*percent+99)/100-1))]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func said(out []byte) string { return strings.TrimSpace(string(out)) }
