package spec

import (
	"slices"
	"strings"
)

// Key is one key of a file: what is known of it.
type Key struct {
	Path     string // machine.type; schedule[].at for keys in a list, params.*.type below a name of the user's
	Type     string // what it takes, in words that follow "wants"
	Default  string // in the file's words; empty where there is none
	Required bool
	Doc      string // one or two sentences for people
	Example  string // one line of YAML that is right
	// Missing says why this build does not serve the key; empty where it does.
	Missing string
}

// Keys is every key of a job file, in the order of the documentation.
func Keys() []Key { return slices.Clone(jobKeys) }

// SettingsKeys is every key of DATA/dayfly.yaml.
func SettingsKeys() []Key { return slices.Clone(settingsKeys) }

// What a build may lack.
const (
	notHere = " not part of this build"

	noEC2    = "machines on ec2 are" + notHere
	noArray  = "arrays of runs are" + notHere
	noSetup  = "prepared images are" + notHere
	noParams = "parameters of runs are" + notHere
	noNotify = "notifications are" + notHere
	noBudget = "prices and budgets are" + notHere
	noJitter = "jitter is" + notHere
	noKeep   = "removing what is old is" + notHere
	noStores = "secrets from AWS are" + notHere
)

// text, a mapping and the like: what a value may have to be.
const (
	wantText     = "text"
	wantTexts    = "a list of text"
	wantOneOrAll = "text or a list of text"
	wantMapping  = "a mapping"
	wantList     = "a list"
	wantNumber   = "a whole number"
	wantDecimal  = "a number"
	wantDuration = "a length of time"
	wantSize     = "a size in bytes"
	wantInstant  = "an instant"
	wantBool     = "true or false"
	wantMoney    = "an amount of US dollars"
	wantAny      = "text, a number, true or false"
)

