package e2e_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dayfly-io/dayfly"
)

// kinds are what lies about in a fleet. The old ones are made before an older database is restored.
var kinds = []struct {
	name string
	old  bool
	add  func(*fleet)
}{
	{"machines whose run is not in the store", true, (*fleet).unknown},
	{"machines whose launcher was killed, their run not in the store", true, (*fleet).launcherKilled},
	{"machines whose supervisor was killed, their run not in the store", true, (*fleet).supervisorKilled},
	{"machines of ended runs", false, (*fleet).ended},
	{"machines of an attempt before the current one", false, (*fleet).superseded},
	{"machines of another installation", false, (*fleet).foreign},
	{"folders in which nothing was started", false, (*fleet).unstarted},
	{"folders of another installation in which nothing was started", false, (*fleet).foreignUnstarted},
	{"folders with tags only", false, (*fleet).tagsOnly},
	{"folders with torn tags", false, (*fleet).tornTags},
	{"folders that do not say whose they are", false, (*fleet).nobodys},
	{"folders that name a pid which is another process now", false, (*fleet).recycled},
	{"folders that a killed process has not finished making or removing", false, (*fleet).litter},
	{"processes, cgroups and files that only look alike", false, (*fleet).lookalikes},
}

// make fills the fleet: with one kind so that none is left out, with others at random, and with a
// machine that is as it should be.
func (f *fleet) make() {
	chosen := make([]bool, len(kinds))
	for i := range kinds {
		chosen[i] = i == f.n%len(kinds) || f.rng.IntN(3) == 0
	}
	f.dayfly("ps") // makes the database
	backup, err := os.ReadFile(filepath.Join(f.dir, "dayfly.db"))
	if err != nil {
		f.t.Fatal(err)
	}
	if err := os.MkdirAll(f.machines(), 0o700); err != nil {
		f.t.Fatal(err)
	}
	for _, old := range []bool{true, false} {
		for i, k := range kinds {
			if chosen[i] && k.old == old {
				k.add(f)
				f.mu.Lock()
				f.count[k.name]++
				f.mu.Unlock()
			}
		}
		if old {
			f.restore(backup)
			run, m, lives := f.live(f.home, "")
			f.model = m
			f.add(thing{what: "the machine of " + run, token: m.token, lives: lives})
		}
	}
}

func (f *fleet) machines() string { return filepath.Join(f.dir, "machines") }

// add adds a thing; one with a token lies in its folder.
func (f *fleet) add(th thing) {
	if th.token != "" {
		th.path = filepath.Join(f.machines(), th.token)
	}
	f.things = append(f.things, th)
}

