package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
)

// Damage is one record that is there and cannot be read.
type Damage struct {
	Kind string         // job, version, run, range
	ID   string         // under which it is stored
	Job  dayfly.JobName // that it belongs to; empty where that cannot be told
	Err  error
}

func (d Damage) Error() string {
	return fmt.Sprintf("%s %s: its record is damaged: %v", d.Kind, d.ID, d.Err)
}

// Unwrap gives what is wrong with it.
func (d Damage) Unwrap() error { return d.Err }

// DamagedError names the records that cannot be read. A list that gives it gives everything else with it.
type DamagedError struct{ Records []Damage }

// mostNamed is how many damaged records an error names: a broken disk may have thousands.
const mostNamed = 10

func (e *DamagedError) Error() string {
	var lines []string
	for i, d := range e.Records {
		if i == mostNamed {
			lines = append(lines, fmt.Sprintf("and %d more", len(e.Records)-i))
			break
		}
		lines = append(lines, d.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives what is wrong with each.
func (e *DamagedError) Unwrap() []error {
	out := make([]error, len(e.Records))
	for i, d := range e.Records {
		out[i] = d
	}
	return out
}

// OrDamaged is nil where no record is damaged.
func OrDamaged(all []Damage) error {
	if len(all) == 0 {
		return nil
	}
	return &DamagedError{all}
}

// IsDamage tells whether it is a record that cannot be read, and not the store that cannot be.
func IsDamage(err error) bool {
	_, damaged := errors.AsType[Damage](err)
	return damaged
}

// Readable makes of a list with damaged records in it two: one bad record never stops the others.
func Readable[T any](list []T, err error) ([]T, []Damage, error) {
	if damaged, bad := errors.AsType[*DamagedError](err); bad {
		return list, damaged.Records, nil
	}
	return list, nil, err
}

// Sound gives the runs of a history that can be read, and tells of the others; nil is nobody.
func Sound(runs iter.Seq2[dayfly.Run, error], tell func(Damage)) iter.Seq2[dayfly.Run, error] {
	return func(yield func(dayfly.Run, error) bool) {
		for r, err := range runs {
			if d, damaged := errors.AsType[Damage](err); !damaged {
				if !yield(r, err) {
					return
				}
			} else if tell != nil {
				tell(d)
			}
		}
	}
}

// DecodeRun reads a run that is stored under an id. What is no run, or another, is Damage.
func DecodeRun(id dayfly.RunID, body []byte) (r dayfly.Run, err error) {
	err = json.Unmarshal(body, &r)
	if err == nil && r.ID != id {
		err = fmt.Errorf("it says that it is run %q", r.ID)
	}
	if err == nil {
		err = CheckRun(&r)
	}
	if err != nil {
		job, _, _, _, _ := id.Parse()
		return dayfly.Run{}, Damage{Kind: "run", ID: string(id), Job: job, Err: err}
	}
	return r, nil
}

// DecodeJob reads the record of a job that is stored under a name. What is none, or another's, is Damage.
func DecodeJob(name dayfly.JobName, body []byte) (j Job, err error) {
	err = json.Unmarshal(body, &j)
	if err == nil && j.Name != name {
		err = fmt.Errorf("it says that it is job %q", j.Name)
	}
	if err != nil {
		return Job{}, Damage{Kind: "job", ID: string(name), Job: name, Err: err}
	}
	return j, nil
}

// DecodeVersion reads a version of a job. What is none is Damage.
func DecodeVersion(version string, body []byte) (j dayfly.Job, err error) {
	err = json.Unmarshal(body, &j)
	if err == nil && j.Name == "" {
		err = errors.New("it does not say which job's it is")
	}
	if err != nil {
		return dayfly.Job{}, Damage{Kind: "version", ID: version, Job: j.Name, Err: err}
	}
	return j, nil
}

// DecodeRange reads a range record of a job. What is none, or another's, is Damage.
func DecodeRange(job dayfly.JobName, from time.Time, body []byte) (r dayfly.Range, err error) {
	err = json.Unmarshal(body, &r)
	if err == nil && (r.Job != job || r.From.UnixMicro() != from.UnixMicro()) {
		err = fmt.Errorf("it says that it is of job %q from %s", r.Job, r.From.Format(time.RFC3339))
	}
	if err != nil {
		id := fmt.Sprintf("%s from %s", job, from.UTC().Format(time.RFC3339))
		return dayfly.Range{}, Damage{Kind: "range", ID: id, Job: job, Err: err}
	}
	return r, nil
}