var jobKeys = []Key{
	{Path: "name", Type: wantText, Required: true, Example: "name: backup", Doc: "The job's name: up to 48 of a-z, 0-9 and -, not beginning with -."},
	{Path: "description", Type: wantText, Example: "description: Every night's backup", Doc: "What the job is for, in a line or a few."},
	{Path: "schedule", Type: "text or a list", Example: `schedule: "0 23 * * *"`, Doc: "When the job is due: five cron fields, a macro such as @daily or @every 90m, or cron(...), rate(...), at(...); or a list of such. Without it the job runs only when asked."},
	{Path: "schedule[].at", Type: wantText, Required: true, Example: `at: "0 23 * * *"`, Doc: "The expression."},
	{Path: "schedule[].timezone", Type: wantText, Default: "the job's", Example: "timezone: Europe/Tallinn", Doc: "The zone of this expression."},
	{Path: "schedule[].from", Type: wantInstant, Example: "from: 2026-01-01T00:00:00Z", Doc: "No slots before this instant."},
	{Path: "schedule[].until", Type: wantInstant, Example: "until: 2027-01-01T00:00:00Z", Doc: "No slots at or after this instant."},
	{Path: "schedule[].anchor", Type: wantInstant, Default: "1970-01-01T00:00:00Z", Example: "anchor: 2026-01-01T00:30:00Z", Doc: "The whole minute from which @every and rate(...) count."},
	{Path: "timezone", Type: wantText, Default: "UTC", Example: "timezone: Europe/Tallinn", Doc: "The IANA zone in which the schedule is read and times are shown."},
	{Path: "jitter", Type: wantDuration, Default: "0s", Example: "jitter: 5m", Doc: "Delays each launch by up to this long; never the slot.", Missing: noJitter},
	{Path: "catch_up", Type: "text or a mapping", Default: "last", Example: "catch_up: {policy: last, within: 1h}", Doc: "What becomes of slots found late: none, last or all."},
	{Path: "catch_up.policy", Type: wantText, Default: "last", Example: "policy: last", Doc: "none: a slot more than 60 s late is missed. last: of the late ones the last runs. all: all run, one after another."},
	{Path: "catch_up.within", Type: wantDuration, Default: "1h", Example: "within: 24h", Doc: "Slots older than this are missed in any case."},
	{Path: "overlap", Type: wantText, Default: "skip", Example: "overlap: queue", Doc: "What becomes of a run due while another of the job is active: skip, queue, replace or allow."},
	{Path: "machine", Type: wantMapping, Default: "on: local", Example: "machine: {on: local}", Doc: "The machine each run gets for itself."},
	{Path: "machine.on", Type: wantText, Default: "local", Example: "on: local", Doc: "Where the machine comes from: local; docker, qemu and ec2 are known words, and not part of this build."},
	{Path: "machine.type", Type: wantOneOrAll, Example: "type: [c8g.large, c7g.large]", Doc: "The instance types, tried in this order.", Missing: noEC2},
	{Path: "machine.market", Type: wantText, Default: "on-demand", Example: "market: spot-first", Doc: "on-demand, spot, or spot-first: spot where there is any, else on-demand.", Missing: noEC2},
	{Path: "machine.regions", Type: wantMapping, Example: "regions: {first: [eu-west-1, us-east-1]}", Doc: "each: one run in each region; first: one run in the first region that has capacity.", Missing: noEC2},
	{Path: "machine.regions.each", Type: wantTexts, Example: "each: [eu-west-1, us-east-1]", Doc: "Every slot runs once in each of these regions.", Missing: noEC2},
	{Path: "machine.regions.first", Type: wantTexts, Example: "first: [eu-west-1, us-east-1]", Doc: "Every slot runs in the first of these regions that has capacity.", Missing: noEC2},
	{Path: "machine.image", Type: "text or a mapping", Example: "image: debian-13", Doc: "What the machine boots from: a name, an id, or the newest of a name.", Missing: noEC2},
	{Path: "machine.image.name", Type: wantText, Required: true, Example: "name: debian-13-*", Doc: "The image's name or id; with newest: a pattern.", Missing: noEC2},
	{Path: "machine.image.owner", Type: wantText, Example: "owner: amazon", Doc: "Whose image it is.", Missing: noEC2},
	{Path: "machine.image.newest", Type: wantBool, Default: "false", Example: "newest: true", Doc: "The newest image that fits the name.", Missing: noEC2},
	{Path: "machine.cpu", Type: wantDecimal, Example: "cpu: 2", Doc: "How many processors the machine may use."},
	{Path: "machine.memory", Type: wantSize, Example: "memory: 4GiB", Doc: "How much memory the machine may use."},
	{Path: "machine.network", Type: wantText, Default: "host", Example: "network: host", Doc: "The network of a local machine: host or none."},
	{Path: "machine.disk", Type: wantSize, Example: "disk: 40GiB", Doc: "The size of the machine's disk.", Missing: noEC2},
	{Path: "machine.isolation", Type: wantText, Default: "best", Example: "isolation: full", Doc: "How far a local machine is kept apart from its host: best, full, partial or none. One that cannot be had is refused."},
	{Path: "machine.pids", Type: wantNumber, Default: "4096", Example: "pids: 512", Doc: "How many processes and threads a local machine may have."},
	{Path: "array", Type: wantMapping, Example: "array: {size: 20, at_once: 5}", Doc: "Makes several runs of every slot; each sees its index in DAYFLY_SHARD.", Missing: noArray},
	{Path: "array.size", Type: wantNumber, Required: true, Example: "size: 20", Doc: "How many runs, 1 to 10000.", Missing: noArray},
	{Path: "array.at_once", Type: wantNumber, Default: "all", Example: "at_once: 5", Doc: "How many of them at a time.", Missing: noArray},
	{Path: "files", Type: wantTexts, Example: "files: [./pie]", Doc: "Files and folders below the job file's directory; they are packed at apply and reach the machine with every run."},
	{Path: "setup", Type: wantText, Example: "setup: apt-get install -y jq", Doc: "Commands that are done once and kept as an image.", Missing: noSetup},
	{Path: "env", Type: wantMapping, Example: `env: {DURATION: "60s"}`, Doc: "The job's environment."},
	{Path: "env.*", Type: wantAny, Example: `DURATION: "60s"`, Doc: "One variable; numbers, true and false are taken as they are written."},
	{Path: "params", Type: wantMapping, Example: "params: {digits: {type: int, default: 1000}}", Doc: "Typed values that a run may be given. They reach the job in capitals: digits as DIGITS.", Missing: noParams},
	{Path: "params.*", Type: wantMapping, Example: "digits: {type: int, default: 1000}", Doc: "One parameter.", Missing: noParams},
	{Path: "params.*.type", Type: wantText, Required: true, Example: "type: int", Doc: "int, float, string or bool.", Missing: noParams},
	{Path: "params.*.default", Type: wantAny, Example: "default: 1000", Doc: "The value of a run that is given none; without it every run needs one.", Missing: noParams},
	{Path: "secrets", Type: wantMapping, Example: "secrets: {DB_PASSWORD: env:DB_PASSWORD}", Doc: "Environment variables whose values are looked up at launch."},
	{Path: "secrets.*", Type: wantText, Example: "DB_PASSWORD: env:DB_PASSWORD", Doc: "Where the value is: env:NAME and file:/PATH of the process that launches, ssm:NAME, secretsmanager:NAME. Never the value itself."},
	{Path: "run", Type: wantText, Example: "run: ./backup.sh", Doc: "What to do: a script for /bin/sh -eu, or for the program in its first line if that begins with #!. Either run or user_data."},
	{Path: "user_data", Type: wantText, Example: "user_data: ./script.sh", Doc: "A script that the machine runs at boot without an agent: a file below the job file's directory.", Missing: noEC2},
	{Path: "timeout", Type: wantDuration, Default: "1h", Example: "timeout: 90m", Doc: "How long the job may take, at most 30d."},
	{Path: "grace", Type: wantDuration, Default: "10s", Example: "grace: 30s", Doc: "The time between TERM and KILL when a job is told to stop, at most 10m."},
	{Path: "deadline", Type: wantDuration, Default: "timeout + 15m", Example: "deadline: 2h", Doc: "How long the machine may live in all, from its launch; longer than timeout and grace together."},
	{Path: "retry", Type: wantMapping, Example: "retry: {attempts: 3}", Doc: "When a run asks for another machine."},
	{Path: "retry.attempts", Type: wantNumber, Default: "1", Example: "attempts: 3", Doc: "Attempts in all, 1 to 100."},
	{Path: "retry.on", Type: wantTexts, Default: "[lost, capacity]", Example: "on: [failed, lost]", Doc: "After what: failed, timed_out, lost, capacity."},
	{Path: "retry.backoff", Type: wantDuration, Default: "1m", Example: "backoff: 5m", Doc: "The wait before the second attempt; it grows from there."},
	{Path: "notify", Type: wantList, Example: "notify: [{on: [failed, recovered], email: ops@example.org}]", Doc: "Who is told of what.", Missing: noNotify},
	{Path: "notify[].on", Type: wantTexts, Required: true, Example: "on: [failed, recovered]", Doc: "Of which ends: failed, timed_out, lost, canceled, refused, missed, skipped, succeeded, recovered.", Missing: noNotify},
	{Path: "notify[].email", Type: wantText, Example: "email: ops@example.org", Doc: "A mail address.", Missing: noNotify},
	{Path: "notify[].webhook", Type: wantText, Example: "webhook: https://example.org/hook", Doc: "An https address that is sent a signed request.", Missing: noNotify},
	{Path: "notify[].slack", Type: wantText, Example: `slack: "#ops"`, Doc: "A Slack channel; the token stands in the settings.", Missing: noNotify},
	{Path: "notify[].ntfy", Type: wantText, Example: "ntfy: backups", Doc: "An ntfy topic.", Missing: noNotify},
	{Path: "budget", Type: wantMapping, Example: "budget: {run: 2.00, month: 40.00}", Doc: "What the job may cost, in US dollars.", Missing: noBudget},
	{Path: "budget.run", Type: wantMoney, Example: "run: 2.00", Doc: "What one run may cost.", Missing: noBudget},
	{Path: "budget.month", Type: wantMoney, Example: "month: 40.00", Doc: "What all runs of a calendar month may cost.", Missing: noBudget},
	{Path: "limit", Type: wantMapping, Example: "limit: {machines: 3}", Doc: "How much of the job may run at once."},
	{Path: "limit.machines", Type: wantNumber, Example: "machines: 3", Doc: "How many machines the job may have at once."},
	{Path: "keep", Type: wantMapping, Example: "keep: {results: 90d, logs: 30d, history: 365d}", Doc: "How long is kept what a run leaves; for ever where nothing is said.", Missing: noKeep},
	{Path: "keep.results", Type: wantDuration, Example: "results: 90d", Doc: "How long results are kept.", Missing: noKeep},
	{Path: "keep.logs", Type: wantDuration, Example: "logs: 30d", Doc: "How long logs are kept.", Missing: noKeep},
	{Path: "keep.history", Type: wantDuration, Example: "history: 365d", Doc: "How long the records of runs are kept.", Missing: noKeep},
}

