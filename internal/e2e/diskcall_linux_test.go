package e2e_test

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/dayfly-io/dayfly/internal/e2e/ptrace"
)

// begin looks at a call that is about to happen and gives what to note when it has, nil for a call that
// is of no interest.
func (d *disklog) begin(c *ptrace.Call, at int) func(done int, result int64) {
	switch c.Name {
	case "write", "pwrite64", "writev", "pwritev", "pwritev2":
		return d.write(c, at)
	case "sendfile", "splice", "copy_file_range":
		return d.copy(c, at)
	case "ftruncate":
		return d.onFile(c, 0, func(n, done int, _ int64) { d.note(entry{at: at, done: done, node: n, offset: int64(c.Args[1])}) })
	case "fsync", "fdatasync":
		return d.onFile(c, 0, func(n, done int, _ int64) { d.syncs = append(d.syncs, syncing{at, done, n}) })
	case "openat":
		return d.create(c, at, c.Path(0, 1), c.Args[2]&unix.O_TRUNC != 0)
	case "open":
		return d.create(c, at, c.Path(-1, 0), c.Args[1]&unix.O_TRUNC != 0)
	case "mkdirat":
		return d.mkdir(at, c.Path(0, 1))
	case "mkdir":
		return d.mkdir(at, c.Path(-1, 0))
	case "renameat", "renameat2":
		if c.Name == "renameat2" && c.Args[4]&^unix.RENAME_NOREPLACE != 0 {
			d.t.Errorf("an exchange of %s and %s is nothing that this test knows", c.Path(0, 1), c.Path(2, 3))
		}
		return d.rename(at, c.Path(0, 1), c.Path(2, 3))
	case "rename":
		return d.rename(at, c.Path(-1, 0), c.Path(-1, 1))
	case "linkat":
		return d.link(at, c.Path(0, 1), c.Path(2, 3))
	case "link":
		return d.link(at, c.Path(-1, 0), c.Path(-1, 1))
	case "unlinkat":
		return d.unlink(at, c.Path(0, 1))
	case "unlink", "rmdir":
		return d.unlink(at, c.Path(-1, 0))
	case "truncate":
		if _, _, ours := d.lookup(c.Path(-1, 0)); ours {
			d.t.Errorf("truncate of %s is nothing that this test knows", c.String(0))
		}
	case "fallocate":
		switch c.Args[1] {
		case unix.FALLOC_FL_KEEP_SIZE: // room that nobody sees
		case 0:
			return d.onFile(c, 0, func(n, done int, _ int64) {
				if info, err := os.Stat(c.Opened(c.FD(0))); err == nil { // it has grown, or was as long before
					d.note(entry{at: at, done: done, node: n, offset: info.Size()})
				}
			})
		default:
			if n, ours := d.file(c, 0); ours {
				d.t.Errorf("fallocate of node %d in mode %d is nothing that this test knows", n, c.Args[1])
			}
		}
	case "sync_file_range":
		if n, ours := d.file(c, 0); ours {
			d.t.Errorf("%s of node %d is nothing that this test knows", c.Name, n)
		}
	case "mmap":
		if _, ours := d.file(c, 4); ours && !strings.HasSuffix(c.What(c.FD(4)), "-shm") {
			d.t.Errorf("%s is written through memory, which this test cannot see", c.What(c.FD(4)))
		}
	}
	return nil
}

func (d *disklog) note(e entry) { d.log = append(d.log, e) }

// file is the node behind a descriptor.
func (d *disklog) file(c *ptrace.Call, arg int) (n int, ours bool) {
	return d.real(c.Opened(c.FD(arg)))
}

func (d *disklog) real(path string) (n int, ours bool) {
	id, _, err := identify(path)
	if err != nil {
		return 0, false
	}
	n, ours = d.byReal[id]
	return n, ours
}

func (d *disklog) onFile(c *ptrace.Call, arg int, note func(n, done int, result int64)) func(int, int64) {
	n, ours := d.file(c, arg)
	if !ours {
		return nil
	}
	return func(done int, result int64) { note(n, done, result) }
}

// lookup finds the directory a path lies in, and the name there.
func (d *disklog) lookup(path string) (dir int, name string, ours bool) {
	dir, ours = d.real(filepath.Dir(path))
	return dir, filepath.Base(path), ours && d.nodes[dir].dir
}

func (d *disklog) write(c *ptrace.Call, at int) func(int, int64) {
	data := c.Bytes
	content := func() []byte { return data(1, int(c.Args[2])) }
	if c.Name != "write" && c.Name != "pwrite64" {
		content = func() []byte { return c.Vector(1, int(c.Args[2])) }
	}
	n, ours := d.file(c, 0)
	if !ours {
		d.tell(c, at, content)
		return nil
	}
	if strings.HasSuffix(c.What(c.FD(0)), "-shm") {
		return nil // is made anew
	}
	offset := int64(c.Args[3])
	if c.Name == "write" || c.Name == "writev" {
		offset = position(c, c.FD(0))
	}
	bytes := content()
	return func(done int, result int64) {
		if result > 0 {
			d.note(entry{at: at, done: done, node: n, data: bytes[:result], offset: offset})
		}
	}
}

