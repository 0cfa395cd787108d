package spec

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/dayfly-io/dayfly"
)

// Bounds of a job file's values. They are far from what jobs need and near enough to keep a job small
// in every store, request and environment.
const (
	maxDescription = 1024     // characters
	maxScript      = 64 << 10 // bytes of run, and of setup
	maxTimeout     = 30 * day //
	maxDeadline    = 31 * day //
	maxGrace       = 10 * time.Minute
	maxJitter      = day              //
	maxWithin      = 366 * day        //
	maxBackoff     = day              //
	maxKeep        = 36500 * day      //
	maxSchedules   = 100              //
	maxArray       = 10_000           //
	maxParams      = 100              //
	maxPresets     = 32 << 10         // bytes of all defaults: each run's record holds them
	maxChoices     = 100              //
	maxAttempts    = 100              //
	maxPids        = 1 << 22          // what Linux can count
	minPids        = 4                // a shell that starts something
	maxMachines    = 100_000          //
	spare          = 15 * time.Minute // of the default deadline, beyond the timeout
	day            = 24 * time.Hour
)

// File is a job file that has been read.
type File struct {
	// Job is what it says, with every default filled in. FilesSHA256 is left to the packer.
	Job dayfly.Job
	// Warnings are about what is allowed and may not be what was meant, sorted by position.
	Warnings []*Error

	r *reader
}

// Look says what is wrong with a file that files: names, and what to do about it; no problem is "".
type Look func(file string) (problem, hint string)

// Load reads a job file. name is how errors name it. The error is *Errors: all there are, sorted.
func Load(name string, data []byte) (*File, error) { return LoadLooking(name, data, nil) }

// LoadLooking is Load that also looks at what files: names, so that what is wrong there is among the errors.
func LoadLooking(name string, data []byte, look Look) (*File, error) {
	r, ok := newReader(name, data, jobKeys)
	r.look = look
	r.emptyHint = "a job needs a name and what to run:\n  name: hello\n  run: echo hello"
	f := &File{r: r}
	if ok {
		if root := r.parse(); root != nil {
			r.hide(root)
			f.Job = r.job(value{n: root})
		}
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	f.Warnings = r.warnings
	return f, nil
}

// At is an error about a key of the file, for those who look at what it names: the packer at files[0].
// A path that does not stand in the file makes an error without a line.
func (f *File) At(path, problem, suggestion string) *Error {
	e := &Error{File: f.r.src.name, Path: path, Rule: RuleValue, Problem: problem, Suggestion: suggestion}
	if p, ok := f.r.places[path]; ok {
		e.Line, e.Column, e.Length = p.value.line, p.value.col, p.value.length
		e.Source = f.r.src.excerpt(e.Line)
	}
	return e
}

// AtSchedule is an error about one of the job's schedules, by its number in [dayfly.Job].
func (f *File) AtSchedule(i int, problem, suggestion string) *Error {
	path := "schedule"
	for _, one := range []string{fmt.Sprintf("schedule[%d]", i), fmt.Sprintf("schedule[%d].at", i)} {
		if _, ok := f.r.places[one]; ok {
			path = one
		}
	}
	return f.At(path, problem, suggestion)
}

// hide marks what no error may show: the value of secrets:, and of what may be a slip for it.
func (r *reader) hide(root *yaml.Node) {
	if root.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if !isSecrets(root.Content[i].Value) {
			continue
		}
		at := func(i int) span { return r.clamp(span{root.Content[i].Line, root.Content[i].Column, 1}) }
		next := span{}
		if i+2 < len(root.Content) {
			next = at(i + 2)
		}
		r.src.hideKey(at(i), at(i+1), next)
	}
}

// job reads the top of the file. What is wrong is left out of the job, which nobody sees then.
func (r *reader) job(root value) dayfly.Job {
	j := dayfly.Job{
		Timezone: "UTC",
		CatchUp:  dayfly.CatchUp{Policy: dayfly.CatchUpLast, Within: dayfly.Seconds(time.Hour)},
		Overlap:  dayfly.OverlapSkip,
		Timeout:  dayfly.Seconds(time.Hour),
		Grace:    dayfly.Seconds(10 * time.Second),
		Retry:    dayfly.Retry{Attempts: 1, Backoff: dayfly.Seconds(time.Minute)},
	}
	f, ok := r.mapping(root)
	if !ok {
		return j
	}
	r.identity(f, &j)
	r.schedules(f, &j)
	r.machine(f, &j)
	r.work(f, &j)
	r.environment(f, &j)
	r.times(f, &j)
	r.retry(f, &j)
	r.policies(f, &j)
	return j
}

func (r *reader) identity(f fields, j *dayfly.Job) {
	if v, ok := f.get("name"); ok {
		if s, ok := r.text(v); ok {
			if j.Name = dayfly.JobName(s); !j.Name.Valid() {
				r.bad(v, nameHint(s), "%q is not the name of a job: up to 48 of a-z, 0-9 and -, not beginning with -", clip(s, 60))
			}
		}
	}
	if v, ok := f.get("description"); ok {
		if s, ok := r.text(v); ok {
			// Lines may be broken as people like.
			r.visible(v, strings.NewReplacer("\n", " ", "\t", " ").Replace(s))
			j.Description = s
		}
	}
}

