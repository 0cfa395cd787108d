package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// builder assembles the root of a sandbox out of the host's mounts, in a mount namespace of its own.
type builder struct {
	way    way
	asRoot bool   // the host's root, whatever namespace it is in
	home   string // of an ordinary user
	box    string // host directory for what is thrown away
	root   string // where the new root is put together
	layers int
	memory bool // layers on disk are refused: they are in memory
	synced bool // the kernel does not know volatile overlays
	notes  []string
}

// build makes the sandbox's root and enters it. It must be called in a new mount namespace.
func build(o order) (notes []string, err error) {
	b := &builder{way: o.Way, asRoot: o.Root, home: o.Home, box: o.Box, root: filepath.Join(o.Box, "root")}
	defer unix.Umask(unix.Umask(0))
	// Nothing that is mounted here may reach the host. What the host unmounts may be let go of here;
	// in a user namespace that is all that may be changed.
	spread := uintptr(unix.MS_PRIVATE)
	if b.way != wayRoot {
		spread = unix.MS_SLAVE
	}
	if err := unix.Mount("", "/", "", spread|unix.MS_REC, ""); err != nil {
		return nil, fmt.Errorf("part the mounts from the host's: %w", err)
	}
	if err := os.MkdirAll(b.root, 0o755); err != nil {
		return nil, err
	}
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	steps := []func() error{
		func() error { return b.files(parseMountinfo(string(info))) },
		func() error { return b.fresh(o) },
		func() error { return b.hide(append(o.Hidden, filepath.Dir(o.Box))) },
		b.enter,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return b.notes, nil
}

func (b *builder) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

// files brings in the host's files.
func (b *builder) files(all []mount) error {
	switch b.way {
	case wayRoot:
		return b.overlayMounts(sharedMounts(all))
	case waySubuid:
		if err := unix.Mount("tmpfs", b.root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
			return fmt.Errorf("mount the sandbox's root: %w", err)
		}
		if err := b.overlayDirs("/", all); err != nil {
			return err
		}
		b.overlayOwn("/var/tmp", b.home)
		return nil
	default:
		return b.bindAll()
	}
}

// overlayMounts puts an overlay over every file system.
func (b *builder) overlayMounts(mounts []mount) error {
	for _, m := range mounts {
		target := filepath.Join(b.root, m.point)
		if m.point == "/" {
			if err := b.overlay("/", target, 0); err != nil {
				return fmt.Errorf("lay a throw-away layer over /: %w", err)
			}
			continue
		}
		// The kind of the mount point tells that of the mount, without touching a file system that
		// may not answer.
		fi, err := os.Lstat(target)
		if errors.Is(err, fs.ErrNotExist) { // unmounted and removed meanwhile
			continue
		}
		if err != nil {
			b.note("%s (%s) is left out: %v", m.point, m.fstype, cause(err))
			continue
		}
		if !fi.IsDir() {
			b.readOnly(m.point, target, "is a single file")
			continue
		}
		if slices.Contains(m.options, "ro") { // nobody may write there on the host either
			b.readOnly(m.point, target, "")
			continue
		}
		if err := b.overlay(m.point, target, mountFlags(m.options)); err != nil {
			b.readOnly(m.point, target, fmt.Sprintf("%s: %v", m.fstype, cause(err)))
		}
	}
	return nil
}

// overlayDirs puts an overlay over every directory in dir that holds no mount, and goes down into
// the others: in a user namespace what lies under a mount may not be uncovered. A directory that the
// user may not search stays empty, and nothing is said of it: nothing in it can be reached on the host
// either.
func (b *builder) overlayDirs(dir string, all []mount) error {
	if err := unix.Access(dir, unix.X_OK); errors.Is(err, fs.ErrPermission) {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.note("%s is left out: %v", dir, cause(err))
		return nil
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if isFresh(path) {
			continue
		}
		target := filepath.Join(b.root, path)
		if err := b.entry(path, target, e, all); err != nil {
			return fmt.Errorf("bring %s into the sandbox: %w", path, err)
		}
	}
	return nil
}

// overlayOwn puts overlays of their own over directories that the user may write in and that lie
// deep in others' directories: in a user namespace those cannot be copied up, being owned by ids
// that it does not have. Where that does not work they stay as they are.
func (b *builder) overlayOwn(dirs ...string) {
	for _, d := range dirs {
		target := filepath.Join(b.root, d)
		if fi, err := os.Lstat(target); err != nil || !fi.IsDir() || d == "/" || isFresh(d) || unix.Access(d, unix.W_OK) != nil {
			continue
		}
		_ = b.overlay(d, target, 0)
	}
}

func (b *builder) entry(path, target string, e fs.DirEntry, all []mount) error {
	isPoint := func(m mount) bool { return m.point == path }
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		to, err := os.Readlink(path)
		if err != nil {
			return err
		}
		return os.Symlink(to, target)
	case !e.IsDir():
		return b.file(path, target, e, slices.ContainsFunc(all, isPoint))
	}
	if err := os.Mkdir(target, permOf(path)); err != nil {
		return err
	}
	switch {
	case slices.ContainsFunc(all, func(m mount) bool { return isPoint(m) && slices.Contains(pseudo, m.fstype) }):
		return nil
	case slices.ContainsFunc(all, func(m mount) bool { return m.point != path && isBelow(m.point, path) }):
		return b.overlayDirs(path, all)
	}
	if err := b.overlay(path, target, 0); err != nil {
		b.readOnly(path, target, cause(err).Error())
	}
	return nil
}

