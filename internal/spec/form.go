package spec

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// kind is what sort of value a key takes.
type kind int

const (
	kindText kind = iota
	kindNumber
	kindDecimal
	kindDuration
	kindSize
	kindInstant
	kindBool
	kindMoney
	kindScalar // text, a number, true or false, as it is written
	kindChoice
	kindZone
	kindMapping
	kindList
)

// The kinds in words that follow "wants".
const (
	wantText     = "text"
	wantMapping  = "a mapping"
	wantList     = "a list"
	wantNumber   = "a whole number"
	wantDecimal  = "a number"
	wantDuration = "a length of time"
	wantSize     = "a size in bytes"
	wantInstant  = "an instant"
	wantBool     = "true or false"
	wantMoney    = "an amount of US dollars"
	wantAny      = "text, a number, true or false"
)

// Form is what a value may be. The loader takes its bounds from it, and people and the schema are told the same.
type Form struct {
	kind        kind
	least, most int64   // numbers; lengths of time; bytes of a size; characters of text; entries of a list or mapping. most 0 is no bound
	low, high   float64 // decimals
	choices     []Choice
	must, never []expr // patterns of text; of the keys, where a mapping has names of the user's
	like        string // the limits in words, where the numbers do not say them
	or          *Form  // what it may be instead
	items       *Form  // of a list
	distinct    bool   // no entry of a list comes twice
	bools       bool   // true and false, taken as they are written
}

// Choice is one of the words that a key takes, and what it means.
type Choice struct {
	Word string `json:"word"`
	Doc  string `json:"doc,omitempty"`
}

// expr is a pattern. Those in the table use only what every reader of a JSON Schema knows.
type expr = func() *regexp.Regexp

