package spec_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/spec"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want spec.Settings
	}{
		"empty":        {"", spec.Settings{}},
		"comments":     {"# nothing yet\n", spec.Settings{}},
		"installation": {"installation: home-3F2a\n", spec.Settings{Installation: "home-3F2a"}},
		"bucket":       {"bucket: /srv/a b\n", spec.Settings{Bucket: "/srv/a b"}},
		"keep":         {"keep: {results: 90d, logs: forever}\n", spec.Settings{Keep: dayfly.Keep{Results: dayfly.Seconds(90 * 24 * time.Hour), Logs: dayfly.Forever}}},
		"limits":       {"limits: {machines: 20}\n", spec.Settings{Limits: dayfly.Limit{Machines: 20}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := spec.LoadSettings("dayfly.yaml", []byte(c.text))
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"slip":               {"instalation: x\n", `dayfly.yaml:1:1: unknown field "instalation"`},
		"key of a job":       {"name: x\n", `dayfly.yaml:1:1: unknown field "name"`},
		"twice":              {"bucket: a\nbucket: b\n", "dayfly.yaml:2:1: bucket is given twice; first at line 1"},
		"installation":       {"installation: a b\n", `dayfly.yaml:1:15: "a b" is not the name of an installation`},
		"bucket elsewhere":   {"bucket: s3://b/p\n", "dayfly.yaml:1:9: buckets at s3:// are not part of this build"},
		"no machines":        {"limits: {machines: 0}\n", "dayfly.yaml:1:20: limits.machines is 0; it must be from 1 to 100000"},
		"empty limits":       {"limits: {}\n", "dayfly.yaml:1:9: limits is empty"},
		"unserved ec2":       {"ec2: {regions: [eu-west-1]}\n", "dayfly.yaml:1:1: ec2: machines on ec2 are not part of this build"},
		"unserved notify":    {"notify: {email: {host: mail}}\n", "dayfly.yaml:1:1: notify: notifications are not part of this build"},
		"unserved and empty": {"ec2:\n", "dayfly.yaml:1:1: ec2 wants a mapping, found nothing"},
		"keep too short":     {"keep: {logs: 59m}\n", `dayfly.yaml:1:14: keep.logs is 59m; it must be at least 1h`},
		"keep of nothing":    {"keep: {log: 1d}\n", `dayfly.yaml:1:8: unknown field "log" in keep`},
		"list":               {"- a\n", "dayfly.yaml:1:1: the file wants a mapping, found a list"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := spec.LoadSettings("dayfly.yaml", []byte(c.text))
			if err == nil || got != (spec.Settings{}) {
				t.Fatalf("accepted as %+v", got)
			}
			if dayfly.ErrorCode(err) != dayfly.CodeInvalid || !strings.HasPrefix(err.Error(), c.want+"\n") {
				t.Errorf("want %q, got %q", c.want, err)
			}
		})
	}
}

func TestFreshSettings(t *testing.T) {
	t.Parallel()
	got := string(spec.Settings{Installation: "home"}.Marshal())
	want := `# The settings of this data directory.

# The name of this installation, on every machine it makes. It is made once and never changed.
installation: "home"

# Where logs, results and files are kept: a directory.
# bucket: /srv/dayfly/bucket

# What all jobs together may use.
# limits: {machines: 20}

# How long is kept what runs leave whose job says nothing of it.
# keep: {results: 90d, logs: 30d, history: 365d}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// What is written is read back the same.
func TestSettingsComeBack(t *testing.T) {
	t.Parallel()
	term := rapid.Custom(func(t *rapid.T) dayfly.Seconds {
		seconds := rapid.Int64Range(3600, 36500*24*3600).Draw(t, "seconds")
		return rapid.SampledFrom([]dayfly.Seconds{0, dayfly.Forever, dayfly.Seconds(seconds) * dayfly.Seconds(time.Second)}).Draw(t, "term")
	})
	rapid.Check(t, func(t *rapid.T) {
		s := spec.Settings{
			Installation: rapid.StringMatching(`([A-Za-z0-9][A-Za-z0-9-]{0,62})?`).Draw(t, "installation"),
			Bucket:       rapid.StringMatching(`(/[ -~é日]{1,20})?`).Draw(t, "bucket"),
			Limits:       dayfly.Limit{Machines: rapid.IntRange(0, 100_000).Draw(t, "machines")},
			Keep:         dayfly.Keep{Results: term.Draw(t, "results"), Logs: term.Draw(t, "logs"), History: term.Draw(t, "history")},
		}
		if strings.Contains(s.Bucket, "://") {
			t.Skip("an address")
		}
		got, err := spec.LoadSettings("dayfly.yaml", s.Marshal())
		if err != nil || got != s {
			t.Fatalf("%+v became %+v, %v\n%s", s, got, err, s.Marshal())
		}
	})
}