var settingsKeys = []Key{
	{Path: "installation", Type: wantText, Example: "installation: home-3f2a", Doc: "The name of this installation, on every machine it makes; made once and never changed."},
	{Path: "bucket", Type: wantText, Default: "bucket, in the data directory", Example: "bucket: /srv/dayfly/bucket", Doc: "Where logs, results and files are kept: a directory."},
	{Path: "limits", Type: wantMapping, Example: "limits: {machines: 20}", Doc: "What all jobs together may use."},
	{Path: "limits.machines", Type: wantNumber, Default: "no limit", Example: "machines: 20", Doc: "How many machines all jobs together may have at once."},
	{Path: "ec2", Type: wantMapping, Doc: "How machines on ec2 are made.", Missing: noEC2},
	{Path: "notify", Type: wantMapping, Doc: "How notifications are sent.", Missing: noNotify},
}

// table is the keys of one kind of file, for looking things up.
type table []Key

func (t table) find(pattern string) (Key, bool) {
	i := slices.IndexFunc(t, func(k Key) bool { return k.Path == pattern })
	if i < 0 {
		return Key{}, false
	}
	return t[i], true
}

// children are the keys of the mapping at a pattern.
func (t table) children(parent string) []string {
	var out []string
	for _, k := range t {
		if up, name := splitPath(k.Path); up == parent {
			out = append(out, name)
		}
	}
	return out
}

// elsewhere is the path of the first key with this name, wherever it stands; the top first.
func (t table) elsewhere(name string) string {
	if _, ok := t.find(name); ok {
		return name
	}
	for _, k := range t {
		if _, last := splitPath(k.Path); last == name && !strings.ContainsAny(k.Path, "*[") {
			return k.Path
		}
	}
	return ""
}

// synonym is our word for the word of another program.
func (t table) synonym(parent, word string) (string, bool) {
	ours, ok := synonyms[parent][word]
	if !ok {
		return "", false
	}
	_, here := t.find(join(parent, ours))
	_, there := t.find(ours)
	return ours, here || there
}

// splitPath takes machine.type apart into machine and type.
func splitPath(path string) (parent, name string) {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

// isKnownWord tells whether some key of some file has this name.
func isKnownWord(word string) bool {
	for _, t := range []table{jobKeys, settingsKeys} {
		for _, k := range t {
			if _, name := splitPath(k.Path); name == word {
				return true
			}
		}
	}
	return false
}