// restore puts an older copy of the database in place, as one does after a mishap.
func (f *fleet) restore(backup []byte) {
	path := filepath.Join(f.dir, "dayfly.db")
	os.Remove(path + "-wal")
	os.Remove(path + "-shm")
	if err := os.WriteFile(path, backup, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) rename(from, to string) {
	f.t.Helper()
	if err := os.Rename(from, to); err != nil {
		f.t.Fatal(err)
	}
}

// newJob writes a job that runs until it is let go, and leaves something running behind.
func (f *fleet) newJob(h *home, more string) (name, path string) {
	f.jobs++
	name = fmt.Sprintf("f%d-%d", f.n, f.jobs)
	script := []string{"#!/bin/bash", f.leash.take(), f.w.say(), "(setsid sleep 1000 &)", "read -r -u 8", "exit 0"}
	return name, h.job(name, more+"run: |\n  "+strings.Join(script, "\n  ")+"\n")
}

// live runs a job in an installation, and gives its run, its machine and what lives of it.
func (f *fleet) live(h *home, more string) (run string, m *held, lives []<-chan struct{}) {
	f.t.Helper()
	name, path := f.newJob(h, more)
	f.starts <- struct{}{}
	defer func() { <-f.starts }()
	if out, code := h.dayfly("run", "--detach", path); code != 0 {
		f.t.Fatalf("run %s: exit code %d\n%s", name, code, out)
	}
	return f.hear(h, name, 1)
}

// hear waits until an attempt of a job says that it runs.
func (f *fleet) hear(h *home, name string, attempt int) (run string, m *held, lives []<-chan struct{}) {
	f.t.Helper()
	var said word
	await(f.t, time.Minute, fmt.Sprintf("attempt %d of %s runs", attempt, name), func() bool {
		all := f.w.words()
		i := slices.IndexFunc(all, func(w word) bool {
			return strings.HasPrefix(w.Text, name+"-") && strings.HasSuffix(w.Text, fmt.Sprint(" ", attempt))
		})
		if i >= 0 {
			said = all[i]
		}
		return i >= 0
	})
	run, _, _ = strings.Cut(said.Text, " ")
	m = h.machineOf(run)
	return run, m, []<-chan struct{}{said.Done, m.supervisor.dead, m.first.dead}
}

func (f *fleet) unknown() {
	run, m, lives := f.live(f.home, "")
	f.add(thing{what: "the machine of " + run, ours: true, token: m.token, lives: lives})
}

// launcherKilled kills a launcher as soon as the machine's folder is there: before or after its fork.
func (f *fleet) launcherKilled() {
	_, path := f.newJob(f.home, "")
	f.starts <- struct{}{}
	defer func() { <-f.starts }()
	var launcher *exec.Cmd
	token := f.firstMachine(func() { launcher = f.start("run", "--detach", path) })
	_ = launcher.Process.Kill()
	_ = launcher.Wait()
	f.add(thing{what: "the machine of a killed launcher", ours: true, token: token})
}

// supervisorKilled kills a supervisor after it has said that it starts: before or after its clone.
func (f *fleet) supervisorKilled() {
	_, path := f.newJob(f.home, "")
	f.starts <- struct{}{}
	defer func() { <-f.starts }()
	var launcher *exec.Cmd
	token := f.firstMachine(func() { launcher = f.start("run", "--detach", path) })
	await(f.t, time.Minute, "the supervisor has started", func() bool {
		_, err := os.Stat(filepath.Join(f.machines(), token, "started"))
		return err == nil
	})
	for _, pid := range processesWith(token) {
		args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if bytes.Contains(args, []byte("\x00supervise\x00")) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	_ = launcher.Process.Kill()
	_ = launcher.Wait()
	f.add(thing{what: "the machine of a killed supervisor", ours: true, token: token})
}

// hidden has a machine out of sight for a while, as a lagging list would, while do is done.
func (f *fleet) hidden(m *held, do func()) {
	f.t.Helper()
	here, aside := filepath.Join(f.machines(), m.token), filepath.Join(filepath.Dir(f.dir), m.token)
	f.rename(here, aside)
	do()
	f.rename(aside, here)
}

func (f *fleet) ended() {
	run, m, lives := f.live(f.home, "")
	f.hidden(m, func() {
		await(f.t, time.Minute, "the run has ended", func() bool {
			return slices.ContainsFunc(f.history(), func(r record) bool { return r.ID == run && r.State == "ended" })
		})
	})
	f.add(thing{what: "the machine of the ended " + run, ours: true, token: m.token, lives: lives})
}

// superseded has a dayfly run that stays launch a second machine, since it does not see the first.
func (f *fleet) superseded() {
	name, path := f.newJob(f.home, "retry: {attempts: 2, on: [lost], backoff: 1s}\n")
	f.starts <- struct{}{}
	defer func() { <-f.starts }()
	stays := f.start("run", path)
	run, m, lives := f.hear(f.home, name, 1)
	f.hidden(m, func() {
		_, m2, lives2 := f.hear(f.home, name, 2)
		f.add(thing{what: "the second machine of " + run, token: m2.token, lives: lives2})
		_ = stays.Process.Kill()
		_ = stays.Wait()
	})
	f.add(thing{what: "the first machine of " + run, ours: true, token: m.token, lives: lives})
}

// neighbour is another installation.
func (f *fleet) neighbour() *home {
	if f.other == nil {
		f.other = newHome(f.t)
		f.other.dayfly("ps") // names it
	}
	return f.other
}

// foreign has a machine of another installation lie among ours.
func (f *fleet) foreign() {
	run, m, lives := f.live(f.neighbour(), "")
	f.rename(filepath.Join(f.other.dir, "machines", m.token), filepath.Join(f.machines(), m.token))
	f.moved = append(f.moved, m.token)
	f.add(thing{what: "the foreign machine of " + run, path: filepath.Join(f.machines(), m.token), lives: lives})
}

// ghost makes a folder with files of the model, as those of another machine of a run that there never was.
func (f *fleet) ghost(names ...string) (token string) {
	f.t.Helper()
	f.ghosts++
	token = f.token()
	from, to := filepath.Join(f.machines(), f.model.token), filepath.Join(f.machines(), token)
	if err := os.Mkdir(to, 0o700); err != nil {
		f.t.Fatal(err)
	}
	var tags dayfly.Tags
	b, err := os.ReadFile(filepath.Join(from, "tags.json"))
	if err != nil || json.Unmarshal(b, &tags) != nil {
		f.t.Fatalf("tags.json: %v, %s", err, b)
	}
	edit := strings.NewReplacer(f.model.token, token, string(tags.Run), fmt.Sprintf("ghost-20260101T00000%dZ", f.ghosts%10))
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), []byte(edit.Replace(string(b))), 0o600)
		}
		if err != nil {
			f.t.Fatal(err)
		}
	}
	return token
}

