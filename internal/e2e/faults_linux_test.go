package e2e_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly/internal/e2e/ptrace"
)

var (
	faultCount = flag.Int("e2e.faults", 200, "at how many spots TestFaultsReal makes the disk fail; 0: at all of them")
	faultOnly  = flag.String("e2e.faults.only", "", "fail only at spots whose name matches this `REGEXP`: SCENE/ROLE/CALL/N/FAULT")
)

// The faults: one call fails, or everything that changes the disk does from then on, for a while.
const (
	forAWhile = " for a while"
	awhile    = 300 * time.Millisecond
)

var errnos = map[string]unix.Errno{"ENOSPC": unix.ENOSPC, "EIO": unix.EIO, "EROFS": unix.EROFS}

// TestFaultsReal is R8 at exact system calls: the disk of the data directory fails at the nth call of a sort,
// once or for a while, and is well again. Nothing false was acknowledged, who could not do his work says so,
// machines end, and what had begun to serve serves on.
func TestFaultsReal(t *testing.T) {
	t.Parallel()
	campaign{
		promise: "R8", flag: "-e2e.faults.only", count: *faultCount, only: *faultOnly,
		sort: diskSort,
		deeds: func(sort string) (all []string) {
			for name, errno := range errnos {
				if canFail(sort, errno) {
					all = append(all, name, name+forAWhile)
				}
			}
			slices.Sort(all)
			return all
		},
		strike: func(p *trial, at spot) func(bool, *ptrace.Call) ptrace.Verdict {
			name, lasts := strings.CutSuffix(at.deed, forAWhile)
			errno := errnos[name]
			var until time.Time
			return func(here bool, c *ptrace.Call) ptrace.Verdict {
				if here {
					p.faulty = true
					until = time.Now().Add(awhile)
				}
				if here || lasts && time.Now().Before(until) && canFail(diskSort(p, c), errno) {
					return ptrace.Fail(errno)
				}
				return ptrace.Pass()
			}
		},
		judge: func(p *trial, at spot, struck bool) { p.checkFaulty(at, struck) },
	}.run(t)
}

// canFail tells whether a call can fail in this way.
func canFail(sort string, errno unix.Errno) bool {
	return errno != unix.ENOSPC || sort != "fsync" && sort != "unlink" && sort != "truncate"
}

// diskSort is the sort of a call that changes the disk on which the data directory is.
func diskSort(p *trial, c *ptrace.Call) string {
	where := ""
	switch sort := sortOf(c); sort {
	case "write", "pwrite", "fsync", "ftruncate", "fallocate", "copy_file_range":
		where = c.What(c.FD(0))
	case "open", "unlink", "mkdir", "rename", "link", "symlink":
		if strings.HasSuffix(c.Name, "at") || c.Name == "renameat2" {
			where = named(c, 0, 1)
		} else {
			where = named(c, -1, 0)
		}
	}
	if !strings.HasPrefix(where, p.dir+"/") {
		return ""
	}
	return strings.TrimPrefix(sortOf(c), "f")
}

// named is the path that a call names, as its process would write it.
func named(c *ptrace.Call, dir, name int) string {
	path := c.String(name)
	if dir < 0 || strings.HasPrefix(path, "/") || c.FD(dir) == unix.AT_FDCWD {
		return path
	}
	return c.What(c.FD(dir)) + "/" + path
}

// checkFaulty: only who met the fault with the run in hand may not have made it succeed. A command that could
// not go on says where and what to do; a daemon that had begun to serve goes on; no machine is made in a lesser
// way than it can be made here.
func (p *trial) checkFaulty(at spot, struck bool) {
	role := at.role
	if strings.HasSuffix(at.deed, forAWhile) {
		role = atSupervisor // met it too, perhaps
	}
	p.checkOutcome(role, struck)
	code := p.status.ExitStatus()
	if code == 1 && p.scene == sceneServe && strings.Contains(p.stderr, "Serving ") {
		p.wrong("the daemon ended by itself")
	}
	if code == 1 && !(strings.Contains(p.stderr, "error: ") && strings.Contains(p.stderr, p.dir) && strings.Contains(p.stderr, "hint: ")) {
		p.wrong("an error that does not say where, or what to do")
	}
	for _, r := range p.runs {
		if r.Outcome == "lost" && !strings.HasSuffix(at.deed, forAWhile) && !strings.Contains(r.Reason, "gave up: ") {
			p.wrong("the machine ended without saying why: %s", r.Reason)
		}
	}
	if _, isolation, launched := strings.Cut(p.stderr, "isolation "); launched && os.Geteuid() == 0 && !strings.HasPrefix(isolation, "full\n") {
		p.wrong("the machine was not made as it can be made here")
	}
}
