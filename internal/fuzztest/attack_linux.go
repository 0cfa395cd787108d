package fuzztest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Attack is a directory of somebody who wants whoever reads it to read something else, to wait, or to use more
// than it may. Every one has a file "plain" with the content [Plain], which nothing happens to.
type Attack struct {
	Name string
	// Make makes it, beside "plain", a directory "d" with a "file" and ten files "00" to "09".
	Make func(a *Arena)
	// Meanwhile happens once, when everything was looked at and the first content is read. It may be nil.
	Meanwhile func(a *Arena)
	// Restless happens again and again from the beginning to the end. It may be nil.
	Restless func(a *Arena)
}

// Plain is the content of the file that every attack leaves alone.
const Plain = "nothing happens to this one\n"

// Arena is where an attack takes place.
type Arena struct {
	t       testing.TB
	Dir     string
	Outside *Outside
	turn    int
}

// NewArena makes the directory that an attack begins with.
func NewArena(t testing.TB, dir string, o *Outside) *Arena {
	t.Helper()
	a := &Arena{t: t, Dir: dir, Outside: o}
	a.write("plain", Plain)
	a.mkdir("d")
	a.write("d/file", "inside")
	for i := range 10 {
		a.write(fmt.Sprintf("%02d", i), strings.Repeat("x", 1000))
	}
	return a
}

// Path is that of a file in the directory.
func (a *Arena) Path(name string) string { return filepath.Join(a.Dir, name) }

// mostTurns is how often a restless attack does it at most: what it uses of the processors counts too.
const mostTurns = 10_000

// Run makes the attack and does what is attacked, which calls meanwhile when it reads the first content.
func (a *Arena) Run(attack Attack, do func(meanwhile func())) {
	a.t.Helper()
	if attack.Make != nil {
		attack.Make(a)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for range mostTurns {
			select {
			case <-done:
				return
			default:
			}
			if attack.Restless != nil {
				attack.Restless(a)
			}
		}
	}()
	defer func() {
		close(done)
		<-ended
	}()
	happened := attack.Meanwhile == nil
	do(func() {
		if !happened {
			attack.Meanwhile(a)
		}
		happened = true
	})
	if !happened {
		a.t.Error("nothing was read, and the attack did not take place")
	}
}

func (a *Arena) write(name, text string) {
	a.t.Helper()
	must(a.t, os.WriteFile(a.Path(name), []byte(text), 0o644))
}

func (a *Arena) mkdir(name string) { a.t.Helper(); must(a.t, os.MkdirAll(a.Path(name), 0o755)) }

func (a *Arena) link(target, name string) { a.t.Helper(); must(a.t, os.Symlink(target, a.Path(name))) }

func (a *Arena) remove(name string) { a.t.Helper(); must(a.t, os.RemoveAll(a.Path(name))) }

// node makes what is no file. Devices only root may make; others have a link to one.
func (a *Arena) node(name string, mode uint32) {
	a.t.Helper()
	err := unix.Mknod(a.Path(name), mode|0o666, int(unix.Mkdev(1, 5))) // /dev/zero
	if err != nil && (mode == unix.S_IFCHR || mode == unix.S_IFBLK) {
		err = os.Symlink("/dev/zero", a.Path(name))
	}
	must(a.t, err)
}

func (a *Arena) hole(name string, size int64) {
	a.t.Helper()
	f, err := os.OpenFile(a.Path(name), os.O_WRONLY|os.O_CREATE, 0o644)
	must(a.t, err)
	must(a.t, f.Truncate(size))
	must(a.t, f.Close())
}

// swap exchanges two names in one step: there is always something under both.
func (a *Arena) swap(x, y string) {
	if err := unix.Renameat2(unix.AT_FDCWD, a.Path(x), unix.AT_FDCWD, a.Path(y), unix.RENAME_EXCHANGE); err != nil {
		a.t.Errorf("exchange %s and %s: %v", x, y, err)
	}
}

// deep makes directories below one another, more than a path has room for.
func (a *Arena) deep(levels int) {
	a.t.Helper()
	fd := a.open(unix.AT_FDCWD, a.Dir)
	for range levels {
		must(a.t, unix.Mkdirat(fd, "deep", 0o755))
		fd = a.down(fd)
	}
	must(a.t, unix.Mknodat(fd, "bottom", unix.S_IFREG|0o644, 0))
	must(a.t, unix.Close(fd))
	a.t.Cleanup(func() { a.raze(levels) }) // too deep for the test's own clean-up
}

// raze removes what deep made, from the bottom up.
func (a *Arena) raze(levels int) {
	a.t.Helper()
	fd := a.open(unix.AT_FDCWD, a.Dir)
	for range levels {
		fd = a.down(fd)
	}
	must(a.t, unix.Unlinkat(fd, "bottom", 0))
	for range levels {
		up := a.open(fd, "..")
		must(a.t, errors.Join(unix.Close(fd), unix.Unlinkat(up, "deep", unix.AT_REMOVEDIR)))
		fd = up
	}
	must(a.t, unix.Close(fd))
}

