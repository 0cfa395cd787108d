package spec

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// distance is the number of letters to insert, drop, change or swap with their neighbour to get from a to b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// nearest is the word of ours that a person most likely meant, or "".
func nearest(given string, words []string) string {
	given = snake(given)
	for _, word := range words {
		if len(word) > 2 && strings.HasPrefix(given, word) {
			return word // integer is int, boolean is bool
		}
	}
	return Nearest(given, words)
}

// Nearest is the word that a person most likely meant, or "". One slip is near in every word of two
// letters or more, two are from six letters on, and so forth; two letters that changed places are one slip.
func Nearest(given string, words []string) string {
	if len(given) > 64 {
		return ""
	}
	best, bestDistance := "", 1+max(1, len(given)/3)
	for _, word := range words {
		if d := distance(given, word); d < bestDistance && d < max(len(word), len(given)) {
			best, bestDistance = word, d
		}
	}
	return best
}

// snake writes catchUp, Catch-Up and catch up as catch_up.
func snake(key string) string {
	var b strings.Builder
	lower := false
	for _, r := range strings.TrimSpace(key) {
		switch {
		case r == '-' || r == ' ':
			r = '_'
		case unicode.IsUpper(r):
			if lower {
				b.WriteByte('_')
			}
		}
		lower = unicode.IsLower(r)
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// synonyms are what other programs call our keys: under which key, their word, and ours. A word of
// ours with a dot, or under a key where it does not stand, is a path from the top.
var synonyms = map[string]map[string]string{
	"": {
		"cron": "schedule", "crontab": "schedule", "every": "schedule", "interval": "schedule", "when": "schedule", "at": "schedule", "on": "schedule", "schedules": "schedule",
		"command": "run", "cmd": "run", "script": "run", "exec": "run", "entrypoint": "run", "args": "run", "steps": "run", "shell": "run",
		"retries": "retry.attempts", "attempts": "retry.attempts", "max_retries": "retry.attempts", "restart_policy": "retry",
		"environment": "env", "variables": "env", "vars": "env", "envs": "env",
		"concurrency": "overlap", "concurrency_policy": "overlap", "parallelism": "array", "matrix": "array",
		"catchup": "catch_up", "backfill": "catch_up", "misfire": "catch_up", "starting_deadline_seconds": "catch_up.within",
		"tz": "timezone", "time_zone": "timezone", "zone": "timezone", "location": "timezone",
		"title": "description", "desc": "description", "summary": "description", "comment": "description",
		"time_limit": "timeout", "max_runtime": "timeout", "max_duration": "timeout", "active_deadline_seconds": "timeout", "duration": "timeout",
		"notifications": "notify", "alerts": "notify", "on_failure": "notify", "email": "notify", "mail": "notify",
		"id": "name", "job": "name", "job_name": "name", "parameters": "params", "inputs": "params", "arguments": "params",
		"userdata": "user_data", "password": "secrets", "passwords": "secrets", "credentials": "secrets", "tokens": "secrets", "retention": "keep", "file": "files", "copy": "files", "upload": "files", "mounts": "files", "include": "files",
		"provider": "machine.on", "docker": "machine.on", "resources": "machine", "runs_on": "machine.on", "instance": "machine.type", "instance_type": "machine.type",
		"cpus": "machine.cpu", "vcpu": "machine.cpu", "ram": "machine.memory", "mem": "machine.memory", "ami": "machine.image",
		"region": "machine.regions", "spot": "machine.market", "max_machines": "limit.machines", "limits": "limit", "before": "setup", "install": "setup", "prepare": "setup",
	},
	"machine": {
		"provider": "on", "where": "on", "driver": "on", "kind": "on", "cloud": "on", "instance_type": "type", "types": "type", "size": "type", "instance": "type",
		"spot": "market", "pricing": "market", "region": "regions", "cpus": "cpu", "vcpu": "cpu", "cores": "cpu", "ram": "memory", "mem": "memory",
		"ami": "image", "volume": "disk", "storage": "disk", "sandbox": "isolation", "processes": "pids", "max_pids": "pids", "pids_limit": "pids", "net": "network",
	},
	"retry":      {"max": "attempts", "count": "attempts", "max_attempts": "attempts", "limit": "attempts", "times": "attempts", "retries": "attempts", "when": "on", "if": "on", "delay": "backoff", "wait": "backoff", "interval": "backoff"},
	"catch_up":   {"mode": "policy", "type": "policy", "max_age": "within", "window": "within", "deadline": "within"},
	"schedule[]": {"cron": "at", "expr": "at", "expression": "at", "schedule": "at", "when": "at", "tz": "timezone", "time_zone": "timezone", "zone": "timezone", "start": "from", "after": "from", "end": "until", "to": "until", "before": "until"},
	"array":      {"count": "size", "n": "size", "length": "size", "parallel": "at_once", "max_parallel": "at_once", "concurrency": "at_once"},
	"notify[]":   {"events": "on", "when": "on", "if": "on", "mail": "email", "to": "email", "url": "webhook", "http": "webhook", "channel": "slack", "topic": "ntfy"},
	"limit":      {"machine": "machines", "max": "machines", "runs": "machines"},
	"params.*":   {"value": "default", "kind": "type", "choices": "enum", "values": "enum", "options": "enum", "allowed": "enum", "minimum": "min", "maximum": "max", "help": "description", "doc": "description"},
}

// foreign are keys of other programs that have no counterpart, and what to do instead.
var foreign = map[string]string{
	"version":           "a job file has no version; remove the key",
	"api_version":       "a job file has no version; remove the key",
	"kind":              "a job file is always a job; remove the key",
	"metadata":          "write name: at the top of the file",
	"spec":              "write the keys at the top of the file",
	"results":           "what the job writes to the directory $DAYFLY_RESULTS is kept; how long is keep.results",
	"artifacts":         "what the job writes to the directory $DAYFLY_RESULTS is kept; how long is keep.results",
	"outputs":           "what the job writes to the directory $DAYFLY_RESULTS is kept; how long is keep.results",
	"working_dir":       "a job begins in a directory of its own with its files; use cd in run",
	"working_directory": "a job begins in a directory of its own with its files; use cd in run",
	"workdir":           "a job begins in a directory of its own with its files; use cd in run",
	"cwd":               "a job begins in a directory of its own with its files; use cd in run",
	"<<":                "write the keys out",
}

// suggestKey says what to write instead of an unknown key in a mapping.
func suggestKey(t table, parent, key string) string {
	word := snake(key)
	siblings := t.children(parent)
	if slices.Contains(siblings, word) {
		return didYouMean(word)
	}
	if ours, ok := t.synonym(parent, word); ok {
		return didYouMean(ours)
	}
	if instead, ok := foreign[word]; ok {
		return instead
	}
	if near := nearest(key, siblings); near != "" {
		return didYouMean(near)
	}
	if path := t.elsewhere(word); path != "" {
		if strings.Contains(path, ".") {
			return didYouMean(path)
		}
		return fmt.Sprintf("%q stands at the top of the file", path)
	}
	if len(siblings) <= 12 && len(siblings) > 0 {
		return "keys here are " + strings.Join(siblings, ", ")
	}
	return ""
}

func didYouMean(word string) string { return fmt.Sprintf("did you mean %q?", word) }
