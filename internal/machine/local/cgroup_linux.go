package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"golang.org/x/sys/unix"
)

// limits are what a sandbox may use; 0 is no limit.
type limits struct {
	pids   int
	memory int64
	cpu    float64
}

// limitsOf are those of a launch. The task's own word on pids goes before the machine's.
func limitsOf(spec dayfly.Spec) limits {
	l := limits{pids: dayfly.DefaultPids, memory: spec.Machine.Memory, cpu: spec.Machine.CPU}
	if spec.Machine.Pids > 0 {
		l.pids = spec.Machine.Pids
	}
	if spec.Task.Pids > 0 {
		l.pids = spec.Task.Pids
	}
	return l
}

// controller is what a cgroup is asked to limit.
type controller string

const (
	pidsController   controller = "pids"
	memoryController controller = "memory"
	cpuController    controller = "cpu"
)

// wanted are the controllers that the limits need.
func (l limits) wanted() []controller {
	var out []controller
	if l.pids > 0 {
		out = append(out, pidsController)
	}
	if l.memory > 0 {
		out = append(out, memoryController)
	}
	if l.cpu > 0 {
		out = append(out, cpuController)
	}
	return out
}

// setting is one file of a cgroup and what is written to it.
type setting struct{ file, value string }

// supervisorTasks is room for PID 1's own threads, which the limit counts too.
const supervisorTasks = 16

// settings are the files that set a limit, on version 1 or 2.
func (l limits) settings(c controller, v2 bool) []setting {
	const period = 100_000
	quota := strconv.FormatInt(int64(max(l.cpu*period, 1_000)), 10)
	bytes := strconv.FormatInt(l.memory, 10)
	switch {
	case c == pidsController:
		return []setting{{"pids.max", strconv.Itoa(l.pids + supervisorTasks)}}
	case c == memoryController && v2:
		return []setting{{"memory.max", bytes}, {"memory.swap.max", "0"}}
	case c == memoryController:
		return []setting{{"memory.limit_in_bytes", bytes}, {"memory.memsw.limit_in_bytes", bytes}}
	case v2:
		return []setting{{"cpu.max", fmt.Sprintf("%s %d", quota, period)}}
	default:
		return []setting{{"cpu.cfs_period_us", strconv.Itoa(period)}, {"cpu.cfs_quota_us", quota}}
	}
}

// cgroup is a cgroup that a sandbox will have, not yet made.
type cgroup struct {
	dir         string
	v2          bool
	controllers []controller
}

// planCgroups finds where below this process's own cgroups a sandbox's can be made, without making
// any. What it does not cover nobody limits that way.
func planCgroups(token string, want []controller) []cgroup {
	info, err1 := os.ReadFile("/proc/self/mountinfo")
	own, err2 := os.ReadFile("/proc/self/cgroup")
	if err1 != nil || err2 != nil {
		return nil
	}
	return planCgroupsFrom(parseMountinfo(string(info)), string(own), token, want)
}

func planCgroupsFrom(mounts []mount, own, token string, want []controller) []cgroup {
	var out []cgroup
	name := cgroupName(token)
	left := slices.Clone(want)
	take := func(dir string, v2 bool, has func(controller) bool) {
		var got []controller
		left = slices.DeleteFunc(left, func(c controller) bool {
			if has(c) {
				got = append(got, c)
				return true
			}
			return false
		})
		if len(got) > 0 {
			out = append(out, cgroup{dir: filepath.Join(dir, name), v2: v2, controllers: got})
		}
	}
	for line := range strings.Lines(own) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		names, path, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		if names == "" {
			if dir := cgroupDir(mounts, path, func(m mount) bool { return m.fstype == "cgroup2" }); dir != "" {
				parent, has := delegated(dir, path == "/", want)
				take(parent, true, func(c controller) bool { return slices.Contains(has, string(c)) })
			}
			continue
		}
		list := strings.Split(names, ",")
		dir := cgroupDir(mounts, path, func(m mount) bool { return m.fstype == "cgroup" && slices.Contains(m.super, list[0]) })
		if dir != "" && unix.Access(dir, unix.W_OK) == nil {
			take(dir, false, func(c controller) bool { return slices.Contains(list, string(c)) })
		}
	}
	return out
}

// cgroupDir is the directory of a cgroup, empty where no mount shows it.
func cgroupDir(mounts []mount, path string, is func(mount) bool) string {
	for _, m := range mounts {
		if !is(m) || !isBelow(path, m.root) {
			continue
		}
		return filepath.Join(m.point, strings.TrimPrefix(path, m.root))
	}
	return ""
}

// delegated finds where a cgroup of version 2 with controllers can be made: below our own where
// those are passed on, else beside it, since a cgroup with processes cannot pass any on.
func delegated(own string, root bool, want []controller) (dir string, has []string) {
	dirs := []string{own, filepath.Dir(own)}
	free, err := cgroupEmpty(dirs[1])
	if !root && free && err == nil && isGiven(dirs[1]) {
		for _, c := range want { // it is ours to pass on what systemd gave the unit (Delegate=, DelegateSubgroup=)
			_ = os.WriteFile(filepath.Join(dirs[1], "cgroup.subtree_control"), []byte("+"+string(c)), 0)
		}
	}
	if root {
		dirs = dirs[:1]
		for _, c := range want { // only the root may both hold processes and pass controllers on
			_ = os.WriteFile(filepath.Join(own, "cgroup.subtree_control"), []byte("+"+string(c)), 0)
		}
	}
	for _, d := range dirs {
		b, err := os.ReadFile(filepath.Join(d, "cgroup.subtree_control"))
		if err == nil && len(b) > 0 && unix.Access(d, unix.W_OK) == nil {
			return d, strings.Fields(string(b))
		}
	}
	return "", nil
}

