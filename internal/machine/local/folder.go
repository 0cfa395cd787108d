package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/durable"
	"github.com/dayfly-io/dayfly/internal/machine"
)

// The names of a machine's folder.
const (
	fileTags    = "tags.json"
	fileLaunch  = "launch.json"
	fileLock    = "lock"
	fileStarted = "started"
	fileInit    = "init.json"
	fileStatus  = "status.json"
	fileEmptied = "emptied"
	fileClosed  = "closed"
	fileLog     = "supervisor.log"
	dirScratch  = "scratch"
	dirBox      = "box"
)

// A folder that begins with a dot is being made or removed, or tries a rung; it is no machine. Then
// follows whose it is.
const (
	prefixMaking   = ".making-"
	prefixRemoving = ".removing-"
	prefixTrying   = ".trying-"
)

// isToken tells whether a name can be a token: no longer than 64 bytes, [0-9A-Za-z_-], none of the
// last two first. No expression is compiled for it: this runs in each of a machine's processes.
func isToken(s string) bool {
	other := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '_' && r != '-'
	}
	return s != "" && len(s) <= 64 && s[0] != '_' && s[0] != '-' && !strings.ContainsFunc(s, other)
}

// folder is the folder of one machine.
type folder string

func (f folder) token() string           { return filepath.Base(string(f)) }
func (f folder) path(name string) string { return filepath.Join(string(f), name) }

