package spec

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/dayfly-io/dayfly"
)

var (
	digits     = pattern(`^(0|[1-9][0-9]*)$`)
	decimal    = pattern(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)
	numeric    = pattern(`^[-+]?(\.[0-9]+|[0-9][0-9_.]*([eE][-+]?[0-9]*)?|0[xXoObB][0-9A-Fa-f_]*|\.(inf|Inf|INF))$|^\.(nan|NaN|NAN)$`)
	durations  = pattern(`^(?:([0-9]{1,18})d)?(?:([0-9]{1,18})h)?(?:([0-9]{1,18})m)?(?:([0-9]{1,18})s)?$`)
	sizes      = pattern(`^([0-9]{1,15})(B|[kKMGT]B|[KMGT]iB)$`)
	bareSize   = pattern(`^([0-9]+)([kKMGT])(i?)$`)
	fraction   = pattern(`^[0-9]+\.[0-9]+[dhms]`)
	afterUnits = pattern(`(?i)^([0-9]+) *(seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|ms|w|weeks?)$`)
	money      = pattern(`^[0-9]{1,9}(\.[0-9]{1,2})?$`)
)

// looksNumeric tells whether YAML, of any version, takes a plain scalar for a number.
func looksNumeric(s string) bool { return len(s) < 400 && numeric().MatchString(s) }

// text reads a value that must be text. Anything else a plain scalar can be is refused: 1.10 would
// not stay 1.10 in every program.
func (r *reader) text(v value) (string, bool) {
	switch {
	case v.n.Kind != yaml.ScalarNode || isNull(v.n):
		r.wrong(v, r.form(v).String(), "")
		return "", false
	case isBool(v.n) || isPlain(v.n) && looksNumeric(v.n.Value):
		hint := fmt.Sprintf("put it between quotes: %q", clip(v.n.Value, 40))
		if isSecretPath(v.pattern) {
			hint = ""
		}
		r.wrong(v, r.form(v).String(), hint)
		return "", false
	}
	return v.n.Value, true
}

// written reads a scalar of any type as it is written.
func (r *reader) written(v value) (string, bool) {
	if v.n.Kind != yaml.ScalarNode || isNull(v.n) {
		hint := ""
		if isNull(v.n) {
			hint = `for empty text write ""`
		}
		r.wrong(v, wantAny, hint)
		return "", false
	}
	return v.n.Value, true
}

// line reads text that is not empty, not longer than the table allows, and one that people can see.
func (r *reader) line(v value) (string, bool) {
	s, ok := r.text(v)
	if !ok || !r.visible(v, s) {
		return "", false
	}
	return s, true
}

// visible tells whether text is not empty, not too long, and holds nothing that people cannot see.
func (r *reader) visible(v value, s string) bool {
	most := int(r.bounds(v).most)
	switch {
	case strings.TrimSpace(s) == "":
		r.bad(v, "", "%s is empty", v.name())
	case utf8.RuneCountInString(s) > most:
		r.bad(v, "", "%s has %d characters; at most %d are allowed", v.name(), utf8.RuneCountInString(s), most)
	case strings.IndexFunc(s, func(c rune) bool {
		return unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) && c > 0x2000 && c != 0x200E && c != 0x200F
	}) >= 0:
		r.bad(v, "remove it", "%s holds an invisible character", v.name())
	default:
		return true
	}
	return false
}

// oneOf reads one of the few words that the table has for it.
func (r *reader) oneOf(v value) (string, bool) {
	words := r.bounds(v).words()
	s, ok := r.text(v)
	if !ok {
		return "", false
	}
	if slices.Contains(words, s) {
		return s, true
	}
	hint := "one of " + strings.Join(words, ", ")
	switch near := nearest(s, words); {
	case slices.Contains([]string{"no", "off", "never", "disabled"}, strings.ToLower(s)) && slices.Contains(words, "none"):
		hint = didYouMean("none")
	case near != "":
		hint = didYouMean(near)
	}
	r.bad(v, hint, "%s is %q; it must be one of %s", v.name(), clip(s, 40), strings.Join(words, ", "))
	return "", false
}

