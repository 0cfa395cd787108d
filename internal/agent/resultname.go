package agent

import (
	"fmt"
	"path"
	"strings"

	"github.com/dayfly-io/dayfly/internal/bucket"
)

// nameAll gives every planned file the name that it is stored under: its own, or where a secret is in
// that, one with the secret's mark in its place. No two files get the same name, and none gets the name
// of a directory of another.
func (s *saver) nameAll() {
	n := names{taken: map[string]bool{}, count: map[string]int{}}
	var secret []*planned
	for i := range s.plan {
		p := &s.plan[i]
		if p.as = s.secrets.String(p.name); p.as != p.name {
			secret = append(secret, p)
		} else {
			n.take(p.as)
		}
	}
	for _, p := range secret {
		p.as = n.free(p.as)
		n.take(p.as)
		s.leave(p.as, "%s", underAnotherName)
	}
}

const underAnotherName = "stored under this name: a secret is in its own"

// names are those that results have.
type names struct {
	taken map[string]bool // and false for the directories that lead to them
	count map[string]int  // of the free names that were made of one
}

func (n names) take(name string) {
	n.taken[name] = true
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		n.taken[dir] = false
	}
}

// there tells whether a file cannot have this name beside the others.
func (n names) there(name string) bool {
	if _, there := n.taken[name]; there {
		return true
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if n.taken[dir] {
			return true
		}
	}
	return false
}

// free is a name like this one that nothing has, and that a file can have.
func (n names) free(like string) string {
	const most = bucket.MaxComponent - 8 // there is room for a number
	if len(like) <= most && !n.there(like) {
		return like
	}
	if like = strings.ReplaceAll(like, "/", "_"); len(like) > most {
		like = "[secret]"
	}
	for {
		n.count[like]++
		if name := fmt.Sprintf("%s~%d", like, n.count[like]); !n.there(name) {
			return name
		}
	}
}