func (f folder) has(name string) (bool, error) {
	_, err := os.Lstat(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// launch is launch.json: what the supervisor is to do, decided by the launcher.
type launch struct {
	Spec       machine.Spec `json:"spec"`
	Way        way          `json:"way"`
	Hidden     []string     `json:"hidden"`
	Notes      []string     `json:"notes,omitempty"`
	LaunchedAt time.Time    `json:"launched_at"`
}

// startedFile is started: who supervises, and where else something of the machine may be.
type startedFile struct {
	Supervisor record   `json:"supervisor"`
	Cgroups    []string `json:"cgroups,omitempty"`

	lost bool // it was started, and the file does not say by whom
}

// initFile is init.json, written between the clone and the order to go. Until it is there, who is the first
// process is to be seen from the processes' arguments alone.
type initFile struct {
	Init *record `json:"init"`
}

// statusFile is status.json, for people: losing it loses nothing.
type statusFile struct {
	Phase     string    `json:"phase,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
	Notes     []string  `json:"notes,omitempty"`
}

// machine is what a launch says of its machine.
func (l launch) machine(token string, state dayfly.MachineState) dayfly.Machine {
	return dayfly.Machine{
		ID: idOf(token), Provider: string(Location), State: state,
		Tags: l.Spec.Tags, LaunchedAt: l.LaunchedAt, Isolation: l.Way.rung(), Notes: l.Notes,
	}
}

// make puts the folder in place whole, or finds that there is one already; until then its name begins
// with making. Nothing is synced: the supervisor syncs what must survive a power cut before it clones.
func (f folder) make(l launch, making string) (first bool, err error) {
	dir := filepath.Dir(string(f))
	if err := durable.MkdirAll(dir, 0o700, nil); err != nil {
		return false, fmt.Errorf("make the machines' folder: %w", err)
	}
	tmp, err := os.MkdirTemp(dir, making)
	if err != nil {
		return false, fmt.Errorf("make the machine's folder: %w", err)
	}
	defer os.RemoveAll(tmp) // finds nothing after the rename
	t := folder(tmp)
	if err := errors.Join(
		t.writeNew(fileTags, l.Spec.Tags),
		t.writeNew(fileLaunch, l),
		os.WriteFile(t.path(fileLock), nil, 0o600),
	); err != nil {
		return false, fmt.Errorf("make the machine's folder: %w", err)
	}
	err = os.Rename(tmp, string(f))
	if errors.Is(err, fs.ErrExist) { // also ENOTEMPTY: another launch, or a Terminate, was first
		return false, nil
	}
	return err == nil, err
}

// close forbids every later start, durably, and makes the folder where there is none.
func (f folder) close(reason string) error {
	if err := durable.MkdirAll(string(f), 0o700, nil); err != nil {
		return fmt.Errorf("close machine %s: %w", f.token(), err)
	}
	if err := f.markClosed(reason); err != nil {
		return err
	}
	if err := f.sync(fileClosed); err != nil {
		return fmt.Errorf("close machine %s: %w", f.token(), err)
	}
	return nil
}

// markClosed is enough where started is durable already. The first reason stays.
func (f folder) markClosed(reason string) error {
	c, err := os.OpenFile(f.path(fileClosed), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = c.WriteString(reason + "\n")
		err = errors.Join(err, c.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("close machine %s: %w", f.token(), err)
	}
	return nil
}

// markEmptied is another name for the lock's empty file: that takes no file of its own.
func (f folder) markEmptied() error {
	err := os.Link(f.path(fileLock), f.path(fileEmptied))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = os.WriteFile(f.path(fileEmptied), nil, 0o600) // a file system without links
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// sync makes a file of the folder, and the way to it, survive a power cut.
func (f folder) sync(name string) error {
	return durable.SyncAll(f.path(name), string(f), filepath.Dir(string(f)))
}

// closedReason is the content of closed.
func (f folder) closedReason() string {
	b, err := f.content(fileClosed)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b[:min(len(b), 1<<10)])) // a line of ours is shorter
}

// write stores v as a whole: a reader sees the old file or the new one.
func (f folder) write(name string, v any) error {
	if err := f.writeNew("."+name, v); err != nil {
		return err
	}
	return os.Rename(f.path("."+name), f.path(name))
}

// writeNew stores v where nobody looks yet.
func (f folder) writeNew(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return os.WriteFile(f.path(name), append(b, '\n'), 0o600)
}

// mostContent is more than any file of a folder has: a script and variables of 320 KiB, each byte of which
// JSON writes as six.
const mostContent = 8 << 20

// open opens a file to read it. What is no file is damaged: nothing is waited for, no link is followed.
func (f folder) open(name string) (file *os.File, size int64, err error) {
	file, err = os.OpenFile(f.path(name), os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) { // a link, a socket
		err = fmt.Errorf("read %s: %w", f.path(name), &damaged{errors.New("it is no file")})
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	switch {
	case err != nil:
	case info.IsDir(): // nothing of ours becomes one: somebody is at work there
		err = &fs.PathError{Op: "read", Path: f.path(name), Err: syscall.EISDIR}
	case !info.Mode().IsRegular():
		err = fmt.Errorf("read %s: %w", f.path(name), &damaged{errors.New("it is no file")})
	default:
		return file, info.Size(), nil
	}
	_ = file.Close()
	return nil, 0, err
}

// content reads a file whole. One that is not ours for its length is damaged, and not read.
func (f folder) content(name string) ([]byte, error) {
	file, size, err := f.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if size > mostContent {
		return nil, fmt.Errorf("read %s: %w", f.path(name), &damaged{fmt.Errorf("it has %d bytes", size)})
	}
	b := make([]byte, size+1) // one more, so that its end is seen at once
	n, err := io.ReadFull(file, b)
	if err == nil { // it grows
		return nil, fmt.Errorf("read %s: %w", f.path(name), &damaged{errors.New("it is being written")})
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return b[:n], nil
}

// read fills v. A file that is not there is fs.ErrNotExist.
func (f folder) read(name string, v any) error {
	b, err := f.content(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(bytes.TrimSpace(b), v); err != nil {
		return fmt.Errorf("read %s: %w", f.path(name), &damaged{err})
	}
	return nil
}

// damaged is a file that can be read and makes no sense: half written at a power cut, or not ours.
type damaged struct{ err error }

func (d *damaged) Error() string { return d.err.Error() }
func (d *damaged) Unwrap() error { return d.err }

// readable reads name where it is there and makes sense. Only trouble with reading is an error.
func (f folder) readable(name string, v any) (ok bool, err error) {
	err = f.read(name, v)
	if _, bad := errors.AsType[*damaged](err); bad || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// status is the supervisor's side of status.json. It is a convenience for people: that it is not stored
// stops nothing.
type status struct {
	dir  folder
	warn func(error)

	mu    sync.Mutex
	file  statusFile
	later *time.Timer // stores it; nil: there is nothing to store
}

// statusDelay is how long a change may wait for others, and most phases are over sooner.
const statusDelay = 500 * time.Millisecond

// set changes the status and stores it soon.
func (s *status) set(change func(*statusFile)) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.file)
	if s.later == nil {
		s.later = time.AfterFunc(statusDelay, func() { s.setNow(func(*statusFile) {}) })
	}
}

// setNow changes the status and stores it at once.
func (s *status) setNow(change func(*statusFile)) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.file)
	if s.later != nil {
		s.later.Stop()
		s.later = nil
	}
	if err := s.dir.write(fileStatus, s.file); err != nil {
		s.warn(err)
	}
}

// move says where the folder is now.
func (s *status) move(to folder) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dir = to
}

// machineOf is what the folder says of a machine, its state apart.
func (f folder) machineOf() (dayfly.Machine, error) {
	m := dayfly.Machine{ID: idOf(f.token()), Provider: string(Location)}
	var l launch
	known, err := f.readable(fileLaunch, &l)
	if err != nil {
		return m, err
	}
	if known {
		m = l.machine(f.token(), "")
	}
	var t dayfly.Tags
	if ok, err := f.readable(fileTags, &t); err != nil {
		return m, err
	} else if ok {
		m.Tags = t
	} else if !known {
		m.Notes = append(m.Notes, "its folder says nothing of whose it is")
	}
	var s statusFile
	if _, err := f.readable(fileStatus, &s); err != nil {
		return m, err
	}
	m.Phase, m.StartedAt = s.Phase, s.StartedAt
	m.Notes = append(m.Notes, s.Notes...)
	return m, nil
}

func idOf(token string) dayfly.MachineID { return dayfly.MachineID(string(Location) + "/" + token) }

// tokenOf is the token in a machine's id; ok is false for a machine that cannot be this provider's.
func tokenOf(id dayfly.MachineID) (token string, ok bool) {
	token, ok = strings.CutPrefix(string(id), string(Location)+"/")
	return token, ok && isToken(token)
}