func (a *Arena) open(at int, name string) int {
	a.t.Helper()
	fd, err := unix.Openat(at, name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(a.t, err)
	return fd
}

func (a *Arena) down(fd int) int {
	a.t.Helper()
	next := a.open(fd, "deep")
	must(a.t, unix.Close(fd))
	return next
}

// instead puts something in the place of a file.
func instead(name string, put func(a *Arena, name string)) func(a *Arena) {
	return func(a *Arena) {
		a.remove(name)
		put(a, name)
	}
}

// anyNames are names that are right and that somebody may stumble over.
var anyNames = []string{
	"new\nline", "\xff\xfe bytes", "A", "a", "...", "-rf", "~", "back\\slash", "per%cent", "\x1b[2J", "\u202egnp", "ünïcode", "..\\..\\x", "C:x", " ", "x.", "CON",
	strings.Repeat("n", 255), "%2e%2e%2f", "*", "$(reboot)", "`x`",
}

// EachAttack calls f for every attack, in a test of its own; for one that goes on all the time several times over,
// since one time it may come too late.
func EachAttack(t *testing.T, f func(t *testing.T, attack Attack)) {
	t.Helper()
	for _, attack := range Attacks() {
		t.Run(attack.Name, func(t *testing.T) {
			rounds := 1
			if attack.Restless != nil {
				rounds = 10
			}
			for range rounds {
				f(t, attack)
			}
		})
	}
}

// Attacks are those on whoever reads a directory.
func Attacks() []Attack {
	outward := func(to string) func(a *Arena, name string) {
		return func(a *Arena, name string) { a.link(a.Outside.Path(to), name) }
	}
	return []Attack{
		{Name: "links to outside", Make: func(a *Arena) {
			a.link(a.Outside.Path("secret"), "absolute")
			a.link(a.Outside.Dir, "directory")
			up, err := filepath.Rel(a.Dir, a.Outside.Path("secret"))
			must(a.t, err)
			a.link(up, "relative")
			a.link("/proc/self/root"+a.Outside.Path("secret"), "magic")
			a.link("/", "root")
			a.link("..", "up")
		}},
		{Name: "links that leave through another", Make: func(a *Arena) {
			a.mkdir("p/q")
			a.link("..", "s")
			a.link("../../s/"+filepath.Base(a.Dir)+"/../x", "p/q/l")
		}},
		{Name: "links in a circle", Make: func(a *Arena) {
			a.link("b", "a")
			a.link("a", "b")
			a.link("self", "self")
			a.link(".", "d/here")
			a.link("..", "d/up")
		}},
		{Name: "a hard link to a file outside", Make: func(a *Arena) {
			must(a.t, os.Link(a.Outside.Path("linked"), a.Path("hard")))
		}},
		{Name: "what is no file", Make: func(a *Arena) {
			a.node("fifo", unix.S_IFIFO)
			a.node("socket", unix.S_IFSOCK)
			a.node("device", unix.S_IFCHR)
			a.node("block", unix.S_IFBLK)
		}},
		{Name: "a terabyte that is a hole", Make: func(a *Arena) { a.hole("huge", Huge) }},
		{Name: "ten thousand directories deep", Make: func(a *Arena) { a.deep(10_000) }},
		{Name: "names of all kinds", Make: func(a *Arena) {
			for _, n := range anyNames {
				a.write(n, "x")
				a.mkdir("dir " + n[:min(len(n), 200)])
			}
		}},
		{Name: "a directory becomes a link to outside", Meanwhile: instead("d", outward("d"))},
		{Name: "a file becomes a link to outside", Meanwhile: instead("d/file", outward("secret"))},
		{Name: "a file becomes a link within", Meanwhile: instead("d/file", func(a *Arena, name string) { a.link("../09", name) })},
		{Name: "a file becomes a FIFO", Meanwhile: instead("d/file", func(a *Arena, name string) { a.node(name, unix.S_IFIFO) })},
		{Name: "a file becomes a device", Meanwhile: instead("d/file", func(a *Arena, name string) { a.node(name, unix.S_IFCHR) })},
		{Name: "a file becomes a directory", Meanwhile: instead("d/file", func(a *Arena, name string) { a.mkdir(name) })},
		{Name: "a file becomes a hard link to one outside", Meanwhile: instead("d/file", func(a *Arena, name string) {
			must(a.t, os.Link(a.Outside.Path("linked"), a.Path(name)))
		})},
		{Name: "a file grows to a terabyte", Meanwhile: func(a *Arena) { a.hole("d/file", Huge) }},
		{Name: "a file shrinks", Meanwhile: func(a *Arena) { a.hole("d/file", 1) }},
		{Name: "the directory becomes a link to outside", Meanwhile: func(a *Arena) {
			must(a.t, os.Rename(a.Dir, a.Dir+".moved"))
			must(a.t, os.Symlink(a.Outside.Dir, a.Dir))
		}},
		{Name: "a directory is now here, now outside", Make: func(a *Arena) { outward("d")(a, "d.link") }, Restless: func(a *Arena) { a.swap("d", "d.link") }},
		{Name: "a file is now a file, now a link to outside", Make: func(a *Arena) { outward("secret")(a, "d/link") }, Restless: func(a *Arena) { a.swap("d/file", "d/link") }},
		{Name: "a file is now a file, now a FIFO", Make: func(a *Arena) { a.node("d/fifo", unix.S_IFIFO) }, Restless: func(a *Arena) { a.swap("d/file", "d/fifo") }},
		{Name: "a file never stops growing", Restless: func(a *Arena) {
			a.turn++
			if err := os.Truncate(a.Path("d/file"), int64(min(a.turn, 10_000))<<10); err != nil {
				a.t.Errorf("grow: %v", err)
			}
		}},
	}
}
