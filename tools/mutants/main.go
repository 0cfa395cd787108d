// Command mutants shows that the tests can fail.
//
//	mutants [-root DIR] [-jobs N] [-timeout D] [-write FILE] [-check] [NAME…]
//
// Each mutants/NAME.patch makes the code wrong in one way that a promise
// forbids. For each of them the command copies the project, applies the patch,
// builds, runs the test lines that the patch names and expects a test to fail.
// Beforehand it runs each test line on a copy without a patch, where it must
// pass: a test that always fails notices nothing.
//
// It ends with 1 when a mutant was not noticed, or when one does not apply,
// does not build or names a test that does not exist. With -check it only
// looks whether every patch still applies. With -write the table in FILE has the
// verdicts, if all were noticed; those on others than the NAMEs stay as they were.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

type options struct {
	root    string
	jobs    int
	limit   time.Duration
	build   string
	write   string
	check   bool
	mutants []string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.root, "root", ".", "the project's `directory`")
	flags.IntVar(&o.jobs, "jobs", 2, "how many mutants are tested at once")
	flags.DurationVar(&o.limit, "timeout", 10*time.Minute, "how long one test line may take")
	flags.StringVar(&o.build, "build", "go build ./...", "`command` that builds the project")
	flags.StringVar(&o.write, "write", "", "markdown `file` whose table of mutants to renew")
	flags.BoolVar(&o.check, "check", false, "only look whether the patches apply")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.mutants = flags.Args()
	if o.write != "" && o.check {
		return o, fmt.Errorf("-write needs verdicts: leave out -check")
	}
	if o.jobs < 1 {
		return o, fmt.Errorf("-jobs is %d, want at least 1", o.jobs)
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "error: %v\n", err)
		return 2
	}
	mutants, err := readMutants(filepath.Join(o.root, "mutants"), o.mutants)
	if err != nil {
		fmt.Fprintf(stderr, "error: %v\n", err)
		return 1
	}
	s, err := prepare(ctx, o, stdout)
	if err != nil {
		fmt.Fprintf(stderr, "error: %v\n", err)
		return 1
	}
	defer s.remove()
	return s.run(mutants, stderr)
}

// A session tests mutants in copies of the project, one copy for each worker.
type session struct {
	options
	ctx   context.Context
	dir   string
	trees chan tree

	mu  sync.Mutex
	out io.Writer
}

func prepare(ctx context.Context, o options, stdout io.Writer) (*session, error) {
	root, err := filepath.Abs(o.root)
	if err != nil {
		return nil, fmt.Errorf("find the project: %w", err)
	}
	files, err := projectFiles(ctx, root)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "dayfly-mutants-")
	if err != nil {
		return nil, fmt.Errorf("make a place for copies of the project: %w", err)
	}
	s := &session{options: o, ctx: ctx, dir: dir, out: stdout, trees: make(chan tree, o.jobs)}
	for i := range o.jobs {
		s.trees <- tree{from: root, dir: filepath.Join(dir, fmt.Sprint(i)), files: files}
	}
	return s, nil
}

func (s *session) remove() { os.RemoveAll(s.dir) }

// result is the verdict on one mutant.
type result struct {
	mutant
	verdict verdict
	by      string // the test line that noticed, or else the last one
	detail  string // what to read when the verdict is not the expected one
	took    time.Duration
}

func (s *session) run(mutants []mutant, stderr io.Writer) int {
	if !s.check {
		s.say("%-8s %-44s %-8s %7s\n", "promise", "mutant", "verdict", "seconds")
	}
	if err := s.buildable(); err != nil {
		fmt.Fprintf(stderr, "error: %v\n", err)
		return 1
	}
	ills := s.baseline(mutants)
	results := make([]result, len(mutants))
	s.each(len(mutants), func(i int, t tree) {
		results[i] = s.mutate(mutants[i], t, ills)
		s.tell(results[i])
	})
	if s.ctx.Err() != nil {
		fmt.Fprintln(stderr, "error: interrupted")
		return 130
	}
	bad := 0
	for _, r := range results {
		if s.wrong(r) {
			bad++
		}
	}
	if s.check {
		s.say("\n%d mutants: %d apply, %d do not\n", len(results), len(results)-bad, bad)
	} else {
		s.say("\n%d mutants: %d caught, %d not\n", len(results), len(results)-bad, bad)
	}
	if bad > 0 {
		return 1
	}
	if s.write != "" {
		if err := renewTable(s.write, results, names(filepath.Join(s.root, "mutants"))); err != nil {
			fmt.Fprintf(stderr, "error: %v\n", err)
			return 1
		}
	}
	return 0
}

