package spec

import (
	"time"

	"github.com/dayfly-io/dayfly"
)

// What a build may lack.
const (
	notHere = " not part of this build"

	noEC2    = "machines on ec2 are" + notHere
	noSetup  = "prepared images are" + notHere
	noNotify = "notifications are" + notHere
	noBudget = "prices and budgets are" + notHere
	noStores = "secrets from AWS are" + notHere
)

const (
	onLocal = "local"
	onEC2   = "ec2"
)

// jobKeys is the table of the job file. A key is one entry; its words, bounds and patterns stand nowhere else.
var jobKeys = table{
	{
		Path: "name", Form: shaped("up to 48 of a-z, 0-9 and -, not beginning with -", jobName), Required: true,
		Example: "name: backup",
		Doc:     "The job's name.",
		More:    "Two files in one directory cannot have the same. A job under a new name is a new job: the history stays with the old one.",
	},
	{
		Path: "description", Form: Form{kind: kindText, most: maxDescription, must: []expr{notBlank, prose}},
		Example: "description: Every night's backup",
		Doc:     "What the job is for, in a line or a few.",
	},
	{
		Path: "schedule", Form: expression().instead(list(1, maxSchedules, expression().instead(mapping()))), Otherwise: "it runs when it is asked to",
		Example: `schedule: "0 23 * * *"`,
		Doc:     "When the job is due.",
		More: "In a list each stands alone, or in a mapping with a zone, bounds and an anchor of its own. What several name at the same instant is one slot. " +
			"`dayfly next FILE` says a schedule in words and shows the next runs.",
	},
	{
		Path: "schedule[].at", Form: expression(), Required: true, Example: `at: "0 23 * * *"`,
		Doc: "The expression.",
	},
	{
		Path: "schedule[].timezone", Form: Form{kind: kindZone}, Otherwise: "the job's", Example: "timezone: Europe/Tallinn",
		Doc: "The zone in which this expression is read.",
	},
	{
		Path: "schedule[].from", Form: Form{kind: kindInstant}, Otherwise: "always", Example: "from: 2026-01-01T00:00:00Z",
		Doc: "No slots before this instant.",
	},
	{
		Path: "schedule[].until", Form: Form{kind: kindInstant}, Otherwise: "for ever", Example: "until: 2027-01-01T00:00:00Z",
		Doc: "No slots at or after this instant.",
	},
	{
		Path: "schedule[].anchor", Form: Form{kind: kindInstant, must: []expr{wholeMinute}, like: "a whole minute"}, Default: "1970-01-01T00:00:00Z",
		Example: "anchor: 2026-01-01T00:30:00Z",
		Doc:     "The instant from which @every and rate(...) count.",
		More:    "It means nothing to other expressions, and is refused with them.",
	},
	{
		Path: "timezone", Form: Form{kind: kindZone}, Default: "UTC", Example: "timezone: Europe/Tallinn",
		Doc:  "The IANA zone in which the schedule is read.",
		More: "Times of the job are shown in it too. Zones come with dayfly, never from the host, so a schedule means the same everywhere.",
	},
	{
		Path: "jitter", Form: length(0, maxJitter), Default: "0s", Example: "jitter: 5m",
		Doc:  "Delays each launch by up to this long; never the slot.",
		More: "By how much is fixed for each slot and shard, and another on another installation. A run is late, or missed, by what it is late beyond that. Runs that were asked for begin at once.",
	},
	{
		Path: "catch_up", Form: lateness().instead(mapping()), Default: "last", Example: "catch_up: {policy: last, within: 1h}",
		Doc:  "What becomes of slots that are found late.",
		More: "After a downtime, or when the host was too busy. A word is the policy; a mapping says how late is too late as well.",
	},
	{
		Path: "catch_up.policy", Form: lateness(), Default: "last", Example: "policy: last",
		Doc: "Which of the late slots still run.",
	},
	{
		Path: "catch_up.within", Form: length(time.Second, maxWithin), Default: "1h", Example: "within: 24h",
		Doc:  "Slots older than this are missed in any case.",
		More: "A slot up to 60 s late counts as on time, whatever is said here.",
	},
	{
		Path: "overlap", Form: choice("skip", "it is skipped, and recorded so", "queue", "it waits its turn; at most 100 wait", "replace", "the active run is cancelled for it", "allow", "both run"),
		Default: "skip", Example: "overlap: queue",
		Doc:  "What becomes of a run that is due while another is active.",
		More: "It is between runs of the same job, and of the same index or region where it has several; runs that were asked for count as well. A run is active until its machine was observed gone, the wait before a retry included.",
	},
	{
		Path: "machine", Form: mapping(), Default: "{on: local}", Example: "machine: {on: local}",
		Doc: "The machine that each run gets for itself.",
	},
	{
		Path: "machine.on", Form: choice("local", "a sandbox on the host of the daemon, or of dayfly run", "docker", "a container (not part of this build)", "qemu", "a virtual machine (not part of this build)", "ec2", "an instance on AWS (not part of this build)"),
		Default: "local", Example: "on: local",
		Doc: "Where the machine comes from.",
	},
	{
		Path: "machine.type", Form: instance().instead(set(1, 20, instance())),
		On: onEC2, Example: "type: [c8g.large, c7g.large]",
		Doc: "The instance types, tried in this order.", Missing: noEC2,
	},
	{
		Path: "machine.market", Form: choice("on-demand", "at the list price", "spot", "spare capacity, cheaper, and taken away when it is needed", "spot-first", "spot where there is any, else on-demand"),
		Default: "on-demand", On: onEC2, Example: "market: spot-first",
		Doc: "How capacity is bought.", Missing: noEC2,
	},
	{
		Path: "machine.regions", Form: some(1, 1), On: onEC2, Example: "regions: {first: [eu-west-1, us-east-1]}",
		Doc:  "In which regions it runs: each, or the first that can.",
		More: "Either each, for one run in each region, or first, for one run in the first region that has capacity.", Missing: noEC2,
	},
	{
		Path: "machine.regions.each", Form: set(1, 50, region()), On: onEC2, Example: "each: [eu-west-1, us-east-1]",
		Doc: "Every slot runs once in each of these regions.", Missing: noEC2,
	},
	{
		Path: "machine.regions.first", Form: set(1, 50, region()), On: onEC2, Example: "first: [eu-west-1, us-east-1]",
		Doc: "Every slot runs in the first of these that has capacity.", Missing: noEC2,
	},
	{
		Path: "machine.image", Form: line(255).instead(mapping()), On: onEC2, Example: "image: debian-13",
		Doc: "What the machine boots from: a name, an id, or the newest.", Missing: noEC2,
	},
	{
		Path: "machine.image.name", Form: line(255), Required: true, On: onEC2, Example: "name: debian-13-*",
		Doc: "The image's name or id; with newest: a pattern.", Missing: noEC2,
	},
	{
		Path: "machine.image.owner", Form: line(255), On: onEC2, Example: "owner: amazon",
		Doc: "Whose image it is.", Missing: noEC2,
	},
	{
		Path: "machine.image.newest", Form: Form{kind: kindBool}, Default: "false", On: onEC2, Example: "newest: true",
		Doc: "Takes the newest image that fits the name.", Missing: noEC2,
	},
	{
		Path: "machine.cpu", Form: decimals(0.01, 1024), On: onLocal, Otherwise: "no limit", Example: "cpu: 2",
		Doc:  "How many processors the machine may use.",
		More: "Needs a cgroup that dayfly may write; where there is none the run's notes say that it is not kept.",
	},
	{
		Path: "machine.memory", Form: sizeOf(4<<20, 64<<40), On: onLocal, Otherwise: "no limit", Example: "memory: 4GiB",
		Doc:  "How much memory the machine may use.",
		More: "What takes more is killed by the kernel. Needs a cgroup that dayfly may write; where there is none the run's notes say that it is not kept.",
	},
	{
		Path: "machine.network", Form: choice("host", "the host's", "none", "none but a loopback of its own"), Default: "host", On: onLocal, Example: "network: none",
		Doc: "The network of a local machine.",
	},
	{
		Path: "machine.disk", Form: sizeOf(1<<30, 64<<40), On: onEC2, Example: "disk: 40GiB",
		Doc: "The size of the machine's disk.", Missing: noEC2,
	},
	{
		Path: "machine.isolation", Form: choice("best", "the highest rung that can be had", "full", "a root of its own; what is written to it is thrown away", "partial", "the host's files, read-only", "none", "nothing but a process group"),
		Default: "best", On: onLocal, Example: "isolation: full",
		Doc:  "How far a local machine is kept apart from its host.",
		More: "A rung that is named and cannot be had is refused. Sandboxes separate jobs that trust one another; they are no wall against a hostile program.",
	},
	{
		Path: "machine.pids", Form: number(minPids, maxPids), Default: "4096", On: onLocal, Example: "pids: 512",
		Doc: "How many processes and threads a local machine may have.",
	},
	{
		Path: "array", Form: mapping(), Otherwise: "one run for each slot", Example: "array: {size: 20, at_once: 5}",
		Doc: "Makes several runs of every slot.",
		More: "Each on a machine of its own; it sees its index, counted from 0, in DAYFLY_SHARD, and how many there are in DAYFLY_SHARDS. A slot that is missed or skipped is so for all of them, " +
			"and an array begins in time when the first of them does. `dayfly run` runs all, --shard 3 one.",
	},
	{
		Path: "array.size", Form: number(1, maxArray), Required: true, Example: "size: 20",
		Doc: "How many runs.",
	},
	{
		Path: "array.at_once", Form: number(1, maxArray), Otherwise: "all", Example: "at_once: 5",
		Doc:  "How many of them at a time; no more than there are.",
		More: "Of each slot, and of each request: those of two slots may run beside one another, as overlap says. The others wait for their turn as long as that takes. Limits on machines hold besides.",
	},
	{
		Path: "files", Form: set(0, maxFiles, below()), Example: "files: [./pie]",
		Doc:  "Files and folders that reach the machine with every run.",
		More: "They lie below the job file's directory, are packed at apply, and stand in the job's working directory under the same names. What changes on disk later is not seen until the next apply.",
	},
	{
		Path: "setup", Form: script(), Example: "setup: apt-get install -y jq",
		Doc: "Commands that are done once and kept as an image.", Missing: noSetup,
	},
	{
		Path: "env", Form: named("names of A-Z, a-z, 0-9 and _, not beginning with a digit or DAYFLY_", envName, reserved), Example: `env: {DURATION: "60s"}`,
		Doc:  "The job's environment.",
		More: "It is stored and shown: what is secret belongs under secrets. With params and secrets at most 1000 variables, and no name twice.",
	},
	{
		Path: "env.*", Form: Form{kind: kindScalar, most: maxEnvValue, must: []expr{noNUL}, like: "at most 64 KiB"}, Example: `DURATION: "60s"`,
		Doc: "One variable; numbers, true and false as they are written.",
	},
	{
		Path: "params", Form: paramNames(), Example: "params: {digits: {type: int, default: 1000}}",
		Doc: "Typed values that a run may be given.",
		More: "They reach the job as environment variables in capitals, with _ for -: digits as DIGITS, to-year as TO_YEAR. `dayfly run --param digits=5000` gives one to a run; " +
			"a run by schedule has the defaults. Names that begin with dayfly_ are refused, and so are those whose variable decides which programs the job runs, such as path. The values are stored with the run and shown: what is secret belongs under secrets.",
	},
	{
		Path: "params.*", Form: mapping(), Example: "digits: {type: int, default: 1000}",
		Doc: "One parameter.",
	},
	{
		Path: "params.*.type", Form: choice("int", "a whole number of 64 bits", "float", "a number", "string", "text", "bool", "true or false"), Required: true, Example: "type: int",
		Doc: "What its values are.",
	},
	{
		Path: "params.*.description", Form: line(maxDescription), Example: "description: How many digits to compute",
		Doc: "What the parameter is for, in a line.",
	},
	{
		Path: "params.*.default", Form: paramValue(), Otherwise: "every run has to be given one", Example: "default: 1000",
		Doc:  "The value of a run that is given none.",
		More: "A job with a schedule needs it, or required: false.",
	},
	{
		Path: "params.*.required", Form: Form{kind: kindBool}, Otherwise: "true, unless there is a default", Example: "required: false",
		Doc:  "Whether a run without a value is refused.",
		More: "Where it is not, the job's variable is not set.",
	},
	{
		Path: "params.*.enum", Form: set(1, maxChoices, paramValue()), Otherwise: "anything of the type", Example: "enum: [fast, thorough]",
		Doc: "The values that are allowed.",
	},
	{
		Path: "params.*.min", Form: decimals(-maxBound, maxBound), Otherwise: "no bound", Example: "min: 1",
		Doc: "The least value allowed, of an int or a float.",
	},
	{
		Path: "params.*.max", Form: decimals(-maxBound, maxBound), Otherwise: "no bound", Example: "max: 100000",
		Doc: "The greatest value allowed, of an int or a float.",
	},
	{
		Path: "secrets", Form: named("names of A-Z, a-z, 0-9 and _, not beginning with a digit or DAYFLY_", envName, reserved), Example: "secrets: {DB_PASSWORD: env:DB_PASSWORD}",
		Doc:  "Environment variables whose values are looked up at launch.",
		More: "The values are stored nowhere and cut out of the log, those of several lines also line by line: a whole file as a secret hides its common lines too, so one secret for each value is better. A job file never holds the value itself.",
	},
	{
		Path: "secrets.*", Form: shaped("env:NAME, file:/PATH, ssm:NAME or secretsmanager:NAME", secretRef), Example: "DB_PASSWORD: env:DB_PASSWORD",
		Doc:  "Where the value is.",
		More: "env:NAME and file:/PATH are those of the process that launches: the daemon, or dayfly run. ssm:NAME and secretsmanager:NAME are looked up on AWS (not part of this build).",
	},
	{
		Path: "run", Form: Form{kind: kindText, most: maxScript, must: []expr{notBlank, noNUL}, like: "at most 64 KiB", bools: true}, Example: "run: ./backup.sh",
		Doc:  "What to do: a script for /bin/sh -eu, or for what its #! names.",
		More: "If its first line begins with #! the program named there reads it. A job has either run or user_data.",
	},
	{
		Path: "user_data", Form: below(), On: onEC2, Example: "user_data: ./script.sh",
		Doc:  "A script that the machine runs at boot without an agent.",
		More: "A file below the job file's directory. A job has either run or user_data.", Missing: noEC2,
	},
	{
		Path: "timeout", Form: length(time.Second, maxTimeout), Default: "1h", Example: "timeout: 90m",
		Doc:  "How long the job may take.",
		More: "Then its processes get TERM, and KILL after the grace; what it has left in $DAYFLY_RESULTS is kept, and the run has timed out.",
	},
	{
		Path: "grace", Form: length(0, maxGrace), Default: "10s", Example: "grace: 30s",
		Doc: "The time between TERM and KILL when a job is told to stop.",
	},
	{
		Path: "deadline", Form: length(time.Second, maxDeadline), Otherwise: "timeout + 15m", Example: "deadline: 2h",
		Doc:  "How long the machine may live in all, from its launch.",
		More: "Longer than timeout and grace together. It is armed in several places that do not need one another; by then the machine is gone, whatever happens.",
	},
	{
		Path: "retry", Form: mapping(), Otherwise: "one attempt in all", Example: "retry: {attempts: 3}",
		Doc: "When a run asks for another machine.",
	},
	{
		Path: "retry.attempts", Form: number(1, maxAttempts), Default: "1", Example: "attempts: 3",
		Doc: "How many attempts in all.",
	},
	{
		Path: "retry.on", Form: set(1, 4, choice("failed", "the job ended with another code than 0", "timed_out", "it was ended by its timeout", "lost", "the machine vanished without a report", "capacity", "no machine could be had")),
		Default: "[lost, capacity]", Example: "on: [failed, lost]",
		Doc: "After what another attempt is made.",
	},
	{
		Path: "retry.backoff", Form: length(0, maxBackoff), Default: "1m", Example: "backoff: 5m",
		Doc:  "The wait before the second attempt.",
		More: "It doubles with every further attempt, up to an hour.",
	},
	{
		Path: "notify", Form: list(1, 50, some(2, 0)), Example: "notify: [{on: [failed, recovered], email: ops@example.org}]",
		Doc: "Who is told of what.", Missing: noNotify,
	},
	{
		Path: "notify[].on", Form: set(1, 9, choice("failed", "", "timed_out", "", "lost", "", "canceled", "", "refused", "", "missed", "", "skipped", "", "succeeded", "", "recovered", "the first success after something else")),
		Required: true, Example: "on: [failed, recovered]",
		Doc: "Of which ends.", Missing: noNotify,
	},
	{
		Path: "notify[].email", Form: line(254, address), Example: "email: ops@example.org",
		Doc: "A mail address.", Missing: noNotify,
	},
	{
		Path: "notify[].webhook", Form: line(2048, httpsURL), Example: "webhook: https://example.org/hook",
		Doc: "An https address that is sent a signed request.", Missing: noNotify,
	},
	{
		Path: "notify[].slack", Form: shaped("a channel such as #ops", slackName), Example: `slack: "#ops"`,
		Doc: "A Slack channel; the token stands in the settings.", Missing: noNotify,
	},
	{
		Path: "notify[].ntfy", Form: shaped("up to 64 of A-Z, a-z, 0-9, _ and -", topicName), Example: "ntfy: backups",
		Doc: "An ntfy topic.", Missing: noNotify,
	},
	{
		Path: "budget", Form: some(1, 0), Example: "budget: {run: 2.00, month: 40.00}",
		Doc: "What the job may cost, in US dollars.", Missing: noBudget,
	},
	{
		Path: "budget.run", Form: Form{kind: kindMoney}, Example: "run: 2.00",
		Doc: "What one run may cost.", Missing: noBudget,
	},
	{
		Path: "budget.month", Form: Form{kind: kindMoney}, Example: "month: 40.00",
		Doc: "What all runs of a calendar month may cost.", Missing: noBudget,
	},
	{
		Path: "limit", Form: some(1, 0), Example: "limit: {machines: 3}",
		Doc: "How much of the job may run at once.",
	},
	{
		Path: "limit.machines", Form: number(1, maxMachines), Otherwise: "no limit of its own", Example: "machines: 3",
		Doc: "How many machines the job may have at once.",
	},
	{
		Path: "keep", Form: some(1, 0), Otherwise: "what the settings say, else for ever", Example: "keep: {results: 90d, logs: 30d, history: 365d}",
		Doc: "How long is kept what a run leaves, counted from its end.",
		More: "Removed is what is older, within hours of its time, by `dayfly serve`. The last success of a job always stays, and so does what is in use. " +
			"A removed job's runs are kept as it said last.",
	},
	{
		Path: "keep.results", Form: keeping(), Otherwise: "what the settings say, else for ever", Example: "results: 90d",
		Doc: "How long results are kept.",
	},
	{
		Path: "keep.logs", Form: keeping(), Otherwise: "what the settings say, else for ever", Example: "logs: 30d",
		Doc: "How long logs are kept.",
	},
	{
		Path: "keep.history", Form: keeping(), Otherwise: "what the settings say, else for ever", Example: "history: 365d",
		Doc:  "How long the records of runs are kept.",
		More: "With the record goes all that is left of the run. Until then the record says what was removed, when, and by which rule.",
	},
}

