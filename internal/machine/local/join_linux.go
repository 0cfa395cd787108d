package local

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
)

// A process is best born in its cgroups. Moving one there makes the kernel wait until no processor looks
// at the old state, which takes it milliseconds of doing nothing; a thread may move itself at once (since
// Linux 5.18, before that it waits too), and what it then starts is born where it is.

// born starts a process in the cgroups: on version 2 by the clone itself, on version 1 by taking this
// thread there for a moment. The thread must be locked. What cannot be joined is left out: the process
// is in those of joined, also when there is an error.
func born(groups []cgroup, attr *os.ProcAttr, start func() (*os.Process, error)) (p *os.Process, joined []cgroup, err error) {
	for _, g := range groups {
		if g.v2 {
			if dir, err := os.Open(g.dir); err == nil {
				defer dir.Close()
				attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(dir.Fd())
				joined = append(joined, g)
			}
			continue
		}
		if moveThread(g.dir) == nil {
			joined = append(joined, g)
			defer func() {
				if lerr := moveThread(filepath.Dir(g.dir)); lerr != nil { // it would be killed with the job
					err = errors.Join(err, lerr)
				}
			}()
		}
	}
	p, err = start()
	if err != nil && attr.Sys.UseCgroupFD { // before Linux 5.7 no clone knows of cgroups
		attr.Sys.UseCgroupFD = false
		joined = slices.DeleteFunc(joined, func(g cgroup) bool { return g.v2 })
		p, err = start()
	}
	return p, joined, err
}

// moveThread takes the calling thread to a cgroup of version 1.
func moveThread(dir string) error {
	return os.WriteFile(filepath.Join(dir, "tasks"), []byte("0"), 0)
}

// join moves a process into those of its cgroups that it was not born in, and says which limits it escapes.
func (c *child) join(groups []cgroup) (missed []controller) {
	for _, g := range groups {
		born := slices.ContainsFunc(c.joined, func(j cgroup) bool { return j.dir == g.dir })
		if !born && g.add(c.proc.Pid) != nil {
			missed = append(missed, g.controllers...)
		}
	}
	return missed
}
