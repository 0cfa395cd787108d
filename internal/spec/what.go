package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/dayfly-io/dayfly"
)

const (
	maxFiles    = 1000
	maxPath     = 1024     // bytes
	maxEnv      = 1000     // of env, params and secrets together
	maxEnvValue = 64 << 10 // bytes; Linux takes 128 KiB
	maxEnvTotal = 256 << 10
)

var (
	envName   = pattern(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	paramName = pattern(`^[a-z][a-z0-9_-]{0,63}$`)
	ssmName   = pattern(`^[A-Za-z0-9_./-]{1,512}(:[A-Za-z0-9_.-]{1,128})?$`)
	awsName   = pattern(`^[A-Za-z0-9/_+=.@:-]{1,512}$`)
	leaky     = pattern(`(?i)(^|_)(password|passwd|secret|token|api_?key|private_?key|secret_access_key)$`)
)

// loaders are variables that change how every program on the machine starts.
var loaders = []string{"LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "IFS"}

// files reads paths below the job file's directory. Their text is looked at here, and what they name by look.
func (r *reader) files(v value) []string {
	var out, seen []string
	for _, item := range r.items(v) {
		s, ok := r.text(item)
		if !ok || !r.below(item, s) {
			continue
		}
		clean := path.Clean(s)
		if slices.Contains(seen, clean) {
			r.fault(RuleDuplicate, item.path, r.spanOf(item), fmt.Sprintf("%q is named twice", clip(s, 60)), "remove one of them")
			continue
		}
		seen = append(seen, clean)
		if r.look != nil {
			if problem, hint := r.look(s); problem != "" {
				r.bad(item, hint, "%s: %s", clip(s, 60), problem)
				continue
			}
		}
		out = append(out, s)
	}
	return out
}

// below checks that a path stays below the job file's directory, as far as its text can tell.
func (r *reader) below(v value, s string) bool {
	shown := clip(s, 60)
	switch {
	case strings.TrimSpace(s) == "":
		r.bad(v, "remove it", "%s is empty", v.name())
	case len(s) > maxPath:
		r.bad(v, "", "%s has %d bytes; at most %d are allowed", v.name(), len(s), maxPath)
	case strings.HasPrefix(s, "/"):
		r.bad(v, "copy it below the job file's directory and name it from there", "%q is an absolute path", shown)
	case s == "~" || strings.HasPrefix(s, "~/"):
		r.bad(v, "copy it below the job file's directory and name it from there", "%q is in a home directory, and ~ means nothing here", shown)
	case slices.Contains(strings.Split(s, "/"), ".."):
		r.bad(v, "copy it below the job file's directory, or move the job file up", "%q leaves the job file's directory", shown)
	case path.Clean(s) == ".":
		r.bad(v, "name the files and folders that the job needs", "%q is the job file's directory itself", shown)
	case strings.ContainsAny(s, `\`):
		r.bad(v, "separate folders with /", "%q holds a backslash", shown)
	case strings.ContainsAny(s, "*?["):
		r.bad(v, "name the folder, or each file", "%q looks like a pattern, and patterns are not expanded", shown)
	case printable(s) != s:
		r.bad(v, "remove it", "%q holds an invisible character", shown)
	default:
		return true
	}
	return false
}

// environment reads env, params and secrets, which share one space of names.
func (r *reader) environment(f fields, j *dayfly.Job) {
	taken := map[string]string{} // the name on the machine → the path that has it
	total := 0
	if v, ok := f.get("env"); ok {
		for _, item := range r.named(v) {
			if r.claim(item, item.key.Value, taken) {
				total += r.variable(item, j)
			}
		}
		if total > maxEnvTotal {
			r.bad(v, "put data into a file and name it under files:", "env has %d bytes in all; at most 256 KiB are allowed", total)
		}
	}
	if v, ok := f.get("params"); ok {
		for _, item := range r.named(v) {
			if r.paramName(item) && r.claim(item, dayfly.ParamVar(item.key.Value), taken) {
				r.param(item, j)
			}
		}
		r.presets(v, j)
	}
	if v, ok := f.get("secrets"); ok {
		for _, item := range r.named(v) {
			if r.claim(item, item.key.Value, taken) {
				r.secret(item, j)
			}
		}
	}
	if len(taken) > maxEnv {
		r.conflict(f.of, "put data into a file and name it under files:", "env, params and secrets are %d variables; at most %d are allowed", len(taken), maxEnv)
	}
}

// claim takes a name for a variable, if it may be one and nobody else has it.
func (r *reader) claim(v value, name string, taken map[string]string) bool {
	at := r.scalarSpan(v.key)
	switch other, twice := taken[name]; {
	case !envName().MatchString(name):
		parent, _ := splitPath(v.pattern)
		problem := fmt.Sprintf("%q is not the name of a variable", showKey(name))
		if isSecretPath(v.pattern) {
			problem = "this is not the name of a variable" // it may be NAME=VALUE
		}
		r.fault(RuleValue, parent, at, problem, "A-Z, a-z, 0-9 and _, not beginning with a digit; the value stands behind a colon")
	case strings.HasPrefix(name, "DAYFLY_"):
		r.fault(RuleValue, v.path, at, name+" is dayfly's: names that begin with DAYFLY_ are set for every job", "choose another name")
	case twice:
		r.fault(RuleConflict, v.path, at, fmt.Sprintf("%s would be set twice, here and by %s", name, other), "rename or remove one of them")
	default:
		taken[name] = v.path
		return true
	}
	return false
}

// variable reads one entry of env, as it is written, and says how many bytes it takes.
func (r *reader) variable(v value, j *dayfly.Job) int {
	s, ok := r.written(v)
	name := v.key.Value
	switch {
	case !ok:
		return 0
	case strings.ContainsRune(s, 0):
		r.bad(v, "remove it", "%s holds a NUL character", v.name())
		return 0
	case len(s) > maxEnvValue:
		r.bad(v, "put data into a file and name it under files:", "%s has %d bytes; at most 64 KiB are allowed", v.name(), len(s))
		return 0
	case slices.Contains(loaders, name):
		r.advise(v, "", "%s changes how every program of the job starts", name)
	case leaky().MatchString(name) && s != "":
		r.advise(v, "put env:"+name+" or the like under secrets:", "%s looks like a secret, and env is stored and shown", name)
	}
	if j.Env == nil {
		j.Env = map[string]string{}
	}
	j.Env[name] = s
	return len(name) + len(s)
}

// secret reads a reference to a secret. Nothing of its value is ever repeated: it may be the secret.
func (r *reader) secret(v value, j *dayfly.Job) {
	s, ok := r.text(v)
	if !ok {
		return
	}
	const forms = "say where it is: env:NAME, file:/PATH, ssm:NAME or secretsmanager:NAME"
	scheme, rest, _ := strings.Cut(s, ":")
	good := false
	switch scheme {
	case "env":
		good = envName().MatchString(rest)
	case "file":
		good = strings.HasPrefix(rest, "/") && len(rest) <= maxPath && printable(rest) == rest && path.Clean(rest) != "/"
	case "ssm":
		good = ssmName().MatchString(rest)
	case "secretsmanager":
		good = awsName().MatchString(rest)
	default:
		r.bad(v, forms, "%s is not a reference; a job file never holds the secret itself", v.name())
		return
	}
	switch {
	case !good:
		r.bad(v, forms, "%s names nothing that %s: can look up", v.name(), scheme)
		return
	case j.Machine.On == "ec2" && (scheme == "env" || scheme == "file"):
		r.conflict(v, "keep it in the parameter store and write ssm:NAME", "%s is looked up where dayfly runs, and must not travel to a machine on ec2", v.name())
	}
	if j.Secrets == nil {
		j.Secrets = map[string]string{}
	}
	j.Secrets[v.key.Value] = s
}
