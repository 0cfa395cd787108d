package spec

import (
	"slices"
	"strconv"

	"go.yaml.in/yaml/v4"

	"github.com/dayfly-io/dayfly"
)

var (
	typeName   = pattern(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$`)
	regionName = pattern(`^[a-z][a-z0-9]*(-[a-z0-9]+)+$`) // what a run's id can hold
)

// machine reads on what a job runs. Defaults that mean something to one kind of machine only are
// filled in for that kind only.
func (r *reader) machine(top fields, j *dayfly.Job) {
	m := &j.Machine
	m.On = "local"
	if v, ok := top.get("machine"); ok {
		if f, ok := r.mapping(v); ok {
			r.machineKind(f, m)
			r.machineSize(f, m)
			r.machinePlace(f, m)
		}
	}
	switch m.On {
	case "local":
		m.Isolation = or(m.Isolation, dayfly.IsolationBest)
		m.Network = or(m.Network, "host")
		m.Pids = or(m.Pids, dayfly.DefaultPids)
	case "ec2":
		m.Market = or(m.Market, "on-demand")
	}
}

func or[T comparable](given, standard T) T {
	var zero T
	if given == zero {
		return standard
	}
	return given
}

func (r *reader) machineKind(f fields, m *dayfly.MachineChoice) {
	if v, ok := f.get("on"); ok {
		if s, ok := r.text(v); ok {
			m.On = r.kindOfMachine(v, s)
		}
	}
	if v, ok := f.get("market"); ok {
		m.Market, _ = r.oneOf(v)
	}
	if v, ok := f.get("network"); ok {
		m.Network, _ = r.oneOf(v)
	}
	if v, ok := f.get("isolation"); ok {
		s, _ := r.oneOf(v)
		m.Isolation = dayfly.Isolation(s)
	}
	if v, ok := f.get("image"); ok {
		m.Image = r.image(v)
	}
}

// kindOfMachine reads where machines come from. What it suggests is what this build serves.
func (r *reader) kindOfMachine(v value, s string) string {
	if slices.Contains(r.bounds(v).words(), s) {
		return s
	}
	hint := "machines on docker, qemu and ec2 are" + notHere
	if near := nearest(s, []string{"local"}); near != "" {
		hint = didYouMean(near)
	}
	r.bad(v, hint, "%s is %q; it must be local", v.name(), clip(s, 40))
	return "local"
}

func (r *reader) machineSize(f fields, m *dayfly.MachineChoice) {
	if v, ok := f.get("cpu"); ok {
		if s, ok := r.numeral(v, wantDecimal); ok {
			n, err := strconv.ParseFloat(s, 64)
			if f := r.bounds(v); err != nil || n < f.low || n > f.high {
				r.bad(v, "", "%s is %s; it must be from %v to %v", v.name(), clip(s, 40), f.low, f.high)
			}
			m.CPU = n
		}
	}
	if v, ok := f.get("memory"); ok {
		m.Memory, _ = r.size(v)
	}
	if v, ok := f.get("disk"); ok {
		m.Disk, _ = r.size(v)
	}
	if v, ok := f.get("pids"); ok {
		m.Pids, _ = r.number(v)
	}
}

func (r *reader) machinePlace(f fields, m *dayfly.MachineChoice) {
	if v, ok := f.get("type"); ok {
		if v.n.Kind == yaml.SequenceNode {
			m.Type = r.names(v)
		} else if s, ok := r.text(v); ok {
			if !typeName().MatchString(s) {
				r.bad(v, "", "%q is not %s", clip(s, 40), r.bounds(v).like)
			}
			m.Type = []string{s}
		}
	}
	v, ok := f.get("regions")
	if !ok {
		return
	}
	if v.n.Kind != yaml.MappingNode {
		r.wrong(v, wantMapping, "each: [...] runs once in each region, first: [...] in the first that has capacity")
		return
	}
	regions, _ := r.mapping(v)
	m.Regions = &dayfly.Regions{}
	if v, ok := regions.get("each"); ok {
		m.Regions.Each = r.names(v)
	}
	if v, ok := regions.get("first"); ok {
		m.Regions.First = r.names(v)
	}
	switch len(regions.values) {
	case 0:
		r.bad(v, "each: [...] runs once in each region, first: [...] in the first that has capacity", "%s names no regions", v.name())
	case 2:
		r.conflict(v, "remove one of them", "regions has either each or first, not both")
	}
}

// names reads a list of different names, each of the form that the table says.
func (r *reader) names(v value) []string {
	var out []string
	for _, item := range r.items(v) {
		form := r.bounds(item)
		s, ok := r.text(item)
		switch {
		case !ok:
		case int64(len(s)) > form.most || !form.must[0]().MatchString(s):
			r.bad(item, "", "%q is not %s", clip(s, 40), form.like)
		case slices.Contains(out, s):
			r.fault(RuleDuplicate, item.path, r.spanOf(item), s+" is named twice", "remove one of them")
		default:
			out = append(out, s)
		}
	}
	return out
}

func (r *reader) image(v value) *dayfly.Image {
	image := &dayfly.Image{}
	if v.n.Kind == yaml.ScalarNode {
		image.Name, _ = r.line(v)
		return image
	}
	f, ok := r.mapping(v)
	if !ok {
		return image
	}
	if v, ok := f.get("name"); ok {
		image.Name, _ = r.line(v)
	}
	if v, ok := f.get("owner"); ok {
		image.Owner, _ = r.line(v)
	}
	if v, ok := f.get("newest"); ok {
		image.Newest, _ = r.boolean(v)
	}
	return image
}

func (r *reader) array(v value) *dayfly.Array {
	f, ok := r.mapping(v)
	if !ok {
		return nil
	}
	a := &dayfly.Array{}
	if v, ok := f.get("size"); ok {
		a.Size, _ = r.number(v)
	}
	if v, ok := f.get("at_once"); ok {
		n, fine := r.number(v)
		if fine && a.Size > 0 && n > a.Size {
			r.conflict(v, "at most "+strconv.Itoa(a.Size), "at_once is %d, and there are only %d runs", n, a.Size)
		}
		a.AtOnce = n
	}
	return a
}
