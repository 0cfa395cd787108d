package spec

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dayfly-io/dayfly"
)

var listIndex = pattern(`\[[0-9]*\]`)

// Find gives the key that a person names, out of [Keys] or [SettingsKeys]. What stands for a list may be left
// out, and what stands for a name of the user's may be any name: schedule.at, schedule[0].at and schedule[].at are
// one, and so are env.PATH and env.*. The error has code invalid and, as a hint, what was probably meant.
func Find(keys []Key, name string) (Key, error) {
	given := strings.Split(listIndex().ReplaceAllString(name, ""), ".")
	best, known := Key{}, 0 // the key that fits the most, and how many parts of the name it fits
	for _, k := range keys {
		parts := strings.Split(listIndex().ReplaceAllString(k.Path, ""), ".")
		n := 0
		for n < min(len(given), len(parts)) && (given[n] == parts[n] || parts[n] == "*" && given[n] != "") {
			n++
		}
		if n == len(parts) && n == len(given) {
			return k, nil
		}
		if n == len(parts) && n > known && n < len(given) {
			best, known = k, n
		}
	}
	e := &dayfly.Error{Code: dayfly.CodeInvalid, Message: fmt.Sprintf("there is no field %q", clip(printable(name), 60))}
	if known > 0 {
		e.Message += fmt.Sprintf(": %s has none %q", best.Path, clip(printable(strings.Join(given[known:], ".")), 60))
	}
	parent := best.Path
	if len(table(keys).children(parent+"[]")) > 0 {
		parent += "[]"
	}
	e.Hint = suggestField(keys, parent, given[known])
	return Key{}, e
}

// suggestField is suggestKey with whole paths.
func suggestField(t table, parent, word string) string {
	hint := suggestKey(t, parent, word)
	_, after, ok := strings.Cut(hint, `did you mean "`)
	meant, _, _ := strings.Cut(after, `"`)
	if _, below := t.find(join(parent, meant)); ok && below {
		return didYouMean(listIndex().ReplaceAllString(join(parent, meant), ""))
	}
	if hint != "" && !slices.Contains(t.children(parent), "*") {
		return hint
	}
	var names []string
	for _, k := range t {
		names = append(names, k.Name())
	}
	if near := t.elsewhere(Nearest(word, names)); near != "" {
		return didYouMean(near)
	}
	return "dayfly explain lists them all"
}

// Below are the keys of the mapping that a key takes, and of the mappings in its list, with those below them.
func Below(keys []Key, path string) []Key {
	below := regexp.MustCompile(`^` + regexp.QuoteMeta(path) + `(\[\])?\.`)
	var out []Key
	for _, k := range keys {
		if path == "" || below.MatchString(k.Path) {
			out = append(out, k)
		}
	}
	return out
}
