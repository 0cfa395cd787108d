package spec

import (
	"errors"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/schedule"
)

// schedules reads when a job is due.
func (r *reader) schedules(f fields, j *dayfly.Job) {
	zone := time.UTC
	if v, ok := f.get("timezone"); ok {
		if name, loc, ok := r.zone(v); ok {
			j.Timezone, zone = name, loc
		}
	}
	v, ok := f.get("schedule")
	if !ok {
		return
	}
	d := due{r: r, job: j, zone: zone}
	switch v.n.Kind {
	case yaml.ScalarNode:
		d.expression(v, &dayfly.Schedule{}, zone)
	case yaml.SequenceNode:
		for _, item := range r.items(v) {
			if item.n.Kind == yaml.MappingNode {
				d.item(item)
			} else {
				d.expression(item, &dayfly.Schedule{}, zone)
			}
		}
	default:
		r.wrong(v, r.form(v).String(), "put a dash before it: a list may hold {at, timezone, from, until, anchor}")
	}
}

// zone reads the name of a time zone.
func (r *reader) zone(v value) (string, *time.Location, bool) {
	name, ok := r.text(v)
	if !ok {
		return "", nil, false
	}
	loc, err := schedule.LoadLocation(name)
	if err != nil {
		r.refused(v, err)
		return "", nil, false
	}
	return name, loc, true
}

// refused reports what internal/schedule refuses, at the part of the text that it names.
func (r *reader) refused(v value, err error) {
	e, ok := errors.AsType[*schedule.Error](err)
	if !ok {
		r.bad(v, "", "%s", err)
		return
	}
	for _, e := range append([]*schedule.Error{e}, e.More...) {
		at := r.spanOf(v)
		problem := e.Problem
		switch e.Field {
		case "timezone", "anchor", "key":
		default:
			at = r.inside(v, e.Offset, e.Len)
			problem = e.Error()
		}
		r.fault(RuleValue, v.path, at, problem, e.Hint)
	}
}

// due gathers the schedules of one job.
type due struct {
	r    *reader
	job  *dayfly.Job
	zone *time.Location
}

// item reads {at, timezone, from, until, anchor}.
func (d due) item(v value) {
	r := d.r
	f, ok := r.mapping(v)
	if !ok {
		return
	}
	s, zone := dayfly.Schedule{}, d.zone
	if v, ok := f.get("timezone"); ok {
		if name, loc, ok := r.zone(v); ok {
			s.Timezone, zone = name, loc
		}
	}
	read := func(key string) (t time.Time) {
		if v, ok := f.get(key); ok {
			t, _ = r.instant(v)
		}
		return t
	}
	s.From, s.Until, s.Anchor = read("from"), read("until"), read("anchor")
	if v, ok := f.get("until"); ok && !s.Until.IsZero() && !s.From.Before(s.Until) {
		r.conflict(v, "until must be later than from", "no slot lies between from and until")
	}
	anchor, hasAnchor := f.get("anchor")
	if hasAnchor && !s.Anchor.IsZero() && s.Anchor.Truncate(time.Minute) != s.Anchor {
		r.bad(anchor, "write :00 for the seconds", "%s is not a whole minute", anchor.name())
		return
	}
	at, ok := f.get("at")
	if !ok {
		return
	}
	d.expression(at, &s, zone)
	if text := strings.TrimSpace(at.n.Value); hasAnchor && !strings.HasPrefix(text, "@every") && !strings.HasPrefix(text, "rate(") {
		r.conflict(anchor, "remove it", "an anchor means something only to @every and rate(...)")
	}
}

// expression reads the text of one schedule and keeps it.
func (d due) expression(v value, s *dayfly.Schedule, zone *time.Location) {
	text, ok := d.r.text(v)
	if !ok {
		return
	}
	text = strings.TrimRight(text, "\n") // of a block
	parsed, err := schedule.Parse(text, schedule.Options{Location: zone, Anchor: s.Anchor, Key: string(d.job.Name)})
	if err != nil {
		d.r.refused(v, err)
		return
	}
	for _, warning := range parsed.Warnings() {
		d.r.advise(v, "", "%s", warning)
	}
	s.At = parsed.String()
	d.job.Schedules = append(d.job.Schedules, *s)
}

// policies reads what becomes of runs that come late or together, who hears of it, and the limits.
func (r *reader) policies(f fields, j *dayfly.Job) {
	if v, ok := f.get("catch_up"); ok {
		r.catchUp(v, &j.CatchUp)
	}
	if v, ok := f.get("overlap"); ok {
		if s, ok := r.oneOf(v); ok {
			j.Overlap = dayfly.Overlap(s)
		}
	}
	if v, ok := f.get("array"); ok {
		j.Array = r.array(v)
	}
	if v, ok := f.get("notify"); ok {
		for _, item := range r.items(v) {
			r.notify(item, j)
		}
	}
	r.limits(f, j)
}

func (r *reader) catchUp(v value, c *dayfly.CatchUp) {
	if v.n.Kind == yaml.ScalarNode {
		if s, ok := r.oneOf(v); ok {
			c.Policy = dayfly.CatchUpPolicy(s)
		}
		return
	}
	f, ok := r.mapping(v)
	if !ok {
		return
	}
	if v, ok := f.get("policy"); ok {
		if s, ok := r.oneOf(v); ok {
			c.Policy = dayfly.CatchUpPolicy(s)
		}
	}
	if v, ok := f.get("within"); ok {
		if d, ok := r.duration(v); ok {
			c.Within = d
		}
		switch {
		case c.Policy == dayfly.CatchUpNone:
			r.advise(v, "remove it, or choose policy: last", "within means nothing to policy none: such slots start at most 60 s late")
		case c.Within.Duration() < dayfly.OnTime:
			r.advise(v, "", "a slot up to 60 s late counts as on time in any case")
		}
	}
}
