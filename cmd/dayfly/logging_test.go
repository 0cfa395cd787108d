package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

func TestLogForPeople(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		level string
		env   []string
		want  string // without what stands before the first blank
	}{
		"text": {"info", nil, `run ended job=pi run=pi-1 reason="the job's \"end\"" took=1m30s at=2026-11-22T23:00:00Z
warning: launch error="no \x1b[2Jroom"
error: pass error=x
`},
		"debug":   {"debug", nil, ""},
		"errors":  {"error", nil, "error: pass error=x\n"},
		"journal": {"warn", []string{"JOURNAL_STREAM=8:1"}, "<4>launch error=\"no \\x1b[2Jroom\"\n<3>pass error=x\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			a := newApp(c.env, nil, nil, &b)
			log := a.serviceLog(logFlags{"text", c.level}).With("pass", "p1")
			log.Debug("run moved", "run", "pi-1")
			log.Info("run ended", "job", "pi", "run", "pi-1", "outcome", "", "reason", `the job's "end"`, "took", 90*time.Second,
				"at", time.Date(2026, 11, 23, 1, 0, 0, 0, time.FixedZone("", 7200)))
			log.Warn("launch", "error", errors.New("no \x1b[2Jroom"))
			log.Error("pass", "error", errors.New("x"))
			got := b.String()
			if name == "debug" {
				if !strings.Contains(got, " debug: run moved pass=p1 run=pi-1\n") || strings.Count(got, "\n") != 4 {
					t.Errorf("got %q", got)
				}
				return
			}
			if c.env == nil {
				var bare strings.Builder
				for line := range strings.Lines(got) {
					at, text, _ := strings.Cut(line, " ")
					if _, err := time.Parse(time.RFC3339, at); err != nil {
						t.Errorf("%q does not begin with the time", line)
					}
					bare.WriteString(text)
				}
				got = bare.String()
			}
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// In JSON everything on stderr is an object a line, whatever was written there.
func TestLogInJSON(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	a := newApp(nil, nil, nil, &b)
	log := a.serviceLog(logFlags{"json", "info"})
	log.Info("run ended", "run", "pi-1", "slot", time.Date(2026, 11, 23, 1, 0, 0, 5, time.FixedZone("", 7200)), "error", errors.New("no room"))
	a.say("Serving %s.", "/srv")
	a.warn("a \x1b[2J thing")
	printError(a.err, errors.New("two\nlines"))
	_, _ = a.err.Write([]byte("half "))
	_, _ = a.err.Write([]byte("a line\n\nnot whole"))
	var got []string
	for line := range strings.Lines(b.String()) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if at, err := time.Parse(time.RFC3339Nano, r["time"].(string)); err != nil || at.Location() != time.UTC {
			t.Errorf("time %v (%v)", r["time"], err)
		}
		got = append(got, r["level"].(string)+" "+r["msg"].(string))
	}
	want := []string{"INFO run ended", "INFO Serving /srv.", `WARN a \x1b[2J thing`, "ERROR two", "INFO lines", "INFO hint: dayfly doctor looks whether anything is wrong with this place", "INFO half a line"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", got, want)
	}
	if !strings.Contains(b.String(), `"run":"pi-1","slot":"2026-11-22T23:00:00.000000005Z","error":"no room"}`) {
		t.Errorf("the keys are %s", b.String())
	}
	if log.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("debug is logged at the level info")
	}
}

// Metrics are for this host alone, unless another address is named.
func TestMetricsAddress(t *testing.T) {
	t.Parallel()
	for address, c := range map[string]struct {
		loopback bool
		warns    bool
	}{":0": {true, false}, "127.0.0.1:0": {true, false}, "0.0.0.0:0": {false, true}} {
		var b bytes.Buffer
		l, err := newApp(nil, nil, nil, &b).listenForMetrics(address)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if is := l.Addr().(*net.TCPAddr).IP.IsLoopback(); is != c.loopback || strings.Contains(b.String(), "warning: ") != c.warns {
			t.Errorf("%s: it listens on %s and says %q", address, l.Addr(), b.String())
		}
	}
	if _, err := newApp(nil, nil, nil, &bytes.Buffer{}).listenForMetrics("nonsense"); err == nil || hint(err) == "" {
		t.Errorf("an address that is none: %v", err)
	}
}
