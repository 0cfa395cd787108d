package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the units in deploy/systemd say. systemd passes over a directive that it does not know, so a slip
// would only show when it is needed. Each comes in here once, by hand, after a look at systemd.exec(5),
// systemd.service(5), systemd.unit(5), systemd.kill(5) and systemd.resource-control(5).
var unitDirectives = map[string][]string{
	"Unit": {"Description", "Documentation", "Wants", "After"},
	"Service": {
		"Type", "NotifyAccess", "WatchdogSec", "ExecStartPre", "ExecStart", "ExecReload", "Restart", "RestartSec", "TimeoutStopSec",
		"KillMode", "Delegate", "DelegateSubgroup", "OOMPolicy", "TasksMax", "StateDirectory", "StateDirectoryMode",
		"ConfigurationDirectory", "ConfigurationDirectoryMode", "UMask", "CapabilityBoundingSet", "SystemCallFilter", "SystemCallErrorNumber",
	},
	"Install": {"WantedBy"},
}

var unitFiles = []string{"../../deploy/systemd/dayfly.service", "../../deploy/systemd/user/dayfly.service"}

func TestUnits(t *testing.T) {
	t.Parallel()
	for _, path := range unitFiles {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		section, said, explained := "", map[string]string{}, false
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			switch key, value, is := strings.Cut(line, "="); {
			case line == "":
				explained = false
			case strings.HasPrefix(line, "#"):
				explained = true
			case strings.HasPrefix(line, "["):
				section, explained = strings.Trim(line, "[]"), true
			case !is || !slices.Contains(unitDirectives[section], key) || said[key] != "":
				t.Errorf("%s: in [%s]: %s", path, section, line)
			default:
				said[key] = value
				if !explained {
					t.Errorf("%s: nothing says why %s", path, line)
				}
			}
		}
		for key, want := range map[string]string{"Type": "notify", "KillMode": "process", "Delegate": "yes", "OOMPolicy": "continue", "UMask": "0077"} {
			if said[key] != want {
				t.Errorf("%s: %s is %q, want %q", path, key, said[key], want)
			}
		}
		// What would be the jobs' too, or forbids their sandbox.
		for _, never := range []string{"ProtectSystem", "PrivateTmp", "RestrictNamespaces", "NoNewPrivileges", "ProtectHostname", "PrivateDevices"} {
			if said[never] != "" {
				t.Errorf("%s: %s", path, never)
			}
		}
		if cmd := said["ExecStart"]; !strings.Contains(cmd, "dayfly serve --data ") || !strings.Contains(cmd, " --jobs ") {
			t.Errorf("%s starts %s", path, cmd)
		}
	}
}

// systemd itself has a look at them, where it is installed.
func TestUnitsBySystemd(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze (Debian: systemd)")
	}
	start := regexp.MustCompile(`(?m)^ExecStart=\S+`)
	for _, path := range unitFiles {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// Under a directory and a name of its own: what it starts need not be installed here.
		copied := filepath.Join(t.TempDir(), "dayfly.service")
		if err := os.WriteFile(copied, start.ReplaceAll(text, []byte("ExecStart=/bin/true")), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", copied).CombinedOutput()
		said := ""
		for line := range strings.Lines(string(out)) {
			if !strings.Contains(line, "Unknown key 'DelegateSubgroup'") { // of systemd 254
				said += line
			}
		}
		if err != nil || said != "" {
			t.Errorf("%s: %v\n%s", path, err, said)
		}
	}
}
