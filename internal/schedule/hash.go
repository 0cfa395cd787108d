package schedule

import (
	"crypto/sha256"
	"encoding/binary"
)

// isHash reports whether a field is meant as H, H/n, H(a-b) or H(a-b)/n.
func isHash(text string) bool {
	return text[0] == 'H' && (len(text) == 1 || text[1] == '/' || text[1] == '(' || text[1] == ',')
}

// hash reads a field with H, whose values are fixed by the job's name.
func (p *parser) hash(f field, t token, c *content) error {
	lo, hi := f.hashRange()
	rest := t.from(1)
	if rest.text != "" && rest.text[0] == '(' {
		var err error
		if lo, hi, rest, err = f.narrow(rest); err != nil {
			return err
		}
	}
	step := 0
	if rest.text != "" {
		if rest.text[0] != '/' {
			return refuse(f.name, rest, "write H, H/n, H(a-b) or H(a-b)/n", "H stands alone in its field")
		}
		var err error
		if step, err = f.step(rest.from(1)); err != nil {
			return err
		}
		if step > hi-lo+1 {
			return refuse(f.name, rest.from(1), "", "step %d is more than the %d values from %d to %d", step, hi-lo+1, lo, hi)
		}
	}
	if p.key == "" {
		return refuse(f.name, t, "H is a value fixed by the name of the job", "H needs the name of a job")
	}
	h := hashOf(p.key, f.name)
	if step == 0 {
		c.add(lo + int(h%uint64(hi-lo+1)))
		return nil
	}
	for v := lo + int(h%uint64(step)); v <= hi; v += step {
		c.add(v)
	}
	return nil
}

// hashRange is the range that H is taken from: such that it comes in every month, and without the second Sunday.
func (f field) hashRange() (lo, hi int) {
	switch {
	case f.week:
		return 0, 6
	case f.day:
		return 1, 28
	}
	return f.lo, f.hi
}

// narrow reads the (a-b) that follows an H, and gives what comes after it.
func (f field) narrow(t token) (lo, hi int, rest token, err error) {
	const example = "write a range of this field, such as H(2-5)"
	end := 0
	for end < len(t.text) && t.text[end] != ')' {
		end++
	}
	if end == len(t.text) {
		return 0, 0, rest, refuse(f.name, t, example, "the closing bracket after H is missing")
	}
	ends := t.cut(1, end).split('-')
	if len(ends) != 2 || ends[0].text == "" || ends[1].text == "" {
		return 0, 0, rest, refuse(f.name, t.cut(0, end+1), example, "H(a-b) needs two ends")
	}
	if f.week {
		f.hi = 6
	}
	if lo, err = f.value(ends[0]); err != nil {
		return 0, 0, rest, err
	}
	if hi, err = f.value(ends[1]); err != nil {
		return 0, 0, rest, err
	}
	if hi < lo {
		return 0, 0, rest, refuse(f.name, t.cut(0, end+1), "", "range %s runs backwards", t.text[1:end])
	}
	return lo, hi, t.from(end + 1), nil
}

// hashOf is the number that a job's name gives to a field.
func hashOf(key, name string) uint64 {
	sum := sha256.Sum256([]byte(key + "\n" + name))
	return binary.BigEndian.Uint64(sum[:8])
}
