package local

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly"
)

// fakeCgroups is a directory that stands for a cgroup mount; its files are plain.
func fakeCgroups(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPlanCgroups(t *testing.T) {
	t.Parallel()
	all := []controller{pidsController, memoryController, cpuController}
	t.Run("version 1, one directory for each controller", func(t *testing.T) {
		t.Parallel()
		d := fakeCgroups(t, map[string]string{"pids/x": "", "cpu,cpuacct/box/me/x": "", "memory/x": ""})
		mounts := []mount{
			{root: "/", point: d + "/pids", fstype: "cgroup", super: []string{"rw", "pids"}},
			{root: "/docker/1", point: d + "/cpu,cpuacct", fstype: "cgroup", super: []string{"rw", "cpu", "cpuacct"}},
			{root: "/", point: "/no/such", fstype: "cgroup", super: []string{"rw", "memory"}},
		}
		got := planCgroupsFrom(mounts, "4:memory:/\n3:cpu,cpuacct:/docker/1/box/me\n2:pids:/\n1:name=systemd:/\n0::/\n", "tok", all)
		want := []string{d + "/cpu,cpuacct/box/me/dayfly-tok", d + "/pids/dayfly-tok"}
		if diff := cmp.Diff(want, cgroupDirs(got)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("version 2, beside our own: a cgroup with processes passes nothing on", func(t *testing.T) {
		t.Parallel()
		d := fakeCgroups(t, map[string]string{
			"user/cgroup.subtree_control": "cpu memory pids", "user/me/cgroup.subtree_control": "",
		})
		got := planCgroupsFrom([]mount{{root: "/", point: d, fstype: "cgroup2"}}, "0::/user/me\n", "tok", all)
		if len(got) != 1 || got[0].dir != d+"/user/dayfly-tok" || !got[0].v2 || len(got[0].controllers) != 3 {
			t.Errorf("planned %+v", got)
		}
	})
	t.Run("version 2, without the controller", func(t *testing.T) {
		t.Parallel()
		d := fakeCgroups(t, map[string]string{"user/cgroup.subtree_control": "cpu", "user/me/cgroup.subtree_control": ""})
		got := planCgroupsFrom([]mount{{root: "/", point: d, fstype: "cgroup2"}}, "0::/user/me\n", "tok", []controller{pidsController})
		if len(got) != 0 {
			t.Errorf("planned %+v", got)
		}
	})
	t.Run("version 2, the root passes controllers on when it is told to", func(t *testing.T) {
		t.Parallel()
		d := fakeCgroups(t, map[string]string{"cgroup.subtree_control": ""})
		planCgroupsFrom([]mount{{root: "/", point: d, fstype: "cgroup2"}}, "0::/\n", "tok", []controller{pidsController})
		if b, err := os.ReadFile(d + "/cgroup.subtree_control"); string(b) != "+pids" {
			t.Errorf("it was told %q, %v", b, err)
		}
	})
	t.Run("version 2, a unit that systemd has handed over, and we live in a part of", func(t *testing.T) {
		t.Parallel()
		for what, c := range map[string]struct {
			mark, procs, want string
		}{
			"ours":                      {"1", "", "+pids"},
			"not handed over":           {"0", "", ""},
			"with processes of its own": {"1", "17\n", ""},
		} {
			d := fakeCgroups(t, map[string]string{
				"dayfly.service/cgroup.subtree_control": "", "dayfly.service/cgroup.procs": c.procs, "dayfly.service/serve/cgroup.subtree_control": "",
			})
			if err := unix.Setxattr(d+"/dayfly.service", "user.delegate", []byte(c.mark), 0); err != nil {
				t.Skipf("the file system of %s keeps no marks: %v", d, err)
			}
			planCgroupsFrom([]mount{{root: "/", point: d, fstype: "cgroup2"}}, "0::/dayfly.service/serve\n", "tok", []controller{pidsController})
			if b, err := os.ReadFile(d + "/dayfly.service/cgroup.subtree_control"); string(b) != c.want {
				t.Errorf("%s: it was told %q, %v, want %q", what, b, err, c.want)
			}
		}
	})
	t.Run("none at all", func(t *testing.T) {
		t.Parallel()
		if got := planCgroupsFrom(nil, "0::/\n", "tok", all); len(got) != 0 {
			t.Errorf("planned %+v", got)
		}
	})
}

func TestCgroupSettings(t *testing.T) {
	t.Parallel()
	l := limits{pids: 100, memory: 1 << 20, cpu: 1.5}
	for _, v2 := range []bool{false, true} {
		got := map[string]string{}
		for _, c := range l.wanted() {
			for _, s := range l.settings(c, v2) {
				got[s.file] = s.value
			}
		}
		want := map[string]string{
			"pids.max": "116", "memory.limit_in_bytes": "1048576", "memory.memsw.limit_in_bytes": "1048576",
			"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "150000",
		}
		if v2 {
			want = map[string]string{"pids.max": "116", "memory.max": "1048576", "memory.swap.max": "0", "cpu.max": "150000 100000"}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("version 2 %v: %s", v2, diff)
		}
	}
	if got := limitsOf(dayfly.Spec{}); got != (limits{pids: dayfly.DefaultPids}) {
		t.Errorf("without a word the limits are %+v", got)
	}
	s := dayfly.Spec{Machine: dayfly.MachineChoice{Pids: 5, CPU: 2, Memory: 3}}
	if got := limitsOf(s); got != (limits{pids: 5, memory: 3, cpu: 2}) {
		t.Errorf("the machine's limits are %+v", got)
	}
	if s.Task.Pids = 7; limitsOf(s).pids != 7 {
		t.Error("the task's word on pids is not heard")
	}
}

func TestEscapeOption(t *testing.T) {
	t.Parallel()
	if got := escapeOption(`/a:b,c\d e`); got != `/a\:b\,c\\d e` {
		t.Errorf("got %s", got)
	}
}

func TestMemoryOfACgroup(t *testing.T) {
	t.Parallel()
	all := []controller{pidsController, memoryController}
	d := fakeCgroups(t, map[string]string{
		"one/memory.max_usage_in_bytes": "1234\n", "two/memory.peak": "5678\n", "odd/memory.peak": "max\n", "old/memory.max": "9\n",
		"one/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", "two/memory.events": "max 7\noom 1\noom_kill 0\n", "old/memory.events": "max 9\noom 3\noom_kill 1\n",
		"host/memory.peak": "77\n", "host/memory.events": "max 0\noom 0\noom_kill 1\n",
	})
	for name, c := range map[string]struct {
		cgroups []cgroup
		want    int64
		killed  bool
	}{
		"version 1":      {[]cgroup{{dir: d + "/two", controllers: all[:1]}, {dir: d + "/one", controllers: all[1:]}}, 1234, true},
		"version 2":      {[]cgroup{{dir: d + "/two", v2: true, controllers: all}}, 5678, false},
		"not limited":    {[]cgroup{{dir: d + "/two", v2: true, controllers: all[:1]}}, 0, false},
		"an old kernel":  {[]cgroup{{dir: d + "/old", v2: true, controllers: all}}, 0, true},
		"a full host":    {[]cgroup{{dir: d + "/host", v2: true, controllers: all}}, 77, false},
		"not a number":   {[]cgroup{{dir: d + "/odd", v2: true, controllers: all}}, 0, false},
		"no cgroup here": {nil, 0, false},
	} {
		if got, killed := memoryUsed(c.cgroups); got != c.want || killed != c.killed {
			t.Errorf("%s: %d (killed: %t), want %d (killed: %t)", name, got, killed, c.want, c.killed)
		}
	}
}

func TestAProcessThatDoesNotDie(t *testing.T) {
	t.Parallel()
	dir := fakeCgroups(t, map[string]string{"cgroup.procs": "1\n", "cgroup.kill": ""})
	procs := filepath.Join(dir, "cgroup.procs")
	synctest.Test(t, func(t *testing.T) { // whose clock moves only while everybody waits
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := emptyCgroup(ctx, dir); err != nil || time.Since(begin) != 10*time.Second {
			t.Errorf("it ended after %s, not with its context: %v", time.Since(begin), err)
		}
		begin = time.Now()
		time.AfterFunc(5*time.Second, func() {
			if err := os.WriteFile(procs, nil, 0o644); err != nil {
				t.Error(err)
			}
		})
		if err := emptyCgroup(t.Context(), dir); err != nil || time.Since(begin) > 5*time.Second+longestPause {
			t.Errorf("the last process died after 5s, and it ended after %s: %v", time.Since(begin), err)
		}
	})
}
