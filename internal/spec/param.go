package spec

import (
	"encoding/json"
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v4"

	"github.com/dayfly-io/dayfly"
)

// maxBound is how far from 0 the bounds of a parameter may be: what every program reads as the same number.
const maxBound = 1e15

// shaping are parameters whose variable decides which code the job runs, or how; a value that a person gives
// to a run must not.
var shaping = pattern(`^(path|env|ifs|ps4|shell|shellopts|bashopts|bash[_-]env|prompt[_-]command|editor|pager|classpath` +
	`|pythonpath|pythonhome|pythonstartup|perl5lib|perl5opt|rubylib|rubyopt|node[_-]options|node[_-]path|java[_-]tool[_-]options|gconv[_-]path` +
	`|git[_-](ssh|ssh[_-]command|exec[_-]path|editor|pager|askpass|proxy[_-]command|external[_-]diff))$|^(ld|git[_-]config)[_-]`)

func (r *reader) paramName(v value) bool {
	name := v.key.Value
	switch at := r.scalarSpan(v.key); {
	case !paramName().MatchString(name):
		hint := "a-z, 0-9, _ and -, beginning with a letter; the job sees it in capitals"
		if low := snake(name); paramName().MatchString(low) {
			hint = didYouMean(low)
		}
		r.fault(RuleValue, v.path, at, fmt.Sprintf("%q is not the name of a parameter", clip(name, 60)), hint)
	case shaping().MatchString(name):
		r.fault(RuleValue, v.path, at, dayfly.ParamVar(name)+" decides which programs the job runs, and a parameter never does", "choose another name, such as input_"+snake(name))
	default:
		return true
	}
	return false
}

// param reads one parameter.
func (r *reader) param(v value, j *dayfly.Job) {
	if v.n.Kind != yaml.MappingNode {
		r.wrong(v, wantMapping, "")
		return
	}
	f, ok := r.mapping(v)
	if !ok {
		return
	}
	p := dayfly.Param{}
	kind, ok := f.get("type")
	if !ok {
		return
	}
	if p.Type, ok = r.oneOf(kind); !ok {
		return
	}
	if v, ok := f.get("description"); ok {
		p.Description, _ = r.line(v)
	}
	r.paramChoices(f, &p)
	r.paramBounds(f, &p)
	preset := r.preset(f, &p)
	if v, ok := f.get("required"); ok {
		if b, ok := r.boolean(v); ok {
			p.Required = &b
		}
		if preset {
			r.conflict(v, "remove it, or the default", "a parameter with a default is never without a value")
		}
	}
	if len(j.Schedules) > 0 && !preset && p.Needed() {
		r.fault(RuleConflict, v.path, r.scalarSpan(v.key), v.name()+" has no default, and nobody gives a value to a run by schedule",
			"give it a default, or required: false for none at all")
	}
	if leaky().MatchString(dayfly.ParamVar(v.key.Value)) {
		r.advise(v, "put env:"+dayfly.ParamVar(v.key.Value)+" or the like under secrets:", "%s looks like a secret, and the values of parameters are stored and shown", v.key.Value)
	}
	if j.Params == nil {
		j.Params = map[string]dayfly.Param{}
	}
	j.Params[v.key.Value] = p
}

// paramChoices reads enum.
func (r *reader) paramChoices(f fields, p *dayfly.Param) {
	v, ok := f.get("enum")
	if !ok {
		return
	}
	if p.Type == dayfly.ParamBool {
		r.conflict(v, "remove it", "a bool is true or false in any case")
		return
	}
	for _, item := range r.items(v) {
		text, ok := r.paramText(item, dayfly.Param{Type: p.Type})
		if !ok {
			continue
		}
		if _, err := p.Value(text); err == nil && len(p.Enum) > 0 {
			r.fault(RuleDuplicate, item.path, r.spanOf(item), fmt.Sprintf("%q is named twice", clip(text, 40)), "remove one of them")
			continue
		}
		p.Enum = append(p.Enum, paramJSON(text, p.Type))
	}
}

// paramBounds reads min and max.
func (r *reader) paramBounds(f fields, p *dayfly.Param) {
	read := func(key string) (v value, n json.Number) {
		v, ok := f.get(key)
		switch {
		case !ok:
		case p.Type != dayfly.ParamInt && p.Type != dayfly.ParamFloat:
			r.conflict(v, "remove it, or name what is allowed under enum:", "%s means something only to int and float", key)
		case len(p.Enum) > 0:
			r.conflict(v, "remove it", "enum names all that is allowed already")
		default:
			text, ok := r.paramText(v, dayfly.Param{Type: p.Type})
			if size, err := strconv.ParseFloat(text, 64); ok && (err != nil || size < -maxBound || size > maxBound) {
				r.bad(v, "", "%s is %s; it must be from %.0f to %.0f", v.name(), clip(text, 40), -maxBound, maxBound)
				break
			}
			n = json.Number(text)
		}
		return v, n
	}
	_, low := read("min")
	v, high := read("max")
	if low != "" && high != "" {
		if _, err := (dayfly.Param{Type: p.Type, Min: low}).Value(high.String()); err != nil {
			r.conflict(v, "", "no value is allowed: max is %s, and min %s", high, low)
			return
		}
	}
	p.Min, p.Max = low, high
}

// preset reads default, and tells whether there is one.
func (r *reader) preset(f fields, p *dayfly.Param) bool {
	v, ok := f.get("default")
	if !ok {
		return false
	}
	if text, ok := r.paramText(v, *p); ok {
		p.Default = paramJSON(text, p.Type)
	}
	return true
}

// paramJSON is a value as JSON.
func paramJSON(text, kind string) json.RawMessage {
	if kind != dayfly.ParamString {
		return json.RawMessage(text)
	}
	b, _ := json.Marshal(text) // text is always JSON
	return b
}

// paramText reads a scalar of a parameter's type, and checks it against what the parameter allows.
func (r *reader) paramText(v value, p dayfly.Param) (text string, ok bool) {
	switch p.Type {
	case dayfly.ParamInt:
		if text, ok = r.numeral(v, wantNumber); ok {
			if _, err := strconv.ParseInt(text, 10, 64); err != nil {
				r.wrong(v, wantNumber+" that fits 64 bits", "")
				return "", false
			}
		}
	case dayfly.ParamFloat:
		text, ok = r.numeral(v, wantDecimal)
	case dayfly.ParamBool:
		var b bool
		b, ok = r.boolean(v)
		text = strconv.FormatBool(b)
	default:
		text, ok = r.text(v)
	}
	if !ok {
		return "", false
	}
	if len(text) > dayfly.MaxParam {
		r.bad(v, "put data into a file and name it under files:", "%s has %d bytes; at most %d are allowed", v.name(), len(text), dayfly.MaxParam)
		return "", false
	}
	if _, err := p.Value(text); err != nil {
		r.bad(v, dayfly.ErrorHint(err), "%s: %s", v.name(), clip(err.Error(), 200))
		return "", false
	}
	return text, true
}

// presets looks at all parameters together.
func (r *reader) presets(v value, j *dayfly.Job) {
	total := 0
	for _, p := range j.Params {
		text, _ := p.Preset()
		total += len(text)
	}
	switch {
	case len(j.Params) > maxParams:
		r.bad(v, "", "params has %d entries; at most %d are allowed", len(j.Params), maxParams)
	case total > maxPresets:
		r.bad(v, "put data into a file and name it under files:", "params has %d bytes in all; at most 32 KiB are allowed", total)
	}
}