// oddNumber says what is wrong with the spelling of a number, or "".
func oddNumber(s string) string {
	switch {
	case strings.Contains(s, "_"):
		return "write it without _"
	case strings.HasPrefix(strings.ToLower(strings.TrimLeft(s, "+-")), "0x"):
		return "write it with decimal digits"
	case strings.ContainsAny(s, "eE"):
		return "write out all digits, without an exponent"
	case strings.HasPrefix(s, "+"):
		return "write it without +"
	case strings.ContainsAny(s, "nN"):
		return "write a number"
	case strings.HasPrefix(s, "."), strings.HasPrefix(s, "-."), strings.HasSuffix(s, "."):
		return "write digits on both sides of the point"
	case len(s) > 1 && s[0] == '0' && s[1] != '.':
		return "write it without a leading 0: programs disagree on whether that is octal"
	}
	return ""
}

// number reads a whole number within the bounds of the table.
func (r *reader) number(v value) (int, bool) {
	least, most := int(r.bounds(v).least), int(r.bounds(v).most)
	s, ok := r.numeral(v, wantNumber)
	if !ok {
		return 0, false
	}
	if strings.Contains(s, ".") {
		r.wrong(v, wantNumber, "")
		return 0, false
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		r.bad(v, "", "%s is %s; it must be from %d to %d", v.name(), clip(s, 40), least, most)
		return 0, false
	}
	return n, true
}

// numeral reads a plain decimal numeral.
func (r *reader) numeral(v value, want string) (string, bool) {
	s := v.n.Value
	switch {
	case v.n.Kind != yaml.ScalarNode, isNull(v.n):
		r.wrong(v, want, "")
	case !isPlain(v.n):
		hint := ""
		if len(s) < 400 && decimal().MatchString(s) {
			hint = "write it without quotes: " + clip(s, 40)
		}
		r.wrong(v, want, hint)
	case len(s) < 400 && decimal().MatchString(s):
		return s, true
	case looksNumeric(s):
		r.bad(v, oddNumber(s), "%s is %s, which programs do not agree on", v.name(), clip(s, 40))
	default:
		r.wrong(v, want, "")
	}
	return "", false
}

// duration reads a length of time within the bounds of the table.
func (r *reader) duration(v value) (dayfly.Seconds, bool) {
	least, most := time.Duration(r.bounds(v).least), time.Duration(r.bounds(v).most)
	s := v.n.Value
	if v.n.Kind != yaml.ScalarNode || isNull(v.n) || isBool(v.n) {
		r.wrong(v, wantDuration+" such as 90m", "")
		return 0, false
	}
	d, hint, ok := parseDuration(s)
	switch {
	case !ok:
		r.bad(v, hint, "%s is %q, not a length of time such as 30s, 90m, 1h30m or 2d", v.name(), clip(s, 40))
	case d < least:
		r.bad(v, "", "%s is %s; it must be at least %s", v.name(), clip(s, 40), formatDuration(least))
	case d > most:
		r.bad(v, "", "%s is %s; it must be at most %s", v.name(), clip(s, 40), formatDuration(most))
	default:
		return dayfly.Seconds(d), true
	}
	return 0, false
}

// parseDuration reads whole days, hours, minutes and seconds, in that order. Lengths that do not fit
// are the longest there is.
func parseDuration(s string) (d time.Duration, hint string, ok bool) {
	if len(s) > 100 {
		return 0, durationHint(""), false
	}
	m := durations().FindStringSubmatch(s)
	if m == nil || s == "" {
		return 0, durationHint(s), false
	}
	total := 0.0
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.ParseInt(m[i+1], 10, 64) // empty is 0, and 18 digits fit
		total += float64(n) * unit.Seconds()
		d += time.Duration(n) * unit
	}
	if total > math.MaxInt64/1e9 {
		return math.MaxInt64, "", true
	}
	return d, "", true
}

func durationHint(s string) string {
	switch m := afterUnits().FindStringSubmatch(s); {
	case digits().MatchString(s):
		return fmt.Sprintf("give the unit: %ss for seconds, %sm for minutes", clip(s, 12), clip(s, 12))
	case strings.HasPrefix(s, "-"):
		return "a length of time cannot be negative"
	case fraction().MatchString(s):
		return "write whole units, such as 1h30m for 1.5h"
	case m != nil && strings.EqualFold(m[2], "ms"):
		return "the shortest unit is a second: 1s"
	case m != nil && strings.EqualFold(m[2][:1], "w"):
		return "the longest unit is a day: 7d"
	case m != nil:
		return "write " + clip(m[1], 12) + strings.ToLower(m[2][:1])
	}
	return "units are d, h, m and s, in this order, each with a whole number"
}

// formatDuration writes a length of time as a job file does.
func formatDuration(d time.Duration) string { return dayfly.Seconds(d).Words() }