// token is one that no machine has.
func (f *fleet) token() string {
	b := binary.NativeEndian.AppendUint64(nil, f.rng.Uint64())
	return hex.EncodeToString(binary.NativeEndian.AppendUint64(b, f.rng.Uint64()))
}

// edit changes a file in a machine's folder.
func (f *fleet) edit(token, name string, change func([]byte) []byte) {
	f.t.Helper()
	path := filepath.Join(f.machines(), token, name)
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(b), 0o600)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) unstarted() {
	f.add(thing{what: "a folder in which nothing was started", ours: true, token: f.ghost("tags.json", "launch.json", "lock")})
}

func (f *fleet) tagsOnly() {
	f.add(thing{what: "a folder with tags only", ours: true, token: f.ghost("tags.json")})
}

func (f *fleet) tornTags() {
	token := f.ghost("tags.json", "launch.json", "lock")
	f.edit(token, "tags.json", func(b []byte) []byte { return b[:f.rng.IntN(len(b)-2)] })
	f.add(thing{what: "a folder with torn tags", ours: true, token: token})
}

func (f *fleet) foreignUnstarted() {
	token := f.ghost([]string{"tags.json", "launch.json", "lock"}[:1+f.rng.IntN(3)]...)
	for _, name := range []string{"tags.json", "launch.json"} {
		if _, err := os.Stat(filepath.Join(f.machines(), token, name)); err == nil {
			f.edit(token, name, func(b []byte) []byte {
				return bytes.ReplaceAll(b, []byte(f.installation()), []byte(f.neighbour().installation()))
			})
		}
	}
	f.add(thing{what: "a foreign folder in which nothing was started", path: filepath.Join(f.machines(), token)})
}

// installation is the name that an installation's machines carry.
func (h *home) installation() string {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.dir, "dayfly.yaml"))
	_, name, ok := strings.Cut(string(text), "installation: ")
	if err != nil || !ok {
		h.t.Fatalf("there is no installation in %q, %v", text, err)
	}
	return strings.Trim(strings.Fields(name)[0], `"`)
}

// nobodys has a folder that does not say whose it is. It may be anybody's.
func (f *fleet) nobodys() {
	token := f.ghost([]string{"lock", "tags.json", "launch.json"}[:f.rng.IntN(4)]...)
	all, _ := filepath.Glob(filepath.Join(f.machines(), token, "*"))
	for _, path := range all {
		f.edit(token, filepath.Base(path), func(b []byte) []byte { return b[:len(b)/10] })
	}
	f.add(thing{what: "a folder that does not say whose it is", path: filepath.Join(f.machines(), token)})
}

