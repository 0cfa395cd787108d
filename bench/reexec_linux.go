package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// As these first arguments the program is a child of itself, in namespaces of its own.
const (
	justExec  = "just-exec"   // PROGRAM: execs it
	inNewRoot = "in-new-root" // SCRATCH PROGRAM: execs it under an overlay of /
	asCron    = "as-cron"     // SCRATCH CRONTAB CRON: execs cron, which finds that crontab and no other
)

// reexec does what such an argument says; it comes back only where there is none, or when that goes wrong.
func reexec(args []string) error {
	switch {
	case len(args) == 2 && args[0] == justExec:
		return become(args[1])
	case len(args) == 3 && args[0] == inNewRoot:
		return newRoot(args[1], args[2])
	case len(args) == 4 && args[0] == asCron:
		return cronAlone(args[1], args[2], args[3])
	}
	return nil
}

func newRoot(scratch, program string) error {
	if err := private(scratch); err != nil {
		return err
	}
	root := filepath.Join(scratch, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	if err := overlay(scratch, "/", root); err != nil {
		return err
	}
	if err := syscall.Chroot(root); err != nil {
		return fmt.Errorf("chroot %s: %w", root, err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	return become(program)
}

// cronAlone hides every crontab of the machine and its pid file before it execs cron. All that it makes is in
// file systems that end with the namespace.
func cronAlone(scratch, crontab, cron string) error {
	lines, err := os.ReadFile(crontab)
	if err != nil {
		return err
	}
	if err := private(scratch); err != nil {
		return err
	}
	for _, dir := range []string{"/etc", "/var/spool"} {
		if err := overlay(scratch, dir, dir); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/etc/cron.d", "/var/spool/cron", "/run"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := memory(dir); err != nil {
			return err
		}
	}
	if err := os.Mkdir("/var/spool/cron/crontabs", 0o730); err != nil {
		return err
	}
	if err := os.WriteFile("/etc/crontab", nil, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile("/etc/cron.d/bench", lines, 0o644); err != nil {
		return err
	}
	return become(cron, "-f")
}

func become(program string, args ...string) error {
	return fmt.Errorf("exec %s: %w", program, syscall.Exec(program, append([]string{program}, args...), os.Environ()))
}

// private keeps what is mounted from now on in this namespace, and makes scratch a place in memory.
func private(scratch string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return memory(scratch)
}

func memory(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount a tmpfs at %s: %w", dir, err)
	}
	return nil
}

// overlay shows what lies at lower at a place, writable; what is written goes to scratch.
func overlay(scratch, lower, at string) error {
	layers, err := os.MkdirTemp(scratch, "layers-")
	if err != nil {
		return err
	}
	upper, work := filepath.Join(layers, "upper"), filepath.Join(layers, "work")
	for _, dir := range []string{upper, work} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := syscall.Mount("overlay", at, "overlay", 0, "lowerdir="+lower+",upperdir="+upper+",workdir="+work); err != nil {
		return fmt.Errorf("mount an overlay of %s: %w", lower, err)
	}
	return nil
}
