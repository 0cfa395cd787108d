package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dayfly-io/dayfly/internal/store/sqlite"
)

// leaves finds what stays, and what would begin dayfly anew.
func (a *app) leaves(ctx context.Context, r *uninstalling) {
	if r.bucketOutside() && !r.flags.bucket {
		r.left = append(r.left, fmt.Sprintf("the bucket %s: --bucket removes it as well", r.home.bucketDir()))
	}
	if s, err := sqlite.OpenReadOnly(ctx, r.home.path(recordsFile), sqlite.Options{Now: a.now}); err == nil {
		var sources []string
		jobs, _ := s.Jobs(ctx) // they are only named
		for _, j := range jobs {
			if exists(j.Source) {
				sources = append(sources, j.Source)
			}
		}
		if len(sources) > 0 {
			r.left = append(r.left, "job files: "+fewOf(sources))
		}
		_ = s.Close()
	}
	if exe, err := os.Executable(); err == nil {
		r.left = append(r.left, "the program "+exe)
	}
	for _, path := range r.foreign {
		r.left = append(r.left, path+", which is not dayfly's")
	}
	if r.stays != "" {
		r.left = append(r.left, fmt.Sprintf("%s itself: %s", r.dir, r.stays))
	}
	r.left = append(r.left, startersOf(os.DirFS("/"), a.getenv("HOME"))...)
}

// startersOf finds what would start dayfly again: units of systemd and crontabs. They are named, with how they go.
func startersOf(root fs.FS, userHome string) []string {
	var found []string
	look := func(pattern, mend string) {
		paths, _ := fs.Glob(root, strings.TrimPrefix(pattern, "/")) // the patterns are right
		for _, path := range paths {
			text, err := fs.ReadFile(root, path)
			if err != nil || !startsDayfly(string(text)) {
				continue
			}
			found = append(found, "/"+path+": "+strings.ReplaceAll(mend, "UNIT", filepath.Base(path)))
		}
	}
	for _, dir := range []string{"/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"} {
		look(dir+"/*.service", "systemctl disable --now UNIT, then remove it")
	}
	users := []string{"/etc/systemd/user"}
	if filepath.IsAbs(userHome) {
		users = append(users, userHome+"/.config/systemd/user", userHome+"/.local/share/systemd/user")
	}
	for _, dir := range users {
		look(dir+"/*.service", "systemctl --user disable --now UNIT, then remove it")
	}
	for _, pattern := range []string{"/etc/crontab", "/etc/cron.d/*", "/var/spool/cron/crontabs/*", "/var/spool/cron/*"} {
		look(pattern, "remove its line with dayfly")
	}
	return slices.Compact(found)
}

// startsDayfly tells whether a unit or a crontab has a line that calls dayfly serve.
func startsDayfly(text string) bool {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		words := strings.Fields(strings.TrimPrefix(line, "ExecStart="))
		for i, word := range words {
			if filepath.Base(word) == "dayfly" && i+1 < len(words) && slices.Contains(words[i+1:], "serve") {
				return true
			}
		}
	}
	return false
}
