package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dayfly-io/dayfly/internal/term"
)

// logFlags are the flags of who logs.
type logFlags struct{ format, level string }

// logForms are what --log-format takes.
var logForms = []string{"text", "json"}

// levels are what --log-level takes.
var levels = []string{"debug", "info", "warn", "error"}

// serviceLog makes the log of serve. In JSON all else that goes to stderr becomes lines of it too, so that
// whoever reads it need not guess.
func (a *app) serviceLog(f logFlags) *slog.Logger {
	level := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}[slices.Index(levels, f.level)]
	if f.format == "json" {
		log := slog.New(slog.NewJSONHandler(a.err, &slog.HandlerOptions{Level: level, ReplaceAttr: inUTC}))
		a.err, a.errTTY = &logged{log: log}, false
		return log
	}
	return slog.New(&logLines{to: a.err, mu: &sync.Mutex{}, level: level, journal: a.getenv("JOURNAL_STREAM") != ""})
}

func inUTC(groups []string, at slog.Attr) slog.Attr {
	if t, ok := at.Value.Any().(time.Time); ok {
		return slog.String(at.Key, t.UTC().Format(time.RFC3339Nano))
	}
	return at
}

// logLines is a log for people: when, what, and what it is about, on one line. For the journal, which knows the
// time, it says how bad it is in the journal's own way.
type logLines struct {
	to      io.Writer
	mu      *sync.Mutex
	level   slog.Level
	journal bool
	about   []slog.Attr
}

// Enabled implements slog.Handler.
func (l *logLines) Enabled(_ context.Context, level slog.Level) bool { return level >= l.level }

// Handle implements slog.Handler.
func (l *logLines) Handle(_ context.Context, r slog.Record) error {
	var b bytes.Buffer
	word, priority := "", 6 // of syslog: info
	switch {
	case r.Level >= slog.LevelError:
		word, priority = "error: ", 3
	case r.Level >= slog.LevelWarn:
		word, priority = "warning: ", 4
	case r.Level < slog.LevelInfo:
		word, priority = "debug: ", 7
	}
	if l.journal {
		fmt.Fprintf(&b, "<%d>", priority)
	} else {
		b.WriteString(r.Time.UTC().Format(time.RFC3339) + " " + word)
	}
	b.WriteString(term.Text(r.Message))
	each := func(at slog.Attr) bool {
		if at.Key == "pass" && l.level > slog.LevelDebug {
			return true // it is for who looks closely
		}
		if text := valueText(at.Value); text != "" {
			b.WriteString(" " + at.Key + "=" + text)
		}
		return true
	}
	for _, at := range l.about {
		each(at)
	}
	r.Attrs(each)
	b.WriteByte('\n')
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.to.Write(b.Bytes())
	return err
}

// valueText is a value on one line, between quotes where it would not be read as one word; "" for none.
func valueText(v slog.Value) string {
	text := v.Resolve().String()
	if t, ok := v.Any().(time.Time); ok {
		text = t.UTC().Format(time.RFC3339)
	}
	if strings.ContainsAny(text, " \t\r\n\"=\\") || term.Text(text) != text {
		return strconv.Quote(text)
	}
	return text
}

// WithAttrs implements slog.Handler.
func (l *logLines) WithAttrs(more []slog.Attr) slog.Handler {
	with := *l
	with.about = append(slices.Clone(l.about), more...)
	return &with
}

// WithGroup implements slog.Handler; a line for people has no groups.
func (l *logLines) WithGroup(string) slog.Handler { return l }

// logged makes log lines of what is written for people.
type logged struct {
	log *slog.Logger

	mu   sync.Mutex
	rest []byte // of a line that is not whole yet
}

// Write implements io.Writer.
func (s *logged) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest = append(s.rest, b...)
	for {
		line, rest, whole := bytes.Cut(s.rest, []byte{'\n'})
		if !whole {
			return len(b), nil
		}
		s.say(string(line))
		s.rest = slices.Clone(rest)
	}
}

func (s *logged) say(line string) {
	level := slog.LevelInfo
	if text, is := strings.CutPrefix(line, "error: "); is {
		level, line = slog.LevelError, text
	} else if text, is := strings.CutPrefix(line, "warning: "); is {
		level, line = slog.LevelWarn, text
	}
	if strings.TrimSpace(line) != "" {
		s.log.Log(context.Background(), level, line)
	}
}
