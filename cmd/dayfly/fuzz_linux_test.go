package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/fuzztest"
)

// FuzzParams types any text behind --param: it is refused as a mistake in the command line, or the job gets the very
// text for that parameter and no other.
func FuzzParams(f *testing.F) {
	yes := true
	job := dayfly.Job{Name: "pi", Params: map[string]dayfly.Param{
		"digits": {Type: dayfly.ParamInt, Min: "-5", Max: "1000000", Default: []byte("0")},
		"rate":   {Type: dayfly.ParamFloat, Min: "0.5"},
		"deep":   {Type: dayfly.ParamBool},
		"note":   {Type: dayfly.ParamString},
		"mode":   {Type: dayfly.ParamString, Enum: []json.RawMessage{[]byte(`"fast"`), []byte(`"a=b"`)}, Required: &yes},
	}}
	for _, text := range []string{
		"digits=5000", "digits=-5", "digits=-6", "digits=017", "digits=9223372036854775808", "digits=1e3", "digits=٣", "rate=0.25", "rate=.5", "rate=NaN", "rate=Inf",
		"deep=true", "deep=TRUE", "note=", "note=a=b", "note=\x00", "note=\xff", "note= x ", "note=$(reboot)\n\x1b[2J", "mode=a=b", "mode=slow", "=", "", "digits", "DIGITS=1", "none=1",
		"note=" + strings.Repeat("x", dayfly.MaxParam), "note=" + strings.Repeat("x", dayfly.MaxParam+1), strings.Repeat("n", 100_000) + "=1",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cmd := &cobra.Command{Use: "run"}
		name, _, _ := strings.Cut(text, "=")
		given := []string{text}
		for _, g := range []string{"mode=fast", "rate=1", "deep=false", "note=x"} {
			if !strings.HasPrefix(g, name+"=") {
				given = append(given, g)
			}
		}
		var got map[string]string
		var err error
		fuzztest.Bounded(t, func() { got, err = paramsOf(cmd, job, given) })
		if err != nil {
			if e, ok := errors.AsType[*exit](err); !ok || e.code != exitUsage {
				t.Errorf("%q is refused with %v", text, err)
			}
			return
		}
		want := map[string]string{}
		for _, g := range given {
			k, v, _ := strings.Cut(g, "=")
			want[k] = v
		}
		if !maps.Equal(got, want) {
			t.Errorf("%q gives %q", given, got)
		}
		if values, err := job.Values(got); err != nil || values["note"] != got["note"] {
			t.Errorf("%q is taken here and becomes %q at the launch, %v", text, values, err)
		}
	})
}

// FuzzTime types any text behind --from and --to: it is refused, or an instant, which for a day is its first or its
// last in the zone and for how long ago is not in the future.
func FuzzTime(f *testing.F) {
	zones := []string{"UTC", "Europe/Tallinn", "Pacific/Apia", "America/St_Johns", "Africa/Monrovia", "America/Sao_Paulo"}
	for _, text := range []string{
		"2026-11-22T23:00:00Z", "2026-11-22", "2011-12-30", "2018-11-04", "2026-02-30", "2026-13-01", "0000-01-01", "9999-12-31", "36h", "90d", "65536d", "-1h", "1ns",
		"9223372036854775807ns", "2026-11-22 23:00", "2026-11-22T23:00:00+99:99", "٢٠٢٦-11-22", "2026-11-22\x1b[2J", strings.Repeat("9", 100_000), strings.Repeat("1h", 100_000),
	} {
		for zone := range zones {
			f.Add(text, uint8(zone), zone%2 == 0)
		}
	}
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string, zone uint8, last bool) {
		loc, err := time.LoadLocation(zones[int(zone)%len(zones)])
		if err != nil {
			t.Fatal(err)
		}
		var at time.Time
		fuzztest.Bounded(t, func() { at, err = timeOf("from", text, loc, now, last) })
		if err != nil {
			e, ok := errors.AsType[*dayfly.Error](err)
			if !ok || e.Code != dayfly.CodeInvalid || e.Hint == "" {
				t.Errorf("%q is refused with %v", text, err)
			}
			return
		}
		if _, past := ago(text); past && at.After(now) {
			t.Errorf("%s ago is %s", text, at)
		}
		if day, err := time.Parse(time.DateOnly, text); err == nil {
			edge := at
			if last {
				edge, day = at.Add(time.Nanosecond), day.AddDate(0, 0, 1)
			}
			want, before := day.Format("2006-01-02"), edge.Add(-time.Second).In(loc).Format("2006-01-02")
			if in := edge.In(loc).Format("2006-01-02"); day.Year() > 0 && day.Year() < 9999 && (in < want || before >= want) {
				t.Errorf("%s (last: %v) in %s is %s", text, last, loc, at)
			}
		}
	})
}

// FuzzHealth lets whatever listens where a daemon said it would answer anything: doctor says what it makes of it.
func FuzzHealth(f *testing.F) {
	f.Add([]byte(`{"status":"ok","started_at":"2026-11-22T23:00:00Z","last_pass_at":"2026-11-22T23:00:00Z","failures":0,"active_runs":1}`))
	f.Add([]byte(`{"status":"failing","errors":["\u001b[2J","x"]}`))
	f.Add([]byte(`{"status":`))
	f.Add([]byte(`{}`))
	f.Add([]byte(strings.Repeat("[", 20_000)))
	f.Add([]byte(`{"errors":"` + strings.Repeat("x", 1<<20)))
	var says []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(says) }))
	f.Cleanup(server.Close)
	dir := f.TempDir()
	at, err := json.Marshal(map[string]string{"address": strings.TrimPrefix(server.URL, "http://")})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, announceFile), at, 0o600)
	}
	if err != nil {
		f.Fatal(err)
	}
	p := &patient{dir: dir, a: &app{now: func() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }}}
	f.Fuzz(func(t *testing.T, text []byte) {
		says = text
		var found finding
		fuzztest.Bounded(t, func() { found = p.askDaemon(t.Context(), 1, 1) })
		if found.Why == "" || (found.Result == healthOK) != (found.Mend == "") {
			t.Errorf("of %.300q it finds %.300v", text, found)
		}
		var is struct{ Status string }
		if err := json.NewDecoder(bytes.NewReader(text)).Decode(&is); found.Result == healthOK && (err != nil || is.Status != "ok") {
			t.Errorf("all is well after %.300q", text)
		}
	})
}