// smallFile is how much of a file that lies beside a mount is worth a copy of its own.
const smallFile = 1 << 20

// file brings in what no directory's overlay does: a copy, which may be written, of what is small
// and readable, and the rest read-only.
func (b *builder) file(path, target string, e fs.DirEntry, mounted bool) error {
	if fi, err := e.Info(); err == nil && fi.Mode().IsRegular() && fi.Size() <= smallFile && !mounted {
		if data, err := os.ReadFile(path); err == nil {
			return os.WriteFile(target, data, fi.Mode().Perm())
		}
	}
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		return err
	}
	why := ""
	switch {
	case mounted:
		why = "is a single file"
	case e.Type().IsRegular():
		why = "a large file beside a mount"
	}
	b.readOnly(path, target, why)
	return nil
}

// bindAll shows the host's files as they are, all of them read-only.
func (b *builder) bindAll() error {
	if err := unix.Mount("/", b.root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind the host's files: %w", err)
	}
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, b.root, unix.AT_RECURSIVE, attr); err != nil {
		return fmt.Errorf("make the host's files read-only: %w", err)
	}
	return nil
}

// overlay mounts a throw-away layer over lower.
func (b *builder) overlay(lower, target string, flags uintptr) error {
	err := b.overlayOn(b.box, lower, target, flags)
	if err == nil || b.memory {
		return err
	}
	// The file system of the box may not be able to hold layers, where it is an overlay itself.
	mem := filepath.Join(b.box, "memory")
	if err := os.Mkdir(mem, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if merr := unix.Mount("tmpfs", mem, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700"); merr != nil {
		return err
	}
	box := b.box
	b.box, b.memory = mem, true
	if err := b.overlayOn(mem, lower, target, flags); err != nil {
		b.box, b.memory = box, false
		_ = unix.Unmount(mem, unix.MNT_DETACH) // the error is that of the overlay
		return err
	}
	b.note("what the job writes outside its own directories is kept in memory")
	return nil
}

func (b *builder) overlayOn(box, lower, target string, flags uintptr) error {
	b.layers++
	upper, work := filepath.Join(box, fmt.Sprintf("upper%d", b.layers)), filepath.Join(box, fmt.Sprintf("work%d", b.layers))
	if err := os.Mkdir(work, 0o700); err != nil {
		return err
	}
	if err := makeLike(upper, lower, b.way == wayRoot); err != nil {
		return err
	}
	options := "lowerdir=" + escapeOption(lower) + ",upperdir=" + escapeOption(upper) + ",workdir=" + escapeOption(work)
	if b.way != wayRoot {
		options += ",userxattr"
	}
	if !b.synced {
		// Nothing of it outlives the run, so nothing of it need be synced.
		err := unix.Mount("overlay", target, "overlay", flags, options+",volatile")
		if !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	err := unix.Mount("overlay", target, "overlay", flags, options)
	if err == nil {
		b.synced = true
	}
	return err
}

// makeLike makes a directory that looks like another: the upper directory's attributes are what the
// job sees of the overlay's root.
func makeLike(dir, like string, owner bool) error {
	if err := os.Mkdir(dir, permOf(like)); err != nil {
		return err
	}
	var st unix.Stat_t
	if owner && unix.Stat(like, &st) == nil && (st.Uid != 0 || st.Gid != 0) {
		return os.Chown(dir, int(st.Uid), int(st.Gid))
	}
	return nil
}

// permOf are the permission bits of a directory, and the sticky bit.
func permOf(path string) os.FileMode {
	fi, err := os.Stat(path)
	if err != nil {
		return 0o755
	}
	return fi.Mode() & (fs.ModePerm | fs.ModeSticky)
}

var optionEscaper = strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`)

// escapeOption keeps a path one value among overlay's options.
func escapeOption(path string) string { return optionEscaper.Replace(path) }

// mountFlags are those of a mount that an overlay over it keeps.
func mountFlags(options []string) uintptr {
	var flags uintptr
	for name, flag := range map[string]uintptr{"nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC} {
		if slices.Contains(options, name) {
			flags |= flag
		}
	}
	return flags
}

// readOnly binds a path of the host read-only, and says so where there is a reason to. What has gone
// from the host meanwhile is not missing.
func (b *builder) readOnly(path, target, why string) {
	err := bindReadOnly(path, target)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		b.note("%s is left out: %v", path, cause(err))
		return
	}
	if why != "" {
		b.note("%s is read-only: %s", path, why)
	}
}

// bindReadOnly binds path at target without the mounts below it. The flags the mount has stay: in a
// user namespace they may not be taken off.
func bindReadOnly(path, target string) error {
	if err := unix.Mount(path, target, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(target, &st); err != nil {
		return err
	}
	flags := uintptr(st.Flags) & (unix.ST_NOSUID | unix.ST_NODEV | unix.ST_NOEXEC | unix.ST_NOATIME | unix.ST_NODIRATIME)
	if st.Flags&unix.ST_RELATIME != 0 {
		flags |= unix.MS_RELATIME
	}
	return unix.Mount("", target, "", flags|unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

// hide puts an empty, read-only directory over paths of the host.
func (b *builder) hide(paths []string) error {
	var done []string
	slices.Sort(paths)
	for _, p := range paths {
		real, err := filepath.EvalSymlinks(p)
		if errors.Is(err, fs.ErrNotExist) || isFresh(real) {
			continue
		}
		if err != nil {
			return fmt.Errorf("hide %s: %w", p, err)
		}
		if slices.ContainsFunc(done, func(d string) bool { return isBelow(real, d) }) {
			continue
		}
		done = append(done, real)
		target := filepath.Join(b.root, real)
		if fi, err := os.Stat(target); err != nil {
			continue // not in the sandbox
		} else if !fi.IsDir() {
			err = unix.Mount(filepath.Join(b.root, "dev/null"), target, "", unix.MS_BIND, "")
			if err != nil {
				return fmt.Errorf("hide %s: %w", p, err)
			}
			continue
		}
		if err := unix.Mount("tmpfs", target, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "size=4k,mode=0555"); err != nil {
			return fmt.Errorf("hide %s: %w", p, err)
		}
	}
	return nil
}

// enter makes the new root the root, and lets go of the old one.
func (b *builder) enter() error {
	if err := unix.Chdir(b.root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("enter the sandbox's root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the host's root: %w", err)
	}
	return unix.Chdir("/")
}

// cause is the innermost error: a note needs no path twice.
func cause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