// size reads a number of bytes within the bounds of the table.
func (r *reader) size(v value) (int64, bool) {
	least, most := r.bounds(v).least, r.bounds(v).most
	s := v.n.Value
	if v.n.Kind != yaml.ScalarNode || isNull(v.n) || isBool(v.n) {
		r.wrong(v, wantSize+" such as 4GiB", "")
		return 0, false
	}
	s = clip(s, 100)
	m := sizes().FindStringSubmatch(s)
	if m == nil {
		r.bad(v, sizeHint(s), "%s is %q, not a size such as 512MiB or 4GiB", v.name(), clip(s, 40))
		return 0, false
	}
	n, _ := strconv.ParseInt(m[1], 10, 64) // 15 digits fit
	unit := int64(1)
	if m[2] != "B" {
		base := int64(1000)
		if strings.HasSuffix(m[2], "iB") {
			base = 1024
		}
		for range 1 + strings.IndexByte("KMGT", strings.ToUpper(m[2])[0]) {
			unit *= base
		}
	}
	if n < (least+unit-1)/unit || n > most/unit {
		r.bad(v, "", "%s is %s; it must be from %s to %s", v.name(), clip(s, 40), formatSize(least), formatSize(most))
		return 0, false
	}
	return n * unit, true
}

func sizeHint(s string) string {
	if m := bareSize().FindStringSubmatch(s); m != nil && len(m[1]) <= 12 {
		return fmt.Sprintf("write %s%siB, or %s%sB for powers of 1000", m[1], strings.ToUpper(m[2]), m[1], m[2])
	}
	if digits().MatchString(s) && len(s) <= 12 {
		return fmt.Sprintf("give the unit: %sMiB, or %sB for bytes", s, s)
	}
	return "a whole number and one of B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"
}

func formatSize(n int64) string {
	for i := 4; i > 0; i-- {
		if unit := int64(1) << (10 * i); n%unit == 0 && n > 0 {
			return fmt.Sprintf("%d%ciB", n/unit, " KMGT"[i])
		}
	}
	return fmt.Sprintf("%dB", n)
}

// boolean reads true or false.
func (r *reader) boolean(v value) (b, ok bool) {
	if v.n.Kind == yaml.ScalarNode && isPlain(v.n) {
		switch v.n.Value {
		case "true":
			return true, true
		case "false":
			return false, true
		case "yes", "on", "True", "TRUE":
			r.wrong(v, wantBool, "write true")
			return false, false
		case "no", "off", "False", "FALSE":
			r.wrong(v, wantBool, "write false")
			return false, false
		}
	}
	r.wrong(v, wantBool, "")
	return false, false
}

// instant reads an RFC 3339 instant, in UTC.
func (r *reader) instant(v value) (time.Time, bool) {
	if v.n.Kind != yaml.ScalarNode || isNull(v.n) {
		r.wrong(v, wantInstant+" such as 2026-01-01T00:00:00Z", "")
		return time.Time{}, false
	}
	s := v.n.Value
	t, err := time.Parse(time.RFC3339, s)
	switch {
	case err != nil:
		hint := "write date, time and offset, such as 2026-01-01T00:00:00Z or 2026-01-01T09:00:00+02:00"
		if _, err := time.Parse(time.DateOnly, s); err == nil {
			hint = "write the time and the offset too, such as " + s + "T00:00:00Z"
		}
		r.bad(v, hint, "%s is %q, not an instant in the form of RFC 3339", v.name(), clip(s, 40))
	case t.UTC().Year() < 1970 || t.UTC().Year() > 2199:
		r.bad(v, "", "%s lies outside the years 1970 to 2199", v.name())
	default:
		return t.UTC(), true
	}
	return time.Time{}, false
}

// dollars reads an amount of money, which stays as it is written.
func (r *reader) dollars(v value) (string, bool) {
	s := v.n.Value
	if v.n.Kind != yaml.ScalarNode || isNull(v.n) {
		r.wrong(v, wantMoney, "")
		return "", false
	}
	if len(s) > 20 || !money().MatchString(s) {
		r.bad(v, "write dollars and cents, such as 2.00", "%s is %q, not an amount of US dollars", v.name(), clip(s, 40))
		return "", false
	}
	if strings.Trim(s, "0.") == "" {
		r.bad(v, "remove the key, or name what may be spent", "%s is 0, which would refuse every run", v.name())
		return "", false
	}
	return s, true
}
