package local

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

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