// keeping is how long something is kept.
func keeping() Form {
	return length(time.Hour, maxKeep).instead(choice("forever", "also where the settings say something else"))
}

func expression() Form {
	return Form{kind: kindText, must: []expr{notBlank}, like: "five cron fields, a macro such as @daily or @every 90m, or cron(...), rate(...), at(...)"}
}

func lateness() Form {
	return choice("none", "a slot that is more than 60 s late is missed", "last", "of those found late the last one runs", "all", "all run, one after another, in their order")
}

func instance() Form {
	return Form{kind: kindText, most: 63, must: []expr{typeName}, like: "an instance type such as c8g.large"}
}

func region() Form {
	return Form{kind: kindText, most: 63, must: []expr{regionName}, like: "a region such as eu-west-1"}
}

func paramNames() Form {
	f := named("names of a-z, 0-9, _ and -, beginning with a letter", paramName, reservedParam)
	f.most, f.never = maxParams, append(f.never, shaping)
	return f
}

func paramValue() Form {
	return Form{kind: kindScalar, most: dayfly.MaxParam, must: []expr{noNUL}, like: "a value of the type"}
}

// settingsKeys is the table of DATA/dayfly.yaml.
var settingsKeys = table{
	{
		Path: "installation", Form: shaped("up to 63 of A-Z, a-z, 0-9 and -", installation), Otherwise: "made by dayfly", Example: "installation: home-3f2a",
		Doc:  "The name of this installation, on every machine it makes.",
		More: "It is made once and never changed.",
	},
	{
		Path: "bucket", Form: line(maxPath), Otherwise: "bucket, in the data directory", Example: "bucket: /srv/dayfly/bucket",
		Doc: "Where logs, results and files are kept: a directory.",
	},
	{
		Path: "limits", Form: some(1, 0), Example: "limits: {machines: 20}",
		Doc: "What all jobs together may use.",
	},
	{
		Path: "limits.machines", Form: number(1, maxMachines), Otherwise: "no limit", Example: "machines: 20",
		Doc: "How many machines all jobs together may have at once.",
	},
	{
		Path: "keep", Form: some(1, 0), Otherwise: "for ever", Example: "keep: {results: 90d, logs: 30d, history: 365d}",
		Doc: "How long is kept what runs leave whose job says nothing of it.",
	},
	{
		Path: "keep.results", Form: keeping(), Default: "forever", Example: "results: 90d",
		Doc: "How long results are kept.",
	},
	{
		Path: "keep.logs", Form: keeping(), Default: "forever", Example: "logs: 30d",
		Doc: "How long logs are kept.",
	},
	{
		Path: "keep.history", Form: keeping(), Default: "forever", Example: "history: 365d",
		Doc: "How long the records of runs are kept, with all the rest.",
	},
	{Path: "ec2", Form: mapping(), Doc: "How machines on ec2 are made.", Missing: noEC2},
	{Path: "notify", Form: mapping(), Doc: "How notifications are sent.", Missing: noNotify},
}
