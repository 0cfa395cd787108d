package spec

import (
	"regexp"
	"sync"
)

// pattern is a regular expression that is compiled when it is first used: compiling all of them takes
// longer than anything else that a process does before it begins, and the processes of a machine use none.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
