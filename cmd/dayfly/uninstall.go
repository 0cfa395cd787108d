package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/daemon"
)

// uninstallFlags are the flags of uninstall.
type uninstallFlags struct {
	dryRun, bucket bool
}

func (a *app) uninstallCommand() *cobra.Command {
	var f uninstallFlags
	cmd := &cobra.Command{
		Use: "uninstall", Short: "Ends everything and removes all data, and shows that nothing is left", Args: none,
		Long: `Removes the data directory: settings, records, history, logs, results. First it ends what runs, a dayfly
serve of this user too, and waits until every machine is observed gone; afterwards it looks whether any
machine, process, cgroup, mount or file is left. What it will remove is shown before, and it asks.

It leaves alone the job files, the program itself, files in the data directory that are not dayfly's, and
units of systemd and crontabs, which it names. A bucket outside of the data directory may belong to others
as well, and goes only with --bucket.`,
		Example: "  dayfly uninstall --dry-run\n  dayfly uninstall --data /var/lib/dayfly --yes",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.uninstall(cmd, f) },
	}
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only show what would be removed")
	cmd.Flags().BoolVar(&f.bucket, "bucket", false, "remove a bucket that is outside of the data directory, too")
	cmd.Flags().Bool("yes", false, "begin without asking")
	return cmd
}

// part is something that goes.
type part struct {
	what  string
	paths []string // removed in this order
	size  int64
	files int
}

// uninstalling is what would be done.
type uninstalling struct {
	named    string // the data directory, as it was named: perhaps a link to it
	dir      string
	flags    uninstallFlags
	home     *home // only its settings
	parts    []part
	foreign  []string // in the data directory, and not dayfly's
	stays    string   // why the directory itself stays; empty where it goes
	left     []string // what else stays, in words
	daemon   int      // the process that serves it; 0: none
	machines int      // that are there now
}

func (a *app) uninstall(cmd *cobra.Command, f uninstallFlags) error {
	ctx := cmd.Context()
	where, err := a.dataDir()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(where); errors.Is(err, fs.ErrNotExist) {
		a.say("There is nothing to remove: %s is not there.", where)
		return nil
	}
	r, err := a.planUninstall(ctx, where, f)
	if err != nil {
		return err
	}
	w := a.err
	if f.dryRun {
		w = a.page()
	}
	for _, line := range r.preview() {
		if _, err := fmt.Fprintln(w, clean(line)); err != nil {
			return err
		}
	}
	if f.dryRun {
		return nil
	}
	if err := a.prompter(cmd).confirmName("Remove all of it", filepath.Base(r.named)); err != nil {
		return err
	}
	return a.remove(ctx, r)
}

// planUninstall looks at everything and changes nothing. What it cannot look at it does not remove.
func (a *app) planUninstall(ctx context.Context, where string, f uninstallFlags) (r uninstalling, err error) {
	r.named, r.flags = where, f
	if r.dir, err = filepath.EvalSymlinks(where); err != nil {
		return r, fmt.Errorf("find the data directory: %w", err)
	}
	r.home = &home{dir: r.dir, lookup: a.lookup, now: a.now, log: a.logger()}
	if _, err := os.Lstat(r.home.path(settingsFile)); errors.Is(err, fs.ErrNotExist) {
		return r, &dayfly.Error{
			Code: dayfly.CodeRefused, Message: fmt.Sprintf("%s is no data directory of dayfly: it has no %s", where, settingsFile),
			Hint: "name the data directory with --data DIR",
		}
	}
	if r.home.settings, _, err = readSettings(r.home.path(settingsFile)); err != nil {
		return r, err
	}
	mounts := mountsIn(r.dir)
	if f.bucket {
		mounts = append(mounts, mountsIn(r.home.bucketDir())...)
	}
	for _, at := range mounts {
		if at != r.dir {
			return r, &dayfly.Error{
				Code: dayfly.CodeRefused, Message: fmt.Sprintf("%s is a mount point in what is to be removed", at),
				Hint: "umount " + at + " first, so that nothing is removed that is elsewhere",
			}
		}
	}
	if err := r.served(); err != nil {
		return r, err
	}
	if err := r.sort(); err != nil {
		return r, err
	}
	if err := r.weigh(); err != nil {
		return r, err
	}
	providers, err := r.home.Providers()
	if err != nil {
		return r, err
	}
	for name, p := range providers {
		list, err := r.home.list(ctx, p)
		if err != nil {
			return r, fmt.Errorf("list machines on %s: %w", name, err)
		}
		for _, m := range list.Machines {
			if m.State != dayfly.MachineTerminated {
				r.machines++
			}
		}
	}
	a.leaves(ctx, &r)
	return r, nil
}

// whyStays is why the directory itself stays; empty where it goes.
func (r *uninstalling) whyStays() string {
	switch {
	case len(r.foreign) > 0:
		return "it holds what is not dayfly's"
	case slices.Contains(mountsIn(r.dir), r.dir):
		return "it is a mount point"
	}
	for _, path := range []string{r.dir, r.named} {
		if above := filepath.Dir(path); mayRemove(above, path) != nil {
			return "this user may not remove it from " + above
		}
	}
	return ""
}

