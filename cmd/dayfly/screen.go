package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/dayfly-io/dayfly"
	show "github.com/dayfly-io/dayfly/internal/term"
)

// What a terminal is told. The other screen is one that comes and goes and leaves the first as it was.
const (
	otherScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l" // without a cursor; lines end at the edge
	firstScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	home0       = "\x1b[H"
	restOfLine  = "\x1b[K"
	restOfAll   = "\x1b[J"
)

// screen shows scenes on a terminal, each in the place of the one before.
type screen struct {
	a      *app
	file   *os.File
	err    io.Writer   // the app's, meanwhile
	keys   *os.File    // nil: nobody types
	was    *term.State // of the keys
	quit   chan struct{}
	redraw chan struct{}
	resize chan os.Signal
	stop   chan os.Signal
	closed chan struct{}
	heard  chan struct{} // closed when nobody listens any more
	later  *later        // what is said meanwhile
}

// later keeps what is written to it, as far as anybody would want to read that much.
type later struct {
	mu   sync.Mutex
	text []byte
}

const mostLater = 8 << 10

// Write implements io.Writer.
func (l *later) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.text)+len(p) <= mostLater {
		l.text = append(l.text, p...)
	}
	return len(p), nil
}

// openScreen takes the terminal. It must be closed.
func (a *app) openScreen() (*screen, error) {
	s := &screen{
		a: a, file: a.out.(*os.File), quit: make(chan struct{}, 1), redraw: make(chan struct{}, 1),
		resize: make(chan os.Signal, 1), stop: make(chan os.Signal, 1), closed: make(chan struct{}), heard: make(chan struct{}),
	}
	if keys, ok := a.in.(*os.File); ok && term.IsTerminal(int(keys.Fd())) {
		s.keys = keys
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	s.later, s.err = &later{}, a.err
	a.err = s.later
	signal.Notify(s.resize, syscall.SIGWINCH)
	signal.Notify(s.stop, syscall.SIGTSTP)
	go s.listen()
	if s.keys != nil {
		go s.read()
	}
	return s, nil
}

// enter goes to the other screen; keys come at once and are not shown.
func (s *screen) enter() error {
	if s.keys != nil {
		was, err := unbuffered(int(s.keys.Fd()))
		if err != nil {
			return fmt.Errorf("read keys from the terminal: %w", err)
		}
		s.was = was
	}
	_, err := s.file.WriteString(otherScreen)
	return err
}

func (s *screen) leave() {
	_, _ = s.file.WriteString(firstScreen) // nobody is left to tell
	if s.keys != nil && s.was != nil {
		_ = term.Restore(int(s.keys.Fd()), s.was)
	}
}

// close gives the terminal back as it was.
func (s *screen) close() {
	signal.Stop(s.resize)
	signal.Stop(s.stop)
	close(s.closed)
	<-s.heard // who comes back from a pause takes the terminal once more
	s.leave()
	s.a.err = s.err
	_, _ = s.a.err.Write(s.later.text)
}

// listen passes on what the terminal and its user want.
func (s *screen) listen() {
	defer close(s.heard)
	for {
		select {
		case <-s.closed:
			return
		case <-s.resize:
		case <-s.stop: // Ctrl-Z: the terminal is the shell's until this goes on
			s.leave()
			s.pause()
			_ = s.enter()
		}
		select {
		case s.redraw <- struct{}{}:
		default:
		}
	}
}

// pause stops this process until it is told to go on. Another thread than this one may be the one that is stopped
// first, so it waits to be told; but not for long, since a process that no shell looks after is not stopped at all.
func (s *screen) pause() {
	goOn := make(chan os.Signal, 1)
	signal.Notify(goOn, syscall.SIGCONT)
	defer signal.Stop(goOn)
	signal.Reset(syscall.SIGTSTP)
	_ = syscall.Kill(os.Getpid(), syscall.SIGTSTP)
	select {
	case <-goOn:
	case <-time.After(100 * time.Millisecond):
	}
	signal.Notify(s.stop, syscall.SIGTSTP)
}

// read waits for the key that ends it.
func (s *screen) read() {
	in := bufio.NewReader(s.keys)
	for {
		b, err := in.ReadByte()
		if err != nil {
			return
		}
		if b == 'q' || b == 'Q' || b == 4 { // Ctrl-D
			s.quit <- struct{}{}
			return
		}
	}
}

func (s *screen) enough() <-chan struct{} { return s.quit }
func (s *screen) again() <-chan struct{}  { return s.redraw }

// show draws a scene over the one before.
func (s *screen) show(seen scene) error {
	width, height, err := term.GetSize(int(s.file.Fd()))
	if err != nil || width < 1 || height < 1 {
		width, height = 80, 24
	}
	var b strings.Builder
	b.WriteString(home0)
	lines := frame(seen, width, height)
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(s.colour(line))
		if show.Width(line) < width { // else the cursor stands on the last cell, which would go
			b.WriteString(restOfLine)
		}
	}
	if len(lines) < height {
		b.WriteString("\r\n" + restOfAll)
	}
	if _, err := s.file.WriteString(b.String()); err != nil {
		return &brokenOutput{err}
	}
	return nil
}

