package spec

import (
	"slices"
	"strings"
)

// Unserved lists the keys that are valid and that no part of this build serves, sorted by position.
// A job with any is refused at apply; validate says so without refusing.
func (f *File) Unserved() []*Error {
	var out []*Error
	for _, path := range f.r.order {
		p := f.r.places[path]
		missing := f.missing(path, p.pattern)
		if missing == "" {
			continue
		}
		parent, _ := splitPath(path)
		if slices.ContainsFunc(out, func(e *Error) bool {
			return e.Path == parent || strings.HasPrefix(parent, e.Path+".") || strings.HasPrefix(parent, e.Path+"[")
		}) {
			continue // said of the mapping it stands in
		}
		k, _ := f.r.table.find(p.pattern)
		at := p.key
		out = append(out, &Error{File: f.r.src.name, Line: at.line, Column: at.col, Length: at.length, Path: path, Rule: RuleUnserved,
			Problem: path + ": " + missing, Suggestion: "remove it, or apply the job with a build that serves it",
			Explain: explain(k), Source: f.r.src.excerpt(at.line)})
	}
	sortErrors(out)
	return out
}

// missing says why this build does not serve a key with the value it has in the file, or nothing.
func (f *File) missing(path, pattern string) string {
	j := f.Job
	k, _ := f.r.table.find(pattern)
	switch {
	case k.Missing != "":
		return k.Missing
	case pattern == "machine.on" && j.Machine.On != "local":
		return "machines on " + j.Machine.On + " are" + notHere
	case pattern == "secrets.*":
		scheme, _, _ := strings.Cut(j.Secrets[strings.TrimPrefix(path, "secrets.")], ":")
		if scheme == "ssm" || scheme == "secretsmanager" {
			return noStores
		}
	}
	return ""
}