// isGiven tells whether systemd has handed a cgroup over to what runs in it.
func isGiven(dir string) bool {
	for _, mark := range []string{"trusted.delegate", "user.delegate"} {
		var b [8]byte
		if n, err := unix.Getxattr(dir, mark, b[:]); err == nil && string(b[:n]) == "1" {
			return true
		}
	}
	return false
}

// cgroupName is that of a machine's cgroups, and of no others.
func cgroupName(token string) string { return "dayfly-" + token }

// findCgroups looks everywhere for cgroups with a name.
func findCgroups(name string) (found []string) {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	for _, m := range parseMountinfo(string(info)) {
		if m.fstype != "cgroup" && m.fstype != "cgroup2" {
			continue
		}
		_ = filepath.WalkDir(m.point, func(p string, d fs.DirEntry, err error) error { // what goes meanwhile is not it
			if err == nil && d.IsDir() && d.Name() == name {
				found = append(found, p)
			}
			return nil
		})
	}
	return found
}

func cgroupDirs(cs []cgroup) []string {
	var out []string
	for _, c := range cs {
		out = append(out, c.dir)
	}
	return out
}

// make makes the cgroup with its limits. What it cannot limit it says.
func (c cgroup) make(l limits) (missed []controller, err error) {
	if err := os.Mkdir(c.dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return c.controllers, fmt.Errorf("make cgroup: %w", err)
	}
	for _, k := range c.controllers {
		for i, s := range l.settings(k, c.v2) {
			// The second setting of memory, on swap, is missing where the kernel does not count swap.
			if err := os.WriteFile(filepath.Join(c.dir, s.file), []byte(s.value), 0); err != nil && i == 0 {
				missed = append(missed, k)
			}
		}
	}
	return missed, nil
}

// add moves a process, with all that it will start, into the cgroup.
func (c cgroup) add(pid int) error {
	if err := os.WriteFile(filepath.Join(c.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		return fmt.Errorf("move process into its cgroup: %w", err)
	}
	return nil
}

// cgroupEmpty tells whether no process is in the cgroup; one that does not exist is empty.
func cgroupEmpty(dir string) (bool, error) {
	procs, err := cgroupPids(dir)
	return len(procs) == 0, err
}

func cgroupPids(dir string) ([]int, error) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil, nil
	}
	var out []int
	for f := range bytes.FieldsSeq(b) {
		if pid, err := strconv.Atoi(string(f)); err == nil {
			out = append(out, pid)
		}
	}
	return out, err
}

// killCgroup kills every process in the cgroup. It is ours alone: its name is the token.
func killCgroup(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0); err == nil {
		return nil
	}
	procs, err := cgroupPids(dir)
	if err != nil {
		return err
	}
	for _, pid := range procs {
		signalIf(pid, unix.SIGKILL, func() bool {
			b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
			return err == nil && bytes.Contains(b, []byte("/"+filepath.Base(dir)))
		})
	}
	return nil
}

// The pauses between looks whether a cgroup is empty. A process that waits for a disk may die late.
const (
	firstPause   = time.Millisecond
	longestPause = 100 * time.Millisecond
)

// emptyCgroup kills what is in the cgroup, again and again until nothing is or ctx ends.
func emptyCgroup(ctx context.Context, dir string) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		if empty, err := cgroupEmpty(dir); empty || err != nil {
			return err
		}
		if err := killCgroup(dir); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil // who removes it says that it is not empty
		case <-time.After(pause):
		}
	}
}

// memoryUsed is the most that all processes had at one time, where a cgroup limits their memory, and whether one of
// them was killed since that limit was reached. Zero where none does or the kernel does not tell.
func memoryUsed(cs []cgroup) (peak int64, killed bool) {
	i := slices.IndexFunc(cs, func(c cgroup) bool { return slices.Contains(c.controllers, memoryController) })
	if i < 0 {
		return 0, false
	}
	used, events := "memory.max_usage_in_bytes", "memory.oom_control"
	if cs[i].v2 {
		used, events = "memory.peak", "memory.events" // the first since Linux 5.19
	}
	number := func(text string) int64 {
		n, _ := strconv.ParseInt(text, 10, 64) // 0 of what is none
		return n
	}
	text, _ := os.ReadFile(filepath.Join(cs[i].dir, used))
	peak = number(strings.TrimSpace(string(text)))
	text, _ = os.ReadFile(filepath.Join(cs[i].dir, events))
	counts := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		name, count, _ := strings.Cut(strings.TrimSpace(line), " ")
		counts[name] = number(count)
	}
	// What was killed for want of memory in a cgroup above, or on the whole host, is among the kills. Version 2
	// tells apart whether it was this limit.
	return peak, counts["oom_kill"] > 0 && (counts["oom"] > 0 || !cs[i].v2)
}

// removeCgroup removes an empty cgroup. The kernel may need a moment to let go of the last process.
func removeCgroup(ctx context.Context, dir string) error {
	for pause := time.Millisecond; ; pause *= 2 {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || pause > 500*time.Millisecond {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		below, _ := filepath.Glob(filepath.Join(dir, "*", "cgroup.procs"))
		for _, b := range below { // a job that may make cgroups of its own may have left them
			if err := removeCgroup(ctx, filepath.Dir(b)); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