// colour makes the heads of what is shown stand out, where colours are wanted.
func (s *screen) colour(line string) string {
	if s.a.colour && line != "" && line == strings.ToUpper(line) {
		return "\x1b[1m" + line + "\x1b[0m"
	}
	return line
}

// Shares of the screen.
const (
	shownLately = 5
	shownNext   = 5
)

// frame is a scene as lines that fit a terminal of this size. Runs under way come first: what there is no
// room for is counted.
func frame(s scene, width, height int) []string {
	serving := "no daemon is at work"
	if s.daemon != "" {
		serving = "daemon: " + s.daemon
	}
	begun := 0
	for _, r := range s.runs {
		if r.State != dayfly.Due {
			begun++
		}
	}
	lines := []string{
		fmt.Sprintf("dayfly watch   %s   %s", s.at.UTC().Format("2006-01-02 15:04:05Z"), serving),
		fmt.Sprintf("%s under way, %d waiting   q ends watching, runs go on", plural(begun, "run"), len(s.runs)-begun),
	}
	for _, w := range s.wrong {
		lines = append(lines, "! "+w)
	}
	for _, f := range s.fills {
		lines = append(lines, fillText(f))
	}
	lately, next := latelyLines(s, width), nextLines(s, width)
	room := height - len(lines) - 2
	if room-len(next)-len(lately) < min(len(s.runs), 3) { // too small for all of it
		next = nil
	}
	if room-len(next)-len(lately) < min(len(s.runs), 3) {
		lately = nil
	}
	if len(s.runs) > 0 {
		lines = append(lines, "")
		lines = append(lines, runLines(s, max(1, room-len(next)-len(lately)), width)...)
	}
	lines = slices.Concat(lines, lately, next)
	for i, l := range lines {
		lines[i] = show.Cut(show.Text(l), width)
	}
	return lines[:min(len(lines), height)]
}

// runLines are the runs under way, those with machines first, in at most so many lines below their head.
func runLines(s scene, room, width int) []string {
	runs := slices.Clone(s.runs)
	slices.SortStableFunc(runs, func(x, y seenRun) int {
		waits := map[bool]int{true: 1}
		return cmp.Or(cmp.Compare(waits[x.State == dayfly.Due], waits[y.State == dayfly.Due]), began(x.Run).Compare(began(y.Run)))
	})
	more := 0
	if len(runs) > room {
		more = len(runs) - room + 1
		runs = runs[:room-1]
	}
	cells := [][]string{{"RUN", "FOR", "GONE BY", "DOING"}}
	for _, r := range runs {
		deadline, what := "", r.doing()
		if at := r.Attempt(); at != nil && r.State != dayfly.Due {
			deadline = when(at.Deadline, s.at)
		}
		if r.usually > 0 && nextMilestone(r.Run, r.machine) == ran {
			what += ", usually " + took(r.usually)
		}
		cells = append(cells, []string{string(r.ID), coarse(s.at.Sub(began(r.Run))), deadline, what})
	}
	lines := aligned(cells, width)
	if more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

func latelyLines(s scene, width int) []string {
	if len(s.lately) == 0 {
		return nil
	}
	cells := [][]string{{"ENDED", "", "TOOK", "HOW"}}
	for _, r := range s.lately[:min(len(s.lately), shownLately)] {
		how, length := stateText(r), ""
		if lastLaunched(r) > 0 {
			length = took(over(r).Sub(began(r)))
		}
		if r.Reason != "" {
			how += ": " + r.Reason
		}
		cells = append(cells, []string{string(r.ID), when(r.EndedAt, s.at), length, how})
	}
	return append([]string{""}, aligned(cells, width)...)
}

func nextLines(s scene, width int) []string {
	if len(s.next) == 0 {
		return nil
	}
	cells := [][]string{{"NEXT", "", ""}}
	for _, rec := range s.next {
		cells = append(cells, []string{string(rec.Name), when(rec.NextDue, s.at), rec.NextDue.UTC().Format("2006-01-02 15:04:05Z")})
	}
	return append([]string{""}, aligned(cells, width)...)
}

// aligned makes columns of cells; the first is of names.
func aligned(cells [][]string, width int) []string {
	var b strings.Builder
	for i, line := range cells {
		for j, cell := range line {
			cells[i][j] = show.Text(cell)
		}
	}
	_ = table{cells, []fit{middle}}.write(&b, width) // a Builder takes everything
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}
