package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A mutant is one way in which the code could be wrong, and the tests that must
// notice: a patch file whose first lines say so.
//
//	# promise: R1
//	# why: what breaks
//	# test: go test ./internal/reconcile -run TestDowntime -count=1
//
// There may be several test lines; one of them that notices is enough.
type mutant struct {
	name    string // the file's, without .patch
	path    string
	promise string
	why     string
	tests   []string
}

// names are those of all patches in a directory that readMutants has read.
func names(dir string) []string {
	paths, _ := filepath.Glob(filepath.Join(dir, "*.patch")) // the pattern is right
	for i, path := range paths {
		paths[i] = strings.TrimSuffix(filepath.Base(path), ".patch")
	}
	return paths
}

// readMutants reads the patches of dir whose names are in only, or all of them
// when only is empty. It reports everything that is wrong with their headers.
func readMutants(dir string, only []string) ([]mutant, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil {
		return nil, fmt.Errorf("look for mutants: %w", err)
	}
	var mutants []mutant
	var errs []error
	seen := map[string]bool{}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".patch")
		seen[name] = true
		if len(only) > 0 && !slices.Contains(only, name) {
			continue
		}
		m, err := readMutant(name, path)
		mutants, errs = append(mutants, m), append(errs, err)
	}
	for _, name := range only {
		if !seen[name] {
			errs = append(errs, fmt.Errorf("no mutant is named %q in %s", name, dir))
		}
	}
	if len(paths) == 0 {
		errs = append(errs, fmt.Errorf("%s holds no mutants", dir))
	}
	slices.SortFunc(mutants, func(a, b mutant) int {
		return cmp.Or(comparePromises(a.promise, b.promise), cmp.Compare(a.name, b.name))
	})
	return mutants, errors.Join(errs...)
}

// comparePromises puts R2 before R10.
func comparePromises(a, b string) int {
	return cmp.Or(cmp.Compare(strings.TrimRight(a, "0123456789"), strings.TrimRight(b, "0123456789")),
		cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

func readMutant(name, path string) (mutant, error) {
	m := mutant{name: name, path: path}
	text, err := os.ReadFile(path)
	if err != nil {
		return m, fmt.Errorf("read mutant: %w", err)
	}
	hasDiff := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if hasDiff = strings.HasPrefix(line, "diff ") || strings.HasPrefix(line, "--- "); hasDiff {
			break
		}
		key, value, _ := strings.Cut(strings.TrimPrefix(line, "# "), ": ")
		value = strings.TrimSpace(value)
		switch {
		case !strings.HasPrefix(line, "#"):
		case key == "promise":
			m.promise = value
		case key == "why":
			m.why = value
		case key == "test":
			m.tests = append(m.tests, value)
		}
	}
	var missing []string
	for _, field := range []struct{ name, value string }{
		{"promise", m.promise}, {"why", m.why}, {"test", strings.Join(m.tests, "")},
	} {
		if field.value == "" {
			missing = append(missing, "# "+field.name+": …")
		}
	}
	if !hasDiff {
		missing = append(missing, "a diff")
	}
	if len(missing) > 0 {
		return m, fmt.Errorf("%s: missing %s", path, strings.Join(missing, ", "))
	}
	return m, nil
}