// recycled has a folder of ours whose records name the pid of a process that is no part of a machine.
func (f *fleet) recycled() {
	token := f.ghost("tags.json", "launch.json", "lock", "started", "init.json")
	bystander := f.bystander(nil)
	old := fmt.Sprintf(`"pid":%d,`, bystander.pid)
	for name, p := range map[string]*process{"started": f.model.supervisor, "init.json": f.model.first} {
		f.edit(token, name, func(b []byte) []byte {
			edited := bytes.ReplaceAll(b, fmt.Appendf(nil, `"pid":%d,`, p.pid), []byte(old))
			if bytes.Equal(edited, b) {
				f.t.Fatalf("%s does not name process %d: %s", name, p.pid, b)
			}
			return edited
		})
	}
	f.add(thing{what: "a folder that names a process", ours: true, token: token})
	f.add(thing{what: "the process that a folder names", lives: []<-chan struct{}{bystander.dead}})
}

// litter has what a process leaves that is killed while it makes, tries or removes a machine: the name
// says which process that was. Here the dead one had the pid of this one, which lives.
func (f *fleet) litter() {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.t.Fatal(err)
	}
	me := fmt.Sprintf("%d-%s-", os.Getpid(), bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])[19])
	dead := fmt.Sprintf("%d-1-", os.Getpid())
	for name, ours := range map[string]bool{
		".making-" + dead + "1": true, ".trying-" + dead + "1": true, ".removing-" + dead + f.token(): true,
		".making-" + me + "1": false, ".trying-" + me + "1": false, ".removing-" + me + f.token(): false,
		".making-1": false, ".kept-by-somebody": false,
	} {
		path := filepath.Join(f.machines(), name)
		if err := os.MkdirAll(filepath.Join(path, "box", "below"), 0o700); err != nil {
			f.t.Fatal(err)
		}
		f.add(thing{what: "the folder " + name, ours: ours, path: path})
	}
}

// lookalikes has processes, a cgroup and files that have only something of a machine's looks.
func (f *fleet) lookalikes() {
	token := f.token()
	orphan := f.model.token // unless there is a real one
	for _, th := range f.things {
		if th.ours && len(th.lives) > 0 {
			orphan = th.token
		}
	}
	for what, p := range map[string]*process{
		"a process that looks like a supervisor": f.bystander(nil, "agent", "supervise", "--data", f.dir, "--machine", filepath.Join(f.machines(), token)),
		"a process that looks like a PID 1":      f.bystander(nil, "agent", "init", "--token", token),
		"a process with a machine's token":       f.bystander([]string{"DAYFLY_TOKEN=" + orphan}),
	} {
		f.add(thing{what: what, lives: []<-chan struct{}{p.dead}})
	}
	for _, name := range []string{"not a machine", "notes.txt", strings.Repeat("a", 65)} {
		path := filepath.Join(f.machines(), name)
		if err := os.WriteFile(path, []byte(f.installation()), 0o600); err != nil {
			f.t.Fatal(err)
		}
		f.add(thing{what: "the file " + name, path: path})
	}
	for _, parent := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		dir := filepath.Join(parent, "dayfly-"+token)
		if os.Mkdir(dir, 0o755) != nil {
			continue // no such cgroups, or not for this user
		}
		f.t.Cleanup(func() {
			await(f.t, 5*time.Second, "the cgroup is removed", func() bool { return os.Remove(dir) == nil })
		})
		p := f.bystander(nil)
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, p.pid), 0o600); err != nil {
			f.t.Fatal(err)
		}
		f.add(thing{what: "the cgroup " + dir, path: filepath.Join(dir, "cgroup.procs"), lives: []<-chan struct{}{p.dead}})
		break
	}
}

// bystander starts a process of the host that has these arguments and waits for nothing in particular.
func (f *fleet) bystander(env []string, args ...string) *process {
	f.t.Helper()
	cmd := exec.Command("bash", append([]string{"-c", "read -r"}, args...)...)
	cmd.Args[0] = "dayfly"
	cmd.Env = append(os.Environ(), env...)
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	f.bystanders = append(f.bystanders, fmt.Sprintf("process %d ", cmd.Process.Pid))
	return hold(f.t, cmd.Process.Pid)
}
