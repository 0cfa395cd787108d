package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/dayfly-io/dayfly/internal/reconcile"
)

func checkJobs(ctx context.Context, p *patient) []finding {
	if p.store() == nil {
		return []finding{ok("none is applied")}
	}
	var found []finding
	var never, paused, vanished, none []string
	jobs := p.jobs(ctx)
	now := p.a.now()
	for _, j := range jobs {
		name := string(j.rec.Name)
		if j.err != nil {
			found = append(found, failed(fmt.Errorf("job %s: %w", name, j.err), "dayfly apply "+j.rec.Source))
			continue
		}
		set, err := reconcile.Slots(j.version)
		if err != nil {
			found = append(found, failed(err, "dayfly validate "+j.rec.Source))
			continue
		}
		_, comes := set.Next(now)
		if len(j.version.Schedules) == 0 {
			none = append(none, name)
		}
		switch why := j.rec.Pause(now); {
		case why.Why != "" && why == j.rec.Vanished:
			vanished = append(vanished, name)
		case why.Why != "":
			paused = append(paused, name)
		case len(j.version.Schedules) > 0 && !comes:
			never = append(never, name)
		}
	}
	if len(never) > 0 {
		found = append(found, warn("dayfly next "+never[0]+"; edit its schedule, or dayfly rm "+never[0], "never due again: %s", fewOf(never)))
	}
	if len(paused) > 0 {
		found = append(found, warn("dayfly resume "+paused[0]+"; dayfly ps --jobs -o wide says why", "paused: %s", fewOf(paused)))
	}
	if len(vanished) > 0 {
		found = append(found, warn("put their files back, or dayfly rm "+vanished[0], "paused since their files are gone: %s", fewOf(vanished)))
	}
	text := plural(len(jobs), "job") + " applied"
	if len(none) > 0 {
		text += fmt.Sprintf(", %d of them without a schedule", len(none))
	}
	return append([]finding{ok("%s", text)}, found...)
}

// filesRead is how many job files are read.
const filesRead = 2000

func checkFiles(ctx context.Context, p *patient) []finding {
	var found []finding
	sources := map[string]bool{}
	for _, j := range p.jobs(ctx) {
		if j.rec.Vanished.Why == "" {
			sources[j.rec.Source] = true
		}
	}
	if p.look.home != nil && p.store() != nil {
		notes, err := p.store().Notes(ctx, wrongFile, p.a.now())
		if err != nil {
			return []finding{failed(err, "")}
		}
		for _, n := range notes { // of files that have no job yet
			sources[strings.TrimPrefix(n.Key, wrongFile)] = true
		}
	}
	var gone []string
	read := 0
	for _, path := range slices.Sorted(maps.Keys(sources)) {
		if ctx.Err() != nil || read == filesRead {
			break
		}
		read++
		_, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			gone = append(gone, path)
			continue
		}
		j := readWhole(path)
		if j.err == nil {
			j.err = j.served()
		}
		if j.err != nil {
			found = append(found, fail("dayfly validate "+path, "an older version of its job holds: %s", brief(j.err)))
		}
	}
	if len(gone) > 0 {
		found = append(found, warn("put it back, or dayfly rm the job; serve --jobs and apply pause it", "gone: %s", fewOf(gone)))
	}
	if len(found) == 0 {
		found = append(found, ok("%s read, none is wrong", plural(read, "file")))
	}
	return found
}

func checkSecrets(ctx context.Context, p *patient) []finding {
	resolve := secrets(p.a.lookup)
	var found []finding
	all := 0
	for _, j := range p.jobs(ctx) {
		for _, name := range slices.Sorted(maps.Keys(j.version.Secrets)) {
			all++
			ref := j.version.Secrets[name]
			if _, err := resolve(ref); err == nil {
				continue
			} else if strings.HasPrefix(ref, "env:") {
				found = append(found, warn("set it where the daemon runs: Environment= or EnvironmentFile= of the service",
					"secret %s of job %s: %s", name, j.rec.Name, err))
			} else {
				found = append(found, fail("see that the file is there and this user may read it", "secret %s of job %s: %s", name, j.rec.Name, err))
			}
		}
	}
	if len(found) == 0 {
		found = append(found, ok("%s, all can be had here", plural(all, "secret")))
	}
	return found
}