// What text may have to be.
var (
	notBlank = pattern("[^\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
	visible  = pattern("^[^\\x00-\\x1f\\x7f-\\x9f\u202a-\u202e\u2066-\u2069]*$")
	prose    = pattern("^[^\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\u202a-\u202e\u2066-\u2069]*$") // lines may be broken
	nothing  = pattern(`^[0.]+$`)
	noNUL    = pattern(`^[^\x00]*$`)
	rooted   = pattern(`^/`)
	homeward = pattern(`^~(/|$)`)
	upward   = pattern(`(^|/)\.\.(/|$)`)
	itself   = pattern(`^\.(/+\.)*/*$`)
	expanded = pattern(`[\\*?\[]`)
	reserved = pattern(`^DAYFLY_`)
	httpsURL = pattern(`^[hH][tT][tT][pP][sS]://[^/?#]`)

	jobName       = pattern(`^[a-z0-9][a-z0-9-]{0,47}$`)
	reservedParam = pattern(`^dayfly[_-]`)
	moment        = pattern(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{1,2}:[0-9]{2}:[0-9]{2}([.,][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$`)
	wholeMinute   = pattern(`:00([.,]0+)?(Z|[+-])`)
	secretRef     = pattern(`^(env:[A-Za-z_][A-Za-z0-9_]{0,127}|file:/[^\x00-\x1f\x7f-\x9f]+|ssm:[A-Za-z0-9_./-]{1,512}(:[A-Za-z0-9_.-]{1,128})?|secretsmanager:[A-Za-z0-9/_+=.@:-]{1,512})$`)
	onAWS         = pattern(`^(ssm|secretsmanager):`)
)

// line is text that people can see, of at most so many characters.
func line(most int, more ...expr) Form {
	return Form{kind: kindText, most: int64(most), must: append([]expr{notBlank, visible}, more...)}
}

// shaped is text of one form, said in words.
func shaped(like string, p expr) Form { return Form{kind: kindText, must: []expr{p}, like: like} }

// script is what a shell reads.
func script() Form {
	return Form{kind: kindText, most: maxScript, must: []expr{notBlank, noNUL}, like: "at most 64 KiB"}
}

// path is the text of a path below the job file's directory.
func below() Form {
	return Form{
		kind: kindText, most: maxPath, must: []expr{notBlank, visible}, never: []expr{rooted, homeward, upward, itself, expanded},
		like: "a path below the job file's directory, with /; no .., no patterns",
	}
}

func number(least, most int64) Form { return Form{kind: kindNumber, least: least, most: most} }

func decimals(low, high float64) Form { return Form{kind: kindDecimal, low: low, high: high} }

func length(least, most time.Duration) Form {
	return Form{kind: kindDuration, least: int64(least), most: int64(most)}
}

func sizeOf(least, most int64) Form { return Form{kind: kindSize, least: least, most: most} }

// choice is one of a few words, each followed by what it means.
func choice(wordsAndDocs ...string) Form {
	f := Form{kind: kindChoice}
	for i := 0; i+1 < len(wordsAndDocs); i += 2 {
		f.choices = append(f.choices, Choice{wordsAndDocs[i], wordsAndDocs[i+1]})
	}
	return f
}

// list has at least and at most so many entries.
func list(least, most int, items Form) Form {
	return Form{kind: kindList, least: int64(least), most: int64(most), items: &items}
}

// set is a list in which nothing comes twice.
func set(least, most int, items Form) Form {
	f := list(least, most, items)
	f.distinct = true
	return f
}

// mapping has keys of the table.
func mapping() Form { return Form{kind: kindMapping} }

// some is a mapping that must not be empty.
func some(least, most int) Form {
	return Form{kind: kindMapping, least: int64(least), most: int64(most)}
}

// named is a mapping whose keys are names of the user's.
func named(like string, must, never expr) Form {
	return Form{kind: kindMapping, most: maxEnv, must: []expr{must}, never: []expr{never}, like: like}
}

func (f Form) instead(other Form) Form {
	f.or = &other
	return f
}

// of is the part of a form that a value of this kind in a file would have to fit.
func (f Form) of(n yaml.Kind) Form {
	is := yaml.ScalarNode
	switch f.kind {
	case kindMapping:
		is = yaml.MappingNode
	case kindList:
		is = yaml.SequenceNode
	}
	if is != n && f.or != nil {
		return f.or.of(n)
	}
	return f
}

// words are the words of a choice.
func (f Form) words() []string {
	out := make([]string, len(f.choices))
	for i, c := range f.choices {
		out[i] = c.Word
	}
	return out
}

// String is what it takes, in words that follow "wants".
func (f Form) String() string {
	own := map[kind]string{
		kindText: wantText, kindChoice: wantText, kindZone: wantText, kindNumber: wantNumber, kindDecimal: wantDecimal,
		kindDuration: wantDuration, kindSize: wantSize, kindInstant: wantInstant, kindBool: wantBool,
		kindMoney: wantMoney, kindScalar: wantAny, kindMapping: wantMapping, kindList: wantList,
	}[f.kind]
	if f.kind == kindList && f.items.or == nil && f.items.String() == wantText {
		own = "a list of text"
	}
	if f.or == nil {
		return own
	}
	return own + " or " + f.or.String()
}

// Choices are the words it takes, where those are few; also those of the entries of a list.
func (f Form) Choices() []Choice {
	switch {
	case len(f.choices) > 0:
		return f.choices
	case f.items != nil && len(f.items.choices) > 0:
		return f.items.choices
	case f.or != nil:
		return f.or.Choices()
	}
	return nil
}

// Limits are its bounds in words; empty where there are none, or where they are its choices.
func (f Form) Limits() string { return f.limits("") }

// limits leaves out what was said before.
func (f Form) limits(before string) string {
	var own []string
	switch f.kind {
	case kindNumber:
		own = append(own, fmt.Sprintf("%d to %d", f.least, f.most))
	case kindDecimal:
		own = append(own, strconv.FormatFloat(f.low, 'f', -1, 64)+" to "+strconv.FormatFloat(f.high, 'f', -1, 64))
	case kindDuration:
		own = append(own, formatDuration(time.Duration(f.least))+" to "+formatDuration(time.Duration(f.most))+", in whole d, h, m and s")
	case kindSize:
		own = append(own, formatSize(f.least)+" to "+formatSize(f.most)+"; units are B, kB, MB, GB, TB, KiB, MiB, GiB, TiB")
	case kindInstant:
		own = append(own, "in the form of RFC 3339, from 1970 to 2199")
	case kindMoney:
		own = append(own, "more than 0, with at most two decimals")
	case kindZone:
		own = append(own, "a name of the IANA time zone database")
	case kindList:
		if f.most > 0 && len(f.items.choices) == 0 {
			own = append(own, between(f.least, f.most, "entries"))
		}
		if items := f.items.Limits(); items != "" && !strings.HasPrefix(before, items) {
			own = append(own, "each "+items)
		}
	case kindText:
		if f.most > 0 && f.like == "" {
			own = append(own, between(0, f.most, "characters"))
		}
	}
	if f.like != "" {
		own = append(own, f.like)
	}
	if f.or != nil {
		if more := f.or.limits(strings.Join(own, "; ")); more != "" {
			own = append(own, more)
		}
	}
	return strings.Join(own, "; ")
}

func between(least, most int64, what string) string {
	if least == 0 {
		return fmt.Sprintf("at most %d %s", most, what)
	}
	return fmt.Sprintf("%d to %d %s", least, most, what)
}