// served finds the daemon, and refuses where it is somebody else's.
func (r *uninstalling) served() error {
	pid, held, err := daemon.Holder(r.home.path(lockFile))
	if err != nil || !held {
		return err
	}
	if r.daemon = pid; pid > 0 && mayEnd(pid) {
		return nil
	}
	return &dayfly.Error{
		Code: dayfly.CodeRefused, Message: fmt.Sprintf("process %d serves %s, and this user may not end it", pid, r.dir),
		Hint: "be its user, or root; or stop it there first",
	}
}

// ours tells what a name in the data directory is; empty where dayfly did not make it.
func ours(name string) string {
	switch {
	case name == "machines":
		return "machines"
	case name == "bell" || name == lockFile || name == announceFile || strings.HasPrefix(name, halfWritten) || strings.HasPrefix(name, halfPacked):
		return "working files"
	case name == recordsFile || strings.HasPrefix(name, recordsFile+"-") || strings.HasPrefix(name, recordsFile+"."):
		return "records: jobs, history"
	case name == settingsFile:
		return "settings"
	}
	return ""
}

// removedOrder is the order in which the parts go. The settings are last: as long as they are there, the
// command can be repeated.
var removedOrder = []string{"logs, results, files of jobs", "machines", "records: jobs, history", "working files", "settings"}

// sort finds what goes, and what in the directory is not dayfly's.
func (r *uninstalling) sort() error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return unreadable(r.dir, err)
	}
	r.parts, r.foreign = nil, nil
	parts := map[string]*part{}
	for _, what := range removedOrder {
		parts[what] = &part{what: what}
	}
	bucket := parts[removedOrder[0]]
	for _, e := range entries {
		path := r.home.path(e.Name())
		what := ours(e.Name())
		switch {
		case isWithin(r.home.bucketDir(), path):
			bucket.paths = append(bucket.paths, r.home.bucketDir())
			if r.home.bucketDir() != path { // a folder on the way to it may hold what is not ours
				r.foreign = append(r.foreign, path)
			}
		case what != "":
			parts[what].paths = append(parts[what].paths, path)
		default:
			r.foreign = append(r.foreign, path)
		}
	}
	if r.flags.bucket && r.bucketOutside() {
		bucket.paths = append(bucket.paths, r.home.bucketDir())
	}
	for _, what := range removedOrder {
		if p := parts[what]; len(p.paths) > 0 {
			r.parts = append(r.parts, *p)
		}
	}
	r.stays = r.whyStays()
	return nil
}

// bucketOutside tells whether there is a bucket outside of the data directory.
func (r *uninstalling) bucketOutside() bool {
	at := r.home.bucketDir()
	return !isWithin(at, r.dir) && exists(at)
}

// weigh finds how large all of it is. Everything must be readable, and may be removed.
func (r *uninstalling) weigh() error {
	var wrong []error
	for i := range r.parts {
		for _, path := range r.parts[i].paths {
			wrong = append(wrong, r.parts[i].weigh(path))
		}
	}
	return errors.Join(wrong...)
}

// isWithin tells whether a path is a directory or below it.
func isWithin(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// weigh adds what is at a path, which this user must be able to read and remove.
func (p *part) weigh(path string) error {
	if err := mayRemove(filepath.Dir(path), path); err != nil {
		return err
	}
	return filepath.WalkDir(path, func(at string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = mayRemove(at, "")
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went meanwhile: runs come to their end
		}
		if err != nil {
			return unremovable(at, err)
		}
		if info, err := e.Info(); err == nil && !e.IsDir() {
			p.size += info.Size()
			p.files++
		}
		return nil
	})
}

func unremovable(path string, err error) error {
	if dayfly.ErrorCode(err) == dayfly.CodeRefused {
		return err
	}
	return &dayfly.Error{
		Code: dayfly.CodeRefused, Message: fmt.Sprintf("%s cannot be looked at or removed by this user: %s", path, reason(err)),
		Hint: "nothing was removed; be the user whose it is, or root", Err: err,
	}
}

// preview says what goes and what stays, to people.
func (r uninstalling) preview() []string {
	lines := []string{"This removes " + r.named + ":"}
	if r.named != r.dir {
		lines[0] = fmt.Sprintf("This removes %s, and %s which is a link to it:", r.dir, r.named)
	}
	var all int64
	for _, p := range r.parts {
		text := fmt.Sprintf("  %-28s  %9s  %s", p.what, size(p.size), plural(p.files, "file"))
		if p.what == removedOrder[0] && !isWithin(p.paths[0], r.dir) {
			text += ", " + p.paths[0]
		}
		lines = append(lines, text)
		all += p.size
	}
	lines = append(lines, fmt.Sprintf("  %-28s  %9s", "in all", size(all)))
	if r.daemon > 0 {
		lines = append(lines, fmt.Sprintf("It ends dayfly serve, process %d.", r.daemon))
	}
	if r.machines > 0 {
		lines = append(lines, fmt.Sprintf("It ends %s with what runs on them.", plural(r.machines, "machine")))
	}
	if len(r.left) > 0 {
		lines = append(lines, "It leaves alone:")
		for _, l := range r.left {
			lines = append(lines, "  "+l)
		}
	}
	return lines
}
