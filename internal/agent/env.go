package agent

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// usualPath is a job's PATH where the caller names none.
const usualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment is all that the job finds in its environment, sorted. Nothing of the agent's own is in
// it. Later groups win: the base, the job's env, its secrets, dayfly's words.
func (c *Config) environment() ([]string, error) {
	env := map[string]string{
		"PATH": cmp.Or(c.Path, usualPath),
		"HOME": c.WorkInside,
		"LANG": "C.UTF-8",
		"TZ":   "UTC", // slots are told in UTC too; the job's env may say otherwise
	}
	for _, group := range []map[string]string{c.Task.Env, c.Secrets} {
		for name, value := range group {
			if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
				return nil, fmt.Errorf("%q cannot be in an environment: a name without =, and no NUL anywhere", name)
			}
			env[name] = value
		}
	}
	for _, name := range c.Task.SecretNames {
		if _, ok := c.Secrets[name]; !ok {
			return nil, fmt.Errorf("the secret %s was not handed to the machine", name)
		}
	}
	maps.DeleteFunc(env, func(name, _ string) bool { return strings.HasPrefix(name, "DAYFLY_") })
	maps.Copy(env, c.words())
	out := make([]string, 0, len(env))
	for name, value := range env {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return out, nil
}

// words are what the job is told about itself.
func (c *Config) words() map[string]string {
	t := c.Task
	region, _ := t.Shard.Parts()
	return map[string]string{
		"DAYFLY_JOB":              string(t.Job),
		"DAYFLY_RUN":              string(t.Run),
		"DAYFLY_SLOT":             instant(t.Slot),
		"DAYFLY_PREVIOUS_SUCCESS": instant(t.PreviousSuccess),
		"DAYFLY_ATTEMPT":          strconv.Itoa(t.Attempt),
		"DAYFLY_SHARD":            string(t.Shard),
		"DAYFLY_SHARDS":           strconv.Itoa(max(1, t.Shards)),
		"DAYFLY_REGION":           region,
		"DAYFLY_DEADLINE":         instant(t.Deadline),
		"DAYFLY_RESULTS":          c.ResultsInside,
	}
}

// instant is RFC 3339 in UTC; empty where there is none.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
