package fuzztest

import (
	"os"
	"path"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What a Tree may have.
const (
	maxSteps = 64
	maxLevel = 300
)

// Huge is the size of a file that is a hole.
const Huge = 1 << 40

// Tree makes in dir what the bytes say: files, directories, links of both kinds, FIFOs, sockets, devices
// (as root) and holes, under any names, deep below one another or not. What cannot be made is passed
// over, and nothing is made outside of dir. The same bytes make the same tree.
func Tree(t testing.TB, dir string, program []byte, o *Outside) {
	t.Helper()
	top, err := os.OpenRoot(dir)
	must(t, err)
	b := &builder{t: t, program: program, here: top, top: top, outside: o}
	defer func() {
		b.leave()
		top.Close()
	}()
	for range maxSteps {
		if len(b.program) == 0 {
			return
		}
		b.step()
	}
}

// builder is a Tree under way.
type builder struct {
	t         testing.TB
	program   []byte
	top, here *os.Root
	level     int
	outside   *Outside
}

func (b *builder) next() byte {
	if len(b.program) == 0 {
		return 0
	}
	c := b.program[0]
	b.program = b.program[1:]
	return c
}

func (b *builder) word() string {
	n := min(int(b.next())%48, len(b.program))
	w := b.program[:n]
	b.program = b.program[n:]
	return string(w)
}

// leave goes back to the top.
func (b *builder) leave() {
	if b.here != b.top {
		b.here.Close()
	}
	b.here, b.level = b.top, 0
}

func (b *builder) enter(name string) {
	if b.level == maxLevel {
		return
	}
	info, err := b.here.Lstat(name)
	if err != nil || !info.IsDir() {
		return
	}
	next, err := b.here.OpenRoot(name)
	if err != nil {
		return
	}
	if b.here != b.top {
		b.here.Close()
	}
	b.here, b.level = next, b.level+1
}

// step makes one thing. Errors are those of names and places that cannot be had.
func (b *builder) step() {
	kind, name := b.next()%14, b.word()
	switch kind {
	case 0, 1:
		b.file(name, b.word(), 0)
	case 2:
		_ = b.here.Mkdir(name, 0o755)
		b.enter(name)
	case 3:
		b.enter(name)
	case 4:
		b.leave()
	case 5:
		_ = b.here.Symlink(b.word(), name)
	case 6:
		_ = b.here.Symlink(b.outside.Path([]string{"secret", "d", "d/file", "linked", "..", "none"}[b.next()%6]), name)
	case 7:
		_ = b.here.Symlink([]string{"/", "..", ".", name, "/proc/self/cwd", "/dev/zero", "/proc/self/fd/0", "/dev/stdin"}[b.next()%8], name)
	case 8:
		b.at(name, func(fd int) error { return unix.Linkat(unix.AT_FDCWD, b.outside.Path("linked"), fd, name, 0) })
	case 9:
		b.at(name, func(fd int) error {
			return unix.Mknodat(fd, name, []uint32{unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR, unix.S_IFBLK}[b.next()%4]|0o666, int(unix.Mkdev(1, 5)))
		})
	case 10:
		b.file(name, "", Huge)
	case 11:
		info, err := b.here.Lstat(name)
		if err == nil && info.Mode().IsRegular() && info.Sys().(*syscall.Stat_t).Nlink == 1 { // else it is outside too
			_ = b.here.Chmod(name, os.FileMode(b.next()))
		}
	case 12:
		for range maxLevel {
			_ = b.here.Mkdir("d", 0o755)
			b.enter("d")
		}
	case 13:
		_ = b.here.Link(b.word(), name)
	}
}

// file makes a file that is not there, with a hole after its content. Nothing is opened that is there: it may be
// a FIFO.
func (b *builder) file(name, content string, size int64) {
	f, err := b.here.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	if _, err := f.WriteString(content); err != nil {
		b.t.Fatal(err)
	}
	if size > 0 {
		_ = f.Truncate(size) // more than some file systems take
	}
}

// at does something with a name in the directory itself.
func (b *builder) at(name string, do func(fd int) error) {
	if name != path.Base(name) || name == ".." || !filepath.IsLocal(name) {
		return
	}
	f, err := b.here.Open(".")
	if err != nil {
		return
	}
	defer f.Close()
	_ = do(int(f.Fd())) // a name that is taken or too long, a device that only root makes
}

// TreePrograms are seeds for a Tree.
func TreePrograms() [][]byte {
	w := func(s string) string { return string([]byte{byte(len(s))}) + s }
	return [][]byte{
		[]byte("\x00" + w("plain") + w("content") + "\x02" + w("d") + "\x00" + w("file") + w("deeper")),
		[]byte("\x06" + w("link") + "\x00" + "\x06" + w("dir") + "\x01" + "\x05" + w("up") + w("../../etc/passwd")),
		[]byte("\x07" + w("self") + "\x03" + "\x07" + w("zero") + "\x05" + "\x07" + w("root") + "\x00"),
		[]byte("\x08" + w("hard") + "\x0b" + w("hard") + "\xff" + "\x0d" + w("again") + w("hard")),
		[]byte("\x09" + w("fifo") + "\x00" + "\x09" + w("socket") + "\x01" + "\x09" + w("device") + "\x02"),
		[]byte("\x0a" + w("hole") + "\x00" + w("plain") + w("x")),
		[]byte("\x0c" + w("") + "\x00" + w("bottom") + w("x")),
		[]byte("\x00" + w("new\nline") + w("1") + "\x00" + w("\xff\xfe") + w("2") + "\x00" + w("A") + w("3") + "\x00" + w("a") + w("4") + "\x00" + w("\x1b[2J") + w("5")),
		[]byte("\x02" + w("d") + "\x05" + w("l") + w("../../x") + "\x04" + w("") + "\x05" + w("s") + w("d/l")),
	}
}
