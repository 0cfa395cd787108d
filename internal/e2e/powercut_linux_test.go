package e2e_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket/dir"
	"github.com/dayfly-io/dayfly/internal/machine"
	"github.com/dayfly-io/dayfly/internal/machine/local"
	"github.com/dayfly-io/dayfly/internal/reconcile"
	"github.com/dayfly-io/dayfly/internal/spec"
	"github.com/dayfly-io/dayfly/internal/store"
	"github.com/dayfly-io/dayfly/internal/store/sqlite"
)

var cutCount = flag.Int("e2e.cuts", 300, "how many power cuts TestPowerCutReal makes of what it has recorded; 0: at every moment, with every fate")

// day is what people did with an installation while its disk was on record, and what they were told.
type day struct {
	t      *testing.T
	h      *home
	w      *witness
	log    *disklog
	out    string // a directory for what commands say, which is not on record
	begun  int
	alive  []<-chan struct{} // commands, and what they started
	claims []claim
	final  map[string]record // what history shows in the end
}

// claim is something that somebody was told, or saw, at a moment: no power cut after that makes it untrue,
// until somebody begins to make it so.
type claim struct {
	at    int
	ends  int // 0: never
	what  string
	holds func(ctx context.Context, s *salvage) error
}

// TestPowerCutReal is R7 for power cuts. All that an installation asks of its disk while people use it is
// recorded. From that, disks are made as a power cut at some moment may leave them, with what was not synced
// dropped, reordered or torn, and are opened with the real store, bucket and provider, which must need no help.
// What anybody had been told before is there, no object is half, no job begins again, and every run comes to
// its end.
func TestPowerCutReal(t *testing.T) {
	t.Parallel()
	seed := *realSeed
	for seed == 0 {
		seed = rand.Uint64()
	}
	d := newDay(t)
	t.Logf("seed: -e2e.seed=%d; %d calls, %d changes, %d syncs, %d claims", seed, d.log.clock, len(d.log.log), len(d.log.syncs), len(d.claims))
	begun := time.Now()
	cuts := d.cuts(*cutCount, rand.New(rand.NewPCG(seed, 7)))
	var wg sync.WaitGroup
	var next, bad atomic.Int64
	for range 2 {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(cuts) && bad.Load() < 5; i = next.Add(1) - 1 {
				if err := d.try(cuts[i]); err != nil {
					bad.Add(1)
					t.Errorf("a power cut at %s:\n%v", d.describe(cuts[i]), err)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("R7: %d power cuts in %s", len(cuts), time.Since(begun).Round(time.Second))
}

// powerCut is one of them. What is drawn follows from its seed.
type powerCut struct {
	moment int
	fate   fate
	seed   uint64
}

// cuts draws power cuts: at any moment, half of them just after somebody was told something or just before
// a sync was done; or takes all there are.
func (d *day) cuts(n int, rng *rand.Rand) (out []powerCut) {
	if n == 0 {
		for m := range d.log.clock {
			for _, f := range fates {
				out = append(out, powerCut{m + 1, f, rng.Uint64()})
			}
		}
		return out
	}
	var edges []int
	for _, c := range d.claims {
		edges = append(edges, c.at+1)
	}
	for _, s := range d.log.syncs {
		edges = append(edges, s.done, s.done+1)
	}
	for i := range n {
		moment := 1 + rng.IntN(d.log.clock)
		if i%2 == 0 {
			moment = edges[rng.IntN(len(edges))]
		}
		out = append(out, powerCut{moment, fates[i%len(fates)], rng.Uint64()})
	}
	return out
}

// describe shows what was at stake: the last of what had been asked for and not synced, of all that counts.
func (d *day) describe(c powerCut) string {
	const shown = 30
	synced := d.log.synced(c.moment)
	var open []string
	for _, e := range d.log.log {
		path := d.log.path(e.node)
		if e.at >= c.moment || e.at < synced[e.node] || strings.Contains(path, "/.in progress") || strings.HasSuffix(path, ".write") || strings.Contains(path, "/box") {
			continue
		}
		what := fmt.Sprintf("%d bytes at %d", len(e.data), e.offset)
		switch {
		case e.inDirectory():
			what = fmt.Sprintf("%s is node %d", e.name, e.child)
		case e.data == nil:
			what = fmt.Sprintf("%d bytes long", e.offset)
		}
		open = append(open, fmt.Sprintf("\n  %d %s: %s", e.at, path, what))
	}
	return fmt.Sprintf("%d of %d, where %s; the last that had been asked for and not synced:%s\nand so", c.moment, d.log.clock, c.fate.name,
		strings.Join(open[max(0, len(open)-shown):], ""))
}

// salvage is what a power cut left, opened.
type salvage struct {
	dir    string
	store  store.Store
	bucket *dir.Bucket
}

// try makes one power cut and looks at what is left.
func (d *day) try(c powerCut) (err error) {
	top, err := os.MkdirTemp(memory(), "dayfly-cut-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(top)
	img := d.log.cut(c.moment, c.fate, rand.New(rand.NewPCG(c.seed, 1)))
	if err := d.log.lay(img, top); err != nil {
		return err
	}
	ctx := d.t.Context()
	s := &salvage{dir: filepath.Join(top, "data")}
	if err := d.installation(s, c.moment); err != nil {
		return err
	}
	if s.store, err = sqlite.Open(ctx, filepath.Join(s.dir, "dayfly.db"), sqlite.Options{Holder: "test", Now: time.Now}); err != nil {
		return err
	}
	defer s.store.Close()
	if s.bucket, err = dir.Open(filepath.Join(s.dir, "bucket")); err != nil {
		return err
	}
	defer s.bucket.Close()
	errs := integrityOf(ctx, filepath.Join(s.dir, "dayfly.db"))
	errs = append(errs, d.whole(s), d.nothingFalse(ctx, s), d.true(ctx, s, c.moment))
	if errors.Join(errs...) == nil {
		errs = append(errs, d.goOn(ctx, s, c.moment), d.true(ctx, s, c.moment))
	}
	return errors.Join(errs...)
}

// memory is where files are cheap, if there is such a place.
func memory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() && unix.Access("/dev/shm", unix.W_OK) == nil {
		return "/dev/shm"
	}
	return ""
}

// installation: the name that machines carry is the same as ever, or nothing was told yet.
func (d *day) installation(s *salvage, moment int) error {
	text, err := os.ReadFile(filepath.Join(s.dir, "dayfly.yaml"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	settings, err := spec.LoadSettings("dayfly.yaml", text)
	if err != nil {
		return fmt.Errorf("the settings: %w", err)
	}
	if settings.Installation == d.name() || settings.Installation == "" && (len(d.claims) == 0 || moment <= d.claims[0].at) {
		return nil
	}
	return fmt.Errorf("the installation is named %q, and was %q", settings.Installation, d.name())
}

func (d *day) name() string {
	text, err := os.ReadFile(filepath.Join(d.h.dir, "dayfly.yaml"))
	settings, lerr := spec.LoadSettings("dayfly.yaml", text)
	if err := errors.Join(err, lerr); err != nil {
		d.t.Error(err)
	}
	return settings.Installation
}

// whole: what lies under a key is what was put there, as a whole.
func (d *day) whole(s *salvage) error {
	var errs []error
	for info, err := range s.bucket.List(d.t.Context(), "", "") {
		if err != nil {
			return err
		}
		content, err := os.ReadFile(filepath.Join(s.dir, "bucket", info.Key))
		if err != nil || !d.log.held("data/bucket/"+info.Key, content) {
			errs = append(errs, fmt.Errorf("under the key %s lie %d bytes that nobody put there (%w)", info.Key, len(content), err))
		}
	}
	return errors.Join(errs...)
}

// nothingFalse: there is no run that nobody asked for, none has ended otherwise than it did, and one that has
// succeeded has its log and results.
func (d *day) nothingFalse(ctx context.Context, s *salvage) error {
	var errs []error
	for r, err := range s.store.History(ctx, store.Filter{}) {
		if err != nil {
			return err
		}
		is, known := d.final[string(r.ID)]
		if !known || r.State == dayfly.Ended && string(r.Outcome) != is.Outcome {
			errs = append(errs, fmt.Errorf("there is run %s, %s %s, and in truth it is %+v", r.ID, r.State, r.Outcome, is))
		}
		if r.Outcome != dayfly.Succeeded {
			continue
		}
		want := deed{log: []byte(performedLog), results: map[string][]byte{"a": []byte(performedResult)}}
		if err := want.saved(filepath.Join(s.dir, "bucket/runs", string(r.Job), string(r.ID), "1")); err != nil {
			errs = append(errs, fmt.Errorf("run %s succeeded: %w", r.ID, err))
		}
	}
	return errors.Join(errs...)
}

// true: what somebody was told before is so.
func (d *day) true(ctx context.Context, s *salvage, moment int) error {
	var errs []error
	for _, c := range d.claims {
		if c.at >= moment || c.ends > 0 && c.ends < moment {
			continue
		}
		if err := c.holds(ctx, s); err != nil {
			errs = append(errs, fmt.Errorf("at %d, %s: %w", c.at, c.what, err))
		}
	}
	return errors.Join(errs...)
}

// goOn makes passes until every run has ended, on a provider that begins no machines: a supervisor only says
// that it was asked for one, and closes it.
func (d *day) goOn(ctx context.Context, s *salvage, moment int) error {
	asked := filepath.Join(filepath.Dir(s.dir), "asked")
	exe := filepath.Join(filepath.Dir(s.dir), "supervisor")
	script := fmt.Sprintf("#!/bin/sh\nfor machine; do :; done\necho \"$machine\" >> %s\n: > \"$machine/closed\"\necho before >&4\n", asked)
	machines := filepath.Join(s.dir, "machines")
	err := errors.Join(os.WriteFile(exe, []byte(script), 0o700), os.MkdirAll(machines, 0o700),
		copyFile(filepath.Join(machines, ".rungs.json"), filepath.Join(d.h.dir, "machines/.rungs.json"))) // no way is tried out here
	if err != nil {
		return err
	}
	var later time.Duration
	now := func() time.Time { return time.Now().Add(later) }
	p, err := local.New(local.Config{Dir: machines, Exe: exe, Hidden: []string{s.dir}, Now: now})
	if err != nil {
		return err
	}
	loop, err := reconcile.New(reconcile.Config{
		Installation: d.name(), Store: s.store, Bucket: s.bucket, Providers: map[string]machine.Provider{"local": p}, Now: now,
		Jitter: func(d time.Duration) time.Duration { return d }, Secret: os.Readlink, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	const enough = 20
	for range enough {
		// Disks of one day are opened side by side, and its machines have the same tokens on all of them: who
		// clears one folder passes for the first process of another, whose tags did not survive.
		_, err := loop.Pass(ctx, reconcile.Scope{Slots: true})
		if err != nil && !strings.Contains(err.Error(), "its folder does not say whose it is") {
			return fmt.Errorf("a pass: %w", err)
		}
		active, err := s.store.ActiveRuns(ctx, store.Scope{})
		if err != nil {
			return err
		}
		if len(active) == 0 {
			text, err := os.ReadFile(asked)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return d.once(strings.Fields(string(text)), moment)
		}
		later += time.Minute
	}
	active, err := s.store.ActiveRuns(ctx, store.Scope{})
	return fmt.Errorf("after %d passes there are runs that have not ended: %+v (%w)", enough, active, err)
}

// once: nobody begins a machine whose job had begun.
func (d *day) once(asked []string, moment int) error {
	var errs []error
	for _, folder := range asked {
		token := filepath.Base(folder)
		for _, said := range d.log.told {
			f := strings.Fields(said.text)
			if said.by == "job" && said.at < moment && len(f) == 3 && f[0] == "start" && dayfly.Token(d.name(), dayfly.RunID(f[1]), 1, 0) == token {
				errs = append(errs, fmt.Errorf("run %s had begun, and its machine was begun again", f[1]))
			}
		}
	}
	return errors.Join(errs...)
}

// held tells whether a path once stood for a file with exactly this content.
func (d *disklog) held(path string, content []byte) bool {
	for _, known := range d.contents()[path] {
		if known == sha256.Sum256(content) {
			return true
		}
	}
	return false
}

// contents are what lay under each path when it was given its name, or was written under it.
func (d *disklog) contents() map[string][][sha256.Size]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.paths != nil {
		return d.paths
	}
	d.paths = map[string][][sha256.Size]byte{}
	img, at := image{files: map[int][]byte{}, dirs: map[int]map[string]int{}}, map[int]string{0: ""}
	for _, e := range d.log {
		img.apply(e, false, nil)
		if !e.inDirectory() || e.child < 0 {
			continue
		}
		path := at[e.node] + e.name
		if d.nodes[e.child].dir {
			at[e.child] = path + "/"
			continue
		}
		d.paths[path] = append(d.paths[path], sha256.Sum256(img.files[e.child]))
	}
	return d.paths
}
