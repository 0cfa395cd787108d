package crontab

import (
	"regexp"
	"sync"
)

// pattern is a regular expression that is compiled when it is first asked for: most calls of the program need none.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