// wrong says whether a verdict is not the expected one.
func (s *session) wrong(r result) bool {
	return !(r.verdict.caught() || s.check && r.verdict == green)
}

// each calls f for 0 … n-1, as many at a time as there are trees.
func (s *session) each(n int, f func(int, tree)) {
	var wg sync.WaitGroup
	for i := range n {
		if s.ctx.Err() != nil {
			break
		}
		t := <-s.trees
		wg.Go(func() {
			defer func() { s.trees <- t }()
			f(i, t)
		})
	}
	wg.Wait()
}

// buildable builds the project as it is. Nothing can be said about a mutant of a
// project that does not build.
func (s *session) buildable() error {
	if s.check {
		return nil
	}
	t := <-s.trees
	defer func() { s.trees <- t }()
	if err := t.reset(); err != nil {
		return err
	}
	if code, out, err := shell(s.ctx, t.dir, s.build, s.limit); code != 0 {
		return fmt.Errorf("the project does not build, with no mutant in it:\n%s", last(out, err))
	}
	return nil
}

// baseline runs each test line on the project as it is and returns what was
// wrong with those that did not pass.
func (s *session) baseline(mutants []mutant) map[string]string {
	if s.check {
		return nil
	}
	var lines []string
	for _, m := range mutants {
		lines = append(lines, m.tests...)
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	found := make([]string, len(lines))
	s.each(len(lines), func(i int, t tree) {
		if err := t.reset(); err != nil {
			found[i] = err.Error()
			return
		}
		v, out, err := test(s.ctx, t.dir, lines[i], s.limit)
		if v != green {
			found[i] = fmt.Sprintf("without the mutant already %s (must pass): %s\n%s", v, lines[i], last(out, err))
		}
	})
	ills := map[string]string{}
	for i, ill := range found {
		if ill != "" {
			ills[lines[i]] = ill
		}
	}
	return ills
}

// mutate applies one mutant to t and runs its tests.
func (s *session) mutate(m mutant, t tree, ills map[string]string) (r result) {
	start := time.Now()
	r = result{mutant: m, verdict: broken}
	defer func() { r.took = time.Since(start) }()
	for _, line := range m.tests {
		if ill := ills[line]; ill != "" {
			r.detail = ill
			return r
		}
	}
	if s.check { // the project itself will do, nothing is changed
		if err := apply(s.ctx, t.from, m, true); err != nil {
			r.detail = err.Error()
			return r
		}
		r.verdict = green
		return r
	}
	if err := t.reset(); err != nil {
		r.detail = err.Error()
		return r
	}
	if err := apply(s.ctx, t.dir, m, false); err != nil {
		r.detail = err.Error()
		return r
	}
	if code, out, err := shell(s.ctx, t.dir, s.build, s.limit); code != 0 {
		r.detail = "the mutant does not build\n" + last(out, err)
		return r
	}
	for _, line := range m.tests {
		v, out, err := test(s.ctx, t.dir, line, s.limit)
		r.verdict, r.by, r.detail = v, line, line+"\n"+last(out, err)
		if v.caught() {
			break
		}
	}
	return r
}

// tell prints the verdict on a mutant, and why when it is not the expected one.
func (s *session) tell(r result) {
	if s.ctx.Err() != nil || s.check && !s.wrong(r) {
		return
	}
	line := fmt.Sprintf("%-8s %-44s %-8s %7.1f\n", r.promise, r.name, r.verdict, r.took.Seconds())
	if s.wrong(r) {
		line += indent(r.why+"\n"+r.detail) + "\n"
	}
	s.say("%s", line)
}

func (s *session) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format, args...)
}
