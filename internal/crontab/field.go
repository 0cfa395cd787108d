package crontab

import (
	"fmt"
	"strconv"
	"strings"
)

// kind is one of the five fields.
type kind struct {
	name   string
	lo, hi int
	names  string // three letters each
	first  int    // the value of the first name
}

const (
	minuteField = iota
	hourField
	dateField
	monthField
	weekField
)

// kinds are the fields in their order.
func kinds() [5]kind {
	return [5]kind{
		{name: "minute", hi: 59},
		{name: "hour", hi: 23},
		{name: "day of month", lo: 1, hi: 31},
		{name: "month", lo: 1, hi: 12, names: "janfebmaraprmayjunjulaugsepoctnovdec", first: 1},
		{name: "day of week", hi: 7, names: "sunmontuewedthufrisat"},
	}
}

// field is what one field of an entry says.
type field struct {
	kind  kind
	text  string
	at    int // the byte of the line where it begins
	items []item
	star  bool // it begins with one, which is what cron's rules go by
}

// item is one element of a field's list.
type item struct {
	lo, hi, step int
	random       bool // a value between lo and hi, or with a step the first of them
}

// backwards tells whether an item names nothing: cron walks from lo up to hi.
func (i item) backwards() bool { return i.lo > i.hi }

// fault is what is wrong with a part of a field.
type fault struct {
	at, length    int
	problem, hint string
}

// readField reads one field that begins at a byte of the line.
func readField(k kind, text string, at int) (field, *fault) {
	f := field{kind: k, text: text, at: at, star: text[0] == '*'}
	for one := range strings.SplitSeq(text, ",") {
		i, wrong := k.item(one)
		if wrong != nil {
			wrong.at += at
			wrong.problem = k.name + ": " + wrong.problem
			return f, wrong
		}
		f.items = append(f.items, i)
		at += len(one) + 1
	}
	return f, nil
}

// item reads one element of a list.
func (k kind) item(text string) (item, *fault) {
	base, stepText, hasStep := strings.Cut(text, "/")
	i := item{lo: k.lo, hi: k.hi, step: 1}
	lo, hi, isRange := strings.Cut(base, "-")
	from, to, isRandom := strings.Cut(base, "~")
	single := false
	var wrong *fault
	switch {
	case text == "":
		return i, &fault{problem: "an element of the list is empty", length: 1}
	case base == "*":
	case isRandom:
		i.random = true
		if from != "" {
			i.lo, wrong = k.value(from, 0)
		}
		if to != "" && wrong == nil {
			i.hi, wrong = k.value(to, len(from)+1)
		}
		if wrong == nil && i.lo > i.hi {
			wrong = &fault{problem: "the range " + base + " runs backwards", length: len(base)}
		}
	case isRange:
		if i.lo, wrong = k.value(lo, 0); wrong == nil {
			i.hi, wrong = k.value(hi, len(lo)+1)
		}
		if k.name == "day of week" && i.hi == 0 && i.lo > 0 {
			i.hi = 7 // Sunday ends a week as well as it begins one
		}
	default:
		i.lo, wrong = k.value(base, 0)
		i.hi, single = i.lo, true
	}
	if wrong != nil {
		return i, wrong
	}
	if hasStep {
		if wrong = i.takeStep(stepText, len(base)+1); wrong == nil && single {
			wrong = &fault{problem: text + " has a step without a range", hint: fmt.Sprintf("cron takes %s-%d/%s", base, k.hi, stepText), length: len(text)}
		}
	}
	i.random = i.random && (!hasStep || i.step > 1) // each of them, wherever it begins
	return i, wrong
}

func (i *item) takeStep(text string, at int) *fault {
	n, err := strconv.Atoi(text)
	switch {
	case text == "":
		return &fault{at: at, length: 1, problem: "the step is missing"}
	case !isDigits(text) || len(text) > 9 || err != nil:
		return &fault{at: at, length: len(text), problem: "the step " + text + " is not a whole number"}
	case n == 0:
		return &fault{at: at, length: len(text), problem: "a step is at least 1"}
	}
	i.step = n
	return nil
}

func isDigits(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// value reads a number or a name.
func (k kind) value(text string, at int) (int, *fault) {
	wrong := func(problem, hint string) (int, *fault) {
		return 0, &fault{at: at, length: max(1, len(text)), problem: problem, hint: hint}
	}
	if isDigits(text) {
		short := strings.TrimLeft(text, "0")
		if n, err := strconv.Atoi("0" + short); err == nil && len(short) < 10 && n >= k.lo && n <= k.hi {
			return n, nil
		}
		return wrong(fmt.Sprintf("%s is outside %d-%d", text, k.lo, k.hi), "")
	}
	lower := strings.ToLower(text)
	if i := strings.Index(k.names, lower); len(text) == 3 && i >= 0 && i%3 == 0 {
		return k.first + i/3, nil
	}
	switch {
	case text == "":
		return wrong("a value is missing", "")
	case strings.HasPrefix(text, "*"):
		return wrong("a star takes a step and nothing else", "")
	case len(lower) > 3 && strings.Contains(k.names, lower[:3]) && strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz") == "":
		return wrong(text+" is not a name that cron knows", "names have three letters: "+lower[:3])
	case k.names == "" && isDigits(strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz")):
		return wrong(text+" is not a number", "")
	case strings.ContainsAny(text, "?LW#H"):
		return wrong(text+" is not what cron knows, only other schedulers", "write the numbers")
	}
	return wrong(text+" is not a value", "")
}

// bits are the values that an item names, day 7 as Sunday; draw gives the place of a random value among n.
func (i item) bits(k kind, draw func(n int) int) uint64 {
	lo, hi := i.lo, i.hi
	if i.random && i.step > 1 {
		lo += draw(min(i.step, hi-lo+1))
	} else if i.random {
		lo += draw(hi - lo + 1)
		hi = lo
	}
	var set uint64
	for v := lo; v <= hi; v += i.step {
		n := v
		if k.name == "day of week" {
			n %= 7
		}
		set |= 1 << n
	}
	return set
}

// full are all values there are.
func (k kind) full() uint64 { return item{lo: k.lo, hi: k.hi, step: 1}.bits(k, nil) }

// list writes a set of values as numbers and ranges.
func list(set uint64) string {
	var out []string
	for v := 0; v < 64; v++ {
		if set>>v&1 == 0 {
			continue
		}
		end := v
		for end < 63 && set>>(end+1)&1 != 0 {
			end++
		}
		switch {
		case end == v:
			out = append(out, strconv.Itoa(v))
		case end == v+1:
			out = append(out, strconv.Itoa(v), strconv.Itoa(end))
		default:
			out = append(out, strconv.Itoa(v)+"-"+strconv.Itoa(end))
		}
		v = end
	}
	return strings.Join(out, ",")
}
