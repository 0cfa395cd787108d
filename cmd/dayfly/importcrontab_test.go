package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestHostZone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		link, file, timezone, want string
	}{
		"a link":                       {link: "/usr/share/zoneinfo/Europe/Tallinn", want: "Europe/Tallinn"},
		"a relative link":              {link: "../usr/share/zoneinfo/America/Argentina/Ushuaia", want: "America/Argentina/Ushuaia"},
		"a link to posix":              {link: "/usr/share/zoneinfo/posix/Asia/Tokyo", want: "Asia/Tokyo"},
		"the link before the old file": {link: "/usr/share/zoneinfo/Europe/Tallinn", timezone: "UTC\n", want: "Europe/Tallinn"},
		"a copy with a name beside it": {file: "TZif2", timezone: "Europe/Riga\n", want: "Europe/Riga"},
		"a copy":                       {file: "TZif2", want: ""},
		"nothing at all is UTC":        {want: "UTC"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			etc := filepath.Join(root, "etc")
			if err := os.Mkdir(etc, 0o755); err != nil {
				t.Fatal(err)
			}
			if c.link != "" {
				if err := os.Symlink(c.link, filepath.Join(etc, "localtime")); err != nil {
					t.Fatal(err)
				}
			}
			for file, text := range map[string]string{"localtime": c.file, "timezone": c.timezone} {
				if text == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(etc, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			have, err := hostZone(root)
			if have != c.want || (err != nil) != (c.want == "") {
				t.Errorf("got %q, %v, want %q", have, err, c.want)
			}
		})
	}
}

func TestCrontabPlace(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/etc/crontab": "system", "/etc/cron.d/php": "system", "/etc/cron.d/../crontab": "system",
		"/var/spool/cron/crontabs/alice": "alice", "/var/spool/cron/bob": "bob", "/var/cron/tabs/carol": "carol",
		"/etc/cron.daily/x": "", "/home/alice/crontab": "", "crontab": "", "/etc/crontab.bak": "",
	} {
		have := "system"
		if system, owner := crontabPlace(path); !system {
			have = owner
		}
		if have != want {
			t.Errorf("%s: %q, want %q", path, have, want)
		}
	}
}