// tell notes what a program tells somebody.
func (d *disklog) tell(c *ptrace.Call, at int, content func() []byte) {
	role := roleOf(c.Process)
	if role == "" && strings.HasPrefix(c.What(c.FD(0)), "socket:") {
		role = "job"
	}
	if fd := c.FD(0); role == "job" || role != "" && (fd == 1 || fd == 2) {
		d.told = append(d.told, telling{at, role, string(content())})
	}
}

// position is where a write without an offset goes.
func position(c *ptrace.Call, fd int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", c.TID, fd))
	if err != nil {
		return 0
	}
	var pos, flags int64
	for line := range strings.Lines(string(text)) {
		switch name, value, _ := strings.Cut(line, ":"); name {
		case "pos":
			pos, _ = strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		case "flags":
			flags, _ = strconv.ParseInt(strings.TrimSpace(value), 8, 64)
		}
	}
	if flags&unix.O_APPEND != 0 {
		if info, err := os.Stat(c.Opened(fd)); err == nil {
			return info.Size()
		}
	}
	return pos
}

// copy is a call by which the kernel writes a file without being given the bytes: they are read back.
func (d *disklog) copy(c *ptrace.Call, at int) func(int, int64) {
	out := map[string]int{"sendfile": 0, "splice": 2, "copy_file_range": 2}[c.Name]
	n, ours := d.file(c, out)
	if !ours {
		return nil
	}
	offset := position(c, c.FD(out))
	if out == 2 && c.Args[3] != 0 {
		if raw := c.Bytes(3, 8); len(raw) == 8 {
			offset = int64(binary.NativeEndian.Uint64(raw))
		}
	}
	return func(done int, result int64) {
		if result == 0 {
			return
		}
		data := make([]byte, result)
		f, err := os.Open(c.Opened(c.FD(out)))
		if err == nil {
			_, err = f.ReadAt(data, offset)
			f.Close()
		}
		if err != nil {
			d.t.Errorf("read back what %s wrote: %v", c.Name, err)
		}
		d.note(entry{at: at, done: done, node: n, data: data, offset: offset})
	}
}

// create is an open that makes a file, if there is none, or empties one.
func (d *disklog) create(c *ptrace.Call, at int, path string, empties bool) func(int, int64) {
	dir, name, ours := d.lookup(path)
	if !ours {
		return nil
	}
	return func(done int, result int64) {
		if n, there := d.nodes[dir].now[name]; there {
			if empties {
				d.note(entry{at: at, done: done, node: n})
			}
			return
		}
		id, mode, err := identify(c.Opened(int(result)))
		if err != nil {
			d.t.Errorf("look at %s: %v", path, err)
			return
		}
		d.enters(at, done, dir, name, d.add(id, node{perm: fs.FileMode(mode & 0o777)}), 0)
	}
}

// enters notes that a name stands for a node, -1 for none.
func (d *disklog) enters(at, done, dir int, name string, child, group int) {
	d.note(entry{at: at, done: done, node: dir, group: group, name: name, child: child})
	if child < 0 {
		delete(d.nodes[dir].now, name)
		return
	}
	d.nodes[dir].now[name] = child
}

func (d *disklog) mkdir(at int, path string) func(int, int64) {
	dir, name, ours := d.lookup(path)
	if !ours {
		return nil
	}
	return func(done int, _ int64) {
		id, mode, err := identify(path)
		if err != nil {
			d.t.Errorf("look at %s: %v", path, err)
			return
		}
		d.enters(at, done, dir, name, d.add(id, node{dir: true, perm: fs.FileMode(mode & 0o777), now: map[string]int{}}), 0)
	}
}

// rename within one directory is one change. Between two it is two, of which one may be lost.
func (d *disklog) rename(at int, before, after string) func(int, int64) {
	from, old, ours := d.lookup(before)
	to, name, too := d.lookup(after)
	if !ours && !too {
		return nil
	}
	if ours != too {
		d.t.Errorf("a rename of %s to %s, out of what is on record or into it, is nothing that this test knows", before, after)
		return nil
	}
	return func(done int, _ int64) {
		n, known := d.nodes[from].now[old]
		if !known {
			d.t.Errorf("%s was renamed and not seen to appear", before)
			return
		}
		group := 0
		if from == to {
			group = at
		}
		d.enters(at, done, to, name, n, group)
		d.enters(at, done, from, old, -1, group)
	}
}

func (d *disklog) link(at int, file, path string) func(int, int64) {
	to, name, ours := d.lookup(path)
	if !ours {
		return nil
	}
	n, known := d.real(file)
	return func(done int, _ int64) {
		if !known {
			d.t.Errorf("%s was linked and not seen to appear", file)
			return
		}
		d.enters(at, done, to, name, n, 0)
	}
}

func (d *disklog) unlink(at int, path string) func(int, int64) {
	dir, name, ours := d.lookup(path)
	if !ours {
		return nil
	}
	return func(done int, _ int64) {
		if _, known := d.nodes[dir].now[name]; known {
			d.enters(at, done, dir, name, -1, 0)
		}
	}
}