// nameHint makes a name out of what is none, if enough of it is left.
func nameHint(s string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(clip(s, 200)) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			b.WriteRune(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	name := b.String()
	name = strings.Trim(name[:min(len(name), 48)], "-")
	if len(name) < 2 {
		return "for example backup or nightly-report"
	}
	return "for example " + name
}

// work reads what is run: files, setup, run or user_data.
func (r *reader) work(f fields, j *dayfly.Job) {
	if v, ok := f.get("files"); ok {
		j.Files = r.files(v)
	}
	if v, ok := f.get("setup"); ok {
		j.Setup = r.script(v, r.text)
	}
	run, hasRun := f.get("run")
	if hasRun {
		// true and false are commands too, so run is taken as it is written.
		j.Run = r.script(run, r.command)
	}
	data, hasData := f.get("user_data")
	if hasData {
		if s, ok := r.text(data); ok && r.below(data, s) {
			j.UserData = s
		}
	}
	_, saysRun := r.places["run"] // even where it says nothing, which was reported
	_, saysData := r.places["user_data"]
	switch {
	case hasRun && hasData:
		r.conflict(data, "remove one of them", "a job has either run or user_data, not both")
	case !saysRun && !saysData:
		k, _ := r.table.find("run")
		r.missing(f.of, k)
	}
}

// command reads text, or true and false as they are written.
func (r *reader) command(v value) (string, bool) {
	if v.n.Kind == yaml.ScalarNode && isPlain(v.n) && (v.n.Value == "true" || v.n.Value == "false") {
		return v.n.Value, true
	}
	return r.text(v)
}

func (r *reader) script(v value, read func(value) (string, bool)) string {
	s, ok := read(v)
	switch {
	case !ok:
		return ""
	case strings.TrimSpace(s) == "":
		r.bad(v, "", "%s is empty", v.name())
	case len(s) > int(r.bounds(v).most):
		r.bad(v, "put the script into a file and name it under files:", "%s has %d bytes; at most 64 KiB are allowed", v.name(), len(s))
	case strings.ContainsRune(s, 0):
		r.bad(v, "remove it", "%s holds a NUL character", v.name())
	}
	return s
}

// times reads how long things may take.
func (r *reader) times(f fields, j *dayfly.Job) {
	set := func(key string, into *dayfly.Seconds) (value, bool) {
		v, ok := f.get(key)
		if ok {
			if d, fine := r.duration(v); fine {
				*into = d
			} else {
				ok = false
			}
		}
		return v, ok
	}
	set("timeout", &j.Timeout)
	set("grace", &j.Grace)
	if v, ok := set("jitter", &j.Jitter); ok && j.Jitter > 0 && len(j.Schedules) == 0 {
		r.advise(v, "remove it, or name a schedule", "jitter means nothing to a job without a schedule: runs by hand are never delayed")
	}
	j.Deadline = j.Timeout + dayfly.Seconds(spare)
	if v, ok := set("deadline", &j.Deadline); ok && j.Deadline <= j.Timeout+j.Grace {
		need := (j.Timeout + j.Grace).Duration()
		r.conflict(v, "make it longer than "+formatDuration(need)+", or leave it out for "+formatDuration(j.Timeout.Duration()+spare),
			"deadline is %s, and timeout (%s) and grace (%s) together are %s: the machine would be ended before the job", v.n.Value,
			formatDuration(j.Timeout.Duration()), formatDuration(j.Grace.Duration()), formatDuration(need))
	}
}

func (r *reader) retry(f fields, j *dayfly.Job) {
	top, ok := f.get("retry")
	if !ok {
		return
	}
	f, ok = r.mapping(top)
	if !ok {
		return
	}
	if v, ok := f.get("attempts"); ok {
		if n, ok := r.number(v); ok {
			j.Retry.Attempts = n
		}
	}
	if v, ok := f.get("backoff"); ok {
		if d, ok := r.duration(v); ok {
			j.Retry.Backoff = d
		}
	}
	causes, given := f.get("on")
	if given {
		for _, word := range r.words(causes) {
			j.Retry.On = append(j.Retry.On, dayfly.Outcome(word))
		}
	}
	switch {
	case j.Retry.Attempts > 1 && !given:
		j.Retry.On = []dayfly.Outcome{dayfly.Lost, dayfly.Capacity}
	case j.Retry.Attempts == 1 && len(f.values) > 0:
		r.advise(top, "for example attempts: 3", "with one attempt in all nothing is retried")
	}
}

// words reads a list of different words out of the few that the table has for it.
func (r *reader) words(v value) []string {
	var out []string
	for _, item := range r.items(v) {
		word, ok := r.oneOf(item)
		switch {
		case !ok:
		case slices.Contains(out, word):
			r.fault(RuleDuplicate, item.path, r.spanOf(item), word+" is named twice", "remove one of them")
		default:
			out = append(out, word)
		}
	}
	return out
}
