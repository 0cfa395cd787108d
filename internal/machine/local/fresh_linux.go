package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// fresh mounts what every sandbox has of its own.
func (b *builder) fresh(o order) error {
	steps := []func() error{
		b.makeFreshDirs, b.proc, b.sys, b.dev, b.run,
		func() error { return b.own(o) },
		b.resolver,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) makeFreshDirs() error {
	if b.way == wayUser { // the root is read-only, and has them
		return nil
	}
	for _, d := range freshDirs {
		if err := os.Mkdir(filepath.Join(b.root, d), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make %s: %w", d, err)
		}
	}
	return nil
}

func (b *builder) mount(fstype, path string, flags uintptr, options string) error {
	if err := unix.Mount(fstype, filepath.Join(b.root, path), fstype, flags, options); err != nil {
		return fmt.Errorf("mount %s: %w", path, err)
	}
	return nil
}

// proc shows the sandbox's own processes. Where root is the host's root, in a user namespace too,
// what changes the host is read-only; nobody else may write there.
func (b *builder) proc() error {
	if err := b.mount("proc", "/proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	if !b.asRoot {
		return nil
	}
	for _, p := range []string{"sys", "sysrq-trigger", "irq", "bus", "fs"} {
		target := filepath.Join(b.root, "proc", p)
		if err := bindReadOnly(target, target); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("make /proc/%s read-only: %w", p, err)
		}
	}
	return nil
}

// sys is read-only. A user namespace may not have one of its own while the network is the host's.
func (b *builder) sys() error {
	const flags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	switch b.way {
	case wayRoot:
		return b.mount("sysfs", "/sys", flags, "")
	case wayUser:
		return nil // bound with the rest
	}
	target := filepath.Join(b.root, "sys")
	if err := unix.Mount("/sys", target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind /sys: %w", err)
	}
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, target, unix.AT_RECURSIVE, attr); err != nil {
		return fmt.Errorf("make /sys read-only: %w", err)
	}
	return nil
}

// device is a character device that every machine has.
type device struct {
	name         string
	major, minor uint32
}

// everyDevice are the devices of a sandbox; hostDevices it has where the host has them.
var (
	everyDevice = []device{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}}
	hostDevices = []string{"fuse", "kvm", "net/tun", "dri", "kfd", "nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"}
)

func (b *builder) dev() error {
	if err := b.mount("tmpfs", "/dev", unix.MS_NOSUID, "mode=0755,size=1m"); err != nil {
		return err
	}
	dev := filepath.Join(b.root, "dev")
	for _, d := range everyDevice {
		if b.way == wayRoot && unix.Mknod(filepath.Join(dev, d.name), unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))) == nil {
			continue
		}
		if err := bindDevice(d.name, dev); err != nil {
			return fmt.Errorf("make /dev/%s: %w", d.name, err)
		}
	}
	for _, name := range hostDevices {
		if _, err := os.Lstat(filepath.Join("/dev", name)); err != nil {
			continue
		}
		if err := bindDevice(name, dev); err != nil {
			b.note("/dev/%s is left out: %v", name, cause(err))
		}
	}
	for name, to := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(to, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	for _, d := range []string{"pts", "shm", "mqueue"} {
		if err := os.Mkdir(filepath.Join(dev, d), 0o755); err != nil {
			return err
		}
	}
	if err := b.mount("devpts", "/dev/pts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"); err != nil {
		b.note("no terminals: %v", cause(err))
	}
	if err := b.mount("mqueue", "/dev/mqueue", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		b.note("no message queues: %v", cause(err))
	}
	return b.mount("tmpfs", "/dev/shm", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777")
}

// bindDevice binds a device, or a directory of devices, of the host.
func bindDevice(name, dev string) error {
	source, target := filepath.Join("/dev", name), filepath.Join(dev, name)
	fi, err := os.Stat(source)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	if fi.IsDir() {
		err = os.Mkdir(target, 0o755)
	} else {
		err = os.WriteFile(target, nil, 0o600)
	}
	if err != nil {
		return err
	}
	return unix.Mount(source, target, "", unix.MS_BIND, "")
}

func (b *builder) run() error {
	if err := b.mount("tmpfs", "/run", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return err
	}
	for _, d := range []string{insideDir, insideWork, insideResults, insideBin, "/run/lock"} {
		if err := os.Mkdir(filepath.Join(b.root, d), 0o755); err != nil {
			return err
		}
	}
	return os.Chmod(filepath.Join(b.root, "/run/lock"), 0o777|fs.ModeSticky)
}

// own binds the run's own directories, which are on the host's disk: work, results and /tmp.
func (b *builder) own(o order) error {
	tmp := filepath.Join(o.Box, "tmp")
	if err := os.Mkdir(tmp, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Chmod(tmp, 0o777|fs.ModeSticky); err != nil {
		return err
	}
	for _, bind := range []struct{ from, to string }{{tmp, "/tmp"}, {o.Work, insideWork}, {o.Results, insideResults}} {
		if bind.from == "" {
			continue
		}
		if err := unix.Mount(bind.from, filepath.Join(b.root, bind.to), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", bind.to, err)
		}
	}
	return nil
}

// resolver brings in what /etc/resolv.conf points to, where that is a place that is fresh.
func (b *builder) resolver() error {
	path := "/etc/resolv.conf"
	for range 8 {
		to, err := os.Readlink(path)
		if err != nil {
			return nil // a file in its place, or none at all
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = filepath.Clean(to)
		if !isFresh(path) {
			continue
		}
		target := filepath.Join(b.root, path)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, nil, 0o644); err != nil {
			return err
		}
		if err := bindReadOnly(path, target); err != nil {
			b.note("%s is left out: %v", path, cause(err))
		}
		return nil
	}
	return nil
}
