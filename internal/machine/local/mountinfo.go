package local

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"
)

// mount is one line of /proc/self/mountinfo.
type mount struct {
	id, parent int
	root       string // of the mount within its file system
	point      string
	options    []string // per mount
	fstype     string
	super      []string // per file system
}

// parseMountinfo reads /proc/self/mountinfo. A line it does not understand is left out.
func parseMountinfo(text string) []mount {
	var out []mount
	for line := range strings.Lines(text) {
		left, right, ok := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 6 || len(r) < 3 {
			continue
		}
		id, err1 := strconv.Atoi(l[0])
		parent, err2 := strconv.Atoi(l[1])
		if err1 != nil || err2 != nil {
			continue
		}
		out = append(out, mount{
			id: id, parent: parent, root: unoctal(l[3]), point: unoctal(l[4]),
			options: strings.Split(l[5], ","), fstype: r[0], super: strings.Split(r[2], ","),
		})
	}
	return out
}

// unoctal undoes the \ooo that mountinfo writes for blanks, tabs, newlines and backslashes.
func unoctal(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// isBelow tells whether p is dir or lies below it. Both are clean and absolute.
func isBelow(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}

// visibleMounts are those of the mounts that a path reaches: not the covered ones. The root comes
// first and every mount after the one it lies in.
func visibleMounts(all []mount) []mount {
	children := map[int][]mount{}
	known := map[int]bool{}
	for _, m := range all {
		known[m.id] = true
		if m.id != m.parent {
			children[m.parent] = append(children[m.parent], m)
		}
	}
	var out []mount
	var walk func(m mount)
	walk = func(m mount) {
		kids := children[m.id]
		delete(children, m.id) // mounts that lie in one another are no mounts
		if i := slices.IndexFunc(kids, func(k mount) bool { return k.point == m.point }); i >= 0 {
			walk(kids[i]) // stacked: nothing of m can be reached
			return
		}
		out = append(out, m)
		slices.SortStableFunc(kids, func(a, b mount) int { return cmp.Compare(a.point, b.point) })
		for _, k := range kids {
			// Had the other been there before, k would lie in it.
			if !slices.ContainsFunc(kids, func(o mount) bool { return o.point != k.point && isBelow(k.point, o.point) }) {
				walk(k)
			}
		}
	}
	for _, m := range all {
		if m.point == "/" && !known[m.parent] {
			walk(m)
		}
	}
	return out
}

// pseudo are file systems that show the kernel, not files. A sandbox gets its own or none.
var pseudo = []string{
	"binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
	"efivarfs", "fusectl", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs", "securityfs",
	"selinuxfs", "smackfs", "sysfs", "tracefs",
}

// freshDirs are made anew in every sandbox; what the host has there is not seen.
var freshDirs = []string{"/proc", "/dev", "/sys", "/run", "/tmp"}

// isFresh tells whether a path of the host is not seen in the sandbox because its place is fresh.
func isFresh(p string) bool {
	return slices.ContainsFunc(freshDirs, func(d string) bool { return isBelow(p, d) })
}

// sharedMounts are the visible mounts whose files a sandbox shows: neither fresh nor pseudo, and not
// in one that is left out.
func sharedMounts(all []mount) []mount {
	var out []mount
	var left []string
	for _, m := range visibleMounts(all) {
		p := path.Clean(m.point)
		switch {
		case slices.ContainsFunc(left, func(d string) bool { return isBelow(p, d) }), isFresh(p):
		case slices.Contains(pseudo, m.fstype):
			left = append(left, p)
		default:
			out = append(out, m)
		}
	}
	return out
}
